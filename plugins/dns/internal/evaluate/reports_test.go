package evaluate

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// silentServer is a nameserver that gives the pod no answer.
func silentServer(in *Input, server string) {
	in.From.Answers = nil
	for _, transport := range []string{"UDP", "TCP"} {
		in.From.Answers = append(in.From.Answers, report.Answer{
			Viewpoint: "pod:shop/web", Server: server, Name: "kubernetes.default.svc.cluster.local.", Type: "A", Transport: transport,
			Error: "no answer in time", Asked: 3, Lost: 3,
		})
	}
}

// Situations that users reported in public, with the answer that would have helped them.
func TestPublicReports(t *testing.T) {
	for _, tt := range []struct {
		link          string
		verdict       report.Verdict
		code          finding.Code
		says          string
		before, after func(in *Input)
	}{
		{"https://github.com/kubernetes/kubernetes/issues/52655", report.Unhealthy, "PodResolvConfMismatch", "or the runtime mounted that of the node", func(in *Input) { resolvConf(in, "nameserver 192.0.2.53\nsearch lan.test\n") }, func(in *Input) {
			in.From.Answers = nil
			for _, transport := range []string{"UDP", "TCP"} {
				in.From.Answers = append(in.From.Answers, report.Answer{Viewpoint: "pod:shop/web", Server: "192.0.2.53", Name: "kubernetes.default.svc.cluster.local.", Type: "A", Transport: transport, Rcode: "NXDOMAIN", Asked: 3})
			}
		}},
		{"https://github.com/charmed-kubernetes/kubernetes-docs/issues/265", report.Unhealthy, "PodResolvConfMismatch", "the pod is older", func(in *Input) { resolvConf(in, "nameserver 10.96.7.7\n"+searchList+"options ndots:5\n") }, func(in *Input) { silentServer(in, "10.96.7.7") }},
		{"https://github.com/kubernetes/release/issues/188", report.Unhealthy, "KubeletClusterDNSMismatch", "nameserver 10.12.0.10, which is not a DNS Service", func(in *Input) {
			in.Kubelets = []Kubelet{{ClusterDNS: []string{"10.12.0.10"}, ClusterDomain: "cluster.local"}}
			resolvConf(in, "nameserver 10.12.0.10\n"+searchList+"options ndots:5\n")
		}, func(in *Input) { silentServer(in, "10.12.0.10") }},
		{"https://github.com/kubernetes/kubernetes/issues/56903", report.Degraded, "DNSQueriesLost", "loses 3 of 9 queries over UDP at random", nil, func(in *Input) { from(in, lostSome(1)) }},
	} {
		t.Run(tt.link, func(t *testing.T) {
			got := judge(build(tt.before, tt.after))
			if got.Verdict != tt.verdict || got.PrimaryCode != tt.code || !strings.Contains(got.Summary, tt.says) {
				t.Errorf("%s %s: %s\nwant %s %s: …%s…", got.Verdict, got.PrimaryCode, got.Summary, tt.verdict, tt.code, tt.says)
			}
		})
	}
}
