package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

const linkLocal = "169.254.20.10"

// cached is a cluster with a node cache, ready on its first nodes, and the suspect on one of the nodes.
func cached(localip string, ready int, node string) Input {
	in := healthy()
	nodeCache(&in, localip, ready)
	in.From.Pod.Spec.NodeName = node
	return in
}

func TestANodeWithoutItsCacheIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		in       Input
		verdict  report.Verdict
		severity finding.Severity
		says     string
	}{
		"at its own address": {cached(linkLocal, 1, "n1"), report.Unhealthy, finding.Critical, "not ready on node n2; pods there query " + linkLocal + ", where no server answers"},
		"both nodes":         {cached(linkLocal, 0, "n1"), report.Unhealthy, finding.Critical, "not ready on 2 of 2 nodes (n1, n2); pods there query " + linkLocal},
		"at the Service's address": {
			cached(linkLocal+",10.96.0.10", 1, "n1"), report.Degraded, finding.Warning,
			"not ready on node n2; pods there get no answer unless the cache removed the Service address",
		},
		"just made": {func() Input {
			in := cached(linkLocal, 1, "n1")
			in.CachePods[1].CreationTimestamp = ago(5 * time.Second)
			in.CachePods[1].Status.ContainerStatuses[0].State.Waiting.Reason = "ContainerCreating"
			return in
		}(), report.Degraded, finding.Warning, "not ready on node n2"},
		"on a node that does not report": {func() Input {
			in := cached(linkLocal, 1, "n1")
			in.Nodes[1].Status.Conditions[0].Status = corev1.ConditionUnknown
			return in
		}(), report.Healthy, finding.Info, "unknown whether NodeLocal DNSCache answers on node n2: the node is not Ready"},
		"without the pods": {func() Input {
			in := cached(linkLocal, 1, "n1")
			in.CachePods = nil
			forbid(&in, "cache-pods")
			return in
		}(), report.Unhealthy, finding.Critical, "ready on 1 of 2 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge(answered(tt.in))
			i := slices.IndexFunc(got.Findings, func(f finding.Finding) bool { return f.Code == "NodeLocalDNSCacheMissing" })
			if got.Verdict != tt.verdict || i < 0 || got.Findings[i].Severity != tt.severity || !strings.Contains(got.Findings[i].Message, tt.says) {
				t.Errorf("%s: %s %+v", got.Verdict, got.Summary, got.Findings)
			}
		})
	}
}

// The suspect gets nothing because of the cache of its node: that is one cause, and no fault of the DNS pods.
func TestTheCacheOfTheNodeIsTheCause(t *testing.T) {
	in := answered(cached(linkLocal, 1, "n2"))
	from(&in, func(a *report.Answer) {
		if a.Server == linkLocal {
			silent(a)
		}
	})
	got := judge(in)
	if len(got.Findings) != 1 || got.PrimaryCode != "NodeLocalDNSCacheMissing" {
		t.Errorf("%s: %+v", got.Summary, got.Findings)
	} else if e := got.Findings[0].Evidence; e[len(e)-1].Path != linkLocal+" TCP" && e[len(e)-1].Path != linkLocal+" UDP" {
		t.Errorf("what the pod got is not shown: %+v", e)
	}
	in.From.Answers = slices.DeleteFunc(in.From.Answers, func(a report.Answer) bool { return a.Server != linkLocal })
	in.Probes = nil
	resolved := Resolve(in, noon, Options{}, "kubernetes.default.svc.cluster.local.", []string{"A"}, "")
	if len(resolved.Findings) != 1 || resolved.PrimaryCode != "NodeLocalDNSCacheMissing" {
		t.Errorf("resolve: %s: %+v", resolved.Summary, resolved.Findings)
	}
	if pod := Pod(in, noon, Options{}); len(pod.Findings) != 1 || pod.PrimaryCode != "NodeLocalDNSCacheMissing" {
		t.Errorf("pod: %s: %+v", pod.Summary, pod.Findings)
	}
	// The cache is ready there, and silent: no other node's cache explains that.
	in = answered(cached(linkLocal, 1, "n1"))
	from(&in, func(a *report.Answer) {
		if a.Server == linkLocal {
			silent(a)
		}
	})
	if got := judge(in); len(got.Findings) != 2 || got.PrimaryCode != "DNSUnavailableFromPod" {
		t.Errorf("%s: %+v", got.Summary, got.Findings)
	}
}

func TestANodeWithoutACachePodIsSeenFromItsPods(t *testing.T) {
	in := cached(linkLocal, 2, "n2")
	in.CachePods, in.DaemonSets[0].Status.DesiredNumberScheduled = in.CachePods[:1], 1
	in = answered(in)
	from(&in, func(a *report.Answer) {
		if a.Server == linkLocal {
			silent(a)
		}
	})
	got := judge(in)
	if len(got.Findings) != 1 || !strings.Contains(got.Summary, "not ready on node n2") || got.Findings[0].Evidence[0].Value != "none on node n2" {
		t.Errorf("%s: %+v", got.Summary, got.Findings)
	}
}

func TestAnEarlierAnswerOfANodeCacheIsNoWrongAnswerOfTheServers(t *testing.T) {
	const name = "gone.shop.svc.cluster.local."
	answer := func(in *Input, typ, rcode string, data ...string) {
		_, server, _ := strings.Cut(in.From.Files["/etc/resolv.conf"], "nameserver ")
		a := report.Answer{Viewpoint: "pod:shop/web", Server: strings.Fields(server)[0], Transport: "UDP", Name: name, Type: typ, Rcode: rcode}
		for _, d := range data {
			a.Records = append(a.Records, report.Record{Name: name, Type: typ, TTL: 21, Data: d})
		}
		in.From.Answers = append(in.From.Answers, a)
	}
	for where, localip := range map[string]string{"its own address": linkLocal, "the Service's address": linkLocal + ",10.96.0.10"} {
		for _, other := range []string{"NXDOMAIN", "NOERROR"} {
			t.Run(where+" "+other, func(t *testing.T) {
				in := cached(localip, 2, "n2")
				in.From.Answers = nil
				answer(&in, "A", "NOERROR", "10.96.7.7")
				answer(&in, "AAAA", other)
				got := Resolve(in, noon, Options{}, name, []string{"A", "AAAA"}, "")
				if got.Verdict != report.Degraded || len(got.Findings) != 1 ||
					!strings.Contains(got.Summary, "the earlier answer is in the node cache kube-system/node-local-dns-n2 for another 21s at most") {
					t.Errorf("%s: %s", got.Verdict, got.Summary)
				}
			})
		}
	}
	in := healthy() // without a cache nothing holds it
	answer(&in, "A", "NOERROR", "10.96.7.7")
	if got := Resolve(in, noon, Options{}, name, []string{"A"}, ""); got.Verdict != report.Unhealthy || strings.Contains(got.Summary, "cache") {
		t.Errorf("%s: %s", got.Verdict, got.Summary)
	}
}
