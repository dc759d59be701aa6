package kinds

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// setsMutated reports the loop of an admission that changes each new ReplicaSet: the controller finds none that equals its
// template, takes the changed one for a collision of names, and makes another. Collisions are counted since the Deployment
// exists, so that only ReplicaSets younger than the template's last write prove it.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/deployment/sync.go (getNewReplicaSet)
func setsMutated(e *model.Evaluation, w *model.Workload) bool {
	collisions := collisionsOf(e, w)
	written := templateWritten(w.Meta)
	if written.IsZero() && w.Meta.Generation == 1 {
		written = w.Meta.CreationTimestamp.Time
	}
	if w.Target != nil || collisions == 0 || written.IsZero() {
		return false
	}
	sets := slices.DeleteFunc(slices.Clone(w.Revisions), func(r *model.Revision) bool { return r.Created.Before(written) })
	if len(sets) == 0 {
		return false
	}
	newest := slices.MaxFunc(sets, func(a, b *model.Revision) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
	})
	changes := diff.Templates(w.Template, newest.Template)
	paths := make([]string, 0, len(changes))
	for _, c := range changes {
		paths = append(paths, c.Path)
	}
	f := e.Finding(codes.ReplicaSetMutated, report.LikelyFatal,
		"admission changes each new ReplicaSet, so that none has the template of the Deployment (%s): %s so far, %s",
		plain.List(paths, 3), plain.Plural(len(sets), "ReplicaSet", "ReplicaSets"),
		plain.Plural(int(collisions), "hash collision", "hash collisions"))
	f.SelfHealing, f.Confidence, f.FirstSeen = "no", "high", plain.TimePtr(sets[0].Created)
	f.Evidence = []finding.Evidence{
		plain.Evidence("Deployment "+w.Meta.Name, "status.collisionCount", fmt.Sprint(collisions), time.Time{}),
		plain.Evidence("ReplicaSet "+newest.Name, "spec.template", "differs in "+strings.Join(paths, ", "), newest.Created),
	}
	f.Next = []finding.Next{e.NextCluster(finding.Read, "Find the webhook or policy that changes ReplicaSets", "get",
		"mutatingwebhookconfigurations,mutatingadmissionpolicies", "-o",
		"custom-columns=KIND:.kind,NAME:.metadata.name,HOOKS:.webhooks[*].rules[*].resources,POLICY:.spec.matchConstraints.resourceRules[*].resources")}
	w.Add(f)
	return true
}

func collisionsOf(e *model.Evaluation, w *model.Workload) int32 {
	for i := range e.In.Deployments {
		if d := &e.In.Deployments[i]; d.UID == w.Meta.UID {
			return plain.Or(d.Status.CollisionCount, 0)
		}
	}
	return 0
}
