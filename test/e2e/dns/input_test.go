package dns

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// TestBadInput: one clear line, exit code 1, nothing on standard output.
func TestBadInput(t *testing.T) {
	c := cluster(t)
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a name that is too long", []string{"resolve", strings.Repeat("abcdefgh.", 30) + "com"}, "DNS allows 253"},
		{"a label that is too long", []string{"resolve", strings.Repeat("a", 64) + ".default"}, "DNS allows 63"},
		{"an empty label", []string{"resolve", "a..b"}, "empty label"},
		{"an unknown type", []string{"resolve", "a.b", "--type", "BOGUS"}, `"BOGUS" is not a record type`},
		{"an unknown pod", []string{"check", "--from", "no-such-pod", "-n", "default"}, `there is no pod "no-such-pod" in namespace "default"`},
		{"an unknown Service", []string{"names", "svc/nothing", "-n", "default"}, `there is no Service "nothing" in namespace "default"`},
		{"an unknown server", []string{"verify", "--at", "no-such-pod"}, `there is no DNS pod "no-such-pod"`},
		{"an unknown command", []string{"frobnicate"}, `"frobnicate" is not a command`},
		{"an unknown kind", []string{"names", "deploy/x"}, `"deploy": unknown type`},
		{"no pod for explain", []string{"explain", "a.b"}, "--from POD is required"},
		{"an address without a pod", []string{"resolve", "a.b", "--at", "10.0.0.1"}, "only a pod can query an IP address"},
		{"a probe without a pod", []string{"check", "--probe", "pod"}, "requires --from POD"},
		{"an unknown profile", []string{"check", "--profile", "slow"}, `--profile "slow": unknown value`},
		{"a wrong expectation", []string{"resolve", "a.b", "--expect", "yes"}, `--expect "yes": unknown value`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := c.Kubectl(t, append([]string{"dns"}, tt.args...)...)
			if r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, tt.want) || !strings.HasPrefix(r.Stderr, "error: ") {
				t.Errorf("exit %d, stdout %q, stderr %q, want %q", r.Code, r.Stdout, r.Stderr, tt.want)
			}
		})
	}
}

// TestFewPermissions: what is not allowed is said, and is never a verdict.
func TestFewPermissions(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.MustKubectl(t, "-n", ns, "create", "serviceaccount", "viewer")
	user := "system:serviceaccount:" + ns + ":viewer"
	c.MustKubectl(t, "create", "clusterrolebinding", ns, "--clusterrole=view", "--serviceaccount="+ns+":viewer")
	t.Cleanup(func() { c.Kubectl(t, "delete", "clusterrolebinding", ns) })
	h, r := ask(t, c, "check", "--as", user)
	if h.Verdict != "Unknown" || r.Code != 0 {
		t.Errorf("%s (exit %d): %s %v", h.Verdict, r.Code, h.Summary, h.codes())
	}
	text := c.Kubectl(t, "dns", "check", "--as", user)
	if !strings.Contains(text.Stdout, "needs create pods/portforward in kube-system") {
		t.Errorf("the missing permission is not named:\n%s", text.Stdout)
	}
	if r := c.Kubectl(t, "dns", "check", "--as", user, "--require-complete"); r.Code != 4 {
		t.Errorf("--require-complete: exit %d", r.Code)
	}
	if r := c.Kubectl(t, "dns", "--as", "system:serviceaccount:"+ns+":default"); r.Code != 0 || !strings.Contains(r.Stdout, "Unknown:") {
		t.Errorf("without any permission: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestKilledInTheMiddle: the cluster removes a helper's Job by itself.
func TestKilledInTheMiddle(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.Apply(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"static"},"spec":{"terminationGracePeriodSeconds":0,"containers":[{"name":"c","image":"testapp:1","imagePullPolicy":"IfNotPresent"}]}}`, "-n", ns)
	running(t, c, ns, "static")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// A job that comes and goes between two looks is seen all the same.
	const ours = "app.kubernetes.io/managed-by=kubectl-dns"
	jobs := c.Watch(t, "kubectl", "get", "jobs", "-n", ns, "-l", ours, "-o", "name", "--watch")
	command := c.Command(ctx, "kubectl-dns", "check", "--from", "static", "-n", ns, "--probe", "pod")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	left := func() string {
		return strings.TrimSpace(c.MustKubectl(t, "get", "pods,jobs", "-n", ns, "-l", ours, "-o", "name"))
	}
	jobs.Await(t, 30*time.Second, "job", 1)
	_ = command.Process.Kill()
	_ = command.Wait()
	harness.Eventually(t, 120*time.Second, func() (string, bool) { l := left(); return "left behind: " + l, l == "" })
}
