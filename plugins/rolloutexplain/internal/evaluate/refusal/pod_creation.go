package refusal

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const PodsNotCreated finding.Code = "PodsNotCreated"

var podCreationRules = []rule.Rule{
	{Layer: rule.LayerCreate, Entry: finding.Entry{
		Code: PodsNotCreated, Severity: finding.Critical, Title: "Pods are not created for an unknown reason",
		Meaning: "The controller should have created pods that do not exist, and no FailedCreate event of the last " +
			"hour explains why.",
		Evidence: "Desired pods above existing pods for at least 10s, no FailedCreate event in the last hour, and no " +
			"ReplicaFailure condition.",
		Next: "Check whether kube-controller-manager is running and renews its Lease.",
	}},
}

// MissingPods explains pods that the controller should have created and that do not exist. The newest event counts: the
// ReplicaFailure condition keeps the text of the first rejection indefinitely.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/replicaset/replica_set_utils.go (calculateStatus)
func MissingPods(e *model.Evaluation, w *model.Workload) {
	if w.Missing <= 0 || !e.In.Sources.Get(model.SourcePods).Readable() {
		return
	}
	owner, events := w.Kind+" "+w.Meta.Name, e.EventsOf(w.Meta)
	if w.MissingOf != w.Meta.UID && w.Target != nil {
		owner, events = "ReplicaSet "+w.Target.Name, e.EventsOfUID(w.Meta.Namespace, string(w.MissingOf))
	}
	ev := currentRefusal(e, w, events)
	var (
		text, path string
		at         time.Time
		attempts   int32
	)
	confidence := "high"
	switch c := failureCondition(w); {
	case ev != nil:
		text, at, path, attempts = ev.Message, ev.Last, ev.Reason, ev.Count
	case c != nil:
		text, at, path, confidence = c.text, c.at, "status.conditions[ReplicaFailure]", "medium"
	default:
		missingWithoutTrace(e, w, owner)
		return
	}
	r := Read(e, text, w)
	if r.Code == NamespaceTerminating && w.Has(NamespaceTerminating) {
		return
	}
	f := e.Finding(r.Code, r.Class, "%s cannot create %s because %s", owner,
		plain.Plural(int(w.Missing), "pod", "pods"), r.What)
	f.SelfHealing, f.Confidence, f.Attempts, f.Next = r.SelfHealing, confidence, attempts, r.Next
	f.FirstSeen = plain.TimePtr(at)
	if ev != nil {
		f.FirstSeen = plain.TimePtr(ev.First)
	}
	f.Evidence = []finding.Evidence{plain.Evidence(owner, path, text, at)}
	if r.Code == QuotaExceeded {
		quotaOutlook(e, w, &f, text, r.Quota)
	}
	w.Add(f)
}

// currentRefusal is the newest refusal that no later success has answered.
func currentRefusal(e *model.Evaluation, w *model.Workload, events []eventfact.Event) *eventfact.Event {
	for i := range events {
		ev := &events[i]
		if ev.Reason != "FailedCreate" || ev.Last.Before(w.Meta.CreationTimestamp.Time) {
			continue
		}
		if named := podRefused.FindStringSubmatch(ev.Message); named != nil {
			if !slices.ContainsFunc(w.Pods, func(p *model.Pod) bool { return p.Name == named[1] && p.CreationTimestamp.After(ev.Last) }) {
				return ev
			}
			continue // of another pod an older one may still stand
		}
		if answered(w, ev) {
			return nil
		}
		return ev
	}
	return nil
}

// podRefused is a StatefulSet's refusal, which names its pod.
var podRefused = regexp.MustCompile(`(?i)^create Pod (\S+) in StatefulSet `)

// answered says whether a pod has been created since a refusal. Under a quota that is usual and no answer; nor is it one
// while the ReplicaSet itself says that its last attempt failed.
func answered(w *model.Workload, ev *eventfact.Event) bool {
	if admission.Parse(ev.Message).Kind == admission.QuotaExceeded || failureCondition(w) != nil {
		return false
	}
	return slices.ContainsFunc(w.Pods, func(p *model.Pod) bool {
		return (p.IsNew || w.MissingOf == w.Meta.UID) && p.CreationTimestamp.After(ev.Last)
	})
}

type conditionText struct {
	text string
	at   time.Time
}

func failureCondition(w *model.Workload) *conditionText {
	if w.Target == nil || w.Target.Set == nil {
		return nil
	}
	for _, c := range w.Target.Set.Status.Conditions {
		if c.Type == "ReplicaFailure" && c.Status == corev1.ConditionTrue && c.Reason == "FailedCreate" {
			return &conditionText{c.Message, c.LastTransitionTime.Time}
		}
	}
	return nil
}

// missingWithoutTrace: a count that does not grow and no event. Young, it is only the controller's own delay.
func missingWithoutTrace(e *model.Evaluation, w *model.Workload, owner string) {
	since := e.Now.Sub(w.Started)
	if since < 10*time.Second || len(model.Select(w.Pods,
		func(p *model.Pod) bool { return e.Now.Sub(p.CreationTimestamp.Time) < 10*time.Second })) > 0 {
		w.Moving = "pods are being created"
		return
	}
	if EndingNamespace(e, w) {
		return
	}
	f := e.Finding(PodsNotCreated, report.Transient, "%s has not created %s; %s", owner,
		plain.Plural(int(w.Missing), "desired pod", "desired pods"), e.MissingEventText("no event explains why"))
	f.SelfHealing, f.Confidence, f.FirstSeen = "maybe", "low", plain.TimePtr(w.Started)
	f.Evidence = []finding.Evidence{plain.Evidence(owner, "spec.replicas",
		fmt.Sprintf("%s missing; %s", plain.Plural(int(w.Missing), "pod", "pods"),
			e.MissingEventText("no FailedCreate event in the last hour")), time.Time{})}
	text, lease := e.ControllerLease("kube-controller-manager")
	if text != "" {
		f.Message, f.Confidence = fmt.Sprintf("%s has not created %s: %s", owner, plain.Plural(int(w.Missing), "pod", "pods"), text), "high"
		f.Evidence = append(f.Evidence, lease)
	}
	f.Next = []finding.Next{e.ControllerStep("kube-controller-manager", lease)}
	w.Add(f)
}

// quotaOutlook says whether the rollout itself can free what the quota lacks.
func quotaOutlook(e *model.Evaluation, w *model.Workload, f *report.Finding, text, name string) {
	b := w.Report.UpdateStrategy
	ending := len(model.Select(w.Pods, func(p *model.Pod) bool { return p.Terminating }))
	switch {
	case quotaIsFree(e, w, text, name):
		f.Class, f.SelfHealing = report.Transient, "yes"
		f.Message += "; quota is free again, and the controller retries after at most 16 minutes"
		f.Next = append(f.Next, retryNowStep(e, w)...)
	case ending > 0:
		f.Class = report.Transient
		f.Message += fmt.Sprintf("; %s terminating and will free quota", plain.Plural(ending, "pod is", "pods are"))
	case b != nil && b.MayRemove != nil && *b.MayRemove > 0:
		f.Class = report.Transient
		f.Message += "; old pods can still be removed, which frees quota"
	case b != nil && b.MinAvailable != nil && b.MaxSurge != nil && len(model.CountedPods(w.OldPods())) > 0:
		f.SelfHealing = "no"
		f.Message += fmt.Sprintf("; the rollout cannot free quota: %d pods must stay available", *b.MinAvailable)
		if b.MaxSurge.Pods > 0 {
			f.Next = append(f.Next, e.Next(w, finding.Change, "Remove one old pod before a new pod is created, which frees quota",
				"patch", w.Slash(), "-p", `{"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`))
			f.Next = append(f.Next, retryNowStep(e, w)...)
		}
	}
}

// retryNowStep makes the controller retry now: its back-off doubles from 5 ms up to 1000 s, and any change of the ReplicaSet
// starts another attempt.
func retryNowStep(e *model.Evaluation, w *model.Workload) []finding.Next {
	if w.Target == nil || w.Target.Set == nil {
		return nil
	}
	return []finding.Next{e.Next(w, finding.Change, "Once quota is free, make the controller retry now instead of after its back-off",
		"annotate", "replicaset", w.Target.Name, "kubectl-runbooks.github.io/retry="+fmt.Sprint(e.Now.Unix()), "--overwrite")}
}

// quotaIsFree compares the rejected request with the current quota.
func quotaIsFree(e *model.Evaluation, w *model.Workload, text, name string) bool {
	asked, ok := admission.Amounts(admission.Parse(text).Quota.Requested)
	if !ok || !e.Asks.Have(model.Need{Kind: model.NeedQuotas, Namespace: w.Meta.Namespace}) {
		return false
	}
	for i := range e.In.Quotas {
		q := &e.In.Quotas[i]
		if q.Name != name || q.Namespace != w.Meta.Namespace {
			continue
		}
		for resourceName, amount := range asked {
			hard, known := q.Status.Hard[resourceName]
			used := q.Status.Used[resourceName]
			used.Add(amount)
			if !known || used.Cmp(hard) > 0 {
				return false
			}
		}
		return true
	}
	return false
}
