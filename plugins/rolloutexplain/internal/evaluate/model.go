package evaluate

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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// workload is one rollout while it is being judged, whatever its kind.
type workload struct {
	meta     *metav1.ObjectMeta
	kind     string
	ref      finding.ObjectRef
	desired  int32
	observed int64
	template *corev1.PodTemplateSpec
	minReady int32

	revisions []*revision // oldest first
	target    *revision   // of the present template; nil: none exists (or none readable)
	pods      []*pod      // of this workload, by name
	started   time.Time   // when the wanted revision began: evidence older than this is not about it
	awaitsEnd bool        // a Job that makes no pod before the one before is gone
	ageless   bool        // nothing tells new pods from old ones
	begun     bool        // the wanted revision has begun (its ReplicaSet or pods exist)
	missing   int32       // pods the controller wants and that do not exist
	missingOf types.UID   // object that should create them
	// findOrdered is the pod that an ordered StatefulSet waits for.
	findOrdered *pod
	settled     bool // the API's counters say complete
	completed   bool // was complete before: only a later fault or scaling can make it incomplete
	findings    []report.Finding
	rep         *report.Rollout
	// moving is set when the counters alone show that the controller acts (pods being created or ending).
	moving string
}

// revision is one pod template of a workload.
type revision struct {
	number    int64
	name      string
	uid       types.UID
	hash      string // value of the label that its pods carry
	created   time.Time
	template  *corev1.PodTemplateSpec
	rs        *appsv1.ReplicaSet // Deployments and Argo Rollouts
	changeLog string             // kubernetes.io/change-cause
}

// pod is one pod with what is derived from it.
type pod struct {
	*corev1.Pod
	rev         *revision // nil: of a revision that is not readable
	isNew       bool      // of the wanted revision
	terminating bool
	dead        bool // Failed or Succeeded
	ready       bool
	readySince  time.Time
	available   bool
	events      []eventfact.Event
}

// evaluator is one run.
type evaluator struct {
	in      *Input
	now     time.Time
	opts    Options
	kubectl finding.Kubectl
	events  map[types.UID][]eventfact.Event
	owned   map[types.UID][]*corev1.Pod
	nodes   map[string]*corev1.Node
	asks    *Asks
}

// quiet is the same with nothing asked.
func (e *evaluator) quiet() *evaluator {
	q := *e
	q.asks = e.asks.Quiet()
	return &q
}

// node is a node that has been read; nil: it has not, or does not exist.
func (e *evaluator) node(name string) *corev1.Node { return e.nodes[name] }

func newEvaluator(in *Input, now time.Time, opts Options, asks *Asks) *evaluator {
	e := &evaluator{
		in: in, now: now, opts: opts, kubectl: finding.Kubectl{Flags: in.Context}, asks: asks,
		events: map[types.UID][]eventfact.Event{}, owned: map[types.UID][]*corev1.Pod{}, nodes: map[string]*corev1.Node{},
	}
	for i := range in.Events {
		uid := in.Events[i].InvolvedObject.UID
		e.events[uid] = append(e.events[uid], eventfact.Read(&in.Events[i]))
	}
	for uid := range e.events {
		slices.SortFunc(e.events[uid], eventfact.Compare)
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
	for i := range in.Nodes {
		e.nodes[in.Nodes[i].Name] = &in.Nodes[i]
	}
	return e
}

// podsOf gives the pods that an owner controls, as judged views sorted by name.
func (e *evaluator) podsOf(uid types.UID, minReady int32) []*pod {
	var pods []*pod
	for _, p := range e.owned[uid] {
		pods = append(pods, e.podView(p, minReady))
	}
	slices.SortFunc(pods, func(a, b *pod) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID)) })
	return pods
}

func (e *evaluator) podView(p *corev1.Pod, minReady int32) *pod {
	v := &pod{Pod: p, terminating: p.DeletionTimestamp != nil, events: e.events[p.UID]}
	v.dead = p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
	if c := podCondition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionTrue {
		v.ready, v.readySince = true, c.LastTransitionTime.Time
		v.available = minReady == 0 || !v.readySince.Add(time.Duration(minReady)*time.Second).After(e.now)
	}
	return v
}

func podCondition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// newestMatching gives the newest event with the reason whose text holds one of the words.
func newestMatching(events []eventfact.Event, reason string, words ...string) *eventfact.Event {
	for i := range events {
		if events[i].Reason == reason && plain.ContainsAny(events[i].Message, words...) {
			return &events[i]
		}
	}
	return nil
}

// live gives the pods that the controller counts.
func live(pods []*pod) []*pod {
	var kept []*pod
	for _, p := range pods {
		if !p.terminating && !p.dead {
			kept = append(kept, p)
		}
	}
	return kept
}

func selectPods(pods []*pod, want func(*pod) bool) []*pod {
	var kept []*pod
	for _, p := range pods {
		if want(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

func podNames(pods []*pod) []string {
	names := make([]string, 0, len(pods))
	for _, p := range pods {
		names = append(names, p.Name)
	}
	return names
}
