package output

import (
	"io"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Findings writes findings alone. Page is the whole form.
func Findings(w io.Writer, term Terminal, list []finding.Finding, now time.Time) error {
	p := Page{Terminal: term, Now: now}
	p.Findings(Blocks(list)...)
	_, err := io.WriteString(w, p.String())
	return err
}
