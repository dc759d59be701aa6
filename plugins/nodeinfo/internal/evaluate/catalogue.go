package evaluate

import (
	"cmp"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// rule is a finding code with the codes that explain it: where one of those is found, this is its consequence.
type rule struct {
	finding.Entry

	consequenceOf []finding.Code
	rank          int // in the order below: the deeper the layer, the earlier it is named
}

// What makes everything else on a node unknown, or follow from it.
var (
	silent  = []finding.Code{KubeletNotReporting, ReadyStale, NeverReported}
	stopped = slices.Concat(silent, []finding.Code{ContainerRuntimeDown, NodeShuttingDown})
	offline = slices.Concat(stopped, []finding.Code{NetworkPluginNotReady, NetworkUnavailable})
	starved = slices.Concat(offline, []finding.Code{DiskPressure, MemoryPressure, PIDPressure, NodeNotReady, NodeJoining})
)

var rules = func() map[finding.Code]rule {
	byCode := map[finding.Code]rule{}
	for i, r := range slices.Concat(healthRules(), clusterRules(), componentRules(), resourceRules(), podRules(), schedulingRules()) {
		r.rank = i
		byCode[r.Code] = r
	}
	return byCode
}()

// sortFindings puts the worst first and, within a severity, the deeper cause.
func sortFindings(list []finding.Finding) {
	finding.Sort(list)
	severities := []finding.Severity{finding.Critical, finding.Warning, finding.Info}
	slices.SortStableFunc(list, func(a, b finding.Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)), cmp.Compare(rules[a.Code].rank, rules[b.Code].rank))
	})
}

// Catalogue is every finding code, sorted.
func Catalogue() []finding.Entry {
	var entries []finding.Entry
	for _, r := range rules {
		entries = append(entries, r.Entry)
	}
	slices.SortFunc(entries, func(a, b finding.Entry) int { return cmp.Compare(a.Code, b.Code) })
	return entries
}
