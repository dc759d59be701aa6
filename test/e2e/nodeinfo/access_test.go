package nodeinfo

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// A caller who may get and list nodes and nothing else gets a verdict from the conditions, and is told what is missing.
func TestAServiceAccountThatMayReadNodesOnly(t *testing.T) {
	c := anyCluster(t)
	namespace := c.Namespace(t)
	role := namespace + "-nodes"
	c.MustKubectl(t, "create", "serviceaccount", "reader", "-n", namespace)
	c.MustKubectl(t, "create", "clusterrole", role, "--verb=get,list", "--resource=nodes")
	t.Cleanup(func() { c.Kubectl(t, "delete", "clusterrole,clusterrolebinding", role) })
	c.MustKubectl(t, "create", "clusterrolebinding", role, "--clusterrole="+role, "--serviceaccount="+namespace+":reader")
	token := strings.TrimSpace(c.MustKubectl(t, "create", "token", "reader", "-n", namespace))
	kubeconfig := withToken(t, c, token)

	fleet := c.Kubectl(t, "nodeinfo", "--kubeconfig", kubeconfig)
	if fleet.Code != 0 || !strings.Contains(fleet.Stdout, "leases: needs list leases.coordination.k8s.io in kube-node-lease") || !strings.Contains(fleet.Stdout, "Healthy") {
		t.Errorf("exit %d\n%s%s", fleet.Code, fleet.Stdout, fleet.Stderr)
	}
	if strings.Contains(fleet.Stdout, "Unhealthy") || strings.Contains(fleet.Stdout, "Degraded") {
		t.Errorf("a verdict by absence:\n%s", fleet.Stdout)
	}
	name := strings.TrimPrefix(strings.Fields(c.MustKubectl(t, "get", "nodes", "-o", "name"))[0], "node/")
	r := c.Kubectl(t, "nodeinfo", name, "--kubeconfig", kubeconfig, "-o", "json")
	var list report.List
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		t.Fatalf("%v: %s", err, r.Stderr)
	}
	n := list.Items[0]
	if n.Verdict != report.Healthy || len(n.Findings) != 0 || n.Pods != nil || n.Health.Heartbeat != nil || n.Events != nil {
		t.Errorf("%s, %v", n.Verdict, n.Findings)
	}
	for _, source := range []string{"pods", "leases", "events", "metrics", "daemonsets", "control-plane leases"} {
		if s := n.Sources.Get(source); s.State != "forbidden" || s.Verb == "" || s.Resource == "" {
			t.Errorf("source %s: %+v", source, s)
		}
	}
	if r := c.Kubectl(t, "nodeinfo", "--kubeconfig", kubeconfig, "--require-complete"); r.Code != 4 {
		t.Errorf("--require-complete: exit %d", r.Code)
	}
}

// withToken writes a kubeconfig for the cluster with another user.
func withToken(t *testing.T, c *harness.Cluster, token string) string {
	t.Helper()
	view := c.MustKubectl(t, "config", "view", "--raw", "--minify", "-o", `jsonpath={.clusters[0].cluster.server} {.clusters[0].cluster.certificate-authority-data}`)
	server, authority, _ := strings.Cut(strings.TrimSpace(view), " ")
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %q}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`, server, authority, token)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Bad input costs one clear line, never a stack trace.
func TestBadInputIsOneClearLine(t *testing.T) {
	c := anyCluster(t)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("{{ not yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		text string
		code int
	}{
		{"bad selector", []string{"-l", "a in (b"}, "invalid label selector", 1},
		{"unreachable server", []string{"--server=https://127.0.0.1:9"}, "refuses connections", 1},
		{"expired token", []string{"--kubeconfig", withToken(t, c, "eyJhbGciOiJSUzI1NiJ9.e30.x")}, "rejects the credentials", 1},
		{"broken kubeconfig", []string{"--kubeconfig", broken}, "", 1},
		{"no such context", []string{"--context=nope"}, "nope", 1},
		{"unknown flag", []string{"--nope"}, "unknown flag", 1},
		{"unknown format", []string{"-o", "xml"}, `-o "xml": unknown format`, 1},
		{"no time", []string{"--timeout=1ms"}, "did not respond in time", 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := c.Kubectl(t, append([]string{"nodeinfo"}, tt.args...)...)
			if r.Code != tt.code || r.Stdout != "" || !strings.HasPrefix(r.Stderr, "error: ") || !strings.Contains(r.Stderr, tt.text) {
				t.Errorf("exit %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
			}
			if lines := strings.Count(strings.ReplaceAll(r.Stderr, "See 'kubectl nodeinfo --help'.\n", ""), "\n"); lines != 1 || strings.Contains(r.Stderr, "goroutine") {
				t.Errorf("%d lines: %s", lines, r.Stderr)
			}
		})
	}
}

func TestAnUnknownNodeDoesNotHideTheOthers(t *testing.T) {
	c := anyCluster(t)
	name := strings.TrimPrefix(strings.Fields(c.MustKubectl(t, "get", "nodes", "-o", "name"))[0], "node/")
	r := c.Kubectl(t, "nodeinfo", "no-such-node", "node/"+name)
	if r.Code != 1 || !strings.Contains(r.Stdout, ": node/"+name+": ") || r.Stderr != "error: node \"no-such-node\" not found\n" {
		t.Errorf("exit %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestAClosedPipeIsQuiet(t *testing.T) {
	c := anyCluster(t)
	r := c.Sh(t, "set -o pipefail; kubectl nodeinfo -o json | head -1")
	if r.Stdout != "{\n" || r.Stderr != "" || r.Code != 0 {
		t.Errorf("exit %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestWatchPrintsAChange(t *testing.T) {
	c := cluster(t)
	healthy(t, c, "w1")
	t.Cleanup(func() { c.Kubectl(t, "uncordon", "w1") })
	line := harness.AwaitFile + `kubectl nodeinfo w1 -w -o jsonpath='{.items[0].status}{"\n"}' >"$OUT" & pid=$!; await Ready "$OUT"; kubectl cordon w1 >/dev/null; await SchedulingDisabled "$OUT"; kill -INT $pid; wait; cat "$OUT"`
	r := c.Sh(t, line, harness.Env("OUT="+filepath.Join(t.TempDir(), "out")))
	lines := strings.Fields(r.Stdout)
	if len(lines) < 2 || lines[0] != "Ready" || lines[1] != "Ready,SchedulingDisabled" {
		t.Errorf("%q %s", r.Stdout, r.Stderr)
	}
}

// Completion through kubectl offers node names and formats.
func TestCompletion(t *testing.T) {
	c := anyCluster(t)
	name := strings.TrimPrefix(strings.Fields(c.MustKubectl(t, "get", "nodes", "-o", "name"))[0], "node/")
	if out := c.MustKubectl(t, "nodeinfo", "__complete", name[:1]); !strings.Contains(out, name+"\n") {
		t.Errorf("names: %s", out)
	}
	if out := c.MustKubectl(t, "nodeinfo", "__complete", "-o", ""); !strings.Contains(out, "jsonpath=\n") {
		t.Errorf("formats: %s", out)
	}
}
