package nodeshell

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/cleanup"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
)

// audit leaves an Event on the node: who entered it, and why (https://github.com/openshift/oc/issues/265). It is a
// courtesy to those who look at the node later, not a control: without the permission it is left out.
func (r *runner) audit(ctx context.Context, p planned) (wait func()) {
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	go func() {
		defer close(done)
		defer cancel()
		who := p.Pod.Annotations[podspec.UserAnnotation]
		if who == "" {
			who = "someone"
		}
		message := fmt.Sprintf("%s entered the node as root by pod %s/%s", who, p.Namespace, p.Pod.Name)
		if r.pod.reason != "" {
			message += ": " + r.pod.reason
		}
		now := metav1.NewTime(r.cluster.Clock.Now())
		_, err := r.client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: p.Pod.Name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{podspec.ManagedByLabel: cleanup.Manager}},
			InvolvedObject: corev1.ObjectReference{
				APIVersion: "v1", Kind: "Node", Name: p.Node, UID: p.target.Node.UID,
			},
			Reason: "NodeShell", Message: message, Type: corev1.EventTypeNormal, Count: 1,
			Source: corev1.EventSource{Component: cleanup.Manager}, FirstTimestamp: now, LastTimestamp: now,
		}, metav1.CreateOptions{})
		if err != nil {
			klog.V(2).InfoS("no Event on the node", "err", err)
		}
	}()
	return func() { <-done }
}

// makeNamespace makes a privileged namespace for this run. Its label lets cleanup find it after kill -9.
func (r *runner) makeNamespace(ctx context.Context) error {
	name := cleanup.NamespacePrefix + r.id
	labels := map[string]string{podspec.ManagedByLabel: cleanup.Manager, podspec.RunLabel: r.id}
	for _, mode := range []string{"enforce", "audit", "warn"} {
		labels[strings.TrimSuffix(evaluate.EnforceLabel, "enforce")+mode] = "privileged"
	}
	r.made = name
	_, err := r.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("--create-namespace: %w", err)
	}
	return nil
}

// tryNamespace asks admission; a namespace that was just made has no service account yet.
func (r *runner) tryNamespace(ctx context.Context, p *planned, namespace string) (evaluate.Try, error) {
	for i := 0; ; i++ {
		try, err := r.reader.Try(ctx, p.Pod, namespace)
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

func (r *runner) removeNamespace(ctx context.Context) {
	if r.made == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := r.client.CoreV1().Namespaces().Delete(ctx, r.made, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		r.env.Warn("warning: namespace %q could not be deleted: %v", r.made, err)
	}
}

func quoteAll(argv []string) string {
	quoted := make([]string, len(argv))
	for i, word := range argv {
		quoted[i] = finding.Quote(word)
	}
	return strings.Join(quoted, " ")
}
