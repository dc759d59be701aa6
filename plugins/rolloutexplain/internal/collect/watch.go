package collect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// Watcher keeps a scope up to date by watches. client-go's reflectors list again after an expired version (410) and
// connect again after a broken connection, with back-off.
type Watcher struct {
	collector *Collector
	scope     Scope
	parts     []*part
	of        map[finding.ObjectRef]*part // that watches a target itself
	changed   chan struct{}
}

// part is one watched resource.
type part struct {
	name, resource string
	informer       cache.SharedIndexInformer
	into           func(*model.Input, runtime.Object)

	mu  sync.Mutex
	err error // of the last try, until a list succeeds
}

// Watch starts to watch a scope and returns when every part has been listed once, has failed, or has said nothing for the time that
// a read may take.
func (c *Collector) Watch(ctx context.Context, scope Scope) (*Watcher, error) {
	w := &Watcher{collector: c, scope: scope, of: map[finding.ObjectRef]*part{}, changed: make(chan struct{}, 1)}
	if len(scope.Targets) == 0 {
		w.everything(scope)
	}
	for _, t := range scope.Targets {
		seen := &model.Input{}
		selector, _, err := c.one(ctx, seen, t)
		if err != nil {
			return nil, err
		}
		w.target(t, selector)
	}
	for _, p := range w.parts {
		failed := func(_ context.Context, _ *cache.Reflector, err error) { p.failed(err) }
		if err := p.informer.SetWatchErrorHandlerWithContext(failed); err != nil {
			return nil, err
		}
		if _, err := p.informer.AddEventHandler(w.handler(p)); err != nil {
			return nil, err
		}
		go p.informer.RunWithContext(ctx)
	}
	w.settle(ctx)
	return w, ctx.Err()
}

// Changed receives after something has changed.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

func (w *Watcher) handler(p *part) cache.ResourceEventHandler {
	notify := func() {
		p.failed(nil)
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify() }, UpdateFunc: func(any, any) { notify() }, DeleteFunc: func(any) { notify() },
	}
}

func (p *part) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *part) state() source.Source {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch listed := p.informer.HasSynced(); {
	case listed && (p.err == nil || !isForbidden(p.err)):
		return source.Source{Name: p.name, State: source.OK} // a broken watch is being renewed
	case p.err == nil:
		return kube.SourceOf(p.name, "watch", p.resource, errUnlisted)
	}
	return kube.SourceOf(p.name, "watch", p.resource, p.err)
}

// errUnlisted is of a watch that was accepted or is tried again, and has not said yet what there is: nothing follows from its silence.
var errUnlisted = errors.New("the API server has not answered the watch yet")

func isForbidden(err error) bool { return kube.SourceOf("", "", "", err).State == source.Forbidden }

// settle waits until every part has been listed or has failed.
func (w *Watcher) settle(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(w.collector.limit())
	for {
		open := 0
		for _, p := range w.parts {
			p.mu.Lock()
			if p.err == nil && !p.informer.HasSynced() {
				open++
			}
			p.mu.Unlock()
		}
		if open == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Snapshot gives the present state, as Collect would.
func (w *Watcher) Snapshot(ctx context.Context) (*model.Input, error) {
	in := &model.Input{Targets: w.scope.Targets}
	r := &reader{limit: w.collector.limit()}
	for _, p := range w.parts {
		for _, o := range p.informer.GetStore().List() {
			if object, ok := o.(runtime.Object); ok {
				p.into(in, object)
			}
		}
		r.note(p.state())
	}
	r.into(in)
	in.Collected = w.collector.Now()
	if missing := w.missing(in); missing != nil {
		return nil, missing
	}
	return in, ctx.Err()
}

// GoneError says that a named object does not exist any more.
type GoneError struct{ Object finding.ObjectRef }

func (g GoneError) Error() string { return fmt.Sprintf("%s was deleted", g.Object) }

// UnknownError says that it is unknown whether a named object exists: its watch has said nothing yet.
type UnknownError struct {
	Object finding.ObjectRef
	source.Source
}

func (u UnknownError) Error() string {
	return fmt.Sprintf("%s/%s: %s", strings.ToLower(u.Object.Kind), u.Object.Name, u.Reason())
}

func (w *Watcher) missing(in *model.Input) error {
	if len(w.scope.Targets) == 0 {
		return nil
	}
	have := map[finding.ObjectRef]bool{}
	for i := range in.Deployments {
		have[finding.ObjectRef{Kind: KindDeployment, Namespace: in.Deployments[i].Namespace, Name: in.Deployments[i].Name}] = true
	}
	for i := range in.StatefulSets {
		have[finding.ObjectRef{Kind: KindStatefulSet, Namespace: in.StatefulSets[i].Namespace, Name: in.StatefulSets[i].Name}] = true
	}
	for i := range in.DaemonSets {
		have[finding.ObjectRef{Kind: KindDaemonSet, Namespace: in.DaemonSets[i].Namespace, Name: in.DaemonSets[i].Name}] = true
	}
	for i := range in.Jobs {
		have[finding.ObjectRef{Kind: KindJob, Namespace: in.Jobs[i].Namespace, Name: in.Jobs[i].Name}] = true
	}
	for i := range in.ReplicaSets {
		have[finding.ObjectRef{Kind: KindReplicaSet, Namespace: in.ReplicaSets[i].Namespace, Name: in.ReplicaSets[i].Name}] = true
	}
	for i := range in.Pods {
		have[finding.ObjectRef{Kind: KindPod, Namespace: in.Pods[i].Namespace, Name: in.Pods[i].Name}] = true
	}
	for _, o := range in.Rollouts {
		u := unstructured.Unstructured{Object: o}
		have[finding.ObjectRef{Kind: KindRollout, Namespace: u.GetNamespace(), Name: u.GetName()}] = true
	}
	for _, t := range w.scope.Targets {
		switch state := w.of[t].state(); {
		case have[t]:
		case !w.of[t].informer.HasSynced():
			return UnknownError{t, state}
		default:
			return GoneError{t}
		}
	}
	return nil
}

// client is what every typed client can do.
type client[L runtime.Object] interface {
	List(ctx context.Context, o metav1.ListOptions) (L, error)
	Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
}

func add[L, O runtime.Object](w *Watcher, name, resource string, c client[L], adjust func(*metav1.ListOptions),
	example O, into func(*model.Input, O),
) {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			adjust(&o)
			return c.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			adjust(&o)
			return c.Watch(ctx, o)
		},
	}
	p := &part{name: name, resource: resource, into: func(in *model.Input, o runtime.Object) {
		if object, ok := o.(O); ok {
			into(in, object)
		}
	}}
	p.informer = cache.NewSharedIndexInformer(lw, example, 0, cache.Indexers{})
	_ = p.informer.SetTransform(func(o any) (any, error) {
		if pod, ok := o.(*corev1.Pod); ok {
			return slimPod(pod), nil
		}
		return o, nil
	})
	w.parts = append(w.parts, p)
}

// target watches one named object, its pods and its revisions.
func (w *Watcher) target(t finding.ObjectRef, selector string) {
	named := func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", t.Name).String()
	}
	w.kind(t.Kind, t.Namespace, named)
	w.of[t] = w.parts[len(w.parts)-1]
	if t.Kind == KindPod {
		return
	}
	chosen := func(o *metav1.ListOptions) { o.LabelSelector = selector }
	w.watchPods(t.Namespace, chosen)
	switch t.Kind {
	case KindDeployment, KindRollout:
		w.kind(KindReplicaSet, t.Namespace, chosen)
	case KindStatefulSet, KindDaemonSet:
		w.watchRevisions(t.Namespace, chosen)
	}
}

func (w *Watcher) everything(s Scope) {
	chosen := func(o *metav1.ListOptions) { o.LabelSelector = s.Selector }
	for _, kind := range []string{KindDeployment, KindStatefulSet, KindDaemonSet, KindJob} {
		w.kind(kind, s.Namespace, chosen)
	}
	all := func(*metav1.ListOptions) {}
	w.kind(KindReplicaSet, s.Namespace, all)
	w.watchRevisions(s.Namespace, all)
	w.watchPods(s.Namespace, all)
}

func (w *Watcher) watchPods(ns string, adjust func(*metav1.ListOptions)) {
	add(w, model.SourcePods, "pods", w.collector.Typed.CoreV1().Pods(ns), adjust, &corev1.Pod{},
		func(in *model.Input, p *corev1.Pod) { in.Pods = append(in.Pods, *p) })
}

func (w *Watcher) watchRevisions(ns string, adjust func(*metav1.ListOptions)) {
	client := w.collector.Typed.AppsV1().ControllerRevisions(ns)
	add(w, model.SourceRevisions, "controllerrevisions.apps", client, adjust, &appsv1.ControllerRevision{},
		func(in *model.Input, cr *appsv1.ControllerRevision) {
			in.ControllerRevisions = append(in.ControllerRevisions, *cr)
		})
}

func (w *Watcher) kind(kind, ns string, adjust func(*metav1.ListOptions)) {
	apps := w.collector.Typed.AppsV1()
	switch kind {
	case KindDeployment:
		add(w, model.SourceWorkload, "deployments.apps", apps.Deployments(ns), adjust, &appsv1.Deployment{},
			func(in *model.Input, d *appsv1.Deployment) { in.Deployments = append(in.Deployments, *d) })
	case KindStatefulSet:
		add(w, model.SourceWorkload, "statefulsets.apps", apps.StatefulSets(ns), adjust, &appsv1.StatefulSet{},
			func(in *model.Input, s *appsv1.StatefulSet) { in.StatefulSets = append(in.StatefulSets, *s) })
	case KindDaemonSet:
		add(w, model.SourceWorkload, "daemonsets.apps", apps.DaemonSets(ns), adjust, &appsv1.DaemonSet{},
			func(in *model.Input, d *appsv1.DaemonSet) { in.DaemonSets = append(in.DaemonSets, *d) })
	case KindReplicaSet:
		add(w, model.SourceRevisions, "replicasets.apps", apps.ReplicaSets(ns), adjust, &appsv1.ReplicaSet{},
			func(in *model.Input, rs *appsv1.ReplicaSet) { in.ReplicaSets = append(in.ReplicaSets, *rs) })
	case KindJob:
		add(w, model.SourceWorkload, "jobs.batch", w.collector.Typed.BatchV1().Jobs(ns), adjust, &batchv1.Job{},
			func(in *model.Input, j *batchv1.Job) { in.Jobs = append(in.Jobs, *j) })
	case KindPod:
		w.watchPods(ns, adjust)
	case KindRollout:
		add(w, model.SourceWorkload, "rollouts.argoproj.io", argoClient{w.collector, ns}, adjust, &unstructured.Unstructured{},
			func(in *model.Input, u *unstructured.Unstructured) { in.Rollouts = append(in.Rollouts, u.Object) })
	}
}

// argoClient lets the dynamic client pass for a typed one.
type argoClient struct {
	c  *Collector
	ns string
}

func (a argoClient) List(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return a.c.Dynamic.Resource(ArgoRollouts).Namespace(a.ns).List(ctx, o)
}

func (a argoClient) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return a.c.Dynamic.Resource(ArgoRollouts).Namespace(a.ns).Watch(ctx, o)
}
