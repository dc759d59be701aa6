// Package drain previews a drain: what becomes of each pod of the nodes, what keeps the drain from its end, and whether the
// other nodes have room for what moves. It changes nothing and guesses nothing: what was not read or tried is said.
package drain

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/eviction"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// Plan is what is true of a drain, built once.
type Plan struct {
	Now     time.Time
	Targets []*corev1.Node
	Missing []string // named nodes that do not exist
	Pods    []*Pod   // of the targets, by namespace and name
	Rooms   []*Room  // the other nodes, by name
	Tight   bool     // all fit, but not as the scheduler would try first
	Budgets []*Budget
	Waiting int      // pods that wait for a node already, and compete for the room
	Removal *Removal // of the one target, for good; nil: it is drained only

	Kubectl finding.Kubectl
	in      *facts.Input
}

// Pod is a pod of a target.
type Pod struct {
	*corev1.Pod

	Fate     eviction.Fate
	Flags    eviction.Flags
	Guards   []*policyv1.PodDisruptionBudget
	Volumes  []*corev1.PersistentVolume // bound to its claims
	To       *Room                      // nil: it does not move, or has no room
	Refusals []Refusal                  // why no node takes it, the nearest miss first
}

// Budget is a budget that the API server asks during the drain, and the pods whose evictions it counts.
type Budget struct {
	*policyv1.PodDisruptionBudget

	Pods       []*Pod
	Unreplaced int // of those, the ones that no pod on another node makes up for
}

// PlanOf lays out the drain of the input's targets.
func PlanOf(in *facts.Input, now time.Time, kubectl finding.Kubectl) *Plan {
	p := &Plan{Now: now, Kubectl: kubectl, in: in}
	nodes := map[string]*corev1.Node{}
	for i := range in.Nodes {
		nodes[in.Nodes[i].Name] = &in.Nodes[i]
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(in.Targets))) {
		if nodes[name] == nil {
			p.Missing = append(p.Missing, name)
			continue
		}
		p.Targets = append(p.Targets, nodes[name])
	}
	p.Missing = append(p.Missing, in.NotFound...)
	for _, n := range nodes {
		if !slices.Contains(p.Targets, n) {
			p.Rooms = append(p.Rooms, &Room{Node: n, taken: corev1.ResourceList{}})
		}
	}
	sorting.Func(p.Rooms, func(a, b *Room) int { return cmp.Compare(a.Node.Name, b.Node.Name) })
	p.pods()
	p.fill()
	p.place()
	p.budgets()
	p.Removal = p.removal()
	return p
}

// Read says whether a source could be read.
func (p *Plan) Read(name string) bool { return p.in.Sources.Get(name).Readable() }

func (p *Plan) target(name string) bool {
	return slices.ContainsFunc(p.Targets, func(n *corev1.Node) bool { return n.Name == name })
}

func (p *Plan) pods() {
	daemons := map[string]bool{}
	for i := range p.in.DaemonSets {
		daemons[p.in.DaemonSets[i].Namespace+"/"+p.in.DaemonSets[i].Name] = true
	}
	volumes := p.volumes()
	for i := range p.in.Pods {
		object := &p.in.Pods[i]
		if object.Spec.NodeName == "" {
			if !podfact.Finished(object) && object.DeletionTimestamp == nil && schedule.DaemonNode(&object.Spec) == "" {
				p.Waiting++
			}
			continue
		}
		if !p.target(object.Spec.NodeName) {
			continue
		}
		owner := metav1.GetControllerOf(object)
		orphan := p.Read(facts.SourceDaemonSets) && owner != nil && owner.Kind == "DaemonSet" &&
			owner.APIVersion == appsv1.SchemeGroupVersion.String() && !daemons[object.Namespace+"/"+owner.Name]
		pod := &Pod{Pod: object, Fate: eviction.FateOf(object, orphan), Flags: eviction.FlagsFor(object, orphan)}
		if pod.Fate.Goes() {
			pod.Guards = eviction.Guards(object, p.in.Budgets)
		}
		for _, name := range claims(object) {
			if v := volumes[object.Namespace+"/"+name]; v != nil {
				pod.Volumes = append(pod.Volumes, v)
			}
		}
		p.Pods = append(p.Pods, pod)
	}
	sorting.Func(p.Pods, func(a, b *Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// volumes are the volumes by the claims that they are bound to.
func (p *Plan) volumes() map[string]*corev1.PersistentVolume {
	named, bound := map[string]*corev1.PersistentVolume{}, map[string]*corev1.PersistentVolume{}
	for i := range p.in.Volumes {
		named[p.in.Volumes[i].Name] = &p.in.Volumes[i]
	}
	for i := range p.in.Claims {
		c := &p.in.Claims[i]
		if v := named[c.Spec.VolumeName]; v != nil {
			bound[c.Namespace+"/"+c.Name] = v
		}
	}
	return bound
}

// claims are the names of a pod's claims that outlive it.
func claims(p *corev1.Pod) []string {
	var names []string
	for i := range p.Spec.Volumes {
		if c := p.Spec.Volumes[i].PersistentVolumeClaim; c != nil {
			names = append(names, c.ClaimName)
		}
	}
	return names
}

// WithClaims says whether a pod moves with volumes of its own, whose nodes matter.
func WithClaims(in *facts.Input) bool {
	return slices.ContainsFunc(in.Pods, func(p corev1.Pod) bool {
		return slices.Contains(in.Targets, p.Spec.NodeName) && eviction.FateOf(&p, false) == eviction.Replaced && len(claims(&p)) > 0
	})
}

// moving are the pods that need a place elsewhere.
func (p *Plan) moving() []*Pod { return p.with(eviction.Replaced) }

func (p *Plan) unplaced() []*Pod {
	return slices.DeleteFunc(p.moving(), func(pod *Pod) bool { return pod.To != nil })
}

// with are the pods of these fates.
func (p *Plan) with(fates ...eviction.Fate) []*Pod {
	return which(p.Pods, func(pod *Pod) bool { return slices.Contains(fates, pod.Fate) })
}

func which(pods []*Pod, is func(*Pod) bool) []*Pod {
	var list []*Pod
	for _, p := range pods {
		if is(p) {
			list = append(list, p)
		}
	}
	return list
}

// budgets groups the pods whose evictions a budget counts. One that several budgets guard is refused whatever they allow.
func (p *Plan) budgets() {
	at := map[*policyv1.PodDisruptionBudget]*Budget{}
	for _, pod := range p.Pods {
		if len(pod.Guards) != 1 || !eviction.Counts(pod.Pod, pod.Guards[0]) {
			continue
		}
		b := at[pod.Guards[0]]
		if b == nil {
			b = &Budget{PodDisruptionBudget: pod.Guards[0]}
			at[pod.Guards[0]] = b
			p.Budgets = append(p.Budgets, b)
		}
		b.Pods = append(b.Pods, pod)
		if pod.Fate != eviction.Replaced || pod.To == nil && p.Read(facts.SourcePods) {
			b.Unreplaced++
		}
	}
	sorting.Func(p.Budgets, func(a, b *Budget) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
