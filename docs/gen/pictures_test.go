package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// mostBytes bounds a picture: a page is loaded over a telephone, too.
const mostBytes = 60_000

// drawn is a text of a picture.
type drawn struct {
	X      float64 `xml:"x,attr"`
	Y      float64 `xml:"y,attr"`
	Length float64 `xml:"textLength,attr"`
	Class  string  `xml:"class,attr"`
	Text   string  `xml:",chardata"`
}

// read takes a picture apart with a parser that knows nothing of ours.
func read(t *testing.T, picture []byte) []drawn {
	t.Helper()
	var list []drawn
	for decoder := xml.NewDecoder(bytes.NewReader(picture)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "svg", "style", "rect":
		case "text":
			var d drawn
			if err := decoder.DecodeElement(&d, &start); err != nil {
				t.Fatal(err)
			}
			list = append(list, d)
		default:
			t.Errorf("the picture has a <%s>", start.Name.Local)
		}
	}
}

// lines are what stands in a picture, by position alone.
func lines(t *testing.T, texts []drawn) string {
	t.Helper()
	grid := map[int]map[int]rune{}
	last := 0
	for _, d := range texts {
		row, column := int(math.Round((d.Y-34.8)/20)), int(math.Round((d.X-20)/8.4))
		if want := 8.4 * float64(len([]rune(d.Text))); math.Abs(d.Length-want) > 0.01 {
			t.Errorf("%q is %v long, and its columns %v", d.Text, d.Length, want)
		}
		if grid[row] == nil {
			grid[row] = map[int]rune{}
		}
		for i, r := range []rune(d.Text) {
			if grid[row][column+i] != 0 {
				t.Errorf("%q stands on another text", d.Text)
			}
			grid[row][column+i] = r
		}
		last = max(last, row)
	}
	var b strings.Builder
	for row := range last + 1 {
		line := make([]rune, columns)
		for column := range line {
			line[column] = ' '
			if r := grid[row][column]; r != 0 {
				line[column] = r
			}
		}
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return b.String()
}

// onScreen breaks lines as a terminal does.
func onScreen(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		letters := []rune(strings.TrimRight(line, "\n"))
		for len(letters) > columns {
			b.WriteString(strings.TrimRight(string(letters[:columns]), " ") + "\n")
			letters = letters[columns:]
		}
		b.WriteString(string(letters) + "\n")
	}
	return b.String()
}

func TestAPictureShowsWhatTheCommandPrints(t *testing.T) {
	pages := map[string][]byte{}
	if err := pictures(plugins(), pages); err != nil {
		t.Fatal(err)
	}
	if len(pages) != 2*len(shots) {
		t.Errorf("%d pictures of %d shots", len(pages), len(shots))
	}
	for _, s := range shots {
		plain, err := s.screen(plugins(), "--color=never")
		if err != nil {
			t.Fatal(err)
		}
		if s.session != "" {
			plain = uncolored(plain)
		}
		for end := range palettes {
			picture := pages["docs/pictures/"+s.name+end+".svg"]
			texts := read(t, picture)
			if d := cmp.Diff(onScreen(plain), lines(t, texts)); d != "" {
				t.Errorf("%s%s (-printed +drawn):\n%s", s.name, end, d)
			}
			if !slices.ContainsFunc(texts, func(d drawn) bool { return slices.Contains([]string{"r", "y", "g"}, d.Class) }) {
				t.Errorf("%s%s has no color", s.name, end)
			}
			if len(picture) > mostBytes {
				t.Errorf("%s%s has %d bytes", s.name, end, len(picture))
			}
			unsafe := testkit.Unsafe(string(picture))
			markup := regexp.MustCompile(`>[^<]*</text>`).ReplaceAllString(string(picture), "/>")
			markup = strings.Replace(markup, `xmlns="http://www.w3.org/2000/svg"`, "", 1)
			if unsafe != "" || regexp.MustCompile(`://|url\(|@import|href|src`).MatchString(markup) {
				t.Errorf("%s%s loads something: %q", s.name, end, unsafe)
			}
		}
	}
}

// uncolored is a recorded session without colors.
func uncolored(text string) string {
	for code := range classes {
		text = strings.ReplaceAll(text, "\x1b["+code+"m", "")
	}
	return text
}

func TestARedWordIsRedInBothPalettes(t *testing.T) {
	rows, err := lay("a \x1b[31mbad\x1b[0m  <b>&  \x1b[1m→ x\x1b[0m\n\n  " + strings.Repeat("y", columns) + "\n")
	if err != nil {
		t.Fatal(err)
	}
	want := [][]stretch{
		{{0, 1, "", "a"}, {2, 3, "r", "bad"}, {7, 4, "", "<b>&"}, {13, 3, "b", "→ x"}},
		nil,
		{{2, columns - 2, "", strings.Repeat("y", columns-2)}},
		{{0, 2, "", "yy"}},
	}
	if d := cmp.Diff(want, rows, cmp.AllowUnexported(stretch{})); d != "" {
		t.Error(d)
	}
	for _, colors := range palettes {
		if picture := string(draw(rows, colors)); !strings.Contains(picture, ".r{fill:"+colors.red+"}") || !strings.Contains(picture, ">&lt;b&gt;&amp;<") {
			t.Error(picture)
		}
	}
}

func TestWhatATerminalWouldNotShowLikeThatIsAnError(t *testing.T) {
	for _, text := range []string{"\x1b[2J", "\x1b[35mx", "\x1b]0;title\a", "a\rb", "a\tb", "\x1b", "e\u0301"} {
		if _, err := lay(text); err == nil {
			t.Errorf("%q is drawn", text)
		}
	}
}

// contrast is that of https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(color string) float64 {
		value, err := strconv.ParseUint(strings.TrimPrefix(color, "#"), 16, 24)
		if err != nil || len(color) != 7 {
			t.Fatal(color, err)
		}
		sum := 0.0
		for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
			c := float64(value>>(8*i)&0xff) / 255
			if c <= 0.04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+0.055)/1.055, 2.4)
			}
			sum += weight * c
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestEveryColorCanBeRead(t *testing.T) {
	if c := contrast(t, "#000000", "#ffffff"); fmt.Sprintf("%.1f", c) != "21.0" {
		t.Errorf("black on white is %v", c)
	}
	for end, p := range palettes {
		for name, color := range map[string]string{"text": p.text, "dim": p.dim, "red": p.red, "yellow": p.yellow, "green": p.green} {
			if c := contrast(t, color, p.back); c < 4.5 {
				t.Errorf("%s%s: contrast %.2f", name, end, c)
			}
		}
	}
}
