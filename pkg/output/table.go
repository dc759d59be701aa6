package output

import (
	"bytes"
	"io"
	"regexp"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Column is a table column. Wide columns show only with -o wide. A Flexible column holds free text (a reason, a
// message): on a terminal too narrow for the table it is cut, and only there; off a terminal nothing is cut.
type Column struct {
	Header   string
	Wide     bool
	Flexible bool
}

// Cell is one value, in the meaning of its Style.
type Cell struct {
	Text  string
	Style Style
}

// Text makes plain cells.
func Text(texts ...string) []Cell {
	cells := make([]Cell, len(texts))
	for i, t := range texts {
		cells[i].Text = t
	}
	return cells
}

// TableText is a table in kubectl's look: upper-case headers, no borders, three spaces between columns.
type TableText struct {
	Columns []Column
	Rows    [][]Cell
}

// TableOptions say how to print a table. Without rows there is no header either, as in kubectl.
type TableOptions struct {
	Wide      bool
	NoHeaders bool
	Indent    string // before each line
	Terminal  Terminal
}

// minimum cell width, so that short columns stand where kubectl puts them: its tabwriter has a minimum column width of
// 6, three of which are padding (https://github.com/kubernetes/cli-runtime/blob/master/pkg/printers/tabwriter.go).
const (
	minCell = 3
	gap     = 3
)

// The cells of a fleet do not fit into the cache of widths: to look there and to throw out the oldest takes longer than to
// count. A table of 1,000 rows and 14 columns took 60 ms with it, and takes 33 ms without.
func init() { twwidth.SetCacheCapacity(0) }

// Fprint writes the table.
func (t TableText) Fprint(w io.Writer, o TableOptions) error {
	shown := t.shown(o.Wide)
	if len(t.Rows) == 0 || len(shown) == 0 {
		return nil
	}
	rows := make([][]Cell, 0, len(t.Rows))
	for _, row := range t.Rows {
		cells := make([]Cell, 0, len(shown))
		for _, i := range shown {
			cell := Cell{}
			if i < len(row) {
				cell = row[i]
			}
			cell.Text = strings.TrimRight(Sanitize(cell.Text), " ")
			cells = append(cells, cell)
		}
		rows = append(rows, cells)
	}
	t.fit(rows, shown, o)

	var b bytes.Buffer
	table := tablewriter.NewTable(&b, tablewriter.WithRenderer(borderless()), tablewriter.WithConfig(kubectlLook()))
	if !o.NoHeaders {
		headers := make([]any, 0, len(shown))
		for _, i := range shown {
			headers = append(headers, pad(t.Columns[i].Header))
		}
		table.Header(headers...)
	}
	for _, row := range rows {
		texts := make([]string, 0, len(row))
		for _, cell := range row {
			texts = append(texts, o.Terminal.Paint(protect(cell.Text), cell.Style)+strings.Repeat(" ", max(0, minCell-twwidth.Width(cell.Text))))
		}
		if err := table.Append(texts); err != nil {
			return err
		}
	}
	if err := table.Render(); err != nil {
		return err
	}
	return writeTrimmed(w, b.String(), o.Indent)
}

func (t TableText) shown(wide bool) []int {
	var shown []int
	for i, c := range t.Columns {
		if wide || !c.Wide {
			shown = append(shown, i)
		}
	}
	return shown
}

// fit cuts the flexible columns, last first, until the table is no wider than the terminal.
func (t TableText) fit(rows [][]Cell, shown []int, o TableOptions) {
	if !o.Terminal.TTY || o.Terminal.Width <= 0 {
		return
	}
	total := len(o.Indent) - gap
	widths := make([]int, len(shown))
	for c, i := range shown {
		widths[c] = max(minCell, twwidth.Width(t.Columns[i].Header))
		for _, row := range rows {
			widths[c] = max(widths[c], twwidth.Width(row[c].Text))
		}
		total += widths[c] + gap
	}
	for c := len(shown) - 1; c >= 0 && total > o.Terminal.Width; c-- {
		if !t.Columns[shown[c]].Flexible {
			continue
		}
		least := max(12, twwidth.Width(t.Columns[shown[c]].Header))
		room := max(least, widths[c]-(total-o.Terminal.Width))
		if room >= widths[c] {
			continue
		}
		for _, row := range rows {
			row[c].Text = Truncate(row[c].Text, room)
		}
		total -= widths[c] - room
	}
}

// Width is the number of terminal columns that text takes.
func Width(text string) int { return twwidth.Width(text) }

// Truncate cuts text to width columns, the last of which is then an ellipsis.
func Truncate(text string, width int) string {
	if twwidth.Width(text) <= width {
		return text
	}
	var b strings.Builder
	used := 0
	for _, r := range text {
		w := twwidth.Width(string(r))
		if used+w > width-1 {
			break
		}
		used += w
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " ") + "…"
}

func pad(text string) string {
	return text + strings.Repeat(" ", max(0, minCell-twwidth.Width(text)))
}

// blank stands in for the leading spaces of a cell, which tablewriter trims even when told not to (an indented first
// column draws a tree). It is taken back in writeTrimmed.
const blank = '\u00a0'

func protect(text string) string {
	trimmed := strings.TrimLeft(text, " ")
	return strings.Repeat(string(blank), len(text)-len(trimmed)) + trimmed
}

// strayReset matches the color reset that tablewriter writes once more after the padding of a colored cell.
var strayReset = regexp.MustCompile(`(\x1b\[0m *| +)\x1b\[0m`)

func writeTrimmed(w io.Writer, text, indent string) error {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.Contains(line, "\x1b") {
			line = strayReset.ReplaceAllString(line, "$1")
		}
		line = strings.ReplaceAll(strings.TrimRight(line, " "), string(blank), " ")
		b.WriteString(indent)
		b.WriteString(line)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func borderless() tw.Renderer {
	return renderer.NewBlueprint(tw.Rendition{
		Borders: tw.BorderNone,
		Settings: tw.Settings{
			Separators: tw.SeparatorsNone,
			Lines:      tw.LinesNone,
		},
	})
}

func kubectlLook() tablewriter.Config {
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoFormat: tw.Off, AutoWrap: tw.WrapNone},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: strings.Repeat(" ", gap), Overwrite: true}},
	}
	return tablewriter.Config{
		Header:   cell,
		Row:      cell,
		Behavior: tw.Behavior{TrimSpace: tw.Off, TrimLine: tw.Off, TrimTab: tw.Off},
	}
}
