package render

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// triage is a report with several causes, one of which explains others.
func triage(more int) *report.Triage {
	began := now.Add(-77 * time.Second)
	node := finding.ObjectRef{Kind: "Node", Name: "w1"}
	deployment := func(ns string) report.Subject {
		return report.Subject{Object: finding.ObjectRef{Kind: "Deployment", Namespace: ns, Name: "api"}, Verdict: "Stuck"}
	}
	t := &report.Triage{
		Kind: report.Kind, Verdict: report.Unhealthy, Summary: "the kubelet has not reported for 77s (and 1 more cause)", Time: now,
		Causes: []report.Cause{{
			Finding: finding.Finding{
				Code: "KubeletNotReporting", Severity: finding.Critical, Title: "Kubelet is not reporting", Message: "the kubelet has not reported for 77s", Object: &node,
				Evidence: []finding.Evidence{{Source: "Node", Path: "status.conditions[Ready]", Value: "Unknown"}},
				Next:     []finding.Next{{Command: "kubectl nodeinfo w1", Why: "Read the full report on the node", Risk: finding.Read}},
			},
			Workflow: report.Nodes, Subjects: []report.Subject{{Object: node, Verdict: "Unhealthy"}}, Began: &began, ExplainsSummary: "1 rollout, 1 DNS replica",
			Explains: []report.Effect{
				{Workflow: report.DNS, Subject: report.Subject{Object: report.ClusterDNS, Verdict: "Degraded"}, Object: finding.ObjectRef{Kind: "Pod", Namespace: "kube-system", Name: "c1"}, Code: "ReplicaNotReady", CausedBy: "KubeletNotReporting", Message: "DNS pod c1 is not ready"},
				{Workflow: report.Rollouts, Subject: deployment("shop"), Object: finding.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "api-1"}, Code: "NodeNotReady", CausedBy: "KubeletNotReporting", Message: "pod api-1: node w1 is not ready"},
			},
		}},
		Workflows: []report.Result{
			{Workflow: report.Nodes, Verdict: "Unhealthy", Healthy: "2 of 3 nodes Healthy", Command: "kubectl nodeinfo"},
			{Workflow: report.DNS, Verdict: "Degraded", Healthy: "cluster DNS: 1 of 2 replicas answered; 5 checks passed", Command: "kubectl dns check"},
			{Workflow: report.Rollouts, Verdict: "Unknown", Unread: "needs list deployments.apps", Command: "kubectl rollout-explain -A"},
		},
		Notes: []string{"3 of 3 nodes stopped reporting"}, NotChecked: []string{"nodes: events: read for named nodes only"},
		Sources: source.List{{Name: "rollout-explain: the workflow", State: source.Forbidden, Verb: "list", Resource: "deployments.apps"}},
	}
	for i := range more {
		c := report.Cause{
			Finding: finding.Finding{Code: "ContainerCrashing", Severity: finding.Warning, Message: fmt.Sprintf("container \"c%d\" crashes", i)}, Workflow: report.Rollouts,
			Subjects: []report.Subject{deployment("a"), deployment("b"), deployment("c"), deployment("d")}, Log: &report.Log{Pod: "p", Container: "c", Lines: []string{"\x1b[31mno config"}},
			ExplainsSummary: "4 rollouts in 4 namespaces",
		}
		t.Causes = append(t.Causes, c)
	}
	return t
}

func text(t *testing.T, r *report.Triage, o Options) string {
	t.Helper()
	var b strings.Builder
	if err := Triage(&b, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	healthy := &report.Triage{Verdict: report.Healthy, Summary: "no workflow found a problem", Time: now}
	for name, got := range map[string]string{
		"healthy": text(t, healthy, Options{}), "causes": text(t, triage(1), Options{}), "wide": text(t, triage(1), Options{Wide: true}),
		"many": text(t, triage(7), Options{}), "narrow": text(t, triage(1), Options{Terminal: output.Terminal{TTY: true, Width: 60}}),
	} {
		testkit.CheckText(t, name, got)
		testkit.Golden(t, name+".txt", got)
	}
}

func TestChanges(t *testing.T) {
	r := triage(0)
	r.Changes = &report.Changes{
		Since: now.Add(-time.Hour), LeftOut: 2, Unknown: []string{"events: needs list events"},
		Items: []report.Change{{Time: now.Add(-time.Minute), Object: finding.ObjectRef{Kind: "Node", Name: "w1"}, Kind: report.ChangeReady, Message: "Ready became Unknown (NodeStatusUnknown)"}},
	}
	long := strings.Repeat("0123456789", 40)
	r.Changes.Items = append(r.Changes.Items, report.Change{Time: now, Object: finding.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "api"}, Kind: report.ChangeEvent, Message: "Failed: " + long})
	if wide := text(t, r, Options{Wide: true}); !strings.Contains(wide, long) {
		t.Errorf("-o wide cuts: %s", wide)
	}
	got := text(t, r, Options{})
	testkit.CheckText(t, "changes", got)
	testkit.Golden(t, "changes.txt", got)
	var b strings.Builder
	if err := publish.Print(&b, output.Markdown, Published(r), publish.Options{}); err != nil || !strings.Contains(b.String(), "Ready became Unknown") || !strings.Contains(b.String(), "unknown: events: needs list events") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestWhatIsLeftOutIsPublished(t *testing.T) {
	r := triage(1)
	r.Workflows = []report.Result{{Workflow: report.Nodes, Verdict: "Healthy", LeftOut: "pods outside namespace pay: 1 finding on w2 left out"}}
	if got := Published(r).Subjects[0].NotChecked; !slices.Contains(got, r.Workflows[0].LeftOut) {
		t.Errorf("%q", got)
	}
}

func TestOtherTools(t *testing.T) {
	p := testkit.ReadPublished(t, "", func(format string) string {
		var b strings.Builder
		if err := publish.Print(&b, output.FormatKind(format), Published(triage(1)), publish.Options{RequireComplete: true}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	})
	for want, value := range map[string]float64{
		"verdict runbooks Workflow  nodeinfo Unhealthy": 1, "findings runbooks Workflow  nodeinfo KubeletNotReporting critical": 1,
	} {
		if got := p.Values[want]; got != value {
			t.Errorf("%q is %v; there are %v", want, got, p.Values)
		}
	}
	if s := p.JUnit.Suites[0]; len(s.Cases) != 3 || s.Failures != 1 || s.Errors != 1 {
		t.Errorf("%d cases, %d failures, %d errors", len(s.Cases), s.Failures, s.Errors)
	}
}
