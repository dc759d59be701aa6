package evaluate

import (
	"regexp"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// writersWithin is how far back scaling counts.
const writersWithin = 10 * time.Minute

// foreignWriter: one ReplicaSet that is scaled up and down in turn, with no new template meanwhile, has two writers of
// spec.replicas: a manifest and an autoscaler. managedFields name the last one alone: each takes the field from the other.
func (e *evaluator) foreignWriter(w *workload) {
	ups, downs := map[string]int32{}, map[string]int32{}
	var latest eventfact.Event
	for _, ev := range e.eventsOf(w.meta) {
		m := scaledSet.FindStringSubmatch(ev.Message)
		if ev.Reason != "ScalingReplicaSet" || m == nil || e.now.Sub(ev.Last) > writersWithin || ev.First.Before(w.started) || ev.First.Before(templateWritten(w.meta)) {
			continue
		}
		if m[1] == "up" {
			ups[m[2]] += ev.Count
		} else {
			downs[m[2]] += ev.Count
		}
		if ev.Last.After(latest.Last) {
			latest = ev
		}
	}
	for _, r := range w.revisions {
		if ups[r.name] < 2 || downs[r.name] < 2 {
			continue
		}
		f := e.note(codes.ForeignWriter, "spec.replicas goes up and down: ReplicaSet %s was scaled up %d and down %d times within %s%s: leave it out of the manifest where an autoscaler sets it",
			r.name, ups[r.name], downs[r.name], plain.Age(writersWithin), replicasBy(w))
		f.Evidence = append(f.Evidence, plain.Evidence("Event", latest.Reason, latest.Message, latest.Last))
		f.Role = report.Unrelated
		w.add(f)
		return
	}
}

var scaledSet = regexp.MustCompile(`^Scaled (up|down) replica set (\S+) `)

// replicasBy names who wrote spec.replicas last.
func replicasBy(w *workload) string {
	var at time.Time
	name := ""
	for _, f := range w.meta.ManagedFields {
		if f.FieldsV1 == nil || f.Time == nil || f.Subresource == "status" || !strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:replicas"`) || f.Time.Time.Before(at) {
			continue
		}
		at, name = f.Time.Time, f.Manager
	}
	if name == "" {
		return ""
	}
	return ", last by " + name
}

func (e *evaluator) replicaSetsAt(i int) []*appsv1.ReplicaSet {
	return []*appsv1.ReplicaSet{&e.in.ReplicaSets[i]}
}
