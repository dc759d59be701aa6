package testkit

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

func step(command, why string) finding.Next {
	return finding.Next{Command: command, Why: why, Risk: finding.Read}
}

func planted(command string, evidence []finding.Evidence, steps ...finding.Next) Report {
	return Report{Fixture: "planted", Command: command, Findings: []finding.Finding{{Code: "X", Evidence: evidence, Next: steps}}}
}

func TestAStepThatLeadsBackIsFound(t *testing.T) {
	check := planted("kubectl dns check", nil, step("kubectl dns verify -A --at coredns-a", "Compare every name with the API"))
	verify := planted("kubectl dns verify -A", nil, step("kubectl dns check", "Check whether the pods receive changes"))
	further := planted("kubectl dns verify -A", nil, step("kubectl dns check --from web -n shop", "Query from the pod"))
	for _, tt := range []struct {
		name    string
		reports []Report
		want    string // a word of the complaint; empty: none
	}{
		{"to itself", []Report{planted("kubectl dns upstream", nil, step("kubectl dns upstream", "List the upstreams"))}, "itself"},
		{"to itself, with a context", []Report{planted("kubectl dns pod web -n shop", nil, step("kubectl dns pod web -n shop --context=prod", "Read resolv.conf"))}, "itself"},
		{"after a time", []Report{planted("kubectl nodeinfo w1", nil, step("kubectl nodeinfo w1", "Check again in 30 seconds"))}, ""},
		{"with a further flag", []Report{planted("kubectl nodeinfo w1", nil, step("kubectl nodeinfo w1 --kubelet", "Show what the kubelet reports"))}, ""},
		{"by another report", []Report{check, verify}, "and back"},
		{"by another report of another fixture", []Report{check, {Fixture: "other", Command: verify.Command, Findings: verify.Findings}}, ""},
		{"to another question", []Report{check, further}, ""},
		{"up to another plugin", []Report{planted("kubectl nodeinfo w1", nil, step("kubectl rollout-explain deployment/api -n shop", "Explain the rollout"))}, "leads up"},
		{"down to another plugin", []Report{planted("kubectl rollout-explain deployment/api -n shop", nil, step("kubectl nodeinfo w1", "Check the node"))}, ""},
		{"to a command on the node", []Report{planted("kubectl nodeinfo w1", nil, step("kubectl nodeshell w1 -- dmesg", "Read the log of the kernel"))}, ""},
	} {
		got := strings.Join(Loops(tt.reports), "\n")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAStepThatRepeatsIsFound(t *testing.T) {
	pod := func(path, value string) []finding.Evidence {
		return []finding.Evidence{{Source: "Pod api-x", Path: path, Value: value}}
	}
	lease := func(value string) []finding.Evidence {
		return []finding.Evidence{{Source: "Lease kube-node-lease/w1", Path: "spec.renewTime", Value: value}}
	}
	describe := "kubectl describe pod api-x -n shop"
	for _, tt := range []struct {
		name     string
		evidence []finding.Evidence
		step     finding.Next
		repeats  bool
	}{
		{"the error of an event", []finding.Evidence{{Source: "Event", Path: "Failed", Value: "pull access denied"}}, step(describe, "Read the pull error"), true},
		{"the error that a container waits with", pod("status.containerStatuses[api].state.waiting", "InvalidImageName: no such form"), step(describe, "Read the error in full"), true},
		{"an error that is not quoted", pod("status", "Running"), step(describe, "Read the error of the container"), false},
		{"another purpose", pod("status.conditions[PodScheduled]", "0/2 nodes are available"), step(describe, "Read the requests of the pod"), false},
		{"another pod", pod("status.conditions[Ready]", "not ready yet"), step("kubectl describe pod other -n shop", "Read the error of the pod"), false},
		{"a field", pod("metadata.finalizers", "example.com/hold"), step("kubectl get pod api-x -o 'jsonpath={.metadata.finalizers}' -n shop", "Read the finalizers"), true},
		{"another field", pod("metadata.finalizers", "example.com/hold"), step("kubectl get pod api-x -o 'jsonpath={.metadata.ownerReferences}' -n shop", "Read the owner"), false},
		{"a Lease", []finding.Evidence{{Source: "Lease kube-system/kube-scheduler", Path: "spec.renewTime", Value: "5m ago"}}, step("kubectl get lease kube-scheduler -o yaml -n kube-system", "Check whether kube-scheduler is running"), true},
		{"a raw call", []finding.Evidence{{Source: "API server", Path: "/readyz", Value: "failed: etcd"}}, step("kubectl get --raw '/readyz?verbose'", "Show the checks"), true},
		{"a raw call to the kubelet", []finding.Evidence{{Source: "kubelet w1", Path: "/healthz", Value: "ok"}}, step("kubectl get --raw /api/v1/nodes/w1/proxy/healthz", "Query the kubelet"), true},
		{"a raw call of which nothing is known", lease("renewed 3s ago, valid for 40s"), step("kubectl get --raw /api/v1/nodes/w1/proxy/healthz", "Query the kubelet"), false},
		{"whether a kubelet runs that answered", []finding.Evidence{{Source: "kubelet w1", Path: "/healthz", Value: "ok"}}, step("systemctl status kubelet", "On the node, check the kubelet and read its log"), true},
		{"whether a kubelet runs that renews its Lease", lease("renewed 3s ago, valid for 40s"), step("kubectl nodeinfo w1", "Check whether the kubelet is running"), true},
		{"whether a kubelet runs that is late", lease("renewed 47s ago, valid for 40s"), step("kubectl nodeinfo w1", "Check whether the kubelet is running"), false},
		{"whether a kubelet runs that has stopped", lease("renewed 3m20s ago, valid for 40s"), step("systemctl status kubelet", "On the node, check the kubelet and read its log"), false},
		{"events that were read", nil, step("kubectl get events --field-selector involvedObject.kind=Node,involvedObject.name=w1 -n default", "List the events of the node"), true},
		{"events of another node", nil, step("kubectl get events --field-selector involvedObject.kind=Node,involvedObject.name=w2 -n default", "List the events of the node"), false},
		{"events of a workload that were read", nil, step("kubectl describe deployment/api -n shop", "Read the events of the object"), true},
	} {
		r := planted("kubectl nodeinfo w1", tt.evidence, tt.step)
		r.Findings[0].Object = &finding.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "api-x"}
		r.Events = []string{"node/w1", "deployment/api"}
		if got := Repeats(r); (len(got) > 0) != tt.repeats {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.repeats)
		}
	}
	twice := step("kubectl get pvc -n shop", "List the claims")
	if got := Repeats(planted("kubectl nodeinfo w1", nil, twice, twice)); len(got) != 1 {
		t.Errorf("one command twice: %v", got)
	}
}

func TestAFindingOfTheWrongFormIsFound(t *testing.T) {
	good := func() finding.Finding {
		return finding.Finding{
			Code: "NodeNotReady", Title: "Node is not ready", Message: "the kubelet of node w1 has not reported for 45s",
			Next: []finding.Next{{Command: "kubectl nodeinfo w1", Why: "Check the node", Answers: []string{`"ok": the kubelet is running`}, Risk: finding.Read}},
		}
	}
	catalog := []finding.Entry{{Code: "NodeNotReady", Title: "Node is not ready"}}
	for name, change := range map[string]func(*finding.Finding){
		"an unknown code":             func(f *finding.Finding) { f.Code = "NodeDown" },
		"another title":               func(f *finding.Finding) { f.Title = "Node is down" },
		"no message":                  func(f *finding.Finding) { f.Message = "" },
		"a period":                    func(f *finding.Finding) { f.Message += "." },
		"a question":                  func(f *finding.Finding) { f.Message += "?" },
		"two lines":                   func(f *finding.Finding) { f.Message += "\nmore" },
		"a long message":              func(f *finding.Finding) { f.Message = strings.Repeat("long ", 50) + "x" },
		"a code that does not exist":  func(f *finding.Finding) { f.Message += ", see KubeletNotResponding" },
		"a purpose in lower case":     func(f *finding.Finding) { f.Next[0].Why = "check the node" },
		"a purpose with a period":     func(f *finding.Finding) { f.Next[0].Why += "." },
		"a question as a purpose":     func(f *finding.Finding) { f.Next[0].Why = "Is the node up?" },
		"a long purpose":              func(f *finding.Finding) { f.Next[0].Why = "Check " + strings.Repeat("long ", 20) },
		"an answer without a meaning": func(f *finding.Finding) { f.Next[0].Answers = []string{"ok"} },
		"a command that is not kubectl's and not said to be": func(f *finding.Finding) { f.Next[0].Command = "systemctl status kubelet" },
		"no risk": func(f *finding.Finding) { f.Next[0].Risk = "" },
	} {
		f := good()
		change(&f)
		if got := Misworded(f, catalog, false); len(got) != 1 {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, change := range map[string]func(*finding.Finding){
		"as it is": func(*finding.Finding) {},
		"a foreign text's period": func(f *finding.Finding) {
			f.Message = "denied: No entry."
			f.Evidence = []finding.Evidence{{Value: "No entry."}}
		},
		"a foreign word": func(f *finding.Finding) {
			f.Message = "PodLimitExceeded"
			f.Evidence = []finding.Evidence{{Value: "PodLimitExceeded"}}
		},
		"a command of the node": func(f *finding.Finding) {
			f.Next[0].Command, f.Next[0].Why = "dmesg", "On the node, read the log of the kernel"
		},
		"a change":                  func(f *finding.Finding) { f.Next[0].Risk = finding.Change },
		"a message as long as most": func(f *finding.Finding) { f.Message = strings.Repeat("long", 50) },
	} {
		f := good()
		change(&f)
		if got := Misworded(f, catalog, false); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAChangeThatNobodyExecutesIsFound(t *testing.T) {
	change := func(code finding.Code, command string) Report {
		return Report{Findings: []finding.Finding{{Code: code, Next: []finding.Next{{Command: command, Risk: finding.Change}}}}}
	}
	const tests = "func TestHelp(t *testing.T) {\n\troot: \"A\",\n\troot: \"B\",\n"
	for _, tt := range []struct {
		name    string
		changes Changes
		reports []Report
		want    string
	}{
		{"executed", Changes{Executed: map[finding.Code]string{"A": "TestHelp"}}, []Report{change("A", "kubectl uncordon w1")}, ""},
		{"with a reason", Changes{Reasons: map[finding.Code]string{"C": "needs a cloud"}}, []Report{change("C", "kubectl uncordon w1")}, ""},
		{"an editor", Changes{}, []Report{change("A", "kubectl edit configmap coredns")}, ""},
		{"neither", Changes{}, []Report{change("A", "kubectl uncordon w1")}, "no reason"},
		{"a test that is gone", Changes{Executed: map[finding.Code]string{"A": "TestGone"}}, []Report{change("A", "kubectl uncordon w1")}, "no end-to-end test TestGone"},
		{"a test of other codes", Changes{Executed: map[finding.Code]string{"C": "TestHelp"}}, []Report{change("C", "kubectl uncordon w1")}, "names the code"},
		{"a code that changes nothing", Changes{Executed: map[finding.Code]string{"B": "TestHelp"}}, nil, "changes anything"},
		{"a reason for nothing", Changes{Reasons: map[finding.Code]string{"B": "needs a cloud"}}, nil, "needs no reason"},
	} {
		got := strings.Join(tt.changes.complaints(tt.reports, tests), "\n")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestAFlagThatGetsLostIsFound(t *testing.T) {
	for command, want := range map[string]bool{
		"kubectl get pods --as=jane": true, "kubectl nodeshell w1 --as=jane -- ls": true, "dmesg": true,
		"kubectl get pods": false, "kubectl nodeshell w1 -- kubectl get pods --as=jane": false, "kubectl get pods --as=janet": false,
	} {
		if carried(command) != want {
			t.Errorf("%s: %v", command, !want)
		}
	}
}
