package sections

import (
	"cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Versions of the kubelet from which a silence of it means something.
const (
	noSwapByDefault = 30 // before, containers may use swap by default where the feature is on
	tellsSwap       = 34 // the Node has the size of the swap, if there is any
)

// swap is nil where nothing is known of it. A node without a size of it has none, if its kubelet would tell.
// https://kubernetes.io/docs/concepts/cluster-administration/swap-memory-management/
func swap(n *facts.Node) *report.Swap {
	out, minor := &report.Swap{}, 0
	if v := n.Components.Kubelet; v.Known {
		minor = v.Minor
	}
	if s := n.Object.Status.NodeInfo.Swap; s != nil {
		out.Capacity = s.Capacity
	}
	if k := n.Kubelet; k != nil && k.Measured {
		if k.Swap != nil {
			out.Used, out.Available = signed(k.Swap.Used), signed(k.Swap.Available)
		}
		if unused := out.Used == nil || *out.Used == 0; out.Capacity == nil && unused && minor >= tellsSwap {
			out.Capacity, out.Used, out.Available = ptr(int64(0)), nil, nil
		}
	}
	if k := n.Kubelet; k != nil && k.SwapBehavior != nil {
		out.Behavior = *k.SwapBehavior
		if minor >= noSwapByDefault {
			out.Behavior = cmp.Or(out.Behavior, "NoSwap")
		}
	}
	if out.Capacity == nil && out.Used == nil {
		return nil
	}
	return out
}

// psi is nil where the kubelet was not asked, or told no figures at all.
func psi(n *facts.Node) *report.PSI {
	if n.Kubelet == nil || !n.Kubelet.Measured {
		return nil
	}
	share := func(s kubelet.Share) report.Share {
		return report.Share{Avg10: s.Avg10, Avg60: s.Avg60, Avg300: s.Avg300}
	}
	list, supported := n.Kubelet.PSI()
	out := &report.PSI{Supported: supported}
	for _, s := range list {
		out.Items = append(out.Items, report.Stall{Resource: s.Resource, Some: share(s.Some), Full: share(s.Full)})
	}
	return out
}
