package placement

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	InsufficientResources   finding.Code = "InsufficientResources"
	TooManyPods             finding.Code = "TooManyPods"
	NodeAffinityUnsatisfied finding.Code = "NodeAffinityUnsatisfied"
	Unschedulable           finding.Code = "Unschedulable"
)

var nodesRules = []rule.Rule{
	{Layer: rule.LayerPod, Place: true, Bears: []string{".resources", "nodeSelector", "affinity", "overhead"}, Entry: finding.Entry{
		Code: InsufficientResources, Severity: finding.Critical, Title: "No node has enough free resources",
		Meaning: "Each node that is otherwise eligible has too little of a resource free.",
		Evidence: "\"Insufficient\" in the pod condition PodScheduled; requests on each node against its allocatable " +
			"resources.",
		Next: "Lower the request, or free or add node capacity.",
	}},
	{Layer: rule.LayerPod, Place: true, Entry: finding.Entry{
		Code: TooManyPods, Severity: finding.Critical, Title: "Nodes have reached their maximum number of pods",
		Meaning:  "The nodes that are left have reached the number of pods that their kubelets allow.",
		Evidence: "\"Too many pods\" in the pod condition PodScheduled.",
		Next:     "Add nodes, or remove pods from the nodes.",
	}},
	{Layer: rule.LayerPod, Place: true, Bears: []string{"nodeSelector", "affinity"}, Entry: finding.Entry{
		Code: NodeAffinityUnsatisfied, Severity: finding.Critical, Title: "No node matches the node selector or affinity",
		Meaning:  "The node selector or the required node affinity of the pod matches no node.",
		Evidence: "\"node affinity/selector\" in the pod condition PodScheduled; labels of the nodes.",
		Next:     "Correct the selector or affinity, or label a node.",
	}},
	{
		Layer: rule.LayerPod, Place: true, Bears: []string{".resources", "nodeSelector", "affinity", "tolerations", "olume"},
		Entry: finding.Entry{
			Code: Unschedulable, Severity: finding.Critical, Title: "No node can run the pod",
			Meaning:  "The nodes are excluded for different reasons, or for one reason without a code of its own.",
			Evidence: "Pod condition PodScheduled=False with reason Unschedulable.",
			Next:     "Read the reasons in the message one by one.",
		},
	},
}

// schedulingDetail checks what each node lacks to run the pod, and whether waiting can help.
func schedulingDetail(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, terms []schedulingTerm, message string) {
	switch c.Code {
	case PVCNotFound, PVCNotBound, NoPersistentVolumeAvailable, VolumeNodeAffinityConflict:
		claimDetail(e, w, p, c, message)
		return
	case VolumeLimitReached:
		c.WithNext(e.NextCluster(finding.Read, "List how many volumes the CSI drivers allow on each node", "get", "csinodes", "-o",
			"custom-columns=NODE:.metadata.name,DRIVERS:.spec.drivers[*].name,LIMITS:.spec.drivers[*].allocatable.count"))
		return
	case ResourceClaimUnsatisfied:
		deviceDetail(e, w, p, c, message)
		return
	case VolumeInUse:
		volumeInUse(e, w, p, c)
		return
	}
	if len(terms) == 0 || !e.Asks.Have(model.Need{Kind: model.NeedNodes}) || len(e.In.Nodes) == 0 {
		classWithoutNodes(e, w, p, c)
		return
	}
	room := e.Asks.Have(model.Need{Kind: model.NeedNodePods})
	fits := make([]nodeFit, 0, len(e.In.Nodes))
	volumes := volumesOf(e, p, terms)
	for i := range e.In.Nodes {
		f := fit(e, w, p, &e.In.Nodes[i], room)
		if v := unreachable(volumes, f.node); v != "" && f.static == "" {
			f.static = "cannot reach PersistentVolume " + v
		}
		fits = append(fits, f)
	}
	sorting.Func(fits, func(a, b nodeFit) int {
		return cmp.Or(cmp.Compare(fitRank(a), fitRank(b)), cmp.Compare(a.node.Name, b.node.Name))
	})
	for _, f := range fits[:min(len(fits), 6)] {
		words := f.static
		if words == "" {
			words = f.lacks
		}
		if words == "" {
			words = holderWords(w, p, c, f.node.Name)
		}
		c.WithEvidence(plain.Evidence("Node "+f.node.Name, "", words, plain.NoTime))
	}
	classByNodes(e, w, p, c, fits, room)
}

// classWithoutNodes judges by the text alone.
func classWithoutNodes(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause) {
	switch c.Code {
	case NodeAffinityUnsatisfied:
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
	case HostPortConflict, PodAffinityUnsatisfied:
		holders, over := heldBy(w, p, c)
		heldByOld(e, w, c, holders, over)
	}
	c.Confidence = "medium"
}

// classByNodes decides whether waiting can help.
func classByNodes(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, fits []nodeFit, room bool) {
	open := slices.DeleteFunc(slices.Clone(fits), func(f nodeFit) bool { return f.static != "" })
	faults := slices.ContainsFunc(fits, func(f nodeFit) bool { return f.fault })
	switch {
	case len(open) == 0 && faults:
		unhealthyNodes(e, c, fits)
	case len(open) == 0:
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
		if miss := selectorMiss(p, fits); miss != "" {
			c.Message = miss
		}
		c.WithNext(e.NextCluster(finding.Read, "List the labels and taints of the nodes", "get", "nodes", "-o",
			"custom-columns=NAME:.metadata.name,TAINTS:.spec.taints[*].key,UNSCHEDULABLE:.spec.unschedulable,LABELS:.metadata.labels"))
	case c.Code == HostPortConflict || c.Code == PodAffinityUnsatisfied:
		classByOthers(e, w, p, c, open, faults)
	case c.Code == TopologySpreadUnsatisfied:
		if key := absentTopology(p, fits); key != "" {
			c.Class, c.SelfHealing = report.LikelyFatal, "no"
			c.Message += fmt.Sprintf("; no node has label %s, by which the pods must be spread", key)
			return
		}
		classBySpread(e, w, p, c, fits)
	case c.Code == InsufficientResources || c.Code == TooManyPods || c.Code == Unschedulable:
		if c.Code == Unschedulable && room && !slices.ContainsFunc(open, func(f nodeFit) bool { return f.lacks == "" }) {
			recode(e, c, InsufficientResources) // each eligible node lacks capacity: the others do not matter
		}
		classByRoom(e, w, c, open, room, faults)
	}
}

// freedSoon: what an ending pod is about to free is not missing.
func freedSoon(c *model.Cause, open []nodeFit, room bool) bool {
	i := slices.IndexFunc(open, func(f nodeFit) bool { return f.ending != "" })
	if i < 0 || !room {
		return false
	}
	c.Class, c.Severity, c.SelfHealing = report.Transient, finding.Warning, "maybe"
	if open[i].due {
		c.SelfHealing = "yes"
	}
	c.Says("node %s has enough room only after terminating pods are gone (%s): the pod %s", open[i].node.Name, open[i].ending, open[i].lacks)
	return true
}

func classByRoom(e *model.Evaluation, w *model.Workload, c *model.Cause, open []nodeFit, room, faults bool) {
	if freedSoon(c, open, room) {
		return
	}
	best := open[0]
	if best.free != "" {
		which := "the closest node"
		if c.Target != "" {
			which = "node"
		}
		c.Message += fmt.Sprintf("; on %s %s the pod %s", which, best.node.Name, best.free)
	}
	never := !slices.ContainsFunc(open, func(f nodeFit) bool { return !f.never })
	c.WithNext(e.NextCluster(finding.Read, "Show the free capacity of the nodes", "nodeinfo"))
	switch {
	case never && !faults:
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
		c.Message += ", and no eligible node has enough even without other pods"
	case room && slices.ContainsFunc(open, func(f nodeFit) bool { return f.ifOldGo }):
		node := open[slices.IndexFunc(open, func(f nodeFit) bool { return f.ifOldGo })].node.Name
		holders := model.Select(model.CountedPods(w.OldPods()), func(q *model.Pod) bool { return q.Spec.NodeName == node })
		heldByOld(e, w, c, holders, "room on node "+node)
	}
}
