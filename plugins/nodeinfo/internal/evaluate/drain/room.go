package drain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Room is another node, and what is taken of it.
type Room struct {
	Node  *corev1.Node
	Takes int // pods of the drain

	taken corev1.ResourceList
	ports []schedule.HostPort
}

// Refusal is why a node does not take a pod.
type Refusal struct {
	Node   string
	Reason string

	rank  int     // 0 is the nearest miss
	short float64 // the largest share of the node that is missing
}

// The ranks of refusals: one that the end of other pods can cure comes before one that a setting must.
const (
	full = iota
	tooSmall
	unreached
	tainted
	cordoned
	unwanted
)

// fill charges the other nodes for the pods that are bound to them.
func (p *Plan) fill() {
	rooms := map[string]*Room{}
	for _, r := range p.Rooms {
		rooms[r.Node.Name] = r
	}
	for i := range p.in.Pods {
		if pod := &p.in.Pods[i]; schedule.Charged(pod) && rooms[pod.Spec.NodeName] != nil {
			rooms[pod.Spec.NodeName].take(pod)
		}
	}
}

func (r *Room) take(p *corev1.Pod) {
	schedule.Take(r.taken, schedule.Requests(p))
	r.ports = append(r.ports, schedule.HostPorts(&p.Spec)...)
}

// place tries the pods one after another, as the scheduler does: by priority, each on the node that is emptiest then. Where
// one finds no room, it tries again with the largest first, each on the node that it fills most: pods that fit in this way
// may fit.
func (p *Plan) place() {
	pods := p.moving()
	sorting.Stable(pods, func(a, b *Pod) int { return cmp.Compare(priority(b), priority(a)) })
	first := p.try(pods, func(share, best float64) bool { return share < best })
	if first.left > 0 {
		sorting.Stable(pods, func(a, b *Pod) int { return cmp.Compare(weight(b.Pod), weight(a.Pod)) })
		if second := p.try(pods, func(share, best float64) bool { return share > best }); second.left < first.left {
			first, p.Tight = second, second.left == 0
		}
	}
	p.Rooms = first.rooms
	for i, pod := range first.pods {
		pod.To = first.to[i]
	}
	for _, pod := range p.unplaced() {
		for _, r := range p.Rooms {
			if why, refused := r.refuses(pod); refused {
				pod.Refusals = append(pod.Refusals, why)
			}
		}
		sorting.Stable(pod.Refusals, func(a, b Refusal) int {
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.short, b.short), cmp.Compare(a.Node, b.Node))
		})
	}
}

func priority(p *Pod) int32 {
	if p.Spec.Priority == nil {
		return 0
	}
	return *p.Spec.Priority
}

// weight orders pods by size: a core is taken for four gigabytes.
func weight(p *corev1.Pod) float64 {
	r := schedule.Requests(p)
	return r.Cpu().AsApproximateFloat64() + r.Memory().AsApproximateFloat64()/(4<<30)
}

// trial is one attempt to place all pods.
type trial struct {
	pods  []*Pod
	rooms []*Room
	to    []*Room
	left  int // pods without a place
}

func (p *Plan) try(pods []*Pod, better func(share, best float64) bool) trial {
	t := trial{pods: slices.Clone(pods), to: make([]*Room, len(pods))}
	for _, r := range p.Rooms {
		t.rooms = append(t.rooms, &Room{Node: r.Node, taken: maps.Clone(r.taken), ports: slices.Clone(r.ports)})
	}
	for i, pod := range pods {
		var best *Room
		var share float64
		for _, r := range t.rooms {
			if _, refused := r.refuses(pod); refused {
				continue
			}
			if s := r.share(pod.Pod); best == nil || better(s, share) {
				best, share = r, s
			}
		}
		if best == nil {
			t.left++
			continue
		}
		best.take(pod.Pod)
		best.Takes++
		t.to[i] = best
	}
	return t
}

// share is how full the node would be with the pod: the larger of its cpu and memory.
func (r *Room) share(p *corev1.Pod) float64 {
	worst, whole, wanted := 0.0, schedule.Allocatable(r.Node), schedule.Requests(p)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		all, taken, more := whole[name], r.taken[name], wanted[name]
		if size := all.AsApproximateFloat64(); size > 0 {
			worst = max(worst, (taken.AsApproximateFloat64()+more.AsApproximateFloat64())/size)
		}
	}
	return worst
}

// refuses says why the node does not take the pod, by the scheduler's filters for cordon, affinity, taints, volumes, host
// ports and requests.
func (r *Room) refuses(p *Pod) (Refusal, bool) {
	if why, refused := r.never(p); refused {
		return why, true
	}
	if port, conflict := schedule.PortTaken(r.ports, schedule.HostPorts(&p.Spec)); conflict {
		return Refusal{Node: r.Node.Name, Reason: fmt.Sprintf("host port %d/%s is taken", port.Port, port.Protocol)}, true
	}
	wanted := corev1.ResourceList{}
	schedule.Take(wanted, schedule.Requests(p.Pod))
	lacks := schedule.Lacks(r.Node, r.taken, wanted)
	if len(lacks) == 0 {
		return Refusal{}, false
	}
	why := Refusal{Node: r.Node.Name}
	var texts []string
	for _, l := range lacks {
		text := fmt.Sprintf("requires %s %s, %s of %s free", l.Wanted.String(), l.Name, l.Free.String(), l.Whole.String())
		if l.Never() {
			why.rank = tooSmall
			text = fmt.Sprintf("requires %s %s, %s allocatable", l.Wanted.String(), l.Name, l.Whole.String())
		}
		if l.Name == corev1.ResourcePods {
			text = "maximum number of pods (" + l.Whole.String() + ") reached"
		}
		texts = append(texts, text)
		missing := l.Wanted.AsApproximateFloat64() - l.Free.AsApproximateFloat64()
		if size := l.Whole.AsApproximateFloat64(); size > 0 {
			why.short = max(why.short, missing/size)
		}
	}
	why.Reason = strings.Join(texts, "; ")
	return why, true
}

// never is a refusal that no pod's end cures.
func (r *Room) never(p *Pod) (Refusal, bool) {
	why := Refusal{Node: r.Node.Name}
	if reason, fits := schedule.Fits(&p.Spec, r.Node); !fits {
		switch reason.Reason {
		case schedule.Unschedulable:
			why.rank, why.Reason = cordoned, "cordoned"
		case schedule.Untolerated:
			t := reason.Taint
			why.rank, why.Reason = tainted, "taint "+strings.TrimSuffix(t.Key+"="+t.Value, "=")+":"+string(t.Effect)
		default:
			why.rank, why.Reason = unwanted, "labels do not match the node selector or affinity"
		}
		return why, true
	}
	for _, v := range p.Volumes {
		if !schedule.Reaches(v, r.Node) {
			why.rank, why.Reason = unreached, "volume "+v.Name+" cannot be used there"
			return why, true
		}
	}
	return why, false
}
