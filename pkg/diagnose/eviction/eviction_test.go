package eviction

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubectl/pkg/drain"
)

func owned(kind, name string) func(*corev1.Pod) {
	version := map[string]string{"Job": "batch/v1", "Foo": "example.com/v1", "Node": "v1"}[kind]
	if version == "" {
		version = "apps/v1"
	}
	return func(p *corev1.Pod) {
		p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{APIVersion: version, Kind: kind, Name: name, Controller: new(true)})
	}
}

func phase(phase corev1.PodPhase) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Phase = phase }
}

func emptyDir(medium corev1.StorageMedium) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: medium}}})
	}
}

func mirror(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }

func deleted(p *corev1.Pod) {
	p.DeletionTimestamp, p.Finalizers = new(metav1.NewTime(time.Now().Add(-time.Hour))), []string{"example.com/hold"}
}

// kinds are pods of every kind that a drain tells apart.
var kinds = map[string]struct {
	fate    Fate
	changes []func(*corev1.Pod)
}{
	"bare":                      {Bare, nil},
	"bare-memory":               {Bare, []func(*corev1.Pod){emptyDir(corev1.StorageMediumMemory)}},
	"bare-done":                 {Finished, []func(*corev1.Pod){phase(corev1.PodSucceeded), emptyDir("")}},
	"bare-failed":               {Finished, []func(*corev1.Pod){phase(corev1.PodFailed)}},
	"bare-deleted":              {EndsByNow, []func(*corev1.Pod){deleted}},
	"owned-without-controller":  {Bare, []func(*corev1.Pod){owned("ReplicaSet", "r"), func(p *corev1.Pod) { p.OwnerReferences[0].Controller = nil }}},
	"replica":                   {Replaced, []func(*corev1.Pod){owned("ReplicaSet", "r")}},
	"replica-pending":           {Replaced, []func(*corev1.Pod){owned("ReplicaSet", "r"), phase(corev1.PodPending)}},
	"replica-disk":              {Replaced, []func(*corev1.Pod){owned("ReplicaSet", "r"), emptyDir("")}},
	"replica-deleted-memory":    {EndsByNow, []func(*corev1.Pod){owned("ReplicaSet", "r"), deleted, emptyDir(corev1.StorageMediumMemory)}},
	"stateful":                  {Replaced, []func(*corev1.Pod){owned("StatefulSet", "s")}},
	"job":                       {Replaced, []func(*corev1.Pod){owned("Job", "j")}},
	"job-done":                  {Finished, []func(*corev1.Pod){owned("Job", "j"), phase(corev1.PodSucceeded), emptyDir("")}},
	"custom":                    {Replaced, []func(*corev1.Pod){owned("Foo", "f")}},
	"daemon":                    {Daemon, []func(*corev1.Pod){owned("DaemonSet", "here"), emptyDir("")}},
	"daemon-done":               {Finished, []func(*corev1.Pod){owned("DaemonSet", "here"), phase(corev1.PodFailed)}},
	"daemon-deleted":            {Daemon, []func(*corev1.Pod){owned("DaemonSet", "here"), deleted}},
	"daemon-orphan":             {Orphan, []func(*corev1.Pod){owned("DaemonSet", "gone")}},
	"daemon-orphan-memory":      {Orphan, []func(*corev1.Pod){owned("DaemonSet", "gone"), emptyDir(corev1.StorageMediumMemory)}},
	"daemon-orphan-done":        {Finished, []func(*corev1.Pod){owned("DaemonSet", "gone"), phase(corev1.PodSucceeded)}},
	"mirror":                    {Static, []func(*corev1.Pod){owned("Node", "n"), mirror, emptyDir("")}},
	"mirror-bare":               {Static, []func(*corev1.Pod){mirror}},
	"mirror-done":               {Static, []func(*corev1.Pod){mirror, phase(corev1.PodSucceeded)}},
	"mirror-of-orphan":          {Static, []func(*corev1.Pod){mirror, owned("DaemonSet", "gone")}},
	"mirror-of-daemon":          {Daemon, []func(*corev1.Pod){mirror, owned("DaemonSet", "here")}},
	"old-daemon-of-other-group": {Replaced, []func(*corev1.Pod){owned("Foo", "f"), func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" }}},
}

// The oracle is kubectl's own filter: with the flags that we say a pod needs it must do what we say, and with any of them less
// it must refuse.
func TestFatesAndFlagsAreThoseOfKubectlDrain(t *testing.T) {
	for kind, tt := range kinds {
		t.Run(kind, func(t *testing.T) {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: kind}, Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
			for _, change := range tt.changes {
				change(p)
			}
			orphan := slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Name == "gone" })
			if got := FateOf(p, orphan); got != tt.fate {
				t.Errorf("fate %s, want %s", got, tt.fate)
			}
			need := FlagsFor(p, orphan)
			client := fake.NewClientset(p, &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "here"}})
			for i := range 8 {
				f := Flags{IgnoreDaemonSets: i&1 != 0, DeleteEmptyDir: i&2 != 0, Force: i&4 != 0}
				d := drain.Helper{Ctx: t.Context(), Client: client, IgnoreAllDaemonSets: f.IgnoreDaemonSets, DeleteEmptyDirData: f.DeleteEmptyDir, Force: f.Force}
				list, errs := d.GetPodsForDeletion("n")
				enough := (f.IgnoreDaemonSets || !need.IgnoreDaemonSets) && (f.DeleteEmptyDir || !need.DeleteEmptyDir) && (f.Force || !need.Force)
				if (len(errs) == 0) != enough {
					t.Errorf("%+v: kubectl says %v; we say that it needs %+v", f, errs, need)
				}
				if goes := len(list.Pods()) == 1; enough && goes != FateOf(p, orphan).Goes() {
					t.Errorf("%+v: kubectl deletes it: %t", f, goes)
				}
			}
		})
	}
}

// All pods at once: the set that kubectl deletes is ours.
func TestTheSetOfDeletedPodsIsThatOfKubectlDrain(t *testing.T) {
	objects := []runtime.Object{&appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "here"}}}
	var ours []string
	for kind, tt := range kinds {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: kind}, Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		for _, change := range tt.changes {
			change(p)
		}
		objects = append(objects, p)
		if tt.fate.Goes() {
			ours = append(ours, kind)
		}
	}
	d := drain.Helper{Ctx: t.Context(), Client: fake.NewClientset(objects...), IgnoreAllDaemonSets: true, DeleteEmptyDirData: true, Force: true}
	list, errs := d.GetPodsForDeletion("n")
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var theirs []string
	for _, p := range list.Pods() {
		theirs = append(theirs, p.Name)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	if !slices.Equal(ours, theirs) || len(ours) < 15 {
		t.Errorf("ours %s\ntheirs %s", strings.Join(ours, " "), strings.Join(theirs, " "))
	}
}

func budget(name string, change func(b *policyv1.PodDisruptionBudget)) policyv1.PodDisruptionBudget {
	b := policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		Status:     policyv1.PodDisruptionBudgetStatus{CurrentHealthy: 1, DesiredHealthy: 2, ExpectedPods: 2},
	}
	if change != nil {
		change(&b)
	}
	return b
}

func TestGuardsAreTheBudgetsThatTheAPIServerAsks(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(p *corev1.Pod)
		budget func(b *policyv1.PodDisruptionBudget)
		want   int
	}{
		"a pod that runs":               {nil, nil, 1},
		"one that has not started":      {phase(corev1.PodPending), nil, 0},
		"one that has ended":            {phase(corev1.PodSucceeded), nil, 0},
		"one that is being deleted":     {deleted, nil, 0},
		"of another namespace":          {nil, func(b *policyv1.PodDisruptionBudget) { b.Namespace = "b" }, 0},
		"an empty selector matches all": {nil, func(b *policyv1.PodDisruptionBudget) { b.Spec.Selector = &metav1.LabelSelector{} }, 1},
		"no selector matches none":      {nil, func(b *policyv1.PodDisruptionBudget) { b.Spec.Selector = nil }, 0},
	} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Labels: map[string]string{"app": "web"}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
		if tt.change != nil {
			tt.change(p)
		}
		if got := Guards(p, []policyv1.PodDisruptionBudget{budget("x", tt.budget)}); len(got) != tt.want {
			t.Errorf("%s: %d", name, len(got))
		}
	}
}

func TestAPodThatIsNotReadyCountsWhereItsBudgetSaysSo(t *testing.T) {
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	for name, tt := range map[string]struct {
		conditions []corev1.PodCondition
		change     func(b *policyv1.PodDisruptionBudget)
		want       bool
	}{
		"ready":                        {[]corev1.PodCondition{ready}, nil, true},
		"not ready, too few healthy":   {nil, nil, true},
		"not ready, others are enough": {nil, func(b *policyv1.PodDisruptionBudget) { b.Status.CurrentHealthy = 2 }, false},
		"not ready, none is wanted":    {nil, func(b *policyv1.PodDisruptionBudget) { b.Status.DesiredHealthy = 0 }, true},
		"not ready, always allowed":    {nil, func(b *policyv1.PodDisruptionBudget) { b.Spec.UnhealthyPodEvictionPolicy = new(policyv1.AlwaysAllow) }, false},
		"not ready, allowed of healthy budget": {nil, func(b *policyv1.PodDisruptionBudget) {
			b.Spec.UnhealthyPodEvictionPolicy = new(policyv1.IfHealthyBudget)
		}, true},
	} {
		b := budget("x", tt.change)
		if got := Counts(&corev1.Pod{Status: corev1.PodStatus{Conditions: tt.conditions}}, &b); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
