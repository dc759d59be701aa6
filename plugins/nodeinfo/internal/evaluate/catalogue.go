package evaluate

import (
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// rule is a finding code with the codes that explain it: where one of those is found, this is its consequence.
type rule struct {
	finding.Entry

	consequenceOf []string
}

// What makes everything else on a node unknown, or follow from it.
var (
	silent  = []string{KubeletNotReporting, ReadyStale, NeverReported}
	stopped = slices.Concat(silent, []string{ContainerRuntimeDown, NodeShuttingDown})
	offline = slices.Concat(stopped, []string{NetworkPluginNotReady, NetworkUnavailable})
	starved = slices.Concat(offline, []string{DiskPressure, MemoryPressure, PIDPressure, NodeNotReady, NodeJoining})
)

var rules = func() map[string]rule {
	byCode := map[string]rule{}
	for _, r := range slices.Concat(healthRules(), componentRules(), resourceRules(), schedulingRules(), podRules(), clusterRules()) {
		byCode[r.Code] = r
	}
	return byCode
}()

// Catalogue is every finding code, sorted.
func Catalogue() []finding.Entry {
	var entries []finding.Entry
	for _, r := range rules {
		entries = append(entries, r.Entry)
	}
	slices.SortFunc(entries, func(a, b finding.Entry) int { return strings.Compare(a.Code, b.Code) })
	return entries
}
