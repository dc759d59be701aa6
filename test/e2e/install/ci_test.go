package install

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// What docs/ci.md deploys: something that any cluster runs.
const deploy = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: web, image: "docker.io/library/busybox:1.36", imagePullPolicy: IfNotPresent, command: [sleep, infinity]}
`

// snippet is one script of docs/ci.md, and where it stands.
type snippet struct{ where, script string }

var fence = regexp.MustCompile("(?ms)^```(sh|yaml)\n(.*?)^```$")

// snippets reads the page: shell blocks as they stand, and the scripts inside the YAML of each CI system. Steps that are
// named Install are left out: they download a release.
func snippets(t *testing.T) []snippet {
	t.Helper()
	page, err := os.ReadFile(root + "/docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []snippet
	for i, block := range fence.FindAllStringSubmatch(string(page), -1) {
		if block[1] == "sh" {
			found = append(found, snippet{fmt.Sprintf("block %d", i), block[2]})
			continue
		}
		var document struct {
			Jobs map[string]struct {
				Steps []struct{ Name, Run string }
			}
			Deploy struct {
				Script      []string
				AfterScript []string `json:"after_script"`
			}
			Spec struct {
				Steps []struct{ Name, Script string }
			}
		}
		if err := yaml.Unmarshal([]byte(block[2]), &document); err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		for _, job := range document.Jobs {
			for _, step := range job.Steps {
				if step.Run != "" && step.Name != "Install" {
					found = append(found, snippet{"GitHub: " + step.Name, step.Run})
				}
			}
		}
		if lines := slices.Concat(document.Deploy.Script, document.Deploy.AfterScript); len(lines) > 0 {
			found = append(found, snippet{"GitLab", strings.Join(lines, "\n")})
		}
		for _, step := range document.Spec.Steps {
			found = append(found, snippet{"Tekton: " + step.Name, step.Script})
		}
	}
	return found
}

func TestEverySnippetOfTheCIPageRuns(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	namespace := c.Namespace(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "deploy.yaml"), []byte(deploy), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Apply(t, deploy, "-n", namespace)
	summary := filepath.Join(dir, "summary")
	env := harness.Env("NAMESPACE="+namespace, "DEPLOYMENT=web", "GITHUB_STEP_SUMMARY="+summary)
	found := snippets(t)
	if len(found) < 10 {
		t.Fatalf("only %d snippets found", len(found))
	}
	for _, s := range found {
		t.Run(s.where, func(t *testing.T) {
			script := "cd " + dir + "\nset -euo pipefail\n" + s.script
			r := c.Run(t, 6*time.Minute, []harness.Option{path, env}, "bash", "-c", script)
			if r.Code != 0 {
				t.Errorf("exit %d\n%s\n%s%s", r.Code, s.script, r.Stdout, r.Stderr)
			}
		})
	}
	if text, err := os.ReadFile(summary); err != nil || !strings.Contains(string(text), "Complete") {
		t.Errorf("the step summary says %q (%v)", text, err)
	}
}

// The branches of the script with the exit codes, each with a rollout that ends so.
func TestTheShellScriptTellsTheEndsApart(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	var script string
	for _, s := range snippets(t) {
		if strings.Contains(s.script, "case $code in") {
			script = strings.ReplaceAll(s.script, "--timeout=5m", "--timeout=20s")
		}
	}
	tests := map[string]struct {
		change func(string) string
		after  []string
		code   int
		says   string
	}{
		"complete": {func(s string) string { return s }, nil, 0, "deployed"},
		"failed":   {func(s string) string { return strings.Replace(s, "busybox:1.36", "BUSYBOX", 1) }, nil, 1, "failed, see the cause above"},
		"in time": {func(s string) string {
			return strings.Replace(s, "replicas: 2", "replicas: 2\n  minReadySeconds: 600\n  progressDeadlineSeconds: 900", 1)
		}, nil, 1, "timed out"},
		"on hold": {func(s string) string { return s }, []string{"rollout", "pause", "deployment/web"}, 0, "on hold until a person acts"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := c.Namespace(t)
			c.Apply(t, tt.change(deploy), "-n", namespace)
			if tt.after != nil {
				c.MustKubectl(t, "rollout", "status", "deployment/web", "-n", namespace, "--timeout=90s")
				c.MustKubectl(t, append(tt.after, "-n", namespace)...)
				c.MustKubectl(t, "set", "env", "deployment/web", "CHANGED=yes", "-n", namespace)
			}
			r := c.Run(t, 3*time.Minute, []harness.Option{path, harness.Env("NAMESPACE="+namespace, "DEPLOYMENT=web")}, "bash", "-ec", script)
			if r.Code != tt.code || !strings.Contains(r.Stdout, tt.says) {
				t.Errorf("exit %d, want %d and %q\n%s%s", r.Code, tt.code, tt.says, r.Stdout, r.Stderr)
			}
		})
	}
}
