package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	PartitionedRollout       finding.Code = "PartitionedRollout"
	PartitionExcludesAllPods finding.Code = "PartitionExcludesAllPods"
	OnDelete                 finding.Code = "OnDelete"
	OrderedReadyWait         finding.Code = "OrderedReadyWait"
	StatefulSetUpdateFailed  finding.Code = "StatefulSetUpdateFailed"
)

var statefulSetRules = []rule.Rule{
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: PartitionedRollout, Severity: finding.Warning, Title: "Partition keeps pods on the old revision",
		Meaning: "Pods with an ordinal below the partition keep the old pod template until the partition is lowered. " +
			"This is a staged rollout.",
		Evidence: "spec.updateStrategy.rollingUpdate.partition.",
		Next:     "Lower the partition.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: PartitionExcludesAllPods, Severity: finding.Warning, Title: "Partition excludes every pod from the update",
		Meaning:  "The partition is not lower than the number of replicas, so the controller never updates a pod.",
		Evidence: "spec.updateStrategy.rollingUpdate.partition equal to or above spec.replicas.",
		Next:     "Lower the partition.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: OnDelete, Severity: finding.Warning, Title: "Update strategy is OnDelete",
		Meaning: "The controller replaces a pod only after the pod is deleted by hand. A ReplicaSet without a Deployment never does otherwise.",
		Evidence: "spec.updateStrategy.type OnDelete and the revision labels of the pods; pods that differ from the " +
			"template of their ReplicaSet.",
		Next: "Delete the listed pods one at a time.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: OrderedReadyWait, Severity: finding.Info, Title: "StatefulSet waits for one pod (OrderedReady)",
		Meaning: "With podManagementPolicy OrderedReady, the controller works on one pod at a time: the lowest ordinal " +
			"that is not available.",
		Evidence: "spec.podManagementPolicy OrderedReady; the lowest ordinal that is not available.",
		Next:     "Check the cause that is reported for that pod.",
	}},
	{Layer: rule.LayerController, Entry: finding.Entry{
		Code: StatefulSetUpdateFailed, Severity: finding.Critical, Title: "StatefulSet controller cannot update a pod",
		Meaning:  "The API server repeatedly rejects the updates that the StatefulSet controller sends for a pod.",
		Evidence: "At least 3 FailedUpdate events, the last one within 5m.",
		Next:     "Read the error; often the pod must be deleted, and its PersistentVolumeClaims kept.",
	}},
}

// heldByOnDelete lists the pods that must be deleted by hand, those first that are not available.
func heldByOnDelete(e *model.Evaluation, w *model.Workload, old []*model.Pod) {
	ordered := slices.Clone(old)
	sorting.Stable(ordered, func(a, b *model.Pod) int { return cmp.Compare(plain.Int(a.Available), plain.Int(b.Available)) })
	f := e.Finding(OnDelete, report.PausedClass,
		"%s: %s",
		plain.Plural(len(old), "pod keeps the old template until it is deleted", "pods keep the old template until they are deleted"),
		plain.List(model.Names(ordered), 6))
	f.Confidence, f.SelfHealing, f.Pods = "high", "no", model.Names(ordered)
	f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "spec.updateStrategy.type", "OnDelete", plain.NoTime)}
	f.Next = []finding.Next{e.Next(w, finding.Destructive, "Delete one pod, and check its replacement before the next",
		"delete", "pod", ordered[0].Name)}
	sick := model.Select(model.CountedPods(w.NewPods()), func(p *model.Pod) bool { return !p.Available })
	if len(sick) > 0 && ordered[0].Available {
		f.Next = []finding.Next{e.Next(w, finding.Read, "Before the next pod, check why the new pod is not available; the old ones are",
			"describe", "pod", sick[0].Name)}
	}
	w.Add(f)
}

func partitioned(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, partition, due int32, old []*model.Pod) {
	code, what := PartitionedRollout,
		fmt.Sprintf("partition %d keeps %s on the old template; %d of %d pods are updated", partition,
			plain.Plural(len(old), "pod", "pods"), due, w.Desired)
	if partition >= w.Desired {
		code, what = PartitionExcludesAllPods,
			fmt.Sprintf("partition %d is not below %d replicas: no pod is ever updated", partition, w.Desired)
	}
	f := e.Finding(code, report.PausedClass, "%s", what)
	f.Confidence, f.SelfHealing, f.Pods = "high", "no", model.Names(old)
	f.Evidence = []finding.Evidence{plain.Evidence("StatefulSet "+s.Name, "spec.updateStrategy.rollingUpdate.partition", fmt.Sprint(partition),
		plain.NoTime)}
	lower := max(0, min(partition, w.Desired)-1)
	if lower > 0 {
		f.Next = append(f.Next, e.Next(w, finding.Change, "Lower the partition so that the next pod is updated", "patch", w.Slash(), "-p",
			fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}}}}`, lower)))
	}
	f.Next = append(f.Next, e.Next(w, finding.Change, "Set the partition to 0 so that all pods are updated", "patch", w.Slash(), "-p",
		`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`))
	w.Add(f)
}

// orderedWait: with OrderedReady everything waits for the lowest pod that is not ready.
func orderedWait(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload) {
	if !w.Ordered() || w.Settled {
		return
	}
	pods := slices.Clone(w.Pods)
	sorting.Func(pods, func(a, b *model.Pod) int { return cmp.Compare(ordinalOf(a.Name), ordinalOf(b.Name)) })
	for _, p := range pods {
		if p.Available && !p.Terminating || p.Dead {
			continue
		}
		behind := int(w.Desired) - 1 - (ordinalOf(p.Name) - start(s))
		w.FindOrdered = p
		outdated := len(model.Select(model.CountedPods(w.Pods), func(q *model.Pod) bool { return !q.IsNew && q != p }))
		surplus := model.Select(model.CountedPods(w.Pods), func(q *model.Pod) bool {
			return q != p && ordinalOf(q.Name)-start(s) >= int(w.Desired)
		})
		if behind <= 0 && outdated == 0 && len(surplus) == 0 {
			return
		}
		f := e.Finding(OrderedReadyWait, report.Transient,
			"all other pods wait for pod %s (podManagementPolicy OrderedReady)", p.Name)
		if len(surplus) > 0 {
			f.Message = fmt.Sprintf("the scale-down to %s does not continue before pod %s is available (podManagementPolicy OrderedReady): %s left",
				plain.Plural(int(w.Desired), "replica", "replicas"), p.Name, plain.Plural(len(surplus), "pod is", "pods are"))
		}
		f.Stance, f.Confidence, f.SelfHealing, f.Pods = finding.Follows, "high", "maybe", []string{p.Name}
		f.Evidence = []finding.Evidence{plain.Evidence("StatefulSet "+s.Name, "spec.podManagementPolicy", "OrderedReady", plain.NoTime)}
		w.Add(f)
		return
	}
}

func statefulUpdateError(e *model.Evaluation, w *model.Workload) {
	ev := eventfact.Newest(e.EventsOf(w.Meta), "FailedUpdate")
	if ev == nil || ev.Count < 3 || e.Now.Sub(ev.Last) > 5*time.Minute {
		return
	}
	f := e.Finding(StatefulSetUpdateFailed, report.Fatal, "updates of a pod fail repeatedly: %s",
		plain.OneLine(ev.Message))
	f.Attempts, f.FirstSeen, f.SelfHealing, f.Confidence = ev.Count, plain.TimePtr(ev.First), "no", "high"
	f.Evidence = []finding.Evidence{plain.Evidence("Event", ev.Reason, ev.Message, ev.Last)}
	f.Next = []finding.Next{e.Next(w, finding.Read, "Read the pod template that the controller cannot apply",
		"get", w.Slash(), "-o", "jsonpath={.spec.template}")}
	w.Add(f)
}
