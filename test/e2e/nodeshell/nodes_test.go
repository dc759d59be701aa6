package nodeshell

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// Not in parallel: it looks at the namespaces of every session.
// PodSecurityViolated: the next command makes a namespace for the session.
func TestPodSecurity(t *testing.T) {
	c := cluster(t)
	ns := c.Namespace(t)
	c.MustKubectl(t, "label", "namespace", ns, "pod-security.kubernetes.io/enforce=baseline")
	r := run(t, c, "w1", "-n", ns, "--", "true")
	if r.Code != 125 || !strings.Contains(r.Stderr, `enforces Pod Security Standard "baseline`) || !strings.Contains(r.Stderr, "--create-namespace") {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
	if r = run(t, c, "w1", "--create-namespace", "--", "hostname"); r.Code != 0 || r.Stdout != "w1\n" {
		t.Errorf("code %d: %q %s", r.Code, r.Stdout, r.Stderr)
	}
	harness.Eventually(t, time.Minute, func() (string, bool) {
		rest := c.MustKubectl(t, "get", "namespaces", "-l", "app.kubernetes.io/managed-by=kubectl-nodeshell", "-o", "name")
		return rest, rest == ""
	})
}

// mutating gives the manifest of a policy that patches every pod made in a namespace, as a CEL expression of JSONPatch says.
func mutating(expression string) func(ns string) string {
	return func(ns string) string {
		return fmt.Sprintf(`apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  reinvocationPolicy: Never
  mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[%[2]s]'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s}
`, ns, expression)
	}
}

// bind applies what bounds or changes the pods of a namespace; policies, which are not of the namespace, go with the test.
func bind(t *testing.T, c *harness.Cluster, ns, manifest string) {
	t.Helper()
	c.Apply(t, manifest)
	if strings.Contains(manifest, "MutatingAdmissionPolicy") {
		t.Cleanup(func() {
			c.Kubectl(t, "delete", "mutatingadmissionpolicy,mutatingadmissionpolicybinding", ns, "--ignore-not-found")
		})
	}
}

// What a namespace bounds, changes or rejects: the finding's own way out of it, pasted, runs the same call. The codes:
// QuotaOrLimitRangeViolated: a quota without room; MemoryLimitReached: a default limit that the command passes;
// PodMutatedByAdmission: another image; PlacementRejected: a node selector that admission adds.
func TestTheWayOutOfANamespaceRunsTheCall(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	for _, tt := range []struct {
		code  string
		says  string
		bound func(ns string) string
		call  []string
		want  string
	}{
		{"QuotaOrLimitRangeViolated", "QuotaOrLimitRangeViolated", func(ns string) string {
			return fmt.Sprintf("apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none, namespace: %s}\nspec: {hard: {pods: 0}}\n", ns)
		}, []string{"hostname"}, "w1\n"},
		{"MemoryLimitReached", "has a memory limit of 32Mi", func(ns string) string {
			return fmt.Sprintf("apiVersion: v1\nkind: LimitRange\nmetadata: {name: small, namespace: %s}\nspec: {limits: [{type: Container, default: {memory: 32Mi}, defaultRequest: {memory: 16Mi}}]}\n", ns)
		}, []string{"bash", "-c", "set -o pipefail; head -c 100000000 /dev/zero | tail -c 90000000 | wc -c"}, "90000000\n"},
		{"PodMutatedByAdmission", "PodMutatedByAdmission", mutating(`JSONPatch{op: "replace", path: "/spec/containers/0/image", value: "docker.io/library/testapp:1"}`), []string{"hostname"}, "w1\n"},
		{"PodMutatedByAdmission", "PodMutatedByAdmission", func(ns string) string { // by what leaves a dry run alone
			return strings.Replace(mutating(`JSONPatch{op: "replace", path: "/spec/containers/0/image", value: "docker.io/library/testapp:1"}`)(ns),
				"  reinvocationPolicy", "  matchConditions: [{name: made, expression: 'request.dryRun != true'}]\n  reinvocationPolicy", 1)
		}, []string{"hostname"}, "w1\n"},
		{"PlacementRejected", "PlacementRejected", mutating(`JSONPatch{op: "add", path: "/spec/nodeSelector", value: {"no-such-label": "x"}}`), []string{"hostname"}, "w1\n"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			ns := c.Namespace(t)
			bind(t, c, ns, tt.bound(ns))
			var said string
			harness.Eventually(t, time.Minute, func() (string, bool) { // quotas are counted and policies compiled a moment later
				r := run(t, c, append([]string{"w1", "-n", ns, "--"}, tt.call...)...)
				said = r.Stderr
				return fmt.Sprintf("code %d: %s%s", r.Code, r.Stdout, r.Stderr), r.Code != 0 && strings.Contains(r.Stderr, tt.says)
			})
			line := ""
			for l := range strings.Lines(said) {
				if l = strings.TrimSpace(l); line == "" && strings.HasPrefix(l, "kubectl nodeshell ") {
					line = l
				}
			}
			if r := c.Sh(t, line); r.Code != 0 || r.Stdout != tt.want {
				t.Errorf("%q: code %d: %q %s\nof %s", line, r.Code, r.Stdout, r.Stderr, said)
			}
			nothingLeft(t, c, ns)
		})
	}
}

func TestAnImageThatCannotBePulledIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	// Not on w1, where pulls that hang are waited for: a kubelet pulls one image at a time.
	began := time.Now()
	r := run(t, c, "w2", "-n", ns, "--image", "127.0.0.1:9/none:1", "--", "true")
	if r.Code != 125 || !strings.Contains(r.Stderr, "cannot use image") || !strings.Contains(r.Stderr, "connection refused") || !strings.Contains(r.Stderr, "--no-pull") {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
	if took := time.Since(began); took > time.Minute { // a second on an idle machine; a pull that is waited for takes minutes
		t.Errorf("it took %s", took)
	}
	if r = run(t, c, "w2", "-n", ns, "--image", "docker.io/library/testapp:1", "--", "true"); r.Code != 125 || !strings.Contains(r.Stderr, "busybox") {
		t.Errorf("an image without sh: code %d: %s", r.Code, r.Stderr)
	}
	if r = run(t, c, "w2", "-n", ns, "--image", "Not:A:Name", "--", "true"); r.Code != 125 {
		t.Errorf("no name: code %d: %s", r.Code, r.Stderr)
	}
	nothingLeft(t, c, ns)
}

func TestNoPullRunsTheHostsOwnTools(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	r := run(t, c, "w1", "--no-pull", "--", "sh", "-c", "hostname; exit 6")
	if r.Code != 6 || r.Stdout != "w1\n" {
		t.Errorf("code %d: %q %s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestCordonedAndTaintedNodes(t *testing.T) {
	c := cluster(t)
	c.MustKubectl(t, "cordon", "w2")
	c.MustKubectl(t, "taint", "node", "w2", "e2e=x:NoExecute")
	t.Cleanup(func() {
		c.Kubectl(t, "uncordon", "w2")
		c.Kubectl(t, "taint", "node", "w2", "e2e-")
	})
	if r := run(t, c, "w2", "--", "hostname"); r.Code != 0 || r.Stdout != "w2\n" {
		t.Errorf("code %d: %q %s", r.Code, r.Stdout, r.Stderr)
	}
}

// breakW2 breaks w2, and leaves it to the next test as it was: a condition outlives its cause by some seconds.
func breakW2(t *testing.T, c *harness.Cluster, fault string) {
	t.Helper()
	heal := c.Fault(t, fault, "w2")
	t.Cleanup(func() {
		heal()
		for condition, status := range map[string]string{"Ready": "True", "PIDPressure": "False", "DiskPressure": "False"} {
			nodeBecomes(t, c, condition, status)
		}
	})
}

func podIn(phase string) func(*testing.T, *harness.Cluster, string) bool {
	return func(t *testing.T, c *harness.Cluster, namespace string) bool {
		t.Helper()
		return c.MustKubectl(t, "get", "pods", "-n", namespace, "-l", "app.kubernetes.io/managed-by=kubectl-nodeshell", "-o", "jsonpath={.items[*].status.phase}") == phase
	}
}

func TestANodeWithoutPodNetwork(t *testing.T) {
	c := cluster(t)
	breakW2(t, c, "break-cni")
	nodeBecomes(t, c, "Ready", "False")
	if r := run(t, c, "w2", "--", "hostname"); r.Code != 0 || r.Stdout != "w2\n" || !strings.Contains(r.Stderr, "not ready") {
		t.Errorf("code %d: %q %s", r.Code, r.Stdout, r.Stderr)
	}
}

// NodePressure: the next command enters as a critical pod.
func TestANodeUnderPressure(t *testing.T) {
	c := cluster(t)
	breakW2(t, c, "pid-pressure")
	nodeBecomes(t, c, "PIDPressure", "True")
	if r := run(t, c, "w2", "--", "true"); r.Code != 125 || !strings.Contains(r.Stderr, "--critical") || !strings.Contains(r.Stderr, "PIDPressure") {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
	if r := run(t, c, "w2", "-n", "kube-system", "--critical", "--", "hostname"); r.Code != 0 || r.Stdout != "w2\n" || !strings.Contains(r.Stderr, "preempts another pod") {
		t.Errorf("code %d: %q %s", r.Code, r.Stdout, r.Stderr)
	}
}

// A kubelet that is restarted in the middle of a command: whatever comes out, it is never success. What the command
// itself would have ended with is not known any more, also where that is 0.
func TestKubeletRestartIsNeverSuccess(t *testing.T) {
	c := cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	type result struct {
		line, out string
		err       error
	}
	lines := []string{"sleep 765435; exit 3", "sleep 15; sleep 765435; exit 0", "sleep 765435 & sleep 10; kill $!; exit 0"}
	done := make(chan result)
	for _, line := range lines {
		cmd := c.Command(ctx, "kubectl", "nodeshell", "w2", "--", "sh", "-c", "echo begun; "+line)
		go func() {
			out, err := cmd.CombinedOutput()
			done <- result{line, string(out), err}
		}()
	}
	harness.Eventually(t, time.Minute, func() (string, bool) {
		running := processes(t, c, "w2", "sleep ")
		return "not all have begun: " + running, strings.Contains(running, "sleep 15") && strings.Contains(running, "sleep 10") && strings.Contains(running, "sleep 765435")
	})
	heal := c.Fault(t, "stop-kubelet", "w2")
	heal()
	for range lines {
		r := <-done
		var exit *exec.ExitError
		if !asExit(r.err, &exit) || exit.ExitCode() != 125 || !strings.Contains(r.out, "unknown") {
			t.Errorf("%q: %v: %s", r.line, r.err, r.out)
		}
	}
	nothingLeft(t, c, "")
	processGone(t, c, "w2", "sleep 765435", time.Minute)
}

func asExit(err error, to **exec.ExitError) bool {
	return errors.As(err, to)
}

// One node of three is dead: the others' results, the right codes, in bounded time; and nothing waits for the dead one.
func TestADeadNode(t *testing.T) {
	c := cluster(t)
	breakW2(t, c, "stop-kubelet")
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		r := run(t, c, "w2", "--dry-run", "--", "true")
		return r.Stderr, strings.Contains(r.Stderr, "has not reported for")
	})
	began := time.Now()
	r := run(t, c, "w2", "--", "true")
	took := time.Since(began)
	if r.Code != 125 || !strings.Contains(r.Stderr, "has not reported for") {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
	t.Logf("refused in %s", took)
	if took > 20*time.Second { // under a second on an idle machine; a kubelet that is waited for takes 30
		t.Errorf("it took %s", took)
	}
	r = run(t, c, "--all", "--", "hostname")
	if r.Code != 125 || !strings.Contains(r.Stdout, "[w1] w1\n") || !strings.Contains(r.Stdout, "[cp1] cp1\n") || !strings.Contains(r.Stderr, "node/w2: the kubelet") {
		t.Errorf("code %d: %q %s", r.Code, r.Stdout, r.Stderr)
	}
	t.Run("forced and killed", func(t *testing.T) {
		ns := c.Namespace(t)
		ctx, cancel := context.WithCancel(t.Context())
		cmd := c.Command(ctx, "kubectl", "nodeshell", "w2", "-n", ns, "--force", "--", "true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 30*time.Second, func() (string, bool) { return "no pod", podIn("Pending")(t, c, ns) })
		cancel()
		_ = cmd.Wait()        // killed
		nothingLeft(t, c, ns) // with no kubelet to confirm it: the pod has never run
	})
}

func nodeBecomes(t *testing.T, c *harness.Cluster, condition, status string) {
	t.Helper()
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		got := c.MustKubectl(t, "get", "node", "w2", "-o", `jsonpath={.status.conditions[?(@.type=="`+condition+`")].status}`)
		return condition + " is " + got, got == status
	})
}

func TestCleanupFindsWhatAKilledClientWithoutAJobHasLeft(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := c.Command(ctx, "kubectl", "nodeshell", "w1", "-n", ns, "--no-job", "--", "sleep", "765433")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, func() (string, bool) { return "not running", podIn("Running")(t, c, ns) })
	if r := run(t, c, "cleanup", "-n", ns); r.Code != 0 || !strings.Contains(r.Stdout, "kept") {
		t.Errorf("a session that runs: code %d, %s", r.Code, r.Stdout)
	}
	cancel()
	_ = cmd.Wait() // killed
	harness.Eventually(t, time.Minute, func() (string, bool) { return "its lease has not ended", podIn("Failed")(t, c, ns) })
	if r := run(t, c, "cleanup", "-n", ns); r.Code != 0 || !strings.Contains(r.Stdout, "deleted") {
		t.Errorf("code %d, %s %s", r.Code, r.Stdout, r.Stderr)
	}
	nothingLeft(t, c, ns)
	if r := run(t, c, "cleanup", "-n", ns); r.Code != 0 || !strings.Contains(r.Stderr, "no leftovers") {
		t.Errorf("code %d, %s %s", r.Code, r.Stdout, r.Stderr)
	}
}

// What the cluster cannot remove by itself, the next session in that namespace does: the object of a pod without a Job,
// and a namespace that was made for a session.
func TestARunReapsWhatKilledClientsHaveLeft(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	mark := "e2e-reap=" + ns
	for _, flags := range [][]string{{"-n", ns, "--no-job"}, {"--create-namespace"}} {
		args := append([]string{"nodeshell", "w1", "--labels", mark}, flags...)
		if err := c.Command(ctx, "kubectl", append(args, "--", "sleep", "765436")...).Start(); err != nil {
			t.Fatal(err)
		}
	}
	marked := func(path string) string {
		return strings.TrimSpace(c.MustKubectl(t, "get", "pods", "-A", "-l", mark, "-o", "jsonpath={range .items[*]}"+path+" {end}"))
	}
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		phases := marked("{.status.phase}")
		return phases, phases == "Running Running"
	})
	made := strings.TrimSpace(strings.ReplaceAll(marked("{.metadata.namespace}"), ns, ""))
	cancel() // both are killed
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		phases := marked("{.status.phase}")
		return phases, phases == "Failed" && time.Since(began) > 65*time.Second // younger ones may still have a client
	})
	if !strings.HasPrefix(made, "nodeshell-") { // a run of another test may have removed it by now
		t.Errorf("the session's own namespace is %q", made)
	}
	if r := run(t, c, "w1", "-n", ns, "--", "sleep", "3"); r.Code != 0 {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
	nothingLeft(t, c, ns)
	harness.Eventually(t, time.Minute, func() (string, bool) {
		rest := c.MustKubectl(t, "get", "namespace", made, "--ignore-not-found")
		return rest, rest == "" || strings.Contains(rest, "Terminating")
	})
}
