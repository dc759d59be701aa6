package verdict

import (
	"cmp"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// assignRoles decides what each group of pods is to the rollout.
func assignRoles(w *model.Workload, groups []*group) (shared bool) {
	fresh := map[string]bool{}
	for _, g := range groups {
		if g.isNew {
			fresh[string(g.Code)+g.Finding.Container] = true
		}
	}
	for _, g := range groups {
		if toldAlready(w, g) {
			continue
		}
		f := g.finding(w)
		switch {
		case g.Stage == model.StageEnd:
			f.Role = roleOfEnding(w, g)
		case g.isNew:
			if f.Role = roleOfNew(w, g); keepsComing(w, g) {
				f.Attempts = int32(len(g.pods)) //nolint:gosec // pods
			}
		default:
			f.Role = roleOfOld(w, g)
			shared = shared || w.Target != nil && f.Role == report.Unrelated && fresh[string(g.Code)+g.Finding.Container] && codes.IsPersistent(&f)
		}
		w.Add(f)
	}
	return shared
}

// toldAlready says whether the controller's side has its own finding for a group.
func toldAlready(w *model.Workload, g *group) bool {
	switch {
	case g.Stage == model.StageEnd:
		return w.Settled && g.SelfHealing == "yes" // OldPodsTerminating says it
	case w.Has(codes.StatefulSetPodNotReplaced) && !g.isNew:
		return true // that finding reports them
	case g.isNew && (g.Code == codes.MinReadySecondsNotElapsed && g.SelfHealing == "yes" || evictedAgain(g)):
		return false
	}
	// jobAttempts counts it among the failed
	return w.Kind == "Job" && (allDead(g) || !codes.IsPersistent(&g.Finding)) && alreadyReported(w, g)
}

// evictedAgain: pods that used too much are made again and evicted again.
func evictedAgain(g *group) bool {
	return g.Code == codes.Evicted && len(g.pods) >= 2 && overLimit(g.pods)
}

// keepsComing says whether each pod of a group was an attempt that ended like the one before.
func keepsComing(w *model.Workload, g *group) bool { return evictedAgain(g) || rejectedInALoop(w, g) }

// roleOfNew: what pods of the wanted revision suffer is what the rollout fails of, unless they have been replaced.
func roleOfNew(w *model.Workload, g *group) report.Role {
	switch {
	case g.Code == codes.MinReadySecondsNotElapsed && g.SelfHealing == "yes", keepsComing(w, g):
		return report.RootCause
	case allDead(g) && len(model.CountedPods(w.NewPods())) >= int(w.Desired):
		return report.Unrelated // corpses that have been replaced
	}
	return report.RootCause
}

// roleOfOld: old pods matter where the controller waits for them.
func roleOfOld(w *model.Workload, g *group) report.Role {
	switch {
	case w.FindOrdered != nil && slices.Contains(g.pods, w.FindOrdered), w.Has(codes.MaxUnavailableExceeded):
		return report.RootCause
	case w.Has(codes.DaemonSetMaxUnavailableReached) && slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return holds(w, p) }):
		return report.RootCause
	case w.Target == nil && !w.Has(codes.RecreateWaitingForOldPods):
		return report.Contributing
	}
	return report.Unrelated
}

// overLimit says whether pods were evicted for what they themselves use: their successors will be, too.
func overLimit(pods []*model.Pod) bool {
	return !slices.ContainsFunc(pods, func(p *model.Pod) bool {
		return !plain.ContainsAny(p.Status.Message, "exceeds the limit", "exceeds the total limit", "exceeded its local ephemeral storage limit")
	})
}

// rejectedInALoop: a rejected pod is replaced within milliseconds, so that a replacement always seems to start well. It
// proves something once a new pod has been ready. Pods that a node turned away together, once, are no loop.
func rejectedInALoop(w *model.Workload, g *group) bool {
	return g.Code == codes.PodRejected && allDead(g) && len(g.pods) >= codes.Repeats*int(max(1, w.Desired)) &&
		!slices.ContainsFunc(model.CountedPods(w.NewPods()), func(p *model.Pod) bool { return !model.NeverReady(p) })
}

// alreadyReported says whether the controller's side has named a group's cause already.
func alreadyReported(w *model.Workload, g *group) bool {
	return slices.ContainsFunc(w.Findings, func(f report.Finding) bool { return f.Code == g.Code && f.Container == g.Finding.Container })
}

func allDead(g *group) bool {
	return !slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return !p.Dead })
}

func holds(w *model.Workload, p *model.Pod) bool {
	return slices.ContainsFunc(w.Findings, func(f report.Finding) bool {
		return f.Code == codes.DaemonSetMaxUnavailableReached && slices.Contains(f.Pods, p.Name)
	})
}

// roleOfEnding: a pod that is being deleted matters where the controller waits for it to be gone.
func roleOfEnding(w *model.Workload, g *group) report.Role {
	switch {
	case w.Settled:
		return report.Unrelated
	case w.Kind == "StatefulSet": // the next pod needs the name, so the object itself must be gone
		return report.RootCause
	case w.Has(codes.RecreateWaitingForOldPods) && !allDead(g):
		return report.RootCause
	case w.AwaitsEnd && g.SelfHealing != "yes":
		return report.RootCause
	case w.Kind == "DaemonSet" && slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return holds(w, p) }):
		return report.RootCause
	}
	return report.Unrelated
}

// rank puts the root first: what blocks the controller itself, then missing pods, then sick ones.
func rank(w *model.Workload) {
	slices.SortStableFunc(w.Findings, func(a, b report.Finding) int {
		return cmp.Or(
			roleRank(a.Role)-roleRank(b.Role),
			causeRank(&a)-causeRank(&b),
			layer(a.Code)-layer(b.Code),
		)
	})
	seen := false
	for i := range w.Findings {
		if w.Findings[i].Role != report.RootCause {
			continue
		}
		if seen {
			w.Findings[i].Role = report.Contributing
		}
		seen = true
	}
}

func roleRank(r report.Role) int {
	return slices.Index([]report.Role{report.RootCause, report.Contributing, report.Consequence, report.Unrelated}, r)
}

// layer orders causes of equal rank: what keeps the controller from acting, then pods that do not exist, then pods.
func layer(code finding.Code) int {
	switch codes.LayerOf(code) {
	case codes.LayerController:
		return 0
	case codes.LayerCreate:
		return 1
	}
	return 2
}
