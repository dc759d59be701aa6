package cleanup

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// cleaner looks into one cluster.
type cleaner struct {
	client kube.Clients
	now    func() time.Time             // the server's clock
	user   func(context.Context) string // who asks; only for Options.Mine
}

// leftover is an object that a session has made.
type leftover struct {
	kind, namespace, name, node, user, state string
	age                                      time.Duration
	remove                                   bool
	uid                                      metav1.Preconditions
}

// ours selects what sessions have made.
var ours = metav1.ListOptions{LabelSelector: podspec.ManagedByLabel + "=" + Manager}

// leftovers lists Jobs, bare pods and namespaces by label, and decides on each.
func (c cleaner) leftovers(ctx context.Context, namespace string, o Options) ([]leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	mine := ""
	if o.Mine {
		mine = c.user(ctx)
	}
	pods, err := c.client.CoreV1().Pods(namespace).List(ctx, ours)
	if err != nil {
		return nil, err
	}
	var list []leftover
	live := map[string]bool{} // namespaces and Jobs with a session that runs and is kept
	for i := range pods.Items {
		pod := &pods.Items[i]
		l := c.judge("pod", pod.ObjectMeta, podState(pod, c.now()), mine, o)
		l.node = pod.Spec.NodeName
		live[pod.Namespace] = live[pod.Namespace] || !l.remove
		live[pod.Namespace+"/"+pod.Labels[podspec.HelperLabel]] = !l.remove
		list = append(list, l)
	}
	jobs, err := c.client.BatchV1().Jobs(namespace).List(ctx, ours)
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		return nil, err
	}
	if err == nil {
		for i := range jobs.Items {
			job := &jobs.Items[i]
			state := jobState(job, c.now())
			if live[job.Namespace+"/"+job.Name] {
				state = "running"
			}
			live[job.Namespace] = live[job.Namespace] || state == "running"
			list = append(list, c.judge("job", job.ObjectMeta, state, mine, o))
		}
	}
	if o.All {
		list = append(list, c.emptyNamespaces(ctx, live, o)...)
	}
	sorting.Func(list, func(a, b leftover) int {
		return cmp.Or(cmp.Compare(order(a.kind), order(b.kind)), cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return list, nil
}

// order deletes Jobs before their pods, or the controller makes another one.
func order(kind string) int { return slices.Index([]string{"job", "pod", "namespace"}, kind) }

func (c cleaner) judge(kind string, meta metav1.ObjectMeta, state, mine string, o Options) leftover {
	l := leftover{
		kind: kind, namespace: meta.Namespace, name: meta.Name, user: meta.Annotations[podspec.UserAnnotation],
		state: state, age: c.now().Sub(meta.CreationTimestamp.Time), uid: *metav1.NewUIDPreconditions(string(meta.UID)),
	}
	own := mine != "" && l.user == mine
	l.remove = (state != "running" || own) && l.age >= o.OlderThan
	return l
}

func podState(pod *corev1.Pod, now time.Time) string {
	switch {
	case podfact.Finished(pod):
		return "finished"
	case podspec.Expired(pod.Annotations, now):
		return "expired"
	case pod.DeletionTimestamp != nil:
		return "terminating"
	}
	return "running"
}

// jobState reads a guard. One without a pod is a session that begins: its deadline, which its client pushes on, tells
// when it is dead, also where no controller is there to say so.
func jobState(job *batchv1.Job, now time.Time) string {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return "finished"
		}
	}
	if limit := job.Spec.ActiveDeadlineSeconds; limit != nil {
		start := job.CreationTimestamp
		if job.Status.StartTime != nil {
			start = *job.Status.StartTime
		}
		if now.After(start.Add(time.Duration(*limit)*time.Second + time.Minute)) {
			return "expired"
		}
	}
	if podspec.Expired(job.Annotations, now) {
		return "expired"
	}
	return "running"
}

func (c cleaner) emptyNamespaces(ctx context.Context, live map[string]bool, o Options) []leftover {
	namespaces, err := c.client.CoreV1().Namespaces().List(ctx, ours)
	if err != nil {
		return nil
	}
	var list []leftover
	for i := range namespaces.Items {
		n := &namespaces.Items[i]
		if !strings.HasPrefix(n.Name, NamespacePrefix) {
			continue
		}
		state := "empty"
		// A session makes its namespace first and its pod a moment later.
		if live[n.Name] || c.now().Sub(n.CreationTimestamp.Time) < time.Minute {
			state = "running"
		}
		if state == "empty" && c.othersLive(ctx, n.Name) {
			continue
		}
		list = append(list, c.judge("namespace", n.ObjectMeta, state, "", o))
	}
	return list
}

// othersLive says whether a namespace that a session made has come to hold somebody else's pods, or may: with it they
// would go, too.
func (c cleaner) othersLive(ctx context.Context, namespace string) bool {
	others := metav1.ListOptions{LabelSelector: podspec.ManagedByLabel + "!=" + Manager, Limit: 1}
	pods, err := c.client.CoreV1().Pods(namespace).List(ctx, others)
	return err != nil || len(pods.Items) > 0
}
