package rolloutexplain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// What is outside of the workload: registries that refuse, webhooks that deny, and another controller's objects.

// registries: a real registry refuses each repository in its own way.
func registries() []scenario {
	pulls := func(name, fault, repository, root string, verdict []string, next string, wait []string, exit int, before step, says ...string) scenario {
		s := change(name, fault, 1, app{image: "REGISTRY/" + repository + ":1.5"}, root, verdict, next, wait, exit, says...)
		if before != nil {
			s.steps = append([]step{before}, s.steps...)
		}
		return s
	}
	patient := []string{"--timeout=110s", "--stable-for=1s"}
	later := pulls("image-pushed-later", "an image that is pushed while --wait waits", "shop/NAMESPACE-later", "ImageNotFound", stuck, "", patient, 0, nil)
	later.during, later.within = push("shop/NAMESPACE-later:1.5"), 110*time.Second
	back := pulls("registry-limits-for-a-while", "a registry that answers 429, and serves while --wait waits", "shop/NAMESPACE-limits", "RegistryUnavailable", late, "", patient, 0, all(push("shop/NAMESPACE-limits:1.5"), respond("shop/NAMESPACE-limits", "429")))
	back.during, back.within = respond("shop/NAMESPACE-limits", "200"), 110*time.Second
	return []scenario{
		pulls("image-not-found", "a tag that the registry does not have", "shop/absent", "ImageNotFound", stuck, "rollout undo", soon, 3, nil, "shop/absent:1.5", "does not exist"),
		pulls("image-unauthorized", "a registry that answers 401", "shop/secret", "ImagePullUnauthorized", stuck, "imagePullSecrets", soon, 3, respond("shop/secret", "401"), "has no image pull secret"),
		pulls("registry-rate-limited", "a registry that answers 429", "shop/busy", "RegistryUnavailable", late, "nodeinfo", brief, 5, respond("shop/busy", "429"), "429"),
		pulls("registry-broken", "a registry that answers 500", "shop/broken", "RegistryUnavailable", late, "nodeinfo", brief, 5, respond("shop/broken", "500"), "500"),
		later, back,
	}
}

func respond(repository, code string) step {
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		c.Registry(t, "up")
		c.Registry(t, "respond", inNamespace(t, c, ns, repository), code)
	}
}

// push makes an image of its own: to pull one whose content the nodes have under another name confuses their runtime.
func push(reference string) step {
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		busybox, err := exec.LookPath("busybox")
		if err != nil {
			t.Fatal(err)
		}
		c.Registry(t, "up")
		c.Registry(t, "push", inNamespace(t, c, ns, reference), "--file", busybox+"=/bin/sh", "--file", busybox+"=/bin/sleep", "--entrypoint", "/bin/sh")
	}
}

const webhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NAMESPACE}
webhooks:
- name: guard.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 2
  clientConfig: %s
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAMESPACE}}
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`

func webhooks() []scenario {
	changed := run("set", "env", "deployment/api", "V=2")
	unhook := func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		t.Cleanup(func() { c.Kubectl(t, "delete", "validatingwebhookconfiguration", ns) })
	}
	return []scenario{
		{
			name: "webhook-denies", fault: "a validating webhook that denies pods", target: "deployment/api",
			steps: []step{app{replicas: 2}.up(), unhook, denyingWebhook, pause(2 * time.Second), changed},
			root:  "AdmissionWebhookDenied", verdict: stuck, says: []string{"guard.example.com", "no pods before the audit"}, next: "webhookconfigurations", shows: marked("webhookconfigurations", "guard.example.com"), wait: soon, exit: 3, within: 40 * time.Second,
		},
		{
			name: "webhook-service-absent", fault: "a fail-closed webhook whose Service does not exist", target: "deployment/api",
			steps: []step{app{replicas: 2}.up(), unhook, apply(fmt.Sprintf(webhook, "{service: {namespace: NAMESPACE, name: guard, path: /x}}")), pause(2 * time.Second), changed},
			root:  "AdmissionWebhookCallFailed", verdict: late, says: []string{"guard.example.com", `service "guard" not found`}, next: "get deployments,services,pods", wait: brief, exit: 5, within: 40 * time.Second,
		},
	}
}

// denyingWebhook serves a webhook on this machine's side of the nodes' network.
func denyingWebhook(t *testing.T, c *harness.Cluster, ns string) {
	t.Helper()
	route := strings.Fields(c.OnNode(t, "cp1", "ip", "route", "show", "default").Stdout)
	if len(route) < 3 {
		t.Fatalf("no default route on cp1: %v", route)
	}
	address := net.ParseIP(route[2])
	certificate, authority := selfSigned(t, address)
	listener, err := net.Listen("tcp", net.JoinHostPort(address.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review map[string]any
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Errorf("the API server sent no review: %v", err)
			return
		}
		request, _ := review["request"].(map[string]any)
		review["response"] = map[string]any{"uid": request["uid"], "allowed": false, "status": map[string]any{"message": "no pods before the audit"}}
		delete(review, "request")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review)
	}))
	server.Listener.Close()
	server.Listener, server.TLS = listener, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	apply(fmt.Sprintf(webhook, fmt.Sprintf("{url: %q, caBundle: %s}", "https://"+listener.Addr().String()+"/deny", base64.StdEncoding.EncodeToString(authority))))(t, c, ns)
}

func selfSigned(t *testing.T, address net.IP) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{address},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

const rolloutCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.argoproj.io}
spec:
  group: argoproj.io
  names: {kind: Rollout, plural: rollouts, singular: rollout, shortNames: [ro]}
  scope: Namespaced
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// argo: no Argo controller runs here. The CRD is real, the objects and their status are written by hand as its controller
// writes them.
func argo() []scenario {
	definition := once(apply(rolloutCRD)) // two at a time would both create it
	object := func(status string) []step {
		return []step{
			definition, run("wait", "crd/rollouts.argoproj.io", "--for=condition=Established", "--timeout=30s"), pause(2 * time.Second),
			apply("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  replicas: 2\n  strategy: {canary: {steps: [{setWeight: 20}, {pause: {}}, {setWeight: 100}]}}\n  selector: {matchLabels: {app: web}}\n  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: main, image: " + image + "}]}}\nstatus: " + status + "\n"),
		}
	}
	return []scenario{
		{
			name: "argo-paused", fault: "an Argo Rollout at a pause step (CRD and object by hand)", target: "rollout/web",
			steps: object(`{phase: Paused, message: CanaryPauseStep, observedGeneration: "1", currentStepIndex: 1, replicas: 2, pauseConditions: [{reason: CanaryPauseStep, startTime: "2026-01-01T00:00:00Z"}]}`),
			root:  "ArgoPaused", verdict: held, says: []string{"CanaryPauseStep"}, next: "argo rollouts promote web", wait: soon, exit: 6, within: 15 * time.Second,
		},
		{
			name: "argo-aborted", fault: "an aborted Argo Rollout (CRD and object by hand)", target: "rollout/web",
			steps: object(`{phase: Degraded, abort: true, message: "RolloutAborted: metric success-rate failed", observedGeneration: "1", currentStepIndex: 0, replicas: 2}`),
			root:  "ArgoAborted", verdict: failed, says: []string{"success-rate"}, next: "argo rollouts retry rollout web", wait: soon, exit: 3, within: 15 * time.Second,
		},
	}
}
