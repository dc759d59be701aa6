package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// nodeFit is what one node says to one pod, by the scheduler's simple filters run again.
type nodeFit struct {
	node    *corev1.Node
	static  string // a refusal that no pod's leaving would change
	fault   bool   // the static refusal is the node's trouble (not ready, pressure), not a setting
	lacks   string // what it has too little of now
	never   bool   // it could not hold the pod if it were empty
	ifOldGo bool   // it would hold the pod if old pods of the same workload left it
	free    string // what it has free of what is short
}

// schedulingDetail looks at the nodes to say how far each is from taking the pod, and whether waiting can help.
func schedulingDetail(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, terms []schedulingTerm, message string) {
	switch c.Code {
	case codes.ClaimMissing, codes.ClaimUnbound, codes.VolumeElsewhere:
		claimDetail(e, w, p, c, message)
		return
	case codes.ResourceClaimUnmet, codes.VolumeLimit:
		return
	}
	if len(terms) == 0 || !e.Asks.Have(model.Need{Kind: model.NeedNodes}) || len(e.In.Nodes) == 0 {
		classWithoutNodes(e, w, p, c)
		return
	}
	room := e.Asks.Have(model.Need{Kind: model.NeedNodePods})
	fits := make([]nodeFit, 0, len(e.In.Nodes))
	for i := range e.In.Nodes {
		fits = append(fits, fit(e, w, p, &e.In.Nodes[i], room))
	}
	slices.SortFunc(fits, func(a, b nodeFit) int {
		return cmp.Or(cmp.Compare(fitRank(a), fitRank(b)), cmp.Compare(a.node.Name, b.node.Name))
	})
	for _, f := range fits[:min(len(fits), 6)] {
		words := f.static
		if words == "" {
			words = f.lacks
		}
		if words == "" {
			words = "passes the filters that are checked here"
		}
		c.By(plain.Evidence("Node "+f.node.Name, "", words, plain.NoTime))
	}
	classByNodes(e, w, p, c, fits, room)
}

func fitRank(f nodeFit) int {
	switch {
	case f.static == "" && f.lacks == "":
		return 0
	case f.static == "" && !f.never:
		return 1
	case f.static == "":
		return 2
	}
	return 3
}

// classWithoutNodes judges by the text alone.
func classWithoutNodes(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause) {
	switch c.Code {
	case codes.NodeSelectorUnmet:
		c.Class, c.Heals = report.Likely, "no"
	case codes.HostPortTaken, codes.PodAffinityUnmet:
		if oldHolds(w, p, c.Code) {
			heldByOld(e, w, c)
		}
	}
	c.Confidence = "medium"
}

// heldByOld: what the new pod lacks is held by an old pod that the rollout keeps until the new one is available.
func heldByOld(e *model.Evaluation, w *model.Workload, c *model.Cause) bool {
	b, old := w.Report.Budget, model.Live(w.OldPods())
	if b == nil || len(old) == 0 || b.Surge == nil || b.Surge.Pods == 0 || plain.Or(b.MayRemove, 0) > 0 || w.Kind == "StatefulSet" {
		return false
	}
	c.Class, c.Severity, c.Heals = report.Likely, finding.Critical, "no"
	if w.Kind == "DaemonSet" {
		c.Message += fmt.Sprintf("; the old pod of this DaemonSet holds it, and with maxSurge %s it stays until the new one is available: a deadlock", b.Surge.Spec)
		c.Then(e.Next(w, finding.Change, "let the old pod go first", "patch", w.Slash(), "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`))
		return true
	}
	c.Message += fmt.Sprintf("; old pods hold it, and they stay until a new one is available (surge %s is %d, unavailable %s is %d of %d): a deadlock", b.Surge.Spec, b.Surge.Pods, b.Unavailable.Spec, b.Unavailable.Pods, w.Desired)
	c.Then(e.Next(w, finding.Change, "let an old pod go first", "patch", w.Slash(), "-p", `{"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`))
	return true
}

// classByNodes decides whether waiting can help.
func classByNodes(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, fits []nodeFit, room bool) {
	open := slices.DeleteFunc(slices.Clone(fits), func(f nodeFit) bool { return f.static != "" })
	faults := slices.ContainsFunc(fits, func(f nodeFit) bool { return f.fault })
	switch {
	case len(open) == 0 && faults:
		nodesInTrouble(e, c, fits)
	case len(open) == 0:
		c.Class, c.Heals = report.Likely, "no"
		if miss := selectorMiss(p, fits); miss != "" {
			c.Message += "; " + miss
		}
		c.Then(e.NextCluster(finding.Read, "labels and taints of the nodes", "get", "nodes", "-o", "custom-columns=NAME:.metadata.name,TAINTS:.spec.taints[*].key,UNSCHEDULABLE:.spec.unschedulable,LABELS:.metadata.labels"))
	case c.Code == codes.HostPortTaken || c.Code == codes.PodAffinityUnmet:
		classByOthers(e, w, p, c)
	case c.Code == codes.TopologySpread:
		if key := absentTopology(p, fits); key != "" {
			c.Class, c.Heals = report.Likely, "no"
			c.Message += fmt.Sprintf("; it spreads over label %s, which no node has", key)
		}
	case c.Code == codes.InsufficientResources || c.Code == codes.TooManyPods || c.Code == codes.Unschedulable:
		if c.Code == codes.Unschedulable && room && !slices.ContainsFunc(open, func(f nodeFit) bool { return f.lacks == "" }) {
			recode(c, codes.InsufficientResources) // of the nodes that are wanted each lacks room: the others do not matter
		}
		classByRoom(e, w, c, open, room, faults)
	}
}

func classByRoom(e *model.Evaluation, w *model.Workload, c *model.Cause, open []nodeFit, room, faults bool) {
	best := open[0]
	if best.free != "" {
		which := "nearest is node "
		if c.Target != "" {
			which = "node "
		}
		c.Message += fmt.Sprintf("; %s%s: %s", which, best.node.Name, best.free)
	}
	never := !slices.ContainsFunc(open, func(f nodeFit) bool { return !f.never })
	c.Then(e.NextCluster(finding.Read, "room on the nodes", "nodeinfo"))
	switch {
	case never && !faults:
		c.Class, c.Heals = report.Likely, "no"
		c.Message += "; no eligible node could hold it even if it were empty"
	case room && slices.ContainsFunc(open, func(f nodeFit) bool { return f.ifOldGo }):
		heldByOld(e, w, c)
	}
}

// fit runs the filters that need no more than the node and the pods on it.
func fit(e *model.Evaluation, w *model.Workload, p *model.Pod, n *corev1.Node, room bool) nodeFit {
	f := nodeFit{node: n}
	why, fits := schedule.Fits(&p.Spec, n)
	switch {
	case fits:
		fitRoom(e, w, p, n, room, &f)
	case why.Reason == schedule.Unschedulable:
		f.static, f.fault = "cordoned (spec.unschedulable)", true
	case why.Reason == schedule.Untolerated:
		f.static = "taint " + taintText(&why.Taint)
		f.fault = strings.HasPrefix(why.Taint.Key, "node.kubernetes.io/") || strings.HasPrefix(why.Taint.Key, "node.cloudprovider.kubernetes.io/")
	default:
		f.static = "labels do not match the node selector or affinity"
	}
	return f
}

func fitRoom(e *model.Evaluation, w *model.Workload, p *model.Pod, n *corev1.Node, room bool, f *nodeFit) {
	taken, old, want := corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}
	for _, np := range e.In.NodePods {
		if !room || np.Node != n.Name {
			continue
		}
		schedule.Take(taken, np.Requests)
		if np.Namespace == w.Meta.Namespace && slices.ContainsFunc(w.Pods, func(q *model.Pod) bool { return q.Name == np.Name && !q.IsNew }) {
			schedule.Take(old, np.Requests)
		}
	}
	schedule.Take(want, schedule.Requests(p.Pod))
	var lacks []string
	f.ifOldGo = room
	for _, l := range schedule.Lacks(n, taken, want) {
		if l.Never() {
			f.never, f.ifOldGo = true, false
			lacks = append(lacks, fmt.Sprintf("needs %s %s, the whole node has %s", l.Wanted.String(), l.Name, l.Whole.String()))
			continue
		}
		lacks = append(lacks, fmt.Sprintf("needs %s %s, %s of %s is free", l.Wanted.String(), l.Name, l.Free.String(), l.Whole.String()))
		l.Free.Add(old[l.Name])
		f.ifOldGo = f.ifOldGo && l.Wanted.Cmp(l.Free) <= 0
	}
	f.lacks = strings.Join(lacks, "; ")
	f.free = f.lacks
	f.ifOldGo = f.ifOldGo && f.lacks != ""
}

func taintText(t *corev1.Taint) string {
	if t.Value == "" {
		return t.Key + ":" + string(t.Effect)
	}
	return t.Key + "=" + t.Value + ":" + string(t.Effect)
}

// selectorMiss names a wanted label that no node has, and the values that are there instead.
func selectorMiss(p *model.Pod, fits []nodeFit) string {
	keys := make([]string, 0, len(p.Spec.NodeSelector))
	for key := range p.Spec.NodeSelector {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		want, have := p.Spec.NodeSelector[key], map[string]bool{}
		for _, f := range fits {
			if v, ok := f.node.Labels[key]; ok {
				have[v] = true
			}
		}
		if have[want] {
			continue
		}
		if len(have) == 0 {
			return fmt.Sprintf("it wants nodes with label %s=%s, and no node has the label %s", key, want, key)
		}
		values := make([]string, 0, len(have))
		for v := range have {
			values = append(values, v)
		}
		slices.Sort(values)
		return fmt.Sprintf("it wants nodes with label %s=%s; nodes have %s", key, want, plain.List(values, 5))
	}
	return affinityMiss(p, fits)
}

// affinityMiss says the same of the expressions of a required node affinity.
func affinityMiss(p *model.Pod, fits []nodeFit) string {
	a := p.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, x := range term.MatchExpressions {
			if x.Operator != corev1.NodeSelectorOpIn || slices.ContainsFunc(fits, func(f nodeFit) bool { return slices.Contains(x.Values, f.node.Labels[x.Key]) }) {
				continue
			}
			have := map[string]bool{}
			for _, f := range fits {
				if v, ok := f.node.Labels[x.Key]; ok {
					have[v] = true
				}
			}
			if len(have) == 0 {
				return fmt.Sprintf("its affinity wants %s in (%s), and no node has that label", x.Key, plain.List(x.Values, 5))
			}
			return fmt.Sprintf("its affinity wants %s in (%s), which no node has", x.Key, plain.List(x.Values, 5))
		}
	}
	return ""
}

// claimDetail follows a pod's claims to the reason why one is not bound.
func claimDetail(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, message string) {
	c.Then(e.Next(w, finding.Read, "the claims and their classes", "get", "pvc"))
	if c.Code == codes.ClaimMissing {
		c.Class, c.Heals = report.Likely, "no"
		if m := quoted(message); m != "" {
			c.Message = fmt.Sprintf("volume claim %q does not exist", m)
			c.Key = m
		}
		return
	}
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.PersistentVolumeClaim == nil || !e.Asks.Have(model.Need{Kind: model.NeedClaim, Namespace: p.Namespace, Name: v.PersistentVolumeClaim.ClaimName}) {
			continue
		}
		if oneClaim(e, w, p, c, v.PersistentVolumeClaim.ClaimName) {
			return
		}
	}
}

func quoted(s string) string {
	_, after, ok := strings.Cut(s, `"`)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(after, `"`)
	return name
}

func oneClaim(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, name string) bool {
	for i := range e.In.Claims {
		claim := &e.In.Claims[i]
		if claim.Name != name || claim.Namespace != p.Namespace {
			continue
		}
		if claim.Status.Phase == corev1.ClaimBound {
			if c.Code == codes.VolumeElsewhere && e.Asks.Have(model.Need{Kind: model.NeedVolume, Name: claim.Spec.VolumeName}) {
				c.Message += fmt.Sprintf("; claim %q is bound to volume %q", name, claim.Spec.VolumeName)
			}
			continue
		}
		c.Key = name
		c.Message = fmt.Sprintf("volume claim %q is %s", name, strings.ToLower(string(claim.Status.Phase)))
		c.By(plain.Evidence("PersistentVolumeClaim "+name, "status.phase", string(claim.Status.Phase), claim.CreationTimestamp.Time))
		whyUnbound(e, w, c, claim)
		c.Then(e.Next(w, finding.Read, "why it is not bound", "describe", "pvc", name))
		return true
	}
	return false
}

// whyUnbound reads the claim's class and events. WaitForFirstConsumer is how it should be, and never a cause.
func whyUnbound(e *model.Evaluation, w *model.Workload, c *model.Cause, claim *corev1.PersistentVolumeClaim) {
	class := plain.Or(claim.Spec.StorageClassName, "")
	if e.Asks.Have(model.Need{Kind: model.NeedStorageClasses}) && e.In.Sources.Get("storageclasses").Readable() {
		known, defaults := false, false
		for i := range e.In.StorageClasses {
			known = known || e.In.StorageClasses[i].Name == class
			defaults = defaults || e.In.StorageClasses[i].Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
		}
		switch {
		case claim.Spec.StorageClassName == nil && !defaults:
			c.Class, c.Heals = report.Likely, "no"
			c.Message += ": it names no storage class, and there is no default one"
		case class != "" && !known:
			c.Class, c.Heals = report.Likely, "no"
			c.Message += fmt.Sprintf(": storage class %q does not exist", class)
		}
	}
	if ev := eventfact.Newest(e.EventsOfUID(claim.Namespace, string(claim.UID)), "ProvisioningFailed", "ExternalProvisioning", "FailedBinding"); ev != nil {
		c.ByEvent(ev)
		if ev.Reason != "ExternalProvisioning" {
			c.Message += ": " + plain.OneLine(ev.Message)
		} else {
			c.Message += ": it waits for its provisioner"
		}
		if ev.Reason == "FailedBinding" && c.Class == report.Transient && class == "" {
			c.Class, c.Heals = report.Likely, "no"
		}
	}
}

// askNode asks for one node; a table of many asks for all of them once.
func askNode(e *model.Evaluation, name string) {
	if e.Opts.Wide {
		e.Asks.Have(model.Need{Kind: model.NeedNodes})
		return
	}
	e.Asks.Have(model.Need{Kind: model.NeedNode, Name: name})
}
