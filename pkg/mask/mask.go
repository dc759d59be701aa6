// Package mask hides secrets in free text by what they look like: log lines, messages of events, templates, which no field
// name marks as secret. What a secret is by the name of its field, the plugins know.
package mask

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Hidden stands in the place of a secret.
const Hidden = "***"

// kept is what has been masked already, here or by a plugin that numbers its masks.
var kept = regexp.MustCompile(`^["']?(\*\*\*|masked-\d+)`)

// secretWord ends the name of what is assigned a secret. "tokens" (max_tokens=1) and "secretName" are no such names.
const secretWord = `[\w.-]*(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|token)`

// pattern finds a secret in the second of its three groups. Most texts lack the mark, and cost no more than the search
// for it.
type pattern struct {
	mark    string
	pattern func() *regexp.Regexp
}

// lazy compiles an expression when a text has its mark: a start that compiles all of them is a millisecond longer.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

var patterns = []pattern{
	// https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1, also in connection strings
	{"@", lazy(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)([^\s@/]+)(@)`)},
	// https://www.rfc-editor.org/rfc/rfc7519: header and claims are JSON objects, so both begin with eyJ
	{"eyJ", lazy(`()(\beyJ[\w-]{6,}\.eyJ[\w-]{6,}(?:\.[\w-]*)?)()`)},
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
	{"IA", lazy(`()(\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)()`)},
	// https://www.rfc-editor.org/rfc/rfc7468; a log may be cut before the end
	{"PRIVATE KEY", lazy(`(-----BEGIN [A-Z ]*PRIVATE KEY-----)([^-]+)((?:-----END [A-Z ]*PRIVATE KEY-----)?)`)},
	{"=", lazy(`(?i)(\b` + secretWord + `=)("[^"]*"|'[^']*'|[^\s&;,"']+)()`)},
	{`"`, lazy(`(?i)("` + secretWord + `"\s*:\s*")([^"]+)(")`)},
}

// scheme finds credentials of HTTP (https://www.rfc-editor.org/rfc/rfc9110#section-11.4). "Bearer authentication" is none:
// they have digits.
var scheme = lazy(`(?i)(\b(?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{8,})()`)

// schemeMarks are what stands in every text that scheme finds, as programs write it.
var schemeMarks = []string{"earer", "EARER", "asic", "ASIC"}

// Text hides secrets in a text; all else stays as it is.
func Text(text string) string {
	for _, p := range patterns {
		if strings.Contains(text, p.mark) {
			// docker-pullable://nginx:1.27@sha256:… is an image, and 1.27 no password.
			text = replace(p.pattern(), text, func(_, after string) bool { return !strings.HasPrefix(after, "sha256:") })
		}
	}
	if !slices.ContainsFunc(schemeMarks, func(mark string) bool { return strings.Contains(text, mark) }) {
		return text
	}
	return replace(scheme(), text, func(secret, _ string) bool { return strings.ContainsAny(secret, "0123456789") })
}

// Lines does the same for lines of a log, among which a secret may go on.
func Lines(lines []string) []string {
	if len(lines) == 0 {
		return lines
	}
	return strings.Split(Text(strings.Join(lines, "\n")), "\n")
}

// Tree does the same for every text in what encoding/json decodes into an any. It changes its argument.
func Tree(v any) any {
	switch v := v.(type) {
	case string:
		return Text(v)
	case []any:
		lines := make([]string, 0, len(v))
		for i := range v {
			if line, ok := v[i].(string); ok {
				lines = append(lines, line)
			}
			v[i] = Tree(v[i])
		}
		if hidden := Lines(lines); len(lines) == len(v) && len(hidden) < len(lines) { // a key over several lines
			v = v[:0]
			for _, line := range hidden {
				v = append(v, line)
			}
		}
		return v
	case map[string]any:
		for key := range v {
			v[key] = Tree(v[key])
		}
	}
	return v
}

// replace hides the second group of each match that secret agrees to; it is shown what follows the match, too.
func replace(p *regexp.Regexp, text string, secret func(value, after string) bool) string {
	var b strings.Builder
	end := 0
	for _, at := range p.FindAllStringSubmatchIndex(text, -1) {
		value := text[at[4]:at[5]]
		if kept.MatchString(value) || !secret(value, text[at[1]:]) {
			continue
		}
		b.WriteString(text[end:at[4]] + Hidden)
		end = at[5]
	}
	return b.String() + text[end:]
}
