package kinds

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// replicaSetsOf gives the ReplicaSets that an owner controls, oldest first.
func replicaSetsOf(e *model.Evaluation, owner types.UID) []*appsv1.ReplicaSet {
	sets := slices.Clone(e.ReplicaSets[owner])
	sorting.Func(sets, func(a, b *appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return sets
}

func setRevisions(sets []*appsv1.ReplicaSet) []*model.Revision {
	list := make([]*model.Revision, 0, len(sets))
	for _, rs := range sets {
		number, _ := strconv.ParseInt(rs.Annotations[RevisionAnnotation], 10, 64)
		list = append(list, &model.Revision{
			Number: number, Name: rs.Name, UID: rs.UID, Created: rs.CreationTimestamp.Time, Template: &rs.Spec.Template, Set: rs,
			Hash: rs.Labels[appsv1.DefaultDeploymentUniqueLabelKey], ChangeLog: rs.Annotations[CauseAnnotation],
		})
	}
	return list
}

// matching gives the oldest revision with the wanted template: the controller's own rule. The highest number is not it
// while no ReplicaSet exists for a new template.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/util/deployment_util.go (FindNewReplicaSet)
func matching(list []*model.Revision, template *corev1.PodTemplateSpec) *model.Revision {
	want := diff.WithoutHash(template)
	for _, r := range list {
		if apiequality.Semantic.DeepEqual(want, diff.WithoutHash(r.Template)) {
			return r
		}
	}
	return nil
}

// controllerRevisions gives the templates that an owner has had, oldest first.
func controllerRevisions(e *model.Evaluation, owner types.UID, base *corev1.PodTemplateSpec) []*model.Revision {
	var list []*model.Revision
	for _, cr := range e.Controlled[owner] {
		list = append(list, &model.Revision{
			Number: cr.Revision, Name: cr.Name, UID: cr.UID, Hash: cr.Name, Created: cr.CreationTimestamp.Time,
			Template: templateOf(cr.Data.Raw), ChangeLog: cr.Annotations[CauseAnnotation],
		})
	}
	sorting.Func(list, func(a, b *model.Revision) int {
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

func start(s *appsv1.StatefulSet) int {
	if s.Spec.Ordinals == nil {
		return 0
	}
	return int(s.Spec.Ordinals.Start)
}

// undated takes every pod for one that the rollout waits for, where nothing tells which of them are old.
func undated(w *model.Workload) {
	for _, p := range w.Pods {
		p.IsNew = true
	}
	w.Report.Counts.Old, w.Report.Counts.UpdatedReady, w.Ageless = nil, nil, true
}

// startOfRevision dates the rollout: evidence that is older than this is not about it. A ReplicaSet that a rollback uses
// again is older than its rollout; then the workload's own record of writes tells.
func startOfRevision(w *model.Workload) {
	switch {
	case w.Target == nil:
		w.Started = templateWritten(w.Meta)
	case w.Target.Number > 0 && w.Target != w.Revisions[len(w.Revisions)-1]:
		w.Started = templateWritten(w.Meta)
	default:
		w.Started = w.Target.Created
	}
	if w.Started.IsZero() {
		w.Started = w.Meta.CreationTimestamp.Time
	}
}

// templateWritten is when spec.template was written last, by managedFields; zero when they do not tell.
func templateWritten(meta *metav1.ObjectMeta) time.Time {
	var at time.Time
	for _, f := range meta.ManagedFields {
		if f.Time != nil && f.FieldsV1 != nil && f.Subresource == "" && strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:template"`) &&
			f.Time.After(at) {
			at = f.Time.Time
		}
	}
	return at
}
