// Package webpage writes a report as one HTML file that loads nothing: light and dark, readable without a script, with tables that a
// script sorts and filters. It reads nothing but the reports. Every element is written by the functions of this file, which escape
// all text and all values of attributes; nothing from a cluster stands in a URL, a style or a script.
package webpage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

//go:embed page.css
var style string

//go:embed page.js
var script string

// page is a document in the making.
type page struct {
	strings.Builder

	now     time.Time // turns times into ages
	objects int       // sections of objects so far, which have the anchors o1, o2, ...
}

// escape makes text of a cluster text of a document. What a terminal or a browser obeys, such as bidirectional controls, is made
// visible; U+FFFE and U+FFFF are no characters of a document (https://html.spec.whatwg.org/multipage/parsing.html#noncharacters).
func escape(text string) string {
	return html.EscapeString(noncharacters.Replace(output.Sanitize(text)))
}

var noncharacters = strings.NewReplacer("\ufffe", "\ufffd", "\uffff", "\ufffd")

// attribute is one of an element; its name is written here and never comes from a cluster.
type attribute struct{ name, value string }

func class(names string) attribute { return attribute{"class", names} }

// open writes a start tag.
func (p *page) open(tag string, attributes ...attribute) {
	p.WriteString("<" + tag)
	for _, a := range attributes {
		p.WriteString(" " + a.name + `="` + escape(a.value) + `"`)
	}
	p.WriteString(">")
}

// end writes an end tag, and a line break after blocks, for people who read the source.
func (p *page) end(tag string) {
	p.WriteString("</" + tag + ">")
	if !slices.Contains(inline, tag) {
		p.WriteByte('\n')
	}
}

var inline = []string{"span", "code", "time", "a", "th", "td"}

// text writes text.
func (p *page) text(text string) { p.WriteString(escape(text)) }

// element writes an element that holds text.
func (p *page) element(tag, text string, attributes ...attribute) {
	p.open(tag, attributes...)
	p.text(text)
	p.end(tag)
}

// within writes an element around what f writes.
func (p *page) within(tag string, f func(), attributes ...attribute) {
	p.open(tag, attributes...)
	f()
	p.end(tag)
}

// list writes a list of texts under a heading; no texts, no heading.
func (p *page) list(title string, texts []string) {
	if len(texts) == 0 {
		return
	}
	p.element("h3", title)
	p.within("ul", func() {
		for _, text := range texts {
			p.within("li", func() { p.long(text) })
		}
	})
}

// longest is how long a text may be before it scrolls in a box of its own.
const longest = 1500

// long writes text, which nothing bounds.
func (p *page) long(text string) {
	if len(text) <= longest {
		p.text(text)
		return
	}
	p.element("div", text, class("long"), attribute{"tabindex", "0"}, attribute{"role", "region"}, attribute{"aria-label", "long text"})
}

// document writes a whole file around what body writes.
func document(title string, now time.Time, body func(*page)) string {
	p := &page{now: now}
	p.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
	p.open("meta", attribute{"http-equiv", "Content-Security-Policy"}, attribute{"content", policy()})
	p.WriteString("\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" +
		"<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n")
	p.element("title", title)
	p.WriteString("<style>" + style + "</style>\n</head>\n<body>\n")
	body(p)
	p.WriteString("<script>" + script + "</script>\n</body>\n</html>\n")
	return p.String()
}

// policy allows the style and the script of this file by their hashes, and nothing else: no request, no other script, no form, no
// frame (https://www.w3.org/TR/CSP3/).
func policy() string {
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; script-src 'sha256-%s'; base-uri 'none'; form-action 'none'",
		hash(style), hash(script))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// clock writes a moment with its distance from the time of the report.
func (p *page) clock(t time.Time) {
	p.element("time", stamp(t), attribute{"datetime", t.UTC().Format(time.RFC3339)})
	p.WriteString(" ")
	p.element("span", distance(t, p.now), class("quiet"))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func distance(t, now time.Time) string {
	if d := t.Sub(now); d >= time.Second {
		return "(in " + output.Age(d) + ")"
	}
	return "(" + output.Age(now.Sub(t)) + " ago)"
}
