// Package evaluate explains rollouts: a pure function from a snapshot of API objects and the server's time to a report.
// It knows no cluster, no clock and no terminal, so that a dump, a fixture and a live cluster are judged alike.
package evaluate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/verdict"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Rules are all findings that a report can hold.
var Rules = rule.NewBook(kinds.Rules, refusal.Rules, placement.Rules, pods.Rules, verdict.Rules)

// Evaluate explains every workload of the snapshot that was asked for, worst first. Now is the server's time.
func Evaluate(in *model.Input, now time.Time, opts model.Options) report.List {
	e := model.New(Rules, in, now, opts, model.NewAsks(in.Fetched, opts))
	list := report.List{APIVersion: report.APIVersion, Kind: report.KindList, Items: []report.Rollout{}, Sources: sortedSources(in.Sources)}
	for w := range kinds.Workloads(e) {
		list.Items = append(list.Items, finish(e, w))
	}
	sorting.Stable(list.Items, func(a, b report.Rollout) int {
		return cmp.Or(
			verdictRank(a.Verdict)-verdictRank(b.Verdict),
			cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Kind, b.Object.Kind),
			cmp.Compare(a.Object.Name, b.Object.Name),
		)
	})
	list.Summary = summarize(list.Items)
	return list
}

// Needs tells which lookups the causes at hand ask for and that have not been made.
func Needs(in *model.Input, now time.Time, opts model.Options) []model.Need {
	asks := model.NewAsks(in.Fetched, opts)
	e := model.New(Rules, in, now, opts, asks)
	for w := range kinds.Workloads(e) {
		finish(e, w)
	}
	return asks.Open()
}

func sortedSources(list source.List) source.List {
	sorted := slices.Clone(list)
	sorted.Sort()
	if sorted == nil {
		sorted = source.List{}
	}
	return sorted
}

func verdictRank(v report.Verdict) int { return slices.Index(report.Verdicts(), v) }

func summarize(items []report.Rollout) string {
	if len(items) == 0 {
		return "no rollouts"
	}
	counts := map[report.Verdict]int{}
	for i := range items {
		counts[items[i].Verdict]++
	}
	var words []string
	for _, v := range report.Verdicts() {
		if counts[v] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	return plain.Plural(len(items), "rollout", "rollouts") + ": " + strings.Join(words, ", ")
}

// fingerprint tells one pod template from another, without telling what is in it.
func fingerprint(template *corev1.PodTemplateSpec) string {
	if template == nil {
		return ""
	}
	data, err := json.Marshal(template)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// finish joins the controller's side with the pods' and gives the verdict.
func finish(e *model.Evaluation, w *model.Workload) report.Rollout {
	r := w.Report
	r.ObservedGeneration = w.Observed
	r.Template = fingerprint(cmp.Or(w.Given, w.Template))
	if w.Target != nil {
		d := w.Describe(w.Target)
		r.Revision = &d
	}
	if !w.Has(kinds.DeploymentPaused) || w.Target != nil {
		refusal.MissingPods(e, w)
	}
	verdict.Give(e, w, pods.Causes(e, w))
	r.Sources = sortedSources(e.In.Sources)
	for _, s := range r.Sources {
		if s.State == source.Forbidden || s.State == source.Unreachable {
			r.NotChecked = append(r.NotChecked, s.Name+": "+s.Reason())
		}
	}
	return *r
}
