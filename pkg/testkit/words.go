package testkit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// The longest texts, in columns.
const (
	longMessage = 200 // what a message may have; the verdict line parts it where a block tells the rest
	longWhy     = 100 // a purpose fits the line above its command
)

// CheckWords holds the findings of all reports of a plugin's fixtures against the rules of Misworded. Long lists the codes
// whose messages may be longer than 200 columns, each with the reason; one that none of the reports needs is an error.
func CheckWords(t testing.TB, catalog []finding.Entry, long map[finding.Code]string, reports []Report) {
	t.Helper()
	needed := map[finding.Code]bool{}
	for _, r := range reports {
		for _, f := range r.Findings {
			if utf8.RuneCountInString(f.Message) > longMessage {
				needed[f.Code] = true
			}
			for _, complaint := range Misworded(f, catalog, long[f.Code] != "") {
				t.Errorf("%s: %s: %s", r.Fixture, f.Code, complaint)
			}
		}
	}
	for code, reason := range long {
		if !needed[code] {
			t.Errorf("no message of %s is longer than %d columns: %s", code, longMessage, reason)
		}
	}
}

var (
	imperative = regexp.MustCompile(`^[A-Z][a-z]+ `)
	answerForm = regexp.MustCompile(`^[^ ].*[^ ]: [^ ]`)
	// codeWord is a word that can only be a code: of several parts, the last one of which codes have.
	codeWord = regexp.MustCompile(`\b(?:[A-Z][a-z]+)+(?:NotFound|NotReady|Failing|Denied|Violated|Exceeded|Mismatch|Unreachable|NotResponding|Stale|Unsatisfied)\b`)
)

// Misworded says what is wrong with the form of a finding:
//
//   - its code and title are those of the catalog;
//   - its message begins with no capital of a sentence, has no period at its end, no question and one line, and at most 200
//     columns, so that with the object before it it is read at a glance;
//   - the purpose of a next command is a condition or an imperative with a capital, no period, no question, at most 100
//     columns; what an answer means has the form "ANSWER: meaning";
//   - a next command begins with kubectl, unless its purpose says that it is for the node itself;
//   - a word that is built as a code is one of the catalog, or a word of Kubernetes: quoted in the evidence, or KubeletNotReady.
func Misworded(f finding.Finding, catalog []finding.Entry, long bool) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	at := slices.IndexFunc(catalog, func(e finding.Entry) bool { return e.Code == f.Code })
	if at < 0 {
		add("no entry in the catalog")
	} else if catalog[at].Title != f.Title {
		add("title %q, in the catalog %q", f.Title, catalog[at].Title)
	}
	m := f.Message
	if m == "" || strings.HasSuffix(m, "?") || strings.ContainsAny(m, "\n\t") || strings.HasSuffix(m, ".") && !quotes(f, m) {
		add("the message is one line without a period or a question: %s", m)
	}
	if n := utf8.RuneCountInString(m); n > longMessage && !long {
		add("the message has %d columns, more than %d: %s", n, longMessage, m)
	}
	for _, n := range f.Next {
		if !imperative.MatchString(n.Why) || strings.HasSuffix(n.Why, ".") || strings.Contains(n.Why, "?") {
			add("the purpose is no imperative with a capital and without a period: %s", n.Why)
		}
		if columns := utf8.RuneCountInString(n.Why); columns > longWhy {
			add("the purpose has %d columns, more than %d: %s", columns, longWhy, n.Why)
		}
		for _, a := range n.Answers {
			if !answerForm.MatchString(a) || strings.HasSuffix(a, ".") {
				add("an answer has the form ANSWER: meaning, not %q", a)
			}
		}
		if !strings.HasPrefix(n.Command, "kubectl ") && !strings.HasPrefix(n.Why, "On the node") && !strings.HasPrefix(n.Why, "On a control plane node") {
			add("a command of the node itself, and its purpose does not begin with so: %s", n.Command)
		}
		if n.Risk != finding.Read && n.Risk != finding.Change && n.Risk != finding.Destructive {
			add("risk %q of %s", n.Risk, n.Command)
		}
	}
	for _, word := range codeWord.FindAllString(m, -1) {
		isCode := slices.ContainsFunc(catalog, func(e finding.Entry) bool { return string(e.Code) == word })
		if !isCode && word != "KubeletNotReady" && !slices.ContainsFunc(f.Evidence, func(e finding.Evidence) bool { return strings.Contains(e.Path+e.Value, word) }) {
			add("%s is neither in the catalog nor in the evidence", word)
		}
	}
	return list
}

// quotes says whether the end of a message is foreign text, which keeps its period.
func quotes(f finding.Finding, message string) bool {
	end := message[max(0, len(message)-8):]
	return slices.ContainsFunc(f.Evidence, func(e finding.Evidence) bool { return strings.Contains(e.Value, end) })
}
