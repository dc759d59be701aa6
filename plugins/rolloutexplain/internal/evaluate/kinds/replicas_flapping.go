package kinds

import (
	"regexp"
	"time"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
)

const ReplicasFlapping finding.Code = "ReplicasFlapping"

var replicasFlappingRules = []rule.Rule{
	{Layer: rule.LayerNote, Entry: finding.Entry{
		Code: ReplicasFlapping, Severity: finding.Info, Title: "Replica count is scaled up and down repeatedly",
		Meaning: "One ReplicaSet is scaled up and down in turn without a new pod template. Probably two clients set " +
			"spec.replicas, such as an applied manifest and an autoscaler.",
		Evidence: "At least 2 ScalingReplicaSet events up and 2 down for one ReplicaSet within 10m; the last manager of " +
			"spec.replicas in metadata.managedFields.",
		Next: "Remove spec.replicas from the manifest if an autoscaler sets the field.",
	}},
}

// flappingWithin is how far back scaling counts.
const flappingWithin = 10 * time.Minute

// replicasFlapping reports one ReplicaSet that is scaled up and down in turn, with no new template meanwhile: probably two
// clients set spec.replicas, such as a manifest and an autoscaler. managedFields name only the last one.
func replicasFlapping(e *model.Evaluation, w *model.Workload) {
	ups, downs := map[string]int32{}, map[string]int32{}
	var latest eventfact.Event
	for _, ev := range e.EventsOf(w.Meta) {
		m := scaledSet.FindStringSubmatch(ev.Message)
		if ev.Reason != "ScalingReplicaSet" || m == nil || e.Now.Sub(ev.Last) > flappingWithin || ev.First.Before(w.Started) ||
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
		f := e.Note(ReplicasFlapping,
			"ReplicaSet %s was scaled up %s and down %s within %s%s",
			r.Name, plain.Plural(int(ups[r.Name]), "time", "times"), plain.Plural(int(downs[r.Name]), "time", "times"),
			plain.Age(flappingWithin), replicasBy(w))
		f.Evidence = append(f.Evidence, plain.Evidence("Event", latest.Reason, latest.Message, latest.Last))
		w.Add(f)
		return
	}
}

var scaledSet = regexp.MustCompile(`^Scaled (up|down) replica set (\S+) `)

// replicasBy names who wrote spec.replicas last.
func replicasBy(w *model.Workload) string {
	switch last := w.ReplicasWriter(); {
	case w.Autoscaled():
		return "; spec.replicas was last set by a HorizontalPodAutoscaler"
	case last != nil:
		return "; spec.replicas was last set by " + last.Manager
	}
	return ""
}
