package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// rule judges one thing.
type rule func(*world) []finding.Finding

// allRules are the rules in the order of the decision tree: the first finding that is more than information is the
// headline. Server down; server wrong for everybody; one replica; upstream; path; pod; data; placement.
func (w *world) allRules() []rule {
	return []rule{
		ruleNoService, ruleScaledToZero, ruleLoop, ruleCorefileInvalid, ruleServiceSelects, ruleForbidden, rulePodsDown, ruleServicePorts, ruleServiceTarget, ruleServiceEndpoints,
		ruleZoneNotServed, ruleClusterNames, ruleReload, ruleReplicaDown, ruleReplicaStale, ruleReplicaWrong, ruleReplicaSilent, ruleReplicaUnreachable,
		ruleUpstream, rulePolicy, rulePath, rulePodConfig, ruleKubelets, ruleNodeCache, ruleAltered, ruleData, ruleCorefileLints, rulePlacement, ruleRestarts, ruleServfail,
	}
}

// explains says which findings another one makes needless: a consequence is not reported beside its cause.
var explains = map[finding.Code][]finding.Code{
	NoDNSService:            {DNSPodsNotReady},
	DNSScaledToZero:         {DNSPodsNotReady, ServiceSelectsNothing, PathBlocked, PathServiceBlocked},
	ForwardingLoop:          {DNSPodsNotReady, ReplicaNotReady, ReplicaSilent, ReplicaRestarted, UpstreamFails, UpstreamSlow, ClusterNamesFail, ForwardsToItself, PathBlocked, PathReplicaBlocked, PathServiceBlocked, ServfailShare},
	CorefileInvalid:         {ReloadFailed, DNSPodsNotReady, ReplicaNotReady, ReplicaSilent, ReplicaRestarted, ClusterNamesFail, ZoneNotServed, PathBlocked, PathReplicaBlocked, PathServiceBlocked},
	DNSServerForbidden:      {DNSPodsNotReady, ReplicaNotReady, ClusterNamesFail, ReplicaStale, ReplicaWrongAnswer, ServfailShare, PathBlocked, PathReplicaBlocked, PathServiceBlocked},
	DNSPodsNotReady:         {ReplicaNotReady, ReplicaSilent, PathBlocked, PathReplicaBlocked, PathServiceBlocked, ReplicaRestarted},
	ServiceSelectsNothing:   {ServiceEndpointsDiffer, PathServiceBlocked},
	ServicePortMissing:      {PathUDPBlocked, PathTCPBlocked, PathServiceBlocked},
	TemplateShadowsCluster:  {ClusterNamesFail, ReplicaWrongAnswer, AnswersAltered},
	HostsWithoutFallthrough: {ClusterNamesFail, ReplicaWrongAnswer, AnswersAltered},
	ServiceTargetWrong:      {ReplicaSilent, PathBlocked, PathUDPBlocked, PathTCPBlocked, PathServiceBlocked},
	ServiceEndpointsDiffer:  {PathServiceBlocked},
	ZoneNotServed:           {ClusterNamesFail, ReplicaWrongAnswer, ReplicaStale},
	ClusterNamesFail:        {ReplicaWrongAnswer, ReplicaStale},
	ReplicaStale:            {ReplicaWrongAnswer},
	ReplicaNotReady:         {ReplicaSilent, ReplicaUnreachable, AllReplicasOnOneNode, ReplicaRestarted},
	UpstreamFails:           {UpstreamSlow, ServfailShare},
	UpstreamSlow:            {ServfailShare},
	NetworkPolicyBlocksDNS:  {PathBlocked, PathUDPBlocked, PathTCPBlocked, PathReplicaBlocked, PathServiceBlocked},
}

// conclude runs rules and fills the header: findings in the order of the rules, verdict, headline, summary.
// It gives all that the rules found, also what another finding makes needless.
func (w *world) conclude(h *report.Header, rules []rule) []finding.Finding {
	var all []finding.Finding
	for _, r := range rules {
		list := r(w)
		finding.Sort(list)
		all = append(all, list...)
	}
	w.settle(h, all)
	return all
}

func (w *world) settle(h *report.Header, all []finding.Finding) {
	needless := map[finding.Code]bool{}
	for _, f := range all {
		for _, code := range explains[f.Code] {
			needless[code] = needless[code] || f.Severity != finding.Info // what hurts nobody explains nothing
		}
	}
	h.Findings = []finding.Finding{}
	for _, f := range all {
		if !needless[f.Code] && !slices.Contains(w.o.Skip, f.Code) {
			h.Findings = append(h.Findings, f)
		}
	}
	// worst first, and within a severity in the order of the decision tree
	slices.SortStableFunc(h.Findings, func(a, b finding.Finding) int { return severityRank(a.Severity) - severityRank(b.Severity) })
	h.Verdict = verdict(h.Findings)
	if h.Verdict != report.Healthy && len(h.Findings) > 0 {
		h.Headline, h.Summary = h.Findings[0].Code, h.Findings[0].Message
		return
	}
	if reason := w.blind(); reason != "" {
		h.Verdict, h.Summary = report.Unknown, reason
		return
	}
	h.Summary = "nothing wrong was found"
}

func severityRank(s finding.Severity) int {
	return slices.Index([]finding.Severity{finding.Critical, finding.Warning, finding.Info}, s)
}

func verdict(list []finding.Finding) report.Verdict {
	worst, any := finding.Worst(list)
	switch {
	case any && worst == finding.Critical:
		return report.Failing
	case any && worst == finding.Warning:
		return report.Degraded
	}
	return report.Healthy
}

// blind says why a clean bill would be no knowledge: what carries the verdict could not be read.
func (w *world) blind() string {
	var gaps []string
	for _, name := range []string{"services", "pods", "tunnels"} {
		if s := w.Sources.Get(name); s.State == source.Forbidden || s.State == source.Unreachable {
			gaps = append(gaps, name+" ("+strings.TrimPrefix(s.Gap(), "not checked: ")+")")
		}
	}
	switch {
	case w.o.Standalone:
		return ""
	case w.From != nil && w.From.Wanted && w.From.Error != "":
		servers := "the servers are well, and whether"
		if !w.anyReached() {
			servers = "the servers could not be asked, and whether"
		}
		return fmt.Sprintf("%s pod %s/%s reaches them is not known: %s; --probe ephemeral or --probe pod asks from beside it", servers, w.From.Pod.Namespace, w.From.Pod.Name, w.From.Error)
	case len(w.Probes) > 0 && !slices.ContainsFunc(w.Probes, func(p Probe) bool { return p.Error == "" || p.Forbidden }):
		return fmt.Sprintf("no tunnel opens to any of %d DNS pods, so nothing is known of what they answer (%s)", len(w.Probes), w.Probes[0].Error)
	case len(gaps) > 0:
		return "too little could be read to say: " + strings.Join(gaps, ", ")
	case w.service != nil && len(w.Pods) == 0 && len(w.service.Spec.Selector) > 0 && !(w.Sources.Get("deployments").Readable() && w.Sources.Get("daemonsets").Readable()):
		return fmt.Sprintf("Service %s/%s selects no pods (%s), and whether DNS pods with other labels run is not known: Deployments or DaemonSets there could not be read", w.service.Namespace, w.service.Name, labels.Set(w.service.Spec.Selector))
	case w.service != nil && len(w.Pods) == 0:
		return fmt.Sprintf("there are no DNS pods to ask behind Service %s/%s: this DNS is managed outside the cluster, and only a pod can test it (--from POD)", w.service.Namespace, w.service.Name)
	}
	return ""
}

// checked lists in words what was looked at without a finding.
func (w *world) checked(found []finding.Finding) []string {
	clean := func(codes ...finding.Code) bool {
		return !slices.ContainsFunc(found, func(f finding.Finding) bool { return slices.Contains(codes, f.Code) })
	}
	var list []string
	add := func(ok bool, text string) {
		if ok {
			list = append(list, text)
		}
	}
	reached := w.anyReached()
	outside := slices.ContainsFunc(w.Probes, func(p Probe) bool { a := w.probeAnswer(p); return a != nil && a.Rcode != "" })
	add(w.confRead && clean(CorefileInvalid, ZoneNotServed, TemplateShadowsCluster, HostsWithoutFallthrough), "the Corefile loads and serves "+strings.TrimSuffix(w.zone, "."))
	add(reached && clean(ZoneNotServed, ClusterNamesFail, ReplicaStale, ReplicaWrongAnswer, ReplicaSilent, ReplicaUnreachable), "every replica answers for the cluster's own names, and for the newest Services as the API has them")
	add(outside && clean(UpstreamFails, UpstreamSlow, UpstreamTCPFails), "names outside the cluster are answered")
	add(w.Sources.Get("access").Readable() && w.provider() == "CoreDNS" && len(w.Access) > 0 && clean(DNSServerForbidden), "the server's service account may list and watch Services, Namespaces and EndpointSlices")
	add(w.Sources.Get("logs").Readable() && clean(ReloadFailed, ForwardingLoop), "no failed reload and no loop in the logs")
	add(w.Sources.Get("networkpolicies").Readable() && clean(NetworkPolicyBlocksDNS), "no NetworkPolicy stands in the way")
	add(w.From != nil && len(w.From.Answers) > 0 && clean(PathBlocked, PathUDPBlocked, PathTCPBlocked, PathServiceBlocked, PathReplicaBlocked), "the pod reaches the Service and each replica by UDP and TCP")
	return list
}

// seen makes evidence.
func seen(source, path, format string, args ...any) finding.Evidence {
	return finding.Evidence{Source: source, Path: path, Value: fmt.Sprintf(format, args...)}
}

func (w *world) read(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: w.o.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}
}

func (w *world) change(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: w.o.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Change}
}

// make builds a finding of a catalogued code.
func (w *world) make(code finding.Code, severity finding.Severity, object *finding.ObjectRef, message string, evidence []finding.Evidence, next ...finding.Next) finding.Finding {
	return finding.Finding{Code: code, Severity: severity, Title: titleOf(code), Message: message, Object: object, Evidence: evidence, Next: next}
}

func ref(kind, namespace, name string) *finding.ObjectRef {
	return &finding.ObjectRef{Kind: kind, Namespace: namespace, Name: name}
}
