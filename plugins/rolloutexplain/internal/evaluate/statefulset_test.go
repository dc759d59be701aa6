package evaluate

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// firstRollout is a StatefulSet of three whose first pod is as given, and whose others do not exist.
func firstRollout(policy appsv1.PodManagementPolicyType, pods ...corev1.ContainerStatus) *builder {
	b := statefulCase(func(s *appsv1.StatefulSet) {
		s.Spec.Replicas, s.Spec.PodManagementPolicy = plain.Ptr(int32(3)), policy
		s.Status.CurrentRevision, s.Status.Replicas, s.Status.ReadyReplicas, s.Status.AvailableReplicas = "db-r2", 1, 0, 0
	})
	b.in.Pods, b.pod = nil, 0
	for i, s := range pods {
		b.ownedPod("db-"+string(rune('0'+i)), "StatefulSet", "sts", "db-r2", s, time.Minute)
	}
	return b
}

func ghost(b *builder, pod string, attempts int32) *builder {
	return b.event("sts", "FailedCreate", "create Pod "+pod+` in StatefulSet db failed error: pods "`+pod+`" is forbidden: error looking up service account shop/ghost: serviceaccount "ghost" not found`, attempts)
}

func TestOnlyPodsThatAreDueAreMissing(t *testing.T) {
	const ordered, parallel = appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement
	tests := []struct {
		name string
		b    *builder
		root finding.Code
		says string
	}{
		{"the others wait for a pod that is not ready", func() *builder {
			b := firstRollout(ordered, notReadyYet(time.Minute))
			b.c().ReadinessProbe = probe(1, 3)
			return b.podEvent("Unhealthy", "Readiness probe failed: connection refused", 30)
		}(), pods.ReadinessProbeFailing, "db-0"},
		{"the others wait for a pod that pulls", firstRollout(ordered, waiting("ContainerCreating", "")).podEvent("Pulling", `Pulling image "db:2"`, 1), pods.ImagePullInProgress, "pulling"},
		{"the next one is due", firstRollout(ordered, running(time.Minute)), refusal.PodsNotCreated, "has not created 2 desired pods"},
		{"a lower one is due before what is above", func() *builder {
			b := firstRollout(ordered, running(time.Minute), notReadyYet(time.Minute))
			b.in.Pods = b.in.Pods[1:]
			return ghost(b, "db-0", 9)
		}(), refusal.ServiceAccountNotFound, "cannot create 2 pods"},
		{"what is too many does not stand for what is too few", func() *builder {
			b := firstRollout(ordered, running(time.Minute), running(time.Minute), running(time.Minute), running(time.Minute))
			b.in.Pods = append(b.in.Pods[:1:1], b.in.Pods[2:]...)
			return ghost(b, "db-1", 9)
		}(), refusal.ServiceAccountNotFound, "cannot create 1 pod"},
		{"Parallel waits for nothing", ghost(firstRollout(parallel, notReadyYet(time.Minute)), "db-1", 9), refusal.ServiceAccountNotFound, "cannot create 2 pods"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Evaluate(tt.b.in, now, model.Options{}).Items[0]
			if r := wait.RootOf(&got); r == nil || r.Code != tt.root || !strings.Contains(r.Message, tt.says) {
				t.Errorf("want %s, %q: %s", tt.root, tt.says, codesOf(report.List{Items: []report.Rollout{got}}))
			}
		})
	}
}

// A refusal that has been answered since is history, whatever else is missing now.
func TestARefusalThatWasAnsweredIsNotTold(t *testing.T) {
	const parallel = appsv1.ParallelPodManagement
	later := func(b *builder, name string) *builder {
		for i := range b.in.Pods {
			if b.in.Pods[i].Name == name {
				b.in.Pods[i].CreationTimestamp = ago(2 * time.Second)
			}
		}
		return b
	}
	refused := func(text string) *builder {
		b := deploymentCase()
		b.in.Pods, b.d.Spec.Replicas, b.rs.Spec.Replicas = b.in.Pods[:2], plain.Ptr(int32(4)), plain.Ptr(int32(2))
		b.addPod("api-2-x", "rs2", "api:2", "w1", time.Minute, running(time.Second))
		return b.event("rs2", "FailedCreate", "Error creating: "+text, 5)
	}
	failing := later(refused(`pods "api-2-" is forbidden: no PriorityClass with name nope was found`), "api-2-x")
	failing.rs.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: "ReplicaFailure", Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "of old"}}
	tests := []struct {
		name string
		b    *builder
		code finding.Code
		told bool
	}{
		{"the pod came", later(ghost(firstRollout(parallel, running(time.Second)), "db-0", 9), "db-0"), refusal.ServiceAccountNotFound, false},
		{"the pod was there before", ghost(firstRollout(parallel, running(time.Minute)), "db-0", 9), refusal.ServiceAccountNotFound, true},
		{"another pod came", later(ghost(firstRollout(parallel, running(time.Second)), "db-1", 9), "db-0"), refusal.ServiceAccountNotFound, true},
		{"a pod of the ReplicaSet came", later(refused(`pods "api-2-" is forbidden: no PriorityClass with name nope was found`), "api-2-x"), refusal.PriorityClassNotFound, false},
		{"a pod of the old ReplicaSet came", later(refused(`pods "api-2-" is forbidden: no PriorityClass with name nope was found`), "api-1-a"), refusal.PriorityClassNotFound, true},
		{"a pod came, and the ReplicaSet says that its last attempt failed", failing, refusal.PriorityClassNotFound, true},
		{"under a quota some come and some do not", later(refused(`pods "api-2-" is forbidden: exceeded quota: two, requested: pods=1, used: pods=2, limited: pods=2`), "api-2-x"), refusal.QuotaExceeded, true},
	}
	for _, tt := range tests {
		if got := Evaluate(tt.b.in, now, model.Options{}); (findingOf(got, tt.code) != nil) != tt.told {
			t.Errorf("%s: told %v is wrong: %s", tt.name, !tt.told, codesOf(got))
		}
	}
}

func TestActionOfAPartitionedUpdate(t *testing.T) {
	tests := []struct {
		name      string
		partition int32
		first     int32
		old       []int
		want      string
	}{
		{"only pods below the partition are old", 2, 0, []int{0, 1}, "nothing: the remaining old pods are below partition 2"},
		{"a pod above is old", 1, 0, []int{0, 1}, "down to 1; next is db-1"},
		{"ordinals that begin later", 1, 5, []int{5, 6}, "down to 6; next is db-6"},
		{"ordinals that begin later, all below", 2, 5, []int{5, 6}, "below partition 2"},
	}
	for _, tt := range tests {
		b := firstRollout(appsv1.ParallelPodManagement)
		s := &b.in.StatefulSets[0]
		s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: plain.Ptr(tt.partition)}
		s.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: tt.first}
		for _, i := range tt.old {
			b.ownedPod("db-"+string(rune('0'+i)), "StatefulSet", "sts", "db-r1", running(time.Hour), time.Hour)
		}
		b.ownedPod("db-"+string('0'+tt.first+2), "StatefulSet", "sts", "db-r2", crashed(1, 4, "Error"), time.Minute)
		if got := Evaluate(b.in, now, model.Options{}).Items[0]; !strings.Contains(strings.Join(got.NextAction, "\n"), tt.want) {
			t.Errorf("%s: %q", tt.name, got.NextAction)
		}
	}
}

// The last pod that serves must not be the one that is offered for deletion while the new template crashes.
func TestOnDeleteSparesThePodsThatServe(t *testing.T) {
	onDelete := func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy.Type, s.Spec.PodManagementPolicy = appsv1.OnDeleteStatefulSetStrategyType, appsv1.ParallelPodManagement
	}
	deletes := func(f *report.Finding, pod string) bool {
		for _, n := range f.Next {
			if strings.Contains(n.Command, "delete pod") && strings.Contains(n.Command, pod) {
				return true
			}
		}
		return false
	}
	b := statefulCase(onDelete)
	got := Evaluate(b.in, now, model.Options{})
	if f := findingOf(got, kinds.OnDelete); f == nil || deletes(f, "db-0") || len(f.Next) == 0 {
		t.Errorf("the new pod crashes: %+v", f)
	}
	r := got.Items[0]
	if r.Rollback == nil || !r.Rollback.Advised || !deletes(&r.Findings[0], "db-1") {
		t.Errorf("an undo alone replaces nothing: %+v", r.Rollback)
	}
	b = statefulCase(onDelete)
	healthy(b)
	if f := findingOf(Evaluate(b.in, now, model.Options{}), kinds.OnDelete); f == nil || !deletes(f, "db-0") {
		t.Errorf("the new pod works: %+v", f)
	}
	b = statefulCase(onDelete)
	b.in.Pods[0].Status.Conditions[2].Status = corev1.ConditionFalse
	if f := findingOf(Evaluate(b.in, now, model.Options{}), kinds.OnDelete); f == nil || !deletes(f, "db-0") {
		t.Errorf("the old pod serves nothing either: %+v", f)
	}
}

// What the controller does to failed pods meanwhile does not hide that it cannot update one.
func TestUpdateErrorIsSeenBesideOtherEvents(t *testing.T) {
	b := statefulCase(keepSet).event("sts", "FailedUpdate", "update Pod db-1 in StatefulSet db failed error: pod updates may not change fields", 12)
	b.event("sts", "RecreatingFailedPod", "StatefulSet shop/db is recreating failed Pod db-1", 2)
	b.in.Events[1].LastTimestamp = ago(time.Second)
	if got := Evaluate(b.in, now, model.Options{}); findingOf(got, kinds.StatefulSetUpdateFailed) == nil {
		t.Errorf("%s", codesOf(got))
	}
}

// A first rollout counts as completed from the start, and a pod without a readiness probe is ready between its falls: neither
// means that it has ever worked.
func TestAFirstRolloutThatCrashesIsNotCalledDegraded(t *testing.T) {
	fallen := func(age, revision time.Duration) report.Rollout {
		b := firstRollout(appsv1.OrderedReadyPodManagement, crashed(1, 3, "Error"))
		b.in.StatefulSets[0].Status.UpdatedReplicas = 3
		b.in.ControllerRevisions[1].CreationTimestamp = ago(revision)
		start := ago(age)
		b.x().Status.StartTime, b.x().CreationTimestamp = &start, start
		b.x().Status.Conditions[2].LastTransitionTime = ago(10 * time.Second)
		return Evaluate(b.in, now, model.Options{}).Items[0]
	}
	for _, tt := range []struct {
		name          string
		age, revision time.Duration
		want          report.Verdict
	}{
		{"from the start", 48 * time.Second, 49 * time.Second, report.Stuck},
		{"after an hour of work", time.Hour, time.Hour, report.Degraded},
		{"from the start, in the place of a pod of the same revision", 48 * time.Second, time.Hour, report.Degraded},
	} {
		if got := fallen(tt.age, tt.revision); got.Verdict != tt.want {
			t.Errorf("%s: %s: %s", tt.name, got.Verdict, got.Summary)
		}
	}
}

// The template is as it was again, and the broken pod of the other one stays: of Parallel pods only where maxUnavailable makes
// the controller wait for them.
func TestABrokenPodStaysThoughTheTemplateIsReverted(t *testing.T) {
	reverted := func(policy appsv1.PodManagementPolicyType, unavailable *intstr.IntOrString, change func(b *builder)) report.Rollout {
		b := statefulCase(func(s *appsv1.StatefulSet) {
			s.Status.UpdateRevision, s.Spec.Template = "db-r1", template("db:1")
			s.Spec.PodManagementPolicy = policy
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: unavailable}
		})
		b.in.ControllerRevisions[0].Revision, b.in.ControllerRevisions[1].Revision = 3, 2
		b.c().ReadinessProbe = &corev1.Probe{}
		change(b)
		return Evaluate(b.in, now, model.Options{}).Items[0]
	}
	nothing, one := func(*builder) {}, intstr.FromInt32(1)
	for _, tt := range []struct {
		name string
		got  report.Rollout
		trap bool
	}{
		{"Parallel with maxUnavailable", reverted(appsv1.ParallelPodManagement, &one, nothing), true},
		{"ordered", reverted(appsv1.OrderedReadyPodManagement, nil, nothing), true},
		{"Parallel alone: the controller deletes it", reverted(appsv1.ParallelPodManagement, nil, nothing), false},
		{"a pod that only needs time", reverted(appsv1.ParallelPodManagement, &one, func(b *builder) { b.status(notReadyYet(5 * time.Second)) }), false},
	} {
		r := wait.RootOf(&tt.got)
		if trap := r != nil && r.Code == kinds.StatefulSetPodNotReplaced && tt.got.Verdict == report.Failed; trap != tt.trap {
			t.Errorf("%s: %s", tt.name, words(tt.got))
		}
		if tt.trap && (len(r.Next) == 0 || !strings.Contains(r.Next[0].Command, "delete pod db-1")) {
			t.Errorf("%s: next %+v", tt.name, r.Next)
		}
	}
	// Without a probe it is ready for a moment after each start, and the controller may see that.
	without := func(end corev1.ContainerStatus, seconds int32) report.Rollout {
		return reverted(appsv1.OrderedReadyPodManagement, nil, func(b *builder) {
			b.c().ReadinessProbe = nil
			b.in.StatefulSets[0].Spec.MinReadySeconds = seconds
			b.status(end)
		})
	}
	both := reverted(appsv1.OrderedReadyPodManagement, nil, func(b *builder) {
		b.c().ReadinessProbe = nil
		b.pod = 0
		b.x().Labels[appsv1.StatefulSetRevisionLabel] = "db-r2"
		b.x().Status.Conditions[2].Status = corev1.ConditionFalse
		b.status(crashed(128, 4, "StartError"))
	})
	for name, tt := range map[string]struct {
		got     report.Rollout
		verdict report.Verdict
		heals   string
	}{
		"another one is never ready":    {both, report.Failed, "no"},
		"ready for a moment":            {without(crashed(1, 4, "Error"), 0), report.Stuck, "maybe"},
		"ready for less than is wanted": {without(crashed(1, 4, "Error"), 30), report.Failed, "no"},
		"its process was never started": {without(crashed(128, 4, "StartError"), 0), report.Failed, "no"},
		"its image cannot be pulled":    {without(waiting("ImagePullBackOff", `Back-off pulling image "db:2"`), 0), report.Failed, "no"},
	} {
		r := wait.RootOf(&tt.got)
		if r == nil || r.Code != kinds.StatefulSetPodNotReplaced || tt.got.Verdict != tt.verdict || r.SelfHealing != tt.heals {
			t.Errorf("%s: %s: %+v", name, tt.got.Verdict, r)
		}
	}
}

// A refusal is told of the object that it befell, whose events hold it: a Deployment's pods are made by its ReplicaSet.
func TestARefusalIsOfTheObjectThatMakesThePods(t *testing.T) {
	deployment := refusedBy(`pods "api-2-" is forbidden: exceeded quota: two, requested: pods=1, used: pods=2, limited: pods=2`)()
	stateful := ghost(firstRollout(appsv1.ParallelPodManagement, running(time.Minute)), "db-1", 9)
	for owner, b := range map[string]*builder{"ReplicaSet api-2": deployment, "StatefulSet db": stateful} {
		got := Evaluate(b.in, now, model.Options{}).Items[0]
		if !strings.HasPrefix(got.Summary, owner+" cannot create ") || got.Findings[0].Evidence[0].Source != owner {
			t.Errorf("%s: %s; %+v", owner, got.Summary, got.Findings[0].Evidence)
		}
	}
}
