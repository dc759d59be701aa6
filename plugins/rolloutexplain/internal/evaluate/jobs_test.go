package evaluate

import (
	"math"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/verdict"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// jobPod adds a pod to a Job that runs for a while already.
func (b *builder) jobPod(name string, since time.Duration, s corev1.ContainerStatus) *corev1.Pod {
	b.in.Jobs[0].CreationTimestamp = ago(10 * time.Minute)
	p := b.addPod(name, "job", "api:2", "w2", since, s)
	p.OwnerReferences[0].Kind, p.Spec.RestartPolicy = "Job", corev1.RestartPolicyNever
	return p
}

func failedOnce(j *batchv1.Job) { j.Status.Failed = 1 }

func ignoring(j *batchv1.Job) {
	j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action: batchv1.PodFailurePolicyActionIgnore, OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{2}},
	}}}
	j.CreationTimestamp = ago(time.Minute)
}

func TestJobsAreJudgedByWhatRuns(t *testing.T) {
	tests := []struct {
		name    string
		make    func() *builder
		verdict report.Verdict
		root    finding.Code
		says    string
		absent  string
	}{
		{"a Job that runs for long does not stand still", func() *builder {
			b := jobCase(func(j *batchv1.Job) { j.Spec.Completions, j.Status.Succeeded = plain.Ptr(int32(5)), 2 })
			b.in.Pods = nil
			b.jobPod("once-2", 9*time.Minute, running(9*time.Minute))
			return b
		}, report.Progressing, "", "1 pod is running, 2 of 5 succeeded", "no check explains why"},
		{"a pod that is not ready is no proof", func() *builder {
			b := jobCase(func(*batchv1.Job) {})
			b.in.Pods = nil
			b.jobPod("once-2", 9*time.Minute, notReadyYet(9*time.Minute))
			return b
		}, report.Unknown, verdict.NoCauseFound, "no check explains why", "runs"},
		{"a retry that runs well is no crash loop", func() *builder {
			b := jobCase(failedOnce)
			b.in.Pods[0].Status.StartTime = plain.Ptr(ago(9 * time.Minute))
			b.jobPod("once-2", 5*time.Minute, running(5*time.Minute))
			return b
		}, report.Progressing, "", "1 pod is running, 0 of 1 succeeded; 1 of 7 attempts have failed", "crashes"},
		{"between two attempts the failed one is the root", func() *builder { return jobCase(failedOnce) }, report.Progressing, pods.ContainerCrashing, "1 of 7 attempts have failed", ""},
		{"no limit is not a negative one", func() *builder {
			return jobCase(func(j *batchv1.Job) { failedOnce(j); j.Spec.BackoffLimit = plain.Ptr(int32(math.MaxInt32)) })
		}, report.Progressing, pods.ContainerCrashing, "; 1 attempt has failed", " of "},
		{"a limit per index", func() *builder {
			return jobCase(func(j *batchv1.Job) {
				failedOnce(j)
				j.Spec.BackoffLimit, j.Spec.BackoffLimitPerIndex = plain.Ptr(int32(math.MaxInt32)), plain.Ptr(int32(2))
			})
		}, report.Progressing, pods.ContainerCrashing, "1 attempt has failed (per index, up to 3)", "-21"},
		{"a failure that the policy ignores is a failure before a back-off", func() *builder { return jobCase(ignoring) }, report.Progressing, pods.ContainerCrashing, "1 failed pod is ignored by podFailurePolicy", "has not created"},
		{"the pod before must be gone first", func() *builder {
			b := jobCase(func(j *batchv1.Job) { j.Spec.PodReplacementPolicy = plain.Ptr(batchv1.Failed) })
			b.in.Pods = nil
			b.jobPod("once-2", 9*time.Minute, running(9*time.Minute)).DeletionTimestamp = plain.Ptr(ago(-20 * time.Second))
			return b
		}, report.Progressing, "", "pods are terminating", "has not created"},
		{"no pod at all is missing", func() *builder {
			b := jobCase(func(*batchv1.Job) {})
			b.in.Pods = nil
			return b
		}, report.Progressing, refusal.PodsNotCreated, "has not created 1 desired pod", ""},
		{"the count of a Job that has reached its completions comes later", func() *builder {
			return jobCase(func(j *batchv1.Job) {
				j.Spec.Completions, j.Status.Succeeded = plain.Ptr(int32(2)), 1
				j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonCompletionsReached}}
			})
		}, report.Complete, "", "2 of 2 pods succeeded", ""},
		{"by its success policy a Job is complete with less", func() *builder {
			return jobCase(func(j *batchv1.Job) {
				j.Spec.Completions, j.Status.Succeeded = plain.Ptr(int32(2)), 1
				j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonSuccessPolicy}}
			})
		}, report.Complete, "", "1 of 2 pods succeeded", ""},
		{"another controller's Job is known by its status", func() *builder {
			b := jobCase(func(j *batchv1.Job) {
				j.Spec.ManagedBy, j.Spec.Completions, j.Status.Succeeded, j.CreationTimestamp = plain.Ptr("kueue.x-k8s.io/multikueue"), plain.Ptr(int32(3)), 1, ago(time.Hour)
			})
			b.in.Pods = nil
			return b
		}, report.Progressing, "", "kueue.x-k8s.io/multikueue runs the Job: 1 of 3 succeeded", "no check explains why"},
		{"another controller's Job is held while suspended", func() *builder {
			return jobCase(func(j *batchv1.Job) {
				j.Spec.ManagedBy, j.Spec.Suspend = plain.Ptr("kueue.x-k8s.io/multikueue"), plain.Ptr(true)
			})
		}, report.OnHold, kinds.JobSuspended, "spec.suspend is set", "no check explains why"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Evaluate(tt.make().in, now, model.Options{}).Items[0]
			all := codesOf(report.List{Items: []report.Rollout{got}})
			root := finding.Code("")
			if r := wait.RootOf(&got); r != nil {
				root = r.Code
			}
			if got.Verdict != tt.verdict || root != tt.root || !strings.Contains(got.Summary, tt.says) {
				t.Errorf("want %s, root %q, %q; got %s", tt.verdict, tt.root, tt.says, all)
			}
			if tt.absent != "" && strings.Contains(got.Summary, tt.absent) {
				t.Errorf("it says %q: %s", tt.absent, all)
			}
		})
	}
}

// A pod whose container has ended is seen before its phase says so: the same failure is not told twice.
func TestAFailureOfAJobIsToldOnce(t *testing.T) {
	b := jobCase(failedOnce)
	b.jobPod("once-2", time.Minute, crashed(2, 0, "Error"))
	got := Evaluate(b.in, now, model.Options{}).Items[0]
	if len(got.Findings) != 1 || got.Findings[0].Code != pods.ContainerCrashing {
		t.Errorf("%s", codesOf(report.List{Items: []report.Rollout{got}}))
	}
}

// Who resumes another controller's Job is that controller.
func TestResumingIsNotAdvisedForAnotherControllersJob(t *testing.T) {
	b := jobCase(func(j *batchv1.Job) {
		j.Spec.ManagedBy, j.Spec.Suspend = plain.Ptr("kueue.x-k8s.io/multikueue"), plain.Ptr(true)
	})
	got := Evaluate(b.in, now, model.Options{})
	if f := findingOf(got, kinds.JobSuspended); f == nil || len(f.Next) != 1 || strings.Contains(f.Next[0].Command, "patch") {
		t.Errorf("%+v", f)
	}
	if findingOf(got, kinds.JobManagedExternally) == nil {
		t.Errorf("it does not say who runs it: %s", codesOf(got))
	}
}

// A Job that makes no pod before the one before is gone stands still when that one cannot go.
func TestAJobThatWaitsForAPodThatCannotEndIsStuck(t *testing.T) {
	b := jobCase(func(j *batchv1.Job) {
		j.Spec.PodReplacementPolicy = plain.Ptr(batchv1.Failed)
		j.CreationTimestamp = ago(time.Hour)
	})
	b.in.Pods = nil
	p := b.jobPod("once-2", 50*time.Minute, running(50*time.Minute))
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = plain.Ptr(ago(30*time.Minute)), plain.Ptr(int64(30))
	p.Finalizers = []string{"example.com/hold"}
	b.in.Jobs[0].CreationTimestamp = ago(time.Hour)
	if got := Evaluate(b.in, now, model.Options{}).Items[0]; got.Verdict != report.Stuck || got.Findings[0].Role != report.RootCause {
		t.Errorf("%s", words(got))
	}
}
