package evaluate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of what is judged here.
const (
	UpstreamSilent finding.Code = "UpstreamSilent"
)

// Top shares out what every replica answered, since its start or between two readings.
func Top(in Input, now time.Time, o Options) report.Top {
	w := newWorld(in, now, o)
	out := report.Top{Header: w.header("DNSTop"), Interval: "since start", Items: []report.Server{}}
	for i := range w.Pods {
		p := w.probeOf(w.Pods[i].Name)
		if p == nil {
			continue
		}
		m := p.Metrics
		s := report.Server{Replica: p.Pod, Rcodes: []report.Share{}, Types: []report.Share{}}
		if p.Seconds > 0 {
			m = m.Since(p.Earlier)
			out.Interval = time.Duration(p.Seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
			s.QPS = ratio(m.Sum("coredns_dns_requests_total"), p.Seconds)
		} else if started := m.Sum("process_start_time_seconds"); started != nil {
			s.QPS = ratio(m.Sum("coredns_dns_requests_total"), float64(w.now.Unix())-*started)
		}
		fillServer(&s, m)
		s.MemoryBytes = p.Metrics.Sum("process_resident_memory_bytes")
		out.Items = append(out.Items, s)
	}
	w.conclude(&out.Header, []rule{ruleServfail})
	if out.Verdict == report.Healthy {
		out.Summary = fmt.Sprintf("traffic of %d %s, %s", len(out.Items), plural(len(out.Items), "replica"), out.Interval)
	}
	for _, p := range w.Probes {
		if p.Metrics == nil && len(out.Findings) == 0 {
			out.Verdict, out.Summary = report.Unknown, fmt.Sprintf("the metrics of %s could not be read: %s", p.Pod, p.Error+p.MetricsError)
		}
	}
	return out
}

// fillServer copes with the renamed metrics of CoreDNS: forward's moved to coredns_proxy_* in 1.11, and cache misses are
// requests less hits since 1.8 (https://coredns.io/plugins/cache/#metrics).
func fillServer(s *report.Server, m Metrics) {
	s.Queries = m.Sum("coredns_dns_requests_total")
	s.Rcodes = shares(m.By("coredns_dns_responses_total", "rcode"))
	s.Types = shares(m.By("coredns_dns_requests_total", "type"))
	s.P50 = times(m.Quantile(0.5, "coredns_dns_request_duration_seconds"), 1000)
	s.P99 = times(m.Quantile(0.99, "coredns_dns_request_duration_seconds"), 1000)
	s.CacheHit = share(m.Sum("coredns_cache_hits_total"), m.Sum("coredns_cache_requests_total"))
	s.Rejects = m.Sum("coredns_forward_max_concurrent_rejects_total")
	s.Panics = m.Sum("coredns_panics_total")
	s.ReloadFailed = m.Sum("coredns_reload_failed_total")
	name := forwardMetric(m)
	s.ForwardP99 = times(m.Quantile(0.99, name), 1000)
	var forwarded float64
	for _, sample := range m {
		if sample.Name == name {
			forwarded += float64(sample.Count)
		}
	}
	s.Forwarded = share(&forwarded, s.Queries)
}

func forwardMetric(m Metrics) string {
	for _, name := range []string{"coredns_proxy_request_duration_seconds", "coredns_forward_request_duration_seconds"} {
		if m.Sum(name) != nil {
			return name
		}
	}
	return "coredns_proxy_request_duration_seconds"
}

func shares(counts map[string]float64) []report.Share {
	var total float64
	for _, n := range counts {
		total += n
	}
	list := []report.Share{}
	for _, name := range sortedKeys(counts) {
		if n := counts[name]; n > 0 && name != "" {
			list = append(list, report.Share{Name: name, Count: n, Percent: n / total * 100})
		}
	}
	slices.SortStableFunc(list, func(a, b report.Share) int {
		switch {
		case a.Count > b.Count:
			return -1
		case a.Count < b.Count:
			return 1
		}
		return 0
	})
	return list
}

// Upstreams lists the forwarders as each replica's own metrics see them, and those of the Corefile that no metric names,
// since nothing was ever sent there; with the answer for a random outside name where it went.
func Upstreams(in Input, now time.Time, o Options) report.Upstreams {
	w := newWorld(in, now, o)
	out := report.Upstreams{Header: w.header("DNSUpstreams"), Items: []report.Upstream{}}
	for _, p := range w.Probes {
		out.Items = append(out.Items, w.upstreams(p)...)
	}
	for _, b := range w.Beside {
		out.Direct = append(out.Direct, b.Answers...)
	}
	w.conclude(&out.Header, []rule{ruleUpstream, ruleUpstreamSilent})
	if out.Verdict == report.Healthy {
		out.Summary = "names outside the cluster are answered at every replica"
		if w.External == "" || len(w.Probes) == 0 {
			out.Verdict, out.Summary = report.Unknown, "no replica could be asked"
		}
	}
	return out
}

// UpstreamsOf gives the addresses to which a server forwards on port 53: those that its metrics name, which hold what
// its node's resolv.conf says, and those that the Corefile does.
func UpstreamsOf(in Input, pod string) []string {
	w := newWorld(in, in.now(), Options{})
	var list []string
	add := func(to string) {
		to = strings.TrimPrefix(to, "dns://")
		if at, err := netip.ParseAddrPort(to); err == nil && at.Port() == 53 {
			to = at.Addr().String()
		}
		if _, err := netip.ParseAddr(to); err == nil && !slices.Contains(list, to) {
			list = append(list, to)
		}
	}
	if p := w.probeOf(pod); p != nil {
		for _, s := range p.Metrics {
			if strings.HasPrefix(s.Name, "coredns_proxy_") || strings.HasPrefix(s.Name, "coredns_forward_") {
				add(s.Labels["to"])
			}
		}
	}
	for _, r := range w.routes() {
		if r.Via == "forward" {
			for _, to := range r.To {
				add(to)
			}
		}
	}
	slices.Sort(list)
	return list
}

// ruleUpstreamSilent judges what pods beside the servers got from each upstream: forward uses all of them in turn, and
// one that is dead costs its share of the queries a timeout until the health check finds it.
func ruleUpstreamSilent(w *world) []finding.Finding {
	list := w.neverAnswered()
	for _, b := range w.Beside {
		bad := map[string][]string{}
		var evidence []finding.Evidence
		for _, a := range b.Answers {
			if unusable(a) {
				bad[a.Server] = append(bad[a.Server], a.Transport)
				evidence = append(evidence, seen("answer beside "+b.Pod.Name, a.Server+" "+a.Transport, "%s", said(a)))
			}
		}
		for _, server := range sortedKeys(bad) {
			by := strings.Join(bad[server], " and ")
			list = append(list, w.make(UpstreamSilent, finding.Warning, ref("Pod", b.Pod.Namespace, b.Pod.Name),
				fmt.Sprintf("upstream %s gives no usable answer by %s to a pod beside DNS pod %s on node %s", server, by, b.Pod.Name, b.Pod.Spec.NodeName), evidence,
				w.read("see where names are sent on", "", "dns", "config")))
		}
	}
	return list
}

func unusable(a report.Answer) bool {
	return a.Error != "" || a.Rcode == "SERVFAIL" || a.Rcode == "REFUSED"
}

// neverAnswered: health checks that failed, and not one answer since the replica's start. That tells of the past: a spare
// of "policy sequential" looks the same after one bad moment, so it is for information. No finding is an upstream that
// answers again, nor one whose silence ruleUpstream has seen in an answer.
func (w *world) neverAnswered() []finding.Finding {
	at := map[string][]finding.Evidence{}
	zones := map[string]string{}
	for _, p := range w.Probes {
		for _, u := range w.upstreams(p) {
			if u.HealthcheckFail != nil && *u.HealthcheckFail > 0 && u.Queries != nil && *u.Queries == 0 && (u.Probe == nil || !unusable(*u.Probe)) {
				at[u.To] = append(at[u.To], seen("metrics of "+p.Pod, "healthcheck_failures_total", "%.0f for %s, and no answer", *u.HealthcheckFail, u.To))
				zones[u.To] = u.Zone
			}
		}
	}
	var list []finding.Finding
	for _, to := range sortedKeys(at) {
		list = append(list, w.make(UpstreamSilent, finding.Info, w.confRef,
			fmt.Sprintf("upstream %s for names under %s has given %d of %d replicas no answer since their start, and health checks of it have failed: it may be dead, or not in use", to, zones[to], len(at[to]), len(w.Probes)), at[to],
			w.read("ask each upstream directly, from a pod beside each server", "", "dns", "upstream", "--deep"), w.read("see where names are sent on", "", "dns", "config")))
	}
	return list
}

// upstreams gives a row for every upstream of a replica.
func (w *world) upstreams(p Probe) []report.Upstream {
	var list []report.Upstream
	name := forwardMetric(p.Metrics)
	used := map[string]bool{} // routes with a row; lines of two files may have one number
	measured := map[string]bool{}
	for _, s := range p.Metrics {
		to := s.Labels["to"]
		if s.Name != name && !slices.Contains(healthFailures, s.Name) || to == "" || measured[to] {
			continue
		}
		measured[to] = true
		routes := w.routesTo(to)
		for _, r := range routes {
			used[fmt.Sprint(r)] = true
		}
		u := measuredUpstream(p.Metrics, name, to)
		u.Replica, u.Zone, u.Probe = p.Pod, zonesOf(routes), w.answerBy(p, routes)
		list = append(list, u)
	}
	for _, r := range w.forwards() {
		for _, to := range r.To {
			if strings.HasPrefix(to, "/") && used[fmt.Sprint(r)] || measured[withPort(to)] {
				continue
			}
			list = append(list, report.Upstream{Replica: p.Pod, Zone: strings.Join(r.Zones, " "), To: withPort(to), Probe: w.answerBy(p, []report.Route{r})})
		}
	}
	slices.SortStableFunc(list, func(a, b report.Upstream) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(a.To, b.To))
	})
	return list
}

// healthFailures are the counters of failed health checks, of CoreDNS since 1.11 and before.
var healthFailures = []string{"coredns_proxy_healthcheck_failures_total", "coredns_forward_healthcheck_failures_total"}

func measuredUpstream(m Metrics, name, to string) report.Upstream {
	u := report.Upstream{To: to}
	var total, failed float64
	for _, s := range m {
		if s.Name == name && s.Labels["to"] == to {
			total += float64(s.Count)
			if s.Labels["rcode"] == "SERVFAIL" {
				failed += float64(s.Count)
			}
		}
	}
	u.Queries = &total
	u.Failed = share(&failed, &total)
	u.P50 = times(m.Quantile(0.5, name, "to", to), 1000)
	u.P99 = times(m.Quantile(0.99, name, "to", to), 1000)
	for _, counter := range healthFailures {
		if u.HealthcheckFail == nil {
			u.HealthcheckFail = m.Sum(counter, "to", to)
		}
	}
	return u
}

func (w *world) forwards() []report.Route {
	return slices.DeleteFunc(w.routes(), func(r report.Route) bool { return r.Via != "forward" })
}

// routesTo gives the forwards that name an upstream, or else those that take theirs from a file, where it must stand.
func (w *world) routesTo(to string) []report.Route {
	var named, files []report.Route
	for _, r := range w.forwards() {
		if slices.ContainsFunc(r.To, func(t string) bool { return withPort(t) == to }) {
			named = append(named, r)
		} else if slices.ContainsFunc(r.To, func(t string) bool { return strings.HasPrefix(t, "/") }) {
			files = append(files, r)
		}
	}
	if len(named) > 0 {
		return named
	}
	return files
}

// withPort writes an upstream of the Corefile as the metrics do.
func withPort(to string) string {
	if strings.HasPrefix(to, "/") {
		return to
	}
	host, port, _ := upstreamAddress(to)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

func zonesOf(routes []report.Route) string {
	var zones []string
	for _, r := range routes {
		for _, z := range r.Zones {
			if !slices.Contains(zones, z) {
				zones = append(zones, z)
			}
		}
	}
	return strings.Join(zones, " ")
}

// answerBy gives the answer for the random outside name when these forwards are the ones that it takes: those of the
// longest zone that holds it.
func (w *world) answerBy(p Probe, routes []report.Route) *report.Answer {
	most := longestZone(w.forwards(), w.External)
	if len(routes) > 0 && longestZone(routes, w.External) < most {
		return nil
	}
	return w.probeAnswer(p)
}

// longestZone counts the characters of the longest zone of the routes that holds a name; -1 for none.
func longestZone(routes []report.Route, name string) int {
	longest := -1
	for _, r := range routes {
		for _, zone := range r.Zones {
			if z := corefile.Fqdn(zone); corefile.InZone(name, z) {
				longest = max(longest, len(z))
			}
		}
	}
	return longest
}

func (w *world) probeAnswer(p Probe) *report.Answer {
	for _, a := range p.Answers {
		if a.Name == w.External && w.External != "" {
			return &a
		}
	}
	return nil
}

// ConfigReport explains the Corefile of the Input.
func ConfigReport(in Input, now time.Time, o Options) report.Config {
	o.Standalone = true
	w := newWorld(in, now, o)
	out := Config(in, w)
	w.conclude(&out.Header, []rule{ruleNoService, ruleCorefileInvalid, ruleZoneNotServed, ruleReload, ruleCorefileLints})
	switch {
	case len(out.Findings) > 0:
	case !w.confRead:
		out.Verdict, out.Summary = report.Unknown, "the Corefile could not be read: "+noneGap(w)
	default:
		out.Summary = fmt.Sprintf("%d server %s, %s is answered by the kubernetes plugin in line %d", len(out.Blocks), plural(len(out.Blocks), "block"), strings.TrimSuffix(w.zone, "."), w.records.Line)
	}
	return out
}

func noneGap(w *world) string {
	if gap := w.Sources.Get("configmaps").Gap(); gap != "" {
		return gap
	}
	return "no ConfigMap of the DNS pods holds it"
}
