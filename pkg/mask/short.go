package mask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest is how much of one text a report quotes: as much as a container may leave as its last words.
// https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
const Longest = 4 << 10

// margin is how far behind the end of what is shown secrets are looked for.
const margin = 4 << 10

// openQuote is a secret in quotes whose end is not there any more.
var openQuote = lazy(`(?i)(?:\b` + secretWord + `=|\\*"` + secretWord + `\\*"\s*:\s*)\\*(?:"[^"]*|'[^']*)$`)

// Short gives what Text gives, cut to so many characters and an ellipsis. However long a text is, only its beginning is looked
// at: up to a margin behind the cut, so that a secret at the cut is found whole. What the end of the margin may have cut is left
// out: a secret in quotes, and the last two words (a name needs the word behind its value). So is a word that is longer than the
// margin.
func Short(text string, most int) string {
	shown := prefix(text, most)
	window := len(shown) + margin
	if window >= len(text) {
		whole := Text(text)
		if shown = prefix(whole, most); len(shown) < len(whole) {
			shown += "…"
		}
		return shown
	}
	for !utf8.RuneStart(text[window]) {
		window--
	}
	hidden := Text(text[:window])
	if at := openQuote().FindStringIndex(hidden); at != nil {
		hidden = hidden[:at[0]]
	}
	for range 2 {
		hidden = hidden[:strings.LastIndexFunc(hidden, unicode.IsSpace)+1]
		hidden = strings.TrimRightFunc(hidden, unicode.IsSpace)
	}
	return prefix(hidden, most) + "…"
}

// prefix is a text's first characters.
func prefix(text string, most int) string {
	for i := range text {
		if most == 0 {
			return text[:i]
		}
		most--
	}
	return text
}
