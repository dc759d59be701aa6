package facts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// UpstreamAddress takes what forward names apart: an address with a scheme and a port of which both may be missing
// (https://coredns.io/plugins/forward/#syntax). Plain is DNS without TLS.
func UpstreamAddress(to string) (host, port string, plain bool) {
	bare, tls := strings.CutPrefix(strings.TrimPrefix(to, "dns://"), "tls://")
	host, port = strings.Trim(bare, "[]"), "53"
	if tls {
		port = "853"
	}
	if at := strings.LastIndex(bare, ":"); at >= 0 && (strings.Count(bare, ":") == 1 || strings.Contains(bare, "]:")) {
		host, port = strings.Trim(bare[:at], "[]"), bare[at+1:]
	}
	host, _, _ = strings.Cut(host, "%")
	return host, port, !tls
}

// Upstreams gives a row for every upstream of a replica.
func (w *Snapshot) Upstreams(p Probe) []report.Upstream {
	var list []report.Upstream
	name := ForwardMetric(p.Metrics)
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
			list = append(list, report.Upstream{
				Replica: p.Pod, Zone: strings.Join(r.Zones, " "), To: withPort(to),
				Probe: w.answerBy(p, []report.Route{r}),
			})
		}
	}
	sorting.Stable(list, func(a, b report.Upstream) int {
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
	u.Failed = Share(&failed, &total)
	u.P50 = Times(m.Quantile(0.5, name, "to", to), 1000)
	u.P99 = Times(m.Quantile(0.99, name, "to", to), 1000)
	for _, counter := range healthFailures {
		if u.HealthcheckFail == nil {
			u.HealthcheckFail = m.Sum(counter, "to", to)
		}
	}
	return u
}

func (w *Snapshot) forwards() []report.Route {
	return slices.DeleteFunc(w.Routes(), func(r report.Route) bool { return r.Via != "forward" })
}

// routesTo gives the forwards that name an upstream, or else those that take theirs from a file, where it must stand.
func (w *Snapshot) routesTo(to string) []report.Route {
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
	host, port, _ := UpstreamAddress(to)
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
func (w *Snapshot) answerBy(p Probe, routes []report.Route) *report.Answer {
	most := longestZone(w.forwards(), w.External)
	if len(routes) > 0 && longestZone(routes, w.External) < most {
		return nil
	}
	return w.ProbeAnswer(p)
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

func (w *Snapshot) ProbeAnswer(p Probe) *report.Answer {
	for _, a := range p.Answers {
		if a.Name == w.External && w.External != "" {
			return &a
		}
	}
	return nil
}
