// Package e2e holds the tests that run real clusters, which takes minutes: `make cluster-e2e` runs them.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/trace"
)

// source is the program's module.
const source = ".."

func e2e(t *testing.T) *harness {
	t.Helper()
	program := filepath.Join(t.TempDir(), "cluster")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &harness{program: program, name: fmt.Sprintf("e2e-%d", os.Getpid()%100000)}
}

// harness runs the program as a user does.
type harness struct {
	program, name, kubectl, kubeconfig string
}

func (h *harness) run(args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	return h.start(ctx, args...)
}

func (h *harness) start(ctx context.Context, args ...string) (string, string, error) {
	cmd := exec.CommandContext(ctx, h.program, append(args[:1:1], append([]string{"--name", h.name}, args[1:]...)...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return stdout.String(), stderr.String(), err
}

func (h *harness) must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := h.run(args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, stderr)
	}
	return stdout
}

// k runs kubectl.
func (h *harness) k(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, h.kubectl, append([]string{"--kubeconfig", h.kubeconfig}, args...)...).CombinedOutput()
	return string(out), err
}

// up makes the cluster and remembers how to reach it.
func (h *harness) up(t *testing.T, args ...string) {
	t.Helper()
	began := time.Now()
	h.kubeconfig = strings.TrimSpace(h.must(t, append([]string{"up", "--wait", "8m"}, args...)...))
	t.Logf("up took %s", time.Since(began).Round(time.Second))
	bin, err := exec.Command(h.program, "bin").Output()
	if err != nil {
		t.Fatal(err)
	}
	h.kubectl = filepath.Join(strings.TrimSpace(string(bin)), "kubectl")
}

// others lists marks of the machine's other clusters.
func (h *harness) others(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command(h.program, "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	var marks []string
	for _, name := range strings.Fields(string(out)) {
		data, err := os.ReadFile(filepath.Join(cacheRoot(t), "clusters", name, "cluster.json"))
		var state struct{ Plan struct{ Index int } }
		if name == h.name || err != nil || json.Unmarshal(data, &state) != nil {
			continue
		}
		i := state.Plan.Index
		marks = append(marks, fmt.Sprintf("krb%d", i), fmt.Sprintf("kr%d-", i), fmt.Sprintf("10.64.%d.", i), "/"+name)
	}
	return marks
}

// busy is how many times longer than on an idle machine something may take before it counts as hung.
const busy = 4

// eventually waits until a check holds. The patience is that of an idle machine.
func eventually(t *testing.T, patience time.Duration, what string, check func() (string, bool)) {
	t.Helper()
	var last string
	patience *= busy
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Second) {
		var ok bool
		if last, ok = check(); ok {
			return
		}
	}
	t.Errorf("not after %s: %s; last: %s", patience, what, last)
}

func TestKilledAtAnyTimeItLeavesNoTrace(t *testing.T) {
	h := e2e(t)
	before := look(t)
	t.Cleanup(func() { h.run("down") }) //nolint:errcheck // checked below
	for _, moment := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 4 * time.Second, 15 * time.Second} {
		ctx, cancel := context.WithTimeout(context.Background(), moment)
		// A context that ends kills with SIGKILL.
		h.start(ctx, "up", "--workers", "1") //nolint:errcheck // killed
		cancel()
		t.Logf("killed after %s: %d processes", moment, len(trace.Processes(h.name)))
		h.must(t, "down")
		noTraces(t, before, h)
	}
	h.must(t, "down") // of what is not there: no error
}

// Someone empties the cache while a cluster runs: its processes are still found.
func TestDownFindsProcessesWithoutRecords(t *testing.T) {
	h := e2e(t)
	h.up(t, "--workers", "0")
	plan := h.must(t, "status", "-o", "json")
	var status struct{ Gateway string }
	if err := json.Unmarshal([]byte(plan), &status); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(cacheRoot(t), "clusters", h.name)); err != nil {
		t.Fatal(err)
	}
	h.must(t, "down")
	eventually(t, 10*time.Second, "every process has gone", func() (string, bool) {
		left := trace.Processes(h.name)
		return strings.Join(left, "\n"), len(left) == 0
	})
	// The bridge was known to the records alone; the next index is taken while
	// it is there, and the test itself puts it away.
	bridge := strings.Replace(strings.TrimSuffix(status.Gateway, ".1"), "10.64.", "krb", 1)
	if out, err := exec.Command("ip", "link", "delete", bridge).CombinedOutput(); err != nil {
		t.Errorf("%s: %s", bridge, out)
	}
}

func TestCluster(t *testing.T) {
	h := e2e(t)
	before := look(t)
	t.Cleanup(func() {
		if !t.Failed() || os.Getenv("E2E_KEEP") == "" {
			h.run("down") //nolint:errcheck // checked at the end
		}
	})

	// Killed half-way, up again makes it whole.
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
	h.start(ctx, "up") //nolint:errcheck // killed
	cancel()
	h.up(t)

	t.Run("up again finds it", h.testUpAgain)
	t.Run("exec passes everything on", h.testExec)
	h.startPods(t)
	t.Run("kubelets serve", h.testKubelets)
	t.Run("faults of nodes", func(t *testing.T) {
		// The two workers at a time: most faults take 50 s to be noticed.
		var wait sync.WaitGroup
		for node, faults := range nodeFaults() {
			wait.Go(func() {
				for _, f := range faults {
					t.Run(f.label(node), func(t *testing.T) { h.testFault(t, node, f) })
				}
			})
		}
		wait.Wait()
	})
	for _, f := range controlPlaneFaults() {
		t.Run(f.label("cp1"), func(t *testing.T) { h.testFault(t, "cp1", f) })
	}
	t.Run("several faults heal at once", h.testHealAll)
	if !t.Failed() {
		t.Run("a killed node is seen and replaced", h.testKilledNode)
	}

	if t.Failed() && os.Getenv("E2E_KEEP") != "" {
		t.Fatalf("cluster %q is kept to be looked at", h.name)
	}
	h.must(t, "down")
	noTraces(t, before, h)
}

func (h *harness) testUpAgain(t *testing.T) {
	began := time.Now()
	stdout, stderr, err := h.run("up")
	if err != nil || strings.TrimSpace(stdout) != h.kubeconfig || time.Since(began) > busy*10*time.Second {
		t.Errorf("%q after %s, %v\n%s", stdout, time.Since(began), err, stderr)
	}
}

func (h *harness) testExec(t *testing.T) {
	stdout, _, err := h.run("exec", "w1", "--", "sh", "-c", "hostname; exit 7")
	var exit *exec.ExitError
	if stdout != "w1\n" || !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("%q, %v", stdout, err)
	}
	cmd := exec.Command(h.program, "exec", "--name", h.name, "w2", "--", "cat")
	cmd.Stdin = strings.NewReader("through stdin")
	if out, err := cmd.Output(); err != nil || string(out) != "through stdin" {
		t.Errorf("%q, %v", out, err)
	}
	h.must(t, "exec", "w1", "--", "touch", "/root/of-w1")
	if _, _, err := h.run("exec", "w2", "--", "test", "-e", "/root/of-w1"); err == nil || exists("/root/of-w1") {
		t.Error("a node's file is seen elsewhere")
	}
}

// startPods puts a pod with tools on every worker.
func (h *harness) startPods(t *testing.T) {
	t.Helper()
	for _, node := range []string{"w1", "w2"} {
		overrides := fmt.Sprintf(`{"spec":{"nodeName":%q,"tolerations":[{"operator":"Exists"}]}}`, node)
		if out, err := h.k("run", "tools-"+node, "--image=toolbox:1", "--restart=Always", "--overrides="+overrides, "--", "sleep", "100000"); err != nil {
			t.Fatal(out)
		}
	}
	if out, err := h.k("wait", "--for=condition=Ready", "pod/tools-w1", "pod/tools-w2", "--timeout=50s"); err != nil {
		t.Fatal(out)
	}
}

// testKubelets uses what goes through a kubelet's own server.
func (h *harness) testKubelets(t *testing.T) {
	for name, test := range map[string]struct{ args, want string }{
		"exec":            {"exec tools-w1 -- echo hello", "hello"},
		"names inside":    {"exec tools-w2 -- dig +short kubernetes.default.svc.cluster.local", "10."},
		"names outside":   {"exec tools-w1 -- dig +short www.example.test", "192.0.2.80"},
		"logs":            {"-n kube-system logs -l component=etcd --tail=1", "{"},
		"proxy":           {"get --raw /api/v1/nodes/w1/proxy/healthz", "ok"},
		"metrics":         {"top nodes", "w2"},
		"debug of a node": {"debug node/w1 --image=busybox:1.36 --attach -q -- cat /host/etc/hostname", "w1"},
	} {
		eventually(t, time.Minute, name, func() (string, bool) {
			out, err := h.k(strings.Fields(test.args)...)
			return out, err == nil && strings.Contains(out, test.want)
		})
	}
}

// testHealAll injects several faults, some into one file, and heals them with
// one command.
func (h *harness) testHealAll(t *testing.T) {
	config := h.must(t, "exec", "w1", "--", "cat", "/var/lib/kubelet/config.yaml")
	for _, args := range []string{"memory-pressure w1", "wrong-cluster-dns w1", "pid-pressure w1", "break-cni w2", "stop-scheduler"} {
		h.must(t, append([]string{"fault"}, strings.Fields(args)...)...)
	}
	h.must(t, "heal", "--all")
	if got := h.must(t, "exec", "w1", "--", "cat", "/var/lib/kubelet/config.yaml"); got != config {
		t.Errorf("the kubelet's configuration is not what it was:\n%s", got)
	}
	if out := h.must(t, "status", "-o", "json"); strings.Contains(out, "pressure") || strings.Contains(out, "break-cni") {
		t.Errorf("faults are left: %s", out)
	}
	for _, node := range []string{"w1", "w2"} {
		eventually(t, time.Minute, "the node is well", func() (string, bool) { return condition(h, node, "Ready", "True") })
	}
}

// testKilledNode kills a node's process 1, which ends everything in the node.
func (h *harness) testKilledNode(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(cacheRoot(t), "clusters", h.name, "nodes", "w1", "init.json"))
	var record struct{ PID int }
	if err != nil || json.Unmarshal(data, &record) != nil || record.PID < 2 {
		t.Fatalf("no record of the node: %s, %v", data, err)
	}
	process, err := os.FindProcess(record.PID)
	if err != nil || process.Kill() != nil {
		t.Fatalf("kill %d: %v", record.PID, err)
	}
	// Process 1 of a namespace takes everything in it along, which takes time.
	eventually(t, time.Minute, "the node is dead", func() (string, bool) {
		_, stderr, err := h.run("exec", "w1", "--", "true")
		return stderr, err != nil && strings.Contains(stderr, "does not run")
	})
	h.up(t)
	if out, err := h.k("get", "nodes", "-o", "name"); err != nil || strings.Count(out, "node/") != 3 {
		t.Errorf("%s, %v", out, err)
	}
}

// Two at a time, one of them without workers, with the other kube-proxy and with both families of addresses.
func TestClustersSideBySide(t *testing.T) {
	first := e2e(t)
	before := look(t)
	second := &harness{program: first.program, name: first.name + "-b"}
	t.Cleanup(func() { first.run("down"); second.run("down") }) //nolint:errcheck // checked below
	var wait sync.WaitGroup
	wait.Go(func() { first.up(t, "--workers", "0", "--proxy-mode", "nftables", "--ip-family", "dual") })
	wait.Go(func() { second.up(t, "--workers", "1") })
	wait.Wait()
	for _, h := range []*harness{first, second} {
		if out, err := h.k("get", "--raw", "/readyz"); err != nil {
			t.Errorf("%s: %s", h.name, out)
		}
	}
	first.must(t, "down")
	if out, err := second.k("get", "nodes", "-o", "name"); err != nil || strings.Count(out, "node/") != 2 {
		t.Errorf("taking one down broke the other: %s", out)
	}
	second.must(t, "down")
	noTraces(t, before, second)
}
