// Package runbooks holds kubectl runbooks' end-to-end tests: faults of one cause are one root, faults that have nothing in common
// stay two, and a healthy cluster is quiet.
package runbooks

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// cluster is the shared one, whose node is healed at the end: this package runs after those that share it.
func cluster(t *testing.T) *harness.Cluster {
	t.Helper()
	if os.Getenv("E2E_KUBECONFIG") != "" {
		harness.Skip(t, "needs the embedded cluster: it breaks nodes")
	}
	return harness.Shared(t)
}

func triage(t *testing.T, c *harness.Cluster, args ...string) (report.Triage, error) {
	t.Helper()
	r := c.Plugin(t, "runbooks", append([]string{"-o", "json"}, args...)...)
	var got report.Triage
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
		return got, fmt.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	return got, nil
}

// roots are the codes of the causes, each with its first subject.
func roots(r report.Triage) []string {
	var list []string
	for i := range r.Causes {
		list = append(list, string(r.Causes[i].Code)+" "+r.Causes[i].Subjects[0].Object.String())
	}
	slices.Sort(list)
	return list
}

// becomes waits until the causes are these and no others.
func becomes(t *testing.T, c *harness.Cluster, limit time.Duration, verdict report.Verdict, explained func(report.Triage) string, want ...string) report.Triage {
	t.Helper()
	var got report.Triage
	harness.Eventually(t, limit, func() (string, bool) {
		var err error
		if got, err = triage(t, c); err != nil {
			return err.Error(), false
		}
		if !slices.Equal(roots(got), want) || got.Verdict != verdict {
			return fmt.Sprintf("%s: %q, want %s: %q", got.Verdict, roots(got), verdict, want), false
		}
		if explained == nil {
			return "", true
		}
		lacks := explained(got)
		return lacks, lacks == ""
	})
	return got
}

// app is a Deployment with a pod on each worker, which leaves a node that does not work after five seconds.
func app(namespace, name, command string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Honor, labelSelector: {matchLabels: {app: %[2]s}}}
      containers:
      - {name: c, image: docker.io/library/busybox:latest, imagePullPolicy: Never, command: [sh, -c, %[3]q]}
---
`, namespace, name, command)
}

// follow runs the reading steps of a cause.
func follow(t *testing.T, c *harness.Cluster, cause report.Cause) {
	t.Helper()
	var steps []harness.Step
	for _, next := range cause.Next {
		steps = append(steps, harness.Step{Command: next.Command, Why: next.Why, Risk: string(next.Risk)})
	}
	for _, dead := range c.Follow(t, steps, nil) {
		t.Errorf("a next command of %s leads nowhere: %s", cause.Code, dead)
	}
}

// leftOut is what a triage of namespace pay says of the crash in namespace blog.
const leftOut = "pods outside namespace pay: 1 finding on w2 left out"

// nodeTells waits until the node, too, tells of a pod that crashes: once it has done so often enough.
func nodeTells(r report.Triage) string {
	for i := range r.Causes {
		if slices.ContainsFunc(r.Causes[i].Explains, func(e report.Effect) bool { return e.Code == "PodCrashLooping" }) {
			return ""
		}
	}
	return "no node tells of the crash"
}

func TestTriage(t *testing.T) {
	c := cluster(t)
	t.Cleanup(func() {
		c.Kubectl(t, "delete", "namespace", "pay", "shop", "blog", "--ignore-not-found", "--wait=false")
	})
	c.Apply(t, app("pay", "api", "sleep 10000")+app("shop", "api", "sleep 10000")+app("blog", "web", "sleep 10000"))
	for ns, name := range map[string]string{"pay": "api", "shop": "api", "blog": "web"} {
		c.MustKubectl(t, "rollout", "status", "deployment/"+name, "-n", ns, "--timeout=2m")
	}

	t.Run("a healthy cluster is quiet", func(t *testing.T) {
		got := becomes(t, c, time.Minute, report.Healthy, nil)
		if len(got.Workflows) != 3 || got.Sources.Incomplete() {
			t.Errorf("%+v %+v", got.Workflows, got.Sources)
		}
		text := c.MustKubectl(t, "runbooks", "--fail-on=info", "--require-complete")
		if !strings.HasPrefix(text, "Healthy: cluster: no workflow found a problem\n") || strings.Contains(text, "Next steps") {
			t.Error(text)
		}
	})

	t.Run("faults of one cause are one root", func(t *testing.T) {
		heal := c.Fault(t, "stop-kubelet", "w1")
		defer heal()
		got := becomes(t, c, 2*time.Minute, report.Unhealthy, func(r report.Triage) string {
			subjects := map[string]bool{}
			for _, e := range r.Causes[0].Explains {
				subjects[e.Subject.Object.String()] = true
			}
			for _, s := range []string{"Deployment/pay/api", "Deployment/shop/api", "DaemonSet/kube-system/kube-proxy"} {
				if !subjects[s] {
					return fmt.Sprintf("%s is not explained: %v", s, subjects)
				}
			}
			return ""
		}, "KubeletNotReporting Node/w1")
		follow(t, c, got.Causes[0])

		t.Run("and one that has nothing to do with it is a second", func(t *testing.T) {
			c.Apply(t, app("blog", "web", "echo config: DB_HOST is required; exit 1"))
			got := becomes(t, c, 2*time.Minute, report.Unhealthy, nodeTells, "ContainerCrashing Deployment/blog/web", "KubeletNotReporting Node/w1")
			i := slices.IndexFunc(got.Causes, func(x report.Cause) bool { return x.Code == "ContainerCrashing" })
			if l := got.Causes[i].Log; l == nil || !slices.Contains(l.Lines, "config: DB_HOST is required") {
				t.Errorf("the log does not say why: %+v", l)
			}
			follow(t, c, got.Causes[i])
			if r := c.Kubectl(t, "runbooks", "-n", "pay", "--fail-on=critical", "-o", "name"); r.Code != 3 || r.Stdout != "node/w1\n" {
				t.Errorf("-n one: exit %d: %s", r.Code, r.Stdout)
			}
			if text := c.MustKubectl(t, "runbooks", "-n", "pay"); !strings.Contains(text, "\n  nodes: "+leftOut+"\n") || strings.Contains(text, "blog") {
				t.Errorf("-n one: %s", text)
			}
		})

		t.Run("what changed lately stands on one time line", func(t *testing.T) {
			var got report.Triage
			if err := json.Unmarshal([]byte(c.MustKubectl(t, "runbooks", "--since=10m", "-o", "json")), &got); err != nil || got.Changes == nil {
				t.Fatalf("%v, changes %+v", err, got.Changes)
			}
			var lines []string
			for _, x := range got.Changes.Items {
				lines = append(lines, x.Object.String()+": "+x.Message)
			}
			for _, want := range []string{"Deployment/blog/web: deployment created", "Node/w1: Ready became Unknown (NodeStatusUnknown)"} {
				if !slices.Contains(lines, want) {
					t.Errorf("no %q in\n%s", want, strings.Join(lines, "\n"))
				}
			}
			if !slices.IsSortedFunc(got.Changes.Items, func(a, b report.Change) int { return a.Time.Compare(b.Time) }) {
				t.Errorf("not by time:\n%s", strings.Join(lines, "\n"))
			}
		})

		t.Run("served to a client of the Model Context Protocol", func(t *testing.T) { served(t, c) })

		t.Run("saved, it is explained without a cluster", func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cluster.tar.gz")
			c.MustKubectl(t, "runbooks", "snapshot", file)
			text := c.MustKubectl(t, "runbooks", "--from-input", file, "--kubeconfig="+os.DevNull)
			if !strings.HasPrefix(text, "Unhealthy: node/w1: the kubelet has not reported for ") || !strings.Contains(text, "\n  Explains: ") {
				t.Error(text)
			}
			p := testkit.ReadPublished(t, "", func(format string) string { return c.MustKubectl(t, "runbooks", "--from-input", file, "-o", format) })
			if cases := p.JUnit.Suites[0].Cases; len(cases) != 3 {
				t.Errorf("%d cases", len(cases))
			}
		})
		record(t, c, "two-faults.tar.gz")
	})
	c.MustKubectl(t, "delete", "namespace", "blog", "--wait=false")
	becomes(t, c, 3*time.Minute, report.Healthy, nil)

	t.Run("DNS that does not answer explains a crash whose log says so", func(t *testing.T) {
		c.MustKubectl(t, "scale", "deployment/coredns", "-n", "kube-system", "--replicas=0")
		defer c.MustKubectl(t, "scale", "deployment/coredns", "-n", "kube-system", "--replicas=2")
		c.Apply(t, app("shop", "web", "ping -c1 db.shop"))
		becomes(t, c, 2*time.Minute, report.Unhealthy, func(r report.Triage) string {
			if !slices.ContainsFunc(r.Causes[0].Explains, func(e report.Effect) bool { return e.Code == finding.Code("ContainerCrashing") }) {
				return fmt.Sprintf("explains %+v", r.Causes[0].Explains)
			}
			return ""
		}, "DNSScaledToZero DNS/cluster")
		record(t, c, "dns-down.tar.gz")
	})
}

// record saves the cluster for the pictures in docs, with E2E_RECORD=1.
func record(t *testing.T, c *harness.Cluster, name string) {
	t.Helper()
	if path, record := harness.Recording(name); record {
		c.MustKubectl(t, "runbooks", "snapshot", path)
	}
}
