package output

import (
	"strings"
	"unicode/utf8"
)

// Sanitize makes text from the API harmless to a terminal and to line-based scripts: what an attacker may write into a
// condition message or a label must not move the cursor, start an escape sequence or fake a row. Newlines and tabs
// become a space; C0 and C1 controls, bidirectional controls and invalid UTF-8 become visible escapes.
// kubectl's own escaping covers ESC and CR alone (https://github.com/kubernetes/cli-runtime/blob/master/pkg/printers/terminal.go).
func Sanitize(s string) string {
	if !needsSanitizing(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 8)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			writeHex(&b, rune(s[i]))
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case hostile(r):
			writeHex(&b, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

func needsSanitizing(s string) bool {
	if !utf8.ValidString(s) {
		return true
	}
	return strings.IndexFunc(s, hostile) >= 0
}

// hostile names the runes that a terminal obeys instead of showing: C0, DEL, C1, bidirectional controls (the "Trojan
// Source" set, https://trojansource.codes), line and paragraph separators, and the zero-width marks.
func hostile(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x061c, r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0xfeff:
		return true
	}
	return false
}

func writeHex(b *strings.Builder, r rune) {
	const digits = "0123456789abcdef"
	if r > 0xff {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(digits[(r>>shift)&0xf])
		}
		return
	}
	b.WriteString(`\x`)
	b.WriteByte(digits[(r>>4)&0xf])
	b.WriteByte(digits[r&0xf])
}
