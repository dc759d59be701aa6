package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/trace"
)

// testPlain uses a plain cluster as whoever the harness is.
func testPlain(t *testing.T, h *harness, run func(args ...string) (string, string, error)) {
	stdout, stderr, err := run("up", "--mode", "plain", "--workers", "3", "--wait", "8m")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	h.kubeconfig = strings.TrimSpace(stdout)
	if out, err := h.k("get", "nodes", "--no-headers"); err != nil || strings.Count(out, " Ready ") != 4 {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := h.k("create", "deployment", "played", "--image=anything", "--replicas=3"); err != nil {
		t.Fatal(out)
	}
	eventually(t, time.Minute, "kwok runs the pods", func() (string, bool) {
		out, err := h.k("get", "deployment", "played", "-o", "jsonpath={.status.readyReplicas}")
		return out, err == nil && out == "3"
	})
	stdout, _, err = run("status", "-o", "json")
	var status struct{ Mode, State string }
	if err != nil || json.Unmarshal([]byte(stdout), &status) != nil || status.Mode != "plain" || status.State != "ready" {
		t.Errorf("%s, %v", stdout, err)
	}
	for _, args := range [][]string{{"fault", "stop-kubelet", "w1"}, {"exec", "w1", "--", "true"}} {
		if _, stderr, err := run(args...); err == nil || !strings.Contains(stderr, "needs a real node") {
			t.Errorf("%v: %v, %s", args, err, stderr)
		}
	}
	began := time.Now()
	if again, _, err := run("up", "--mode", "plain", "--workers", "3"); err != nil || strings.TrimSpace(again) != h.kubeconfig || time.Since(began) > busy*15*time.Second {
		t.Errorf("up again: %q after %s, %v", again, time.Since(began), err)
	}
	if _, stderr, err := run("down"); err != nil {
		t.Errorf("%v\n%s", err, stderr)
	}
}

func TestPlainCluster(t *testing.T) {
	h := e2e(t)
	t.Cleanup(func() { h.run("down") }) //nolint:errcheck // checked in the test
	before := look(t)
	if out, err := exec.Command(h.program, "build", "--mode", "plain").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	h.kubectl = filepath.Join(h.component(t, "kubectl"), "kubectl")
	testPlain(t, h, h.run)
	noTraces(t, before, h)
}

// component is the directory of a component of the newest version, by one of its programs.
func (h *harness) component(t *testing.T, program string) string {
	t.Helper()
	bin, err := exec.Command(h.program, "bin").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := filepath.EvalSymlinks(filepath.Join(strings.TrimSpace(string(bin)), program))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(file)
}

// nobody is the user of whom a machine expects nothing.
const nobody = 65534

// Without root the mode is chosen by itself.
func TestPlainClusterOfAnUnprivilegedUser(t *testing.T) {
	h := e2e(t)
	if os.Geteuid() != 0 {
		t.Skip("is unprivileged already; TestPlainCluster serves")
	}
	// The user gets a home with what is built, so that nothing is built anew.
	home, err := os.MkdirTemp("/tmp", "cluster-e2e-") //nolint:usetesting // a short path that another user may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) }) //nolint:errcheck // in /tmp
	cache := filepath.Join(home, ".cache", "kubectl-runbooks", "components")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	kube := h.component(t, "kubectl")
	kwoks, err := filepath.Glob(filepath.Join(cacheRoot(t), "components", "kwok-*")) // of each version that was built
	if err != nil || len(kwoks) == 0 {
		t.Fatalf("kwok is not built: %v", err)
	}
	for _, dir := range append(kwoks, kube) {
		if out, err := exec.Command("cp", "-a", dir, cache).CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	}
	copied := filepath.Join(home, "source")
	if out, err := exec.Command("cp", "-a", source+"/.", copied).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	program := filepath.Join(home, "cluster")
	if out, err := exec.Command("cp", h.program, program).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	if out, err := exec.Command("chown", "-R", "65534:65534", home).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	h.program, h.kubectl = program, filepath.Join(kube, "kubectl")
	run := func(args ...string) (string, string, error) {
		if args[0] == "up" { // nodes are impossible: plain is to be chosen
			args = append(args[:1:1], args[3:]...)
		}
		cmd := exec.Command(program, append(args[:1:1], append([]string{"--name", h.name}, args[1:]...)...)...)
		cmd.Dir = copied
		cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		return stdout.String(), stderr.String(), err
	}
	t.Cleanup(func() { run("down") }) //nolint:errcheck // checked in the test
	testPlain(t, h, run)
	if left := trace.Processes(h.name); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
