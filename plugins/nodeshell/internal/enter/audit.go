package enter

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/cleanup"
)

// audit leaves an Event on the node: who entered it, and why (https://github.com/openshift/oc/issues/265). It is a
// record, not a control: without the permission it is left out.
func (r *Runner) audit(ctx context.Context, v Visit) (wait func()) {
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	go func() {
		defer close(done)
		defer cancel()
		who := v.Pod.Annotations[podspec.UserAnnotation]
		if who == "" {
			who = "an unknown user"
		}
		message := fmt.Sprintf("%s entered the node as root through pod %s/%s", who, v.Namespace, v.Pod.Name)
		if r.options.Reason != "" {
			message += ": " + r.options.Reason
		}
		now := metav1.NewTime(r.Now())
		_, err := r.client.CoreV1().Events(metav1.NamespaceDefault).Create(ctx, &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{
				Name: v.Pod.Name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{podspec.ManagedByLabel: cleanup.Manager},
			},
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: v.Node, UID: v.Target.Node.UID},
			Reason:         "NodeShell", Message: message, Type: corev1.EventTypeNormal, Count: 1,
			Source: corev1.EventSource{Component: cleanup.Manager}, FirstTimestamp: now, LastTimestamp: now,
		}, metav1.CreateOptions{})
		if err != nil {
			klog.V(2).InfoS("no Event on the node", "err", err)
		}
	}()
	return func() { <-done }
}
