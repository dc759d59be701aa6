// Package controlplanes holds end-to-end tests on a cluster with a control plane of three nodes: each has an API server with an
// etcd member of its own, and a load balancer that asks /readyz stands in front of them.
package controlplanes

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

func cluster(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "controlplanes", 1, "--control-planes", "3")
}

// want is what the report of one node must say, and what is folded into it.
type want struct {
	node     string
	code     finding.Code // the one finding; empty: the node is healthy
	text     string       // in its message
	explains []finding.Code
	flags    []string
	before   bool // it is as it was before the test, and no row of its table
}

// known are true of this kind of cluster, and for information alone.
var known = []finding.Code{"CgroupV1", "WarningEvents"}

func becomes(t *testing.T, c *harness.Cluster, limit time.Duration, w want) {
	t.Helper()
	var n report.Node
	harness.Eventually(t, limit, func() (string, bool) {
		r := c.Plugin(t, "nodeinfo", append([]string{w.node, "-o", "json", "--timeout=40s"}, w.flags...)...)
		var list report.List
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil || len(list.Items) != 1 {
			return r.Stdout + r.Stderr, false
		}
		n = list.Items[0]
		n.Findings = slices.DeleteFunc(n.Findings, func(f finding.Finding) bool { return slices.Contains(known, f.Code) })
		var folded []finding.Code
		for _, f := range n.Consequences {
			folded = append(folded, f.Code)
		}
		ok := len(n.Findings) == 0 && w.code == "" && n.Verdict == report.Healthy
		if len(n.Findings) == 1 {
			f := n.Findings[0]
			ok = f.Code == w.code && f.Severity == finding.Critical && strings.Contains(f.Message, w.text)
		}
		for _, code := range w.explains {
			ok = ok && slices.Contains(folded, code)
		}
		return r.Stdout, ok
	})
	for _, f := range n.Findings {
		var steps []harness.Step
		for _, next := range f.Next {
			steps = append(steps, harness.Step{Command: next.Command, Why: next.Why, Risk: string(next.Risk)})
		}
		for _, dead := range c.Follow(t, steps, nil) {
			t.Errorf("a next command of %s leads nowhere: %s", f.Code, dead)
		}
	}
	if !w.before {
		c.Settle(t, cmp.Or(string(w.code), string(report.Healthy)), n.Summary, append([]string{"nodeinfo", w.node}, w.flags...)...)
	}
}

func healthy(t *testing.T, c *harness.Cluster) {
	t.Helper()
	for _, node := range []string{"cp1", "cp2", "cp3", "w1"} {
		becomes(t, c, 4*time.Minute, want{node: node, before: true})
	}
}

func TestAHealthyControlPlaneOfThree(t *testing.T) {
	c := cluster(t)
	for _, node := range []string{"cp1", "cp2", "cp3", "w1"} {
		becomes(t, c, 4*time.Minute, want{node: node})
	}
	if r := c.Kubectl(t, "dns", "check"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "Healthy") {
		t.Errorf("dns check: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := c.Kubectl(t, "rollout-explain", "-n", "kube-system", "--fail-on=warning"); r.Code != 0 {
		t.Errorf("rollout-explain: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := c.Kubectl(t, "nodeshell", "cp3", "--no-pull", "--", "cat", "/etc/hostname"); r.Code != 0 || strings.TrimSpace(r.Stdout) != "cp3" {
		t.Errorf("nodeshell: exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// The API server next to a lost etcd member is not ready, and the kubelet there uses it: the node falls silent, though nothing is
// wrong with its machine.
func TestALostEtcdMember(t *testing.T) {
	c := cluster(t)
	healthy(t, c)
	heal := c.Fault(t, "stop-etcd", "cp2")
	lost := want{node: "cp2", code: "LocalAPIServerNotReady", text: "has lost its etcd (etcd"}
	becomes(t, c, time.Minute, lost)
	lost.explains = []finding.Code{"KubeletNotReporting", "LocalAPIServerNotReporting"}
	becomes(t, c, 3*time.Minute, lost)
	becomes(t, c, time.Minute, want{node: "cp1"})
	becomes(t, c, time.Minute, want{node: "w1"})
	// Who may not ask the pod has the Leases alone: whether the machine is gone is not known to him.
	becomes(t, c, time.Minute, want{
		node: "cp2", code: "KubeletNotReporting", explains: []finding.Code{"LocalAPIServerNotReporting"}, flags: as(t, c),
	})
	heal()
	healthy(t, c)
}

func TestALostAPIServer(t *testing.T) {
	c := cluster(t)
	healthy(t, c)
	heal := c.Fault(t, "stop-apiserver", "cp3")
	becomes(t, c, 2*time.Minute, want{node: "cp3", code: "LocalAPIServerNotReady", text: "does not run (connection refused)"})
	becomes(t, c, time.Minute, want{node: "cp1"})
	heal()
	healthy(t, c)
}

// The printed command removes the etcd member of a node, and no other. The member joins again afterwards.
func TestARemovedMember(t *testing.T) {
	c := cluster(t)
	healthy(t, c)
	address := func(node string) string {
		return strings.TrimSpace(c.MustKubectl(t, "get", "node", node, "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`))
	}
	first, ip := address("cp1"), address("cp3") // the balancer may still choose the API server that has no etcd, once a member is removed
	var d report.Drain
	if r := c.Kubectl(t, "nodeinfo", "--remove", "cp3", "-o", "json"); json.Unmarshal([]byte(r.Stdout), &d) != nil || d.Removal == nil || d.Removal.Etcd == nil {
		t.Fatalf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	at := slices.IndexFunc(d.Findings, func(f finding.Finding) bool { return f.Code == "RemoveEtcdMember" })
	if e := d.Removal.Etcd; at < 0 || d.Verdict != report.Risky || *e != (report.EtcdMember{Name: "cp3", Members: 3, Ready: 2, Quorum: 2}) {
		t.Fatalf("%s %+v: %s", d.Verdict, e, d.Summary)
	}
	var steps []harness.Step
	remove := ""
	for _, next := range slices.Concat(d.Findings[at].Next, d.Removal.Steps) {
		steps = append(steps, harness.Step{Command: next.Command, Why: next.Why, Risk: string(next.Risk)})
		if strings.Contains(next.Command, " member remove ") {
			remove = next.Command
		}
	}
	for _, dead := range c.Follow(t, steps, nil, harness.Marker{Command: "endpoint status", Shows: "(?s)2379.*2379.*2379"}) {
		t.Errorf("a command leads nowhere: %s", dead)
	}
	if r := c.Sh(t, remove); r.Code != 0 || !strings.Contains(r.Stdout, "removed from cluster") {
		t.Fatalf("%s: exit %d: %s%s", remove, r.Code, r.Stdout, r.Stderr)
	}
	ask, _, _ := strings.Cut(strings.Replace(remove, "kubectl ", "kubectl --server=https://"+first+":6443 ", 1), " member remove ")
	heal := c.Fault(t, "stop-etcd", "cp3")
	harness.Eventually(t, time.Minute, func() (string, bool) {
		r := c.Sh(t, ask+" member list")
		ok := strings.Contains(r.Stdout, ", cp1, ") && strings.Contains(r.Stdout, ", cp2, ") && !strings.Contains(r.Stdout, "cp3")
		return r.Stdout + r.Stderr, ok
	})
	c.OnNode(t, "cp3", "rm", "-rf", "/var/lib/etcd/member")
	added := c.Sh(t, ask+" member add cp3 --peer-urls=https://"+ip+":2380")
	_, members, _ := strings.Cut(added.Stdout, "ETCD_INITIAL_CLUSTER=\"") // its manifest has those of the time when the node joined
	members, _, found := strings.Cut(members, "\"")
	if !found {
		t.Fatalf("the member is not back: %s%s", added.Stdout, added.Stderr)
	}
	c.OnNode(t, "cp3", "sed", "-i", "s#--initial-cluster=.*#--initial-cluster="+members+"#", "/etc/kubernetes/removed-manifests/etcd.yaml")
	heal()
	healthy(t, c)
}

// A machine that is gone is the cause, and its API server what follows.
func TestALostMachine(t *testing.T) {
	c := cluster(t)
	healthy(t, c)
	heal := c.Fault(t, "unplug", "cp3")
	becomes(t, c, 3*time.Minute, want{node: "cp3", code: "KubeletNotReporting", explains: []finding.Code{"LocalAPIServerNotReporting"}})
	heal()
	healthy(t, c)
}

// Without a quorum nothing is stored, and what is read is old: that is said, or that it could not be read, and never that all is
// well.
func TestALostQuorum(t *testing.T) {
	c := cluster(t)
	healthy(t, c)
	healFirst, healSecond := c.Fault(t, "stop-etcd", "cp2"), c.Fault(t, "stop-etcd", "cp3")
	time.Sleep(45 * time.Second) // a Lease is valid for 40 s
	for _, line := range []string{"nodeinfo", "nodeinfo w1", "nodeinfo cp1", "dns check", "rollout-explain -n kube-system"} {
		args := strings.Fields(line)
		r := c.Kubectl(t, append(args, "--timeout=40s")...)
		text := r.Stdout + r.Stderr
		told := slices.ContainsFunc([]string{"HeartbeatLate", "KubeletNotReporting", "APIWritesStopped", "ReadyConditionStale", "Not checked"},
			func(word string) bool { return strings.Contains(text, word) })
		// An API server that starts again without etcd has no object, and knows no permission of anybody: that is no lack of one.
		failed := (r.Code == 1 || r.Code == 5) && slices.ContainsFunc([]string{"did not respond in time", "has not read this from etcd", "has not read its roles from etcd"},
			func(words string) bool { return strings.Contains(r.Stderr, words) })
		if !failed && !told || strings.Contains(text, "not allowed") || strings.Contains(text, "needs list ") || strings.HasPrefix(r.Stdout, "Healthy") {
			t.Errorf("%v: exit %d: %s", args, r.Code, text)
		}
		first, _, _ := strings.Cut(text, "\n")
		c.Settle(t, "what could not be read or is old", first, args...)
	}
	healSecond()
	healFirst()
	healthy(t, c)
}

// as makes a user who may read what the published role lets him, and gives the flags to be him.
func as(t *testing.T, c *harness.Cluster) []string {
	t.Helper()
	r := c.Kubectl(t, "nodeinfo", "--rbac-manifest=full")
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	c.Apply(t, r.Stdout)
	t.Cleanup(func() { c.Sh(t, "kubectl nodeinfo --rbac-manifest=full | kubectl delete -f - --ignore-not-found") })
	c.MustKubectl(t, "create", "clusterrolebinding", "e2e-reader", "--clusterrole="+roleOf(r.Stdout), "--user=reader")
	t.Cleanup(func() { c.Kubectl(t, "delete", "clusterrolebinding", "e2e-reader") })
	return []string{"--as=reader"}
}

// roleOf is the name of the ClusterRole in a manifest.
func roleOf(manifest string) string {
	for _, document := range strings.Split(manifest, "---\n") {
		if _, rest, found := strings.Cut(document, "kind: ClusterRole\n"); found {
			_, name, _ := strings.Cut(rest, "name: ")
			name, _, _ = strings.Cut(name, "\n")
			return name
		}
	}
	return ""
}
