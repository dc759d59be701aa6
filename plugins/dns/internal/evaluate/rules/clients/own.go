package clients

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of this file.
const (
	DNSQueriesLost finding.Code = "DNSQueriesLost"
)

// LossRules report queries from a pod of which only some are answered.
var LossRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: DNSQueriesLost, Severity: finding.Warning, Title: "Some DNS queries from the pod are lost",
			Meaning: "Of several equal queries on one network path, some are answered and others are not. Resolvers repeat a lost query " +
				"after 5 seconds, so lookups are slow or fail at random. The loss does not show which component drops the packets.",
			Evidence: "The number of lost queries from inside the pod for each server and protocol.",
			Next:     "Compare with a pod on another node, and check the node.",
			Source:   servers.DebugPage,
		},
		Check: CheckLoss,
	},
}

// lossy gives the transports over which single queries are lost. The Service address counts only where no server behind it is
// silent: it sends that server its share.
func lossy(w *facts.Snapshot) map[string]bool {
	silent := map[string]bool{}
	for _, a := range w.From.Answers {
		if a.Rcode == "" && !slices.Contains(serviceIPs(w), a.Server) {
			silent[a.Transport] = true
		}
	}
	out := map[string]bool{}
	for _, a := range w.From.Answers {
		if partial(a) && !(silent[a.Transport] && slices.Contains(serviceIPs(w), a.Server)) {
			out[a.Transport] = true
		}
	}
	return out
}

func partial(a report.Answer) bool { return a.Lost > 0 && a.Lost < a.Asked }

func serviceIPs(w *facts.Snapshot) []string {
	if w.Service == nil {
		return nil
	}
	return discover.ClusterIPs(w.Service)
}

// CheckLoss counts what was lost over the transports that lose at random. One lost query of all is for information: a busy pod
// loses one, too.
func CheckLoss(w *facts.Snapshot) []finding.Finding {
	if w.From == nil {
		return nil
	}
	over := lossy(w)
	var words []string
	var evidence []finding.Evidence
	severity := finding.Info
	for _, transport := range facts.SortedKeys(over) {
		asked, lost := 0, 0
		for _, a := range w.From.Answers {
			if a.Transport != transport || a.Asked == 0 {
				continue
			}
			asked, lost = asked+a.Asked, lost+a.Lost
			evidence = append(evidence, facts.NewEvidence("answer in the pod", a.Server+" "+a.Transport, "%s", ask.AnswerText(a)))
		}
		if lost > 1 {
			severity = finding.Warning
		}
		words = append(words, fmt.Sprintf("%d of %d queries over %s", lost, asked, transport))
	}
	if len(words) == 0 {
		return nil
	}
	sorting.Stable(evidence, func(a, b finding.Evidence) int { return strings.Compare(a.Path, b.Path) })
	pod := w.From.Pod
	return []finding.Finding{w.Make(DNSQueriesLost, severity, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("pod %s/%s on node %s loses %s at random", pod.Namespace, pod.Name, pod.Spec.NodeName, strings.Join(words, " and ")),
		evidence, otherPod(w), w.Read("Check the node of the pod", "", "nodeinfo", pod.Spec.NodeName))}
}

// otherPod tells the node of the suspect from everything else.
func otherPod(w *facts.Snapshot) finding.Next {
	node := w.From.Pod.Spec.NodeName
	return facts.WithAnswers(w.Read("Choose a pod on another node, and query DNS from there (kubectl dns check --from POD)", "", "get",
		"pods", "-A", "-o", "wide", "--field-selector", "spec.nodeName!="+node), "DNS works from there: the fault is on node "+node)
}

// ownServers is what the pod's own nameservers gave it, those that are no address of the DNS Service.
type ownServers struct {
	asked, right, silent, wrong []string
}

// ownOf sorts them by their answers to the name that every cluster has. UDP decides where it was asked: resolvers use it first.
func ownOf(w *facts.Snapshot) ownServers {
	var o ownServers
	for _, server := range w.OwnServers() {
		answers := w.OwnAnswers(server, w.Control(), "A", "UDP")
		if len(answers) == 0 {
			answers = w.OwnAnswers(server, w.Control(), "A", "TCP")
		}
		if len(answers) == 0 || slices.Contains(serviceIPs(w), server) {
			continue
		}
		o.asked = append(o.asked, server)
		switch {
		case slices.ContainsFunc(answers, func(a report.Answer) bool { return a.Rcode != "" && ask.Right(w, a) }):
			o.right = append(o.right, server)
		case slices.ContainsFunc(answers, func(a report.Answer) bool { return a.Rcode != "" }):
			o.wrong = append(o.wrong, server)
		default:
			o.silent = append(o.silent, server)
		}
	}
	return o
}

// checkOwn judges the nameservers of the pod's own resolv.conf that are no address of the DNS Service: what the pod's programs
// get from them is what counts for the pod, whatever cluster DNS does.
func checkOwn(w *facts.Snapshot, o ownServers, evidence []finding.Evidence) []finding.Finding {
	pod := w.From.Pod
	name := pod.Namespace + "/" + pod.Name
	failing, result := o.silent, "gets no answer from"
	if len(failing) == 0 {
		// a resolver outside the cluster answers so, and the pod's dnsPolicy says why it is asked
		if len(o.wrong) == 0 || !usesClusterDNS(w) {
			return nil
		}
		failing, result = o.wrong, "gets a wrong answer for cluster names from"
	}
	if slices.ContainsFunc(CheckPodConfig(w), func(f finding.Finding) bool {
		return f.Code == KubeletClusterDNSMismatch && f.Severity == finding.Critical
	}) {
		return nil // who set the pod up so is the cause
	}
	severity, which := finding.Critical, "its nameservers"
	switch total := len(w.OwnServers()); {
	case total == 1:
		which = "its only nameserver"
	case len(failing) < total:
		severity, which = finding.Warning, "its nameserver"
	}
	message := fmt.Sprintf("pod %s %s %s %s", name, result, which, strings.Join(failing, ", "))
	if service := serviceAnswer(w); service != "" {
		message += "; DNS Service " + service + " answers the pod"
	}
	seen := []finding.Evidence{
		facts.NewEvidence("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(w.OwnServers(), ", ")),
	}
	next := []finding.Next{ShowPod(w)}
	if slices.ContainsFunc(failing, facts.LinkLocal) && w.Sources.Get("daemonsets").Readable() && w.NodeCache() == nil {
		seen = append(seen, facts.NewEvidence("DaemonSets", "", "none is a DNS cache with this address (-localip)"))
		next = append(next, w.Read("List the DaemonSets, of which one may have served the address", "", "get", "daemonsets", "-A"))
	}
	f := w.Make(DNSUnavailableFromPod, severity, facts.Ref("Pod", pod.Namespace, pod.Name), message, append(seen, evidence...),
		append(next, otherPod(w))...)
	return []finding.Finding{BlameCache(w, f, failing...)}
}

// usesClusterDNS says whether the kubelet sets the pod up to query cluster DNS.
func usesClusterDNS(w *facts.Snapshot) bool {
	pod := &w.From.Pod
	return resolver.EffectivePolicy(pod.Spec, w.KubeletFor(pod.Spec.NodeName)) == corev1.DNSClusterFirst
}

// serviceAnswer gives the address of the DNS Service that answers the pod rightly; empty: none does, or none was asked.
func serviceAnswer(w *facts.Snapshot) string {
	for _, ip := range serviceIPs(w) {
		for _, a := range w.OwnAnswers(ip, w.Control(), "A", "") {
			if a.Rcode != "" && ask.Right(w, a) {
				return ip
			}
		}
	}
	return ""
}
