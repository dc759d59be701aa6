package helperpod

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// Group is the helpers of one run in one namespace, all seen through one watch.
type Group struct {
	Client    kube.Clients
	Config    *rest.Config
	Namespace string
	ID        string

	field   string // a field selector for one foreign pod, instead of the run's label
	mu      sync.Mutex
	pods    map[string]*corev1.Pod // by helper label
	changed chan struct{}          // closed and replaced at every change
	broken  error
	removed bool  // the foreign pod is gone
	deaf    error // why the watch tells nothing at present; nil: it does, as far as is known
}

// Watch opens the watch. It returns when the API server has accepted it, so that a create afterwards cannot be missed.
func (g *Group) Watch(ctx context.Context) error {
	g.pods, g.changed = map[string]*corev1.Pod{}, make(chan struct{})
	w, err := g.open(ctx)
	if err != nil {
		if apierrors.IsForbidden(err) {
			return fmt.Errorf("needs watch pods in namespace %q: %w", g.Namespace, err)
		}
		return err
	}
	go g.follow(ctx, w)
	return nil
}

func (g *Group) open(ctx context.Context) (watch.Interface, error) {
	// Without a resource version the watch starts with what exists.
	options := metav1.ListOptions{LabelSelector: podspec.RunLabel + "=" + g.ID}
	if g.field != "" {
		options = metav1.ListOptions{FieldSelector: g.field}
	}
	return g.Client.CoreV1().Pods(g.Namespace).Watch(ctx, options)
}

// errSilent is of a watch that was accepted, and has not told what a list shows; errEnds of one that ended at once.
var (
	errSilent = errors.New("it was accepted, but does not report what a list shows: is a proxy in between that holds answers back?")
	errEnds   = errors.New("the API server, or a proxy before it, accepts it and ends it at once")
)

// follow keeps the watch open: API servers end one after some minutes, and at their own restart.
func (g *Group) follow(ctx context.Context, w watch.Interface) {
	var lost time.Time
	for {
		if w != nil {
			lost = time.Time{}
			opened := time.Now()
			for event := range w.ResultChan() {
				if pod, ok := event.Object.(*corev1.Pod); ok {
					g.see(pod, event.Type == watch.Deleted)
				}
			}
			if time.Since(opened) < time.Second {
				g.hearsNothing(errEnds)
			}
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(300 * time.Millisecond):
		}
		var err error
		if w, err = g.open(ctx); err != nil {
			w = nil
			g.hearsNothing(err)
			if time.Since(lost) > podspec.Lease {
				g.fail(fmt.Errorf("the watch on helper pods failed: %w", err))
				return
			}
		}
	}
}

func (g *Group) see(pod *corev1.Pod, deleted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := pod.Labels[podspec.HelperLabel]
	if g.field != "" {
		name, g.removed = pod.Name, deleted
	}
	if deleted {
		pod = pod.DeepCopy()
		if pod.DeletionTimestamp == nil {
			pod.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
	}
	g.pods[name], g.deaf = pod, nil
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Group) hearsNothing(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deaf = why
}

// mute says why the watch tells nothing at present.
func (g *Group) mute() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.deaf
}

// look asks for the pods of the run where the watch tells nothing, and says whether that was answered.
func (g *Group) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, err := g.Client.CoreV1().Pods(g.Namespace).List(ctx, metav1.ListOptions{LabelSelector: podspec.RunLabel + "=" + g.ID})
	if err != nil {
		return false
	}
	for i := range list.Items {
		pod := &list.Items[i]
		known, _, _ := g.get(pod.Labels[podspec.HelperLabel])
		if known != nil && known.UID == pod.UID && known.ResourceVersion == pod.ResourceVersion {
			continue
		}
		why := g.mute()
		if why == nil {
			why = errSilent
		}
		g.see(pod, false)
		g.hearsNothing(why)
	}
	return true
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = err
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Group) get(name string) (*corev1.Pod, <-chan struct{}, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pods[name], g.changed, g.broken
}

// NotStarted is why a helper does not run.
type NotStarted struct {
	podspec.Wait
	Pod *corev1.Pod // as last seen; nil before the cluster had one
}

func (e *NotStarted) Error() string { return e.Text }

// Patience bounds the wait for a helper.
type Patience struct {
	Start time.Duration // without a visible reason to wait longer
	Pull  time.Duration // while an image is being pulled
}

// errNoPod says that the Job controller has made no pod: it may be down, and a bare pod needs no controller.
var errNoPod = errors.New("the Job controller created no pod")

// controllerPatience is how long the Job controller may take for its pod (measured: 10-40 ms). A busy one is worth
// waiting for: without it nobody removes the object of a client that was killed.
const controllerPatience = 10 * time.Second

// watchPatience is how long a watch may be silent about a pod that was asked for before a list is asked.
const watchPatience = 3 * time.Second

// await blocks until the container runs. Tell is called with every new reason for waiting.
func (g *Group) await(ctx context.Context, h *Helper, patience Patience, tell func(podspec.Wait)) (*corev1.Pod, error) {
	w := waiting{group: g, helper: h, patience: patience, tell: tell, start: time.Now()}
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		pod, changed, broken := g.get(h.name)
		if over, err := w.over(ctx, pod, broken); over {
			return pod, err
		}
		select {
		case <-ctx.Done():
			return pod, context.Cause(ctx)
		case <-changed:
		case <-look.C:
			if pod == nil && time.Since(w.start) > watchPatience || g.mute() != nil {
				w.listed = g.look(ctx)
			} else if pod != nil {
				w.events = g.events(ctx, pod)
			}
		}
	}
}

// waiting is one wait for a helper.
type waiting struct {
	group    *Group
	helper   *Helper
	patience Patience
	tell     func(podspec.Wait) // may be nil
	start    time.Time
	last     podspec.Wait
	events   []corev1.Event // the pod's, as last listed
	listed   bool           // the pods, too, because the watch tells nothing
}

// over says that the wait has come to its end: without an error the container runs.
func (w *waiting) over(ctx context.Context, pod *corev1.Pod, broken error) (bool, error) {
	waited := time.Since(w.start)
	switch {
	case broken != nil:
		return true, broken
	case pod == nil:
		err := w.missing(waited)
		return err != nil, err
	}
	if err := w.helper.refuses(pod); err != nil {
		return true, err
	}
	if podspec.Running(pod, w.helper.container) {
		return true, nil
	}
	why := w.why(ctx, pod, waited)
	limit := w.patience.Start
	if why.Pulling {
		limit = max(limit, w.patience.Pull)
	}
	if why.Final || waited > limit {
		return true, &NotStarted{Wait: why, Pod: pod}
	}
	if why != w.last && w.tell != nil && waited > time.Second {
		w.tell(why)
	}
	w.last = why
	return false, nil
}

// missing says that no pod is to be expected any more, and why.
func (w *waiting) missing(waited time.Duration) error {
	mute, over := w.group.mute(), waited > w.patience.Start
	known := w.listed || mute == nil
	switch {
	case over && !known:
		return fmt.Errorf("whether the helper pod started is unknown: the watch on pods fails: %w", mute)
	case known && w.helper.guarded && waited > controllerPatience:
		return errNoPod
	case over:
		return &NotStarted{Wait: podspec.Wait{Code: podspec.WaitSilent, Text: "the API server returned no pod"}}
	}
	return nil
}

// why says what a pod waits for that does not run.
func (w *waiting) why(ctx context.Context, pod *corev1.Pod, waited time.Duration) podspec.Wait {
	why := podspec.Diagnose(pod, w.helper.container, w.events, waited)
	if why.Final && why.Code == podspec.WaitPullFailed && len(w.events) == 0 {
		w.events = w.group.events(ctx, pod) // for the registry's own words
		why = podspec.Diagnose(pod, w.helper.container, w.events, waited)
	}
	if why.Code == podspec.WaitDeleted && w.helper.overdue() {
		text := fmt.Sprintf("the Job deleted the pod because this client did not renew the deadline of the Job for %s", pendingLease)
		return podspec.Wait{Code: podspec.WaitOverdue, Text: text, Final: true}
	}
	return why
}

// refuses says why a pod must not be used as admission has made it.
func (h *Helper) refuses(pod *corev1.Pod) error {
	if h.check == nil {
		return nil
	}
	return h.check(pod)
}

// events lists the pod's own; without the permission there are none, and the pod's status has to do.
func (g *Group) events(ctx context.Context, pod *corev1.Pod) []corev1.Event {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	list, err := g.Client.CoreV1().Events(g.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(pod.UID)).String(), Limit: 100,
	})
	if err != nil {
		return nil
	}
	return list.Items
}
