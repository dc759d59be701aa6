package verdict

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// addGroups adds a finding for each group of pods, and what the group is to the rollout.
func addGroups(e *model.Evaluation, w *model.Workload, groups []*group) (shared bool) {
	fresh := map[string]bool{}
	for _, g := range groups {
		if g.isNew {
			fresh[string(g.Code)+g.Finding.Container] = true
		}
	}
	for _, g := range groups {
		if toldAlready(e, w, g) {
			continue
		}
		f := g.finding(w)
		switch {
		case g.Stage == model.StageEnd:
			f.Stance = stanceOfEnding(w, g, groups)
		case g.isNew:
			if f.Stance = stanceOfNew(w, g); keepsComing(w, g) {
				f.Attempts = int32(len(g.pods)) //nolint:gosec // pods
			}
		default:
			f.Stance = stanceOfOld(w, g)
			shared = shared || w.Target != nil && f.Stance == finding.Beside && fresh[string(g.Code)+g.Finding.Container] && e.Rules.IsPersistent(&f)
		}
		w.Add(f)
	}
	return shared
}

// toldAlready says whether the controller's side has its own finding for a group.
func toldAlready(e *model.Evaluation, w *model.Workload, g *group) bool {
	switch {
	case g.Stage == model.StageEnd:
		return w.Settled && g.SelfHealing == "yes" // OldPodsTerminating says it
	case w.Has(kinds.StatefulSetPodNotReplaced) && !g.isNew:
		return true // that finding reports them
	case g.isNew && (g.Code == pods.MinReadySecondsNotElapsed && g.SelfHealing == "yes" || evictedAgain(g)):
		return false
	}
	// jobAttempts counts it among the failed
	return w.Kind == "Job" && (allDead(g) || !e.Rules.IsPersistent(&g.Finding)) && alreadyReported(w, g)
}

// evictedAgain: pods that used too much are made again and evicted again.
func evictedAgain(g *group) bool {
	return g.Code == pods.Evicted && len(g.pods) >= 2 && overLimit(g.pods)
}

// keepsComing says whether each pod of a group was an attempt that ended like the one before.
func keepsComing(w *model.Workload, g *group) bool { return evictedAgain(g) || rejectedInALoop(w, g) }

// stanceOfNew: what pods of the wanted revision suffer is what the rollout fails of, unless they have been replaced.
func stanceOfNew(w *model.Workload, g *group) finding.Stance {
	switch {
	case g.Code == pods.MinReadySecondsNotElapsed && g.SelfHealing == "yes", keepsComing(w, g):
		return finding.Blocks
	case allDead(g) && len(model.CountedPods(w.NewPods())) >= int(w.Desired):
		return finding.Beside // corpses that have been replaced
	}
	return finding.Blocks
}

// stanceOfOld: old pods matter where the controller waits for them.
func stanceOfOld(w *model.Workload, g *group) finding.Stance {
	switch {
	case w.FindOrdered != nil && slices.Contains(g.pods, w.FindOrdered):
		return finding.Blocks
	case w.Has(kinds.MaxUnavailableExceeded): // they go as soon as new pods are available: what these lack is the cause
		if len(model.CountedPods(w.NewPods())) > 0 {
			return finding.Adds
		}
		return finding.Blocks
	case w.Has(kinds.DaemonSetMaxUnavailableReached) && slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return holds(w, p) }):
		return finding.Blocks
	case w.Target == nil && !w.Has(kinds.RecreateWaitingForOldPods):
		return finding.Adds
	}
	return finding.Beside
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
	return g.Code == pods.PodRejected && allDead(g) && len(g.pods) >= rule.Repeats*int(max(1, w.Desired)) &&
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
		return f.Code == kinds.DaemonSetMaxUnavailableReached && slices.Contains(f.Pods, p.Name)
	})
}

// stanceOfEnding: a pod that is being deleted matters where the controller, or another pod, waits for it to be gone.
func stanceOfEnding(w *model.Workload, g *group, groups []*group) finding.Stance {
	awaited := func(o *group) bool { return o.Awaits != nil && slices.Contains(g.pods, o.Awaits) }
	switch {
	case w.Settled:
		return finding.Beside
	case w.Kind == "StatefulSet": // the next pod needs the name, so the object itself must be gone
		return finding.Blocks
	case w.Has(kinds.RecreateWaitingForOldPods) && !allDead(g):
		return finding.Blocks
	case w.AwaitsEnd && g.SelfHealing != "yes", slices.ContainsFunc(groups, awaited):
		return finding.Blocks
	case w.Kind == "DaemonSet" && slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return holds(w, p) }):
		return finding.Blocks
	}
	return finding.Beside
}

// place lets pkg/finding make roles and order of what is known of each finding.
func place(e *model.Evaluation, w *model.Workload) {
	relations := make([]finding.Relation, 0, len(w.Findings))
	for i := range w.Findings {
		f := &w.Findings[i]
		relations = append(relations, finding.Relation{
			Code: f.Code, Causes: f.Causes, Mute: f.Class == report.Info, Stance: f.Stance, Rank: gravity(e, f), Depth: layer(e, f.Code),
		})
	}
	placed := make([]report.Finding, 0, len(w.Findings))
	for _, p := range finding.Arrange(relations) {
		f := w.Findings[p.At]
		f.Role = p.Role
		placed = append(placed, f)
	}
	w.Findings = placed
}

// gravity is how grave a finding is within a rollout: what cannot heal comes before what can.
func gravity(e *model.Evaluation, f *report.Finding) int {
	switch {
	case f.Class == report.Fatal:
		return 0
	case e.Rules.IsPersistent(f):
		return 1
	case f.Class == report.PausedClass:
		return 2
	case f.Class == report.LikelyFatal:
		return 3
	case f.Class == report.Transient && f.SelfHealing != "yes":
		return 4
	}
	return 5
}

// layer is how near to the cause a code sits: what keeps the controller from acting, then pods that do not exist, then pods.
func layer(e *model.Evaluation, code finding.Code) int {
	switch e.Rules.Of(code).Layer {
	case rule.LayerController:
		return 0
	case rule.LayerCreate:
		return 1
	}
	return 2
}
