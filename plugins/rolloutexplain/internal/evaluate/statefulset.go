package evaluate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/budget"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

func statefulSet(e *model.Evaluation, s *appsv1.StatefulSet) *model.Workload {
	w := e.NewWorkload("StatefulSet", &s.ObjectMeta, &s.Spec.Template, s.Spec.Replicas, s.Spec.MinReadySeconds)
	w.Observed = s.Status.ObservedGeneration
	w.Revisions = controllerRevisions(e, s.UID, &s.Spec.Template)
	w.Target = revisionNamed(w.Revisions, s.Status.UpdateRevision)
	attachOwned(e, w, s.UID, s.Status.UpdateRevision, appsv1.StatefulSetRevisionLabel)
	available := s.Status.AvailableReplicas
	w.SetCounts(s.Status.UpdatedReplicas, s.Status.ReadyReplicas, available)
	w.Report.Budget = budget.StatefulSet(s, w.Desired)
	startOfOwned(w)

	observed := s.Status.ObservedGeneration >= s.Generation
	partition := plain.Or(w.Report.Budget.Partition, 0)
	onDelete := s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
	current := model.Select(model.Live(w.Pods), func(p *model.Pod) bool { return p.IsNew })
	due := w.Desired
	if partition > 0 {
		due = max(0, w.Desired-partition)
	}
	all := s.Status.ReadyReplicas == w.Desired && available == w.Desired && s.Status.Replicas == w.Desired
	w.Settled = observed && all && (s.Status.UpdateRevision == s.Status.CurrentRevision && !onDelete || int32(len(current)) >= w.Desired || s.Status.UpdatedReplicas >= w.Desired) //nolint:gosec // pods
	w.Completed = observed && s.Status.UpdatedReplicas == w.Desired && !onDelete && s.Status.CurrentRevision == s.Status.UpdateRevision
	w.Begun = true
	if e.In.Sources.Get(model.SourcePods).Readable() {
		w.Missing, w.MissingOf = missingOrdinals(w, start(s)), w.Meta.UID
	}
	if !observed {
		notObserving(e, w, fmt.Sprintf("generation %d is wanted, the controller has seen %d", s.Generation, s.Status.ObservedGeneration))
		return w
	}
	statefulGates(e, s, w, partition, due, onDelete, all)
	return w
}

// missingOrdinals counts the pods that the controller should have created by now. With OrderedReady none is due while one
// of a lower ordinal is not available: orderedWait tells that.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/statefulset/stateful_set_control.go (processReplica)
func missingOrdinals(w *model.Workload, first int) int32 {
	have := map[int]*model.Pod{}
	for _, p := range w.Pods {
		if !p.Dead {
			have[ordinalOf(p.Name)] = p
		}
	}
	missing := int32(0)
	for i := first; i < first+int(w.Desired); i++ {
		switch p := have[i]; {
		case p == nil:
			missing++
		case missing == 0 && w.Ordered() && (p.Terminating || !p.Available):
			return 0
		}
	}
	return missing
}

// controllerRevisions gives the templates that an owner has had, oldest first.
func controllerRevisions(e *model.Evaluation, owner types.UID, base *corev1.PodTemplateSpec) []*model.Revision {
	var list []*model.Revision
	for i := range e.In.ControllerRevisions {
		cr := &e.In.ControllerRevisions[i]
		if ref := metav1.GetControllerOfNoCopy(cr); ref == nil || ref.UID != owner {
			continue
		}
		list = append(list, &model.Revision{
			Number: cr.Revision, Name: cr.Name, Uid: cr.UID, Hash: cr.Name, Created: cr.CreationTimestamp.Time,
			Template: templateOf(cr.Data.Raw), ChangeLog: cr.Annotations[causeAnnotation],
		})
	}
	slices.SortFunc(list, func(a, b *model.Revision) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// templateOf reads the patch that a ControllerRevision holds: {"spec":{"template":{…,"$patch":"replace"}}}.
func templateOf(raw []byte) *corev1.PodTemplateSpec {
	var patch struct {
		Spec struct {
			Template *corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if json.Unmarshal(raw, &patch) != nil {
		return nil
	}
	return patch.Spec.Template
}

func revisionNamed(list []*model.Revision, name string) *model.Revision {
	for _, r := range list {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// attachOwned gives the workload the pods that it owns itself; their label names their revision.
func attachOwned(e *model.Evaluation, w *model.Workload, uid types.UID, wanted, label string) {
	w.Pods = e.PodsOf(uid, w.MinReady)
	for _, p := range w.Pods {
		hash := p.Labels[label]
		p.IsNew = hash != "" && hash == wanted
		for _, r := range w.Revisions {
			if r.Hash == hash {
				p.Revision = r
			}
		}
	}
	w.CountPods(e)
}

func startOfOwned(w *model.Workload) {
	if w.Target != nil {
		w.Started = w.Target.Created
	}
	if at := templateWritten(w.Meta); at.After(w.Started) {
		w.Started = at
	}
	if w.Started.IsZero() {
		w.Started = w.Meta.CreationTimestamp.Time
	}
}

func ordinalOf(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndex(name, "-")+1:])
	if err != nil {
		return -1
	}
	return n
}

// statefulGates explains what the StatefulSet controller itself waits for.
func statefulGates(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, partition, due int32, onDelete, all bool) {
	old := model.Select(model.Live(w.Pods), func(p *model.Pod) bool { return !p.IsNew })
	slices.SortFunc(old, func(a, b *model.Pod) int { return cmp.Compare(ordinalOf(a.Name), ordinalOf(b.Name)) })
	statefulUpdateError(e, w)
	switch {
	case w.Settled && len(old) == 0:
		if w.Desired == 0 {
			w.Add(e.Note(codes.ScaledToZero, "0 replicas are wanted: complete by definition, and no proof that the template works"))
		}
		return
	case onDelete && len(old) > 0:
		heldByOnDelete(e, w, old)
	case partition > 0 && len(old) > 0 && all && int32(len(model.Live(w.NewPods()))) >= due: //nolint:gosec // pods
		partitionHold(e, s, w, partition, due, old)
	}
	statefulTrap(e, s, w)
	orderedWait(e, s, w)
	statefulAction(e, s, w, old, partition, onDelete)
}

// heldByOnDelete lists the pods that a person has to delete, those first that serve nothing.
func heldByOnDelete(e *model.Evaluation, w *model.Workload, old []*model.Pod) {
	ordered := slices.Clone(old)
	slices.SortStableFunc(ordered, func(a, b *model.Pod) int { return cmp.Compare(plain.Int(a.Available), plain.Int(b.Available)) })
	f := e.Finding(codes.OnDelete, report.HeldClass, finding.Warning, "update strategy OnDelete: %s the old template until somebody deletes them: %s",
		plain.Plural(len(old), "pod keeps", "pods keep"), plain.List(model.Names(ordered), 6))
	f.Confidence, f.Heals, f.Pods = "high", "no", model.Names(ordered)
	f.Evidence = []finding.Evidence{plain.Evidence(w.Kind+" "+w.Meta.Name, "spec.updateStrategy.type", "OnDelete", plain.NoTime)}
	f.Next = []finding.Next{e.Next(w, finding.Destructive, "replace one pod, and look before the next", "delete", "pod", ordered[0].Name)}
	if sick := model.Select(model.Live(w.NewPods()), func(p *model.Pod) bool { return !p.Available }); len(sick) > 0 && ordered[0].Available {
		f.Next = []finding.Next{e.Next(w, finding.Read, "look before the next: the new pod is not available yet, and the old ones are", "describe", "pod", sick[0].Name)}
	}
	w.Add(f)
}

func partitionHold(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, partition, due int32, old []*model.Pod) {
	code, what := codes.PartitionHold, fmt.Sprintf("partition %d holds the update: %d of %d pods are updated, %s the old template", partition, due, w.Desired, plain.Plural(len(old), "keeps", "keep"))
	if partition >= w.Desired {
		code, what = codes.PartitionNever, fmt.Sprintf("partition %d is not below %d replicas: no pod will ever be updated", partition, w.Desired)
	}
	f := e.Finding(code, report.HeldClass, finding.Warning, "%s", what)
	f.Confidence, f.Heals, f.Pods = "high", "no", model.Names(old)
	f.Evidence = []finding.Evidence{plain.Evidence("StatefulSet "+s.Name, "spec.updateStrategy.rollingUpdate.partition", fmt.Sprint(partition), plain.NoTime)}
	lower := max(0, min(partition, w.Desired)-1)
	if lower > 0 {
		f.Next = append(f.Next, e.Next(w, finding.Change, "let the next pod update", "patch", w.Slash(), "-p", fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}}}}`, lower)))
	}
	f.Next = append(f.Next, e.Next(w, finding.Change, "let all pods update", "patch", w.Slash(), "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`))
	w.Add(f)
}

// statefulTrap: the controller does not replace a pod of an abandoned template while that pod is broken. After a
// correction or an undo it waits for ever. https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
func statefulTrap(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload) {
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || w.Target == nil {
		return
	}
	if !w.Ordered() && w.Report.Budget.Unavailable == nil {
		return // Parallel without the maxUnavailable gate deletes outdated pods whatever their health
	}
	partition := int(plain.Or(w.Report.Budget.Partition, 0))
	var trapped []*model.Pod
	var inner *model.Cause
	abandoned := false
	for _, p := range model.Live(w.Pods) {
		hash := p.Labels[appsv1.StatefulSetRevisionLabel]
		if p.IsNew || hash == "" || p.Ready || ordinalOf(p.Name) < partition+start(s) {
			continue
		}
		// A pod that only needs time becomes ready and is replaced then: nothing is trapped.
		c := pods.Diagnose(e, w, p)
		if c == nil || !codes.HoldsFast(&c.Finding) && e.Now.Sub(p.CreationTimestamp.Time) < patienceNotReady {
			continue
		}
		trapped = append(trapped, p)
		abandoned = abandoned || hash != s.Status.CurrentRevision || s.Status.CurrentRevision == s.Status.UpdateRevision
		if inner == nil {
			inner = c
		}
	}
	if len(trapped) == 0 {
		return
	}
	trapFinding(e, s, w, trapped, inner, abandoned)
}

// patienceNotReady is how long a pod without a clear cause may be not ready before it counts as broken.
const patienceNotReady = 2 * time.Minute

func trapFinding(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, trapped []*model.Pod, inner *model.Cause, abandoned bool) {
	class, which := report.Likely, "the old template"
	if abandoned && codes.HoldsFast(&inner.Finding) {
		class, which = report.Fatal, "an abandoned template"
	}
	if !codes.HoldsFast(&inner.Finding) {
		class = report.Transient
	}
	f := e.Finding(codes.StatefulSetTrap, class, finding.Critical,
		"pod %s is broken and of %s (%s); the controller replaces no pod that is not ready, so the present template does not reach it", plain.List(model.Names(trapped), 5), which, inner.Message)
	f.Confidence, f.Heals, f.Pods, f.FirstSeen, f.Log = "high", "no", model.Names(trapped), plain.TimePtr(w.Started), inner.Log
	p := trapped[0]
	f.Evidence = append(slices.Clone(inner.Evidence),
		plain.Evidence("Pod "+p.Name, "metadata.labels[controller-revision-hash]", p.Labels[appsv1.StatefulSetRevisionLabel], p.CreationTimestamp.Time),
		plain.Evidence("StatefulSet "+s.Name, "status.updateRevision", s.Status.UpdateRevision, w.Started))
	f.Next = []finding.Next{e.Next(w, finding.Destructive, "delete the broken pod: it comes back with the present template (its volume claims stay)", append([]string{"delete", "pod"}, model.Names(trapped)...)...)}
	w.Add(f)
}

func start(s *appsv1.StatefulSet) int {
	if s.Spec.Ordinals == nil {
		return 0
	}
	return int(s.Spec.Ordinals.Start)
}

// orderedWait: with OrderedReady everything waits for the lowest pod that is not ready.
func orderedWait(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload) {
	if !w.Ordered() || w.Settled {
		return
	}
	pods := slices.Clone(w.Pods)
	slices.SortFunc(pods, func(a, b *model.Pod) int { return cmp.Compare(ordinalOf(a.Name), ordinalOf(b.Name)) })
	for _, p := range pods {
		if p.Available && !p.Terminating || p.Dead {
			continue
		}
		behind := int(w.Desired) - 1 - (ordinalOf(p.Name) - start(s))
		w.FindOrdered = p
		outdated := len(model.Select(model.Live(w.Pods), func(q *model.Pod) bool { return !q.IsNew && q != p }))
		if behind <= 0 && outdated == 0 {
			return
		}
		f := e.Finding(codes.StatefulSetOrderedWait, report.Transient, finding.Info, "podManagementPolicy OrderedReady: everything else waits for %s", p.Name)
		f.Role, f.Confidence, f.Heals, f.Pods = report.Consequence, "high", "maybe", []string{p.Name}
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
	f := e.Finding(codes.StatefulSetUpdateError, report.Fatal, finding.Critical, "the controller fails to update a pod: %s", plain.OneLine(ev.Message))
	f.Attempts, f.FirstSeen, f.Heals, f.Confidence = ev.Count, plain.TimePtr(ev.First), "no", "high"
	f.Evidence = []finding.Evidence{plain.Evidence("Event", ev.Reason, ev.Message, ev.Last)}
	f.Next = []finding.Next{e.Next(w, finding.Read, "the errors in full", "describe", w.Slash())}
	w.Add(f)
}

func statefulAction(e *model.Evaluation, s *appsv1.StatefulSet, w *model.Workload, old []*model.Pod, partition int32, onDelete bool) {
	switch {
	case !e.In.Sources.Get(model.SourcePods).Readable():
	case w.Has(codes.StatefulSetTrap):
		w.Report.Action = "nothing: it waits for a broken pod that it does not replace"
	case onDelete:
		w.Report.Action = "replace a pod only when somebody deletes it"
	case w.FindOrdered != nil:
		w.Report.Action = fmt.Sprintf("nothing before %s is available", w.FindOrdered.Name)
	case w.Missing > 0:
		w.Report.Action = fmt.Sprintf("create %s", plain.Plural(int(w.Missing), "pod", "pods"))
	case len(old) > 0 && w.Has(codes.PartitionHold), w.Has(codes.PartitionNever):
		w.Report.Action = "nothing: the partition holds"
	case len(old) > 0:
		next, lowest := old[len(old)-1], int(partition)+start(s)
		w.Report.Action = fmt.Sprintf("replace pods from the highest ordinal down to %d; next is %s", lowest, next.Name)
		if ordinalOf(next.Name) < lowest {
			w.Report.Action = fmt.Sprintf("nothing more: the pods of the old template are below partition %d", partition)
		}
	}
}
