package mask

// wideName is wider than secretName: it is for places where a value stands by its name and by nothing else.
var wideName = lazy(`(?i)(pass(word|wd|phrase)?|secret|token|credential|api[_-]?key|private[_-]?key` +
	`|access[_-]?key|auth|dsn|connection[_-]?string|\w[_-]ur[li]$|^pwd$|cookie|salt|signature)`)

// LooksSecret says whether the value of a variable, a flag, a header or an annotation of this name should not be shown.
func LooksSecret(name string) bool { return wideName().MatchString(name) }
