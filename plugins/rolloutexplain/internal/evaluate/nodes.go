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
func (e *evaluator) schedulingDetail(w *workload, p *pod, c *cause, terms []schedulingTerm, message string) {
	switch c.Code {
	case codes.ClaimMissing, codes.ClaimUnbound, codes.VolumeElsewhere:
		e.claimDetail(w, p, c, message)
		return
	case codes.ResourceClaimUnmet, codes.VolumeLimit:
		return
	}
	if len(terms) == 0 || !e.asks.Have(Need{Kind: NeedNodes}) || len(e.in.Nodes) == 0 {
		e.classWithoutNodes(w, p, c)
		return
	}
	room := e.asks.Have(Need{Kind: NeedNodePods})
	fits := make([]nodeFit, 0, len(e.in.Nodes))
	for i := range e.in.Nodes {
		fits = append(fits, e.fit(w, p, &e.in.Nodes[i], room))
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
		c.by(plain.Evidence("Node "+f.node.Name, "", words, plain.NoTime))
	}
	e.classByNodes(w, p, c, fits, room)
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
func (e *evaluator) classWithoutNodes(w *workload, p *pod, c *cause) {
	switch c.Code {
	case codes.NodeSelectorUnmet:
		c.Class, c.Heals = report.Likely, "no"
	case codes.HostPortTaken, codes.PodAffinityUnmet:
		if oldHolds(w, p, c.Code) {
			e.heldByOld(w, c)
		}
	}
	c.Confidence = "medium"
}

// heldByOld: what the new pod lacks is held by an old pod that the rollout keeps until the new one is available.
func (e *evaluator) heldByOld(w *workload, c *cause) bool {
	b, old := w.rep.Budget, live(w.oldPods())
	if b == nil || len(old) == 0 || b.Surge == nil || b.Surge.Pods == 0 || plain.Or(b.MayRemove, 0) > 0 || w.kind == "StatefulSet" {
		return false
	}
	c.Class, c.Severity, c.Heals = report.Likely, finding.Critical, "no"
	if w.kind == "DaemonSet" {
		c.Message += fmt.Sprintf("; the old pod of this DaemonSet holds it, and with maxSurge %s it stays until the new one is available: a deadlock", b.Surge.Spec)
		c.then(e.next(w, finding.Change, "let the old pod go first", "patch", w.slash(), "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`))
		return true
	}
	c.Message += fmt.Sprintf("; old pods hold it, and they stay until a new one is available (surge %s is %d, unavailable %s is %d of %d): a deadlock", b.Surge.Spec, b.Surge.Pods, b.Unavailable.Spec, b.Unavailable.Pods, w.desired)
	c.then(e.next(w, finding.Change, "let an old pod go first", "patch", w.slash(), "-p", `{"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`))
	return true
}

// classByNodes decides whether waiting can help.
func (e *evaluator) classByNodes(w *workload, p *pod, c *cause, fits []nodeFit, room bool) {
	open := slices.DeleteFunc(slices.Clone(fits), func(f nodeFit) bool { return f.static != "" })
	faults := slices.ContainsFunc(fits, func(f nodeFit) bool { return f.fault })
	switch {
	case len(open) == 0 && faults:
		e.nodesInTrouble(c, fits)
	case len(open) == 0:
		c.Class, c.Heals = report.Likely, "no"
		if miss := selectorMiss(p, fits); miss != "" {
			c.Message += "; " + miss
		}
		c.then(e.cluster(finding.Read, "labels and taints of the nodes", "get", "nodes", "-o", "custom-columns=NAME:.metadata.name,TAINTS:.spec.taints[*].key,UNSCHEDULABLE:.spec.unschedulable,LABELS:.metadata.labels"))
	case c.Code == codes.HostPortTaken || c.Code == codes.PodAffinityUnmet:
		e.classByOthers(w, p, c)
	case c.Code == codes.TopologySpread:
		if key := absentTopology(p, fits); key != "" {
			c.Class, c.Heals = report.Likely, "no"
			c.Message += fmt.Sprintf("; it spreads over label %s, which no node has", key)
		}
	case c.Code == codes.InsufficientResources || c.Code == codes.TooManyPods || c.Code == codes.Unschedulable:
		if c.Code == codes.Unschedulable && room && !slices.ContainsFunc(open, func(f nodeFit) bool { return f.lacks == "" }) {
			c.recode(codes.InsufficientResources) // of the nodes that are wanted each lacks room: the others do not matter
		}
		e.classByRoom(w, c, open, room, faults)
	}
}

func (e *evaluator) classByRoom(w *workload, c *cause, open []nodeFit, room, faults bool) {
	best := open[0]
	if best.free != "" {
		which := "nearest is node "
		if c.target != "" {
			which = "node "
		}
		c.Message += fmt.Sprintf("; %s%s: %s", which, best.node.Name, best.free)
	}
	never := !slices.ContainsFunc(open, func(f nodeFit) bool { return !f.never })
	c.then(e.cluster(finding.Read, "room on the nodes", "nodeinfo"))
	switch {
	case never && !faults:
		c.Class, c.Heals = report.Likely, "no"
		c.Message += "; no eligible node could hold it even if it were empty"
	case room && slices.ContainsFunc(open, func(f nodeFit) bool { return f.ifOldGo }):
		e.heldByOld(w, c)
	}
}

// fit runs the filters that need no more than the node and the pods on it.
func (e *evaluator) fit(w *workload, p *pod, n *corev1.Node, room bool) nodeFit {
	f := nodeFit{node: n}
	why, fits := schedule.Fits(&p.Spec, n)
	switch {
	case fits:
		e.fitRoom(w, p, n, room, &f)
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

func (e *evaluator) fitRoom(w *workload, p *pod, n *corev1.Node, room bool, f *nodeFit) {
	taken, old, want := corev1.ResourceList{}, corev1.ResourceList{}, corev1.ResourceList{}
	for _, np := range e.in.NodePods {
		if !room || np.Node != n.Name {
			continue
		}
		schedule.Take(taken, np.Requests)
		if np.Namespace == w.meta.Namespace && slices.ContainsFunc(w.pods, func(q *pod) bool { return q.Name == np.Name && !q.isNew }) {
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
func selectorMiss(p *pod, fits []nodeFit) string {
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
func affinityMiss(p *pod, fits []nodeFit) string {
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
func (e *evaluator) claimDetail(w *workload, p *pod, c *cause, message string) {
	c.then(e.next(w, finding.Read, "the claims and their classes", "get", "pvc"))
	if c.Code == codes.ClaimMissing {
		c.Class, c.Heals = report.Likely, "no"
		if m := quoted(message); m != "" {
			c.Message = fmt.Sprintf("volume claim %q does not exist", m)
			c.key = m
		}
		return
	}
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.PersistentVolumeClaim == nil || !e.asks.Have(Need{Kind: NeedClaim, Namespace: p.Namespace, Name: v.PersistentVolumeClaim.ClaimName}) {
			continue
		}
		if e.oneClaim(w, p, c, v.PersistentVolumeClaim.ClaimName) {
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

func (e *evaluator) oneClaim(w *workload, p *pod, c *cause, name string) bool {
	for i := range e.in.Claims {
		claim := &e.in.Claims[i]
		if claim.Name != name || claim.Namespace != p.Namespace {
			continue
		}
		if claim.Status.Phase == corev1.ClaimBound {
			if c.Code == codes.VolumeElsewhere && e.asks.Have(Need{Kind: NeedVolume, Name: claim.Spec.VolumeName}) {
				c.Message += fmt.Sprintf("; claim %q is bound to volume %q", name, claim.Spec.VolumeName)
			}
			continue
		}
		c.key = name
		c.Message = fmt.Sprintf("volume claim %q is %s", name, strings.ToLower(string(claim.Status.Phase)))
		c.by(plain.Evidence("PersistentVolumeClaim "+name, "status.phase", string(claim.Status.Phase), claim.CreationTimestamp.Time))
		e.whyUnbound(w, c, claim)
		c.then(e.next(w, finding.Read, "why it is not bound", "describe", "pvc", name))
		return true
	}
	return false
}

// whyUnbound reads the claim's class and events. WaitForFirstConsumer is how it should be, and never a cause.
func (e *evaluator) whyUnbound(w *workload, c *cause, claim *corev1.PersistentVolumeClaim) {
	class := plain.Or(claim.Spec.StorageClassName, "")
	if e.asks.Have(Need{Kind: NeedStorageClasses}) && e.in.Sources.Get("storageclasses").Readable() {
		known, defaults := false, false
		for i := range e.in.StorageClasses {
			known = known || e.in.StorageClasses[i].Name == class
			defaults = defaults || e.in.StorageClasses[i].Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
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
	if ev := eventfact.Newest(e.eventsOfUID(claim.Namespace, string(claim.UID)), "ProvisioningFailed", "ExternalProvisioning", "FailedBinding"); ev != nil {
		c.byEvent(ev)
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
func (e *evaluator) askNode(name string) {
	if e.opts.Wide {
		e.asks.Have(Need{Kind: NeedNodes})
		return
	}
	e.asks.Have(Need{Kind: NeedNode, Name: name})
}
