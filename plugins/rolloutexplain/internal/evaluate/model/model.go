// Package model is what the rooms of evaluate talk about: the snapshot that was read, a workload with its revisions and
// pods, a cause, and the lookups that are still to be made. It holds what can be read off these, and judges nothing.
package model

import (
	"cmp"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
)

// Evaluation is one run.
type Evaluation struct {
	In      *Input
	Now     time.Time
	Opts    Options
	Kubectl finding.Kubectl
	Rules   *rule.Book
	events  map[types.UID][]eventfact.Event
	owned   map[types.UID][]*corev1.Pod
	nodes   map[string]*corev1.Node
	Asks    *Asks

	Deployments map[types.UID][]*appsv1.Deployment
	ReplicaSets map[types.UID][]*appsv1.ReplicaSet         // by the UID of their controller
	Controlled  map[types.UID][]*appsv1.ControllerRevision // as well
}

// Quiet is the same with nothing asked.
func (e *Evaluation) Quiet() *Evaluation {
	q := *e
	q.Asks = e.Asks.Quiet()
	return &q
}

// Node is a node that has been read; nil: it has not, or does not exist.
func (e *Evaluation) Node(name string) *corev1.Node { return e.nodes[name] }

// New reads a snapshot as of now; what it lacks is noted in asks. The rules are those of all rooms.
func New(rules *rule.Book, in *Input, now time.Time, opts Options, asks *Asks) *Evaluation {
	e := &Evaluation{
		In: in, Now: now, Opts: opts, Kubectl: finding.Kubectl{Flags: in.Context}, Asks: asks, Rules: rules,
		events: map[types.UID][]eventfact.Event{}, owned: map[types.UID][]*corev1.Pod{}, nodes: map[string]*corev1.Node{},
	}
	for i := range in.Events {
		uid := in.Events[i].InvolvedObject.UID
		e.events[uid] = append(e.events[uid], eventfact.Read(&in.Events[i]))
	}
	for uid := range e.events {
		sorting.Func(e.events[uid], eventfact.Compare)
		e.events[uid] = slices.Compact(e.events[uid])
	}
	pods := map[types.UID]bool{}
	for i := range in.Pods {
		if in.Pods[i].UID != "" && pods[in.Pods[i].UID] {
			continue // listed for two rollouts with overlapping selectors
		}
		pods[in.Pods[i].UID] = true
		if owner := metav1.GetControllerOfNoCopy(&in.Pods[i]); owner != nil {
			e.owned[owner.UID] = append(e.owned[owner.UID], &in.Pods[i])
		}
	}
	e.Deployments = by(in.Deployments, func(d *appsv1.Deployment) types.UID { return d.UID })
	e.ReplicaSets = by(in.ReplicaSets, func(r *appsv1.ReplicaSet) types.UID { return controllerOf(r) })
	e.Controlled = by(in.ControllerRevisions, func(r *appsv1.ControllerRevision) types.UID { return controllerOf(r) })
	for i := range in.Nodes {
		e.nodes[in.Nodes[i].Name] = &in.Nodes[i]
	}
	return e
}

// by indexes a list: to search it for each of thousands of workloads would take the square of their number.
func by[T any](list []T, key func(*T) types.UID) map[types.UID][]*T {
	index := map[types.UID][]*T{}
	for i := range list {
		k := key(&list[i])
		index[k] = append(index[k], &list[i])
	}
	return index
}

// uncontrolled is no UID.
const uncontrolled types.UID = "\x00"

func controllerOf(o metav1.Object) types.UID {
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		return ref.UID
	}
	return uncontrolled
}

// PodsOf gives the pods that an owner controls, as judged views sorted by name.
func (e *Evaluation) PodsOf(uid types.UID, minReady int32) []*Pod {
	var pods []*Pod
	for _, p := range e.owned[uid] {
		pods = append(pods, e.PodView(p, minReady))
	}
	if e.In.Packed != nil {
		objects := e.In.Packed.Of(uid)
		for i := range objects {
			pods = append(pods, e.PodView(&objects[i], minReady))
		}
	}
	sorting.Func(pods, func(a, b *Pod) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID)) })
	return pods
}
