package dns

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// published prints a report without a cluster in each format, and has it read.
func published(t *testing.T, golden string, code int, args ...string) testkit.Published {
	t.Helper()
	return testkit.ReadPublished(t, golden, func(format string) string {
		env := testkit.NewEnv("kubectl dns", noon)
		if got := env.Run(t, New, append(args, "-o", format)...); got != code || env.Stderr.Len() > 0 {
			t.Fatalf("exit %d: %s", got, env.Stderr)
		}
		return env.Stdout.String()
	})
}

// The inputs were saved on a real cluster: from a pod whose only nameserver does not answer, and by a user who may read nothing.
func TestReportsForOtherTools(t *testing.T) {
	p := published(t, "pod-without-dns", 0, "check", "--from", "alone", "-n", "f-formats", "--from-input", "testdata/pod-without-dns/input.json")
	if p.Values["verdict dns DNSCheck f-formats alone Unhealthy"] != 1 || p.JUnit.Suites[0].Cases[0].Failures[0].Type != "DNSUnavailableFromPod" {
		t.Errorf("%v", p.Values)
	}
	p = published(t, "services-unread", 0, "check", "--from-input", "testdata/services-unread/input.json")
	if c := p.JUnit.Suites[0].Cases[0]; len(c.Skipped) != 1 || p.Values["sources_unread dns"] != 6 {
		t.Errorf("%+v, %v", c, p.Values)
	}
	p = published(t, "", cli.ExitIncomplete, "check", "--from-input", "testdata/services-unread/input.json", "--require-complete")
	if c := p.JUnit.Suites[0].Cases[0]; len(c.Errors) != 1 || c.Errors[0].Type != "Incomplete" {
		t.Errorf("%+v", c)
	}
	// --fail-on keeps its exit code, and what it names fails in JUnit: all findings, from info up.
	p = published(t, "", cli.ExitThreshold, "check", "--from-input", "testdata/pod-without-dns/input.json", "--fail-on", "info")
	if len(p.JUnit.Suites[0].Cases[0].Failures) != 1 {
		t.Errorf("%+v", p.JUnit)
	}
}

// Every command that prints a report prints it in these formats, under a name of its own.
func TestEveryCommandReportsForOtherTools(t *testing.T) {
	seen := map[string]bool{}
	for name, line := range flagCases {
		switch name {
		case "pod", "explain", "resolve", "names":
			continue // their input is that of a pod, a name or an object: in internal/evaluate
		}
		args := append(slices.DeleteFunc(slices.Clone(line), func(a string) bool { return strings.HasPrefix(a, "--") }), "--from-input", "testdata/pod-without-dns/input.json")
		p := published(t, "", 0, args...)
		for key := range p.Values {
			if rest, ok := strings.CutPrefix(key, "verdict dns "); ok {
				kind, _, _ := strings.Cut(rest, " ")
				if seen[kind] {
					t.Errorf("%s: two commands write series of kind %s", name, kind)
				}
				seen[kind] = true
			}
		}
	}
}

func TestFormatsForOtherToolsAreNotRepeated(t *testing.T) {
	for _, format := range []string{"markdown", "junit", "prometheus"} {
		if _, code, stderr := options(t, "top", "--watch", "-o", format); code != cli.ExitError || !strings.Contains(stderr, "prints one report and cannot be combined with --watch") {
			t.Errorf("exit %d: %s", code, stderr)
		}
		if _, code, stderr := options(t, "logs", "-f", "-o", format); code != cli.ExitError || !strings.Contains(stderr, "--follow prints lines, not a report") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	}
}
