package facts

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/thresholds"
)

// Timeouts of pods where no operator is asked.
const (
	Starting    = thresholds.PodStart
	Terminating = thresholds.PodTermination
)

// Pod is a pod bound to the node. Of a finished one little is asked: it takes nothing of the node.
type Pod struct {
	*corev1.Pod

	Requests, Limits corev1.ResourceList // as the scheduler counts; nil for finished ones
	Component        *Component          // what it does for the node; nil: an ordinary pod
	ControlPlane     string              // the component of the control plane that it is; empty: none

	State    string // one word for a person
	Restarts int64  // of all containers
	Stuck    bool   // its deletion does not end

	Tolerated bool             // a container keeps ending, less often than the operator wants to know of
	Crash     *Crash           // nil: no container keeps ending
	Wait      *Wait            // nil: it starts, or runs
	Warning   *eventfact.Event // the newest since it was bound to the node

	shape int // of a packed pod
}

// fewRestarts take the kubelet's back-off some five minutes: they are of one trouble.
const fewRestarts = 5

// Crash is a container that keeps ending.
type Crash struct {
	Container string
	Restarts  int64
	End       *corev1.ContainerStateTerminated // the last; nil: not told
	Began     time.Time                        // the first end in a row, reckoned back from the last; zero: not known
}

// Why a pod does not start.
const (
	WaitsForContainer = iota // a container's waiting reason says so
	WaitsByEvent             // the newest warning says so
	WaitsForKubelet          // the kubelet has not taken it up
	WaitsSilently            // nobody says so
)

// Wait is why a bound pod does not start: by whose word, the reason, the message, and its innermost cause.
type Wait struct {
	By              int
	Reason, Message string
	Cause           string
	Image           string // of the container that waits for it
}

// NoAddress says whether the network plugin has no address for the pod.
func (w *Wait) NoAddress() bool {
	return w != nil && w.By == WaitsByEvent && eventfact.NoAddress(w.Message)
}

// cause is the innermost part of a message, and the image where a pull failed. A volume's message names the volume.
func (w *Wait) cause() {
	w.Cause = eventfact.Innermost(w.Message)
	if w.Reason == failedMount || w.Reason == "FailedAttachVolume" {
		w.Cause = w.Message
	}
}

const failedMount = "FailedMount"

// transient are words of a mount that fails because something is about to come.
var transient = []string{"timed out waiting", "failed to sync", "not registered", "context deadline exceeded"}

// stated says whether a warning states an error that waiting does not cure: no address is left, or a volume that refers to
// something which is not there, tried at least twice.
func stated(e *eventfact.Event) bool {
	if e == nil {
		return false
	}
	coming := slices.ContainsFunc(transient, func(w string) bool { return strings.Contains(e.Message, w) })
	return eventfact.NoAddress(e.Message) || e.Reason == failedMount && e.Count > 1 && !coming
}

// crashing is the first container of a pod that keeps ending.
func (c *Cluster) crashing(p *corev1.Pod, list []corev1.ContainerStatus) *Crash {
	for i := range list {
		if s := &list[i]; podfact.Looping(p, s, c.now) {
			crash := &Crash{Container: s.Name, Restarts: int64(s.RestartCount), End: podfact.End(s)}
			// Of many restarts some may be of another time, unless they reach back to the pod's start.
			if crash.End != nil && (s.RestartCount <= fewRestarts || podfact.FailedFromStart(p)) {
				crash.Began = podfact.FirstEnd(p, crash.End, podfact.Ends(s))
			}
			return crash
		}
	}
	return nil
}

func (c *Cluster) podsOf(n *Node) []*Pod {
	if !n.Read(SourcePods) {
		return nil
	}
	return c.PodsOf(n.Object)
}

// PodsOf gives the pods of a node, where they were read.
func (c *Cluster) PodsOf(object *corev1.Node) []*Pod {
	objects, shapes := c.on(object.Name)
	pods, all := make([]*Pod, 0, len(objects)), make([]Pod, len(objects))
	for i, object := range objects {
		all[i].Pod = object
		if shapes != nil {
			all[i].shape = shapes[i]
		}
		c.fill(&all[i])
		pods = append(pods, &all[i])
	}
	return pods
}

// on gives the pods of a node, by namespace and name, and of packed ones their shapes.
func (c *Cluster) on(node string) (pods []*corev1.Pod, shapes []int) {
	if c.in.Packed == nil {
		return c.pods[node], nil
	}
	objects := c.in.Packed.On(node)
	pods, shapes = make([]*corev1.Pod, len(objects)), make([]int, len(objects))
	for i := range objects {
		pods[i], shapes[i] = &objects[i].Pod, objects[i].Shape
	}
	return pods, shapes
}

// charge is what a pod takes.
type charge struct{ requests, limits corev1.ResourceList }

// charge gives what a pod takes: of one shape it is the same list, which is read only.
func (c *Cluster) charge(p *Pod) charge {
	if known, ok := c.charges.Load(p.shape); ok {
		return known.(charge)
	}
	taken := charge{schedule.Requests(p.Pod), schedule.Limits(p.Pod)}
	if p.shape != 0 {
		c.charges.Store(p.shape, taken)
	}
	return taken
}

func (c *Cluster) fill(p *Pod) {
	if p.Finished() {
		if p.DeletionTimestamp != nil {
			p.Stuck = c.stuck(p.Pod)
			p.State, p.Restarts = state(p.Pod), restarts(podfact.Containers(p.Pod))
		}
		return
	}
	taken := c.charge(p)
	p.Requests, p.Limits = taken.requests, taken.limits
	if known, ok := component.Of(p.Pod); ok {
		p.Component = &Component{Known: known, Pod: p}
	}
	p.ControlPlane = component.ControlPlane(p.Pod)
	list := podfact.Containers(p.Pod)
	p.State, p.Restarts = state(p.Pod), restarts(list)
	p.Stuck = c.stuck(p.Pod)
	p.Warning = c.lastWarning(p.Pod)
	switch p.Crash = c.crashing(p.Pod, list); {
	case p.Crash == nil:
		p.Wait = c.waiting(p, list)
	case c.limits.PodRestarts > 1 && p.Ordinary() && p.Crash.Restarts < int64(c.limits.PodRestarts):
		p.Crash, p.Tolerated = nil, true
	}
}

// Ends says whether the pod is on its way out or gone.
func (p *Pod) Ends() bool { return p.DeletionTimestamp != nil || p.Finished() }

// Finished pods will not run again.
func (p *Pod) Finished() bool { return podfact.Finished(p.Pod) }

// Phase is the phase, with deletion said: kubectl prints Terminating too.
func (p *Pod) Phase() string { return phase(p.Pod) }

func phase(p *corev1.Pod) string {
	if p.DeletionTimestamp != nil && !podfact.Finished(p) {
		return "Terminating"
	}
	if p.Status.Phase == "" {
		return "Unknown"
	}
	return string(p.Status.Phase)
}

// Ordinary says whether nobody else judges the pod: those of the node's components and of the control plane are judged as
// such. A DNS cache is not.
func (p *Pod) Ordinary() bool {
	return (p.Component == nil || p.Component.Role == component.DNSCache) && p.ControlPlane == ""
}

// Ready is condition Ready.
func (p *Pod) Ready() bool { return podfact.Ready(p.Pod) }

func podCondition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// FailedAt is when the pod failed, as far as it tells: of one that was rejected before it ran, when it was made.
func (p *Pod) FailedAt() time.Time {
	at := p.CreationTimestamp.Time
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.LastTransitionTime.After(at) {
			at = c.LastTransitionTime.Time
		}
	}
	for _, s := range podfact.Containers(p.Pod) {
		if end := s.State.Terminated; end != nil && end.FinishedAt.After(at) {
			at = end.FinishedAt.Time
		}
	}
	return at
}

// StartedAt is when the last of its containers started that run, or when the pod was made.
func (p *Pod) StartedAt() time.Time {
	last := p.CreationTimestamp.Time
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Running != nil && s.State.Running.StartedAt.After(last) {
			last = s.State.Running.StartedAt.Time
		}
	}
	return last
}

// ReadySince is when Ready last changed, or when the pod was made.
func (p *Pod) ReadySince() time.Time {
	if c := podfact.ReadyCondition(p.Pod); c != nil && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	return p.CreationTimestamp.Time
}

// BoundAt is when the scheduler gave the pod to the node, or when the pod was made.
func (p *Pod) BoundAt() time.Time { return boundAt(p.Pod) }

func boundAt(p *corev1.Pod) time.Time {
	c := podCondition(p, corev1.PodScheduled)
	if c != nil && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.Time
	}
	return p.CreationTimestamp.Time
}

// FailedStart says whether the last try to start a container of the pod failed. That is no question of patience.
func (p *Pod) FailedStart() bool {
	return slices.ContainsFunc(podfact.Containers(p.Pod), func(s corev1.ContainerStatus) bool { return podfact.Waiting(&s).Failed() })
}

// state is kubectl's word for the pod, and whether one that runs is ready.
func state(p *corev1.Pod) string {
	word := podfact.Status(p)
	if word == string(corev1.PodRunning) && !podfact.Ready(p) {
		word += ", not ready"
	}
	return word
}

func restarts(list []corev1.ContainerStatus) int64 {
	sum := int64(0)
	for i := range list {
		sum += int64(list[i].RestartCount)
	}
	return sum
}

func (c *Cluster) stuck(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil && c.now.Sub(p.DeletionTimestamp.Time) >= c.limits.PodTermination
}

// waiting gives why a bound pod does not start: at once where a start failed, else after two minutes.
func (c *Cluster) waiting(p *Pod, list []corev1.ContainerStatus) *Wait {
	if p.DeletionTimestamp != nil {
		return nil
	}
	young := c.now.Sub(p.BoundAt()) < c.limits.PodStart
	for i := range list {
		if stage := podfact.Waiting(&list[i]); stage.Failed() || !young && stage != podfact.NotWaiting && stage != podfact.Coming {
			w := list[i].State.Waiting
			wait := &Wait{By: WaitsForContainer, Reason: w.Reason, Message: w.Message}
			if wait.cause(); stage == podfact.Image {
				wait.Image = list[i].Image
			}
			return wait
		}
	}
	if young && !stated(p.Warning) {
		return nil
	}
	if p.Status.Phase != corev1.PodPending {
		return nil
	}
	for _, s := range p.Status.InitContainerStatuses {
		if s.State.Running != nil {
			return nil // an init container at work may take its time
		}
	}
	switch {
	case p.Warning != nil && p.Warning.Reason == "":
		return nil
	case p.Warning != nil:
		wait := &Wait{By: WaitsByEvent, Reason: p.Warning.Reason, Message: p.Warning.Message}
		wait.cause()
		return wait
	case len(list) == 0:
		return &Wait{By: WaitsForKubelet}
	}
	return &Wait{By: WaitsSilently}
}

// lastWarning is the newest since the pod was bound to the node.
func (c *Cluster) lastWarning(p *corev1.Pod) *eventfact.Event {
	for _, e := range c.byObject[string(p.UID)] {
		if e.Warning() && !e.Last.Before(boundAt(p)) && e.Reason != "FailedScheduling" { // the scheduler's, and over
			return &e
		}
	}
	return nil
}

// Evicted counts the pods that the kubelet evicted and that are listed still.
func Evicted(pods []*Pod) int {
	count := 0
	for _, p := range pods {
		if p.Status.Reason == "Evicted" {
			count++
		}
	}
	return count
}
