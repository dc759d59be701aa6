package kinds

import (
	"regexp"
	"strings"
	"time"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// writersWithin is how far back scaling counts.
const writersWithin = 10 * time.Minute

// foreignWriter: one ReplicaSet that is scaled up and down in turn, with no new template meanwhile, has two writers of
// spec.replicas: a manifest and an autoscaler. managedFields name the last one alone: each takes the field from the other.
func foreignWriter(e *model.Evaluation, w *model.Workload) {
	ups, downs := map[string]int32{}, map[string]int32{}
	var latest eventfact.Event
	for _, ev := range e.EventsOf(w.Meta) {
		m := scaledSet.FindStringSubmatch(ev.Message)
		if ev.Reason != "ScalingReplicaSet" || m == nil || e.Now.Sub(ev.Last) > writersWithin || ev.First.Before(w.Started) ||
			ev.First.Before(templateWritten(w.Meta)) {
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
	for _, r := range w.Revisions {
		if ups[r.Name] < 2 || downs[r.Name] < 2 {
			continue
		}
		f := e.Note(codes.ReplicasFlapping,
			"spec.replicas goes up and down: ReplicaSet %s was scaled up %d and down %d times within %s%s: "+
				"leave it out of the manifest where an autoscaler sets it",
			r.Name, ups[r.Name], downs[r.Name], plain.Age(writersWithin), replicasBy(w))
		f.Evidence = append(f.Evidence, plain.Evidence("Event", latest.Reason, latest.Message, latest.Last))
		f.Role = report.Unrelated
		w.Add(f)
		return
	}
}

var scaledSet = regexp.MustCompile(`^Scaled (up|down) replica set (\S+) `)

// replicasBy names who wrote spec.replicas last.
func replicasBy(w *model.Workload) string {
	var at time.Time
	name := ""
	for _, f := range w.Meta.ManagedFields {
		if f.FieldsV1 == nil || f.Time == nil || f.Subresource == "status" ||
			!strings.Contains(string(f.FieldsV1.GetRawBytes()), `"f:replicas"`) || f.Time.Time.Before(at) {
			continue
		}
		at, name = f.Time.Time, f.Manager
	}
	if name == "" {
		return ""
	}
	return ", last by " + name
}
