package cli

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
)

// maskedLog hides secrets in what -v logs. client-go masks the header Authorization, but logs other headers and, from -v=8 on,
// whole bodies: pods with their variables, logs of containers.
type maskedLog struct{}

func (maskedLog) Filter(args []any) []any {
	return []any{mask.Text(fmt.Sprint(args...))}
}

func (maskedLog) FilterF(format string, args []any) (string, []any) {
	return "%s", []any{mask.Text(fmt.Sprintf(format, args...))}
}

func (maskedLog) FilterS(msg string, keysAndValues []any) (string, []any) {
	out := make([]any, len(keysAndValues))
	for i, value := range keysAndValues {
		switch {
		case i%2 == 0:
			out[i] = value
		case keysAndValues[i-1] == "body":
			out[i] = "not logged: it may hold secrets; kubectl -v=8 logs it"
		default:
			out[i] = maskedValue(value)
		}
	}
	return mask.Text(msg), out
}

// loggedHeader is a line of headers as client-go logs them.
var loggedHeader = regexp.MustCompile(`(?m)^(\s*([\w-]+): )(.+)$`)

func maskedValue(value any) any {
	text := fmt.Sprint(value)
	hidden := mask.Text(text)
	if _, ok := value.(fmt.Stringer); ok {
		hidden = loggedHeader.ReplaceAllStringFunc(hidden, func(line string) string {
			m := loggedHeader.FindStringSubmatch(line)
			if !mask.LooksSecret(m[2]) || strings.Contains(m[3], "<masked>") {
				return line
			}
			return m[1] + mask.Hidden
		})
	}
	if hidden == text {
		return value // with its type, by which it is laid out
	}
	return hidden
}
