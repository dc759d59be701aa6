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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Evaluate explains every workload of the snapshot that was asked for, worst first. Now is the server's time.
func Evaluate(in *Input, now time.Time, opts Options) report.List {
	e := newEvaluator(in, now, opts, NewAsks(in.Fetched, opts.Wide))
	list := report.List{APIVersion: report.APIVersion, Kind: report.KindList, Items: []report.Rollout{}, Sources: sortedSources(in.Sources)}
	for _, w := range e.workloads() {
		list.Items = append(list.Items, e.finish(w))
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
func Needs(in *Input, now time.Time, opts Options) []Need {
	asks := NewAsks(in.Fetched, opts.Wide)
	e := newEvaluator(in, now, opts, asks)
	for _, w := range e.workloads() {
		e.finish(w)
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
func (e *evaluator) workloads() []*workload {
	var all []*workload
	in := e.in
	for i := range in.Deployments {
		if d := &in.Deployments[i]; e.asked("Deployment", &d.ObjectMeta) {
			all = append(all, e.deployment(d))
		}
	}
	for i := range in.StatefulSets {
		if s := &in.StatefulSets[i]; e.asked("StatefulSet", &s.ObjectMeta) {
			all = append(all, e.statefulSet(s))
		}
	}
	for i := range in.DaemonSets {
		if d := &in.DaemonSets[i]; e.asked("DaemonSet", &d.ObjectMeta) {
			all = append(all, e.daemonSet(d))
		}
	}
	for i := range in.Jobs {
		if j := &in.Jobs[i]; e.asked("Job", &j.ObjectMeta) {
			all = append(all, e.job(j))
		}
	}
	for _, o := range in.Rollouts {
		u := unstructured.Unstructured{Object: o}
		meta := &metav1.ObjectMeta{Name: u.GetName(), Namespace: u.GetNamespace()}
		if e.asked(kindArgo, meta) {
			all = append(all, e.argo(o))
		}
	}
	return append(all, e.loose()...)
}

// loose judges ReplicaSets and pods that were named and that no rollout owns.
func (e *evaluator) loose() []*workload {
	var all []*workload
	for i := range e.in.ReplicaSets {
		rs := &e.in.ReplicaSets[i]
		if len(e.in.Targets) > 0 && e.asked("ReplicaSet", &rs.ObjectMeta) {
			all = append(all, e.replicaSet(i))
		}
	}
	for i := range e.in.Pods {
		if p := &e.in.Pods[i]; len(e.in.Targets) > 0 && e.asked("Pod", &p.ObjectMeta) {
			all = append(all, e.lonePod(i))
		}
	}
	return all
}

func (e *evaluator) asked(kind string, meta *metav1.ObjectMeta) bool {
	if len(e.in.Targets) == 0 {
		// Jobs of a CronJob and finished Jobs belong to the table as much as any; owned workloads are their owner's.
		return metav1.GetControllerOfNoCopy(meta) == nil || kind == "Job"
	}
	return slices.ContainsFunc(e.in.Targets, func(t finding.ObjectRef) bool {
		return t.Kind == kind && t.Name == meta.Name && (t.Namespace == "" || t.Namespace == meta.Namespace)
	})
}

func (e *evaluator) replicaSet(i int) *workload {
	rs := &e.in.ReplicaSets[i]
	w := e.newWorkload("ReplicaSet", &rs.ObjectMeta, &rs.Spec.Template, rs.Spec.Replicas, rs.Spec.MinReadySeconds)
	w.observed = rs.Status.ObservedGeneration
	w.revisions = setRevisions(e.replicaSetsAt(i))
	w.target = w.revisions[0]
	e.attachPods(w)
	w.setCounts(rs.Status.Replicas, rs.Status.ReadyReplicas, rs.Status.AvailableReplicas)
	w.started, w.begun = rs.CreationTimestamp.Time, true
	if counted := int32(len(live(w.pods))); w.desired > counted { //nolint:gosec // pods
		w.missing, w.missingOf = w.desired-counted, rs.UID
	}
	w.settled = rs.Status.ObservedGeneration >= rs.Generation && rs.Status.Replicas == w.desired && rs.Status.AvailableReplicas == w.desired
	return w
}

func (e *evaluator) lonePod(i int) *workload {
	p := &e.in.Pods[i]
	one := int32(1)
	w := e.newWorkload("Pod", &p.ObjectMeta, nil, &one, 0)
	v := e.podView(p, 0)
	v.isNew = true
	w.pods = []*pod{v}
	w.setCounts(1, int32(plain.Int(v.ready)), int32(plain.Int(v.available))) //nolint:gosec // 0 or 1
	w.started, w.begun, w.settled = p.CreationTimestamp.Time, true, v.available || v.Status.Phase == "Succeeded"
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
func (e *evaluator) finish(w *workload) report.Rollout {
	r := w.rep
	r.ObservedGeneration = w.observed
	r.Template = fingerprint(w.template)
	if w.target != nil {
		d := w.describeRevision(w.target)
		r.Revision = &d
	}
	if !w.has(codes.Paused) || w.target != nil {
		e.missingPods(w)
	}
	groups := groupCauses(e.causesOf(w))
	shared := e.place(w, groups)
	e.podClocks(w)
	r.Changes = w.changes(w.previous())
	e.rank(w)
	root := e.judge(w)
	if root != nil {
		root = w.root() // judging may have added findings, which moves the list
	}
	e.undo(w, root, shared)
	e.afterwards(w, root)
	r.Findings = w.findings
	if r.Findings == nil {
		r.Findings = []report.Finding{}
	}
	hideSecrets(r)
	r.Pods = podGroups(w, e.now)
	if e.opts.History {
		r.History = w.history()
	}
	if e.opts.Diff {
		r.Diff = e.explicitDiff(w)
	}
	r.Sources = sortedSources(e.in.Sources)
	for _, s := range r.Sources {
		if s.State == source.Forbidden || s.State == source.Unreachable {
			r.Unchecked = append(r.Unchecked, s.Name+": "+s.Gap())
		}
	}
	return *r
}

// place decides what each group of pods is to the rollout.
func (e *evaluator) place(w *workload, groups []*group) (shared bool) {
	fresh := map[string]bool{}
	for _, g := range groups {
		if g.isNew {
			fresh[g.Code+g.Finding.Container] = true
		}
	}
	for _, g := range groups {
		f := g.finding(w)
		switch {
		case g.stage == stageEnd && w.settled && g.Heals == "yes":
			continue // StillEnding says it
		case g.stage == stageEnd:
			f.Role = e.roleOfEnding(w, g)
		case w.has(codes.StatefulSetTrap) && !g.isNew:
			continue // the trap's own finding tells it
		case g.isNew && g.Code == codes.MinReadyWait && g.Heals == "yes":
			f.Role = report.Root
		case g.isNew && g.Code == codes.Evicted && len(g.pods) >= 2 && overLimit(g.pods):
			f.Role, f.Attempts = report.Root, int32(len(g.pods)) //nolint:gosec // pods
		case w.kind == "Job" && (allDead(g) || !codes.HoldsFast(&g.Finding)) && w.told(g):
			continue // jobAttempts counts it among the failed
		case g.isNew && w.rejectedInALoop(g):
			f.Role, f.Attempts = report.Root, int32(len(g.pods)) //nolint:gosec // pods
		case g.isNew && allDead(g) && len(live(w.newPods())) >= int(w.desired):
			f.Role = report.Unrelated // corpses that have been replaced
		case g.isNew:
			f.Role = report.Root
		case w.findOrdered != nil && slices.Contains(g.pods, w.findOrdered), w.has(codes.BudgetEaten), w.has(codes.DaemonSetNodeHolds) && slices.ContainsFunc(g.pods, func(p *pod) bool { return e.holds(w, p) }):
			f.Role = report.Root
		case w.target == nil && w.has(codes.RecreateWaits):
			f.Role = report.Unrelated
		case w.target == nil:
			f.Role = report.Contributes
		default:
			f.Role = report.Unrelated
			shared = shared || fresh[g.Code+g.Finding.Container] && codes.HoldsFast(&f)
		}
		w.add(f)
	}
	return shared
}

// overLimit says whether pods were evicted for what they themselves use: their successors will be, too.
func overLimit(pods []*pod) bool {
	return !slices.ContainsFunc(pods, func(p *pod) bool {
		return !plain.ContainsAny(p.Status.Message, "exceeds the limit", "exceeds the total limit", "exceeded its local ephemeral storage limit")
	})
}

// rejectedInALoop: a rejected pod is replaced within milliseconds, so that a replacement always seems to start well. It
// proves something once a new pod has been ready. Pods that a node turned away together, once, are no loop.
func (w *workload) rejectedInALoop(g *group) bool {
	return g.Code == codes.PodRejected && allDead(g) && len(g.pods) >= codes.Repeats*int(max(1, w.desired)) &&
		!slices.ContainsFunc(live(w.newPods()), func(p *pod) bool { return !neverReady(p) })
}

// told says whether the controller's side has named a group's cause already.
func (w *workload) told(g *group) bool {
	return slices.ContainsFunc(w.findings, func(f report.Finding) bool { return f.Code == g.Code && f.Container == g.Finding.Container })
}

func allDead(g *group) bool {
	return !slices.ContainsFunc(g.pods, func(p *pod) bool { return !p.dead })
}

func (e *evaluator) holds(w *workload, p *pod) bool {
	return slices.ContainsFunc(w.findings, func(f report.Finding) bool {
		return f.Code == codes.DaemonSetNodeHolds && slices.Contains(f.Pods, p.Name)
	})
}

// roleOfEnding: a pod that is being deleted matters where the controller waits for it to be gone.
func (e *evaluator) roleOfEnding(w *workload, g *group) report.Role {
	switch {
	case w.settled:
		return report.Unrelated
	case w.kind == "StatefulSet": // the next pod needs the name, so the object itself must be gone
		return report.Root
	case w.has(codes.RecreateWaits) && !allDead(g):
		return report.Root
	case w.awaitsEnd && g.Heals != "yes":
		return report.Root
	case w.kind == "DaemonSet" && slices.ContainsFunc(g.pods, func(p *pod) bool { return e.holds(w, p) }):
		return report.Root
	}
	return report.Unrelated
}

// rank puts the root first: what blocks the controller itself, then missing pods, then sick ones.
func (e *evaluator) rank(w *workload) {
	slices.SortStableFunc(w.findings, func(a, b report.Finding) int {
		return cmp.Or(
			roleRank(a.Role)-roleRank(b.Role),
			gravity(&a)-gravity(&b),
			layer(a.Code)-layer(b.Code),
		)
	})
	seen := false
	for i := range w.findings {
		if w.findings[i].Role != report.Root {
			continue
		}
		if seen {
			w.findings[i].Role = report.Contributes
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
