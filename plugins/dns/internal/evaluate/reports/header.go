// Package reports puts together what each command prints, one file a command: rows of the facts, the findings of the
// rules that the command asks, the verdict that follows.
package reports

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/clients"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// notQueriedReason gives in brackets why no server could be queried: no port-forward opened, or the servers are unknown.
func notQueriedReason(w *facts.Snapshot) string {
	for _, name := range []string{"port-forward", "services", "pods"} {
		if s := w.Sources.Get(name); s.State == source.Forbidden || s.State == source.Unreachable {
			return " (" + s.Reason() + ")"
		}
	}
	return ""
}

// conclude runs some checks and finalizes what they found. Status runs all of them and wants the list besides.
func conclude(w *facts.Snapshot, h *report.Header, checks ...func(*facts.Snapshot) []finding.Finding) {
	finalizeFindings(w, h, rules.Book.Run(w, checks...))
}

// finalizeFindings fills the header: findings without those that another one explains or the user skips, worst first and within a
// severity in the given order (of the decision tree, or of what the user asked); verdict, primary code, summary.
func finalizeFindings(w *facts.Snapshot, h *report.Header, all []finding.Finding) {
	roots, _ := rules.Book.Fold(all)
	h.Findings = slices.DeleteFunc(roots, func(f finding.Finding) bool { return slices.Contains(w.Options.Skip, f.Code) })
	leaveOutItself(w, h)
	h.Verdict = verdict(h.Findings)
	if h.Verdict != report.Healthy && len(h.Findings) > 0 {
		h.PrimaryCode, h.Summary = h.Findings[0].Code, h.Findings[0].Message
		return
	}
	if reason := unknownReason(w); reason != "" {
		h.Verdict, h.Summary = report.Unknown, reason
		return
	}
	h.Summary = "no problem found"
}

// answeredBy are the commands whose report is all that they answer, by the kind of the report: one does not lead to itself.
var answeredBy = map[string]string{
	"DNSConfig": "config", "DNSPodResolver": "pod", "DNSExplanation": "explain", "DNSLogs": "logs",
	"DNSTop": "top", "DNSUpstreams": "upstream",
}

// asked are the commands of the reports that the same command with other flags does not give.
var asked = map[string][]string{"DNSCheck": {"dns", "check"}, "DNSVerification": {"dns", "verify", "-A"}}

// leaveOutItself takes the command that prints the report out of its own next steps.
func leaveOutItself(w *facts.Snapshot, h *report.Header) {
	self := "kubectl dns " + answeredBy[h.Kind]
	own := w.Options.Kubectl.Command("", asked[h.Kind]...)
	for i, f := range h.Findings {
		h.Findings[i].Next = slices.DeleteFunc(slices.Clone(f.Next), func(n finding.Next) bool {
			return n.Command == own || n.Command == self || strings.HasPrefix(n.Command, self+" ")
		})
	}
}

func verdict(list []finding.Finding) report.Verdict {
	worst, any := finding.Worst(list)
	switch {
	case any && worst == finding.Critical:
		return report.Unhealthy
	case any && worst == finding.Warning:
		return report.Degraded
	}
	return report.Healthy
}

// unknownReason says why the verdict is Unknown without findings: what it rests on could not be read.
func unknownReason(w *facts.Snapshot) string {
	var gaps []string
	for _, name := range []string{"services", "pods", "port-forward"} {
		if s := w.Sources.Get(name); s.State == source.Forbidden || s.State == source.Unreachable {
			gaps = append(gaps, name+" ("+s.Reason()+")")
		}
	}
	switch {
	case w.Options.Standalone:
		return ""
	case w.From != nil && w.From.Wanted && w.From.Error != "":
		return wayUnknown(w)
	case len(w.Probes) > 0 && !slices.ContainsFunc(w.Probes, func(p facts.Probe) bool { return p.Error == "" || p.Forbidden }):
		return fmt.Sprintf("unknown what the %d DNS pods answer: port-forward failed for all (%s)", len(w.Probes),
			w.Probes[0].Error)
	case len(gaps) > 0:
		return "required data could not be read: " + strings.Join(gaps, ", ")
	case w.Service != nil && len(w.Pods) == 0 && len(w.Service.Spec.Selector) > 0 &&
		!(w.Sources.Get("deployments").Readable() && w.Sources.Get("daemonsets").Readable()):
		return fmt.Sprintf("Service %s/%s selects no pods (%s); unknown whether DNS pods with other labels exist: Deployments or "+
			"DaemonSets there could not be read", w.Service.Namespace, w.Service.Name, labels.Set(w.Service.Spec.Selector))
	case w.Service != nil && len(w.Pods) == 0:
		return fmt.Sprintf("Service %s/%s has no DNS pods to query: this DNS is managed outside the cluster, and only a pod can test it "+
			"(--from POD)", w.Service.Namespace, w.Service.Name)
	}
	return ""
}

// wayUnknown says why it is not known whether the pod reaches the servers.
func wayUnknown(w *facts.Snapshot) string {
	pod := &w.From.Pod
	if w.IsServer(pod) {
		return fmt.Sprintf("pod %s/%s is a DNS server, which uses the resolver of its node by design: query DNS from a client pod (%s)",
			pod.Namespace, pod.Name, w.From.Error)
	}
	servers := "the DNS pods, which answer correctly"
	if !w.AnyReached() {
		servers = "the DNS pods, which could not be queried"
	}
	text := fmt.Sprintf("unknown whether pod %s/%s can reach %s: %s", pod.Namespace, pod.Name, servers, w.From.Error)
	if w.From.Method == "" && facts.Runs(pod) { // a probe that was asked for and failed is no advice
		text += "; --probe ephemeral or --probe pod can query from the pod's network"
	}
	return text
}

// checked lists in words what was looked at without a finding.
func checked(w *facts.Snapshot, found []finding.Finding) []string {
	clean := func(codes ...finding.Code) bool {
		return !slices.ContainsFunc(found, func(f finding.Finding) bool { return slices.Contains(codes, f.Code) })
	}
	var list []string
	add := func(ok bool, text string) {
		if ok {
			list = append(list, text)
		}
	}
	reached := w.AnyReached()
	every := "every replica"
	if slices.ContainsFunc(w.Probes, func(p facts.Probe) bool { return p.Error != "" }) { // such as one on a node that is down
		every = "every replica that was queried"
	}
	outside := !servers.Swallowed(w, w.External) &&
		slices.ContainsFunc(w.Probes, func(p facts.Probe) bool { a := w.ProbeAnswer(p); return a != nil && a.Rcode != "" })
	add(w.ConfRead && clean(servers.CorefileInvalid, servers.ZoneNotServed, servers.TemplateOverridesCluster, servers.HostsWithoutFallthrough),
		"the Corefile loads and serves "+strings.TrimSuffix(w.Zone, "."))
	add(reached && clean(servers.ZoneNotServed, servers.ClusterNamesFailing, servers.ReplicaStale, servers.ReplicaWrongAnswer,
		servers.AnswersOverridden, servers.ReplicaNotAnswering, servers.ReplicaPortForwardFailed),
		every+" answers cluster names, and the newest Services match the API")
	add(outside && clean(servers.UpstreamFailing, servers.UpstreamSlow, servers.UpstreamTCPFailing), "names outside the cluster are answered")
	add(w.Sources.Get("access").Readable() && w.Provider() == "CoreDNS" && len(w.Access) > 0 && clean(servers.DNSServerForbidden),
		"the DNS ServiceAccount can list and watch Services, Namespaces and EndpointSlices")
	add(w.Sources.Get("logs").Readable() && clean(servers.CorefileReloadFailed, servers.ForwardingLoop),
		"no failed reload and no forwarding loop in the logs")
	policies := "no NetworkPolicy closes the DNS pods" // what pods of one node or namespace may ask is judged with --from alone
	if w.From != nil {
		policies = "no NetworkPolicy blocks DNS"
	}
	add(w.Sources.Get("networkpolicies").Readable() && clean(clients.NetworkPolicyBlocksDNS), policies)
	add(w.From != nil && len(w.From.Answers) > 0 && clean(clients.DNSUnavailableFromPod, clients.DNSOverUDPBlocked, clients.DNSOverTCPBlocked,
		clients.DNSServiceUnreachableFromPod, clients.ReplicaUnreachableFromPod, clients.DNSQueriesLost, clients.PodResolvConfMismatch),
		"the pod reaches the DNS Service and each replica over UDP and TCP")
	return list
}

func header(w *facts.Snapshot, kind string) report.Header {
	return report.Header{APIVersion: report.APIVersion, Kind: kind, Sources: w.Sources, Time: w.Now}
}

func fromReport(w *facts.Snapshot) *report.From {
	f := &report.From{
		Namespace: w.From.Pod.Namespace, Name: w.From.Pod.Name, Node: w.From.Pod.Spec.NodeName, Method: w.From.Method,
		Answers: []report.Answer{},
	}
	for _, a := range w.From.Answers {
		if a.Rcode != "" {
			a.ServedBy = w.ServedBy(a.Server)
		}
		f.Answers = append(f.Answers, a)
	}
	return f
}
