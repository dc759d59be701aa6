package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// shot is a picture of a terminal on which a command was run. What the command reads was saved by an end-to-end test, so the
// picture changes with what the command prints, and with nothing else.
type shot struct {
	name  string
	line  string // as a user types it
	saved string // in recordings: the archive of kubectl runbooks snapshot
	part  string // the file in that archive that the plugin takes; empty: the whole archive
	// session is a recorded terminal, commands and all: a session cannot be replayed.
	session string
}

var shots = []shot{
	{name: "runbooks", line: "kubectl runbooks", saved: "dns-down.tar.gz"},
	{name: "two-faults", line: "kubectl runbooks", saved: "two-faults.tar.gz"},
	{name: "nodeinfo", line: "kubectl nodeinfo w1 --section=health", saved: "two-faults.tar.gz", part: "nodeinfo.json"},
	{name: "dns", line: "kubectl dns check", saved: "dns-down.tar.gz", part: "dns.json"},
	{name: "rollout-explain", line: "kubectl rollout-explain deployment/web -n blog", saved: "two-faults.tar.gz", part: "rollout-explain.json"},
	{name: "nodeshell", session: "nodeshell.txt"},
}

const (
	recordings = "docs/gen/testdata/pictures"
	// columns is the width of the terminal: 880 px, which is what a README has.
	columns = 100
)

// The grid of characters, in tenths of a pixel, and the margin around it. Each text is as long as its columns, whatever font a
// reader has: none is embedded.
const (
	charWidth, lineHeight, baseline = 84, 200, 148
	margin                          = 200
)

// palette is the colors of a terminal. Each can be read on the background: a contrast of at least 4.5 (WCAG 2.2, 1.4.3).
type palette struct{ back, border, text, dim, red, yellow, green string }

// palettes are those of GitHub's own pages, by the end of a file's name.
var palettes = map[string]palette{
	"":      {back: "#f6f8fa", border: "#d1d9e0", text: "#1f2328", dim: "#59636e", red: "#c41e2a", yellow: "#8a5c00", green: "#116329"},
	"-dark": {back: "#0d1117", border: "#3d444d", text: "#e6edf3", dim: "#9198a1", red: "#ff7b72", yellow: "#d29922", green: "#3fb950"},
}

// classes are the sequences that pkg/output paints with, and the classes of their texts.
var classes = map[string]string{"0": "", "1": "b", "2": "d", "31": "r", "32": "g", "33": "y"}

// pictures adds each shot, light and dark.
func pictures(plugins []plugin, pages map[string][]byte) error {
	for _, s := range shots {
		text, err := s.screen(plugins)
		if err != nil {
			return fmt.Errorf("the picture %s: %w", s.name, err)
		}
		rows, err := lay(text)
		if err != nil {
			return fmt.Errorf("the picture %s: %w", s.name, err)
		}
		for end, colors := range palettes {
			pages["docs/pictures/"+s.name+end+".svg"] = draw(rows, colors)
		}
	}
	return nil
}

// screen is what stands on the terminal: the command and what it prints there.
func (s shot) screen(plugins []plugin, flags ...string) (string, error) {
	var text string
	if s.session != "" {
		recorded, err := os.ReadFile(filepath.Join(recordings, s.session))
		if err != nil {
			return "", err
		}
		text = strings.TrimRight(string(recorded), "\n") + "\n"
	} else {
		printed, err := s.run(plugins, flags...)
		if err != nil {
			return "", err
		}
		text = "$ " + s.line + "\n" + printed
	}
	term := output.Terminal{Color: len(flags) == 0}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if typed, ok := strings.CutPrefix(line, "$ "); ok {
			line = term.Paint("$", output.Dim) + " " + term.Paint(strings.TrimSuffix(typed, "\n"), output.Bold) + "\n"
		}
		b.WriteString(line)
	}
	return b.String(), nil
}

// run runs the command on a terminal.
func (s shot) run(plugins []plugin, flags ...string) (string, error) {
	words := strings.Fields(s.line)
	i := slices.IndexFunc(plugins, func(p plugin) bool { return p.name == words[1] })
	if i < 0 {
		return "", fmt.Errorf("no plugin %s", words[1])
	}
	saved, err := recording(s.saved, s.part)
	if err != nil {
		return "", err
	}
	env := testkit.NewEnv("kubectl "+words[1], time.Time{}).Terminal(columns)
	env.Streams.In = bytes.NewReader(saved)
	args := slices.Concat(words[2:], flags, []string{"--from-input=-", "--kubeconfig=" + os.DevNull})
	if code := cli.Run(context.Background(), env.Env, plugins[i].command(env.Env), args); code != 0 || env.Stderr.Len() > 0 {
		return "", fmt.Errorf("%s: exit %d: %s", s.line, code, env.Stderr)
	}
	return env.Stdout.String(), nil
}

// recording is what a test saved, or one file of it.
func recording(name, part string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(recordings, name))
	if err != nil || part == "" {
		return data, err
	}
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: no %s: %w", name, part, err)
		}
		if header.Name == part {
			return io.ReadAll(archive)
		}
	}
}

// stretch is text of one style in a row.
type stretch struct {
	column, width int
	class         string
	text          string
}

// lay puts text on the grid, as a terminal does. It knows the sequences that pkg/output writes; another one is an error.
func lay(text string) ([][]stretch, error) {
	l := layout{rows: [][]stretch{nil}}
	for len(text) > 0 {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			code, after, _ := strings.Cut(rest, "m")
			class, known := classes[code]
			if !known {
				return nil, fmt.Errorf("the sequence %.10q is not known", text)
			}
			l.class, text = class, after
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		if err := l.put(r); err != nil {
			return nil, err
		}
		text = text[size:]
	}
	for len(l.rows) > 1 && l.rows[len(l.rows)-1] == nil {
		l.rows = l.rows[:len(l.rows)-1]
	}
	return l.rows, nil
}

type layout struct {
	rows   [][]stretch
	class  string
	column int // where the next letter stands
}

func (l *layout) put(r rune) error {
	width := output.Width(string(r))
	switch {
	case r == '\n':
		l.rows, l.column = append(l.rows, nil), 0
		return nil
	case width < 1 || r < ' ':
		return fmt.Errorf("%q has no place on the grid", r)
	case l.column+width > columns:
		l.rows, l.column = append(l.rows, nil), 0
	}
	if r != ' ' {
		l.letter(r, width)
	}
	l.column += width
	return nil
}

// letter puts a letter into the last stretch where it follows it, after no more than one blank, in the same style.
func (l *layout) letter(r rune, width int) {
	row := &l.rows[len(l.rows)-1]
	if n := len(*row); n > 0 {
		last := &(*row)[n-1]
		if between := l.column - last.column - last.width; between <= 1 && last.class == l.class {
			last.text += strings.Repeat(" ", between) + string(r)
			last.width += between + width
			return
		}
	}
	*row = append(*row, stretch{l.column, width, l.class, string(r)})
}

// draw makes the picture.
func draw(rows [][]stretch, c palette) []byte {
	width, height := columns*charWidth+2*margin, len(rows)*lineHeight+2*margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s">
<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace;fill:%[3]s}`+
		`.b{font-weight:bold}.d{fill:%[4]s}.r{fill:%[5]s}.y{fill:%[6]s}.g{fill:%[7]s}</style>
<rect x="0.5" y="0.5" width="%[8]s" height="%[9]s" rx="8" fill="%[10]s" stroke="%[11]s"/>
`, px(width), px(height), c.text, c.dim, c.red, c.yellow, c.green, px(width-10), px(height-10), c.back, c.border)
	for i, row := range rows {
		for _, s := range row {
			class := ""
			if s.class != "" {
				class = ` class="` + s.class + `"`
			}
			fmt.Fprintf(&b, `<text x="%s" y="%s" textLength="%s" lengthAdjust="spacingAndGlyphs"%s>`,
				px(margin+s.column*charWidth), px(margin+i*lineHeight+baseline), px(s.width*charWidth), class)
			xml.EscapeText(&b, []byte(s.text)) //nolint:errcheck // a buffer takes everything
			b.WriteString("</text>\n")
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// px writes tenths of a pixel as pixels.
func px(tenths int) string {
	if tenths%10 == 0 {
		return fmt.Sprint(tenths / 10)
	}
	return fmt.Sprintf("%d.%d", tenths/10, tenths%10)
}
