package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// ofPods are the findings of nodeinfo about pods for their own sake: not about pods that make the node work, such as kube-proxy, nor
// about a DaemonSet, such as that of an agent, which the node lacks.
var ofPods = []finding.Code{
	"PodCrashLooping", "PodNotStarting", "PodStuckTerminating", "ResourceClaimNotReady", "ClaimedDeviceUnusable", "DeviceUnhealthy",
}

// narrow makes what a node says of pods a finding about those in a namespace; false: none of them is in it.
func narrow(f finding.Finding, namespace string) (finding.Finding, bool) {
	if namespace == "" || !slices.Contains(ofPods, f.Code) || f.Object == nil {
		return f, true
	}
	pods := append([]finding.ObjectRef{*f.Object}, f.Covers...)
	inside := slices.DeleteFunc(slices.Clone(pods), func(o finding.ObjectRef) bool { return o.Namespace != namespace })
	if len(inside) == 0 || len(inside) == len(pods) {
		return f, len(inside) > 0
	}
	var names []string
	for _, o := range inside {
		names = append(names, o.Name)
	}
	f.Object, f.Covers = &inside[0], inside[1:]
	f.Evidence = append(slices.Clone(f.Evidence), finding.Evidence{
		Source: "Pods of namespace " + namespace, Value: fmt.Sprintf("%d of %d: %s", len(inside), len(pods), strings.Join(names, ", ")),
	})
	return f, true
}

// matters says whether a finding of a node explains there what is not about pods of other namespaces alone.
func matters(n *nodereport.Node, code finding.Code, namespace string) bool {
	return slices.ContainsFunc(n.Consequences, func(c finding.Consequence) bool {
		_, inside := narrow(finding.Finding{Code: c.Code, Object: c.Object, Covers: c.Covers}, namespace)
		return c.CausedBy == code && inside
	})
}

// scoped is the verdict on a node without what is left out, which is never critical.
func scoped(n *nodereport.Node, leftOut []*item) nodereport.Verdict {
	left := false
	for _, f := range n.Findings {
		out := slices.ContainsFunc(leftOut, func(i *item) bool {
			return i.Code == f.Code && f.Object != nil && *i.Object == *f.Object
		})
		if !out && f.Severity != finding.Info {
			return n.Verdict
		}
		left = left || out
	}
	switch {
	case !left:
		return n.Verdict
	case strings.HasPrefix(n.Status, "Unknown"): // no kubelet has reported
		return nodereport.Unknown
	}
	return nodereport.Healthy
}

// leftOutText says what is left out of the report; empty: nothing is.
func leftOutText(leftOut []*item, namespace string) string {
	if len(leftOut) == 0 {
		return ""
	}
	var nodes []string
	for _, i := range leftOut {
		if name := i.subjects[0].Object.Name; !slices.Contains(nodes, name) {
			nodes = append(nodes, name)
		}
	}
	where := strings.Join(nodes, ", ")
	if len(nodes) > 3 {
		where = output.Plural(len(nodes), "node")
	}
	return fmt.Sprintf("pods outside namespace %s: %s on %s left out", namespace, output.Plural(len(leftOut), "finding"), where)
}
