package output

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"
)

func TestTableHidesWideColumnsAndTrims(t *testing.T) {
	table := TableText{
		Columns: []Column{{Header: "NAME"}, {Header: "VERDICT"}, {Header: "KERNEL", Wide: true}, {Header: "REASON", Flexible: true}},
		Rows:    [][]Cell{Text("w1", "Healthy", "6.1", ""), Text("w2", "Unhealthy", "6.2", "kubelet stopped")},
	}
	got := print(t, table, TableOptions{})
	want := "NAME   VERDICT     REASON\nw1     Healthy\nw2     Unhealthy   kubelet stopped\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	wide := print(t, table, TableOptions{Wide: true, NoHeaders: true, Indent: "  "})
	want = "  w1    Healthy     6.1\n  w2    Unhealthy   6.2   kubelet stopped\n"
	if d := cmp.Diff(want, wide); d != "" {
		t.Error(d)
	}
}

func TestTableWithoutRowsPrintsNothing(t *testing.T) {
	if got := print(t, TableText{Columns: []Column{{Header: "NAME"}}}, TableOptions{}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestTableCutsOnlyFreeTextAndOnlyOnATerminal(t *testing.T) {
	table := TableText{
		Columns: []Column{{Header: "NAME"}, {Header: "REASON", Flexible: true}},
		Rows:    [][]Cell{Text("a-node-with-a-long-name", "the kubelet stopped posting node status")},
	}
	got := print(t, table, TableOptions{NoHeaders: true, Terminal: Terminal{TTY: true, Width: 40}})
	if want := "a-node-with-a-long-name   the kubelet s…\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := print(t, table, TableOptions{NoHeaders: true}); !strings.Contains(got, "node status") {
		t.Errorf("cut off a terminal: %q", got)
	}
}

func TestTableColoursOnlyTheText(t *testing.T) {
	table := TableText{
		Columns: []Column{{Header: "VERDICT"}, {Header: "NAME"}},
		Rows:    [][]Cell{{{Text: "Unhealthy", Style: Bad}, {Text: "w1"}}, {{Text: "OK", Style: Good}, {Text: "w2", Style: Bad}}},
	}
	got := print(t, table, TableOptions{Terminal: Terminal{Color: true}})
	want := "VERDICT     NAME\n\x1b[31mUnhealthy\x1b[0m   w1\n\x1b[32mOK\x1b[0m          \x1b[31mw2\x1b[0m\n"
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%q", d, got)
	}
}

func TestTableNeutralisesHostileCells(t *testing.T) {
	table := TableText{Columns: []Column{{Header: "NAME"}}, Rows: [][]Cell{Text("a\x1b[2J\nfake   row\u202e\u009b")}}
	got := print(t, table, TableOptions{NoHeaders: true})
	if want := `a\x1b[2J fake   row\u202e\x9b` + "\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableKeepsLeadingSpaces(t *testing.T) {
	table := TableText{Columns: []Column{{Header: "NAME"}}, Rows: [][]Cell{Text("top"), Text("  child")}}
	if got, want := print(t, table, TableOptions{}), "NAME\ntop\n  child\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Beside kubectl's own printer, on random printable tables: equal but for trailing blanks, which kubectl leaves.
func TestTableEqualsKubectl(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 200 {
		columns := 1 + random.Intn(5)
		ours, theirs := TableText{}, &metav1.Table{}
		for c := range columns {
			name := fmt.Sprintf("H%s%d", strings.Repeat("x", random.Intn(8)), c)
			ours.Columns = append(ours.Columns, Column{Header: strings.ToUpper(name)})
			theirs.ColumnDefinitions = append(theirs.ColumnDefinitions, metav1.TableColumnDefinition{Name: name, Type: "string"})
		}
		for range 1 + random.Intn(5) {
			var row []string
			var cells []any
			for range columns {
				text := randomText(random)
				row, cells = append(row, text), append(cells, text)
			}
			ours.Rows = append(ours.Rows, Text(row...))
			theirs.Rows = append(theirs.Rows, metav1.TableRow{Cells: cells})
		}
		var b bytes.Buffer
		if err := printers.NewTablePrinter(printers.PrintOptions{}).PrintObj(theirs, &b); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for line := range strings.Lines(b.String()) {
			want.WriteString(strings.TrimRight(line, " \n") + "\n")
		}
		if d := cmp.Diff(want.String(), print(t, ours, TableOptions{})); d != "" {
			t.Fatalf("-kubectl +ours:\n%s", d)
		}
	}
}

func randomText(random *rand.Rand) string {
	b := make([]byte, random.Intn(12))
	for i := range b {
		b[i] = byte(0x21 + random.Intn(0x7e-0x21))
	}
	return string(b)
}

func print(t *testing.T, table TableText, o TableOptions) string {
	t.Helper()
	var b bytes.Buffer
	if err := table.Fprint(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
