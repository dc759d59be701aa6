package rolloutexplain

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// A container whose log tries to be Markdown, XML and a command to a runner, in the formats that other tools read.
func TestReportsForOtherTools(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	namespace := c.Namespace(t)
	log := "::error::# <b>@everyone</b> | [x](https://evil.example) </details> </failure> ]]> & *boom*"
	c.Apply(t, app{replicas: 1, command: "echo '" + log + "'; exit 1"}.yaml(), "-n", namespace)
	saved := filepath.Join(t.TempDir(), "input.json") // one look for all formats
	read := func(format string) string {
		return c.Kubectl(t, "rollout-explain", "--from-input", saved, "-o", format).Stdout
	}
	harness.Eventually(t, 60*time.Second, func() (string, bool) {
		text := c.Kubectl(t, "rollout-explain", "deployment/api", "-n", namespace, "-o", "junit", "--save-input", saved).Stdout
		return text, strings.Contains(text, `type="ContainerCrashing"`) && strings.Contains(text, "everyone")
	})
	p := testkit.ReadPublished(t, "", read)
	if len(p.Markdown.Fences) == 0 || p.Markdown.Fences[0] != "| "+log {
		t.Errorf("the log is in no fence: %q", p.Markdown.Fences)
	}
	if f := p.JUnit.Suites[0].Cases[0].Failures; len(f) != 1 || !strings.Contains(f[0].Text, log) {
		t.Errorf("%+v", f)
	}
}
