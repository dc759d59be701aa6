package reports

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/clients"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Pod explains a pod's resolver settings.
func Pod(in facts.Input, now time.Time, o facts.Options) report.PodResolver {
	o.Standalone = true
	w := facts.New(in, now, o)
	pod := &w.From.Pod
	c := resolver.Compute(pod.Namespace, pod.Spec, w.KubeletFor(pod.Spec.NodeName))
	out := report.PodResolver{
		Header: header(w, "DNSPodResolver"), Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName,
		Policy: string(pod.Spec.DNSPolicy), Computed: confReport(c.Conf), Libc: string(w.Libc()), Policies: w.PolicyEffects(),
	}
	for _, v := range c.Values {
		out.Settings = append(out.Settings, report.ValueFrom{Value: v.Value, From: v.From})
	}
	if c.AnyServers {
		out.Settings = append(out.Settings, report.ValueFrom{
			Value: "nameserver (unknown)",
			From:  "clusterDNS of the kubelet, which could not be read",
		})
	}
	if c.HostServers {
		out.Settings = append(out.Settings, report.ValueFrom{
			Value: "nameserver (unknown to the API)",
			From:  "resolv.conf of node " + pod.Spec.NodeName,
		})
	}
	if c.HostSearches {
		out.Settings = append(out.Settings, report.ValueFrom{
			Value: "further search domains (unknown to the API)",
			From:  "resolv.conf of node " + pod.Spec.NodeName,
		})
	}
	for _, a := range pod.Spec.HostAliases {
		out.Aliases = append(out.Aliases, report.HostAlias{IP: a.IP, Names: a.Hostnames})
	}
	if actual, ok := w.ActualConf(); ok {
		out.Actual = confReport(actual)
		out.Differences = c.Differences(actual)
	}
	conclude(w, &out.Header, clients.CheckPodConfig, clients.CheckPolicy, clients.CheckOwnCache)
	switch {
	case len(out.Findings) > 0:
	case c.AnyServers && out.Actual == nil:
		out.Verdict, out.Summary = report.Unknown, fmt.Sprintf("unknown which nameservers pod %s/%s queries: its "+
			"resolv.conf, the kubelet configuration and the DNS Service could not be read", pod.Namespace, pod.Name)
	default:
		out.Summary = fmt.Sprintf("pod %s/%s queries %s with ndots:%d", pod.Namespace, pod.Name,
			facts.OrNone(strings.Join(shownServers(out), ", ")), ndotsOf(out, c))
		if len(out.Differences) > 0 {
			out.Summary += "; its resolv.conf, written at pod creation, differs from the current settings"
		}
	}
	return out
}

func shownServers(p report.PodResolver) []string {
	if p.Actual != nil {
		return p.Actual.Nameservers
	}
	return p.Computed.Nameservers
}

func ndotsOf(p report.PodResolver, c resolver.Computed) int {
	if p.Actual != nil {
		return resolver.Conf{Options: p.Actual.Options}.Ndots()
	}
	return c.Ndots()
}

func confReport(c resolver.Conf) *report.ResolvConf {
	none := func(list []string) []string {
		if list == nil {
			return []string{}
		}
		return list
	}
	return &report.ResolvConf{Nameservers: none(c.Nameservers), Searches: none(c.Searches), Options: none(c.Options)}
}
