package suite

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
)

// wrongWords are words that no text of the product uses, and what stands in their place: metaphors, persons where a component
// acts, and spellings that are not US English.
var wrongWords = []struct{ pattern, use string }{
	{`nobody|somebody|whoever`, "the name of the component or user"},
	{`anew`, "again, or recreate"},
	{`for ever`, "indefinitely"},
	{`all the same`, "still"},
	{`(?:is|are|was) (?:dead|silent|ill|well)`, "is not responding, has not reported, is healthy"},
	{`heals?`, "recovers"},
	{`patience`, "timeout"},
	{`could not be had|not known`, "unknown"},
	{`otherwise than`, "differs from"},
	{`did you mean`, "closest existing name"},
	{`last words`, "last log lines"},
	{`stands? still`, "does not progress"},
	{`tunnels?`, "port-forward"},
	{`beside`, "next to, on the same node"},
	{`a way`, "a network path"},
	{`bears on`, "is related to"},
	{`catalogue|colour|neighbour|behaviour|initialis\w*|recognis\w*|sanitis\w*|cancelled|synchronis\w*|grey|licence`, "the US spelling"}, //nolint:misspell // they are the wrong ones
}

// texts are the string literals of a file that a person can read: more than one word, and no part of an import or a tag.
func texts(t *testing.T, file string, source any) map[int]string {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			return n.Tag == nil
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && strings.Contains(strings.TrimSpace(text), " ") {
				found[files.Position(n.Pos()).Line] += text
			}
		}
		return true
	})
	return found
}

// wrong says which words of a text are wrong, and what to use.
func wrong(text string) []string {
	var list []string
	for _, w := range wrongWords {
		if m := regexp.MustCompile(`(?i)\b(?:` + w.pattern + `)\b`).FindString(text); m != "" {
			list = append(list, fmt.Sprintf("%q: use %s", m, w.use))
		}
	}
	return list
}

func TestTextsUsePlainWords(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := layer(p.ImportPath)
		if from != "cmd" && from != "plugins" && from != "pkg" || strings.Contains(p.ImportPath, "pkg/testkit") {
			continue
		}
		for _, name := range p.GoFiles {
			for line, text := range texts(t, filepath.Join(p.Dir, name), nil) {
				for _, w := range wrong(text) {
					t.Errorf("%s/%s:%d: %s\n\t%s", p.ImportPath, name, line, w, text)
				}
			}
		}
	}
}

func TestAWrongWordIsFound(t *testing.T) {
	for _, text := range []string{"nobody answers", "start it Anew", "the node is dead", "no tunnel opens", "the server is ill"} {
		source := "package p\n\nvar x = " + strconv.Quote(text) + "\n"
		for _, read := range texts(t, "planted.go", source) {
			if len(wrong(read)) != 1 {
				t.Errorf("%q: %v", text, wrong(read))
			}
		}
	}
	if w := wrong("the kubelet of node w1 has not reported for 45s"); w != nil {
		t.Error(w)
	}
}

// catalogs are the findings of each plugin.
var catalogs = map[string]func() []finding.Entry{
	"dns": dns.Catalog, "nodeinfo": nodeinfo.Catalog, "nodeshell": nodeshell.Catalog, "rollout-explain": rolloutexplain.Catalog,
}

// opening is how a sentence of the catalog begins: a capital, a quotation, a number, a flag, a field or a program.
var opening = regexp.MustCompile(`^(?:[A-Z"0-9-]|[a-z]+[A-Z.][A-Za-z]|(?:kube-proxy|nodeshell|tcpdump|autopath|kubectl|musl|glibc)\b)`)

// misformed says what is wrong with the form of a catalog entry.
func misformed(e finding.Entry) []string {
	var list []string
	if !regexp.MustCompile(`^(?:[A-Z]|kube-proxy)`).MatchString(e.Title) || regexp.MustCompile(`^(?:The|A|An|Its?) `).MatchString(e.Title) {
		list = append(list, "the title begins with its subject, in a capital, without an article")
	}
	if len(e.Title) > 60 || strings.HasSuffix(e.Title, ".") {
		list = append(list, "the title has at most 60 characters and no period")
	}
	for name, text := range map[string]string{"meaning": e.Meaning, "evidence": e.Evidence, "next": e.Next} {
		if !opening.MatchString(text) || !strings.HasSuffix(text, ".") {
			list = append(list, name+" begins with a capital and ends with a period: "+text)
		}
		if strings.Contains(text, "?") {
			list = append(list, name+" asks a question: "+text)
		}
	}
	return list
}

func TestCatalogsHaveOneForm(t *testing.T) {
	titles := map[finding.Code]string{}
	for plugin, entries := range catalogs {
		for _, e := range entries() {
			for _, w := range misformed(e) {
				t.Errorf("%s %s: %s", plugin, e.Code, w)
			}
			if title, ok := titles[e.Code]; ok && title != e.Title {
				t.Errorf("%s has two titles: %q, %q", e.Code, title, e.Title)
			}
			titles[e.Code] = e.Title
		}
	}
	bad := finding.Entry{Code: "X", Title: "The node is down.", Meaning: "is down", Evidence: "why?", Next: "Look."}
	if got := len(misformed(bad)); got != 5 {
		t.Errorf("of a bad entry %d faults are found: %v", got, misformed(bad))
	}
}

func TestHeadersHaveNoSpaces(t *testing.T) {
	header := regexp.MustCompile(`^\+?[A-Z][A-Z0-9%-]*(?: [A-Z0-9%-]+)+~?$`)
	for _, p := range packages(t) {
		if !strings.Contains(p.ImportPath, "/plugins/") && !strings.HasPrefix(p.ImportPath, "plugins/") {
			continue
		}
		for _, name := range p.GoFiles {
			for line, text := range texts(t, filepath.Join(p.Dir, name), nil) {
				if header.MatchString(text) {
					t.Errorf("%s/%s:%d: the header %q has a space: columns are parted by spaces", p.ImportPath, name, line, text)
				}
			}
		}
	}
}
