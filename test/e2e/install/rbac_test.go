package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// roleOf is a plugin's ClusterRole as docs/rbac.md prints it, under a name of the test's own.
func roleOf(t *testing.T, plugin, name string) string {
	t.Helper()
	page, err := os.ReadFile(root + "/docs/rbac.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n## kubectl " + plugin + "\n.*?```yaml\n(.*?)```").FindStringSubmatch(string(page))
	if block == nil {
		t.Fatalf("docs/rbac.md has no role for %s", plugin)
	}
	return strings.Replace(block[1], "name: kubectl-"+plugin+"\n", "name: "+name+"\n", 1)
}

// limited gives a kubeconfig for a ServiceAccount that has this role and nothing else.
func limited(t *testing.T, c *harness.Cluster, plugin string) harness.Option {
	t.Helper()
	namespace := c.Namespace(t)
	c.Apply(t, roleOf(t, plugin, namespace))
	t.Cleanup(func() { c.Kubectl(t, "delete", "clusterrole,clusterrolebinding", namespace, "--ignore-not-found") })
	c.MustKubectl(t, "create", "serviceaccount", "user", "-n", namespace)
	c.MustKubectl(t, "create", "clusterrolebinding", namespace, "--clusterrole="+namespace, "--serviceaccount="+namespace+":user")
	token := strings.TrimSpace(c.MustKubectl(t, "create", "token", "user", "-n", namespace, "--duration=1h"))
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := c.MustKubectl(t, "config", "view", "--raw", "--minify", "--flatten")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	own := harness.Env("KUBECONFIG=" + file)
	for _, args := range [][]string{
		{"config", "set-credentials", "limited", "--token=" + token},
		{"config", "set-context", "--current", "--user=limited"},
	} {
		if r := c.Run(t, time.Minute, []harness.Option{own}, "kubectl", args...); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
	}
	if r := c.Run(t, time.Minute, []harness.Option{own}, "kubectl", "auth", "can-i", "get", "secrets", "-A"); r.Code == 0 {
		t.Fatal("the ServiceAccount may read Secrets: the test shows nothing")
	}
	return own
}

// The page of permissions is true: with its role alone, a plugin reports nothing as forbidden.
func TestTheDocumentedRolesAreEnough(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	node := c.MustKubectl(t, "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	more := map[string][][]string{
		"nodeinfo":        {{"nodeinfo", "-o", "json"}, {"nodeinfo", node, "-o", "json"}},
		"nodeshell":       {{"nodeshell", node, "--", "sleep", "70"}}, // outlives the guard's first deadline
		"dns":             {{"dns", "check", "-o", "json"}, {"dns", "verify", "-A", "-o", "json"}},
		"rollout-explain": {{"rollout-explain", "-A", "-o", "json"}, {"rollout-explain", "deployment/coredns", "-n", "kube-system", "-o", "json"}},
		"runbooks":        {{"runbooks", "-o", "json"}, {"runbooks", "-n", "kube-system", "-o", "json"}},
	}
	for _, name := range plugins(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := limited(t, c, name)
			for _, command := range more[name] {
				r := c.Run(t, 2*time.Minute, []harness.Option{path, own}, "kubectl", command...)
				if r.Code != 0 || strings.Contains(r.Stdout, `"state": "forbidden"`) || strings.Contains(strings.ToLower(r.Stderr), "forbidden") {
					t.Errorf("kubectl %s: exit %d\n%s\n%s", strings.Join(command, " "), r.Code, grep(r.Stdout, `"forbidden"`), r.Stderr)
				}
			}
		})
	}
}

// grep gives the lines around each match, to say which source it is.
func grep(text, word string) string {
	var b strings.Builder
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.Contains(line, word) {
			b.WriteString(strings.Join(lines[max(0, i-2):min(len(lines), i+5)], "\n") + "\n")
		}
	}
	return b.String()
}
