package cleanup

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func meta(namespace, name string, age time.Duration, expires time.Duration) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: "u", CreationTimestamp: metav1.NewTime(now.Add(-age)),
		Labels:      map[string]string{podspec.ManagedByLabel: Manager, podspec.HelperLabel: name},
		Annotations: map[string]string{podspec.ExpiresAnnotation: now.Add(expires).Format(time.RFC3339)},
	}
}

func pod(namespace, name string, age, expires time.Duration, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: meta(namespace, name, age, expires), Status: corev1.PodStatus{Phase: phase}}
}

func job(name string, age time.Duration, deadline int64) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: meta("x", name, age, time.Hour), Spec: batchv1.JobSpec{ActiveDeadlineSeconds: &deadline}}
}

func cleanerOn(objects ...runtime.Object) (cleaner, *fake.Clientset) {
	client := fake.NewClientset(objects...)
	return cleaner{client: client, now: func() time.Time { return now }}, client
}

// What nobody holds any more goes; what may be somebody's session stays, also one that is a moment old.
func TestARunReapsWhatKilledClientsLeft(t *testing.T) {
	foreign := pod("x", "foreign", time.Hour, -time.Minute, corev1.PodFailed)
	foreign.Labels[podspec.ManagedByLabel] = "somebody-else"
	guest := pod("nodeshell-shared", "guest", time.Hour, -time.Minute, corev1.PodFailed)
	guest.Labels = nil
	space := func(name string, age time.Duration) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: meta("", name, age, 0)}
	}
	c, client := cleanerOn(
		foreign, guest, space("nodeshell-shared", time.Hour),
		pod("x", "failed", time.Hour, time.Hour, corev1.PodFailed),
		pod("x", "ended-now", 10*time.Second, time.Hour, corev1.PodSucceeded),
		pod("x", "running", time.Hour, time.Hour, corev1.PodRunning),
		pod("x", "expired", 5*time.Hour, -time.Hour, corev1.PodRunning),
		pod("y", "elsewhere", time.Hour, time.Hour, corev1.PodFailed),
		job("beginning", 2*time.Second, 20), job("long", time.Hour, 4*3600), job("dead", 10*time.Minute, 20),
		space("nodeshell-empty", time.Hour), space("nodeshell-new", time.Second),
		space("nodeshell-used", time.Hour), space("kept-by-people", time.Hour),
		pod("nodeshell-used", "s", time.Hour, time.Hour, corev1.PodRunning),
	)
	RemoveExpired(t.Context(), client, c.now, "x", "")
	deleted := waitForDeletes(t.Context(), client, 4)
	want := []string{"jobs/dead", "namespaces/nodeshell-empty", "pods/expired", "pods/failed"}
	if diff := cmp.Diff(want, deleted); diff != "" {
		t.Error(diff)
	}
}

// waitForDeletes waits for n deletions, and a moment more for one too many.
func waitForDeletes(ctx context.Context, client *fake.Clientset, n int) []string {
	var names []string
	for end := time.Now().Add(5 * time.Second); len(names) < n && time.Now().Before(end) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		names = deletes(client)
	}
	time.Sleep(100 * time.Millisecond)
	return deletes(client)
}

func deletes(client *fake.Clientset) []string {
	var names []string
	for _, a := range client.Actions() {
		if d, ok := a.(interface{ GetName() string }); ok && a.GetVerb() == "delete" {
			names = append(names, a.GetResource().Resource+"/"+d.GetName())
		}
	}
	slices.Sort(names)
	return names
}

// cleanup shows a session that has just begun as running, and leaves it alone.
func TestCleanupKeepsAJobThatHasNoPodYet(t *testing.T) {
	c, _ := cleanerOn(job("beginning", 2*time.Second, 20), job("dead", 10*time.Minute, 20))
	list, err := c.leftovers(t.Context(), "x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, l := range list {
		got[l.name+" "+l.state] = l.remove
	}
	if diff := cmp.Diff(map[string]bool{"beginning running": false, "dead expired": true}, got); diff != "" {
		t.Error(diff)
	}
}
