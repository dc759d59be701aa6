package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Evaluate judges every node of the input. It reads each list once: the work grows with nodes plus pods.
func Evaluate(in Input, now time.Time, o Options) report.List {
	if o.StaleAfter <= 0 {
		o.StaleAfter = DefaultStaleAfter
	}
	index := newIndex(&in)
	list := report.List{
		APIVersion: report.APIVersion, Kind: report.Kind, Time: now.UTC(),
		Missing: slices.Sorted(slices.Values(in.Missing)), Sources: slices.Clone(in.Sources), Items: []report.Node{},
	}
	list.Sources.Sort()
	for i := range in.Nodes {
		v := &view{in: &in, index: index, now: now, o: o, node: &in.Nodes[i], charges: map[*corev1.Pod]charge{}}
		list.Items = append(list.Items, v.report())
	}
	slices.SortFunc(list.Items, WorstFirst)
	list.Counts = count(list.Items)
	list.Shared = shared(list.Items)
	list.Summary = fleetSummary(list, "")
	hideSecrets(&list)
	return list
}

// index finds what belongs to a node without searching.
type index struct {
	leases      map[string]*coordinationv1.Lease
	metrics     map[string]*NodeMetrics
	pods        map[string][]*corev1.Pod
	events      map[string][]eventfact.Event // by node name, newest first
	podEvents   map[string][]eventfact.Event // by pod UID, newest first
	csi         map[string]*storagev1.CSINode
	attachments map[string][]*storagev1.VolumeAttachment
	daemonSets  []*appsv1.DaemonSet
}

func newIndex(in *Input) *index {
	x := &index{
		leases: map[string]*coordinationv1.Lease{}, metrics: map[string]*NodeMetrics{}, pods: map[string][]*corev1.Pod{},
		events: map[string][]eventfact.Event{}, podEvents: map[string][]eventfact.Event{}, csi: map[string]*storagev1.CSINode{},
		attachments: map[string][]*storagev1.VolumeAttachment{},
	}
	for i := range in.Leases {
		x.leases[in.Leases[i].Name] = &in.Leases[i]
	}
	for i := range in.Metrics {
		x.metrics[in.Metrics[i].Metadata.Name] = &in.Metrics[i]
	}
	for i := range in.Pods {
		if node := in.Pods[i].Spec.NodeName; node != "" {
			x.pods[node] = append(x.pods[node], &in.Pods[i])
		}
	}
	for _, pods := range x.pods {
		slices.SortFunc(pods, byNamespaceAndName)
	}
	for _, e := range eventfact.ReadAll(in.Events) {
		switch e.About.Kind {
		case "Node":
			x.events[e.About.Name] = append(x.events[e.About.Name], e)
		case "Pod":
			x.podEvents[string(e.About.UID)] = append(x.podEvents[string(e.About.UID)], e)
		}
	}
	for i := range in.CSINodes {
		x.csi[in.CSINodes[i].Name] = &in.CSINodes[i]
	}
	for i := range in.VolumeAttachments {
		node := in.VolumeAttachments[i].Spec.NodeName
		x.attachments[node] = append(x.attachments[node], &in.VolumeAttachments[i])
	}
	for i := range in.DaemonSets {
		x.daemonSets = append(x.daemonSets, &in.DaemonSets[i])
	}
	slices.SortFunc(x.daemonSets, func(a, b *appsv1.DaemonSet) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return x
}

func byNamespaceAndName(a, b *corev1.Pod) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// view is one node being judged.
type view struct {
	in      *Input
	index   *index
	now     time.Time
	o       Options
	node    *corev1.Node
	sources source.List
	charges map[*corev1.Pod]charge
	list    []finding.Finding
	causes  map[int][]finding.Code // by place in list: what may explain it, where that is less than the catalogue says
	out     report.Node
}

func (v *view) report() report.Node {
	n := v.node
	v.sources = append(slices.Clone(v.in.NodeSources[n.Name]), v.in.Sources...)
	v.out = report.Node{
		Name: n.Name, Status: status(n), Roles: roles(n), Labels: n.Labels, CreatedAt: timeOf(n.CreationTimestamp.Time),
	}
	v.health()
	v.scheduling()
	v.components()
	v.resources()
	v.pods()
	v.network()
	v.storage()
	v.controlPlane()
	v.events()
	v.fold()
	v.verdict()
	v.sources.Sort()
	v.out.Sources = v.sources
	return v.out
}

// add records a finding; severity and title are the catalogue's.
func (v *view) add(code finding.Code, message string, evidence []finding.Evidence, next ...finding.Next) *finding.Finding {
	e := rules[code]
	v.list = append(v.list, finding.Finding{
		Code: code, Severity: e.Severity, Title: e.Title, Message: message,
		Object: &finding.ObjectRef{Kind: "Node", Name: v.node.Name}, Evidence: evidence, Next: next,
	})
	return &v.list[len(v.list)-1]
}

// explainedOnlyBy narrows what may explain the finding that was added last.
func (v *view) explainedOnlyBy(codes []finding.Code) {
	if v.causes == nil {
		v.causes = map[int][]finding.Code{}
	}
	v.causes[len(v.list)-1] = codes
}

// about makes a pod the object of a finding.
func about(f *finding.Finding, p *corev1.Pod) {
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
}

func (v *view) read(name string) bool { return v.sources.Get(name).Readable() }

func (v *view) kubectl(namespace string, args ...string) string {
	return v.o.Kubectl.Command(namespace, args...)
}

// fold puts every finding that another one explains under it.
func (v *view) fold() {
	present := map[finding.Code]bool{}
	for _, f := range v.list {
		present[f.Code] = present[f.Code] || f.Code != LeaderLeaseExpired || f.Object.Name != cloudControllers // these make no pods
	}
	kept := []finding.Finding{}
	for i, f := range v.list {
		causes := rules[f.Code].consequenceOf
		if own, ok := v.causes[i]; ok {
			causes = own
		}
		if at := slices.IndexFunc(causes, func(code finding.Code) bool { return code != f.Code && present[code] }); at >= 0 {
			v.out.Consequences = append(v.out.Consequences, report.Consequence{Code: f.Code, CausedBy: causes[at], Message: f.Message, Object: f.Object})
			continue
		}
		kept = append(kept, f)
	}
	sortFindings(kept)
	slices.SortFunc(v.out.Consequences, func(a, b report.Consequence) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Object.String(), b.Object.String()), cmp.Compare(a.Message, b.Message))
	})
	v.out.Findings = kept
}

func (v *view) verdict() {
	worst, any := finding.Worst(v.out.Findings)
	switch {
	case any && worst == finding.Critical:
		v.out.Verdict = report.Unhealthy
	case any && worst == finding.Warning:
		v.out.Verdict = report.Degraded
	case nodefact.ReadyCondition(v.node) == nil:
		v.out.Verdict = report.Unknown
	default:
		v.out.Verdict = report.Healthy
	}
	v.out.Summary = v.summary()
}

// clause is the first clause of a message: what fits a headline or a cell of a table.
func clause(message string) string {
	for _, end := range []string{". ", "; "} {
		message, _, _ = strings.Cut(message, end)
	}
	return message
}

// summary is the sentence after the node's name.
func (v *view) summary() string {
	var causes []string
	for _, f := range v.out.Findings {
		if f.Severity != finding.Info {
			causes = append(causes, clause(f.Message))
		}
	}
	switch {
	case len(causes) == 1:
		return causes[0]
	case len(causes) > 1:
		return fmt.Sprintf("%s (and %d more)", causes[0], len(causes)-1)
	case v.out.Verdict == report.Unknown:
		return "it has no Ready condition: no kubelet has reported yet"
	}
	text := "Ready"
	if h := v.out.Health.Heartbeat; h != nil && h.AgeSeconds != nil {
		text += ", heartbeat " + age(time.Duration(*h.AgeSeconds)*time.Second) + " ago"
	} else if h != nil && h.State == report.HeartbeatNone {
		text += "; it has no heartbeat lease"
	} else {
		text += "; heartbeat " + v.sources.Get(SourceLeases).Gap()
	}
	if v.node.Spec.Unschedulable {
		text += "; cordoned"
	}
	return text
}

// WorstFirst orders nodes for people: by verdict, then by name, then by cluster.
func WorstFirst(a, b report.Node) int {
	words := report.Verdicts()
	return cmp.Or(cmp.Compare(slices.Index(words, a.Verdict), slices.Index(words, b.Verdict)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Context, b.Context))
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
	text := plural(c.Nodes, "node") + where + ": " + strings.Join(parts, ", ")
	if c.Cordoned > 0 {
		text += fmt.Sprintf("; %d cordoned", c.Cordoned)
	}
	return text
}

// shared says when several nodes went silent together: then what they share is the suspect, not each node. Three nodes
// within a minute, and at least half of those that are silent.
func shared(items []report.Node) []string {
	var times []time.Time
	for _, n := range items {
		for _, f := range n.Findings {
			if (f.Code == KubeletNotReporting || f.Code == ReadyStale) && n.Health.Heartbeat != nil && n.Health.Heartbeat.ReceivedAt != nil {
				times = append(times, *n.Health.Heartbeat.ReceivedAt)
			}
		}
	}
	slices.SortFunc(times, time.Time.Compare)
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
	return []string{fmt.Sprintf("%d of %d nodes fell silent within a minute of %s: look first at what they share (network, load balancer in front of the API server, zone), not at each node",
		best, len(items), times[from].UTC().Format(time.RFC3339))}
}
