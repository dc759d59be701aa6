package verdict

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// harmless are kinds of facts that speak against no rollout by themselves, beside event.Harmless.
var harmless = map[string]string{
	"Event PolicyViolation":       "an audit of a policy engine about what exists; what it refuses does not exist, and that is found",
	"Event FailedCreate":          "an attempt of the controller: where its counters are complete, it has all pods that it wants",
	"Event ReplicaSetCreateError": "an attempt, too: where the counters are complete, the ReplicaSet of the template exists",
	"Condition ReplicaFailure":    "stays for as long as no pod is created: where the counters are complete, none has to be",
	"Event FailedAdmission":       "as PolicyViolation: the refused request is tried again by its controller, and what is missing is found",
}

// looksBehind says whether anything can speak against counters that say complete. A Job has ended, whatever its attempts came to;
// nothing runs of what is scaled to zero.
func looksBehind(w *model.Workload) bool { return w.Kind != "Job" && w.Desired != 0 }

// unexplained adds what speaks against a rollout whose counters say complete and that no finding accounts for; nil: nothing is left.
func unexplained(e *model.Evaluation, w *model.Workload) *report.Finding {
	if !looksBehind(w) {
		return nil
	}
	ledger := finding.Ledger{Harmless: harmless}
	var newest time.Time
	for _, p := range w.NewPods() {
		if p.ReadySince.After(newest) {
			newest = p.ReadySince
		}
		notePod(e, &ledger, p)
	}
	if w.Kind != "Pod" && !newest.IsZero() {
		ref := finding.ObjectRef{Kind: w.Kind, Namespace: w.Meta.Namespace, Name: w.Meta.Name}
		noteEvents(e, &ledger, ref, w.Meta.UID, newest)
		noteConditions(e, &ledger, ref, w.Meta.UID)
		if w.Target != nil && w.Target.Set != nil && w.Target.UID != w.Meta.UID {
			noteEvents(e, &ledger, finding.ObjectRef{Kind: "ReplicaSet", Namespace: w.Meta.Namespace, Name: w.Target.Name}, w.Target.UID, newest)
		}
	}
	known := make([]finding.Finding, 0, len(w.Findings))
	for i := range w.Findings {
		f := w.Findings[i].Finding
		if w.Findings[i].Class != report.Info {
			f.Severity = finding.Warning // information is only that the rollout does not wait for it: the cause is found
		}
		for _, name := range w.Findings[i].Pods {
			f.Covers = append(f.Covers, finding.ObjectRef{Kind: "Pod", Namespace: w.Meta.Namespace, Name: name})
		}
		known = append(known, f)
	}
	left := ledger.Unexplained(known, nil)
	if len(left) == 0 {
		return nil
	}
	var next []finding.Next
	for _, p := range w.NewPods() {
		if about := left[0].Object; about.Kind == "Pod" && about.Name == p.Name {
			next = append(next, pods.ReadLog(e, w, p, "Check whether the containers log a problem", "--tail=50"))
		}
	}
	f, _ := finding.Unexplained(left, finding.ObjectRef{Kind: w.Kind, Namespace: w.Meta.Namespace, Name: w.Meta.Name}, next...)
	w.Add(report.Finding{Finding: f, Class: report.Transient, Confidence: "low", SelfHealing: "maybe", FirstSeen: left[0].Evidence.Time})
	place(e, w)
	return w.Root()
}

func notePod(e *model.Evaluation, ledger *finding.Ledger, p *model.Pod) {
	ref := finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
	switch {
	case p.Terminating:
		return
	case p.Status.Phase == corev1.PodFailed:
		if at := ended(p); e.Now.Sub(at) <= eventfact.Repeat {
			ledger.Note(finding.Contrary{Kind: "Pod Failed", Object: ref, Evidence: plain.Evidence("Pod", "status.phase",
				fmt.Sprintf("Failed %s %s", p.Status.Reason, plain.OneLine(p.Status.Message)), at)})
		}
		return
	case p.Dead:
		return
	}
	for _, s := range podfact.Containers(p.Pod) {
		if podfact.Waiting(&s).Failed() {
			ledger.Note(finding.Contrary{Kind: "Container " + s.State.Waiting.Reason, Object: ref, Evidence: plain.Evidence("Pod",
				p.StatusPath(s.Name)+".state.waiting", s.State.Waiting.Reason+": "+plain.Innermost(s.State.Waiting.Message), plain.NoTime)})
		}
	}
	if p.Ready {
		noteEvents(e, ledger, ref, p.UID, p.ReadySince)
		notePodConditions(ledger, ref, p)
	}
}

// wanted are the conditions that are True for a pod that is well; readiness gates are more of them. Of others only their makers
// know what they mean.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
var wanted = []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.ContainersReady}

// notePodConditions notes what is not as it should be of a pod that is ready, and that it is about to be evicted or preempted.
func notePodConditions(ledger *finding.Ledger, ref finding.ObjectRef, p *model.Pod) {
	for _, c := range p.Status.Conditions {
		due := slices.Contains(wanted, c.Type) ||
			slices.ContainsFunc(p.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool { return g.ConditionType == c.Type })
		if due && c.Status == corev1.ConditionFalse || c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			noteCondition(ledger, ref, string(c.Type), string(c.Status), c.Reason, c.Message, c.LastTransitionTime.Time)
		}
	}
}

// noteConditions notes what the Deployment's controller says against it.
// https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
func noteConditions(e *model.Evaluation, ledger *finding.Ledger, ref finding.ObjectRef, uid types.UID) {
	for _, d := range e.Deployments[uid] {
		for _, c := range d.Status.Conditions {
			bad := corev1.ConditionFalse // Unknown is that it is paused
			if c.Type == appsv1.DeploymentReplicaFailure {
				bad = corev1.ConditionTrue
			}
			if c.Status == bad {
				noteCondition(ledger, ref, string(c.Type), string(c.Status), c.Reason, c.Message, c.LastTransitionTime.Time)
			}
		}
	}
}

func noteCondition(ledger *finding.Ledger, ref finding.ObjectRef, kind, status, reason, message string, at time.Time) {
	ledger.Note(finding.Contrary{Kind: "Condition " + kind, Object: ref, Evidence: plain.Evidence(ref.Kind, "status.conditions["+kind+"]",
		status+" ("+reason+"): "+plain.OneLine(message), at)})
}

// ended is when the last container of a pod ended, or the pod's creation where none tells.
func ended(p *model.Pod) time.Time {
	at := p.CreationTimestamp.Time
	for _, s := range podfact.Containers(p.Pod) {
		if end := s.State.Terminated; end != nil && end.FinishedAt.After(at) {
			at = end.FinishedAt.Time
		}
	}
	return at
}

func noteEvents(e *model.Evaluation, ledger *finding.Ledger, about finding.ObjectRef, uid types.UID, wellSince time.Time) {
	for _, ev := range e.Warnings(about.Namespace, uid, wellSince) {
		if _, ok := eventfact.Harmless(ev.Reason); !ok {
			ledger.Note(finding.Contrary{
				Kind: "Event " + ev.Reason, Object: about,
				Evidence: plain.Evidence("Event", ev.Reason, plain.Innermost(ev.Message), ev.Last),
			})
		}
	}
}
