package testkit

import (
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Markdown is a document as a parser of GitHub's Markdown sees it.
type Markdown struct {
	First  string   // the text of the first paragraph
	Shape  string   // the tree of blocks, a letter each, without what stands in them
	Texts  []string // the text of each block that holds words, code spans as they read
	Fences []string // what stands in fenced blocks, without the last newline
}

var (
	opening = regexp.MustCompile(`^<details><summary>[0-9A-Za-z ]+</summary>$`)
	closing = regexp.MustCompile(`^</details>$`)
)

// ReadMarkdown reads a document and complains of everything that a report does not consist of: what a string from the
// cluster would have to become to do harm. The only HTML is the frame of parts that open on a click.
func ReadMarkdown(t testing.TB, source string) Markdown {
	t.Helper()
	data := []byte(source)
	root := goldmark.New(goldmark.WithExtensions(extension.GFM, extension.Footnote)).Parser().Parse(text.NewReader(data))
	m := Markdown{}
	depth := 0
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the walker returns no error
		if n.Type() == ast.TypeInline {
			return ast.WalkContinue, nil
		}
		m.Shape += shape(n, entering)
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.HTMLBlock:
			html := strings.TrimSpace(string(n.Lines().Value(data)))
			switch {
			case opening.MatchString(html):
				depth++
			case closing.MatchString(html) && depth > 0:
				depth--
			default:
				t.Errorf("Markdown: HTML %q\n%s", html, source)
			}
		case *ast.FencedCodeBlock:
			m.Fences = append(m.Fences, strings.TrimSuffix(string(n.Lines().Value(data)), "\n"))
		case *ast.Document, *ast.List, *ast.ListItem:
		case *ast.Heading, *ast.Paragraph, *ast.TextBlock:
			m.Texts = append(m.Texts, inline(t, n, data))
			if len(m.Texts) == 1 {
				m.First = m.Texts[0]
			}
		default:
			t.Errorf("Markdown: %s\n%s", n.Kind(), source)
		}
		return ast.WalkContinue, nil
	})
	if depth != 0 {
		t.Errorf("Markdown: %d <details> are not closed\n%s", depth, source)
	}
	return m
}

func shape(n ast.Node, entering bool) string {
	if !entering {
		return ")"
	}
	return n.Kind().String() + "("
}

// inline is the text of a block, of which only text, code spans and strong words are allowed.
func inline(t testing.TB, block ast.Node, data []byte) string {
	t.Helper()
	var b strings.Builder
	_ = ast.Walk(block, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || n == block {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Segment.Value(data))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte('\n')
			}
		case *ast.CodeSpan:
		case *ast.Emphasis:
			if n.Level != 2 {
				t.Errorf("Markdown: emphasis in %q", b.String())
			}
		default:
			t.Errorf("Markdown: %s after %q\n%s", n.Kind(), b.String(), data)
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}
