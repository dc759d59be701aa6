package evaluate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// lately is a cluster in which each kind of change happened, inside and outside of the last hour.
func lately() *Input {
	ago := func(m int) *time.Time { at := noon.Add(-time.Duration(m) * time.Minute); return &at }
	revision := func(n int64, m int) rolloutreport.Revision {
		return rolloutreport.Revision{Number: n, Name: fmt.Sprintf("api-%d", n), CreatedAt: ago(m)}
	}
	current := revision(3, 10)
	warning := func(kind, typ, reason string, m int) event.Event {
		return event.Event{Type: typ, Reason: reason, Message: "m", Count: 3, First: *ago(m + 5), Last: *ago(m), About: corev1.ObjectReference{Kind: kind, Namespace: "shop", Name: "x"}}
	}
	return &Input{
		Nodes: &nodereport.List{Items: []nodereport.Node{{
			Name: "w1", CreatedAt: ago(90), Health: &nodereport.Health{Conditions: []nodereport.Condition{{Type: "Ready", Status: "Unknown", Reason: "NodeStatusUnknown", Since: ago(4)}, {Type: "DiskPressure", Status: "False", Since: ago(4)}}},
			Scheduling: &nodereport.Scheduling{Cordoned: true, CordonedSince: ago(7), CordonedBy: "kubectl"},
		}}},
		DNS: &dnsreport.Status{},
		Rollouts: &rolloutreport.List{Items: []rolloutreport.Rollout{{
			Object: finding.ObjectRef{Kind: "Deployment", Namespace: "shop", Name: "api"}, CreatedAt: ago(600), Revision: &current, History: []rolloutreport.Revision{current, revision(2, 50), revision(1, 600)},
			Changes: &rolloutreport.Diff{Changes: []rolloutreport.Change{{Path: "containers[api].image", Kind: "changed"}}},
		}}},
		Lately: Lately{
			Since: time.Hour, Configs: source.Source{State: source.OK}, EventList: source.Source{State: source.OK},
			Corefiles: []report.Change{{Time: *ago(30), Object: finding.ObjectRef{Kind: "ConfigMap", Namespace: "kube-system", Name: "coredns"}, Kind: report.ChangeCorefile, Message: "Corefile written by kubectl"}},
			Events:    []event.Event{warning("Pod", "Warning", "BackOff", 2), warning("Pod", "Normal", "Pulled", 2), warning("Node", "Normal", "Rebooted", 20), warning("Pod", "Warning", "Old", 70)},
		},
	}
}

func lines(c *report.Changes) []string {
	var list []string
	for _, x := range c.Items {
		list = append(list, fmt.Sprintf("%s %s %s: %s", x.Time.Format("15:04"), x.Kind, x.Object, x.Message))
	}
	return list
}

func TestChangesStandOnOneTimeLine(t *testing.T) {
	c := lately().changes(noon)
	want := []string{
		"11:10 revision Deployment/shop/api: revision 2 (api-2) created",
		"11:30 corefile ConfigMap/kube-system/coredns: Corefile written by kubectl",
		"11:40 event Node/shop/x: Rebooted: m (3 times since 2026-11-20T11:35:00Z)",
		"11:50 revision Deployment/shop/api: revision 3 (api-3) created: changed containers[api].image",
		"11:53 cordoned Node/w1: cordoned by kubectl",
		"11:56 ready Node/w1: Ready became Unknown (NodeStatusUnknown)",
		"11:58 event Pod/shop/x: BackOff: m (3 times since 2026-11-20T11:53:00Z)",
	}
	if d := cmp.Diff(want, lines(c)); d != "" {
		t.Error(d)
	}
	if len(c.Unknown) != 1 || c.LeftOut != 0 {
		t.Errorf("%q, %d left out", c.Unknown, c.LeftOut)
	}
	if in := lately(); in != nil {
		in.Lately.Since = 0
		if in.changes(noon) != nil {
			t.Error("changes that nobody asked for")
		}
	}
}

func TestChangesThatCannotBeReadAreUnknown(t *testing.T) {
	in := lately()
	refused := source.Source{Name: "events", State: source.Forbidden, Verb: "list", Resource: "events"}
	in.Nodes, in.Unread = nil, map[report.Workflow]source.Source{report.Nodes: {State: source.Forbidden, Verb: "list", Resource: "nodes"}}
	in.Lately.EventList, in.Lately.Corefiles = refused, nil
	got := strings.Join(in.changes(noon).Unknown, "\n")
	for _, want := range []string{"changes of nodes: needs list nodes", "events: needs list events", "Corefile edits: no managedFields tell"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	in.Lately.Configs = source.Source{State: source.Forbidden, Verb: "get", Resource: "configmaps"}
	if got := strings.Join(in.changes(noon).Unknown, "\n"); !strings.Contains(got, "Corefile edits: needs get configmaps") {
		t.Error(got)
	}
}

func TestOnlyTheNewestChangesAreListed(t *testing.T) {
	in := lately()
	for i := range 2 * mostChanges {
		e := in.Lately.Events[0]
		e.Message = fmt.Sprint(i)
		in.Lately.Events = append(in.Lately.Events, e)
	}
	if c := in.changes(noon); len(c.Items) != mostChanges || c.LeftOut != mostChanges+7 {
		t.Errorf("%d, %d left out", len(c.Items), c.LeftOut)
	}
}
