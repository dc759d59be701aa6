package evaluate

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/lookup"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// item is one finding of a workflow that no finding of the same subject explains, with all subjects that share it.
type item struct {
	finding.Finding

	workflow report.Workflow
	subjects []report.Subject
	found    []finding.Finding // by subject
	log      *report.Log
	lookup   lookup.Failure // what the log says about name resolution

	outside bool // about pods outside the namespace of the scope

	at    []finding.ObjectRef // what it depends on
	about []finding.ObjectRef // what it is about, as a cause of others
}

// name tells findings of two workflows apart that have the same code.
func (i *item) name() finding.Code { return named(i.workflow, i.Code) }

func named(w report.Workflow, code finding.Code) finding.Code {
	return finding.Code(string(w) + "/" + string(code))
}

// items are the findings of all workflows, those that are the same cause at several subjects joined.
func (in *Input) items() []*item {
	var list []*item
	if in.Nodes != nil {
		for n := range in.Nodes.Items {
			list = append(list, nodeItems(&in.Nodes.Items[n], in.Scope.Namespace)...)
		}
	}
	if in.DNS != nil {
		list = append(list, dnsItems(in.DNS)...)
	}
	if in.Rollouts != nil {
		for r := range in.Rollouts.Items {
			list = append(list, rolloutItems(&in.Rollouts.Items[r])...)
		}
	}
	sorting.Stable(list, func(a, b *item) int {
		return cmp.Or(
			cmp.Compare(order(a.workflow), order(b.workflow)),
			cmp.Compare(a.subjects[0].Object.String(), b.subjects[0].Object.String()),
		)
	})
	return join(list)
}

func order(w report.Workflow) int { return slices.Index(report.Workflows(), w) }

func newItem(w report.Workflow, f finding.Finding, subject finding.ObjectRef, verdict string) *item {
	if f.Object == nil {
		f.Object = &subject
	}
	return &item{
		Finding: f, workflow: w, subjects: []report.Subject{{Object: subject, Verdict: verdict}}, found: []finding.Finding{f},
		at: slices.Clone(f.At),
	}
}

// nodeItems are a node's problems. Those about its pods depend on these, the others are about the node.
func nodeItems(n *nodereport.Node, namespace string) []*item {
	node := finding.ObjectRef{Kind: "Node", Name: n.Name}
	var list []*item
	for _, f := range n.Findings {
		if f.Severity == finding.Info {
			continue
		}
		f, inside := narrow(f, namespace)
		i := newItem(report.Nodes, f, node, string(n.Verdict))
		i.outside = !inside && !matters(n, f.Code, namespace)
		switch {
		case f.Object != nil && f.Object.Kind != "Node":
			i.at = append([]finding.ObjectRef{*f.Object}, f.Covers...)
			i.about = append(slices.Clone(i.at), led(f.Object.Name)...)
		case f.Code == "APIWritesStopped": // about everything
		case f.Code == "LeaderLeaseExpired":
			i.about = leases(f)
		default:
			i.about = []finding.ObjectRef{node}
		}
		for _, c := range n.Consequences {
			if c.CausedBy == f.Code && c.Code == "LeaderLeaseExpired" {
				i.about = append(i.about, led(c.Message)...)
			}
		}
		list = append(list, i)
	}
	return list
}

// led is the Lease of the component of the control plane with whose name a text begins.
func led(text string) []finding.ObjectRef {
	for _, component := range []string{"kube-controller-manager", "kube-scheduler"} {
		if strings.HasPrefix(text, component) {
			return []finding.ObjectRef{{Kind: "Lease", Namespace: "kube-system", Name: component}}
		}
	}
	return nil
}

// leases are those that the evidence of a finding names, by the source that every plugin writes for one.
func leases(f finding.Finding) []finding.ObjectRef {
	var list []finding.ObjectRef
	for _, e := range f.Evidence {
		place, ok := strings.CutPrefix(e.Source, "Lease kube-system/")
		if ref := (finding.ObjectRef{Kind: "Lease", Namespace: "kube-system", Name: place}); ok && !slices.Contains(list, ref) {
			list = append(list, ref)
		}
	}
	return list
}

// dnsItems are the problems of the cluster DNS. One about a DNS pod depends on its node, one about all on the nodes of all.
func dnsItems(s *dnsreport.Status) []*item {
	var list []*item
	for _, f := range s.Findings {
		if f.Severity == finding.Info {
			continue
		}
		i := newItem(report.DNS, f, report.ClusterDNS, string(s.Verdict))
		replicas := slices.Clone(s.Replicas)
		if f.Object != nil && f.Object.Kind == "Pod" {
			replicas = slices.DeleteFunc(replicas, func(r dnsreport.Replica) bool {
				return r.Namespace != f.Object.Namespace || r.Name != f.Object.Name
			})
		}
		placed := !slices.ContainsFunc(replicas, func(r dnsreport.Replica) bool { return r.Node == "" })
		for _, r := range replicas {
			pod := finding.ObjectRef{Kind: "Pod", Namespace: r.Namespace, Name: r.Name}
			i.at, i.about = append(i.at, pod), append(i.about, pod)
			if node := (finding.ObjectRef{Kind: "Node", Name: r.Node}); placed && !slices.Contains(i.at, node) {
				i.at = append(i.at, node)
			}
		}
		i.about = append(i.about, report.ClusterDNS)
		list = append(list, i)
	}
	return list
}

// rolloutItems are what keeps a rollout from being complete.
func rolloutItems(r *rolloutreport.Rollout) []*item {
	if r.Verdict == rolloutreport.Complete {
		return nil
	}
	stopped := slices.Contains([]rolloutreport.Verdict{rolloutreport.Failed, rolloutreport.Stuck, rolloutreport.Degraded}, r.Verdict)
	var list []*item
	for k := range r.Findings {
		f := &r.Findings[k]
		cause := f.Role == rolloutreport.RootCause || f.Role == rolloutreport.Contributing
		if !cause || f.Severity == finding.Info && !(stopped && f.Role == rolloutreport.RootCause) {
			continue
		}
		own := f.Finding
		if f.FirstSeen != nil {
			own.Began = *f.FirstSeen
		}
		i := newItem(report.Rollouts, own, r.Object, string(r.Verdict))
		for _, pod := range f.Pods {
			i.about = append(i.about, finding.ObjectRef{Kind: "Pod", Namespace: r.Object.Namespace, Name: pod})
		}
		i.at = append(i.at, i.about...)
		i.at = append(i.at, leases(own)...)
		i.about = append(i.about, r.Object)
		if l := f.Log; l != nil {
			i.log = &report.Log{Pod: l.Pod, Container: l.Container, Previous: l.Previous, Lines: l.Lines}
			if i.lookup = lookup.In(l.Lines...); i.lookup.Failed() {
				i.at = append(i.at, report.ClusterDNS)
			}
		}
		list = append(list, i)
	}
	return list
}

// join makes one item of those that are the same cause at several subjects.
func join(list []*item) []*item {
	var out []*item
	at := map[string]*item{}
	for _, i := range list {
		key := i.shared()
		first := at[key]
		if key == "" || first == nil {
			out = append(out, i)
			at[key] = i
			continue
		}
		first.add(i)
	}
	return out
}

// add takes another subject with the same cause; the graver one is told.
func (i *item) add(other *item) {
	began := i.Began
	if other.Began.IsZero() || !began.IsZero() && other.Began.Before(began) {
		began = other.Began
	}
	if graver(other.Finding, i.Finding) {
		i.Finding = other.Finding
		i.subjects = slices.Concat(other.subjects, i.subjects)
		i.found = slices.Concat(other.found, i.found)
	} else {
		i.subjects = slices.Concat(i.subjects, other.subjects)
		i.found = slices.Concat(i.found, other.found)
	}
	i.Began = began
	for _, refs := range []struct{ to, from *[]finding.ObjectRef }{{&i.at, &other.at}, {&i.about, &other.about}} {
		for _, o := range *refs.from {
			if !slices.Contains(*refs.to, o) {
				*refs.to = append(*refs.to, o)
			}
		}
	}
}

func graver(a, b finding.Finding) bool {
	worst, _ := finding.Worst([]finding.Finding{b, a})
	return worst != b.Severity
}

// clusterWide are findings about the control plane that each node has.
var clusterWide = []finding.Code{"LeaderLeaseExpired", "APIWritesStopped", "APIServerNotReady"}

// shared is equal for findings that are one cause; empty: it is its own.
func (i *item) shared() string {
	key := string(i.name()) + "|"
	switch i.workflow {
	case report.Nodes:
		if slices.Contains(clusterWide, i.Code) {
			return key + strings.Join(words(leases(i.Finding)), ",")
		}
		return ""
	case report.Rollouts:
	default:
		return ""
	}
	if refused := refusal(i); refused != "" {
		return key + refused
	}
	if l := leases(i.Finding); len(l) > 0 {
		return key + strings.Join(words(l), ",")
	}
	only := func(kind string) string {
		var of []finding.ObjectRef
		for _, o := range i.at {
			if o.Kind == kind {
				of = append(of, o)
			}
		}
		if len(of) != 1 {
			return ""
		}
		return key + of[0].String()
	}
	switch {
	case slices.Contains(onNode, i.Code):
		return only("Node")
	case i.Code == "RegistryUnavailable":
		return only("Registry")
	}
	return ""
}

func words(refs []finding.ObjectRef) []string {
	var list []string
	for _, o := range refs {
		list = append(list, o.String())
	}
	slices.Sort(list)
	return list
}

// refusal is equal for pods that are refused by the same for the same reason; empty: nothing tells.
func refusal(i *item) string {
	for _, e := range i.Evidence {
		r := admission.Parse(e.Value)
		namespace := i.subjects[0].Object.Namespace
		switch r.Kind {
		case admission.WebhookFailed, admission.WebhookNoDryRun, admission.PriorityClassMissing, admission.RuntimeClassMissing:
			return string(r.Kind) + " " + r.Name
		case admission.WebhookDenied, admission.ValidatingPolicy, admission.MutatingPolicy:
			return string(r.Kind) + " " + r.Name + " " + r.Binding + " " + anyPod(r.Reason)
		case admission.QuotaExceeded, admission.QuotaUnspecified, admission.ServiceAccountMissing:
			return string(r.Kind) + " " + namespace + "/" + r.Name
		case admission.NamespaceTerminating:
			return string(r.Kind) + " " + namespace
		case admission.Unknown, admission.LimitRange, admission.PodSecurity, admission.NotPermitted, admission.Invalid, admission.Exists,
			admission.StillDeleting, admission.Conflict:
		}
	}
	return ""
}

// anyPod takes out of a reason the names of pods, which end in five generated letters, and figures.
// https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/util/rand/rand.go (alphanums)
func anyPod(reason string) string { return generated.ReplaceAllString(reason, "…") }

var generated = regexp.MustCompile(`[a-z0-9.-]+-[bcdfghjklmnpqrstvwxz2456789]{5}\b|[0-9]+`)

// began is when it began, if the cluster recorded that.
func (i *item) began() *time.Time {
	if i.Began.IsZero() {
		return nil
	}
	at := i.Began.UTC()
	return &at
}
