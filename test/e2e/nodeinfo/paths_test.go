package nodeinfo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// paths waits until the report on paths has a verdict and exactly these findings.
func paths(t *testing.T, c *harness.Cluster, verdict report.Verdict, codes []finding.Code, args ...string) report.Paths {
	t.Helper()
	var p report.Paths
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		r := c.Plugin(t, "nodeinfo", append([]string{"--paths", "-o", "json", "--timeout=40s"}, args...)...)
		p = report.Paths{}
		if err := json.Unmarshal([]byte(r.Stdout), &p); err != nil {
			return r.Stderr, false
		}
		var got []finding.Code
		for _, f := range p.Findings {
			got = append(got, f.Code)
		}
		return fmt.Sprintf("%s %v: %s", p.Verdict, got, p.Summary), p.Verdict == verdict && slices.Equal(got, codes)
	})
	for _, f := range p.Findings {
		var steps []harness.Step
		for _, next := range f.Next {
			steps = append(steps, harness.Step{Command: next.Command, Why: next.Why, Risk: string(next.Risk)})
		}
		for _, dead := range c.Follow(t, steps, args) {
			t.Errorf("a next command of %s leads nowhere: %s", f.Code, dead)
		}
	}
	return p
}

// state gives the states of the paths of a kind.
func state(p report.Paths, group report.PathGroup) (states []report.PathState) {
	for _, path := range p.Paths {
		if path.Group == group {
			states = append(states, path.State)
		}
	}
	return slices.Compact(states)
}

// A webhook and an aggregated API without anything behind them are told with what they block, and the next command lets the requests
// pass; a healthy cluster is quiet, and without permissions the gaps are told.
func TestPaths(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "cp1", "w1", "w2")
	harness.Eventually(t, time.Minute, func() (string, bool) { // a node that came back a moment ago has no Lease yet
		for _, path := range paths(t, c, report.Healthy, nil, "--kubelet").Paths {
			if path.State != report.PathOK && path.Group != report.PathMetrics { // nor figures of metrics-server
				return fmt.Sprintf("%+v", path), false
			}
		}
		return "", true
	})
	if got := state(paths(t, c, report.Healthy, nil), report.PathKubelet); !slices.Equal(got, []report.PathState{report.PathUnknown}) {
		t.Errorf("kubelets that were not asked are %v", got)
	}

	ns := c.Namespace(t)
	t.Cleanup(func() {
		c.Kubectl(t, "delete", "validatingwebhookconfiguration/e2e-guard", "apiservice/v1.gone.e2e.test", "--ignore-not-found")
	})
	c.Apply(t, fmt.Sprintf(`apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.gone.e2e.test}
spec: {group: gone.e2e.test, version: v1, groupPriorityMinimum: 100, versionPriority: 10, insecureSkipTLSVerify: true, service: {namespace: %[1]s, name: gone, port: 443}}
---
apiVersion: v1
kind: Service
metadata: {name: guard, namespace: %[1]s}
spec: {selector: {app: guard}, ports: [{port: 443, targetPort: 8443}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: e2e-guard}
webhooks:
- name: classes.guard.test
  clientConfig: {service: {namespace: %[1]s, name: guard}}
  rules: [{operations: [CREATE], apiGroups: [scheduling.k8s.io], apiVersions: [v1], resources: [priorityclasses], scope: Cluster}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
  timeoutSeconds: 2
`, ns))
	blocked := paths(t, c, report.Unhealthy, []finding.Code{"WebhookUnavailable"})
	f := blocked.Findings[0]
	if want := "classes.guard.test cannot be called: Service " + ns + "/guard has no endpoints; the API server rejects CREATE of priorityclasses.scheduling.k8s.io"; !strings.Contains(f.Message, want) {
		t.Errorf("%q, want %q", f.Message, want)
	}
	create := []string{"create", "priorityclass", "e2e-guarded", "--value=1", "--dry-run=server"}
	if r := c.Kubectl(t, create...); r.Code == 0 || !strings.Contains(r.Stderr, "classes.guard.test") {
		t.Errorf("the API server does not reject it: %s%s", r.Stdout, r.Stderr)
	}
	if r := c.Kubectl(t, "nodeinfo", "--paths", "--fail-on=critical"); r.Code != 3 || !strings.HasPrefix(r.Stdout, "Unhealthy: cluster paths: webhook classes.guard.test") {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if step := f.Next[len(f.Next)-1]; step.Risk != finding.Change || c.Sh(t, step.Command).Code != 0 {
		t.Errorf("%+v", step)
	}
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		r := c.Kubectl(t, create...)
		return r.Stderr, r.Code == 0
	})
	both := paths(t, c, report.Degraded, []finding.Code{"AggregatedAPIUnavailable", "WebhookUnavailable"})
	if m := both.Findings[0].Message; !strings.Contains(m, "v1.gone.e2e.test is not available: Service "+ns+"/gone does not exist") {
		t.Error(m)
	}
	c.MustKubectl(t, "delete", "validatingwebhookconfiguration/e2e-guard", "apiservice/v1.gone.e2e.test")
	named := paths(t, c, report.Healthy, nil, "w1")
	if len(named.Checks) != 3 {
		t.Fatalf("%+v", named.Checks)
	}
	for i, want := range []string{"ok", "ok", "lastUpdated"} {
		if r := c.Sh(t, named.Checks[i].Next.Command); r.Code != 0 || !strings.Contains(r.Stdout, want) {
			t.Errorf("%s: exit %d: %s%s", named.Checks[i].Next.Command, r.Code, r.Stdout, r.Stderr)
		}
	}

	c.MustKubectl(t, "create", "serviceaccount", "nobody", "-n", ns)
	role := ns + "-nodes"
	t.Cleanup(func() { c.Kubectl(t, "delete", "clusterrole,clusterrolebinding", role) })
	c.MustKubectl(t, "create", "clusterrole", role, "--verb=list", "--resource=nodes")
	c.MustKubectl(t, "create", "clusterrolebinding", role, "--clusterrole="+role, "--serviceaccount="+ns+":nobody")
	kubeconfig := withToken(t, c, strings.TrimSpace(c.MustKubectl(t, "create", "token", "nobody", "-n", ns)))
	r := c.Kubectl(t, "nodeinfo", "--paths", "--kubelet", "--kubeconfig", kubeconfig, "--require-complete")
	if r.Code != 4 || !strings.HasPrefix(r.Stdout, "Unknown: cluster paths: ") || !strings.Contains(r.Stdout, "needs get nodes/proxy") ||
		!strings.Contains(r.Stdout, "needs list validatingwebhookconfigurations.admissionregistration.k8s.io") {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	speaksPlain(t, c, ns)
}

// speaksPlain has a webhook whose Service has a ready endpoint that speaks HTTP: controllers alone tell that calls of it fail.
func speaksPlain(t *testing.T, c *harness.Cluster, ns string) {
	const pod = `{containers: [{name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [httpd, -f, -p, "8443"]}]}`
	c.Apply(t, fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: guard, namespace: %s, labels: {app: guard}}
spec: %s
`, ns, pod))
	c.MustKubectl(t, "wait", "-n", ns, "--for=condition=Ready", "pod/guard", "--timeout=120s")
	c.Apply(t, fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: e2e-guard}
webhooks:
- name: pods.guard.test
  clientConfig: {service: {namespace: %[1]s, name: guard}}
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  rules: [{operations: [CREATE], apiGroups: [""], apiVersions: [v1], resources: [pods]}]
  failurePolicy: Fail
  sideEffects: None
  admissionReviewVersions: [v1]
  timeoutSeconds: 2
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: %[2]s}
`, ns, pod))
	f := paths(t, c, report.Unhealthy, []finding.Code{"WebhookUnavailable"}).Findings[0]
	for _, want := range []string{"pods.guard.test cannot be called: http: server gave HTTP response to HTTPS client", "; the API server rejects CREATE of pods in namespace " + ns} {
		if !strings.Contains(f.Message, want) {
			t.Errorf("%q, want %q", f.Message, want)
		}
	}
	if step := f.Next[len(f.Next)-1]; step.Risk != finding.Change || c.Sh(t, step.Command).Code != 0 {
		t.Errorf("%+v", step)
	}
	paths(t, c, report.Healthy, nil)
	c.MustKubectl(t, "rollout", "status", "-n", ns, "deployment/web", "--timeout=120s")
}
