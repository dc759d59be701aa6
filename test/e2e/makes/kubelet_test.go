package makes

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	nodeinfo "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rollout "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// oldKubelet is as old as Kubernetes' policy lets a kubelet be beside the API server of the cluster.
const oldKubelet = "v1.34"

// codesOf gives the codes of findings, sorted.
func codesOf(findings []finding.Finding) []string {
	var codes []string
	for _, f := range findings {
		codes = append(codes, string(f.Code))
	}
	slices.Sort(codes)
	return codes
}

// inspect is what nodeinfo says of the node of the control plane and of the worker.
func inspect(t *testing.T, c *harness.Cluster) (own, old nodeinfo.Node) {
	t.Helper()
	var nodes nodeinfo.List
	read(t, c, &nodes, "nodeinfo", "cp1", "w1", "--kubelet", "-o", "json")
	for _, n := range nodes.Items {
		switch n.Name {
		case "cp1":
			own = n
		case "w1":
			old = n
		}
	}
	if own.Components == nil || old.Components == nil || old.Components.MinorsBehind == nil {
		t.Fatalf("nodeinfo: %s: %+v", nodes.Summary, nodes.Items)
	}
	return own, old
}

// A kubelet that Kubernetes supports is told and is no fault; what it reports is understood as that of the newest one is.
func TestNodeinfoOfAnOldKubelet(t *testing.T) {
	c := oldKubelets(t)
	// The kubelet says CgroupV1 once, in an event, and that of cp1 may have had no API server to tell it to.
	lasting := func(n nodeinfo.Node) []string {
		return slices.DeleteFunc(codesOf(n.Findings), func(code string) bool { return code == "CgroupV1" })
	}
	harness.Eventually(t, time.Minute, func() (string, bool) {
		own, old := inspect(t, c)
		said := fmt.Sprintf("cp1 %s %v, w1 %s %v", own.Verdict, lasting(own), old.Verdict, lasting(old))
		return said, own.Verdict == nodeinfo.Healthy && old.Verdict == nodeinfo.Healthy && slices.Equal(lasting(own), lasting(old))
	})
	own, old := inspect(t, c)
	c.Settle(t, string(nodeinfo.Healthy), old.Summary, "nodeinfo", "w1", "--kubelet")
	if *old.Components.MinorsBehind != 3 || *own.Components.MinorsBehind != 0 || !strings.HasPrefix(old.Components.Kubelet, oldKubelet+".") {
		t.Errorf("kubelet %s is %d behind %s; that of cp1 %d", old.Components.Kubelet, *old.Components.MinorsBehind, old.Components.APIServer,
			*own.Components.MinorsBehind)
	}
	if old.Health == nil || old.Health.Kubelet != own.Health.Kubelet || old.Health.Kubelet == "" {
		t.Errorf("the kubelets answered: %+v, %+v", own.Health, old.Health)
	}
	for _, r := range own.Resources {
		i := slices.IndexFunc(old.Resources, func(o nodeinfo.Resource) bool { return o.Name == r.Name })
		if i < 0 || (r.Usage == nil) != (old.Resources[i].Usage == nil) || (r.Allocatable == nil) != (old.Resources[i].Allocatable == nil) {
			t.Errorf("%s of cp1 is %+v; w1: %+v", r.Name, r, old.Resources)
		}
	}
	t.Run("stopped", func(t *testing.T) {
		c.Fault(t, "stop-kubelet", "w1")
		var nodes nodeinfo.List
		harness.Eventually(t, 90*time.Second, func() (string, bool) {
			nodes = nodeinfo.List{}
			read(t, c, &nodes, "nodeinfo", "w1", "-o", "json")
			codes := codesOf(nodes.Items[0].Findings)
			return fmt.Sprint(nodes.Summary, codes), slices.Contains(codes, "KubeletNotReporting") && nodes.Items[0].Verdict == nodeinfo.Unhealthy
		})
		c.Settle(t, "Unhealthy, KubeletNotReporting", nodes.Items[0].Summary, "nodeinfo", "w1")
	})
	c.MustKubectl(t, "wait", "node/w1", "--for=condition=Ready", "--timeout=120s")
}

func TestNodeshellOnAnOldKubelet(t *testing.T) {
	c := oldKubelets(t)
	ns := c.Namespace(t)
	client := clientOn(t, c, ns, "w1")
	session := c.Run(t, time.Minute, []harness.Option{harness.Stdin(strings.NewReader("hostname\nexit 7\n"))},
		"kubectl", "nodeshell", "w1", "-n", ns, "-i", "--", "sh")
	if session.Code != 7 || session.Stdout != "w1\n" {
		t.Errorf("session: exit %d: %s%s", session.Code, session.Stdout, session.Stderr)
	}
	file := filepath.Join(t.TempDir(), "client.pcap")
	captured := c.Sh(t, fmt.Sprintf(`(while :; do kubectl exec -n %[1]s %[2]s -- dig +time=1 +tries=1 kubernetes.default.svc.cluster.local >/dev/null 2>&1; done) & loop=$!
kubectl nodeshell capture %[2]s -n %[1]s -w %[3]s --count 4 -- port 53; code=$?; kill $loop; exit $code`, ns, client, file))
	if captured.Code != 0 {
		t.Fatalf("capture: exit %d: %s", captured.Code, captured.Stderr)
	}
	if packets := c.Sh(t, "tcpdump -nn -r "+file+" 2>/dev/null").Stdout; strings.Count(packets, "\n") != 4 || !strings.Contains(packets, "A? kubernetes.default.svc.cluster.local.") {
		t.Errorf("packets: %s", packets)
	}
	harness.Eventually(t, time.Minute, func() (string, bool) {
		left := c.MustKubectl(t, "get", "pods", "-n", ns, "-l", "app.kubernetes.io/managed-by=kubectl-nodeshell", "-o", "name")
		return "left behind: " + left, left == ""
	})
}

// Why a pod fails is told in the old kubelet's own words, events and states.
func TestRolloutExplainOnAnOldKubelet(t *testing.T) {
	c := oldKubelets(t)
	ns := c.Namespace(t)
	deployment := func(name, container string) string {
		return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {nodeName: w1, terminationGracePeriodSeconds: 1, containers: [{name: c, imagePullPolicy: IfNotPresent, %[2]s}]}
---
`, name, container)
	}
	c.Apply(t, deployment("crash", `image: "busybox:1.36", command: [sh, -c, "echo config: DB_HOST is required >&2; exit 3"]`)+
		deployment("pull", `image: "registry.example.test/none:1"`)+
		deployment("configuration", `image: "busybox:1.36", command: [sleep, 1d], envFrom: [{configMapRef: {name: none}}]`)+
		deployment("probe", `image: "busybox:1.36", command: [sleep, 1d], readinessProbe: {periodSeconds: 1, exec: {command: ["false"]}}`)+
		deployment("memory", `image: "busybox:1.36", command: [sh, -c, "tail /dev/zero"], resources: {limits: {memory: 16Mi}}`)+
		deployment("well", `image: "busybox:1.36", command: [sleep, 1d]`), "-n", ns)
	for name, tt := range map[string]struct {
		code finding.Code
		says string
	}{
		"crash":         {"ContainerCrashing", "exit code 3"},
		"pull":          {"RegistryUnavailable", "cannot resolve the host of registry registry.example.test"},
		"configuration": {"ConfigMapNotFound", "none"},
		"probe":         {"ReadinessProbeFailing", "readiness"},
		"memory":        {"OOMKilled", "16Mi"},
		"well":          {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said rollout.Rollout
			harness.Eventually(t, 150*time.Second, func() (string, bool) {
				said = rollout.Rollout{}
				read(t, c, &said, "rollout-explain", "deployment/"+name, "-n", ns, "-o", "json")
				root := finding.Code("")
				if len(said.Findings) > 0 && said.Findings[0].Role == rollout.RootCause {
					root = said.Findings[0].Code
				}
				return fmt.Sprintf("%s, %s: %s", said.Verdict, root, said.Summary),
					root == tt.code && strings.Contains(said.Summary, tt.says) && (said.Verdict == rollout.Complete) == (tt.code == "")
			})
			c.Settle(t, cmp.Or(string(tt.code), string(rollout.Complete)), said.Summary, "rollout-explain", "deployment/"+name)
		})
	}
}
