package verdict

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// podGroups groups the pods by their role and state.
func podGroups(w *model.Workload, now time.Time) []report.PodGroup {
	byKey := map[string]*report.PodGroup{}
	var keys []string
	for _, p := range w.Pods {
		role := "new"
		switch {
		case w.Ageless:
			role = ""
		case !p.IsNew:
			role = "old"
		}
		state := podState(p, now)
		key := role + "|" + state
		if byKey[key] == nil {
			byKey[key] = &report.PodGroup{Role: role, State: state}
			keys = append(keys, key)
		}
		byKey[key].Pods = append(byKey[key].Pods, p.Name)
	}
	slices.Sort(keys)
	groups := make([]report.PodGroup, 0, len(keys))
	for _, k := range keys {
		slices.Sort(byKey[k].Pods)
		groups = append(groups, *byKey[k])
	}
	return groups
}

func podState(p *model.Pod, now time.Time) string {
	switch {
	case p.Terminating && p.DeletionTimestamp.After(now):
		return "terminating"
	case p.Terminating:
		return "terminating, grace period exceeded"
	case p.Dead:
		return strings.ToLower(string(p.Status.Phase)) + suffixed(p.Status.Reason)
	case p.Available:
		return "available"
	case p.Ready:
		return "ready, not yet available"
	case p.Spec.NodeName == "":
		return "not scheduled"
	}
	if word := podfact.Status(p.Pod); word != string(corev1.PodRunning) {
		return word
	}
	return "not ready"
}

func suffixed(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
