package masking

import (
	"regexp"
)

// Names whose values are masked.
var secretName = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|credential|api[_-]?key|private[_-]?key` +
	`|access[_-]?key|auth|dsn|connection[_-]?string|\w[_-]ur[li]$|^pwd$|cookie|salt|signature)`)

// LooksSecret says whether a variable of this name should not be shown.
func LooksSecret(name string) bool { return secretName.MatchString(name) }
