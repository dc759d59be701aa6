package nodeinfo

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// saved gives a fixture as a file that --from-input takes.
func saved(t *testing.T, fixture string) string {
	t.Helper()
	data, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = yaml.YAMLToJSON(data); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(filepath.Dir(fixture))+".json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// published prints a report without a cluster in each format, and has it read.
func published(t *testing.T, golden string, args ...string) testkit.Published {
	t.Helper()
	return testkit.ReadPublished(t, golden, func(format string) string {
		env := testkit.NewEnv("kubectl nodeinfo", now)
		if code := env.Run(t, New, append(args, "-o", format)...); code != 0 && !strings.Contains(args[1], "NodeDeleted") || code == 0 && env.Stderr.Len() > 0 {
			t.Fatalf("exit %d: %s", code, env.Stderr)
		}
		return env.Stdout.String()
	})
}

// The reports on all fixtures can be read by what reads these formats; a few are goldens.
func TestReportsForOtherTools(t *testing.T) {
	goldens := []string{"healthy", "ContainerRuntimeDown", "PodNotStarting", "only-nodes", "hostile-text"}
	fixtures, err := filepath.Glob("internal/evaluate/testdata/*/input.yaml")
	if err != nil || len(fixtures) < 50 {
		t.Fatalf("%d fixtures: %v", len(fixtures), err)
	}
	for _, fixture := range fixtures {
		name := filepath.Base(filepath.Dir(fixture))
		t.Run(name, func(t *testing.T) {
			input, golden := saved(t, fixture), ""
			if slices.Contains(goldens, name) {
				golden = name
			}
			list := published(t, "", "--from-input", input)
			if strings.Contains(input, "NodeDeleted") || len(list.JUnit.Suites[0].Cases) == 0 {
				return // its nodes are gone, and named in the file
			}
			env := testkit.NewEnv("kubectl nodeinfo", now)
			env.Run(t, New, "--from-input", input, "-o", "jsonpath={.items[0].name}")
			node := strings.TrimSpace(env.Stdout.String())
			published(t, golden, "--from-input", input, node)
		})
	}
}

func TestFormatsAgreeWithTheReport(t *testing.T) {
	p := published(t, "", "--from-input", saved(t, "internal/evaluate/testdata/ContainerRuntimeDown/input.yaml"))
	c := p.JUnit.Suites[0].Cases[0]
	if len(c.Failures) != 1 || c.Failures[0].Type != "ContainerRuntimeDown" || !strings.Contains(c.Failures[0].Text, "systemctl status containerd") {
		t.Errorf("%+v", c)
	}
	if p.Values["findings nodeinfo Node  "+strings.TrimPrefix(c.Name, "node/")+" ContainerRuntimeDown critical"] != 1 {
		t.Errorf("%v", p.Values)
	}
	if !slices.ContainsFunc(p.Markdown.Fences, func(s string) bool { return strings.HasPrefix(s, "systemctl status containerd") }) {
		t.Errorf("%q", p.Markdown.Fences)
	}
}

// A list of several nodes, as a monitor or a job summary has it.
func TestListsForOtherTools(t *testing.T) {
	p := published(t, "list", "--from-input", saved(t, "internal/evaluate/testdata/all-silent/input.yaml"))
	if cases := p.JUnit.Suites[0].Cases; len(cases) < 2 {
		t.Errorf("%d cases", len(cases))
	}
}

func TestFormatsForOtherToolsAreNotWatched(t *testing.T) {
	for _, format := range []string{"markdown", "junit", "prometheus"} {
		env := testkit.NewEnv("kubectl nodeinfo", now)
		code := env.Run(t, New, "-w", "-o", format)
		if want := "-o " + format + " prints one report and cannot be combined with --watch"; code != cli.ExitError || !strings.Contains(env.Stderr.String(), want) {
			t.Errorf("exit %d: %s", code, env.Stderr)
		}
	}
}
