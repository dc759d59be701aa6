package publish

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// hostile are strings that become something else than text wherever they are not escaped.
var hostile = []string{
	"# heading", "- item", "+ item", "1. item", "1) item", "---", "===", "> quote", "    indented", "```\nfence\n```", "~~~\nfence\n~~~",
	"a `code` b", "`", "```", "   `````", "~~~", "``` ` `` x", "*em* **strong** _em_ ~~gone~~", "[text](https://evil.example/)", "![x](https://evil.example/x.png)", "[x]: https://evil.example/",
	"[ ] task", "[x] task", "[^1]", "<script>alert(1)</script>", "<!-- comment", "</details>", "<details open>", "<https://evil.example>", "<b>&lt;&amp;&#60;</b>",
	"https://evil.example/", "www.evil.example", "me@evil.example", "@everyone", "fixes #12", "GH-12", "org/repo#12", ":rocket:", "$x$ $`y`$", "a | b", "| a | b |\n|---|---|\n| c | d |",
	"line\nbreak", "two  \nspaces", "tab\there", "\\", "\\\\`", "a\\", "trailing  ", "\x1b[31mred\x1b[0m", "\a\b\r", "\u202eevil", "\u2066x\u2069", "\u200bx", "\x80\xff", "\u0085", "\ufffe\uffff",
	`"quoted" 'single'`, "]]>", "<![CDATA[x]]>", "</failure>", "</system-out>", "&", "&undefined;", "name=\"x\"", "} 1\nfake_metric 2", `a"} 1`, "", " ", "*", "{{ .Secret }}",
	"::set-output name=x::y", "::error::x", "ж 漢字 émoji 🚀", "-->", "'''", "“smart”",
}

// sample is a report with this text in every place that the cluster fills.
func sample(text string) Report {
	ago := noon.Add(-time.Minute)
	f := finding.Finding{
		Code: "PodBroken", Severity: finding.Critical, Title: "t", Message: text + " m", Object: &finding.ObjectRef{Kind: "Pod", Namespace: "n", Name: text},
		Evidence: []finding.Evidence{{Source: "Pod " + text, Path: "status." + text, Value: text + " v", Time: &ago}},
		Next: []finding.Next{
			{Command: "kubectl get " + finding.Quote(text+"x"), Why: "why " + text, Answers: []string{"a " + text}, Risk: finding.Read},
			{Command: "kubectl delete x", Why: text + " w", Risk: finding.Destructive},
		},
	}
	minor := f
	minor.Severity, minor.Code = finding.Info, "Minor"
	log := &output.Log{Pod: "p" + text, Container: "c" + text, Lines: []string{text, "last " + text}}
	return Report{
		Plugin: "demo", Kind: "DemoList", Time: noon, Verdict: "Unhealthy", Summary: text + " s", Notes: nil,
		Subjects: []Subject{{
			Object: finding.ObjectRef{Kind: "Node", Name: "n" + text}, Title: "node/n" + text, Verdict: "Unhealthy", Summary: text + " sum",
			Findings:     []Finding{{Block: output.Block{Finding: f, Notes: []string{"for 1m"}, Log: log}}, {Block: output.Block{Finding: minor}, Folded: true}},
			Consequences: []finding.Consequence{{Code: "After", CausedBy: "PodBroken", Message: text + " c"}},
			Text:         "Unhealthy: " + output.Sanitize(text) + "\n  more\n", NotChecked: []string{"g " + text},
			Sources: source.List{{Name: "events", State: source.Forbidden, Message: text}},
		}},
		Sources: source.List{{Name: "events", State: source.Forbidden}},
	}
}

func printed(t testing.TB, kind output.FormatKind, r Report, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Print(&b, kind, r, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// With hostile strings every format has the parts that it has with plain ones, and holds the strings as data.
func checkHostile(t *testing.T, text string) {
	t.Helper()
	clean := output.Sanitize(text)
	r := sample(text)
	one := testkit.ReadMarkdown(t, printed(t, output.Markdown, r, Options{}))
	if d := cmp.Diff(testkit.ReadMarkdown(t, printed(t, output.Markdown, sample("word"), Options{})).Shape, one.Shape); d != "" {
		t.Errorf("%q changes the shape of the document: %s", text, d)
	}
	for _, want := range []string{clean + " sum", "why " + clean, "g " + clean, "After: " + clean + " c"} {
		want = strings.Join(strings.Fields(want), " ")
		if !slices.ContainsFunc(one.Texts, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q is not to be read in %q", want, one.Texts)
		}
	}
	if want := "kubectl get " + output.Sanitize(finding.Quote(text+"x")); one.Fences[1] != want {
		t.Errorf("the command is %q, not %q", one.Fences[1], want)
	}
	r.Subjects = append(r.Subjects, r.Subjects[0], Subject{Title: "node/good" + text, Verdict: "Healthy", Standing: Good, Summary: text})
	r.Notes, r.Errors = []string{text + " x"}, []Error{{"node/" + text, NotFound, text + " gone"}}
	list := testkit.ReadMarkdown(t, printed(t, output.Markdown, r, Options{}))
	plain := sample("word")
	plain.Subjects = append(plain.Subjects, plain.Subjects[0], Subject{Title: "node/good", Verdict: "Healthy", Standing: Good, Summary: "word"})
	plain.Notes, plain.Errors = []string{"word"}, []Error{{"node/x", NotFound, "gone"}}
	if d := cmp.Diff(testkit.ReadMarkdown(t, printed(t, output.Markdown, plain, Options{})).Shape, list.Shape); d != "" {
		t.Errorf("%q changes the shape of a list: %s", text, d)
	}

	suite := testkit.ReadJUnit(t, printed(t, output.JUnit, sample(text), Options{})).Suites[0]
	readable := strings.NewReplacer("\ufffe", "\ufffd", "\uffff", "\ufffd").Replace(clean)
	if f := suite.Cases[0].Failures; len(f) != 1 || f[0].Message != strings.TrimSpace(readable+" m") {
		t.Errorf("%q: the failure is %q", text, f)
	}
	families := testkit.ReadPrometheus(t, printed(t, output.Prometheus, sample(text), Options{}))
	want := map[string]float64{"demo Node  n" + clean + " Unhealthy": 1}
	if d := cmp.Diff(want, testkit.Series(families["kubectl_runbooks_verdict"], "plugin", "kind", "namespace", "name", "verdict")); d != "" {
		t.Error(d)
	}
}

func TestHostileStringsStayData(t *testing.T) {
	for _, text := range append(hostile, strings.Join(hostile, " "), strings.Join(hostile, "\n")) {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) { checkHostile(t, text) })
	}
}

func FuzzHostileStringsStayData(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(checkHostile)
}

// What prose writes reads as it was, but for blanks.
func TestProseReadsAsWritten(t *testing.T) {
	for _, text := range append(hostile, "node/w1: Ready (False), 3 of 4", "at 2026-11-20T11:56:36Z: x", strings.Join(hostile, " ")) {
		want := strings.Join(strings.Fields(output.Sanitize(text)), " ")
		got := testkit.ReadMarkdown(t, "- "+prose(text)+"\n").Texts
		if strings.Join(got, "\n") != want {
			t.Errorf("%q reads as %q", want, got)
		}
	}
	if got := prose(`the container "api" crashes (exit 1): 2/3 ready at 2026-11-20T11:56:36Z:`); strings.Contains(got, "`") {
		t.Errorf("plain words need no code: %s", got)
	}
}

// No line begins with what the runner of GitHub Actions takes for a command, where a report is printed to a job's log.
func TestNoLineIsACommandToARunner(t *testing.T) {
	for _, kind := range output.PublishedKinds() {
		for line := range strings.Lines(printed(t, kind, sample("::error::x"), Options{})) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "::") || strings.HasPrefix(line, "##[") {
				t.Errorf("%s: %s", kind, line)
			}
		}
	}
}

func TestMarkersOfGitHubStandInCode(t *testing.T) {
	for _, word := range []string{"@me", "#1", "GH-1", "a@b.example", "https://x.example", "www.x.example", ":x:", "$x$", "~~x~~", "org/repo#1"} {
		if got := prose("see " + word); got != "see `"+word+"`" {
			t.Errorf("%s: %s", word, got)
		}
	}
}

func TestJUnitFollowsTheExitCodes(t *testing.T) {
	with := func(severity finding.Severity, standing Standing, state source.State) Subject {
		s := Subject{
			Object: finding.ObjectRef{Kind: "Deployment", Namespace: "shop", Name: "api"}, Title: "deployment/api", Verdict: "V", Standing: standing, Summary: "why",
			Sources: source.List{{Name: "events", State: state}}, NotChecked: []string{"events: needs list events"},
		}
		if severity != "" {
			s.Findings = []Finding{{Block: output.Block{Finding: finding.Finding{Code: "C", Severity: severity, Message: "m"}}}}
		}
		return s
	}
	exempt := with(finding.Critical, Good, source.OK)
	exempt.Exempt = true
	for name, tt := range map[string]struct {
		subject Subject
		options Options
		want    string
	}{
		"never counts as critical":       {with(finding.Critical, Bad, source.OK), Options{FailOn: finding.ThresholdNever}, "failure C"},
		"a warning passes by default":    {with(finding.Warning, Bad, source.OK), Options{FailOn: finding.ThresholdNever}, ""},
		"a warning fails if asked for":   {with(finding.Warning, Bad, source.OK), Options{FailOn: finding.ThresholdWarning}, "failure C"},
		"a finding comes before a gap":   {with(finding.Critical, Bad, source.Forbidden), Options{RequireComplete: true}, "failure C"},
		"a gap passes by default":        {with("", Good, source.Forbidden), Options{}, ""},
		"a gap is an error if asked for": {with("", Good, source.Forbidden), Options{RequireComplete: true}, "error Incomplete"},
		"what is absent is no gap":       {with("", Good, source.Absent), Options{RequireComplete: true}, ""},
		"unread is skipped":              {with("", Unread, source.Forbidden), Options{}, "skipped"},
		"unread is an error if asked":    {with("", Unread, source.Unreachable), Options{RequireComplete: true}, "error Incomplete"},
		"a complete rollout passes":      {exempt, Options{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			suite := testkit.ReadJUnit(t, printed(t, output.JUnit, Report{Plugin: "p", Time: noon, Subjects: []Subject{tt.subject}}, tt.options)).Suites[0]
			c, got := suite.Cases[0], ""
			for element, list := range map[string][]testkit.JUnitOutcome{"failure": c.Failures, "error": c.Errors, "skipped": c.Skipped} {
				for _, o := range list {
					got = strings.TrimSpace(element + " " + o.Type)
				}
			}
			if got != tt.want || c.Class != "p.shop" || c.Name != "deployment/api" {
				t.Errorf("%q of %s %s, want %q", got, c.Class, c.Name, tt.want)
			}
			if !strings.Contains(*suite.Err, "not checked: events: needs list events") {
				t.Errorf("the gap is missing: %q", *suite.Err)
			}
		})
	}
}

func TestWhatHasNoVerdictIsAnError(t *testing.T) {
	r := Report{Plugin: "p", Time: noon, Summary: "no nodes", Errors: []Error{{"node/w9", NotFound, "this node does not exist"}}}
	suite := testkit.ReadJUnit(t, printed(t, output.JUnit, r, Options{})).Suites[0]
	if len(suite.Cases) != 1 || len(suite.Cases[0].Errors) != 1 || suite.Cases[0].Errors[0].Type != NotFound {
		t.Errorf("%+v", suite.Cases)
	}
	m := testkit.ReadMarkdown(t, printed(t, output.Markdown, r, Options{}))
	if m.First != "no nodes" || m.Texts[1] != "NotFound: node/w9: this node does not exist" {
		t.Errorf("%q", m.Texts)
	}
	if text := printed(t, output.Prometheus, r, Options{}); strings.Contains(text, "kubectl_runbooks_verdict") {
		t.Errorf("a family without series: %s", text)
	}
}

func TestSeriesAreCountedAndSorted(t *testing.T) {
	block := func(code finding.Code, severity finding.Severity) Finding {
		return Finding{Block: output.Block{Finding: finding.Finding{Code: code, Severity: severity}}}
	}
	gap := source.List{{Name: "events", State: source.Forbidden}, {Name: "pods", State: source.OK}, {Name: "metrics", State: source.Absent}}
	r := Report{Plugin: "p", Kind: "K", Time: noon, Sources: gap, Subjects: []Subject{
		{Context: "b", Object: finding.ObjectRef{Kind: "Node", Name: "w1"}, Verdict: "Bad", Findings: []Finding{block("C", finding.Critical), block("A", finding.Info), block("C", finding.Critical)}},
		{Context: "a", Object: finding.ObjectRef{Kind: "Node", Name: "w1"}, Verdict: "Good", Sources: source.List{{Name: "leases", State: source.Unreachable}}},
	}}
	text := printed(t, output.Prometheus, r, Options{})
	families := testkit.ReadPrometheus(t, text)
	for name, want := range map[string]map[string]float64{
		"kubectl_runbooks_verdict":                  {"a w1 Good": 1, "b w1 Bad": 1},
		"kubectl_runbooks_findings":                 {"b w1 C critical": 2, "b w1 A info": 1},
		"kubectl_runbooks_sources_unread":           {"K": 2},
		"kubectl_runbooks_report_timestamp_seconds": {"K": float64(noon.Unix())},
	} {
		if d := cmp.Diff(want, testkit.Series(families[name], "context", "name", "verdict", "code", "severity", "report")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	slices.Reverse(r.Subjects)
	if d := cmp.Diff(text, printed(t, output.Prometheus, r, Options{})); d != "" {
		t.Errorf("the order of nodes changes the text: %s", d)
	}
}

func TestALongListIsFolded(t *testing.T) {
	r := Report{Plugin: "p", Time: noon, Verdict: "Bad", Summary: "s"}
	for i := range unfolded + 5 {
		r.Subjects = append(r.Subjects, Subject{Title: fmt.Sprintf("node/w%d", i), Verdict: "Bad", Summary: "x", NotChecked: []string{"events: needs list events"}})
	}
	text := printed(t, output.Markdown, r, Options{})
	m := testkit.ReadMarkdown(t, text)
	if got := strings.Count(m.Shape, "Heading("); got != unfolded || !strings.Contains(text, "<summary>5 more</summary>") {
		t.Errorf("%d headings:\n%s", got, text)
	}
	if strings.Count(text, "needs list events") != 1 {
		t.Error("a gap that all share is told once")
	}
}

func TestOtherFormatsAreNotPublished(t *testing.T) {
	if err := Print(&bytes.Buffer{}, output.JSON, Report{}, Options{}); err == nil {
		t.Error("JSON is not this package's")
	}
}
