package rolloutexplain

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// published prints a report without a cluster in each format, and has it read.
func published(t *testing.T, golden string, args ...string) testkit.Published {
	t.Helper()
	return testkit.ReadPublished(t, golden, func(format string) string {
		env := testkit.NewEnv("kubectl rollout-explain", time.Time{})
		if code := env.Run(t, New, append(args, "-o", format)...); code != 0 || env.Stderr.Len() > 0 {
			t.Fatalf("exit %d: %s", code, env.Stderr)
		}
		return env.Stdout.String()
	})
}

// The reports on all real rollouts can be read by what reads these formats, and agree with the JSON; a few are goldens.
func TestReportsForOtherTools(t *testing.T) {
	goldens := []string{"healthy", "exec-format-script", "webhook-unreachable", "hostile-log", "pods-unread"}
	for _, input := range replays(t) {
		name := filepath.Base(filepath.Dir(input))
		t.Run(name, func(t *testing.T) {
			golden := ""
			if slices.Contains(goldens, name) {
				golden = name
			}
			p := published(t, golden, "--from-input", input)
			env := testkit.NewEnv("kubectl rollout-explain", time.Time{})
			env.Run(t, New, "--from-input", input, "-o", "json")
			var list report.List
			if err := json.Unmarshal(env.Stdout.Bytes(), &list); err != nil {
				t.Fatal(err)
			}
			agrees(t, p, list.Items[0])
		})
	}
}

// agrees holds the formats against the report: verdict and findings, and a failure exactly where --fail-on=critical is reached.
func agrees(t *testing.T, p testkit.Published, r report.Rollout) {
	t.Helper()
	object := strings.Join([]string{"rollout-explain", r.Object.Kind, r.Object.Namespace, r.Object.Name}, " ")
	if p.Values["verdict "+object+" "+string(r.Verdict)] != 1 {
		t.Errorf("%s %s is not in %v", object, r.Verdict, p.Values)
	}
	critical := ""
	for _, f := range r.Findings {
		if p.Values["findings "+object+" "+string(f.Code)+" "+string(f.Severity)] < 1 {
			t.Errorf("%s %s is not in %v", f.Code, f.Severity, p.Values)
		}
		if f.Severity == "critical" && critical == "" && r.Verdict != report.Complete {
			critical = string(f.Code)
		}
		for _, n := range f.Next {
			if f.Role == report.RootCause && !slices.Contains(p.Markdown.Fences, n.Command) {
				t.Errorf("%q is in no fence of %q", n.Command, p.Markdown.Fences)
			}
		}
	}
	failed := ""
	if c := p.JUnit.Suites[0].Cases[0]; len(c.Failures) > 0 {
		failed = c.Failures[0].Type
	}
	if failed != critical {
		t.Errorf("the case fails by %q, the report by %q", failed, critical)
	}
}

// A dump with several rollouts is a list: those that are named have their text, the others are told in short.
func TestListsForOtherTools(t *testing.T) {
	p := published(t, "list", "-f", "testdata/published/list.yaml")
	if cases := p.JUnit.Suites[0].Cases; len(cases) < 2 {
		t.Errorf("%d cases", len(cases))
	}
}

// What one look prints after a wait is the last report; -w prints many.
func TestFormatsForOtherToolsAreNotWatched(t *testing.T) {
	for _, format := range []string{"markdown", "junit", "prometheus"} {
		env := testkit.NewEnv("kubectl rollout-explain", time.Time{})
		code := env.Run(t, New, "-w", "-o", format)
		if want := "-o " + format + " prints one report and cannot be combined with --watch"; code != cli.ExitError || !strings.Contains(env.Stderr.String(), want) {
			t.Errorf("exit %d: %s", code, env.Stderr)
		}
		var got *Options
		env = testkit.NewEnv("kubectl rollout-explain", time.Time{})
		command := newCommand(env.Env, func(o *Options) error { got = o; return nil })
		command.SetArgs([]string{"deployment/api", "--wait", "-o", format})
		if err := command.Execute(); err != nil || got == nil || !got.Wait {
			t.Errorf("--wait -o %s: %v", format, err)
		}
	}
}
