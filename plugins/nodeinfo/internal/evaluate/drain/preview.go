package drain

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/eviction"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Preview judges the plan.
func (p *Plan) Preview() report.Drain {
	out := report.Drain{
		APIVersion: report.APIVersion, Kind: report.DrainKind, Time: p.Now.UTC(), Nodes: []string{}, NotFound: p.Missing,
		Findings: []finding.Finding{}, Pods: []report.DrainPod{}, Rooms: []report.DrainRoom{}, Sources: slices.Clone(p.in.Sources),
	}
	if p.Removal != nil {
		out.Sources = append(out.Sources, p.in.NodeSources[p.Removal.Node.Name]...)
		if why := p.Removal.unseen(); why != "" && p.Read(facts.SourcePods) {
			out.Sources = append(out.Sources, source.Source{Name: "etcd member", State: source.Skipped, Message: why})
		}
	}
	out.Sources.Sort()
	for _, n := range p.Targets {
		out.Nodes = append(out.Nodes, n.Name)
	}
	if len(p.Missing) > 0 {
		out.Verdict, out.Summary = report.Undecided, "not found: "+strings.Join(p.Missing, ", ")
		return out
	}
	rules := p.book()
	roots, consequences := rules.Settle(rules.Check(p))
	out.Findings = append(out.Findings, roots...)
	for _, pod := range p.Pods {
		out.Pods = append(out.Pods, p.pod(pod, &out.Counts))
		p.grace(pod, &out)
	}
	for _, r := range p.Rooms {
		out.Rooms = append(out.Rooms, p.room(r))
	}
	_ = consequences // the rules of a drain explain none another
	out.Tight, out.NotModeled = p.Tight, p.notModeled()
	if p.Read(facts.SourcePods) {
		out.Command = p.command()
	}
	if out.Removal = p.removed(); out.Removal != nil && p.Removal.Silent {
		out.Command = nil // it would not end
	}
	out.Verdict = p.verdict(out.Findings)
	out.Summary = p.summary(&out)
	return out
}

func (p *Plan) verdict(findings []finding.Finding) report.DrainVerdict {
	worst, any := finding.Worst(findings)
	switch {
	case any && worst == finding.Critical:
		return report.DrainBlocked
	case len(p.unread()) > 0:
		return report.Undecided
	case any && worst == finding.Warning:
		return report.Risky
	case p.Removal != nil:
		return report.Removable
	}
	return report.Drainable
}

// unread are the sources that decide and could not be read.
func (p *Plan) unread() []string {
	var list []string
	for _, name := range []string{facts.SourcePods, facts.SourceBudgets, facts.SourceClaims, facts.SourceVolumes} {
		volumes := name == facts.SourceClaims || name == facts.SourceVolumes
		decides := !volumes || WithClaims(p.in) || p.Removal != nil && name == facts.SourceVolumes
		if p.Removal != nil && p.Removal.Silent && name == facts.SourceBudgets {
			decides = false // nothing is evicted
		}
		if !p.Read(name) && decides {
			list = append(list, name)
		}
	}
	return list
}

// summary is the sentence after the nodes' names.
func (p *Plan) summary(out *report.Drain) string {
	var causes []string
	for _, f := range out.Findings {
		if f.Severity != finding.Info {
			causes = append(causes, f.Message)
		}
	}
	unread := p.unread()
	switch {
	case out.Verdict == report.Undecided && len(unread) > 0:
		return "what decides could not be read: " + strings.Join(unread, ", ")
	case len(causes) == 1:
		return causes[0]
	case len(causes) > 1:
		return fmt.Sprintf("%s (and %d more)", causes[0], len(causes)-1)
	}
	what := "nothing blocks the drain; "
	if p.Removal != nil {
		what = "nothing is lost with the node; "
	}
	stays := output.Plural(out.Counts.Stays, "pod stays", "pods stay")
	if out.Counts.Moves == 0 {
		return what + "no pod moves, " + stays
	}
	just := ""
	if p.Tight {
		just = "just "
	}
	moves := output.Plural(out.Counts.Moves, "pod moves and "+just+"fits elsewhere", "pods move and "+just+"fit elsewhere")
	return what + moves + ", " + stays
}

// fates are the words of the report.
var fates = map[eviction.Fate]report.PodFate{
	eviction.Replaced: report.PodMoves, eviction.Bare: report.PodLost, eviction.Orphan: report.PodLost, eviction.Finished: report.PodFinished,
	eviction.EndsByNow: report.PodTerminating, eviction.Daemon: report.PodOfDaemonSet, eviction.Static: report.PodStatic,
}

func (p *Plan) pod(pod *Pod, counts *report.DrainCounts) report.DrainPod {
	out := report.DrainPod{
		Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName, Controller: controller(pod.Pod), Fate: fates[pod.Fate],
		Finalizers: pod.finalizers(),
	}
	switch out.Fate {
	case report.PodMoves:
		counts.Moves++
		if pod.To != nil {
			out.To = pod.To.Node.Name
		} else {
			counts.Unplaced++
		}
	case report.PodLost:
		counts.Lost++
	case report.PodOfDaemonSet, report.PodStatic:
		counts.Stays++
		return out
	default:
		counts.Ends++
	}
	for _, g := range pod.Guards {
		out.Budgets = append(out.Budgets, g.Name)
	}
	for i, r := range pod.Refusals {
		if i < most {
			out.Refusals = append(out.Refusals, report.NodeMatch{Node: r.Node, Reason: r.Reason})
		}
	}
	if pod.Fate != eviction.Finished {
		out.EmptyDirs = eviction.EmptyDirs(pod.Pod)
		seconds := int64(eviction.Grace(pod.Pod).Seconds())
		out.GraceSeconds = &seconds
	}
	return out
}

// grace keeps the longest grace period of the pods that are stopped.
func (p *Plan) grace(pod *Pod, out *report.Drain) {
	if !pod.Fate.Goes() || pod.Fate == eviction.Finished {
		return
	}
	if seconds := int64(eviction.Grace(pod.Pod).Seconds()); out.GraceSeconds == nil || seconds > *out.GraceSeconds {
		out.GraceSeconds, out.GracePod = &seconds, name(pod)
	}
}

func controller(p *corev1.Pod) string {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return ""
	}
	return owner.Kind + "/" + owner.Name
}

// room is what another node takes. One that refuses every pod that moves, whatever room it has, says why.
func (p *Plan) room(r *Room) report.DrainRoom {
	out := report.DrainRoom{Node: r.Node.Name, Takes: r.Takes}
	moving := p.moving()
	for i, pod := range moving {
		why, refused := r.never(pod)
		if !refused {
			out.Refuses = ""
			break
		}
		if i == 0 {
			out.Refuses = why.Reason
		}
	}
	if out.Refuses != "" || !p.Read(facts.SourcePods) {
		return out
	}
	out.Free = map[string]*report.Amount{}
	for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods} {
		free := corev1.ResourceList{resource: schedule.Free(r.Node, r.taken, resource)}
		out.Free[string(resource)] = facts.Amount(resource, free)
	}
	return out
}

// notModeled is what the scheduler also asks of these pods and was not tried here.
func (p *Plan) notModeled() []string {
	count := map[string]int{}
	var schedulers []string
	for _, pod := range p.moving() {
		spec := &pod.Spec
		if slices.ContainsFunc(spec.TopologySpreadConstraints, func(c corev1.TopologySpreadConstraint) bool {
			return c.WhenUnsatisfiable == corev1.DoNotSchedule
		}) {
			count["topology spread constraints"]++
		}
		if a := spec.Affinity; a != nil && (a.PodAffinity != nil && len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0 ||
			a.PodAntiAffinity != nil && len(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) > 0) {
			count["affinity and anti-affinity between pods"]++
		}
		if len(spec.ResourceClaims) > 0 {
			count["ResourceClaims (devices)"]++
		}
		switch {
		case len(claims(pod.Pod)) == 0:
		case !p.Read(facts.SourceClaims) || !p.Read(facts.SourceVolumes):
			count["nodes on which the volumes can be used"]++
		default:
			count["volume limits of CSI drivers"]++
		}
		if s := spec.SchedulerName; s != "" && s != corev1.DefaultSchedulerName && !slices.Contains(schedulers, s) {
			schedulers = append(schedulers, s)
			count["the rules of scheduler "+s]++
		}
	}
	var list []string
	for what, n := range count {
		list = append(list, fmt.Sprintf("%s (%s)", what, output.Plural(n, "pod")))
	}
	slices.Sort(list)
	if len(p.unplaced()) > 0 {
		list = append(list, "preemption of pods with a lower priority")
	}
	if p.Waiting > 0 && len(p.moving()) > 0 {
		waiting := output.Plural(p.Waiting, "pod that already waits", "pods that already wait")
		list = append(list, waiting+" for a node and may take the room first")
	}
	return list
}

// command is the drain with the flags that it needs.
func (p *Plan) command() *finding.Next {
	args, flags := []string{"drain"}, eviction.Flags{}
	for _, n := range p.Targets {
		args = append(args, n.Name)
	}
	for _, pod := range p.Pods {
		flags.IgnoreDaemonSets = flags.IgnoreDaemonSets || pod.Flags.IgnoreDaemonSets
		flags.DeleteEmptyDir = flags.DeleteEmptyDir || pod.Flags.DeleteEmptyDir
		flags.Force = flags.Force || pod.Flags.Force
	}
	next := &finding.Next{Why: "Cordon the node and evict the pods; kubectl uncordon opens it again", Risk: finding.Change}
	if len(p.Targets) > 1 {
		next.Why = "Cordon the nodes and evict the pods; kubectl uncordon opens them again"
	}
	if flags.IgnoreDaemonSets {
		args = append(args, "--ignore-daemonsets")
	}
	if flags.DeleteEmptyDir {
		args = append(args, "--delete-emptydir-data")
		next.Risk = finding.Destructive
		next.Answers = append(next.Answers, "--delete-emptydir-data: the data in emptyDir volumes is lost")
	}
	if flags.Force {
		args = append(args, "--force")
		next.Risk = finding.Destructive
		next.Answers = append(next.Answers, "--force: lost for good: "+named(which(p.Pods, func(pod *Pod) bool { return pod.Flags.Force })))
	}
	next.Command = p.Kubectl.Command("", args...)
	return next
}
