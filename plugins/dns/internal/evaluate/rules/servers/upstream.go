package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// The codes of this file.
const (
	UpstreamFailing       finding.Code = "UpstreamFailing"
	UpstreamTCPFailing    finding.Code = "UpstreamTCPFailing"
	UpstreamSlow          finding.Code = "UpstreamSlow"
	UpstreamNotResponding finding.Code = "UpstreamNotResponding"
)

// UpstreamRules are about this: names outside the cluster; the last code is upstream's own, and no part of a check.
var UpstreamRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: UpstreamFailing, Severity: finding.Critical, Title: "Names outside the cluster do not resolve",
			Meaning:  "The upstream servers give no usable answer; names of the cluster are well. A name that does not exist counts as answered.",
			Evidence: "A random name outside the cluster asked at each replica: SERVFAIL, REFUSED or silence.",
			Next:     "See each upstream.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{UpstreamSlow, HighServfailRate},
		Check:    CheckUpstream,
	},
	{
		Entry: finding.Entry{
			Code: UpstreamTCPFailing, Severity: finding.Warning, Title: "Upstream DNS server does not respond over TCP",
			Meaning: "Ordinary answers come by UDP; those that are too large for it are lost.",
			Evidence: "A random name outside the cluster, which a tunnel asks by TCP and forward hands on by TCP, fails, and the failure counter " +
				"of forward's health checks by UDP does not move.",
			Next:   "Open TCP port 53 to the upstream.",
			Source: "https://coredns.io/plugins/forward/",
		},
	},
	{
		Entry: finding.Entry{
			Code: UpstreamSlow, Severity: finding.Warning, Title: "Upstream DNS server is slow",
			Meaning:  "Names outside the cluster take longer than --slow (500 ms) beyond what the way to the replica costs.",
			Evidence: "A random name outside the cluster asked at each replica, and the quickest name of the cluster beside it.",
			Next:     "See each upstream.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{HighServfailRate},
	},
	{
		Entry: finding.Entry{
			Code: UpstreamNotResponding, Severity: finding.Warning, Title: "Upstream DNS server does not respond",
			Meaning: "forward shares queries out among its upstreams: those that go to this one time out until its health check fails.",
			Evidence: "With upstream --deep: each upstream asked by UDP and by TCP from a pod on the server's node. For information: health " +
				"checks of forward that have failed for an upstream that has not answered once.",
			Next:   "Repair the upstream or the way to it, or take it out of the Corefile.",
			Source: "https://coredns.io/plugins/forward/",
		},
	},
}

// CheckUpstream judges the answers for a name outside the cluster that no cache knows. Any answer but SERVFAIL and
// REFUSED shows a working upstream: the name need not exist.
func CheckUpstream(w *facts.Snapshot) []finding.Finding {
	if w.External == "" {
		return nil
	}
	var failed, slow []finding.Evidence
	asked := 0
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			if a.Name != w.External {
				continue
			}
			asked++
			switch {
			case a.Error != "" && w.Reached(p):
				failed = append(failed, facts.NewEvidence("answer of "+p.Pod, a.Name, "%s", a.Error))
			case a.Rcode == "SERVFAIL" || a.Rcode == "REFUSED":
				failed = append(failed, facts.NewEvidence("answer of "+p.Pod, a.Name, "%s after %.0f ms", a.Rcode, *a.Milliseconds))
			case a.Milliseconds != nil && *a.Milliseconds-ask.Baseline(w, p) > float64(w.Options.Slow.Milliseconds()):
				slow = append(slow, facts.NewEvidence("answer of "+p.Pod, a.Name, "%s after %.0f ms; names of the cluster took %.0f ms", a.Rcode,
					*a.Milliseconds, ask.Baseline(w, p)))
			}
		}
	}
	to := upstreamWords(w)
	next := []finding.Next{
		w.Read("see each upstream with its failures and times", "", "dns", "upstream"),
		w.Read("see what the servers say about it", "", "dns", "logs", "--errors"),
	}
	switch {
	case len(failed) > 0 && upstreamByTCPAlone(w):
		return []finding.Finding{w.Make(UpstreamTCPFailing, finding.Warning, w.ConfRef,
			fmt.Sprintf("the upstream does not answer by TCP at %d of %d replicas, and its health checks by UDP pass: answers too large for UDP "+
				"are lost (%s)", len(failed), asked, to), failed, next...)}
	case len(failed) > 0:
		failed = append(failed, upstreamMetrics(w)...)
		return []finding.Finding{w.Make(UpstreamFailing, finding.Critical, w.ConfRef,
			fmt.Sprintf("names outside the cluster are not answered at %d of %d replicas: CoreDNS gets nothing usable from %s",
				len(failed)-len(upstreamMetrics(w)), asked, to), failed, next...)}
	case len(slow) > 0:
		return []finding.Finding{w.Make(UpstreamSlow, finding.Warning, w.ConfRef,
			fmt.Sprintf("names outside the cluster take longer than %d ms at %d of %d replicas: the upstream is slow (%s)",
				w.Options.Slow.Milliseconds(), len(slow), asked, to), slow, next...)}
	}
	return nil
}

// upstreamByTCPAlone: a tunnel's question is TCP, and forward hands it on by TCP. When that fails, forward checks the
// health of the upstream by UDP: failed checks since then mean that it is dead, none that only TCP is. Without health
// checks (max_fails 0) there is no telling.
func upstreamByTCPAlone(w *facts.Snapshot) bool {
	for _, b := range w.Conf.Blocks {
		for _, d := range b.Find("forward") {
			for _, o := range d.Find("max_fails") {
				if slices.Contains(o.Args, "0") {
					return false
				}
			}
		}
	}
	compared := false
	for _, p := range w.Probes {
		if p.After == nil {
			continue
		}
		compared = true
		for _, name := range []string{"coredns_proxy_healthcheck_failures_total", "coredns_forward_healthcheck_failures_total"} {
			before, after := p.Metrics.Sum(name), p.After.Sum(name)
			if after != nil && (before == nil || *after > *before) {
				return false
			}
		}
	}
	return compared
}

func upstreamWords(w *facts.Snapshot) string {
	for _, r := range w.Routes() {
		if r.Via == "forward" && slices.Contains(r.Zones, ".") {
			var to []string
			for _, t := range r.To {
				if strings.HasPrefix(t, "/") {
					t = "the servers in its node's " + t
				}
				to = append(to, t)
			}
			return strings.Join(to, ", ")
		}
	}
	return "its upstream"
}

func upstreamMetrics(w *facts.Snapshot) []finding.Evidence {
	var list []finding.Evidence
	for _, p := range w.Probes {
		failures := p.Metrics.By("coredns_proxy_healthcheck_failures_total", "to")
		for _, to := range facts.SortedKeys(failures) {
			if failures[to] > 0 {
				list = append(list, facts.NewEvidence("metrics of "+p.Pod, "coredns_proxy_healthcheck_failures_total", "%.0f for %s", failures[to], to))
			}
		}
	}
	return list
}

// CheckUpstreamSilent judges what pods beside the servers got from each upstream: forward uses all of them in turn, and
// one that is dead costs its share of the queries a timeout until the health check finds it.
func CheckUpstreamSilent(w *facts.Snapshot) []finding.Finding {
	list := neverAnswered(w)
	for _, b := range w.Beside {
		bad := map[string][]string{}
		var evidence []finding.Evidence
		for _, a := range b.Answers {
			if ask.Unusable(a) {
				bad[a.Server] = append(bad[a.Server], a.Transport)
				evidence = append(evidence, facts.NewEvidence("answer beside "+b.Pod.Name, a.Server+" "+a.Transport, "%s", ask.AnswerText(a)))
			}
		}
		for _, server := range facts.SortedKeys(bad) {
			by := strings.Join(bad[server], " and ")
			list = append(list, w.Make(UpstreamNotResponding, finding.Warning, facts.Ref("Pod", b.Pod.Namespace, b.Pod.Name),
				fmt.Sprintf("upstream %s gives no usable answer by %s to a pod beside DNS pod %s on node %s", server, by, b.Pod.Name,
					b.Pod.Spec.NodeName), evidence,
				w.Read("see where names are sent on", "", "dns", "config")))
		}
	}
	return list
}

// neverAnswered: health checks that failed, and not one answer since the replica's start. That tells of the past: a spare
// of "policy sequential" looks the same after one bad moment, so it is for information. No finding is an upstream that
// answers again, nor one whose silence checkUpstream has seen in an answer.
func neverAnswered(w *facts.Snapshot) []finding.Finding {
	at := map[string][]finding.Evidence{}
	zones := map[string]string{}
	for _, p := range w.Probes {
		for _, u := range w.Upstreams(p) {
			if u.HealthcheckFail != nil && *u.HealthcheckFail > 0 && u.Queries != nil && *u.Queries == 0 &&
				(u.Probe == nil || !ask.Unusable(*u.Probe)) {
				at[u.To] = append(at[u.To], facts.NewEvidence("metrics of "+p.Pod, "healthcheck_failures_total", "%.0f for %s, and no answer",
					*u.HealthcheckFail, u.To))
				zones[u.To] = u.Zone
			}
		}
	}
	var list []finding.Finding
	for _, to := range facts.SortedKeys(at) {
		list = append(list, w.Make(UpstreamNotResponding, finding.Info, w.ConfRef,
			fmt.Sprintf("upstream %s for names under %s has given %d of %d replicas no answer since their start, and health checks of it have "+
				"failed: it may be dead, or not in use", to, zones[to], len(at[to]), len(w.Probes)), at[to],
			w.Read("ask each upstream directly, from a pod beside each server", "", "dns", "upstream",
				"--direct"), w.Read("see where names are sent on", "", "dns", "config")))
	}
	return list
}
