package rolloutexplain

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// rightsOf gives a kubeconfig of a ServiceAccount that may do no more than the rules say.
func rightsOf(t *testing.T, c *harness.Cluster, ns, rules string) string {
	t.Helper()
	c.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: narrow}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: narrow}
rules: %s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: narrow}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: narrow}
subjects: [{kind: ServiceAccount, name: narrow}]
`, rules), "-n", ns)
	token := strings.TrimSpace(c.MustKubectl(t, "create", "token", "narrow", "-n", ns))
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := c.MustKubectl(t, "config", "view", "--raw", "--minify", "--flatten")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c.MustKubectl(t, "--kubeconfig", path, "config", "set-credentials", "narrow", "--token", token)
	c.MustKubectl(t, "--kubeconfig", path, "config", "set-context", "--current", "--user", "narrow")
	return path
}

const (
	appsOnly = `[{apiGroups: [apps], resources: [deployments, replicasets], verbs: [get, list]}]`
	noEvents = `[{apiGroups: [apps], resources: [deployments, replicasets], verbs: [get, list]}, {apiGroups: [""], resources: [pods], verbs: [list]}]`
)

// Who may read less gets the same root where the rest shows it, hears what was not read, and never a wrong verdict.
func TestNarrowRights(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	all(app{replicas: 1}.up(), app{replicas: 1, command: "echo broken; exit 3", extra: never(5)}.apply())(t, c, ns)
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		got := explain(t, c, ns, "deployment/api")
		return got.Summary, got.root() == "ContainerCrashing" && got.Verdict == "Stuck"
	})

	limited := rightsOf(t, c, ns, noEvents)
	got := explain(t, c, ns, "deployment/api", "--kubeconfig", limited)
	if got.root() != "ContainerCrashing" || got.Verdict != "Stuck" {
		t.Errorf("without events and logs: root %q, verdict %s: %s", got.root(), got.Verdict, got.Summary)
	}
	text := c.Kubectl(t, "rollout-explain", "-n", ns, "deployment/api", "--kubeconfig", limited)
	for _, want := range []string{"events: needs list events", "logs: needs get pods/log"} {
		if !strings.Contains(text.Stdout, want) {
			t.Errorf("it does not say %q:\n%s", want, text.Stdout)
		}
	}
	if r := c.Kubectl(t, "rollout-explain", "-n", ns, "deployment/api", "--kubeconfig", limited, "--require-complete"); r.Code != 4 {
		t.Errorf("--require-complete: exit %d, want 4", r.Code)
	}

	blind := rightsOf(t, c, ns, appsOnly)
	got = explain(t, c, ns, "deployment/api", "--kubeconfig", blind)
	if got.Verdict != "Unknown" || got.root() != "" {
		t.Errorf("without pods: root %q, verdict %s: %s", got.root(), got.Verdict, got.Summary)
	}
	none := rightsOf(t, c, ns, `[]`)
	if r := c.Kubectl(t, "rollout-explain", "-n", ns, "deployment/api", "--kubeconfig", none); r.Code != 1 || !strings.Contains(r.Stderr, "not allowed") {
		t.Errorf("without any right: exit %d: %s", r.Code, r.Stderr)
	}
}

// Events live an hour: what the objects themselves tell is enough for the same root.
func TestEventsExpired(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	for _, s := range []scenario{
		change("crash", "", 1, app{command: "echo broken; exit 3", extra: never(5)}, "ContainerCrashing", stuck, "", nil, 0),
		change("selector", "", 1, app{pod: "\n      nodeSelector: {disk: nvme}"}, "NodeAffinityUnsatisfied", stuck, "", nil, 0),
		change("configmap", "", 1, app{extra: "\n        env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}}]"}, "ConfigMapNotFound", stuck, "", nil, 0),
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ns := c.Namespace(t)
			all(s.steps...)(t, c, ns)
			harness.Eventually(t, 2*time.Minute, func() (string, bool) {
				got := explain(t, c, ns, s.target)
				return got.Verdict + ": " + got.Summary, got.root() == s.root && slices.Contains(s.verdict, got.Verdict)
			})
			c.MustKubectl(t, "delete", "events", "--all", "-n", ns)
			if got := explain(t, c, ns, s.target); got.root() != s.root || !slices.Contains(s.verdict, got.Verdict) {
				t.Errorf("root %q, verdict %s: %s", got.root(), got.Verdict, got.Summary)
			}
		})
	}
	t.Run("quota", func(t *testing.T) { // the condition of the ReplicaSet is all that is left
		t.Parallel()
		ns := c.Namespace(t)
		all(app{replicas: 1}.up(), apply(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: one}, spec: {hard: {pods: "1"}}}`), run("set", "env", "deployment/api", "V=2"))(t, c, ns)
		harness.Eventually(t, 2*time.Minute, func() (string, bool) {
			got := explain(t, c, ns, "deployment/api")
			return got.Verdict + ": " + got.Summary, got.root() == "QuotaExceeded"
		})
		c.MustKubectl(t, "delete", "events", "--all", "-n", ns)
		if got := explain(t, c, ns, "deployment/api"); got.root() != "QuotaExceeded" {
			t.Errorf("root %q, verdict %s: %s", got.root(), got.Verdict, got.Summary)
		}
	})
}

// A newer change ends the wait for an older one: it is neither success nor failure.
func TestWaitIsSuperseded(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	all(app{replicas: 1}.up(), app{replicas: 1, extra: never(5)}.apply())(t, c, ns)
	taken := func(revision string) { // a busy controller may take up two changes at once, and none for some seconds
		harness.Eventually(t, time.Minute, func() (string, bool) {
			got := c.MustKubectl(t, "get", "deployment", "api", "-n", ns, "-o", `jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}`)
			return got, got == revision
		})
	}
	taken("2")
	done, up := make(chan harness.Result, 1), make(chan struct{})
	go func() {
		done <- c.Run(t, 90*time.Second, []harness.Option{harness.OnSpeech(func() { close(up) })}, "kubectl", "rollout-explain", "-n", ns, "deployment/api", "--wait", "--timeout=80s")
	}()
	<-up
	c.MustKubectl(t, "set", "env", "deployment/api", "V=3", "-n", ns)
	if r := <-done; r.Code != 7 || !strings.Contains(r.Stderr, "Superseded: deployment/") {
		t.Errorf("exit %d, want 7: %s", r.Code, r.Stderr)
	}
	taken("3")
	if r := c.Kubectl(t, "rollout-explain", "-n", ns, "deployment/api", "--revision=2"); !strings.HasPrefix(r.Stdout, "Superseded: ") {
		t.Errorf("--revision=2: %s", r.Stdout)
	}
}

// A pod or ReplicaSet stands for the workload that controls it; the table lists all, worst first.
func TestClimbingAndTheTable(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	all(app{replicas: 1}.up(), app{name: "bad", replicas: 1, image: "'Foo:::'"}.apply(), app{name: "idle", replicas: 0}.apply())(t, c, ns)
	pod := strings.TrimSpace(c.MustKubectl(t, "get", "pods", "-n", ns, "-l", "app=api", "-o", "jsonpath={.items[0].metadata.name}"))
	rs := strings.TrimSpace(c.MustKubectl(t, "get", "rs", "-n", ns, "-l", "app=api", "-o", "jsonpath={.items[0].metadata.name}"))
	for _, target := range []string{"pod/" + pod, "rs/" + rs, "api"} {
		r := c.Kubectl(t, "rollout-explain", "-n", ns, target)
		if !strings.HasPrefix(r.Stdout, "Complete: deployment/api: ") {
			t.Errorf("%s: %s%s", target, r.Stdout, r.Stderr)
		}
	}
	harness.Eventually(t, time.Minute, func() (string, bool) {
		r := c.Kubectl(t, "rollout-explain", "-n", ns)
		lines := strings.Split(r.Stdout, "\n")
		return r.Stdout + r.Stderr, len(lines) == 5 && strings.HasPrefix(lines[0], "NAME ") && strings.HasPrefix(lines[1], "deployment/bad ") && strings.Contains(lines[1], "Failed")
	})
	if r := c.Kubectl(t, "rollout-explain", "-n", ns, "deployment/nope"); r.Code != 1 || !strings.Contains(r.Stderr, "not found") {
		t.Errorf("a missing one: exit %d: %s", r.Code, r.Stderr)
	}
	if r := c.Kubectl(t, "rollout-explain", "-n", ns, "--fail-on=critical", "deployment/bad"); r.Code != 3 {
		t.Errorf("--fail-on=critical: exit %d, want 3", r.Code)
	}
}

// A hundred rollouts cost as many calls as one, and those in trouble come first. No pod runs: the scheduler is one that does
// not exist, and the test plays the kubelet for the healthy ones.
func TestHundredRollouts(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	const healthy, broken = 93, 7
	var manifests strings.Builder
	for i := range healthy {
		manifests.WriteString(app{name: fmt.Sprintf("ok%02d", i), replicas: 1, pod: "\n      schedulerName: nobody"}.yaml() + "---\n")
	}
	c.Create(t, manifests.String(), "-n", ns)
	markReady(t, c, ns, healthy)
	manifests.Reset()
	for i := range broken {
		manifests.WriteString(app{name: fmt.Sprintf("zz%d", i), replicas: 1, pod: "\n      nodeSelector: {disk: nvme}"}.yaml() + "---\n")
	}
	c.Create(t, manifests.String(), "-n", ns)
	harness.Eventually(t, 2*time.Minute, func() (string, bool) {
		list := explain(t, c, ns)
		bad := 0
		for i, r := range list.Items {
			if i < broken && r.Verdict == "Stuck" && r.root() == "NodeAffinityUnsatisfied" || i >= broken && r.Verdict == "Complete" {
				continue
			}
			bad++
		}
		return fmt.Sprintf("%d of %d rows are not as they should be: %s", bad, len(list.Items), list.Summary), bad == 0 && len(list.Items) == healthy+broken
	})
	began := time.Now()
	r := c.Kubectl(t, "rollout-explain", "-n", ns, "-v=6")
	calls := 0
	for _, line := range strings.Split(r.Stderr, "\n") {
		calls += min(1, strings.Count(line, "verb=\"GET\""))
	}
	if calls == 0 || calls > 16 {
		t.Errorf("%d calls for a hundred rollouts:\n%.2000s", calls, r.Stderr)
	}
	t.Logf("%d calls, %s", calls, time.Since(began).Round(100*time.Millisecond))
}

// Revisions: history, a semantic difference with secrets masked, and a saved input that says the same offline.
func TestRevisionsAndOffline(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	env := func(v string) string {
		return "\n        env: [{name: DB_PASSWORD, value: " + v + "}, {name: MODE, value: " + v + "}]"
	}
	all(app{replicas: 1, extra: env("one")}.up(), app{replicas: 1, extra: env("two")}.up(), run("rollout", "undo", "deployment/api"), complete("deployment/api"))(t, c, ns)
	r := c.Kubectl(t, "rollout-explain", "-n", ns, "deployment/api", "--history", "--diff=2..3")
	for _, want := range []string{"containers[main].env[MODE]: two → one", "containers[main].env[DB_PASSWORD]: *** → ***", "REVISION"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("lacks %q:\n%s", want, r.Stdout)
		}
	}
	got := explain(t, c, ns, "deployment/api")
	if got.Revision == nil || got.Revision.Number != 3 {
		t.Errorf("after the undo the wanted revision is %+v, want 3", got.Revision)
	}

	saved := filepath.Join(t.TempDir(), "input.json")
	online := c.MustKubectl(t, "rollout-explain", "-n", ns, "deployment/api", "--save-input", saved)
	text, err := os.ReadFile(saved)
	if err != nil || strings.Contains(string(text), `"value": "two"`) && strings.Contains(passwords(string(text)), "two") {
		t.Errorf("the saved input holds a password: %v", err)
	}
	if offline := c.MustKubectl(t, "rollout-explain", "--from-input", saved); offline != online {
		t.Errorf("offline it says\n%s\nonline\n%s", offline, online)
	}
	dump := filepath.Join(t.TempDir(), "dump.yaml")
	if err := os.WriteFile(dump, []byte(c.MustKubectl(t, "get", "deployments,replicasets,pods,events", "-n", ns, "-o", "yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := c.Kubectl(t, "rollout-explain", "-f", dump, "deployment/api"); !strings.HasPrefix(r.Stdout, "Complete: deployment/api") {
		t.Errorf("from a dump: %s%s", r.Stdout, r.Stderr)
	}
}

// passwords gives the values of variables named DB_PASSWORD in a saved input.
func passwords(text string) string {
	var tree any
	if json.Unmarshal([]byte(text), &tree) != nil {
		return ""
	}
	var values []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if v["name"] == "DB_PASSWORD" {
				values = append(values, fmt.Sprint(v["value"]))
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(tree)
	return strings.Join(values, " ")
}
