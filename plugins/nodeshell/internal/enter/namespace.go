package enter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/cleanup"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// watchPatience bounds the opening of the watch.
const watchPatience = 30 * time.Second

// Place finds the namespace that admits the helpers and, where they are to be made, opens the watch there, both at once
// for the first candidate. The caller must RemoveNamespace, also after an error.
func (r *Runner) Place(ctx context.Context, visits []Visit, creates bool) error {
	first := Ready(visits)
	if first == nil {
		return nil
	}
	if r.options.CreateNamespace {
		if err := r.makeNamespace(ctx); err != nil {
			return err
		}
	}
	if creates && r.watched == nil {
		r.openEarly(ctx)
	}
	tries, usable, err := r.askAdmission(ctx, first.Pod)
	if err != nil {
		return kube.Explain(err)
	}
	for i := range visits {
		if v := &visits[i]; v.Verdict == report.Ready {
			v.Plan = evaluate.Place(v.Plan, tries, usable, v.Options)
			v.Options.Namespace = v.Namespace
		}
	}
	placed := Ready(visits)
	if placed == nil || !creates {
		return nil
	}
	cleanup.RemoveExpired(ctx, r.client, r.Now, placed.Namespace, r.made)
	return r.openWatch(ctx, placed.Namespace)
}

// mostTries bounds the namespaces that are asked for the advice where none is found to place the pod.
const mostTries = 4

// askAdmission tries namespaces until one admits the pod. Usable is one that admits it and is only advised: a namespace that
// the user has chosen is not exchanged for another one silently, and one that is labeled for privileged pods is not
// nodeshell's to take.
func (r *Runner) askAdmission(ctx context.Context, pod *corev1.Pod) (tries []evaluate.Try, usable []string, err error) {
	first := r.namespace()
	try, err := r.tryFirst(ctx, pod, first)
	if err != nil {
		return nil, nil, err
	}
	tries = append(tries, try)
	if try.Admits() || r.made != "" {
		return tries, nil, nil
	}
	if r.cluster.NamespaceGiven && !r.free {
		return tries, r.elsewhere(ctx, pod, first), nil
	}
	candidates, labeled := r.reader.Candidates(ctx)
	for _, candidate := range without(candidates, first) {
		if try, err = r.reader.Try(ctx, pod, candidate); err != nil {
			return nil, nil, err
		}
		if tries = append(tries, try); try.Admits() {
			return tries, nil, nil
		}
	}
	labeled = without(labeled, first)
	return tries, r.admitting(ctx, pod, labeled[:min(len(labeled), mostTries)]), nil
}

// elsewhere finds a namespace that admits the pod in place of one that does not, for the advice.
func (r *Runner) elsewhere(ctx context.Context, pod *corev1.Pod, refused string) []string {
	candidates, labeled := r.reader.Candidates(ctx)
	own := without(slices.Concat(without(candidates, metav1.NamespaceSystem), labeled), refused)
	return r.admitting(ctx, pod, without(append(own[:min(len(own), mostTries)], metav1.NamespaceSystem), refused))
}

// admitting is the first of some namespaces that admits the pod; none does, or none could be asked.
func (r *Runner) admitting(ctx context.Context, pod *corev1.Pod, namespaces []string) []string {
	for _, namespace := range namespaces {
		if try, err := r.reader.Try(ctx, pod, namespace); err == nil && try.Admits() {
			return []string{namespace}
		}
	}
	return nil
}

func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
}

// tryFirst asks admission; a namespace that was just made has no service account yet.
func (r *Runner) tryFirst(ctx context.Context, pod *corev1.Pod, namespace string) (evaluate.Try, error) {
	for i := 0; ; i++ {
		try, err := r.reader.Try(ctx, pod, namespace)
		if err != nil || r.made == "" || i >= 50 || !strings.Contains(try.Denied, "serviceaccount") {
			return try, err
		}
		select {
		case <-ctx.Done():
			return try, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// openEarly opens the watch in the first namespace, beside the reads.
func (r *Runner) openEarly(ctx context.Context) {
	group, watched := r.newGroup(r.namespace()), make(chan error, 1)
	r.group, r.watched = group, watched
	go func() { watched <- group.Watch(ctx) }()
}

// openWatch waits for the watch, or opens one in the namespace that was found instead.
func (r *Runner) openWatch(ctx context.Context, namespace string) error {
	if namespace == r.group.Namespace {
		select {
		case err := <-r.watched:
			return kube.Explain(err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchPatience):
			return fmt.Errorf("the API server did not open a watch on pods within %s", watchPatience)
		}
	}
	r.group = r.newGroup(namespace)
	return kube.Explain(r.group.Watch(ctx))
}

func (r *Runner) newGroup(namespace string) *helperpod.Group {
	return &helperpod.Group{Client: r.client, Config: r.cluster.Config, Namespace: namespace, ID: r.id}
}

func (r *Runner) namespace() string {
	if r.made != "" {
		return r.made
	}
	return r.cluster.Namespace
}

// makeNamespace makes a privileged namespace for this run. Its label lets cleanup find it after kill -9.
func (r *Runner) makeNamespace(ctx context.Context) error {
	labels := map[string]string{podspec.ManagedByLabel: cleanup.Manager, podspec.RunLabel: r.id}
	for _, mode := range []string{"enforce", "audit", "warn"} {
		labels[strings.TrimSuffix(evaluate.EnforceLabel, "enforce")+mode] = "privileged"
	}
	r.made = cleanup.NamespacePrefix + r.id
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.made, Labels: labels}}
	_, err := r.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("--create-namespace: %w", err)
	}
	return nil
}

// RemoveNamespace removes the namespace that was made for this run, if there is one.
func (r *Runner) RemoveNamespace(ctx context.Context) {
	if r.made == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := r.client.CoreV1().Namespaces().Delete(ctx, r.made, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		r.env.Warn("warning: namespace %q could not be deleted: %v", r.made, err)
	}
}
