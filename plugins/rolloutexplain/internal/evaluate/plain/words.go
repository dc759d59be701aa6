// Package plain puts values into words and keeps absent ones absent: the small things that every room needs and that say
// nothing about rollouts.
package plain

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// ContainsAny says whether a text holds one of the words, whatever their case.
func ContainsAny(text string, words ...string) bool {
	text = strings.ToLower(text)
	for _, w := range words {
		if strings.Contains(text, strings.ToLower(w)) {
			return true
		}
	}
	return false
}

// Innermost keeps the last part of a chain of wrapped errors, where the reason is.
func Innermost(text string) string {
	return OneLine(event.Innermost(text))
}

// FirstWords gives at most n words of a text.
func FirstWords(s string, n int) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(n, len(words))], " ")
}

// Evidence quotes a value in one line, with what looks secret hidden.
func Evidence(source, path, value string, at time.Time) finding.Evidence {
	return finding.Evidence{Source: source, Path: path, Value: OneLine(value), Time: TimePtr(at)}
}

const longest = 600

// OneLine puts a text into one line of at most 600 letters and hides what looks secret.
func OneLine(s string) string {
	return mask.Short(strings.Join(strings.Fields(s), " "), longest)
}

// Age is a duration as kubectl prints ages.
func Age(d time.Duration) string { return output.Age(d) }

// Plural puts the number before one of two phrases.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// List joins at most so many words and counts the rest.
func List(words []string, most int) string {
	if len(words) > most {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
	}
	return strings.Join(words, ", ")
}
