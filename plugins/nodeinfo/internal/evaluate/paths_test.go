package evaluate

import (
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/paths"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// ways is a cluster of cp1, w1 and w2, read with --paths --kubelet, to which a webhook with two ready pods, on w1 and w2, was added.
func ways(t testing.TB) Input {
	t.Helper()
	in := loadFile(t, "paths/cluster.json")
	in.Webhooks = []backend.Webhook{{
		Kind: "ValidatingWebhookConfiguration", Configuration: "guard", Name: "pods.guard.test", Service: backend.RefOf("guard", "guard", nil),
		Rules: []admissionv1.RuleWithOperations{rule("", "pods")},
	}}
	in.Services = append(in.Services, corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "guard", Name: "guard"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.0.0.9", Ports: []corev1.ServicePort{{Port: 443}}},
	})
	slice := discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "guard", Name: "guard-x", Labels: map[string]string{discoveryv1.LabelServiceName: "guard"}},
		Ports:      []discoveryv1.EndpointPort{{Name: new("")}},
	}
	for _, node := range []string{"w1", "w2"} {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			NodeName: &node, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "guard-" + node}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
		})
	}
	in.Endpoints = append(in.Endpoints, slice)
	for _, name := range []string{SourceServices, SourceEndpoints} {
		in.Sources = append(in.Sources, source.Source{Name: name + " in guard", State: source.OK})
	}
	return in
}

func rule(group string, resources ...string) admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources},
	}
}

// unready makes the pods of the webhook on these nodes not ready.
func unready(in *Input, nodes ...string) {
	for i := range in.Endpoints {
		for j := range in.Endpoints[i].Endpoints {
			if e := &in.Endpoints[i].Endpoints[j]; in.Endpoints[i].Namespace == "guard" && slices.Contains(nodes, *e.NodeName) {
				e.Conditions.Ready = new(false)
			}
		}
	}
}

// down ends a node's heartbeat three minutes ago, and the node controller has noticed it.
func down(in *Input, name string) {
	at := metav1.NewMicroTime(in.Now.Add(-3 * time.Minute))
	for i := range in.Leases {
		if in.Leases[i].Name == name {
			in.Leases[i].Spec.RenewTime, in.Leases[i].ManagedFields = &at, nil
		}
	}
	n := nodeOf(in, name)
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			c.Status, c.Reason = corev1.ConditionUnknown, "NodeStatusUnknown"
			c.LastHeartbeatTime, c.LastTransitionTime = metav1.NewTime(at.Time), metav1.NewTime(at.Add(50*time.Second))
		}
	}
	delete(in.Kubelets, name)
	delete(in.ProxyHealth, name)
}

// leaderless ends the leases of the components that elect a leader.
func leaderless(in *Input) {
	at := metav1.NewMicroTime(in.Now.Add(-3 * time.Minute))
	for i := range in.SystemLeases {
		if l := &in.SystemLeases[i]; l.Name == "kube-scheduler" {
			l.Spec.RenewTime, l.ManagedFields = &at, nil
		}
	}
}

func withoutEtcd(in *Input) {
	in.Readyz = strings.ReplaceAll(in.Readyz, "[+]etcd ok", "[-]etcd failed: reason withheld")
}

func podsOf(in *Input, label, value string) []*corev1.Pod {
	var list []*corev1.Pod
	for i := range in.Pods {
		if in.Pods[i].Labels[label] == value {
			list = append(list, &in.Pods[i])
		}
	}
	return list
}

// unreadyFor makes the pod of a part of the control plane not ready for some time.
func unreadyFor(in *Input, component string, d time.Duration) {
	p := podsOf(in, "component", component)[0]
	setReady(p, corev1.ConditionFalse)
	for i := range p.Status.Conditions {
		p.Status.Conditions[i].LastTransitionTime = before(in, d)
	}
}

func unsampled(in *Input, node string) {
	in.Metrics = slices.DeleteFunc(in.Metrics, func(m NodeMetrics) bool { return m.Metadata.Name == node })
}

func unavailable(since time.Duration) func(in *Input) {
	return func(in *Input) {
		a := &in.APIs[0]
		a.Available, a.Reason, a.Message = "False", "MissingEndpoints", "endpoints for service/metrics-server have no addresses"
		a.Since = new(before(in, since))
	}
}

type way struct {
	name    string
	code    finding.Code // of the roots, apart by spaces; empty: a near miss
	follows finding.Code // of the consequences
	verdict report.Verdict
	says    string // in messages and evidence
	change  func(in *Input)
}

// guard is how the API server begins to tell that a call of the webhook failed.
const guard = `Post "https://guard.guard.svc:443/pods?timeout=10s": `

// refusedBy adds an event of a controller whose pods are rejected since some time, and were last some time ago.
func refusedBy(why string, first, last time.Duration) func(in *Input) {
	return func(in *Input) {
		in.Refused = append(in.Refused, corev1.Event{
			Type: corev1.EventTypeWarning, Reason: "FailedCreate", Count: 17,
			Message:        `Error creating: Internal error occurred: failed calling webhook "pods.guard.test": failed to call webhook: ` + why,
			InvolvedObject: corev1.ObjectReference{Kind: "ReplicaSet", Namespace: "shop", Name: "shop-5d"},
			FirstTimestamp: before(in, first), LastTimestamp: before(in, last),
		})
	}
}

func waysOfServices() []way {
	const hook, api = paths.WebhookUnavailable, paths.AggregatedAPIUnavailable
	return []way{
		{"a webhook without a ready endpoint", hook, "", report.Unhealthy, "none of 2 endpoints of Service guard/guard is ready; the API server rejects CREATE/UPDATE of pods in all namespaces", func(in *Input) { unready(in, "w1", "w2") }},
		{"a webhook without endpoints", hook, "", report.Unhealthy, "Service guard/guard has no endpoints", func(in *Input) { in.Endpoints[len(in.Endpoints)-1].Endpoints = nil }},
		{"a webhook without a Service", hook, "", report.Unhealthy, "Service guard/guard does not exist", func(in *Input) { in.Services = in.Services[:len(in.Services)-1] }},
		{"a webhook with another port", hook, "", report.Unhealthy, "has no port 8443", func(in *Input) { in.Webhooks[0].Service.Port = 8443 }},
		{"a webhook that may fail", hook, "", report.Degraded, "requests pass unchecked: CREATE/UPDATE of pods", func(in *Input) {
			in.Webhooks[0].Ignored = true
			unready(in, "w1", "w2")
		}},
		{"several webhooks of one Service are one finding", hook, "", report.Unhealthy, "webhook pods.guard.test (and 1 more) cannot be called", func(in *Input) {
			more := in.Webhooks[0]
			more.Name, more.Ignored, more.Index = "also.guard.test", true, 1
			in.Webhooks = append([]backend.Webhook{more}, in.Webhooks...)
			unready(in, "w1", "w2")
		}},
		{"the only pods of a webhook are on a dead node", machine.KubeletNotReporting, hook, report.Unhealthy, "w1: the kubelet has not reported", func(in *Input) {
			down(in, "w1")
			in.Endpoints[len(in.Endpoints)-1].Endpoints = in.Endpoints[len(in.Endpoints)-1].Endpoints[:1]
			unready(in, "w1")
		}},
		{"one of two pods of a webhook is on a dead node", machine.KubeletNotReporting + " " + hook, "", report.Unhealthy, "", func(in *Input) {
			down(in, "w1")
			unready(in, "w1", "w2")
		}},
		{"a webhook whose endpoint answers without TLS", hook, "", report.Unhealthy, "webhook pods.guard.test cannot be called: http: server gave HTTP response to HTTPS client, last 60s ago; the API server rejects CREATE/UPDATE of pods in all namespaces", refusedBy(guard+`http: server gave HTTP response to HTTPS client`, 4*time.Minute, time.Minute)},
		{"a webhook with a URL whose calls fail", hook, "", report.Unhealthy, "x509: certificate has expired", func(in *Input) {
			in.Webhooks[0].Service = nil
			refusedBy(`Post "https://guard.example.com/pods": tls: x509: certificate has expired`, 4*time.Minute, time.Minute)(in)
		}},
		{"near: the calls of a webhook failed for ten seconds", "", "", report.Healthy, "", refusedBy(guard+`EOF`, 12*time.Second, 2*time.Second)},
		{"near: the calls of a webhook failed, and the controller was due again", "", "", report.Healthy, "", refusedBy(guard+`EOF`, 9*time.Minute, 6*time.Minute)},
		{"near: calls of another Service's webhook of that name fail", "", "", report.Healthy, "", refusedBy(`Post "https://other.guard.svc:443/": EOF`, 4*time.Minute, time.Minute)},
		{"near: the configuration was written since", "", "", report.Healthy, "", func(in *Input) {
			refusedBy(guard+`x509: certificate signed by unknown authority`, 4*time.Minute, time.Minute)(in)
			in.Webhooks[0].Changed = new(before(in, 50*time.Second))
		}},
		{"near: the endpoints changed since", "", "", report.Healthy, "", func(in *Input) {
			refusedBy(guard+`EOF`, 4*time.Minute, time.Minute)(in)
			in.Endpoints[len(in.Endpoints)-1].Annotations = map[string]string{corev1.EndpointsLastChangeTriggerTime: in.Now.Add(-50 * time.Second).Format(time.RFC3339)}
		}},
		{"near: calls of a URL with that webhook's name fail", "", "", report.Healthy, "", refusedBy(`Post "https://guard.example.com/pods": EOF`, 4*time.Minute, time.Minute)},
		{"near: the failing webhook may fail now", "", "", report.Healthy, "", func(in *Input) {
			in.Webhooks[0].Ignored = true
			refusedBy(guard+`EOF`, 4*time.Minute, time.Minute)(in)
		}},
		{"near: a webhook that denies", "", "", report.Healthy, "", func(in *Input) {
			refusedBy("", 4*time.Minute, time.Minute)(in)
			in.Refused[0].Message = `Error creating: admission webhook "pods.guard.test" denied the request: failed to call webhook`
		}},
		{"near: one endpoint is ready", "", "", report.Healthy, "", func(in *Input) { unready(in, "w1") }},
		{"near: a webhook that is never called", "", "", report.Healthy, "", func(in *Input) {
			in.Webhooks[0].Rules = nil
			unready(in, "w1", "w2")
		}},
		{"near: a webhook with a URL", "", "", report.Healthy, "", func(in *Input) {
			in.Webhooks[0].Service = nil
			unready(in, "w1", "w2")
		}},
		{"near: the last endpoint of a webhook ends and still serves", "", "", report.Healthy, "", func(in *Input) {
			unready(in, "w1", "w2")
			c := &in.Endpoints[len(in.Endpoints)-1].Endpoints[0].Conditions
			c.Serving, c.Terminating = new(true), new(true)
		}},
		{"an aggregated API that is not available", api, "", report.Degraded, "aggregated API v1beta1.metrics.k8s.io is not available: MissingEndpoints", unavailable(2 * time.Minute)},
		{"near: an aggregated API for a few seconds", "", "", report.Healthy, "", unavailable(20 * time.Second)},
		{"near: an aggregated API that was not looked at yet", "", "", report.Healthy, "", func(in *Input) { in.APIs[0].Available = "" }},
		{"no DNS pod is ready", paths.DNSPodsNotReady, "", report.Unhealthy, "0 of 2 DNS pods are ready", func(in *Input) {
			for _, p := range podsOf(in, "k8s-app", "kube-dns") {
				setReady(p, corev1.ConditionFalse)
			}
		}},
		{"near: one DNS pod is not ready", "", "", report.Healthy, "", func(in *Input) { setReady(podsOf(in, "k8s-app", "kube-dns")[0], corev1.ConditionFalse) }},
		{"near: the DNS pods start", "", "", report.Healthy, "", func(in *Input) {
			for _, p := range podsOf(in, "k8s-app", "kube-dns") {
				setReady(p, corev1.ConditionFalse)
				p.CreationTimestamp = before(in, 10*time.Second)
			}
		}},
		{"a node without figures", paths.NodeMetricsMissing, "", report.Degraded, "no current figures of 1 node: w1", func(in *Input) { unsampled(in, "w1") }},
		{"near: a node without figures that has just joined", "", "", report.Healthy, "", func(in *Input) {
			unsampled(in, "w1")
			nodeOf(in, "w1").CreationTimestamp = before(in, time.Minute)
		}},
		{"near: no metrics-server", "", "", report.Healthy, "", func(in *Input) {
			in.Metrics = nil
			for i := range in.Sources {
				if s := &in.Sources[i]; s.Name == SourceMetrics {
					s.State, s.Message = source.Absent, "metrics-server is not installed"
				}
			}
		}},
	}
}

func waysOfNodes() []way {
	return []way{
		{"a node that does not report", machine.KubeletNotReporting, paths.NodeMetricsMissing, report.Unhealthy, "w1: the kubelet has not reported for 3m", func(in *Input) {
			down(in, "w1")
			unsampled(in, "w1")
		}},
		{"a scheduler without a leader", machine.LeaderLeaseExpired, "", report.Unhealthy, "kube-scheduler has had no leader for 3m", leaderless},
		{"a scheduler without a leader, whose pod crashes", machine.ControlPlaneComponentNotReady, machine.LeaderLeaseExpired, report.Unhealthy, "cp1: kube-scheduler on this node is not ready", func(in *Input) {
			leaderless(in)
			unreadyFor(in, "kube-scheduler", 5*time.Minute)
		}},
		{"an etcd pod that is not ready", machine.ControlPlaneComponentNotReady, "", report.Unhealthy, "cp1: etcd on this node is not ready", func(in *Input) { unreadyFor(in, "etcd", 5*time.Minute) }},
		{"near: an etcd pod that has just started", "", "", report.Healthy, "", func(in *Input) { unreadyFor(in, "etcd", 20*time.Second) }},
		{"etcd fails, and the leases with it", machine.APIServerNotReady, machine.KubeletNotReporting + " " + machine.LeaderLeaseExpired, report.Unhealthy, "etcd", func(in *Input) {
			withoutEtcd(in)
			leaderless(in)
			down(in, "w2")
		}},
		{"another check of the API server fails, and the leases have their own cause", machine.LeaderLeaseExpired + " " + machine.APIServerNotReady, "", report.Unhealthy, "", func(in *Input) {
			in.Readyz = strings.ReplaceAll(in.Readyz, "[+]log ok", "[-]log failed: reason withheld")
			leaderless(in)
		}},
		{"a kubelet that does not answer", machine.KubeletUnreachable, "", report.Degraded, "w1: the API server cannot reach the kubelet", func(in *Input) {
			in.Kubelets["w1"] = Kubelet{Message: "no answer within 4s"}
		}},
		{"kube-proxy that does not work", workload.KubeProxyNotReady, "", report.Degraded, "w1: kube-proxy", func(in *Input) {
			in.ProxyHealth["w1"] = ProxyHealth{Port: 10256, Refused: true, Message: "connection refused"}
		}},
		{"near: kube-proxy that has just started", "", "", report.Healthy, "", func(in *Input) {
			in.ProxyHealth["w1"] = ProxyHealth{Port: 10256, Refused: true, Message: "connection refused"}
			for _, p := range podsOf(in, "k8s-app", "kube-proxy") {
				p.Status.ContainerStatuses[0].State.Running.StartedAt = before(in, 20*time.Second)
				p.Status.StartTime = new(before(in, 20*time.Second))
				p.CreationTimestamp = before(in, 20*time.Second)
				for i := range p.Status.Conditions {
					p.Status.Conditions[i].LastTransitionTime = before(in, 20*time.Second)
				}
			}
		}},
		{"a heartbeat that is late", machine.HeartbeatLate, "", report.Degraded, "w1: no heartbeat for 45s", func(in *Input) {
			at := metav1.NewMicroTime(in.Now.Add(-45 * time.Second))
			for i := range in.Leases {
				if in.Leases[i].Name == "w1" {
					in.Leases[i].Spec.RenewTime, in.Leases[i].ManagedFields = &at, nil
				}
			}
		}},
	}
}

func everyWay() []way { return append(waysOfServices(), waysOfNodes()...) }

func reportPaths(in Input) report.Paths { return ReportPaths(in, in.Now, testkit.AsUser()) }

func TestPathsAreJudged(t *testing.T) {
	seen, near := map[finding.Code]bool{}, 0
	for _, tt := range everyWay() {
		t.Run(tt.name, func(t *testing.T) {
			in := ways(t)
			tt.change(&in)
			r := reportPaths(in)
			var roots, follows []string
			text := ""
			for _, f := range r.Findings {
				if f.Severity != finding.Info {
					roots = append(roots, string(f.Code))
				}
				text += f.Message + "\n"
				for _, e := range f.Evidence {
					text += e.Value + "\n"
				}
				seen[f.Code] = true
			}
			for _, c := range r.Consequences {
				follows = append(follows, string(c.Code))
			}
			if got := strings.Join(roots, " "); got != string(tt.code) || r.Verdict != tt.verdict {
				t.Errorf("%s with %q, want %s with %q\n%s", r.Verdict, got, tt.verdict, tt.code, text)
			}
			if got := strings.Join(slices.Compact(follows), " "); got != string(tt.follows) {
				t.Errorf("consequences %q, want %q", got, tt.follows)
			}
			if !strings.Contains(text, tt.says) {
				t.Errorf("%q is not said:\n%s", tt.says, text)
			}
			broken := 0
			for _, p := range r.Paths {
				if p.State == report.PathCritical || p.State == report.PathWarning {
					broken++
				}
			}
			if (broken > 0) != (tt.code != "") {
				t.Errorf("%d broken paths: %+v", broken, r.Paths)
			}
		})
		if strings.HasPrefix(tt.name, "near: ") {
			near++
		}
	}
	for _, e := range paths.Catalog() {
		if !seen[e.Code] {
			t.Errorf("%s is never found", e.Code)
		}
	}
	if near < 10 {
		t.Errorf("only %d near misses", near)
	}
}

func TestAHealthyClusterHasNoBrokenPath(t *testing.T) {
	r := reportPaths(ways(t))
	if r.Verdict != report.Healthy || len(r.Findings)+len(r.Consequences) > 0 {
		t.Errorf("%s: %s, %v", r.Verdict, r.Summary, r.Findings)
	}
	for _, p := range r.Paths {
		if p.State != report.PathOK {
			t.Errorf("%+v", p)
		}
	}
}

func TestPathsAreAsRecorded(t *testing.T) {
	in := loadFile(t, "paths/broken.json")
	golden(t, "paths/broken.yaml", ReportPaths(in, in.Now, finding.Kubectl{}))
}

// What was not read is unknown with the reason, and no verdict stands on it.
func TestAPathThatWasNotReadIsUnknown(t *testing.T) {
	groups := map[string]report.PathGroup{
		SourceLeases: report.PathHeartbeat, SourceSystemLeases: report.PathLeader, SourceReadyz: report.PathEtcd, SourcePods: report.PathDNS,
		SourceMetrics: report.PathMetrics, SourceValidating: report.PathWebhook, SourceAPIServices: report.PathAggregated,
		SourceEndpoints + " in guard": report.PathWebhook,
	}
	for name, group := range groups {
		in := ways(t)
		switch name {
		case SourceLeases:
			in.Leases = nil
		case SourceSystemLeases:
			in.SystemLeases = nil
		case SourceReadyz:
			in.Readyz = ""
		case SourcePods:
			in.Pods = nil
		case SourceMetrics:
			in.Metrics = nil
		case SourceValidating:
			in.Webhooks = nil
		case SourceAPIServices:
			in.APIs = nil
		default:
			in.Endpoints = nil
		}
		for i := range in.Sources {
			if s := &in.Sources[i]; s.Name == name {
				s.State, s.Verb, s.Resource = source.Forbidden, "list", "them"
			}
		}
		r := reportPaths(in)
		want := report.Unknown
		if name == SourceMetrics {
			want = report.Healthy // usage is no path that a verdict on the others needs
		}
		if r.Verdict != want || len(r.Findings) > 0 {
			t.Errorf("%s: %s, %+v", name, r.Verdict, r.Findings)
		}
		said := slices.ContainsFunc(r.Paths, func(p report.Path) bool {
			return p.Group == group && p.State == report.PathUnknown && strings.Contains(p.Evidence, "needs list them")
		})
		if !said {
			t.Errorf("%s: the gap is not said: %+v", name, r.Paths)
		}
	}
}

// Without --kubelet nothing is said of what was not asked.
func TestWhatWasNotAskedIsNotOK(t *testing.T) {
	in := ways(t)
	in.Kubelets, in.ProxyHealth, in.NodeSources = nil, nil, nil
	for _, p := range reportPaths(in).Paths {
		asked := p.Group == report.PathKubelet || p.Group == report.PathProxy
		if asked != (p.State == report.PathUnknown) || asked != strings.Contains(p.Evidence, "not asked (--kubelet)") {
			t.Errorf("%+v", p)
		}
	}
}

// What starts, or is not conclusive, is neither broken nor ok.
func TestWhatIsNotConclusiveIsUnknown(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(in *Input)
		group  report.PathGroup
		to     string
	}{
		"an etcd pod that starts":         {func(in *Input) { unreadyFor(in, "etcd", 20*time.Second) }, report.PathEtcd, "etcd members"},
		"an aggregated API for a moment":  {unavailable(20 * time.Second), report.PathAggregated, "v1beta1.metrics.k8s.io"},
		"no kube-proxy pod":               {func(in *Input) { in.DaemonSets = nil; without(in, "w1") }, report.PathProxy, "Service rules"},
		"a component without a Lease":     {func(in *Input) { in.SystemLeases = nil }, report.PathLeader, "kube-apiserver"},
		"a webhook with an external name": {func(in *Input) { in.Services[len(in.Services)-1].Spec.Type = corev1.ServiceTypeExternalName }, report.PathWebhook, "webhook guard/pods.guard.test"},
		"a cluster without DNS pods":      {func(in *Input) { in.Pods = nil; in.DaemonSets = nil }, report.PathDNS, "kube-apiserver"},
	} {
		in := ways(t)
		tt.change(&in)
		r := reportPaths(in)
		if !slices.ContainsFunc(r.Paths, func(p report.Path) bool {
			return p.Group == tt.group && p.To == tt.to && p.State == report.PathUnknown && p.Evidence != ""
		}) || r.Verdict != report.Healthy {
			t.Errorf("%s: %s, %+v", name, r.Verdict, r.Paths)
		}
	}
}

// A report on one node has its paths and those of the cluster, a dead node elsewhere only where it is a cause, and commands that
// run where they can.
func TestPathsOfANamedNode(t *testing.T) {
	in := ways(t)
	in.Targets = []string{"w2"}
	down(&in, "w1")
	r := reportPaths(in)
	for _, p := range r.Paths {
		if p.Node != "" && p.Node != "w2" {
			t.Errorf("%+v", p)
		}
	}
	if r.Verdict != report.Healthy || len(r.Checks) != 3 || !strings.Contains(r.Checks[0].Next.Command, "nodeshell w2 ") {
		t.Errorf("%s, %+v", r.Verdict, r.Checks)
	}
	in.Endpoints[len(in.Endpoints)-1].Endpoints = in.Endpoints[len(in.Endpoints)-1].Endpoints[:1]
	unready(&in, "w1")
	if r = reportPaths(in); r.Verdict != report.Unhealthy || len(r.Findings) != 1 || r.Findings[0].Code != machine.KubeletNotReporting {
		t.Errorf("%s, %+v", r.Verdict, r.Findings)
	}
	in.Targets = []string{"w1"}
	for _, c := range reportPaths(in).Checks {
		if strings.Contains(c.Next.Command, "nodeshell") || !strings.Contains(c.Next.Why, "no pod can start there") {
			t.Errorf("%+v", c.Next)
		}
	}
}

// Many nodes with one fault are one finding that names what they have in common.
func TestManyDeadNodesAreOneFinding(t *testing.T) {
	in := ways(t)
	for _, name := range []string{"w3", "w4", "w5", "w6"} {
		n := nodeOf(&in, "w1").DeepCopy()
		n.Name = name
		in.Nodes = append(in.Nodes, *n)
		lease := in.Leases[slices.IndexFunc(in.Leases, func(l coordinationv1.Lease) bool { return l.Name == "w1" })].DeepCopy()
		lease.Name = name
		in.Leases = append(in.Leases, *lease)
		down(&in, name)
	}
	r := reportPaths(in)
	if len(r.Findings) != 1 || !strings.HasPrefix(r.Findings[0].Message, "4 nodes, such as w3: ") {
		t.Errorf("%+v", r.Findings)
	}
}

func TestWhatAWebhookIsCalledForIsInWords(t *testing.T) {
	cluster := admissionv1.ClusterScope
	everything := admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{"*"}, Resources: []string{"*/*"}}}
	nodes := rule("", "nodes")
	nodes.Scope = &cluster
	name := func(operator metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: corev1.LabelMetadataName, Operator: operator, Values: values}}}
	}
	for _, tt := range []struct {
		want string
		w    backend.Webhook
	}{
		{"CREATE/UPDATE of deployments.apps in all namespaces", backend.Webhook{Rules: []admissionv1.RuleWithOperations{rule("apps", "deployments")}}},
		{"every operation of every resource in all namespaces but kube-system", backend.Webhook{Rules: []admissionv1.RuleWithOperations{everything}, Namespaces: name(metav1.LabelSelectorOpNotIn, "kube-system")}},
		{"of pods in namespace a or b", backend.Webhook{Rules: []admissionv1.RuleWithOperations{rule("", "pods")}, Namespaces: name(metav1.LabelSelectorOpIn, "b", "a")}},
		{"of nodes;", backend.Webhook{Rules: []admissionv1.RuleWithOperations{nodes}, Namespaces: name(metav1.LabelSelectorOpIn, "a")}},
		{"of things.x.io in namespaces with label team=a (cluster-scoped ones always)", backend.Webhook{Rules: []admissionv1.RuleWithOperations{rule("x.io", "things")}, Namespaces: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}}},
		{"of pods in namespaces without label skip, of objects with label app=a|b, if its matchConditions hold", backend.Webhook{
			Rules: []admissionv1.RuleWithOperations{rule("", "pods")}, MatchConditions: 1,
			Namespaces: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "skip", Operator: metav1.LabelSelectorOpDoesNotExist}}},
			Objects:    &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"b", "a"}}}},
		}},
	} {
		in := ways(t)
		tt.w.Kind, tt.w.Configuration, tt.w.Name, tt.w.Service = "MutatingWebhookConfiguration", "c", "w", backend.RefOf("guard", "none", nil)
		in.Webhooks = []backend.Webhook{tt.w}
		r := reportPaths(in)
		if len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Evidence[0].Value+";", tt.want) {
			t.Errorf("%+v, want %q", r.Findings, tt.want)
		}
	}
}

func TestTheOrderOfAnInputMeansNothingToPaths(t *testing.T) {
	want := reportPaths(loadFile(t, "paths/broken.json"))
	in := loadFile(t, "paths/broken.json")
	disorder(rand.New(rand.NewSource(1)), &in)
	if diff := cmp.Diff(want, reportPaths(in)); diff != "" {
		t.Error(diff)
	}
}

// reportsOfEveryWay are the reports on paths, for what holds of every text.
func reportsOfEveryWay(t *testing.T) []testkit.Report {
	var list []testkit.Report
	for _, tt := range everyWay() {
		in := ways(t)
		tt.change(&in)
		list = append(list, testkit.Report{Fixture: tt.name, Command: "kubectl nodeinfo --paths", Findings: reportPaths(in).Findings})
	}
	return list
}

func TestPathsLeadSomewhereNew(t *testing.T) {
	testkit.CheckSteps(t, reportsOfEveryWay(t))
	testkit.CheckCarried(t, reportsOfEveryWay(t))
	testkit.CheckWords(t, Catalog(), nil, reportsOfEveryWay(t))
}

func TestChangesOfPathsAreExecuted(t *testing.T) {
	testkit.CheckChanges(t, "../../../../test/e2e/nodeinfo", testkit.Changes{
		Executed: map[finding.Code]string{paths.WebhookUnavailable: "TestPaths"},
	}, reportsOfEveryWay(t))
}

func TestASavedReportOnPathsIsForItsNodes(t *testing.T) {
	in := loadFile(t, "paths/cluster.json")
	if err := in.AimPaths([]string{"w1", "nope"}); err != nil || !slices.Equal(in.Targets, []string{"w1"}) || !slices.Equal(in.NotFound, []string{"nope"}) {
		t.Errorf("%v: %v, %v", err, in.Targets, in.NotFound)
	}
	if r := reportPaths(in); r.Verdict != report.Unknown || len(r.Paths) > 0 {
		t.Errorf("%s with %d paths", r.Verdict, len(r.Paths))
	}
	other := load(t, "healthy")
	if err := other.AimPaths(nil); err == nil || !strings.Contains(err.Error(), "not saved with --paths") {
		t.Error(err)
	}
}

// What a fault of the node explains, which bears on no path by itself, is no reason to call the paths healthy.
func TestAPathIsBrokenByWhatTheNodeSuffers(t *testing.T) {
	in := ways(t)
	n := nodeOf(&in, "w1")
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeDiskPressure {
			c.Status, c.Reason, c.LastTransitionTime = corev1.ConditionTrue, "KubeletHasDiskPressure", metav1.NewTime(in.Now.Add(-time.Hour))
		}
	}
	for _, p := range podsOf(&in, "k8s-app", "kube-proxy") {
		if p.Spec.NodeName == "w1" {
			since := metav1.NewTime(in.Now.Add(-10 * time.Minute))
			for i := range p.Status.Conditions {
				if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
					c.Status, c.LastTransitionTime = corev1.ConditionFalse, since
				}
			}
			s := &p.Status.ContainerStatuses[0]
			s.Ready, s.RestartCount = false, 9
			s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}
	}
	delete(in.ProxyHealth, "w1")
	r := paths.MapOf(&in, in.Now, finding.Kubectl{}).Report()
	if r.Verdict != report.Unhealthy || !slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.Code == machine.DiskPressure }) {
		t.Errorf("%s: %s: %+v", r.Verdict, r.Summary, r.Findings)
	}
	if !slices.ContainsFunc(r.Paths, func(p report.Path) bool { return p.Node == "w1" && p.Code == workload.KubeProxyNotReady }) {
		t.Errorf("the row does not tell: %+v", r.Paths)
	}
}

// A passing condition over a Service without endpoints, and agents that were not looked for, are unknown.
func TestAPathOverContraryEvidenceIsUnknown(t *testing.T) {
	state := func(in Input, group report.PathGroup) (report.PathState, report.Verdict) {
		r := paths.MapOf(&in, in.Now, finding.Kubectl{}).Report()
		at := slices.IndexFunc(r.Paths, func(p report.Path) bool { return p.Group == group && (p.Node == "" || p.Node == "w1") })
		return r.Paths[at].State, r.Verdict
	}
	in := ways(t)
	if s, v := state(in, report.PathAggregated); s != report.PathOK || v != report.Healthy {
		t.Fatalf("as it is: %s, %s", s, v)
	}
	for i := range in.Endpoints {
		if in.Endpoints[i].Namespace == in.APIs[0].Service.Namespace {
			in.Endpoints[i].Endpoints = nil
		}
	}
	if s, _ := state(in, report.PathAggregated); s != report.PathUnknown {
		t.Errorf("condition True over no endpoints: %s", s)
	}
	in = ways(t)
	for i := range in.Sources {
		if in.Sources[i].Name == SourceDaemonSets {
			in.Sources[i].State = source.Forbidden
		}
	}
	if s, v := state(in, report.PathNetwork); s != report.PathUnknown || v != report.Unknown {
		t.Errorf("agents that were not looked for: %s, %s", s, v)
	}
}
