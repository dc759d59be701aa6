package collect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/dump"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

var made = time.Date(2025, 3, 2, 10, 0, 0, 0, time.UTC)

func stamp(before time.Duration) string { return made.Add(-before).Format(time.RFC3339) }

// aNode is Ready, by its own words.
func aNode(name string) string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": %q, "creationTimestamp": %q}, "status": {"conditions": [`+
		`{"type": "Ready", "status": "True", "lastHeartbeatTime": %q, "lastTransitionTime": %q}, `+
		`{"type": "KernelDeadlock", "status": "False", "lastHeartbeatTime": %q, "lastTransitionTime": %q}]}}`,
		name, stamp(24*time.Hour), stamp(2*time.Minute), stamp(23*time.Hour), stamp(3*time.Minute), stamp(23*time.Hour))
}

// aLease was renewed by a node's clock, which may be wrong by skew, and by the API server's where that is told.
func aLease(node string, ago, skew time.Duration, told bool) string {
	managed := ""
	if told {
		managed = fmt.Sprintf(`, "managedFields": [{"manager": "kubelet", "operation": "Update", "time": %q, `+
			`"fieldsV1": {"f:spec": {"f:renewTime": {}}}}]`, stamp(ago))
	}
	return fmt.Sprintf(`{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": %q, "namespace": "kube-node-lease"%s}, `+
		`"spec": {"holderIdentity": %q, "leaseDurationSeconds": 40, "renewTime": %q}}`, node, managed, node,
		made.Add(skew-ago).Format("2006-01-02T15:04:05.000000Z"))
}

func aPod(namespace, name, node string) string {
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": %q, "namespace": %q, "creationTimestamp": %q}, `+
		`"spec": {"nodeName": %q, "containers": [{"name": "c", "env": [{"name": "PASSWORD", "value": "hunter2-secret"}]}]}, `+
		`"status": {"phase": "Running"}}`, name, namespace, stamp(time.Hour), node)
}

func list(objects ...string) string {
	return `{"apiVersion": "v1", "kind": "List", "items": [` + strings.Join(objects, ",") + "]}\n"
}

func loaded(t *testing.T, files ...string) evaluate.Input {
	t.Helper()
	var documents []dump.Document
	for _, file := range files {
		more, err := dump.Read([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, more...)
	}
	in, err := Dump(documents)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// The heartbeats of a dump are judged only by one clock: that of the API server, in one reading of nodes and leases.
func TestHeartbeatsOfADump(t *testing.T) {
	const minute = time.Minute
	nodes := []string{aNode("w1"), aNode("w2"), aNode("w3")}
	with := func(leases ...string) string { return list(append(append([]string{}, nodes...), leases...)...) }
	silent := with(aLease("w1", 3*minute, 0, true), aLease("w2", 0, 0, true), aLease("w3", 5*time.Second, 0, true))
	for name, c := range map[string]struct {
		files []string
		why   string // of a heartbeat that is unknown
		bad   string
	}{
		"one stopped":                 {files: []string{silent}, bad: "w1"},
		"one stopped, pods elsewhere": {files: []string{silent, list(aPod("a", "x", "w1"), aPod("b", "y", "w2"))}, bad: "w1"},
		"none stopped":                {files: []string{with(aLease("w1", 0, 0, true), aLease("w2", 9*time.Second, 0, true), aLease("w3", 3*time.Second, 0, true))}},
		"a node's clock is ahead":     {files: []string{with(aLease("w1", 0, 0, true), aLease("w2", 0, 2*time.Second, true), aLease("w3", 3*time.Second, 0, true))}},
		"without the server's times": {
			files: []string{with(aLease("w1", 3*minute, 0, false), aLease("w2", 0, time.Hour, false), aLease("w3", 0, 0, false))},
			why:   "the leases in the dump lack the times of the API server (use kubectl get --show-managed-fields)",
		},
		"one without the server's time": {
			files: []string{with(aLease("w1", 0, 0, true), aLease("w2", 0, 0, false), aLease("w3", 0, 0, true))},
			why:   "the leases in the dump lack the times of the API server (use kubectl get --show-managed-fields)",
		},
		"leases of another reading": {
			files: []string{list(nodes...), list(aLease("w1", 0, 0, true), aLease("w2", 5*minute, 0, true))},
			why:   "nodes and leases were not dumped by one command, and no time is known of both",
		},
		"leases of two readings": {
			files: []string{with(aLease("w1", 5*minute, 0, true)), list(aLease("w2", 0, 0, true), aLease("w3", 0, 0, true))},
			why:   "nodes and leases were not dumped by one command, and no time is known of both",
		},
		"no leases": {files: []string{list(nodes...)}, why: "the dump contains no leases"},
		"single objects": {
			files: nodes, why: "the dump contains no leases",
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := loaded(t, c.files...)
			if got := in.Sources.Get(evaluate.SourceLeases).Reason(); got != c.why {
				t.Errorf("leases: %q", got)
			}
			if in.Now.After(made) {
				t.Errorf("judged as of %s, after the dump was made", in.Now)
			}
			for _, n := range evaluate.Evaluate(in, in.Now, evaluate.Options{}).Items {
				if bad := n.Verdict != report.Healthy; bad != (n.Name == c.bad) {
					t.Errorf("%s is %s: %s", n.Name, n.Verdict, n.Summary)
				}
				if h := n.Health.Heartbeat; c.why != "" && h != nil && h.AgeSeconds != nil {
					t.Errorf("%s: heartbeat %d s ago", n.Name, *h.AgeSeconds)
				}
			}
		})
	}
}

// Objects of one namespace do not tell what runs on a node.
func TestADumpOfOneNamespace(t *testing.T) {
	for name, c := range map[string]struct{ file, pods, events string }{
		"all":  {list(aNode("w1"), aPod("a", "x", "w1"), aPod("b", "y", "w1")), "", "the dump contains no events"},
		"one":  {list(aNode("w1"), aPod("a", "x", "w1")), "the pods in the dump are of one namespace only (use kubectl get -A)", "the dump contains no events"},
		"none": {list(aNode("w1")), "the dump contains no pods", "the dump contains no events"},
		"pods of one, leases of another, both by -A": {list(aNode("w1"), aPod("a", "x", "w1"), aLease("w1", 0, 0, true)), "", "the dump contains no events"},
		"a pod": {aNode("w1") + "\n---\n" + aPod("a", "x", "w1"), "the pods in the dump are of one namespace only (use kubectl get -A)", "the dump contains no events"},
		"events of nodes": {
			list(aNode("w1"), `{"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"kind": "Node", "name": "w1"}}`),
			"the dump contains no pods", "",
		},
		"an event": {
			aNode("w1") + "\n---\n" + `{"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}}`,
			"the dump contains no pods", "the dump has only some events",
		},
		"events of others": {
			list(aNode("w1"), `{"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}}`),
			"the dump contains no pods", "the dump has only some events",
		},
	} {
		in := loaded(t, c.file)
		if pods, events := in.Sources.Get(evaluate.SourcePods).Reason(), in.Sources.Get(evaluate.SourceEvents).Reason(); pods != c.pods || events != c.events {
			t.Errorf("%s: %q, %q", name, pods, events)
		}
		if notes := strings.Join(Judged(&in), "\n"); c.pods != "" && !strings.Contains(notes, c.pods) {
			t.Errorf("%s: %s", name, notes)
		}
	}
}

func TestADumpKeepsNoSecrets(t *testing.T) {
	const secret = `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "a"}, "stringData": {"key": "hunter2-secret"}}`
	in := loaded(t, list(aNode("w1"), secret, aPod("a", "x", "w1"), aPod("b", "y", "w1"), aPod("b", "y", "w1")))
	text, err := json.Marshal(in)
	if err != nil || strings.Contains(string(text), "hunter2") {
		t.Error(err, string(text))
	}
	if len(in.Pods) != 2 {
		t.Errorf("%d pods: one is there twice", len(in.Pods))
	}
}

func TestADumpWithoutNodes(t *testing.T) {
	documents, err := dump.Read([]byte(list(aPod("a", "x", "w1"))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Dump(documents); err == nil || err.Error() != "the dump contains no nodes" {
		t.Error(err)
	}
}
