package servers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
)

// The codes of this file.
const (
	UpstreamFailing       finding.Code = "UpstreamFailing"
	UpstreamTCPFailing    finding.Code = "UpstreamTCPFailing"
	UpstreamSlow          finding.Code = "UpstreamSlow"
	UpstreamNotResponding finding.Code = "UpstreamNotResponding"
)

// UpstreamRules report upstream servers that do not resolve names outside the cluster. Only kubectl dns upstream finds the last
// code; a check does not.
var UpstreamRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: UpstreamFailing, Severity: finding.Critical, Title: "Names outside the cluster do not resolve",
			Meaning: "The upstream servers return no usable answer; cluster names are not affected. An answer that the name does not " +
				"exist is usable.",
			Evidence: "SERVFAIL, REFUSED or no answer from a replica for a random name outside the cluster.",
			Next:     "Run kubectl dns upstream to compare the upstream servers.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{UpstreamSlow, HighServfailRate},
		Check:    CheckUpstream,
	},
	{
		Entry: finding.Entry{
			Code: UpstreamTCPFailing, Severity: finding.Warning, Title: "Upstream DNS server does not respond over TCP",
			Meaning: "The upstream server answers over UDP but not over TCP, so answers too large for UDP are lost.",
			Evidence: "A failed query for a random name outside the cluster, sent over TCP by port-forward and passed on over TCP by the " +
				"forward plugin, while the failure counter of its UDP health checks does not increase.",
			Next:   "Allow TCP port 53 to the upstream servers.",
			Source: "https://coredns.io/plugins/forward/",
		},
	},
	{
		Entry: finding.Entry{
			Code: UpstreamSlow, Severity: finding.Warning, Title: "Upstream DNS server is slow",
			Meaning: "Queries for names outside the cluster take more than --slow-threshold (default 500ms) longer than the network path " +
				"to the replica.",
			Evidence: "The time of each replica for a random name outside the cluster, compared with its fastest answer for a cluster name.",
			Next:     "Run kubectl dns upstream to compare the upstream servers.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{HighServfailRate},
	},
	{
		Entry: finding.Entry{
			Code: UpstreamNotResponding, Severity: finding.Warning, Title: "Upstream DNS server does not respond",
			Meaning: "The forward plugin distributes queries among its upstream servers. Queries to this server time out until its health " +
				"check fails.",
			Evidence: "With kubectl dns upstream --direct: no usable answer over UDP or TCP to a pod on the server's node. As " +
				"information: failed health checks of forward for an upstream server that has never answered.",
			Next:   "Repair the upstream server or the network path to it, or remove the server from the Corefile.",
			Source: "https://coredns.io/plugins/forward/",
		},
	},
}

// CheckUpstream judges the answers for a name outside the cluster that no cache knows. Any answer but SERVFAIL and
// REFUSED shows a working upstream: the name need not exist.
func CheckUpstream(w *facts.Snapshot) []finding.Finding {
	if w.External == "" || Swallowed(w, w.External) {
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
				failed = append(failed, facts.NewEvidence("answer of "+p.Pod, a.Name, "%s after %.0fms", a.Rcode, *a.Milliseconds))
			case a.Milliseconds != nil && *a.Milliseconds-ask.Baseline(w, p) > float64(w.Options.Slow.Milliseconds()):
				slow = append(slow, facts.NewEvidence("answer of "+p.Pod, a.Name, "%s after %.0fms; cluster names took %.0fms", a.Rcode,
					*a.Milliseconds, ask.Baseline(w, p)))
			}
		}
	}
	to := upstreamWords(w)
	next := []finding.Next{
		w.Read("List each upstream with its failures and response times", "", "dns", "upstream"),
		w.Read("Read the errors in the logs of the DNS servers", "", "dns", "logs", "--errors"),
	}
	switch {
	case len(failed) > 0 && upstreamByTCPAlone(w):
		return []finding.Finding{w.Make(UpstreamTCPFailing, finding.Warning, w.ConfRef,
			fmt.Sprintf("no answer over TCP from %s at %d of %d replicas, but %s; answers too large for UDP are lost", to,
				len(failed), asked, overUDP(failed)), failed, append(next, directNext(w, failed)...)...)}
	case len(failed) > 0:
		failed = append(failed, upstreamMetrics(w)...)
		return []finding.Finding{w.Make(UpstreamFailing, finding.Critical, w.ConfRef,
			fmt.Sprintf("names outside the cluster do not resolve at %d of %d replicas: no usable answer from %s",
				len(failed)-len(upstreamMetrics(w)), asked, to), failed, next...)}
	case len(slow) > 0:
		return []finding.Finding{w.Make(UpstreamSlow, finding.Warning, w.ConfRef,
			fmt.Sprintf("names outside the cluster take longer than %dms at %d of %d replicas (upstream: %s)",
				w.Options.Slow.Milliseconds(), len(slow), asked, to), slow, next...)}
	}
	return nil
}

// ByTCPAlone reports upstreams that gave a port-forward no usable answer for a name outside the cluster, where what CoreDNS counts
// shows that they answer over UDP; nil: nothing shows that.
func ByTCPAlone(w *facts.Snapshot, name string, failed []finding.Evidence) *finding.Finding {
	if corefile.InZone(corefile.Fqdn(name), w.Zone) || Swallowed(w, name) || !upstreamByTCPAlone(w) {
		return nil
	}
	f := w.Make(UpstreamTCPFailing, finding.Warning, w.ConfRef,
		fmt.Sprintf("no answer over TCP (port-forward) from %s, but %s; answers too large for UDP are lost", upstreamWords(w),
			overUDP(failed)), failed,
		w.Read("List each upstream with its failures and response times", "", "dns", "upstream"),
		w.Read("Choose a pod, to query over UDP from there (kubectl dns resolve NAME --from POD)", "", "get", "pods", "-A", "-o", "wide",
			"--field-selector", "status.phase=Running"))
	f.Next = append(f.Next, directNext(w, failed)...)
	return &f
}

// silentOne says whether one of the queries got no answer at all. Then the connection over TCP may still be tried, and forward
// checks the upstream only when that has failed.
func silentOne(failed []finding.Evidence) bool {
	return slices.ContainsFunc(failed, func(e finding.Evidence) bool {
		return !strings.Contains(e.Value, "SERVFAIL") && !strings.Contains(e.Value, "REFUSED")
	})
}

// overUDP says what is known of UDP.
func overUDP(failed []finding.Evidence) string {
	if silentOne(failed) {
		return "no UDP health check of CoreDNS failed meanwhile"
	}
	return "UDP health checks pass"
}

// directNext is how to know it for certain.
func directNext(w *facts.Snapshot, failed []finding.Evidence) []finding.Next {
	if !silentOne(failed) {
		return nil
	}
	return []finding.Next{w.Change("Query each upstream over UDP and TCP, from a pod on the node of each server", "", "dns", "upstream",
		"--direct")}
}

// upstreamByTCPAlone: port-forward sends a query over TCP, and forward passes it on over TCP. When that fails, forward checks the
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
					t = "the servers in the node's " + t
				}
				to = append(to, t)
			}
			return strings.Join(to, ", ")
		}
	}
	return "the upstream"
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

// CheckUpstreamSilent judges what pods on the nodes of the servers got from each upstream: forward uses all of them in turn, and
// queries to one that is down time out until the health check finds it.
func CheckUpstreamSilent(w *facts.Snapshot) []finding.Finding {
	list := neverAnswered(w)
	for _, b := range w.Beside {
		bad := map[string][]string{}
		var evidence []finding.Evidence
		for _, a := range b.Answers {
			if ask.Unusable(a) {
				bad[a.Server] = append(bad[a.Server], a.Transport)
				evidence = append(evidence, facts.NewEvidence("answer on the node of "+b.Pod.Name, a.Server+" "+a.Transport, "%s", ask.AnswerText(a)))
			}
		}
		for _, server := range facts.SortedKeys(bad) {
			by := strings.Join(bad[server], " and ")
			list = append(list, w.Make(UpstreamNotResponding, finding.Warning, facts.Ref("Pod", b.Pod.Namespace, b.Pod.Name),
				fmt.Sprintf("upstream %s returns no usable answer over %s to a pod on node %s, where DNS pod %s runs", server, by,
					b.Pod.Spec.NodeName, b.Pod.Name), evidence,
				w.Read("Check where queries are forwarded", "", "dns", "config")))
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
				at[u.To] = append(at[u.To], facts.NewEvidence("metrics of "+p.Pod, "healthcheck_failures_total", "%.0f for %s, and no answer yet",
					*u.HealthcheckFail, u.To))
				zones[u.To] = u.Zone
			}
		}
	}
	var list []finding.Finding
	for _, to := range facts.SortedKeys(at) {
		list = append(list, w.Make(UpstreamNotResponding, finding.Info, w.ConfRef,
			fmt.Sprintf("upstream %s for names under %s has never answered %d of %d replicas, and its health checks failed; it may be "+
				"down or unused", to, zones[to], len(at[to]), len(w.Probes)), at[to],
			w.Read("Query each upstream directly, from a pod on the node of each server", "", "dns", "upstream",
				"--direct"), w.Read("Check where queries are forwarded", "", "dns", "config")))
	}
	return list
}
