package evaluate

import (
	"slices"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func TestANamedNodeIsMissingOnlyWhereEveryClusterLacksIt(t *testing.T) {
	a := report.List{NotFound: []string{"w1", "w9"}, CommonCauses: []string{"3 of 4 nodes fell silent"}}
	b := report.List{NotFound: []string{"w9"}, Items: []report.Node{{Name: "w1", Verdict: report.Healthy}}}
	for _, order := range [][]Cluster{{{Context: "a", List: a}, {Context: "b", List: b}}, {{Context: "b", List: b}, {Context: "a", List: a}}} {
		list := Join(order)
		if !slices.Equal(list.NotFound, []string{"w9"}) {
			t.Errorf("missing: %v", list.NotFound)
		}
		if !slices.Equal(list.CommonCauses, []string{"a: 3 of 4 nodes fell silent"}) {
			t.Errorf("shared: %v", list.CommonCauses)
		}
		if list.Items[0].Context != "b" || list.Summary != "1 node in 2 clusters: 1 Healthy" {
			t.Errorf("%s: %+v", list.Summary, list.Items)
		}
	}
	// A cluster that could not be asked may have the node.
	list := Join([]Cluster{{Context: "a", List: a}, {Context: "c", Unread: &source.Source{Name: "c", State: source.Unreachable}}})
	if len(list.NotFound) != 0 || list.Summary != "no nodes in 1 cluster; 1 cluster not read" || !list.Sources.Incomplete() {
		t.Errorf("missing %v, %s, %v", list.NotFound, list.Summary, list.Sources)
	}
}
