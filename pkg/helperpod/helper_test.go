package helperpod

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	gorilla "github.com/gorilla/websocket"
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
	if err := h.Outlived(t.Context()); err == nil || !strings.Contains(err.Error(), "sign of life") {
		t.Errorf("got %v", err)
	}
}

// An API server that is being restarted takes no delete: it is asked again until it does.
func TestADeleteThatFailsIsRepeated(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "h", Namespace: "x"}})
	refused := 0
	client.PrependReactor("delete", "jobs", func(k8stesting.Action) (bool, runtime.Object, error) {
		if refused++; refused <= 3 {
			return true, nil, errors.New("dial tcp 10.0.0.1:6443: connect: connection refused")
		}
		return false, nil, nil
	})
	g := &Group{Client: client, Namespace: "x", pods: map[string]*corev1.Pod{}, changed: make(chan struct{})}
	h := &Helper{group: g, name: "h", container: "c", guarded: true, perhaps: true, quiet: func() {}, renewing: func() {}}
	if err := h.Close(t.Context()); err != nil || refused != 4 {
		t.Errorf("%v after %d deletes", err, refused)
	}
	if list, err := client.BatchV1().Jobs("x").List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// An API server that has just started refuses everybody until it has read its roles: after a broken line that is no answer.
// A role that lacks the delete is one, at once.
func TestARefusalAfterARestartIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, broke := range []bool{true, false} {
		client := fake.NewClientset(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "h", Namespace: "x"}})
		refused := 0
		client.PrependReactor("delete", "jobs", func(k8stesting.Action) (bool, runtime.Object, error) {
			if refused++; refused <= 3 {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: "batch", Resource: "jobs"}, "h", errors.New("no"))
			}
			return false, nil, nil
		})
		g := &Group{Client: client, Namespace: "x", pods: map[string]*corev1.Pod{}, changed: make(chan struct{})}
		h := &Helper{group: g, name: "h", container: "c", guarded: true, perhaps: true, broke: broke, quiet: func() {}, renewing: func() {}}
		err := h.Close(t.Context())
		if (err == nil) != broke || refused != map[bool]int{true: 4, false: 1}[broke] {
			t.Errorf("broken before: %v: %v after %d deletes", broke, err, refused)
		}
	}
}

// The control stream breaks with the API server, and what that refuses while it starts does not end the lease; a refusal of
// the first stream does.
func TestALeaseOutlivesTheStartOfAnAPIServer(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]bool{"a restart": true, "a role": false} {
		pod := runningPod()
		asked := make(chan int, 10)
		var requests atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := 0
			if r.Method == http.MethodGet { // a refused WebSocket is tried as SPDY once more
				n = int(requests.Add(1))
				asked <- n
			}
			if n == 1 && broken || n == 3 {
				if conn, err := (&gorilla.Upgrader{Subprotocols: []string{"v5.channel.k8s.io"}}).Upgrade(w, r, nil); err == nil && n == 1 {
					_ = conn.Close() // as a process that is killed
				}
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"no","code":403}`)
		}))
		g := &Group{Config: &rest.Config{Host: server.URL}, Client: fake.NewClientset(pod), Namespace: "x", pods: map[string]*corev1.Pod{"h": pod}, changed: make(chan struct{})}
		h := &Helper{Pod: pod, group: g, name: "h", container: "c", voice: newVoice(), lostC: make(chan struct{}), quiet: func() {}, renewing: func() {}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { h.speak(ctx); close(done) }()
		lost, why := h.Lost()
		for third := false; !third; {
			select {
			case at := <-asked:
				third = at == 3
				if third && !broken {
					t.Errorf("%s: asked again after a refusal", name)
				}
			case <-lost:
				if third = true; broken || !strings.Contains(why().Error(), "create pods/attach") {
					t.Errorf("%s: given up: %v", name, why())
				}
			case <-time.After(20 * time.Second):
				third = true
				t.Errorf("%s: nothing happens", name)
			}
		}
		cancel()
		<-done
		server.Close()
	}
}

// lapsedPod is a helper whose holder has heard nothing for its lease.
func lapsedPod() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "h", Namespace: "x", UID: "1", Labels: map[string]string{podspec.HelperLabel: "h"}}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 75, Reason: "Error"}}}}
	pod.Status.Phase = corev1.PodFailed
	return pod
}

func runningPod() *corev1.Pod {
	pod := lapsedPod()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	return pod
}

// The end of a helper has one cause, and it is named: the client's own pause, a deadline that could not be extended, the
// line. A pod that the watch has missed is asked for.
func TestTheEndOfALeaseIsExplained(t *testing.T) {
	t.Parallel()
	fixed := errors.New("the deadline of the Job cannot be extended")
	long := podspec.Lease + 15*time.Second
	for name, test := range map[string]struct {
		seen, now *corev1.Pod // by the watch, and by the API server; nil is gone
		pause     time.Duration
		fixed     error
		want      string
	}{
		"no sign of life":                     {seen: lapsedPod(), want: "it ended after 30s without a sign of life from this client"},
		"this process was paused":             {seen: lapsedPod(), pause: long, want: "this process was paused for 45s"},
		"paused, and the Job has removed all": {seen: runningPod(), pause: long, want: "this process was paused for 45s"},
		"a pause that was short enough":       {seen: lapsedPod(), pause: 5 * time.Second, want: "without a sign of life"},
		"a deadline that stays":               {seen: runningPod(), fixed: fixed, want: fixed.Error()},
		"deleted":                             {seen: runningPod(), want: "was deleted by another client or a controller"},
		"it lives":                            {seen: runningPod(), now: runningPod(), pause: long},
	} {
		client := fake.NewClientset()
		if test.now != nil {
			client = fake.NewClientset(test.now)
		}
		g := &Group{Client: client, Namespace: "x", pods: map[string]*corev1.Pod{"h": test.seen}, changed: make(chan struct{})}
		h := &Helper{group: g, name: "h", container: "c", fixed: test.fixed, voice: newVoice()}
		h.voice.mute = test.pause
		if err := h.fate(t.Context()); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %s", name, err, test.want)
		}
	}
}

// A policy answers 422 where a role answers 403; neither lets the stream in later.
func TestWhatIsRefusedIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	pods := schema.GroupResource{Resource: "pods"}
	policy := `pods "h" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`
	for text, test := range map[string]struct {
		err  error
		want bool
	}{
		"a role":      {apierrors.NewForbidden(pods, "h", errors.New("no")), true},
		"a policy":    {&apierrors.StatusError{ErrStatus: metav1.Status{Reason: metav1.StatusReasonInvalid, Code: 422, Message: policy}}, true},
		"a restart":   {errors.New("websocket: close 1006 (abnormal closure): unexpected EOF"), false},
		"not started": {apierrors.NewInternalError(errors.New("container not found")), false},
		"nothing":     {nil, false},
	} {
		if got := forbids(test.err); got != test.want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// A pod that is not a helper lives through the restart of a container, and through the time it takes to end.
func TestThePodOfACaptureIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	old := runningPod()
	ending1 := runningPod()
	ending1.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	other := runningPod()
	other.UID = "2"
	restarted := runningPod()
	restarted.Status.ContainerStatuses[0].RestartCount = 3
	for name, test := range map[string]struct {
		now     *corev1.Pod
		removed bool
		want    string
	}{
		"nothing is known": {nil, false, ""}, "it runs": {runningPod(), false, ""}, "a container was restarted": {restarted, false, ""},
		"it is ending": {ending1, false, ""}, "gone": {ending1, true, wasDeleted}, "another one": {other, false, wasReplaced}, "terminated": {lapsedPod(), false, hasEnded},
	} {
		if got := ending(old, test.now, test.removed); got != test.want {
			t.Errorf("%s: %q; want %q", name, got, test.want)
		}
	}
}

// Where the watch tells nothing of a pod that runs, a list does; where that is refused too, the watch is named, and not the node.
func TestAWatchThatTellsNothingIsNotTakenForANodeThatDoesNot(t *testing.T) {
	t.Parallel()
	pod := runningPod()
	pod.Labels[podspec.RunLabel] = "run"
	for name, test := range map[string]struct {
		watch  func() (watch.Interface, error)
		listed bool
		says   string
	}{
		"silent":            {func() (watch.Interface, error) { return watch.NewFake(), nil }, true, ""},
		"ends at once":      {func() (watch.Interface, error) { return watch.NewEmptyWatch(), nil }, true, ""},
		"ends, no list":     {func() (watch.Interface, error) { return watch.NewEmptyWatch(), nil }, false, "the watch on pods fails: the API server, or a proxy"},
		"silent, no list":   {func() (watch.Interface, error) { return watch.NewFake(), nil }, false, "the API server returned no pod"},
		"reopening refused": {nil, false, "the watch on pods fails: no more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset(pod)
			opened := 0
			client.PrependWatchReactor("pods", func(k8stesting.Action) (bool, watch.Interface, error) {
				if opened++; test.watch == nil && opened > 1 {
					return true, nil, errors.New("no more")
				}
				if test.watch == nil {
					return true, watch.NewEmptyWatch(), nil
				}
				w, err := test.watch()
				return true, w, err
			})
			if !test.listed {
				client.PrependReactor("list", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
				})
			}
			g := &Group{Client: client, Namespace: "x", ID: "run"}
			if err := g.Watch(t.Context()); err != nil {
				t.Fatal(err)
			}
			h := &Helper{group: g, name: "h", container: "c"}
			found, err := g.await(t.Context(), h, Patience{Start: 5 * time.Second, Pull: 5 * time.Second}, nil)
			if test.says == "" && (err != nil || found == nil) || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
}
