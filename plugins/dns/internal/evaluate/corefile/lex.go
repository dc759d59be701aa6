package corefile

import "strings"

// token is one word with its place. Quoted says that it stood in quotes, where braces and # mean nothing.
type token struct {
	text   string
	file   string
	line   int
	quoted bool
}

// lex splits a Corefile into words as Caddy's lexer does: white space separates, # at the start of a word begins a
// comment, double quotes keep white space, and a backslash before a quote keeps the quote
// (https://github.com/coredns/caddy/blob/master/caddyfile/lexer.go).
func lex(file, text string) []token {
	var (
		tokens  []token
		word    strings.Builder
		started bool
		quoted  bool
		comment bool
		line    = 1
		begun   = 1
	)
	emit := func(q bool) {
		if started {
			tokens = append(tokens, token{word.String(), file, begun, q})
		}
		word.Reset()
		started = false
	}
	runes := []rune(strings.TrimPrefix(text, "\ufeff"))
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quoted:
			switch {
			case r == '\\' && i+1 < len(runes) && runes[i+1] == '"':
				word.WriteRune('"')
				i++
			case r == '"':
				quoted = false
				emit(true)
			default:
				word.WriteRune(r)
			}
		case r == '\n', r == ' ', r == '\t', r == '\r':
			emit(false)
			comment = comment && r != '\n'
		case comment:
		case r == '#' && !started:
			comment = true
		case r == '"' && !started:
			quoted, started, begun = true, true, line
		default:
			if !started {
				started, begun = true, line
			}
			word.WriteRune(r)
		}
		if r == '\n' {
			line++
		}
	}
	emit(quoted)
	return tokens
}
