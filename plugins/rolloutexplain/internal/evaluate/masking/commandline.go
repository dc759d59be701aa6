package masking

import (
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
)

// The ways in which a command line gives a name its value: --password=x or PASSWORD=x, and --password x.
var assigned = []*regexp.Regexp{
	regexp.MustCompile(`([A-Za-z_][\w.-]*)(=)(\S+)`),
	regexp.MustCompile(`(--?[A-Za-z][\w.-]*)(\s+)([^\s-]\S*)`),
}

// maskWords hides values in a command line whose names look secret.
func maskWords(words string, hide func(string) string) string {
	for _, way := range assigned {
		words = way.ReplaceAllStringFunc(words, func(word string) string {
			m := way.FindStringSubmatch(word)
			if !LooksSecret(m[1]) || m[2] != "=" && offFlag.MatchString(m[1]) {
				return word
			}
			return m[1] + m[2] + hide(m[3])
		})
	}
	return words
}

// CommandLine is a command line for people.
func CommandLine(words []string) string {
	words = slices.Clone(words)
	maskLine(words, func(string) string { return mask.Hidden })
	return strings.Join(words, " ")
}

// maskLine hides flags' values in the words of a command line: a flag may stand before its value in a word of its own,
// and a value may hold blanks.
func maskLine(list []string, hide func(string) string) {
	for i := range list {
		if i > 0 && secretFlag(list[i-1]) && !strings.HasPrefix(list[i], "-") {
			list[i] = hide(list[i])
			continue
		}
		if name, value, ok := strings.Cut(list[i], "="); ok && secretFlag(name) {
			list[i] = name + "=" + hide(value)
			continue
		}
		list[i] = maskWords(list[i], hide)
	}
}

// secretFlag says whether a flag's value should not be shown; --no-auth and --skip-auth have none.
func secretFlag(word string) bool {
	return loneFlag.MatchString(word) && LooksSecret(word) && !offFlag.MatchString(word)
}

var (
	loneFlag = regexp.MustCompile(`^--?[A-Za-z][\w.-]*$`)
	offFlag  = regexp.MustCompile(`^--?(no|skip|disable)-`)
)
