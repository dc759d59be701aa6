package helperpod

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
)

// A Job controller that is slow makes its pod after all, beside the bare one: only the bare one is this session's.
func TestALatePodOfTheGuardIsNotTakenForTheBareOne(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	client.PrependReactor("create", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		pod := action.(k8stesting.CreateAction).GetObject().(*corev1.Pod)
		pod.UID, pod.Namespace = "bare", "x"
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		return false, nil, nil
	})
	g := &Group{Client: client, Config: &rest.Config{Host: "http://127.0.0.1:1"}, Namespace: "x", ID: "run"}
	if err := g.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "h", Namespace: "x", Labels: map[string]string{podspec.HelperLabel: "h"}}}
	h, err := g.Start(t.Context(), Spec{Pod: asked, Container: "c", Guard: true, Patience: Patience{Start: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	late := asked.DeepCopy()
	late.Name, late.UID = "h-xyz", "late"
	g.see(late, false)
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var deleted []string
	for _, a := range client.Actions() {
		if d, ok := a.(k8stesting.DeleteAction); ok && a.GetResource().Resource == "pods" {
			deleted = append(deleted, d.GetName())
		}
	}
	if len(deleted) != 1 || deleted[0] != h.Name() || h.Name() == "h" {
		t.Errorf("deleted %q; the pod of this session is %q", deleted, h.Name())
	}
}

// A pod that vanished after its guard's deadline was ended by the guard, not by a policy.
func TestAGuardThatWasNotRenewedIsNamed(t *testing.T) {
	t.Parallel()
	g := &Group{changed: make(chan struct{}), pods: map[string]*corev1.Pod{}, Client: fake.NewClientset()}
	gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{podspec.HelperLabel: "h"}, DeletionTimestamp: &metav1.Time{Time: time.Now()}}}
	g.see(gone, false)
	for renewed, want := range map[time.Duration]string{0: podspec.WaitDeleted, pendingLease + time.Second: podspec.WaitOverdue} {
		h := &Helper{group: g, name: "h", container: "c", guarded: true, renewed: time.Now().Add(-renewed)}
		_, err := g.await(t.Context(), h, Patience{Start: time.Minute}, nil)
		var not *NotStarted
		if !errors.As(err, &not) || not.Code != want {
			t.Errorf("renewed %s ago: %v; want %s", renewed, err, want)
		}
	}
}
