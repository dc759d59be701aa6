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

// comes waits until a machine has come so far: a verdict, the first step that is missing, and what the evidence of a step says. all
// asks for it without naming it.
func comes(t *testing.T, c *harness.Cluster, limit time.Duration, name string, verdict report.JoinVerdict, missing, step report.JoinStepName, says string) report.JoinMachine {
	t.Helper()
	var m report.JoinMachine
	for _, args := range [][]string{{name}, nil} {
		harness.Eventually(t, limit, func() (string, bool) {
			r := c.Plugin(t, "nodeinfo", append([]string{"--join", "-o", "json"}, args...)...)
			var j report.Join
			if err := json.Unmarshal([]byte(r.Stdout), &j); err != nil || r.Code != 0 {
				return fmt.Sprintf("exit %d: %s", r.Code, r.Stderr), false
			}
			at := slices.IndexFunc(j.Machines, func(m report.JoinMachine) bool { return m.Name == name })
			if at < 0 {
				return r.Stdout, args == nil && verdict == report.Joined
			}
			m = j.Machines[at]
			told := slices.ContainsFunc(m.Steps, func(s report.JoinStep) bool { return s.Step == step && strings.Contains(s.Evidence, says) })
			return fmt.Sprintf("%s, missing %q: %+v", m.Verdict, m.Missing, m.Steps), m.Verdict == verdict && m.Missing == missing && told
		})
	}
	return m
}

// A node that was removed joins anew on a machine whose CNI configuration is gone: it is in progress, and complete when that is back.
func TestANodeThatJoins(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1", "w2")
	t.Run("WithoutCNI", func(t *testing.T) {
		network, kubelet := c.Fault(t, "break-cni", "w2"), c.Fault(t, "stop-kubelet", "w2")
		c.MustKubectl(t, "delete", "node", "w2")
		r := c.Kubectl(t, "nodeinfo", "--join", "w2")
		if !strings.HasPrefix(r.Stdout, "Incomplete: node/w2: ") || !strings.Contains(r.Stdout, "NodeDeleted") { // a request of its last join may be left
			t.Errorf("a node that is gone: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
		kubelet()
		m := comes(t, c, 2*time.Minute, "w2", report.Joining, "", report.JoinNetwork, "the runtime has no CNI configuration yet")
		if len(m.Findings) > 0 || len(m.Next) != 1 || !strings.Contains(m.Next[0].Command, "nodeinfo w2 --wait-for=healthy") {
			t.Errorf("what is in progress is broken, or is not waited for: %+v, %+v", m.Findings, m.Next)
		}
		network()
		if r := c.Sh(t, m.Next[0].Command); r.Code != 0 {
			t.Errorf("%s: exit %d: %s", m.Next[0].Command, r.Code, r.Stderr)
		}
		comes(t, c, 2*time.Minute, "w2", report.Joined, "", report.JoinReady, "Ready for")
	})
	t.Run("ServingRequest", func(t *testing.T) {
		heal := c.Fault(t, "pending-serving-csr", "w1")
		m := comes(t, c, 4*time.Minute, "w1", report.Incomplete, report.JoinServingCertificate, report.JoinServingCertificate, "waits for approval")
		at := slices.IndexFunc(m.Findings, func(f finding.Finding) bool { return strings.Contains(f.Message, "waits for approval") })
		if at < 0 {
			t.Fatalf("no finding tells of the request: %+v", m.Findings)
		}
		approveAndRecover(t, c, m.Findings[at])
		comes(t, c, 2*time.Minute, "w1", report.Joined, "", report.JoinServingCertificate, "issued: CertificateSigningRequest ")
		heal()
		healthy(t, c, "w1")
	})
	t.Run("RequestAlone", func(t *testing.T) { requestAlone(t, c) })
}

// A machine is known by its request alone: in progress at first, then missing until that is approved, then without a Node.
func requestAlone(t *testing.T, c *harness.Cluster) {
	const name, node = "e2e-join", "w8"
	t.Cleanup(func() { c.Kubectl(t, "delete", "clusterrole,clusterrolebinding", name) })
	c.MustKubectl(t, "create", "clusterrole", name, "--verb=create", "--resource=certificatesigningrequests.certificates.k8s.io")
	c.MustKubectl(t, "create", "clusterrolebinding", name, "--clusterrole="+name, "--user="+name)
	r := c.Kubectl(t, "nodeinfo", "--join", node)
	if r.Code != 1 || !strings.Contains(r.Stdout, "JoinRequestMissing") || !strings.HasSuffix(r.Stderr, "error: node \"w8\" not found\n") {
		t.Errorf("a name of no machine: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	asks(t, c, name, "kube-apiserver-client-kubelet", "client auth", request(t, node, ""), "--as="+name)
	comes(t, c, time.Minute, node, report.Joining, "", report.JoinClientCertificate, name+" waits for approval")
	m := comes(t, c, 3*time.Minute, node, report.Incomplete, report.JoinClientCertificate, report.JoinClientCertificate, name+" waits for approval")
	approveAndRecover(t, c, m.Findings[0])
	harness.Eventually(t, time.Minute, func() (string, bool) {
		r := c.Kubectl(t, "nodeinfo", "--join", node)
		return r.Stdout, r.Code == 0 && strings.Contains(r.Stdout, "NodeNotRegistered")
	})
}
