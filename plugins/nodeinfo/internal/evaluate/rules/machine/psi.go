package machine

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Stalls are evidence for a resource that is short: how long tasks waited for it. By themselves they are no finding: neither Kubernetes
// nor the kernel names a share from which a node is in trouble.
func Stalls(c *subject.Case, resource string) []finding.Evidence {
	if c.Kubelet == nil {
		return nil
	}
	s := c.Kubelet.StallOf(resource)
	if s == nil {
		return nil
	}
	return []finding.Evidence{{
		Source: "kubelet " + c.Object.Name, Path: "/stats/summary " + resource + ".psi",
		Value: fmt.Sprintf("tasks waited for %s: some %.1f%%, all at once %.1f%% of the last 60s", resource, s.Some.Avg60, s.Full.Avg60),
	}}
}
