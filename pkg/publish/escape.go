package publish

import (
	"slices"
	"strings"
	"unicode"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// prose gives text as one line of Markdown that reads as written. From the first to the last word that Markdown or GitHub may
// take for something else (emphasis, links, HTML, tables, mentions, references to issues, formulas, emoji) it is set as code,
// where nothing has a meaning: backslashes do not stop mentions and references, which GitHub looks for in the finished page
// (https://github.github.com/gfm/, https://docs.github.com/get-started/writing-on-github).
func prose(text string) string {
	words := strings.Fields(output.Sanitize(text))
	first, last := -1, -1
	for i, word := range words {
		if !plain(word) || i == 0 && marker(word) {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return strings.Join(words, " ")
	}
	parts := append(slices.Clone(words[:first]), code(strings.Join(words[first:last+1], " ")))
	return strings.Join(append(parts, words[last+1:]...), " ")
}

// plain says whether a word is nothing but text in Markdown.
func plain(word string) bool {
	lower := strings.ToLower(word)
	if strings.Contains(lower, "://") || strings.Contains(lower, "www.") || strings.Contains(lower, "gh-") || emoji(word) {
		return false
	}
	return strings.IndexFunc(word, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r < unicode.MaxASCII && !strings.ContainsRune(`.,;:()'"/%=-+?!`, r)
	}) < 0
}

// emoji says whether a word holds a name between colons, which a time of day does not.
func emoji(word string) bool {
	parts := strings.Split(word, ":")
	for i := 1; i < len(parts)-1; i++ {
		if rest := strings.TrimLeft(parts[i], "0123456789"); len(parts[i])-len(rest) != 2 || rest != "" && rest != "Z" {
			return true
		}
	}
	return false
}

// marker says whether a word at the beginning of a line makes it an item of a list, a rule or the underline of a heading.
func marker(word string) bool {
	digits := strings.TrimLeft(word, "0123456789")
	return strings.Trim(word, "-+=") == "" || digits != word && (digits == "." || digits == ")")
}

// code gives text as a code span, fenced by more backticks than it has in a row.
func code(text string) string {
	text = strings.TrimSpace(output.Sanitize(text))
	if text == "" {
		return ""
	}
	fence := strings.Repeat("`", backticks(text)+1)
	if strings.HasPrefix(text, "`") || strings.HasSuffix(text, "`") {
		text = " " + text + " "
	}
	return fence + text + fence
}

// fenced gives lines as a fenced block under an indent, each harmless to a terminal.
func fenced(indent, language string, lines ...string) string {
	fence := "```"
	for i := range lines {
		lines[i] = strings.TrimRight(output.Sanitize(lines[i]), " ")
		fence = strings.Repeat("`", max(len(fence), backticks(lines[i])+1))
	}
	var b strings.Builder
	for _, line := range append(append([]string{fence + language}, lines...), fence) {
		b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
	}
	return b.String()
}

// backticks is the longest row of backticks in text.
func backticks(text string) int {
	longest, row := 0, 0
	for _, r := range text {
		if r != '`' {
			row = 0
			continue
		}
		row++
		longest = max(longest, row)
	}
	return longest
}
