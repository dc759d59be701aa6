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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

func (e *evaluator) statefulSet(s *appsv1.StatefulSet) *workload {
	w := e.newWorkload("StatefulSet", &s.ObjectMeta, &s.Spec.Template, s.Spec.Replicas, s.Spec.MinReadySeconds)
	w.observed = s.Status.ObservedGeneration
	w.revisions = e.controllerRevisions(s.UID, &s.Spec.Template)
	w.target = revisionNamed(w.revisions, s.Status.UpdateRevision)
	e.attachOwned(w, s.UID, s.Status.UpdateRevision, appsv1.StatefulSetRevisionLabel)
	available := s.Status.AvailableReplicas
	w.setCounts(s.Status.UpdatedReplicas, s.Status.ReadyReplicas, available)
	w.rep.Budget = budget.StatefulSet(s, w.desired)
	w.startOfOwned()

	observed := s.Status.ObservedGeneration >= s.Generation
	partition := plain.Or(w.rep.Budget.Partition, 0)
	onDelete := s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
	current := selectPods(live(w.pods), func(p *pod) bool { return p.isNew })
	due := w.desired
	if partition > 0 {
		due = max(0, w.desired-partition)
	}
	all := s.Status.ReadyReplicas == w.desired && available == w.desired && s.Status.Replicas == w.desired
	w.settled = observed && all && (s.Status.UpdateRevision == s.Status.CurrentRevision && !onDelete || int32(len(current)) >= w.desired || s.Status.UpdatedReplicas >= w.desired) //nolint:gosec // pods
	w.completed = observed && s.Status.UpdatedReplicas == w.desired && !onDelete && s.Status.CurrentRevision == s.Status.UpdateRevision
	w.begun = true
	if e.in.Sources.Get(SourcePods).Readable() {
		w.missing, w.missingOf = w.missingOrdinals(start(s)), w.meta.UID
	}
	if !observed {
		e.notObserving(w, fmt.Sprintf("generation %d is wanted, the controller has seen %d", s.Generation, s.Status.ObservedGeneration))
		return w
	}
	e.statefulGates(s, w, partition, due, onDelete, all)
	return w
}

// missingOrdinals counts the pods that the controller should have created by now. With OrderedReady none is due while one
// of a lower ordinal is not available: orderedWait tells that.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/statefulset/stateful_set_control.go (processReplica)
func (w *workload) missingOrdinals(first int) int32 {
	have := map[int]*pod{}
	for _, p := range w.pods {
		if !p.dead {
			have[ordinalOf(p.Name)] = p
		}
	}
	missing := int32(0)
	for i := first; i < first+int(w.desired); i++ {
		switch p := have[i]; {
		case p == nil:
			missing++
		case missing == 0 && w.ordered() && (p.terminating || !p.available):
			return 0
		}
	}
	return missing
}

// ordered says whether a StatefulSet's pods are made one after the other.
func (w *workload) ordered() bool {
	return w.rep.Budget.PodManagement == string(appsv1.OrderedReadyPodManagement)
}

// keepsBroken says whether a broken pod stays when the template is put right, until somebody deletes it.
func (w *workload) keepsBroken() bool {
	b := w.rep.Budget
	return b != nil && (b.Strategy == string(appsv1.OnDeleteStatefulSetStrategyType) || w.kind == "StatefulSet" && (w.ordered() || b.Unavailable != nil))
}

// controllerRevisions gives the templates that an owner has had, oldest first.
func (e *evaluator) controllerRevisions(owner types.UID, base *corev1.PodTemplateSpec) []*revision {
	var list []*revision
	for i := range e.in.ControllerRevisions {
		cr := &e.in.ControllerRevisions[i]
		if ref := metav1.GetControllerOfNoCopy(cr); ref == nil || ref.UID != owner {
			continue
		}
		list = append(list, &revision{
			number: cr.Revision, name: cr.Name, uid: cr.UID, hash: cr.Name, created: cr.CreationTimestamp.Time,
			template: templateOf(cr.Data.Raw), changeLog: cr.Annotations[causeAnnotation],
		})
	}
	slices.SortFunc(list, func(a, b *revision) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name)) })
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

func revisionNamed(list []*revision, name string) *revision {
	for _, r := range list {
		if r.name == name {
			return r
		}
	}
	return nil
}

// attachOwned gives the workload the pods that it owns itself; their label names their revision.
func (e *evaluator) attachOwned(w *workload, uid types.UID, wanted, label string) {
	w.pods = e.podsOf(uid, w.minReady)
	for _, p := range w.pods {
		hash := p.Labels[label]
		p.isNew = hash != "" && hash == wanted
		for _, r := range w.revisions {
			if r.hash == hash {
				p.rev = r
			}
		}
	}
	w.countPods(e)
}

func (w *workload) startOfOwned() {
	if w.target != nil {
		w.started = w.target.created
	}
	if at := templateWritten(w.meta); at.After(w.started) {
		w.started = at
	}
	if w.started.IsZero() {
		w.started = w.meta.CreationTimestamp.Time
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
func (e *evaluator) statefulGates(s *appsv1.StatefulSet, w *workload, partition, due int32, onDelete, all bool) {
	old := selectPods(live(w.pods), func(p *pod) bool { return !p.isNew })
	slices.SortFunc(old, func(a, b *pod) int { return cmp.Compare(ordinalOf(a.Name), ordinalOf(b.Name)) })
	e.statefulUpdateError(w)
	switch {
	case w.settled && len(old) == 0:
		if w.desired == 0 {
			w.add(e.note(codes.ScaledToZero, "0 replicas are wanted: complete by definition, and no proof that the template works"))
		}
		return
	case onDelete && len(old) > 0:
		e.onDelete(w, old)
	case partition > 0 && len(old) > 0 && all && int32(len(live(w.newPods()))) >= due: //nolint:gosec // pods
		e.partitionHold(s, w, partition, due, old)
	}
	e.statefulTrap(s, w)
	e.orderedWait(s, w)
	e.statefulAction(s, w, old, partition, onDelete)
}

// onDelete lists the pods that a person has to delete, those first that serve nothing.
func (e *evaluator) onDelete(w *workload, old []*pod) {
	ordered := slices.Clone(old)
	slices.SortStableFunc(ordered, func(a, b *pod) int { return cmp.Compare(plain.Int(a.available), plain.Int(b.available)) })
	f := e.finding(codes.OnDelete, report.HeldClass, finding.Warning, "update strategy OnDelete: %s the old template until somebody deletes them: %s",
		plain.Plural(len(old), "pod keeps", "pods keep"), plain.List(podNames(ordered), 6))
	f.Confidence, f.Heals, f.Pods = "high", "no", podNames(ordered)
	f.Evidence = []finding.Evidence{plain.Evidence(w.kind+" "+w.meta.Name, "spec.updateStrategy.type", "OnDelete", plain.NoTime)}
	f.Next = []finding.Next{e.next(w, finding.Destructive, "replace one pod, and look before the next", "delete", "pod", ordered[0].Name)}
	if sick := selectPods(live(w.newPods()), func(p *pod) bool { return !p.available }); len(sick) > 0 && ordered[0].available {
		f.Next = []finding.Next{e.next(w, finding.Read, "look before the next: the new pod is not available yet, and the old ones are", "describe", "pod", sick[0].Name)}
	}
	w.add(f)
}

func (e *evaluator) partitionHold(s *appsv1.StatefulSet, w *workload, partition, due int32, old []*pod) {
	code, what := codes.PartitionHold, fmt.Sprintf("partition %d holds the update: %d of %d pods are updated, %s the old template", partition, due, w.desired, plain.Plural(len(old), "keeps", "keep"))
	if partition >= w.desired {
		code, what = codes.PartitionNever, fmt.Sprintf("partition %d is not below %d replicas: no pod will ever be updated", partition, w.desired)
	}
	f := e.finding(code, report.HeldClass, finding.Warning, "%s", what)
	f.Confidence, f.Heals, f.Pods = "high", "no", podNames(old)
	f.Evidence = []finding.Evidence{plain.Evidence("StatefulSet "+s.Name, "spec.updateStrategy.rollingUpdate.partition", fmt.Sprint(partition), plain.NoTime)}
	lower := max(0, min(partition, w.desired)-1)
	if lower > 0 {
		f.Next = append(f.Next, e.next(w, finding.Change, "let the next pod update", "patch", w.slash(), "-p", fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}}}}`, lower)))
	}
	f.Next = append(f.Next, e.next(w, finding.Change, "let all pods update", "patch", w.slash(), "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}`))
	w.add(f)
}

// statefulTrap: the controller does not replace a pod of an abandoned template while that pod is broken. After a
// correction or an undo it waits for ever. https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
func (e *evaluator) statefulTrap(s *appsv1.StatefulSet, w *workload) {
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || w.target == nil {
		return
	}
	if !w.ordered() && w.rep.Budget.Unavailable == nil {
		return // Parallel without the maxUnavailable gate deletes outdated pods whatever their health
	}
	partition := int(plain.Or(w.rep.Budget.Partition, 0))
	var trapped []*pod
	var inner *cause
	abandoned := false
	for _, p := range live(w.pods) {
		hash := p.Labels[appsv1.StatefulSetRevisionLabel]
		if p.isNew || hash == "" || p.ready || ordinalOf(p.Name) < partition+start(s) {
			continue
		}
		// A pod that only needs time becomes ready and is replaced then: nothing is trapped.
		c := e.diagnose(w, p)
		if c == nil || !codes.HoldsFast(&c.Finding) && e.now.Sub(p.CreationTimestamp.Time) < patienceNotReady {
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
	e.trapFinding(s, w, trapped, inner, abandoned)
}

// patienceNotReady is how long a pod without a clear cause may be not ready before it counts as broken.
const patienceNotReady = 2 * time.Minute

func (e *evaluator) trapFinding(s *appsv1.StatefulSet, w *workload, trapped []*pod, inner *cause, abandoned bool) {
	class, which := report.Likely, "the old template"
	if abandoned && codes.HoldsFast(&inner.Finding) {
		class, which = report.Fatal, "an abandoned template"
	}
	if !codes.HoldsFast(&inner.Finding) {
		class = report.Transient
	}
	f := e.finding(codes.StatefulSetTrap, class, finding.Critical,
		"pod %s is broken and of %s (%s); the controller replaces no pod that is not ready, so the present template does not reach it", plain.List(podNames(trapped), 5), which, inner.Message)
	f.Confidence, f.Heals, f.Pods, f.FirstSeen, f.Log = "high", "no", podNames(trapped), plain.TimePtr(w.started), inner.Log
	p := trapped[0]
	f.Evidence = append(slices.Clone(inner.Evidence),
		plain.Evidence("Pod "+p.Name, "metadata.labels[controller-revision-hash]", p.Labels[appsv1.StatefulSetRevisionLabel], p.CreationTimestamp.Time),
		plain.Evidence("StatefulSet "+s.Name, "status.updateRevision", s.Status.UpdateRevision, w.started))
	f.Next = []finding.Next{e.next(w, finding.Destructive, "delete the broken pod: it comes back with the present template (its volume claims stay)", append([]string{"delete", "pod"}, podNames(trapped)...)...)}
	w.add(f)
}

func start(s *appsv1.StatefulSet) int {
	if s.Spec.Ordinals == nil {
		return 0
	}
	return int(s.Spec.Ordinals.Start)
}

// orderedWait: with OrderedReady everything waits for the lowest pod that is not ready.
func (e *evaluator) orderedWait(s *appsv1.StatefulSet, w *workload) {
	if !w.ordered() || w.settled {
		return
	}
	pods := slices.Clone(w.pods)
	slices.SortFunc(pods, func(a, b *pod) int { return cmp.Compare(ordinalOf(a.Name), ordinalOf(b.Name)) })
	for _, p := range pods {
		if p.available && !p.terminating || p.dead {
			continue
		}
		behind := int(w.desired) - 1 - (ordinalOf(p.Name) - start(s))
		w.findOrdered = p
		outdated := len(selectPods(live(w.pods), func(q *pod) bool { return !q.isNew && q != p }))
		if behind <= 0 && outdated == 0 {
			return
		}
		f := e.finding(codes.StatefulSetOrderedWait, report.Transient, finding.Info, "podManagementPolicy OrderedReady: everything else waits for %s", p.Name)
		f.Role, f.Confidence, f.Heals, f.Pods = report.Consequence, "high", "maybe", []string{p.Name}
		f.Evidence = []finding.Evidence{plain.Evidence("StatefulSet "+s.Name, "spec.podManagementPolicy", "OrderedReady", plain.NoTime)}
		w.add(f)
		return
	}
}

func (e *evaluator) statefulUpdateError(w *workload) {
	ev := eventfact.Newest(e.eventsOf(w.meta), "FailedUpdate")
	if ev == nil || ev.Count < 3 || e.now.Sub(ev.Last) > 5*time.Minute {
		return
	}
	f := e.finding(codes.StatefulSetUpdateError, report.Fatal, finding.Critical, "the controller fails to update a pod: %s", plain.OneLine(ev.Message))
	f.Attempts, f.FirstSeen, f.Heals, f.Confidence = ev.Count, plain.TimePtr(ev.First), "no", "high"
	f.Evidence = []finding.Evidence{plain.Evidence("Event", ev.Reason, ev.Message, ev.Last)}
	f.Next = []finding.Next{e.next(w, finding.Read, "the errors in full", "describe", w.slash())}
	w.add(f)
}

func (e *evaluator) statefulAction(s *appsv1.StatefulSet, w *workload, old []*pod, partition int32, onDelete bool) {
	switch {
	case !e.in.Sources.Get(SourcePods).Readable():
	case w.has(codes.StatefulSetTrap):
		w.rep.Action = "nothing: it waits for a broken pod that it does not replace"
	case onDelete:
		w.rep.Action = "replace a pod only when somebody deletes it"
	case w.findOrdered != nil:
		w.rep.Action = fmt.Sprintf("nothing before %s is available", w.findOrdered.Name)
	case w.missing > 0:
		w.rep.Action = fmt.Sprintf("create %s", plain.Plural(int(w.missing), "pod", "pods"))
	case len(old) > 0 && w.has(codes.PartitionHold), w.has(codes.PartitionNever):
		w.rep.Action = "nothing: the partition holds"
	case len(old) > 0:
		next, lowest := old[len(old)-1], int(partition)+start(s)
		w.rep.Action = fmt.Sprintf("replace pods from the highest ordinal down to %d; next is %s", lowest, next.Name)
		if ordinalOf(next.Name) < lowest {
			w.rep.Action = fmt.Sprintf("nothing more: the pods of the old template are below partition %d", partition)
		}
	}
}
