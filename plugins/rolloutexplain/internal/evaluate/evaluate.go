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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/refusal"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Evaluate explains every workload of the snapshot that was asked for, worst first. Now is the server's time.
func Evaluate(in *model.Input, now time.Time, opts model.Options) report.List {
	e := model.New(in, now, opts, model.NewAsks(in.Fetched, opts.Wide))
	list := report.List{APIVersion: report.APIVersion, Kind: report.KindList, Items: []report.Rollout{}, Sources: sortedSources(in.Sources)}
	for _, w := range workloads(e) {
		list.Items = append(list.Items, finish(e, w))
	}
	slices.SortStableFunc(list.Items, func(a, b report.Rollout) int {
		return cmp.Or(
			verdictRank(a.Verdict)-verdictRank(b.Verdict),
			cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Kind, b.Object.Kind), cmp.Compare(a.Object.Name, b.Object.Name),
		)
	})
	list.Summary = summarize(list.Items)
	return list
}

// Needs tells which lookups the causes at hand ask for and that have not been made.
func Needs(in *model.Input, now time.Time, opts model.Options) []model.Need {
	asks := model.NewAsks(in.Fetched, opts.Wide)
	e := model.New(in, now, opts, asks)
	for _, w := range workloads(e) {
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
			words = append(words, fmt.Sprintf("%d %s", counts[v], strings.ToLower(string(v))))
		}
	}
	return plain.Plural(len(items), "rollout", "rollouts") + ": " + strings.Join(words, ", ")
}

// workloads judges the controllers' side of everything asked for.
func workloads(e *model.Evaluation) []*model.Workload {
	var all []*model.Workload
	in := e.In
	for i := range in.Deployments {
		if d := &in.Deployments[i]; asked(e, "Deployment", &d.ObjectMeta) {
			all = append(all, deployment(e, d))
		}
	}
	for i := range in.StatefulSets {
		if s := &in.StatefulSets[i]; asked(e, "StatefulSet", &s.ObjectMeta) {
			all = append(all, statefulSet(e, s))
		}
	}
	for i := range in.DaemonSets {
		if d := &in.DaemonSets[i]; asked(e, "DaemonSet", &d.ObjectMeta) {
			all = append(all, daemonSet(e, d))
		}
	}
	for i := range in.Jobs {
		if j := &in.Jobs[i]; asked(e, "Job", &j.ObjectMeta) {
			all = append(all, job(e, j))
		}
	}
	for _, o := range in.Rollouts {
		u := unstructured.Unstructured{Object: o}
		meta := &metav1.ObjectMeta{Name: u.GetName(), Namespace: u.GetNamespace()}
		if asked(e, model.KindArgo, meta) {
			all = append(all, argo(e, o))
		}
	}
	return append(all, loose(e)...)
}

// loose judges ReplicaSets and pods that were named and that no rollout owns.
func loose(e *model.Evaluation) []*model.Workload {
	var all []*model.Workload
	for i := range e.In.ReplicaSets {
		rs := &e.In.ReplicaSets[i]
		if len(e.In.Targets) > 0 && asked(e, "ReplicaSet", &rs.ObjectMeta) {
			all = append(all, replicaSet(e, i))
		}
	}
	for i := range e.In.Pods {
		if p := &e.In.Pods[i]; len(e.In.Targets) > 0 && asked(e, "Pod", &p.ObjectMeta) {
			all = append(all, lonePod(e, i))
		}
	}
	return all
}

func asked(e *model.Evaluation, kind string, meta *metav1.ObjectMeta) bool {
	if len(e.In.Targets) == 0 {
		// Jobs of a CronJob and finished Jobs belong to the table as much as any; owned workloads are their owner's.
		return metav1.GetControllerOfNoCopy(meta) == nil || kind == "Job"
	}
	return slices.ContainsFunc(e.In.Targets, func(t finding.ObjectRef) bool {
		return t.Kind == kind && t.Name == meta.Name && (t.Namespace == "" || t.Namespace == meta.Namespace)
	})
}

func replicaSet(e *model.Evaluation, i int) *model.Workload {
	rs := &e.In.ReplicaSets[i]
	w := e.NewWorkload("ReplicaSet", &rs.ObjectMeta, &rs.Spec.Template, rs.Spec.Replicas, rs.Spec.MinReadySeconds)
	w.Observed = rs.Status.ObservedGeneration
	w.Revisions = setRevisions(replicaSetsAt(e, i))
	w.Target = w.Revisions[0]
	e.AttachPods(w)
	w.SetCounts(rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas)
	w.Started, w.Begun = rs.CreationTimestamp.Time, true
	if counted := int32(len(model.Live(w.Pods))); w.Desired > counted { //nolint:gosec // pods
		w.Missing, w.MissingOf = w.Desired-counted, rs.UID
	}
	w.Settled = rs.Status.ObservedGeneration >= rs.Generation && rs.Status.Replicas == w.Desired && rs.Status.AvailableReplicas == w.Desired
	return w
}

func lonePod(e *model.Evaluation, i int) *model.Workload {
	p := &e.In.Pods[i]
	one := int32(1)
	w := e.NewWorkload("Pod", &p.ObjectMeta, nil, &one, 0)
	v := e.PodView(p, 0)
	v.IsNew = true
	w.Pods = []*model.Pod{v}
	w.SetCounts(1, int32(plain.Int(v.Ready)), int32(plain.Int(v.Available))) //nolint:gosec // 0 or 1
	w.Started, w.Begun, w.Settled = p.CreationTimestamp.Time, true, v.Available || v.Status.Phase == "Succeeded"
	return w
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
	r.Template = fingerprint(w.Template)
	if w.Target != nil {
		d := w.Describe(w.Target)
		r.Revision = &d
	}
	if !w.Has(codes.Paused) || w.Target != nil {
		refusal.MissingPods(e, w)
	}
	groups := groupCauses(pods.Causes(e, w))
	shared := place(e, w, groups)
	podClocks(e, w)
	r.Changes = changes(w, w.Previous())
	rank(e, w)
	root := judge(e, w)
	if root != nil {
		root = w.Root() // judging may have added findings, which moves the list
	}
	undo(e, w, root, shared)
	afterwards(e, w, root)
	r.Findings = w.Findings
	if r.Findings == nil {
		r.Findings = []report.Finding{}
	}
	hideSecrets(r)
	r.Pods = podGroups(w, e.Now)
	if e.Opts.History {
		r.History = w.History()
	}
	if e.Opts.Diff {
		r.Diff = explicitDiff(e, w)
	}
	r.Sources = sortedSources(e.In.Sources)
	for _, s := range r.Sources {
		if s.State == source.Forbidden || s.State == source.Unreachable {
			r.Unchecked = append(r.Unchecked, s.Name+": "+s.Gap())
		}
	}
	return *r
}

// place decides what each group of pods is to the rollout.
func place(e *model.Evaluation, w *model.Workload, groups []*group) (shared bool) {
	fresh := map[string]bool{}
	for _, g := range groups {
		if g.isNew {
			fresh[g.Code+g.Finding.Container] = true
		}
	}
	for _, g := range groups {
		f := g.finding(w)
		switch {
		case g.Stage == model.StageEnd && w.Settled && g.Heals == "yes":
			continue // StillEnding says it
		case g.Stage == model.StageEnd:
			f.Role = roleOfEnding(e, w, g)
		case w.Has(codes.StatefulSetTrap) && !g.isNew:
			continue // the trap's own finding tells it
		case g.isNew && g.Code == codes.MinReadyWait && g.Heals == "yes":
			f.Role = report.Root
		case g.isNew && g.Code == codes.Evicted && len(g.pods) >= 2 && overLimit(g.pods):
			f.Role, f.Attempts = report.Root, int32(len(g.pods)) //nolint:gosec // pods
		case w.Kind == "Job" && (allDead(g) || !codes.HoldsFast(&g.Finding)) && told(w, g):
			continue // jobAttempts counts it among the failed
		case g.isNew && rejectedInALoop(w, g):
			f.Role, f.Attempts = report.Root, int32(len(g.pods)) //nolint:gosec // pods
		case g.isNew && allDead(g) && len(model.Live(w.NewPods())) >= int(w.Desired):
			f.Role = report.Unrelated // corpses that have been replaced
		case g.isNew:
			f.Role = report.Root
		case w.FindOrdered != nil && slices.Contains(g.pods, w.FindOrdered), w.Has(codes.BudgetEaten), w.Has(codes.DaemonSetNodeHolds) && slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return holds(e, w, p) }):
			f.Role = report.Root
		case w.Target == nil && w.Has(codes.RecreateWaits):
			f.Role = report.Unrelated
		case w.Target == nil:
			f.Role = report.Contributes
		default:
			f.Role = report.Unrelated
			shared = shared || fresh[g.Code+g.Finding.Container] && codes.HoldsFast(&f)
		}
		w.Add(f)
	}
	return shared
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
		!slices.ContainsFunc(model.Live(w.NewPods()), func(p *model.Pod) bool { return !model.NeverReady(p) })
}

// told says whether the controller's side has named a group's cause already.
func told(w *model.Workload, g *group) bool {
	return slices.ContainsFunc(w.Findings, func(f report.Finding) bool { return f.Code == g.Code && f.Container == g.Finding.Container })
}

func allDead(g *group) bool {
	return !slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return !p.Dead })
}

func holds(e *model.Evaluation, w *model.Workload, p *model.Pod) bool {
	return slices.ContainsFunc(w.Findings, func(f report.Finding) bool {
		return f.Code == codes.DaemonSetNodeHolds && slices.Contains(f.Pods, p.Name)
	})
}

// roleOfEnding: a pod that is being deleted matters where the controller waits for it to be gone.
func roleOfEnding(e *model.Evaluation, w *model.Workload, g *group) report.Role {
	switch {
	case w.Settled:
		return report.Unrelated
	case w.Kind == "StatefulSet": // the next pod needs the name, so the object itself must be gone
		return report.Root
	case w.Has(codes.RecreateWaits) && !allDead(g):
		return report.Root
	case w.AwaitsEnd && g.Heals != "yes":
		return report.Root
	case w.Kind == "DaemonSet" && slices.ContainsFunc(g.pods, func(p *model.Pod) bool { return holds(e, w, p) }):
		return report.Root
	}
	return report.Unrelated
}

// rank puts the root first: what blocks the controller itself, then missing pods, then sick ones.
func rank(e *model.Evaluation, w *model.Workload) {
	slices.SortStableFunc(w.Findings, func(a, b report.Finding) int {
		return cmp.Or(
			roleRank(a.Role)-roleRank(b.Role),
			gravity(&a)-gravity(&b),
			layer(a.Code)-layer(b.Code),
		)
	})
	seen := false
	for i := range w.Findings {
		if w.Findings[i].Role != report.Root {
			continue
		}
		if seen {
			w.Findings[i].Role = report.Contributes
		}
		seen = true
	}
}

func roleRank(r report.Role) int {
	return slices.Index([]report.Role{report.Root, report.Contributes, report.Consequence, report.Unrelated}, r)
}

// layer orders causes of equal gravity: what keeps the controller from acting, then pods that do not exist, then pods.
func layer(code string) int {
	switch codes.LayerOf(code) {
	case codes.LayerController:
		return 0
	case codes.LayerCreate:
		return 1
	}
	return 2
}
