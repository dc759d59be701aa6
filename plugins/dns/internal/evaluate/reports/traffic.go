package reports

import (
	"fmt"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Top shares out what every replica answered, since its start or between two readings.
func Top(in facts.Input, now time.Time, o facts.Options) report.Top {
	w := facts.New(in, now, o)
	out := report.Top{Header: header(w, "DNSTop"), Interval: "since start", Items: []report.Server{}}
	for i := range w.Pods {
		p := w.ProbeOf(w.Pods[i].Name)
		if p == nil {
			continue
		}
		m := p.Metrics
		s := report.Server{Replica: p.Pod, Rcodes: []report.Share{}, Types: []report.Share{}}
		if p.Seconds > 0 {
			m = m.Since(p.Earlier)
			out.Interval = time.Duration(p.Seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
			s.QPS = facts.Ratio(m.Sum("coredns_dns_requests_total"), p.Seconds)
		} else if started := m.Sum("process_start_time_seconds"); started != nil {
			s.QPS = facts.Ratio(m.Sum("coredns_dns_requests_total"), float64(w.Now.Unix())-*started)
		}
		fillServer(&s, m)
		s.MemoryBytes = p.Metrics.Sum("process_resident_memory_bytes")
		out.Items = append(out.Items, s)
	}
	conclude(w, &out.Header, servers.CheckPodsDown, servers.CheckServfail)
	if out.Verdict == report.Healthy {
		out.Summary = fmt.Sprintf("traffic of %d %s, %s", len(out.Items), facts.Plural(len(out.Items), "replica"), out.Interval)
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
func fillServer(s *report.Server, m facts.Metrics) {
	s.Queries = m.Sum("coredns_dns_requests_total")
	s.Rcodes = shares(m.By("coredns_dns_responses_total", "rcode"))
	s.Types = shares(m.By("coredns_dns_requests_total", "type"))
	s.P50 = facts.Times(m.Quantile(0.5, "coredns_dns_request_duration_seconds"), 1000)
	s.P99 = facts.Times(m.Quantile(0.99, "coredns_dns_request_duration_seconds"), 1000)
	s.CacheHit = facts.Share(m.Sum("coredns_cache_hits_total"), m.Sum("coredns_cache_requests_total"))
	s.Rejects = m.Sum("coredns_forward_max_concurrent_rejects_total")
	s.Panics = m.Sum("coredns_panics_total")
	s.ReloadFailed = m.Sum("coredns_reload_failed_total")
	name := facts.ForwardMetric(m)
	s.ForwardP99 = facts.Times(m.Quantile(0.99, name), 1000)
	var forwarded float64
	for _, sample := range m {
		if sample.Name == name {
			forwarded += float64(sample.Count)
		}
	}
	s.Forwarded = facts.Share(&forwarded, s.Queries)
}

func shares(counts map[string]float64) []report.Share {
	var total float64
	for _, n := range counts {
		total += n
	}
	list := []report.Share{}
	for _, name := range facts.SortedKeys(counts) {
		if n := counts[name]; n > 0 && name != "" {
			list = append(list, report.Share{Name: name, Count: n, Percent: n / total * 100})
		}
	}
	sorting.Stable(list, func(a, b report.Share) int {
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
func Upstreams(in facts.Input, now time.Time, o facts.Options) report.Upstreams {
	w := facts.New(in, now, o)
	out := report.Upstreams{Header: header(w, "DNSUpstreams"), Items: []report.Upstream{}}
	for _, p := range w.Probes {
		out.Items = append(out.Items, w.Upstreams(p)...)
	}
	for _, b := range w.Beside {
		out.Direct = append(out.Direct, b.Answers...)
	}
	conclude(w, &out.Header, servers.CheckPodsDown, servers.CheckUpstream, servers.CheckUpstreamSilent)
	if out.Verdict == report.Healthy {
		out.Summary = "names outside the cluster are answered at every replica"
		if w.External == "" || len(w.Probes) == 0 {
			out.Verdict, out.Summary = report.Unknown, "no replica could be queried"
		}
	}
	return out
}
