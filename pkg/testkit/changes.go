package testkit

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// asUser stands for whatever connection flag a report was asked for with.
const asUser = "--as=jane"

// AsUser are the flags with which a plugin's fixtures are judged for CheckCarried.
func AsUser() finding.Kubectl { return finding.Kubectl{Flags: []string{asUser}} }

// CheckCarried holds every next command of reports made with AsUser against the rule that it goes to the same cluster as
// the same user: the flags stand in it, before a "--".
func CheckCarried(t testing.TB, reports []Report) {
	t.Helper()
	for _, r := range reports {
		for _, f := range r.Findings {
			for _, n := range f.Next {
				if !carried(n.Command) {
					t.Errorf("%s: %s: %s lacks the flags of the report", r.Fixture, f.Code, n.Command)
				}
			}
		}
	}
}

func carried(command string) bool {
	before, _, _ := strings.Cut(command+" ", " -- ")
	return !strings.HasPrefix(command, "kubectl ") || strings.Contains(before+" ", " "+asUser+" ")
}

// Changes says where the next commands that change something are executed: for each code the end-to-end test
// ("TestName", in test/e2e/PLUGIN), or why none can execute it. A command that is executed must heal, and the test
// requires that; a code whose command can neither be executed nor has a reason here must have none. What opens an editor
// is left out: it heals by what the user writes.
type Changes struct {
	Executed map[finding.Code]string
	Reasons  map[finding.Code]string
}

// CheckChanges holds the changing next commands of all reports against the register of changes. The name of the test must
// be found in the folder of end-to-end tests.
func CheckChanges(t testing.TB, folder string, c Changes, reports []Report) {
	t.Helper()
	tests := endToEndTests(t, folder)
	for _, complaint := range c.complaints(reports, tests) {
		t.Error(complaint)
	}
}

func (c Changes) complaints(reports []Report, tests string) []string {
	var list []string
	changing := map[finding.Code]bool{}
	for _, r := range reports {
		for _, f := range r.Findings {
			for _, n := range f.Next {
				if n.Risk != finding.Read && !strings.HasPrefix(n.Command, "kubectl edit ") {
					changing[f.Code] = true
				}
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(changing)) {
		if c.Executed[code] == "" && c.Reasons[code] == "" {
			list = append(list, string(code)+" has a command that changes something, which no end-to-end test executes, and no reason")
		}
	}
	for code, test := range c.Executed {
		if !changing[code] {
			list = append(list, string(code)+" has no command that changes anything")
		}
		if !regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(test) + `\(`).MatchString(tests) {
			list = append(list, string(code)+": there is no end-to-end test "+test)
		}
		if !strings.Contains(tests, `"`+string(code)+`"`) && !strings.Contains(tests, "// "+string(code)+":") {
			list = append(list, string(code)+": no end-to-end test names the code")
		}
	}
	for code := range c.Reasons {
		if !changing[code] || c.Executed[code] != "" {
			list = append(list, string(code)+" needs no reason")
		}
	}
	slices.Sort(list)
	return list
}

// endToEndTests gives the text of the tests of a plugin.
func endToEndTests(t testing.TB, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files: %v", folder, len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
