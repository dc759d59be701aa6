package nodeinfo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// The kubelet's certificates: both workers are broken side by side.
func TestKubeletCertificates(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1", "w2")
	t.Run("w1", func(t *testing.T) {
		t.Parallel()
		t.Run("PendingServingRequest", func(t *testing.T) { pendingServingRequest(t, c, "w1") })
		t.Run("MachineThatJoins", func(t *testing.T) { machineThatJoins(t, c) })
	})
	t.Run("w2", func(t *testing.T) {
		t.Parallel()
		t.Run("RequestNobodyApproves", func(t *testing.T) { requestNobodyApproves(t, c, "w2") })
		t.Run("FiveDaysLeft", func(t *testing.T) { fiveDaysLeft(t, c, "w2") })
	})
}

// The kubelet has no certificate until its request is approved; the printed line does that.
func pendingServingRequest(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "pending-serving-csr", node)
	n := becomes(t, c, 2*time.Minute, want{
		node: node, verdict: report.Degraded, code: "KubeletServingCertificateMissing", text: "waits for approval", flags: []string{"--kubelet"},
	})
	if list, _ := fleet(t, c, "--kubelet"); !tells(list, node, "KubeletServingCertificateMissing", "waits for approval") {
		t.Errorf("the report on all nodes does not join the request: %+v", list.Items)
	}
	approveAndRecover(t, c, of(t, n, "KubeletServingCertificateMissing"))
	n = becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Healthy, flags: []string{"--kubelet"}})
	served(t, n, "system:node:"+node, false)
	heal()
	n = becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Healthy, flags: []string{"--kubelet"}})
	served(t, n, node+"@", true)
}

// A kubelet that serves has requested its next certificate, as an impersonated one does here; after two minutes that is said.
func requestNobodyApproves(t *testing.T, c *harness.Cluster, node string) {
	ip := strings.TrimSpace(c.MustKubectl(t, "get", "node", node, "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`))
	name := "e2e-" + node
	asks(t, c, name, "kubelet-serving", "server auth", request(t, node, ip), "--as=system:node:"+node, "--as-group=system:nodes")
	n := becomes(t, c, 4*time.Minute, want{
		node: node, verdict: report.Degraded, code: "KubeletCertificateNotIssued", text: name + " waits for approval",
	})
	if list, _ := fleet(t, c); !tells(list, node, "KubeletCertificateNotIssued", name+" waits for approval") {
		t.Errorf("the report on all nodes does not join the request: %+v", list.Items)
	}
	approveAndRecover(t, c, of(t, n, "KubeletCertificateNotIssued"))
	healthy(t, c, node)
}

// A machine with credentials that nothing approves by itself has no Node before a person does.
func machineThatJoins(t *testing.T, c *harness.Cluster) {
	const name, node = "e2e-joins", "w9"
	t.Cleanup(func() { c.Kubectl(t, "delete", "clusterrole,clusterrolebinding", name) })
	c.MustKubectl(t, "create", "clusterrole", name, "--verb=create", "--resource=certificatesigningrequests.certificates.k8s.io")
	c.MustKubectl(t, "create", "clusterrolebinding", name, "--clusterrole="+name, "--user="+name)
	asks(t, c, name, "kube-apiserver-client-kubelet", "client auth", request(t, node, ""), "--as="+name)
	n := becomes(t, c, time.Minute, want{
		node: node, verdict: report.Unhealthy, code: "KubeletCertificateNotIssued", text: "a machine requests to join as this node", exit: 1,
	})
	soon := thresholds(t, "certificateRequestWait: 10s\n")
	harness.Eventually(t, 30*time.Second, func() (string, bool) {
		list, _ := fleet(t, c, soon)
		return strings.Join(list.CommonCauses, "\n"), slices.Contains(list.CommonCauses,
			"1 machine requests to join and has received no client certificate: "+node+"; name one as NODE for the reason")
	})
	approveAndRecover(t, c, of(t, n, "KubeletCertificateNotIssued"))
	harness.Eventually(t, time.Minute, func() (string, bool) {
		r := c.Kubectl(t, "nodeinfo", node)
		return r.Stdout + r.Stderr, r.Code == 1 && r.Stderr == "error: node \"w9\" not found\n" && r.Stdout == ""
	})
}

// asks creates a certificate request as another user.
func asks(t *testing.T, c *harness.Cluster, name, signer, usage, request string, as ...string) {
	t.Helper()
	t.Cleanup(func() { c.Kubectl(t, "delete", "csr", name) })
	c.Create(t, fmt.Sprintf(`
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: %s}
spec:
  request: %s
  signerName: kubernetes.io/%s
  usages: [digital signature, %s]
`, name, request, signer, usage), append(as, "--as-group=system:authenticated")...)
}

// What the kubelet presents is read from here, and tells that it ends.
func fiveDaysLeft(t *testing.T, c *harness.Cluster, node string) {
	heal := c.Fault(t, "expire-kubelet-cert", node, "--serving", "--left=120h")
	becomes(t, c, 2*time.Minute, want{
		node: node, verdict: report.Unhealthy, code: "KubeletCertificateExpiring", text: "expires in 4d", exit: 3, flags: []string{"--kubelet"},
	})
	healthy(t, c, node) // no connection is made without the flag
	heal()
	becomes(t, c, 2*time.Minute, want{node: node, verdict: report.Healthy, flags: []string{"--kubelet"}})
}

// approveAndRecover runs the step of a finding that approves a request.
func approveAndRecover(t *testing.T, c *harness.Cluster, f finding.Finding) {
	t.Helper()
	for _, next := range f.Next {
		if strings.Contains(next.Command, "certificate approve") && next.Risk == finding.Change && len(next.Answers) > 0 {
			if r := c.Sh(t, next.Command); r.Code != 0 {
				t.Fatalf("%s: %s", next.Command, r.Stderr)
			}
			return
		}
	}
	t.Fatalf("no step approves the request and says what that trusts: %+v", f.Next)
}

// served holds the certificate that was presented against what the kubelet has.
func served(t *testing.T, n report.Node, subject string, selfSigned bool) {
	t.Helper()
	for _, c := range n.Health.Certificates {
		if c.Use == "serving" {
			if !strings.HasPrefix(c.Subject, subject) || c.SelfSigned == nil || *c.SelfSigned != selfSigned || time.Until(c.NotAfter) < 300*24*time.Hour {
				t.Errorf("%s serves with %+v", n.Name, c)
			}
			return
		}
	}
	t.Errorf("%s: no serving certificate: %+v, %+v", n.Name, n.Health.Certificates, n.Sources)
}

// request is what a kubelet sends to have a certificate signed: with an address one to serve with.
func request(t *testing.T, node, ip string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + node}}
	if ip != "" {
		template.DNSNames, template.IPAddresses = []string{node}, []net.IP{net.ParseIP(ip)}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
