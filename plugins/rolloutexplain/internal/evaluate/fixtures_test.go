package evaluate

import (
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

// fixture is a snapshot in which a code must be found, and the change after which it must not.
type fixture struct {
	code finding.Code
	hit  func() *builder
	near func(b *builder)
}

func with(change func(b *builder)) func() *builder {
	return func() *builder { b := deploymentCase(); change(b); return b }
}

func waits(reason, message string) func() *builder {
	return with(func(b *builder) { b.status(waiting(reason, message)) })
}

func healthy(b *builder) {
	b.status(running(30 * time.Second))
	b.x().Status.Conditions[2].Status = corev1.ConditionTrue
}

func unscheduledFor(message string) func() *builder {
	return with(func(b *builder) { b.unscheduled(message) })
}

func refusedBy(message string) func() *builder {
	return with(func(b *builder) { b.missing("Error creating: " + message) })
}

func otherRefusal(b *builder) { b.in.Events[0].Message = "Error creating: another reason" }

func otherWords(b *builder) {
	b.x().Status.Conditions[0].Message = "0/2 nodes are available: 2 node(s) had a reason of tomorrow."
}

func stopped(b *builder, phase corev1.PodPhase, reason, message string) {
	p := b.x()
	p.Status.Phase, p.Status.Reason, p.Status.Message, p.Status.ContainerStatuses = phase, reason, message, nil
}

func disruption(b *builder) {
	stopped(b, corev1.PodFailed, "", "")
	b.x().Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", Message: "preempted", LastTransitionTime: ago(20 * time.Second)}}
}

func gatedBy(b *builder) {
	b.unscheduled("Scheduling is blocked due to non-empty scheduling gates")
	b.x().Status.Conditions[0].Reason = corev1.PodReasonSchedulingGated
	b.x().Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}}
}

func argoCase(status map[string]any) func() *builder {
	return func() *builder {
		b := deploymentCase()
		b.in.Deployments, b.in.ReplicaSets, b.in.Pods = nil, nil, nil
		b.in.Rollouts = []map[string]any{{
			"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "ro", "creationTimestamp": "2026-03-01T10:00:00Z"},
			"spec": map[string]any{"replicas": int64(1)}, "status": status,
		}}
		return b
	}
}

func argoHealthy(b *builder) {
	b.in.Rollouts[0]["status"] = map[string]any{"phase": "Healthy", "observedGeneration": "1"}
}

func claimed(b *builder, class *string) {
	b.unscheduled("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found")
	b.x().Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	b.in.Claims = []corev1.PersistentVolumeClaim{{ObjectMeta: meta("data", "pvc", time.Hour), Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: class}, Status: corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}}}
	b.fetch(model.Need{Kind: model.NeedClaim, Namespace: "shop", Name: "data"}, model.Need{Kind: model.NeedStorageClasses})
}

func probe(seconds, failures int32) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}, PeriodSeconds: seconds, FailureThreshold: failures, TimeoutSeconds: 1}
}

func initContainer(b *builder, s corev1.ContainerStatus, sidecar bool) {
	c := corev1.Container{Name: "first", Image: "first:1"}
	if sidecar {
		always := corev1.ContainerRestartPolicyAlways
		c.RestartPolicy, c.StartupProbe = &always, probe(5, 30)
	}
	s.Name = "first"
	b.x().Spec.InitContainers, b.x().Status.InitContainerStatuses = []corev1.Container{c}, []corev1.ContainerStatus{s}
	for _, spec := range []*corev1.PodSpec{&b.old.Spec.Template.Spec, &b.rs.Spec.Template.Spec, &b.d.Spec.Template.Spec} {
		spec.InitContainers = b.x().Spec.InitContainers
	}
	b.status(waiting("PodInitializing", ""))
}

func TestEveryCodeHasAFixtureAndANearMiss(t *testing.T) {
	have := map[finding.Code]bool{}
	for _, f := range fixtures() {
		have[f.code] = true
		t.Run(string(f.code), func(t *testing.T) {
			b := f.hit()
			list := Evaluate(b.in, now, model.Options{LogLines: 5})
			got := findingOf(list, f.code)
			if got == nil {
				t.Fatalf("does not fire: %s", codesOf(list))
			}
			if got.Message == "" || got.Title == "" || len(got.Evidence) == 0 && got.Class != report.Info {
				t.Errorf("lacks a message, a title or evidence: %+v", got)
			}
			if got.Role == report.RootCause && len(got.Next) == 0 && got.Class != report.Transient {
				t.Errorf("a root without a next command")
			}
			f.near(b)
			if list = Evaluate(b.in, now, model.Options{LogLines: 5}); findingOf(list, f.code) != nil {
				t.Errorf("fires on the near miss: %s", codesOf(list))
			}
		})
	}
	for _, c := range Rules.Catalog() {
		if !have[c.Code] {
			t.Errorf("%s has no fixture", c.Code)
		}
	}
}

func findingOf(list report.List, code finding.Code) *report.Finding {
	for i := range list.Items {
		for k := range list.Items[i].Findings {
			if list.Items[i].Findings[k].Code == code {
				return &list.Items[i].Findings[k]
			}
		}
	}
	return nil
}

func codesOf(list report.List) string {
	var words []string
	for _, r := range list.Items {
		words = append(words, r.Object.Name+" "+string(r.Verdict)+": "+r.Summary)
		for _, f := range r.Findings {
			words = append(words, string(f.Role)+" "+string(f.Code))
		}
	}
	return strings.Join(words, "; ")
}

// The order in which a server lists things means nothing.
func TestShufflingTheSnapshotLeavesTheReportEqual(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, f := range fixtures() {
		b := f.hit()
		want := Evaluate(b.in, now, model.Options{LogLines: 5, History: true, Diff: true})
		for range 5 {
			shuffle(random, b.in)
			if d := cmp.Diff(want, Evaluate(b.in, now, model.Options{LogLines: 5, History: true, Diff: true})); d != "" {
				t.Fatalf("%s:\n%s", f.code, d)
			}
		}
	}
}

func shuffle(random *rand.Rand, in *model.Input) {
	mix := func(n int, swap func(i, j int)) { random.Shuffle(n, swap) }
	mix(len(in.ReplicaSets), func(i, j int) { in.ReplicaSets[i], in.ReplicaSets[j] = in.ReplicaSets[j], in.ReplicaSets[i] })
	mix(len(in.ControllerRevisions), func(i, j int) {
		in.ControllerRevisions[i], in.ControllerRevisions[j] = in.ControllerRevisions[j], in.ControllerRevisions[i]
	})
	mix(len(in.Pods), func(i, j int) { in.Pods[i], in.Pods[j] = in.Pods[j], in.Pods[i] })
	mix(len(in.Events), func(i, j int) { in.Events[i], in.Events[j] = in.Events[j], in.Events[i] })
	mix(len(in.Nodes), func(i, j int) { in.Nodes[i], in.Nodes[j] = in.Nodes[j], in.Nodes[i] })
	mix(len(in.Sources), func(i, j int) { in.Sources[i], in.Sources[j] = in.Sources[j], in.Sources[i] })
	mix(len(in.Fetched), func(i, j int) { in.Fetched[i], in.Fetched[j] = in.Fetched[j], in.Fetched[i] })
}

// A snapshot from which anything is missing is judged without a crash, and never as complete.
func TestPartsOfASnapshotMayBeMissing(t *testing.T) {
	for _, f := range fixtures() {
		if f.code == finding.UnexplainedEvidence {
			continue // without the evidence nothing speaks against it
		}
		for i, drop := range []func(*model.Input){
			func(in *model.Input) { in.Events = nil }, func(in *model.Input) { in.Nodes, in.NodePods = nil, nil }, func(in *model.Input) { in.Pods = nil },
			func(in *model.Input) { in.ReplicaSets, in.ControllerRevisions = nil, nil }, func(in *model.Input) { in.Sources = nil }, func(in *model.Input) { in.Fetched = nil },
		} {
			b := f.hit()
			before := Evaluate(b.in, now, model.Options{})
			drop(b.in)
			after := Evaluate(b.in, now, model.Options{})
			Needs(b.in, now, model.Options{})
			for k := range after.Items {
				if k < len(before.Items) && after.Items[k].Verdict == report.Complete && before.Items[k].Verdict != report.Complete {
					t.Errorf("%s, drop %d: became Complete: %s", f.code, i, after.Items[k].Summary)
				}
			}
		}
	}
}

func keepSet(*appsv1.StatefulSet) {}

func keepDaemon(*appsv1.DaemonSet) {}
