// Package evaluate turns what was read about nodes into a report: pure, without clock, network or environment. It is the
// door of eight rooms: kubelet (what a kubelet answers when it is asked), thresholds (the numbers that an operator may change), facts
// (what is true of a node), rules (what follows from that), sections (what is printed of it), drain (what a drain of nodes would
// do), paths (who must reach whom), and joining (what a machine lacks to be a node).
package evaluate

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/account"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/drain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/joining"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/paths"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/sections"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/thresholds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Options change the judgement.
type Options struct {
	StaleAfter        time.Duration     // the age of a heartbeat from which Ready=True is not believed; 0: that of the thresholds
	Thresholds        Thresholds        // the zero value: the defaults
	ProblemConditions map[string]string // custom condition -> the status that is a problem; "" for none
	Kubectl           finding.Kubectl   // builds next commands
	NoPodItems        bool              // the pods are not listed one by one: where nobody prints that
	LatePodItems      bool              // they are listed when a node is printed (report.Pods.Later)
}

// DefaultStaleAfter is the node controller's patience.
const DefaultStaleAfter = nodefact.Patience

// Catalog is every finding code, sorted.
func Catalog() []finding.Entry {
	list := slices.Concat(rules.Catalog(), drain.Catalog(), drain.RemovalCatalog(), paths.Catalog(), joining.Catalog())
	sorting.Func(list, func(a, b finding.Entry) int { return cmp.Compare(a.Code, b.Code) })
	return list
}

// Evaluate judges every node of the input. It reads each list once: the work grows with nodes plus pods.
func Evaluate(in Input, now time.Time, o Options) report.List {
	limits := o.thresholds()
	cluster := facts.Of(&in, now, limits.StaleAfter, o.ProblemConditions).By(limits)
	list := report.List{
		APIVersion: report.APIVersion, Kind: report.Kind, Time: now.UTC(),
		NotFound: slices.Sorted(slices.Values(in.NotFound)), Sources: slices.Clone(in.Sources), Items: []report.Node{},
	}
	for _, c := range limits.Changed() {
		list.Thresholds = append(list.Thresholds, report.Threshold(c))
	}
	list.Sources.Sort()
	var requests unanswered
	list.Items, requests = nodes(&in, cluster, o)
	for _, name := range list.NotFound {
		if g := cluster.Gone(name); g != nil {
			node := gone(g, slices.Concat(in.NodeSources[name], in.Sources), o.Kubectl)
			quoted{}.hideNode(&node)
			list.Items = append(list.Items, node)
		}
	}
	sorting.Func(list.Items, WorstFirst)
	list.Counts = count(list.Items)
	list.CommonCauses = append(commonCauses(list.Items), requests.causes(len(list.Items))...)
	if in.Depth == Fleet || in.Depth == Pods {
		list.CommonCauses = append(list.CommonCauses, requesting(cluster.Joining(), now, limits.CertificateRequestWait)...)
	}
	list.Findings = rules.Claims(cluster.Claims(), now, o.Kubectl)
	for i := range list.Findings {
		hideFinding(&list.Findings[i])
	}
	list.Summary = fleetSummary(list, "")
	for i := range list.Sources {
		list.Sources[i].Message = short(list.Sources[i].Message)
	}
	return list
}

// nodes judges the nodes on all processors, and counts their requests that were not answered.
func nodes(in *Input, cluster *facts.Cluster, o Options) ([]report.Node, unanswered) {
	items, requests := make([]report.Node, len(in.Nodes)), unanswered{}
	var next atomic.Int64
	var mu sync.Mutex // of requests
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(items)) {
		all.Go(func() {
			hidden, counted := quoted{}, unanswered{}
			for i := int(next.Add(1)) - 1; i < len(items); i = int(next.Add(1)) - 1 {
				items[i] = judged(in, i, cluster, o, counted)
				hidden.hideNode(&items[i])
			}
			mu.Lock()
			defer mu.Unlock()
			for what, n := range counted {
				requests[what] += n
			}
		})
	}
	all.Wait()
	return items, requests
}

func judged(in *Input, i int, cluster *facts.Cluster, o Options, requests unanswered) report.Node {
	found := cluster.Node(&in.Nodes[i])
	node := of(found, o.Kubectl)
	requests.note(found, &node)
	switch {
	case node.Pods == nil || o.NoPodItems:
	case o.LatePodItems:
		node.Pods.Later = func() []report.PodUse { return sections.PodItems(cluster.PodsOf(&in.Nodes[i])) }
	default:
		node.Pods.Items = sections.PodItems(found.Pods)
	}
	return node
}

// thresholds are the numbers that count: a flag goes before the file.
func (o *Options) thresholds() Thresholds {
	limits := o.Thresholds
	if limits == (Thresholds{}) {
		limits = thresholds.Default()
	}
	if o.StaleAfter > 0 {
		limits.StaleAfter = o.StaleAfter
	}
	return limits
}

// gone is the report on a node that does not exist: what is left of it, without sections.
func gone(g *facts.Gone, sources source.List, kubectl finding.Kubectl) report.Node {
	out := report.Node{
		Name: g.Name, Verdict: report.Unhealthy, Status: report.NotFound, Findings: rules.Gone(g, kubectl), Sources: sources,
		Health: &report.Health{Conditions: []report.Condition{}}, Components: &report.Components{}, Scheduling: &report.Scheduling{},
		Network: &report.Network{}, Storage: &report.Storage{}, Lifecycle: &report.Lifecycle{},
	}
	out.Summary = out.Findings[0].Message
	out.Sources.Sort()
	return out
}

// of puts together what is printed of a node, and what is concluded about it.
func of(n *facts.Node, kubectl finding.Kubectl) report.Node {
	c := &subject.Case{Node: n, Kubectl: kubectl}
	out := sections.Of(n)
	if out.Pods != nil {
		out.Pods.Problems = workload.Problems(c)
	}
	out.Findings, out.Consequences = rules.Check(c)
	if f, left := account.Unexplained(c, out.Findings, out.Consequences); left {
		at := slices.IndexFunc(out.Findings, func(f finding.Finding) bool { return f.Severity == finding.Info })
		if at < 0 {
			at = len(out.Findings)
		}
		out.Findings = slices.Insert(out.Findings, at, f)
	}
	out.Verdict = verdict(n, out.Findings)
	out.Summary = summary(n, &out)
	return out
}

func verdict(n *facts.Node, findings []finding.Finding) report.Verdict {
	worst, any := finding.Worst(findings)
	switch {
	case any && worst == finding.Critical:
		return report.Unhealthy
	case any && worst == finding.Warning:
		return report.Degraded
	case n.Readiness.Condition == nil:
		return report.Unknown
	}
	return report.Healthy
}

// summary is the sentence after the node's name.
func summary(n *facts.Node, out *report.Node) string {
	var causes []string
	for _, f := range out.Findings {
		if f.Severity != finding.Info {
			causes = append(causes, f.Message)
		}
	}
	switch {
	case len(causes) == 1:
		return causes[0]
	case len(causes) > 1:
		return fmt.Sprintf("%s (and %d more)", causes[0], len(causes)-1)
	case out.Verdict == report.Unknown:
		return "the node has no Ready condition: no kubelet has reported yet"
	}
	text := "Ready"
	if h := out.Health.Heartbeat; h != nil && h.AgeSeconds != nil {
		text += ", heartbeat " + output.Age(time.Duration(*h.AgeSeconds)*time.Second) + " ago"
	} else if h != nil && h.State == report.HeartbeatNone {
		text += "; no heartbeat Lease exists"
	} else {
		text += "; heartbeat " + n.Sources.Get(SourceLeases).Gap()
	}
	if n.Object.Spec.Unschedulable {
		text += "; cordoned"
	}
	return text
}

// WorstFirst orders nodes for people: by verdict, then by name, then by cluster.
func WorstFirst(a, b report.Node) int {
	words := report.Verdicts()
	return cmp.Or(
		cmp.Compare(slices.Index(words, a.Verdict), slices.Index(words, b.Verdict)),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Context, b.Context),
	)
}

func count(items []report.Node) report.Counts {
	c := report.Counts{Nodes: len(items)}
	for _, n := range items {
		switch n.Verdict {
		case report.Healthy:
			c.Healthy++
		case report.Degraded:
			c.Degraded++
		case report.Unhealthy:
			c.Unhealthy++
		case report.Unknown:
			c.Unknown++
		}
		if n.Scheduling != nil && n.Scheduling.Cordoned {
			c.Cordoned++
		}
	}
	return c
}

// fleetSummary counts by verdict; where is what stands after the number of nodes.
func fleetSummary(list report.List, where string) string {
	c := list.Counts
	if c.Nodes == 0 {
		return "no nodes" + where
	}
	var parts []string
	for _, p := range []struct {
		n    int
		word report.Verdict
	}{{c.Unhealthy, report.Unhealthy}, {c.Degraded, report.Degraded}, {c.Unknown, report.Unknown}, {c.Healthy, report.Healthy}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	text := output.Plural(c.Nodes, "node") + where + ": " + strings.Join(parts, ", ")
	if c.Cordoned > 0 {
		text += fmt.Sprintf("; %d cordoned", c.Cordoned)
	}
	return text
}

// commonCauses says when several nodes stopped reporting together: then check what they share, not each node. Three nodes
// within a minute, and at least half of those that do not report.
func commonCauses(items []report.Node) []string {
	var times []time.Time
	unrenewed := 0
	for _, n := range items {
		if slices.ContainsFunc(n.Findings, func(f finding.Finding) bool { return f.Code == machine.LeaseNotRenewed }) {
			unrenewed++
		}
		for _, f := range n.Findings {
			silent := f.Code == machine.KubeletNotReporting || f.Code == machine.ReadyConditionStale
			if h := n.Health.Heartbeat; silent && h != nil && h.ReceivedAt != nil {
				times = append(times, *h.ReceivedAt)
			}
		}
	}
	if unrenewed > 1 {
		return []string{fmt.Sprintf("Lease renewals of %d of %d nodes fail while their kubelets are running: check first which admission "+
			"policy or webhook rejects writes to Leases in kube-node-lease", unrenewed, len(items))}
	}
	sorting.Func(times, time.Time.Compare)
	best, from := 0, 0
	for i, j := 0, 0; j < len(times); j++ {
		for times[j].Sub(times[i]) > time.Minute {
			i++
		}
		if j-i+1 > best {
			best, from = j-i+1, i
		}
	}
	if best < 3 || best*2 < len(times) {
		return nil
	}
	shared := "network, load balancer in front of the API server, zone"
	if best == len(items) {
		shared = "the API server and etcd, which may store no writes; network, load balancer"
	}
	return []string{fmt.Sprintf("%d of %d nodes stopped reporting within one minute of %s: check first what they share (%s), not each node",
		best, len(items), times[from].UTC().Format(time.RFC3339), shared)}
}
