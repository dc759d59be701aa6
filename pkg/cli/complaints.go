package cli

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// Line is an error in the one line that a command prints of it: explained, without what looks like a secret, and not without end.
func Line(err error) string {
	return output.Truncate(mask.Short(output.Sanitize(kube.OneLine(kube.Explain(err))), longestLine), longestLine)
}

// Complaints tells what fails while a command goes on looking. What fails again in the same words is told once.
type Complaints struct {
	env  *Env
	last map[string]string
}

// Complaints makes one for a loop.
func (e *Env) Complaints() *Complaints { return &Complaints{env: e, last: map[string]string{}} }

// Say warns of what went wrong with one of the things that are looked at, unless it went wrong in these words the last
// time, too. Without an error the thing is well again.
func (c *Complaints) Say(of string, err error) {
	text := ""
	if err != nil {
		text = Line(err)
	}
	if text != "" && text != c.last[of] {
		c.env.Warn("error: %s", text)
	}
	c.last[of] = text
}
