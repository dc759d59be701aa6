package facts

import (
	"regexp"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
)

// KeyMask hides a private key that a log prints over several lines, each behind its own time stamp
// (https://www.rfc-editor.org/rfc/rfc7468). It is given the lines of one log in their order.
type KeyMask struct{ left int }

// longestKey is how many lines of base64 a key has at most: 16,384 bits of RSA need about 200 of 64 characters.
const longestKey = 250

var (
	keyBegin  = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*`)
	keyEnd    = regexp.MustCompile(`^.*-----END [A-Z0-9 ]*PRIVATE KEY-----`)
	keyLine   = regexp.MustCompile(`^[A-Za-z0-9+/=]+$`)
	keyInLine = regexp.MustCompile(`[A-Za-z0-9+/=]{24,}`)
)

// Line gives a line with what belongs to a key hidden; its time stamp stays.
func (k *KeyMask) Line(line string) string {
	text := LogText(line)
	head, tail, _ := strings.Cut(line, text)
	switch {
	case text == "":
		return line
	case keyBegin.MatchString(text) && !keyEnd.MatchString(text):
		k.left = longestKey
		return head + keyBegin.ReplaceAllString(text, mask.Hidden) + tail
	case k.left == 0:
		return line
	case keyEnd.MatchString(text):
		k.left = 0
		return head + keyEnd.ReplaceAllString(text, mask.Hidden) + tail
	}
	k.left--
	if keyLine.MatchString(text) {
		return head + mask.Hidden + tail
	}
	return head + keyInLine.ReplaceAllString(text, mask.Hidden) + tail
}

// HideKeys does the same for a whole log.
func HideKeys(log string) string {
	if !strings.Contains(log, "-----BEGIN") {
		return log
	}
	var b strings.Builder
	var k KeyMask
	for line := range strings.Lines(log) {
		b.WriteString(k.Line(line))
	}
	return b.String()
}
