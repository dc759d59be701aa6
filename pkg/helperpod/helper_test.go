package helperpod

import (
	"errors"
	"strings"
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

// Admission's change is seen on the pod that was made, before anything is waited for.
func TestAPodThatAdmissionChangedIsRefusedBeforeItRuns(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	client.PrependReactor("create", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		action.(k8stesting.CreateAction).GetObject().(*corev1.Pod).Spec.HostPID = false
		return false, nil, nil
	})
	g := &Group{Client: client, Config: &rest.Config{Host: "http://127.0.0.1:1"}, Namespace: "x", ID: "run"}
	if err := g.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{podspec.HelperLabel: "h"}
	asked := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "h", Namespace: "x", Labels: labels}, Spec: corev1.PodSpec{HostPID: true}}
	taken := errors.New("admission took hostPID")
	h, err := g.Start(t.Context(), Spec{Pod: asked.DeepCopy(), Container: "c", Patience: Patience{Start: time.Minute}, Check: func(made *corev1.Pod) error {
		if !made.Spec.HostPID {
			return taken
		}
		return nil
	}})
	if !errors.Is(err, taken) {
		t.Errorf("started: %v", err)
	}
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := client.CoreV1().Pods("x").List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// The runtime kills what runs in a container that ends: code 137 is then not the command's.
func TestACodeOfAHelperThatEndedIsNotTheCommands(t *testing.T) {
	t.Parallel()
	g := &Group{changed: make(chan struct{}), pods: map[string]*corev1.Pod{}, Client: fake.NewClientset(), Config: &rest.Config{Host: "http://127.0.0.1:1"}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "h", Labels: map[string]string{podspec.HelperLabel: "h"}}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 75, Reason: "Error"}}}}
	pod.Status.Phase = corev1.PodFailed
	g.see(pod, false)
	h := &Helper{group: g, name: "h", container: "c", Pod: pod, lostC: make(chan struct{})}
	go h.watchEnd(t.Context())
	if err := h.Outlived(t.Context()); err == nil || !strings.Contains(err.Error(), "75") {
		t.Errorf("got %v", err)
	}
}
