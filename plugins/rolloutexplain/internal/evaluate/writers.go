package evaluate

import (
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"

	appsv1 "k8s.io/api/apps/v1"
)

// foreignWriter: two managers that both own spec.replicas, one of them a moment ago: a manifest and an autoscaler in turn.
func (e *evaluator) foreignWriter(w *workload) {
	var names []string
	recent := false
	for _, f := range w.meta.ManagedFields {
		if f.FieldsV1 == nil || !strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:replicas"`) || f.Subresource == "status" {
			continue
		}
		if !slices.Contains(names, f.Manager) {
			names = append(names, f.Manager)
		}
		recent = recent || f.Time != nil && e.now.Sub(f.Time.Time) < 10*time.Minute
	}
	scaled := newest(e.eventsOf(w.meta), "ScalingReplicaSet")
	if len(names) < 2 || !recent || scaled == nil || scaled.count < 3 || w.settled {
		return
	}
	slices.Sort(names)
	f := e.note(ForeignWriter, "spec.replicas is written by more than one (%s): leave it out of the manifest where an autoscaler sets it", list(names, 4))
	f.Evidence = append(f.Evidence, evidence("Event", scaled.reason, scaled.message, scaled.last))
	f.Role = report.Unrelated
	w.add(f)
}

func (e *evaluator) replicaSetsAt(i int) []*appsv1.ReplicaSet {
	return []*appsv1.ReplicaSet{&e.in.ReplicaSets[i]}
}
