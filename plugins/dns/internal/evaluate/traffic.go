package evaluate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
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

// Upstreams lists the forwarders as each replica's own metrics see them, with the answer for a random outside name.
func Upstreams(in Input, now time.Time, o Options) report.Upstreams {
	w := newWorld(in, now, o)
	out := report.Upstreams{Header: w.header("DNSUpstreams"), Items: []report.Upstream{}}
	for _, p := range w.Probes {
		m := p.Metrics
		name := forwardMetric(m)
		seen := map[string]bool{}
		for _, s := range m {
			to := s.Labels["to"]
			if s.Name != name && s.Name != "coredns_proxy_healthcheck_failures_total" || to == "" || seen[to] {
				continue
			}
			seen[to] = true
			out.Items = append(out.Items, w.upstream(p, m, name, to))
		}
		if len(seen) == 0 {
			for _, r := range w.routes() {
				if r.Via == "forward" {
					out.Items = append(out.Items, report.Upstream{Replica: p.Pod, Zone: strings.Join(r.Zones, " "), To: strings.Join(r.To, " "), Probe: w.probeAnswer(p)})
				}
			}
		}
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
	var list []finding.Finding
	for _, b := range w.Beside {
		bad := map[string][]string{}
		var evidence []finding.Evidence
		for _, a := range b.Answers {
			if a.Error != "" || a.Rcode == "SERVFAIL" || a.Rcode == "REFUSED" {
				bad[a.Server] = append(bad[a.Server], a.Transport)
				evidence = append(evidence, seen("answer beside "+b.Pod.Name, a.Server+" "+a.Transport, "%s", said(a)))
			}
		}
		for _, server := range sortedKeys(bad) {
			by := strings.Join(bad[server], " and ")
			list = append(list, w.make("UpstreamSilent", finding.Warning, ref("Pod", b.Pod.Namespace, b.Pod.Name),
				fmt.Sprintf("upstream %s gives no usable answer by %s to a pod beside DNS pod %s on node %s", server, by, b.Pod.Name, b.Pod.Spec.NodeName), evidence,
				w.read("see where names are sent on", "", "dns", "config")))
		}
	}
	return list
}

func (w *world) upstream(p Probe, m Metrics, name, to string) report.Upstream {
	u := report.Upstream{Replica: p.Pod, To: to, Zone: w.zoneOfUpstream(to), Probe: w.probeAnswer(p)}
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
	if failures := m.Sum("coredns_proxy_healthcheck_failures_total", "to", to); failures != nil {
		u.HealthcheckFail = failures
	} else {
		u.HealthcheckFail = m.Sum("coredns_forward_healthcheck_failures_total", "to", to)
	}
	return u
}

func (w *world) zoneOfUpstream(to string) string {
	fallback := ""
	for _, r := range w.routes() {
		if r.Via != "forward" {
			continue
		}
		for _, t := range r.To {
			if t == to || t+":53" == to {
				return strings.Join(r.Zones, " ")
			}
			if strings.HasPrefix(t, "/") {
				fallback = strings.Join(r.Zones, " ")
			}
		}
	}
	return fallback
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
