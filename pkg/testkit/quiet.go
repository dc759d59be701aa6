package testkit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Odd is a situation that looks like a fault while nothing is wrong: a row of the page docs/false-alarms/PLUGIN.md.
type Odd struct {
	Situation string // what looks like a fault, without a period
	Why       string // why nothing is wrong: one sentence
	Link      string // where upstream says so; may be empty
	Verdict   string // one of quietVerdicts

	// Judge gives the plugin's own judgment of a complete input that shows the situation.
	Judge func(t testing.TB) (verdict string, findings []finding.Finding)
}

// quietVerdicts are the verdicts of all plugins by which nothing is wrong.
var quietVerdicts = []string{"Healthy", "Complete", "Progressing", "Drainable", "Joined", "Joining"}

// Quiet requires that a plugin raises no alarm in any of the situations, and that its page holds exactly these rows. It is
// called from plugins/X/internal/evaluate; -update writes the page.
func Quiet(t *testing.T, plugin string, list []Odd) {
	t.Helper()
	seen := map[string]bool{}
	for _, row := range list {
		t.Run(row.Situation, func(t *testing.T) {
			if seen[row.Situation] {
				t.Error("the row stands twice")
			}
			seen[row.Situation] = true
			verdict, findings := row.Judge(t)
			for _, text := range complaints(row, verdict, findings) {
				t.Error(text)
			}
		})
	}
	GoldenFile(t, "../../../../docs/false-alarms/"+plugin+".md", quietPage(plugin, list))
}

// complaints says what is wrong with a row, and with what the plugin made of it.
func complaints(row Odd, verdict string, findings []finding.Finding) []string {
	var list []string
	if row.Situation == "" || strings.HasSuffix(row.Situation, ".") {
		list = append(list, fmt.Sprintf("situation %q: want text without a period at the end", row.Situation))
	}
	if !strings.HasSuffix(row.Why, ".") || strings.Contains(row.Why, ". ") {
		list = append(list, fmt.Sprintf("why %q: want one sentence with a period at the end", row.Why))
	}
	if row.Link != "" && !strings.HasPrefix(row.Link, "https://") {
		list = append(list, fmt.Sprintf("link %q: want https", row.Link))
	}
	if !slices.Contains(quietVerdicts, row.Verdict) {
		list = append(list, fmt.Sprintf("the row wants verdict %q, which is not one of %s", row.Verdict, strings.Join(quietVerdicts, ", ")))
	}
	if verdict != row.Verdict {
		list = append(list, fmt.Sprintf("verdict %s, want %s", verdict, row.Verdict))
	}
	for _, f := range findings {
		if f.Severity != finding.Info {
			list = append(list, fmt.Sprintf("false alarm: %s %s: %s", f.Severity, f.Code, f.Message))
		}
	}
	return list
}

func quietPage(plugin string, list []Odd) string {
	var b strings.Builder
	folder := "plugins/" + strings.ReplaceAll(plugin, "-", "") + "/internal/evaluate"
	fmt.Fprintf(&b, `# Healthy situations that look like faults: kubectl %s

In each of these %d situations the plugin must reach the verdict of the row, without a finding of severity critical or warning.
The inputs are in [quiet_test.go](../../%s/quiet_test.go), which writes this page:
`+"`go test ./%s -run Quiet -update`"+`.

| situation | why nothing is wrong | verdict |
|---|---|---|
`, plugin, len(list), folder, folder)
	cell := strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;")
	for _, row := range list {
		why := cell.Replace(row.Why)
		if row.Link != "" {
			why += " [Source](" + row.Link + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", cell.Replace(row.Situation), why, row.Verdict)
	}
	return b.String()
}
