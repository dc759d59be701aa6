package evaluate

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// scope is that of kubectl runbooks -n NAMESPACE.
func scope(namespace string) change {
	return func(in *Input) { in.Scope.Namespace = namespace }
}

// degraded is a node with warnings, and with what these explain on it.
func degraded(name string, consequences []finding.Consequence, list ...finding.Finding) change {
	return func(in *Input) {
		in.Nodes.Items = append(in.Nodes.Items, nodereport.Node{
			Name: name, Verdict: nodereport.Degraded, Status: "Ready", Findings: list, Consequences: consequences,
		})
	}
}

func TestPodsOfOtherNamespacesAreLeftOut(t *testing.T) {
	crash := func(pods ...finding.ObjectRef) finding.Finding {
		f := found("PodCrashLooping", finding.Warning, pods[0])
		f.Covers = pods[1:]
		return f
	}
	blog, pay := podRef("blog", "web"), podRef("pay", "api")
	device := found("ClaimedDeviceUnusable", finding.Warning, blog)
	by := func(object finding.ObjectRef, covers ...finding.ObjectRef) []finding.Consequence {
		return []finding.Consequence{{Code: "PodNotStarting", CausedBy: device.Code, Object: &object, Covers: covers}}
	}
	for _, tt := range []struct {
		name    string
		changes []change
		want    string
		leftOut string
		verdict report.Verdict
	}{
		{"a pod of another namespace", []change{degraded("w1", nil, crash(blog))}, "", "1 finding on w1", report.Healthy},
		{"pods of another namespace alone", []change{degraded("w1", nil, crash(blog, podRef("shop", "a")))}, "", "1 finding on w1", report.Healthy},
		{"a pod of another namespace on each of many nodes", []change{
			degraded("w1", nil, crash(blog)), degraded("w2", nil, crash(blog)), degraded("w3", nil, crash(blog), device), degraded("w4", nil, crash(blog)),
		}, "", "5 findings on 4 nodes", report.Healthy},
		{"a pod that does not start, one that does not end, and devices", []change{degraded(
			"w1", nil, found("PodNotStarting", finding.Warning, blog), found("PodStuckTerminating", finding.Warning, blog),
			found("DeviceUnhealthy", finding.Warning, blog), found("ResourceClaimNotReady", finding.Warning, blog), device,
		)}, "", "5 findings on w1", report.Healthy},
		{"a pod of another namespace on a node that has not reported", []change{degraded("w1", nil, crash(blog)), func(in *Input) {
			in.Nodes.Items[1].Status = "Unknown,SchedulingDisabled"
		}}, "", "1 finding on w1", report.Unknown},
		{"and a node that does not work", []change{dead("w2", 0), degraded("w1", nil, crash(blog))}, "KubeletNotReporting", "1 finding on w1", report.Unhealthy},
		{
			"and what its node has",
			[]change{degraded("w1", nil, crash(blog), found("DiskPressure", finding.Warning, nodeRef("w1")))},
			"DiskPressure", "1 finding on w1", report.Degraded,
		},

		{"near: a pod of the namespace", []change{degraded("w1", nil, crash(pay))}, "PodCrashLooping", "", report.Degraded},
		{"near: a pod of the namespace among others", []change{degraded("w1", nil, crash(blog, pay))}, "PodCrashLooping", "", report.Degraded},
		{"near: a pod of a namespace whose name begins alike", []change{degraded("w1", nil, crash(podRef("pay-2", "api")))}, "", "1 finding on w1", report.Healthy},
		{
			"near: a pod that makes the node work",
			[]change{degraded("w1", nil, found("KubeProxyNotReady", finding.Warning, podRef("kube-system", "kube-proxy-x")))},
			"KubeProxyNotReady", "", report.Degraded,
		},
		{"near: an agent that the node lacks", []change{degraded("w1", nil, found("DaemonSetPodMissing", finding.Warning,
			finding.ObjectRef{Kind: "DaemonSet", Namespace: "logs", Name: "agent"}))}, "DaemonSetPodMissing", "", report.Degraded},
		{"near: it explains a pod of the namespace on the node", []change{degraded("w1", by(pay), device)}, "ClaimedDeviceUnusable", "", report.Degraded},
		{"near: it explains pods, one of them of the namespace", []change{degraded("w1", by(blog, pay), device)}, "ClaimedDeviceUnusable", "", report.Degraded},
		{"it explains pods of another namespace alone", []change{degraded("w1", by(blog), device)}, "", "1 finding on w1", report.Healthy},
		{
			"near: the cause of it is the cluster's",
			[]change{inDNS("CorefileInvalid"), degraded("w1", nil, crash(podRef("kube-system", "c1")))},
			"CorefileInvalid(PodCrashLooping)", "", report.Unhealthy,
		},
		{"near: the rollout of the namespace explains what the node says of its pod among others", []change{
			rollout("pay", "api", "ContainerCrashing", at("w1")), degraded("w1", nil, crash(blog, pay)),
		}, "ContainerCrashing(PodCrashLooping)", "", report.Unhealthy},
	} {
		got := Evaluate(input(append(tt.changes, scope("pay"))...), now)
		var gaps []string
		if tt.leftOut != "" {
			gaps = []string{"nodes: pods outside namespace pay: " + tt.leftOut + " left out"}
		}
		if tree(got) != tt.want || got.Verdict != tt.verdict || !slices.Equal(got.NotChecked, gaps) {
			t.Errorf("%s: %s: %s: %q", tt.name, got.Verdict, tree(got), got.NotChecked)
		}
		if leaves := tt.verdict == report.Healthy; leaves != (got.Summary == "no workflow found a problem that concerns namespace pay") {
			t.Errorf("%s: %s", tt.name, got.Summary)
		}
		if all := Evaluate(input(tt.changes...), now); tree(all) == "" || len(all.NotChecked) > 0 {
			t.Errorf("%s: without a namespace, something is left out: %s: %q", tt.name, tree(all), all.NotChecked)
		}
	}
}

// With all namespaces a rollout that reports one of two crashes does not explain both; with one it explains those that are told.
func TestThePodsOfTheNamespaceAreNamed(t *testing.T) {
	f := found("PodNotStarting", finding.Warning, podRef("blog", "web"), finding.Evidence{Source: "Pods on the node", Value: "3 with this cause"})
	f.Covers = []finding.ObjectRef{podRef("pay", "api"), podRef("pay", "job")}
	got := Evaluate(input(degraded("w1", nil, f), scope("pay")), now)
	c := got.Causes[0]
	if last := c.Evidence[len(c.Evidence)-1]; c.Object.Name != "api" || last.Source != "Pods of namespace pay" || last.Value != "2 of 3: api, job" {
		t.Errorf("%v: %+v", c.Object, c.Evidence)
	}
	if len(f.Evidence) != 1 || f.Object.Name != "web" {
		t.Errorf("the report of the node was changed: %+v", f)
	}
	all := Evaluate(input(degraded("w1", nil, f)), now)
	if c := all.Causes[0]; c.Object.Name != "web" || strings.Contains(c.Evidence[len(c.Evidence)-1].Source, "namespace") {
		t.Errorf("without a namespace: %+v", c)
	}
}
