// Package collect reads what evaluate wants to know of rollouts. It judges nothing: every read gives data or the state of
// a source, and only a named object that cannot be read is an error.
package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// The kinds that can be named, beside Pod and ReplicaSet, which climb to one of these.
const (
	KindDeployment  = "Deployment"
	KindStatefulSet = "StatefulSet"
	KindDaemonSet   = "DaemonSet"
	KindReplicaSet  = "ReplicaSet"
	KindJob         = "Job"
	KindPod         = "Pod"
	KindRollout     = "Rollout"
)

const argoResource = "rollouts.argoproj.io"

// ArgoRollouts is the resource of Argo Rollouts, read where its CRD is.
var ArgoRollouts = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}

const (
	// perCall bounds each read, all of its tries together: a stuck server costs one source, not the answer. --request-timeout may
	// be shorter.
	perCall = 20 * time.Second
	// page is how many objects one answer holds.
	page = 500
)

// Clients are the connections that a Collector needs.
type Clients struct {
	Typed    kube.Clients
	Dynamic  dynamic.Interface
	Metadata metadata.Interface
	Now      func() time.Time // the server's clock
	Timeout  time.Duration    // --request-timeout; 0: none
}

// Collector reads one cluster.
type Collector struct {
	Clients
	LogLines int

	mu    sync.Mutex
	cache map[model.Need]answer // of needs, while one run lasts
}

// New makes a Collector.
func New(c Clients, logLines int) *Collector {
	return &Collector{Clients: c, LogLines: logLines, cache: map[model.Need]answer{}}
}

// Scope says which rollouts to read: named ones, or all of a namespace ("" is every namespace).
type Scope struct {
	Namespace string
	Selector  string
	Targets   []finding.ObjectRef
	Whole     bool // what is read is saved: pods are not packed
}

// Collect reads a scope once.
func (c *Collector) Collect(ctx context.Context, scope Scope) (*model.Input, error) {
	in := &model.Input{Targets: scope.Targets}
	var err error
	if len(scope.Targets) > 0 {
		err = c.named(ctx, in, scope)
	} else {
		err = c.all(ctx, in, scope)
	}
	if err != nil {
		return nil, err
	}
	in.Collected = c.Now()
	return in, nil
}

func (c *Collector) limit() time.Duration {
	if c.Timeout > 0 {
		return min(c.Timeout, perCall)
	}
	return perCall
}

// reader gathers the outcomes of parallel reads.
type reader struct {
	limit   time.Duration // of each
	mu      sync.Mutex
	wg      sync.WaitGroup
	sources map[string]source.Source
}

func (r *reader) run(ctx context.Context, name, verb, resource string, read func(context.Context) error) {
	r.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, r.limit)
		defer cancel()
		s := kube.SourceOf(name, verb, resource, read(ctx))
		if resource != argoResource {
			s = denied(s, resource)
		}
		r.note(s)
	})
}

// denied: every API server has the kinds that are built in. That this one denies it is no answer.
func denied(s source.Source, resource string) source.Source {
	if s.State == source.Absent {
		s.State, s.Message = source.Unreachable, "the API server does not serve "+resource+" (404)"
	}
	return s
}

// note keeps the worst state of a source that several reads make up.
func (r *reader) note(s source.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sources == nil {
		r.sources = map[string]source.Source{}
	}
	if old, ok := r.sources[s.Name]; !ok || old.State == source.OK && s.State != source.Absent || old.State == source.Absent {
		r.sources[s.Name] = s
	}
}

func (r *reader) into(in *model.Input) {
	r.wg.Wait()
	for _, s := range in.Sources {
		r.note(s)
	}
	in.Sources = nil
	for _, s := range r.sources {
		in.Sources = append(in.Sources, s)
	}
	in.Sources.Sort()
}

// named reads the objects that were named, and what belongs to them.
func (c *Collector) named(ctx context.Context, in *model.Input, scope Scope) error {
	r := &reader{limit: c.limit()}
	var mu sync.Mutex
	for _, t := range scope.Targets {
		sel, uid, err := c.one(ctx, in, t)
		if err != nil {
			return err
		}
		if t.Kind == KindPod {
			r.note(source.Source{Name: model.SourcePods, State: source.OK})
			continue
		}
		c.belongings(ctx, r, in, &mu, t, sel)
		n := model.Need{Kind: model.NeedEvents, Namespace: t.Namespace, UID: uid}
		r.wg.Go(func() { c.answerInto(ctx, in, &mu, r, n) })
	}
	r.note(source.Source{Name: model.SourceWorkload, State: source.OK})
	r.into(in)
	return nil
}

// belongings lists the pods and revisions of one workload.
func (c *Collector) belongings(ctx context.Context, r *reader, in *model.Input, mu *sync.Mutex, t finding.ObjectRef, selector string) {
	options := metav1.ListOptions{LabelSelector: selector}
	r.run(ctx, model.SourcePods, "list", "pods", func(ctx context.Context) error {
		return c.pods(ctx, in, mu, t.Namespace, options)
	})
	switch t.Kind {
	case KindDeployment, KindRollout:
		r.run(ctx, model.SourceRevisions, "list", "replicasets.apps", func(ctx context.Context) error {
			return c.replicaSets(ctx, in, mu, t.Namespace, options)
		})
	case KindStatefulSet, KindDaemonSet:
		r.run(ctx, model.SourceRevisions, "list", "controllerrevisions.apps", func(ctx context.Context) error {
			return c.controllerRevisions(ctx, in, mu, t.Namespace, options)
		})
	}
}

// one gets a named object and tells the selector of its pods.
func (c *Collector) one(ctx context.Context, in *model.Input, t finding.ObjectRef) (selector, uid string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.limit())
	defer cancel()
	get := metav1.GetOptions{}
	var sel *metav1.LabelSelector
	switch t.Kind {
	case KindDeployment:
		var o *appsv1.Deployment
		if o, err = c.Typed.AppsV1().Deployments(t.Namespace).Get(ctx, t.Name, get); err == nil {
			in.Deployments, sel, uid = append(in.Deployments, *o), o.Spec.Selector, string(o.UID)
		}
	case KindStatefulSet:
		var o *appsv1.StatefulSet
		if o, err = c.Typed.AppsV1().StatefulSets(t.Namespace).Get(ctx, t.Name, get); err == nil {
			in.StatefulSets, sel, uid = append(in.StatefulSets, *o), o.Spec.Selector, string(o.UID)
		}
	case KindDaemonSet:
		var o *appsv1.DaemonSet
		if o, err = c.Typed.AppsV1().DaemonSets(t.Namespace).Get(ctx, t.Name, get); err == nil {
			in.DaemonSets, sel, uid = append(in.DaemonSets, *o), o.Spec.Selector, string(o.UID)
		}
	case KindJob:
		var o *batchv1.Job
		if o, err = c.Typed.BatchV1().Jobs(t.Namespace).Get(ctx, t.Name, get); err == nil {
			in.Jobs, sel, uid = append(in.Jobs, *o), o.Spec.Selector, string(o.UID)
		}
	case KindReplicaSet:
		var o *appsv1.ReplicaSet
		if o, err = c.Typed.AppsV1().ReplicaSets(t.Namespace).Get(ctx, t.Name, get); err == nil {
			in.ReplicaSets, sel, uid = append(in.ReplicaSets, *o), o.Spec.Selector, string(o.UID)
		}
	case KindPod:
		var o *corev1.Pod
		if o, err = c.Typed.CoreV1().Pods(t.Namespace).Get(ctx, t.Name, get); err == nil {
			in.Pods, uid = append(in.Pods, *slimPod(o)), string(o.UID)
		}
	case KindRollout:
		return c.argoRollout(ctx, in, t)
	}
	if err != nil || sel == nil {
		return "", uid, err
	}
	parsed, err := metav1.LabelSelectorAsSelector(sel)
	if err != nil {
		return "", "", err
	}
	return parsed.String(), uid, nil
}

func (c *Collector) argoRollout(ctx context.Context, in *model.Input, t finding.ObjectRef) (selector, uid string, err error) {
	o, err := c.Dynamic.Resource(ArgoRollouts).Namespace(t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
	if err != nil {
		return "", "", err
	}
	in.Rollouts = append(in.Rollouts, o.Object)
	spec, _ := o.Object["spec"].(map[string]any)
	sel, _ := spec["selector"].(map[string]any)
	match, _ := sel["matchLabels"].(map[string]any)
	set := labels.Set{}
	for k, v := range match {
		set[k] = fmt.Sprint(v)
	}
	return set.String(), string(o.GetUID()), nil
}

// all lists every rollout of a namespace, or of all, and what belongs to them: as many calls for a hundred as for one.
func (c *Collector) all(ctx context.Context, in *model.Input, scope Scope) error {
	r, mu, ns := &reader{limit: c.limit()}, &sync.Mutex{}, scope.Namespace
	chosen := metav1.ListOptions{LabelSelector: scope.Selector}
	apps, everything := c.Typed.AppsV1(), metav1.ListOptions{}
	var primary [4]error
	lists := []struct {
		resource string
		read     func(context.Context) error
	}{
		{"deployments.apps", func(ctx context.Context) error {
			return pages(ctx, chosen, apps.Deployments(ns).List, func(l *appsv1.DeploymentList) {
				in.Deployments = append(in.Deployments, l.Items...)
			}, mu)
		}},
		{"statefulsets.apps", func(ctx context.Context) error {
			return pages(ctx, chosen, apps.StatefulSets(ns).List, func(l *appsv1.StatefulSetList) {
				in.StatefulSets = append(in.StatefulSets, l.Items...)
			}, mu)
		}},
		{"daemonsets.apps", func(ctx context.Context) error {
			return pages(ctx, chosen, apps.DaemonSets(ns).List, func(l *appsv1.DaemonSetList) {
				in.DaemonSets = append(in.DaemonSets, l.Items...)
			}, mu)
		}},
		{"jobs.batch", func(ctx context.Context) error {
			return pages(ctx, chosen, c.Typed.BatchV1().Jobs(ns).List, func(l *batchv1.JobList) { in.Jobs = append(in.Jobs, l.Items...) }, mu)
		}},
	}
	for i, l := range lists {
		name, _, _ := strings.Cut(l.resource, ".")
		r.run(ctx, name, "list", l.resource, func(ctx context.Context) error { primary[i] = l.read(ctx); return primary[i] })
	}
	r.run(ctx, "rollouts", "list", argoResource, func(ctx context.Context) error { return c.argoRollouts(ctx, in, mu, ns, chosen) })
	r.run(ctx, model.SourceRevisions, "list", "replicasets.apps", func(ctx context.Context) error {
		return c.replicaSets(ctx, in, mu, ns, everything)
	})
	r.run(ctx, model.SourceRevisions, "list", "controllerrevisions.apps", func(ctx context.Context) error {
		return c.controllerRevisions(ctx, in, mu, ns, everything)
	})
	r.run(ctx, model.SourcePods, "list", "pods", func(ctx context.Context) error {
		if scope.Whole {
			return c.pods(ctx, in, mu, ns, everything)
		}
		return c.packedPods(ctx, in, mu, ns)
	})
	r.run(ctx, model.SourceEvents, "list", "events", func(ctx context.Context) error {
		warnings := metav1.ListOptions{FieldSelector: "type=Warning"}
		return pages(ctx, warnings, c.Typed.CoreV1().Events(ns).List, func(l *corev1.EventList) {
			in.Events = append(in.Events, l.Items...)
		}, mu)
	})
	r.into(in)
	if !slices.ContainsFunc(primary[:], func(err error) bool { return err == nil }) {
		return errors.Join(primary[0])
	}
	return nil
}

func (c *Collector) argoRollouts(ctx context.Context, in *model.Input, mu *sync.Mutex, ns string, o metav1.ListOptions) error {
	list, err := c.Dynamic.Resource(ArgoRollouts).Namespace(ns).List(ctx, o)
	if err != nil {
		// Where the CRD is not there, who may not list it learns nothing: both mean that there is nothing to explain.
		if apierrors.IsForbidden(err) {
			return apierrors.NewNotFound(ArgoRollouts.GroupResource(), "")
		}
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range list.Items {
		in.Rollouts = append(in.Rollouts, list.Items[i].Object)
	}
	return nil
}

func (c *Collector) pods(ctx context.Context, in *model.Input, mu *sync.Mutex, ns string, o metav1.ListOptions) error {
	return pages(ctx, o, c.Typed.CoreV1().Pods(ns).List, func(l *corev1.PodList) {
		for i := range l.Items {
			in.Pods = append(in.Pods, *slimPod(&l.Items[i]))
		}
	}, mu)
}

func (c *Collector) replicaSets(ctx context.Context, in *model.Input, mu *sync.Mutex, ns string, o metav1.ListOptions) error {
	api, sets := c.Typed.AppsV1(), &kube.Items[appsv1.ReplicaSet, *appsv1.ReplicaSet]{}
	sets.Keep = func(r *appsv1.ReplicaSet) { slimMeta(&r.ObjectMeta) }
	sink := &kube.Smaller{Sink: sets, Cut: managedCut}
	if err := kube.Each(ctx, api.RESTClient(), "replicasets", ns, o, api.ReplicaSets(ns).List, sink); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	have := map[types.UID]bool{} // there is one already where selectors of named rollouts overlap
	for i := range in.ReplicaSets {
		have[in.ReplicaSets[i].UID] = true
	}
	in.ReplicaSets = append(in.ReplicaSets, slices.DeleteFunc(sets.Kept, func(r appsv1.ReplicaSet) bool { return have[r.UID] })...)
	return nil
}

func (c *Collector) controllerRevisions(ctx context.Context, in *model.Input, mu *sync.Mutex, ns string, o metav1.ListOptions) error {
	return pages(ctx, o, c.Typed.AppsV1().ControllerRevisions(ns).List, func(l *appsv1.ControllerRevisionList) {
		for i := range l.Items {
			slimMeta(&l.Items[i].ObjectMeta)
		}
		in.ControllerRevisions = append(in.ControllerRevisions, l.Items...)
	}, mu)
}

// pages reads a list in parts; an expired continuation token begins anew without one.
func pages[L metav1.ListInterface](ctx context.Context, o metav1.ListOptions,
	list func(context.Context, metav1.ListOptions) (L, error), add func(L), mu *sync.Mutex,
) error {
	o.Limit = page
	for {
		l, err := list(ctx, o)
		if apierrors.IsResourceExpired(err) && o.Continue != "" {
			var expired apierrors.APIStatus
			if errors.As(err, &expired) && expired.Status().ListMeta.Continue != "" {
				o.Continue = expired.Status().ListMeta.Continue // consistent as of now
				continue
			}
		}
		if err != nil {
			return err
		}
		mu.Lock()
		add(l)
		mu.Unlock()
		if o.Continue = l.GetContinue(); o.Continue == "" {
			return nil
		}
	}
}

func slimMeta(m *metav1.ObjectMeta) {
	m.ManagedFields = nil
	delete(m.Annotations, corev1.LastAppliedConfigAnnotation)
}

// slimPod drops what is never looked at.
func slimPod(p *corev1.Pod) *corev1.Pod {
	slimMeta(&p.ObjectMeta)
	return p
}

var resources = map[string]schema.GroupVersionResource{
	KindDeployment:  {Group: "apps", Version: "v1", Resource: "deployments"},
	KindStatefulSet: {Group: "apps", Version: "v1", Resource: "statefulsets"},
	KindDaemonSet:   {Group: "apps", Version: "v1", Resource: "daemonsets"},
	KindReplicaSet:  {Group: "apps", Version: "v1", Resource: "replicasets"},
	KindJob:         {Group: "batch", Version: "v1", Resource: "jobs"},
	KindPod:         {Version: "v1", Resource: "pods"},
	KindRollout:     ArgoRollouts,
}
