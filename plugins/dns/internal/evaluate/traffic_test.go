package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// A stub domain's upstream has a row before it was ever asked, and no answer of another upstream in it.
func TestEveryUpstreamOfTheCorefileHasItsOwnRow(t *testing.T) {
	const stub = "\ncorp.test:53 {\n forward . 192.0.2.9 tls://192.0.2.10\n}\n"
	in := withMetrics(healthy())
	in.ConfigMaps[0].Data = map[string]string{"Corefile": kubeadmCorefile + stub}
	row := func(u report.Upstreams, to string) *report.Upstream {
		for i := range u.Items {
			if u.Items[i].To == to && u.Items[i].Replica == "coredns-a" {
				return &u.Items[i]
			}
		}
		return nil
	}
	u := Upstreams(in, noon, Options{Slow: time.Second})
	if got := row(u, "192.0.2.53:53"); got == nil || got.Zone != "." || got.Probe == nil {
		t.Errorf("the upstream of the node's file: %+v", got)
	}
	for _, to := range []string{"192.0.2.9:53", "192.0.2.10:853"} {
		if got := row(u, to); got == nil || got.Zone != "corp.test." || got.Queries != nil || got.Probe != nil {
			t.Errorf("%s, never asked: %+v", to, got)
		}
	}
	if len(u.Items) != 6 || u.Verdict != report.Healthy {
		t.Errorf("%s, %d rows: %+v", u.Summary, len(u.Items), u.Items)
	}
	in.Probes[0].Metrics = append(in.Probes[0].Metrics, Sample{Name: "coredns_proxy_healthcheck_failures_total", Labels: map[string]string{"to": "192.0.2.9:53"}, Value: 27})
	u = Upstreams(in, noon, Options{Slow: time.Second})
	if got := row(u, "192.0.2.9:53"); got == nil || got.Probe != nil || got.HealthcheckFail == nil || *got.HealthcheckFail != 27 {
		t.Errorf("its health checks fail: %+v", got)
	}
	if u.Verdict != report.Healthy || len(u.Findings) != 1 || u.Findings[0].Code != "UpstreamNotResponding" || !strings.Contains(u.Findings[0].Message, "upstream 192.0.2.9:53 for names under corp.test. has never answered 1 of 2 replicas") {
		t.Errorf("%s %s %+v", u.Verdict, u.Summary, u.Findings)
	}
	dead := in
	dead.Probes = slices.Clone(in.Probes)
	for i := range dead.Probes {
		p := &dead.Probes[i]
		p.Metrics = []Sample{{Name: "coredns_proxy_healthcheck_failures_total", Labels: map[string]string{"to": "192.0.2.53:53"}, Value: 9}}
		p.Answers = slices.Clone(p.Answers)
		for a := range p.Answers {
			if p.Answers[a].Name == in.External {
				p.Answers[a].Rcode = "SERVFAIL"
			}
		}
	}
	if u := Upstreams(dead, noon, Options{Slow: time.Second}); u.PrimaryCode != "UpstreamFailing" || len(u.Findings) != 1 {
		t.Errorf("one dead upstream is told twice: %+v", u.Findings)
	}
	in.Probes[0].Metrics = append(in.Probes[0].Metrics, Sample{Name: "coredns_proxy_request_duration_seconds", Labels: map[string]string{"to": "192.0.2.9:53", "rcode": "NOERROR"}, Count: 3})
	if u = Upstreams(in, noon, Options{Slow: time.Second}); u.Verdict != report.Healthy {
		t.Errorf("it failed once and answers: %s %s", u.Verdict, u.Summary)
	}
	in.External = "kubectl-dns-x.corp.test."
	for i := range in.Probes {
		for a := range in.Probes[i].Answers {
			if strings.HasPrefix(in.Probes[i].Answers[a].Name, "kubectl-dns-x.") {
				in.Probes[i].Answers[a].Name = in.External
			}
		}
	}
	u = Upstreams(in, noon, Options{Slow: time.Second})
	if got := row(u, "192.0.2.9:53"); got.Probe == nil || row(u, "192.0.2.53:53").Probe != nil {
		t.Errorf("a name under the stub domain: %+v", u.Items)
	}
}
