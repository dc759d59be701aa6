package harness

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// What the plugins say on clusters of other makes is a table of the docs, which real runs alone write: E2E_UPDATE=1 puts what was
// seen there, and without it each check must find its row, with what is expected of it now.
const (
	tableEnv  = "E2E_UPDATE"
	tablePage = "../../../docs/clusters.md"
	tableMark = "| cluster | test | command | expected | seen |\n|---|---|---|---|---|\n"
)

var (
	tableMu sync.Mutex
	renewed = map[string]bool{} // tests whose rows of earlier runs are gone
)

// Settle holds that a plugin's command said what is expected, a verdict or the code of a cause, and in which words: a row of
// docs/clusters.md. It is called where a test has found it so.
func (c *Cluster) Settle(t testing.TB, expected, seen string, args ...string) {
	t.Helper()
	if t.Failed() {
		return
	}
	tableMu.Lock()
	defer tableMu.Unlock()
	name := strings.ReplaceAll(t.Name(), "_", " ")
	head := "| " + strings.Join([]string{c.Make, name, "`" + plain(args) + "`", expected}, " | ") + " | "
	update := os.Getenv(tableEnv) != ""
	page, err := os.OpenFile(tablePage, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer page.Close()
	if err := syscall.Flock(int(page.Fd()), syscall.LOCK_EX); err != nil { // packages run beside each other
		t.Fatal(err)
	}
	text, err := os.ReadFile(tablePage)
	if err != nil {
		t.Fatal(err)
	}
	before, table, found := strings.Cut(string(text), tableMark)
	rows := slices.Collect(strings.Lines(table))
	if !found || !update && !slices.ContainsFunc(rows, func(row string) bool { return strings.HasPrefix(row, head) }) {
		t.Errorf("docs/clusters.md holds no such row (E2E_UPDATE=1 writes it): %s", head)
	}
	if !found || !update {
		return
	}
	of := c.Make + " | " + name
	rows = slices.DeleteFunc(rows, func(row string) bool {
		return !renewed[of] && strings.HasPrefix(row, "| "+of+" |") || strings.HasPrefix(row, head)
	})
	renewed[of] = true
	rows = append(rows, head+cell(seen)+" |\n")
	slices.Sort(rows)
	if err := os.WriteFile(tablePage, []byte(before+tableMark+strings.Join(rows, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// plain is a command without what each run has of its own: the namespace, and the form that the test reads.
func plain(args []string) string {
	var kept []string
	for i := 0; i < len(args); i++ {
		if args[i] == "-n" && i+1 < len(args) && strings.HasPrefix(args[i+1], "e2e-") || args[i] == "-o" {
			i++
			continue
		}
		kept = append(kept, args[i])
	}
	return strings.Join(kept, " ")
}

// own are the names that a test gives to its namespaces.
var own = regexp.MustCompile(`\be2e-[a-z0-9-]+-[0-9]+\b`)

// cell is a sentence as a table's cell.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ").Replace(own.ReplaceAllString(strings.TrimSpace(s), "NAMESPACE"))
}
