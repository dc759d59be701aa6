package webpage

import (
	"fmt"
	"reflect"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	at := now.Add(-d)
	return &at
}

func some[T any](v T) *T { return &v }

func broken(node string) finding.Finding {
	return finding.Finding{
		Code: "KubeletNotReporting", Severity: finding.Critical, Title: "Kubelet is not reporting", Object: &finding.ObjectRef{Kind: "Node", Name: node},
		Message: "the kubelet has not reported for 101s",
		Evidence: []finding.Evidence{
			{Source: "Node", Path: "status.conditions[Ready]", Value: "Unknown (NodeStatusUnknown): Kubelet stopped posting node status.", Time: ago(49 * time.Second)},
			{Source: "Lease kube-node-lease/" + node, Path: "spec.renewTime", Value: "renewed 101s ago, valid for 40s", Time: ago(101 * time.Second)},
		},
		Next: []finding.Next{
			{
				Command: "kubectl get --raw /api/v1/nodes/" + node + "/proxy/healthz --request-timeout=8s", Why: "Query the kubelet through the API server (needs get nodes/proxy)", Risk: finding.Read,
				Answers: []string{`"ok": the kubelet is running, but cannot reach the API server or is refused by it`, "no answer: query kube-proxy, as the next step does"},
			},
			{Command: "systemctl restart kubelet", Why: "On the node: start the kubelet again", Risk: finding.Change},
		},
	}
}

// fleet is a list of twelve nodes, two of which have a problem.
func fleet() nodereport.List {
	list := nodereport.List{
		APIVersion: nodereport.APIVersion, Kind: nodereport.Kind, Time: now, Summary: "12 nodes: 10 Healthy, 1 Degraded, 1 Unhealthy",
		Counts: nodereport.Counts{Nodes: 12, Healthy: 10, Degraded: 1, Unhealthy: 1}, CommonCauses: []string{"1 of 12 nodes stopped reporting"},
		Sources: source.List{{Name: "metrics", State: source.OK}, {Name: "pods", State: source.Forbidden, Verb: "list", Resource: "pods"}},
	}
	for i := range 12 {
		cpu, memory, used := float64(7*i+5), float64(9*i+20), float64(3*i+4)
		n := nodereport.Node{
			Name: fmt.Sprintf("worker-%d.example.internal", i+1), Verdict: nodereport.Healthy, Summary: "no problem was found", Status: "Ready", Findings: []finding.Finding{},
			CreatedAt: ago(time.Duration(i+1) * 30 * time.Hour), Roles: []string{"worker"}, Labels: map[string]string{"zone": "a", "kubernetes.io/os": "linux"},
			Components: &nodereport.Components{Kubelet: "v1.36.3", Runtime: nodereport.Runtime{Name: "containerd", Version: "2.1.4"}},
			Resources: []nodereport.Resource{
				{
					Name: "cpu", Unit: "millicores", Capacity: &nodereport.Amount{Value: 8000, Quantity: "8"}, Allocatable: &nodereport.Amount{Value: 7800, Quantity: "7800m"},
					Requests: &nodereport.Amount{Value: int64(78 * cpu), Quantity: fmt.Sprintf("%dm", int(78*cpu))}, RequestsPercent: &cpu,
					Limits: &nodereport.Amount{Value: 9600, Quantity: "9600m"}, LimitsPercent: some(123.1),
				},
				{
					Name: "memory", Unit: "bytes", Capacity: &nodereport.Amount{Value: 16 << 30, Quantity: "16Gi"}, Allocatable: &nodereport.Amount{Value: 15 << 30, Quantity: "15Gi"},
					Requests: &nodereport.Amount{Value: 6 << 30, Quantity: "6Gi"}, RequestsPercent: &memory,
				},
			},
			Pods: &nodereport.Pods{Total: 9 * i, NonTerminated: 9 * i, MaxPods: some(int64(110))}, Sources: source.List{},
		}
		if i != 4 {
			n.Resources[0].UsagePercent, n.Resources[0].Usage = &used, &nodereport.Amount{Value: int64(80 * used), Quantity: fmt.Sprintf("%dm", int(80*used))}
		} else {
			n.Resources = n.Resources[1:]
		}
		list.Items = append(list.Items, n)
	}
	bad, slow := &list.Items[10], &list.Items[3]
	bad.Verdict, bad.Status, bad.Findings, bad.Summary = nodereport.Unhealthy, "NotReady", []finding.Finding{broken(bad.Name)}, "the kubelet has not reported for 101s"
	bad.Consequences = []finding.Consequence{{Code: "PodsNotTerminating", CausedBy: "KubeletNotReporting", Message: "3 pods cannot terminate"}}
	bad.Sources = source.List{{Name: "kubelet", State: source.Unreachable, Message: "dial tcp 10.64.0.12:10250: connect: connection refused"}}
	bad.Health = &nodereport.Health{Conditions: []nodereport.Condition{
		{Type: "Ready", Status: "Unknown", Problem: some(true), Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.", Since: ago(49 * time.Second)},
		{Type: "MemoryPressure", Status: "False", Problem: some(false), Since: ago(30 * time.Hour)},
	}}
	slow.Verdict, slow.Status, slow.Summary = nodereport.Degraded, "Ready,SchedulingDisabled", "the node clock is 7s ahead of the API server clock"
	slow.Findings = []finding.Finding{{Code: "ClockSkew", Severity: finding.Warning, Title: "Clock differs", Message: slow.Summary, Object: &finding.ObjectRef{Kind: "Node", Name: slow.Name}}}
	list.Items[0], list.Items[10] = list.Items[10], list.Items[0]
	return list
}

// stuck is a rollout whose new pods crash.
func stuck() rolloutreport.Rollout {
	of := func(number int64, name string, at time.Duration) rolloutreport.Revision {
		return rolloutreport.Revision{Number: number, Name: name, CreatedAt: ago(at), Images: []string{"registry.example.com/shop/api:" + fmt.Sprint(number)}, Pods: some(int32(number % 4)), KnownGood: some(number < 3)}
	}
	f := finding.Finding{
		Code: "ContainerCrashing", Severity: finding.Critical, Title: "Container crashes", Object: &finding.ObjectRef{Kind: "Pod", Namespace: "shop", Name: "api-54d47d8ccb-7cdv2"},
		Message:  `new pod api-54d47d8ccb-7cdv2: container "api" crashes: exit code 1 after 0s (4 times)`,
		Evidence: []finding.Evidence{{Source: "Pod api-54d47d8ccb-7cdv2", Path: "status.containerStatuses[api].lastState.terminated", Value: "exit code 1, reason Error, ran 0s, 3 restarts", Time: ago(9 * time.Second)}},
		Next: []finding.Next{
			{Command: "kubectl rollout undo deployment/api --to-revision=2 -n shop", Why: "Roll back to revision 2 (api-7dfbb478fd), of which 3 pods are available now", Risk: finding.Change},
			{Command: "kubectl logs api-54d47d8ccb-7cdv2 -c api -n shop", Why: "Read the log of the previous run", Risk: finding.Read},
		},
	}
	current := of(3, "api-54d47d8ccb", 45*time.Second)
	return rolloutreport.Rollout{
		APIVersion: rolloutreport.APIVersion, Kind: rolloutreport.Kind, Object: finding.ObjectRef{Kind: "Deployment", Namespace: "shop", Name: "api"},
		Verdict: rolloutreport.Stuck, Summary: f.Message, Time: now, CreatedAt: ago(9 * time.Minute), Revision: &current,
		Counts: rolloutreport.Counts{Desired: some(int32(3)), Updated: some(int32(1)), Ready: some(int32(3)), Available: some(int32(3)), Old: some(int32(3)), UpdatedReady: some(int32(0)), Restarts: some(int32(3))},
		UpdateStrategy: &rolloutreport.UpdateStrategy{
			Type: "RollingUpdate", MaxSurge: &rolloutreport.Bound{Spec: "25%", Pods: 1}, MaxUnavailable: &rolloutreport.Bound{Spec: "25%"},
			MaxPods: some(int32(4)), MinAvailable: some(int32(3)),
		},
		NextAction: []string{"may create 0: 4 pods is the maximum (3 replicas + 1 maxSurge)", "may remove 0 old: 3 available is the minimum (3 - 0 maxUnavailable)"},
		Timers:     []rolloutreport.Timer{{Name: "progress deadline", Ends: ago(-9*time.Minute - 14*time.Second), State: rolloutreport.TimerRunning, Message: "progress deadline 600s ends in 9m14s"}},
		Pods: []rolloutreport.PodGroup{
			{Role: "new", State: "CrashLoopBackOff", Pods: []string{"api-54d47d8ccb-7cdv2"}},
			{Role: "old", State: "available", Pods: []string{"api-7dfbb478fd-7xw5w", "api-7dfbb478fd-gjzks", "api-7dfbb478fd-z7dlj"}},
		},
		Findings: []rolloutreport.Finding{{
			Finding: f, Role: rolloutreport.RootCause, Class: rolloutreport.LikelyFatal, Confidence: "high", SelfHealing: "no", FirstSeen: ago(45 * time.Second), RetryAt: ago(-30 * time.Second),
			Log: &rolloutreport.Log{Pod: "api-54d47d8ccb-7cdv2", Container: "api", Lines: []string{"config: DB_HOST is required"}},
		}},
		Changes:    &rolloutreport.Diff{From: "2", To: "3", Changes: []rolloutreport.Change{{Path: "containers[api].env[DB_HOST]", Kind: "removed", From: "db", Relevant: true}}},
		History:    []rolloutreport.Revision{current, of(2, "api-7dfbb478fd", 5*time.Minute), of(1, "api-66c9b8d5b", 9*time.Minute)},
		NotChecked: []string{"events: needs list events"}, Sources: source.List{},
	}
}

// check is the DNS of a cluster, one replica of which lags.
func check() dnsreport.Status {
	replica := func(name string, lag float64) dnsreport.Replica {
		return dnsreport.Replica{
			Namespace: "kube-system", Name: name, Node: "w1", IP: "10.244.1.3", Ready: true, State: "Running", Image: "registry.k8s.io/coredns/coredns:v1.12.1", Version: "1.12.1",
			QPS: some(12.25), Servfail: some(0.4), P99: some(3.2), LagSeconds: &lag, Queried: true,
		}
	}
	return dnsreport.Status{
		Header: dnsreport.Header{
			APIVersion: dnsreport.APIVersion, Kind: "DNSCheck", Verdict: dnsreport.Degraded, Summary: "1 of 2 replicas no longer receives changes from the API", Time: now,
			Findings: []finding.Finding{{Code: "ReplicaStale", Severity: finding.Warning, Title: "Replica is stale", Message: "pod coredns-b no longer receives changes from the API", Object: &finding.ObjectRef{Kind: "Pod", Namespace: "kube-system", Name: "coredns-b"}}},
			Sources:  source.List{{Name: "logs", State: source.Forbidden, Verb: "get", Resource: "pods/log"}},
		},
		Provider: "CoreDNS", Zone: "cluster.local", Service: &dnsreport.Service{Namespace: "kube-system", Name: "kube-dns", ClusterIPs: []string{"10.96.0.10"}, Ports: []string{"53/UDP", "53/TCP"}, Ready: 2},
		Replicas: []dnsreport.Replica{replica("coredns-a", 0), replica("coredns-b", 240)}, Routes: []dnsreport.Route{{Zones: []string{"cluster.local", "in-addr.arpa"}, Port: "53", Via: "kubernetes", Line: 6}},
		PassedChecks: []string{"the Corefile loads and serves cluster.local", "no NetworkPolicy blocks DNS"},
	}
}

func triage() report.Triage {
	node, rollout := broken("worker-11.example.internal"), stuck()
	return report.Triage{
		APIVersion: report.APIVersion, Kind: report.Kind, Verdict: report.Unhealthy, Summary: "the kubelet has not reported for 101s (and 1 more cause)", Time: now, Notes: []string{"1 of 12 nodes stopped reporting"},
		Causes: []report.Cause{
			{
				Finding: node, Workflow: report.Nodes, Subjects: []report.Subject{{Object: *node.Object, Verdict: "Unhealthy"}}, Began: ago(101 * time.Second), ExplainsSummary: "1 DNS replica",
				Explains: []report.Effect{{Workflow: report.DNS, Subject: report.Subject{Object: report.ClusterDNS, Verdict: "Degraded"}, Object: finding.ObjectRef{Kind: "Pod", Name: "coredns-b"}, Code: "ReplicaNotReady", CausedBy: "KubeletNotReporting", Message: "DNS pod coredns-b is not ready"}},
			},
			{
				Finding: rollout.Findings[0].Finding, Workflow: report.Rollouts, Subjects: []report.Subject{{Object: rollout.Object, Verdict: "Stuck"}}, Began: ago(45 * time.Second),
				Log: &report.Log{Pod: "api-54d47d8ccb-7cdv2", Container: "api", Lines: []string{"config: DB_HOST is required"}},
			},
		},
		Workflows: []report.Result{
			{Workflow: report.Nodes, Verdict: "Unhealthy", Healthy: "10 of 12 nodes Healthy", Command: "kubectl nodeinfo"},
			{Workflow: report.DNS, Verdict: "Degraded", Healthy: "cluster DNS: 1 of 2 replicas answered; 5 checks passed", Command: "kubectl dns check"},
			{Workflow: report.Rollouts, Verdict: "Unknown", Unread: "needs list deployments.apps", Command: "kubectl rollout-explain -A"},
		},
		NotChecked: []string{"nodes: events: read for named nodes only"}, Sources: source.List{}, Changes: lately(*node.Object, rollout.Object),
	}
}

func lately(node, rollout finding.ObjectRef) *report.Changes {
	c := &report.Changes{Since: now.Add(-time.Hour), LeftOut: 3, Unknown: []string{"events: needs list events"}}
	for i := range 18 {
		c.Items = append(c.Items, report.Change{Time: *ago(time.Duration(54-3*i) * time.Minute), Object: rollout, Kind: report.ChangeEvent, Message: fmt.Sprintf("BackOff: back-off %d0s restarting failed container", i+1)})
	}
	c.Items = append(c.Items, report.Change{Time: *ago(49 * time.Second), Object: node, Kind: report.ChangeReady, Message: "Ready became Unknown (NodeStatusUnknown)"})
	return c
}

// filled is a report of a type in which every string is this text, and every list has one element.
func filled[T any](text string) T {
	var r T
	fill(reflect.ValueOf(&r).Elem(), text, 0)
	return r
}

func fill(v reflect.Value, text string, depth int) {
	if depth > 9 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(3)
	case reflect.Float64:
		v.SetFloat(42)
	case reflect.Uint32:
		v.SetUint(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, text, depth+1)
		fill(value, text, depth+1)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == typeTime {
			v.Set(reflect.ValueOf(now))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text, depth+1)
		}
	}
}
