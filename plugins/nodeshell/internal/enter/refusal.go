package enter

import (
	"errors"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// failed is the word of a helper that did not start, where a plan has its verdict.
const failed = "error"

// Refused is a node that is not entered, and why: the plan's verdict, or a helper that did not start.
type Refused struct {
	Word     string
	Node     string
	Message  string
	Findings []finding.Finding
}

func (e Refused) Error() string { return e.Message }

// Refusal is the error of a plan that cannot be carried out.
func (v Visit) Refusal() error {
	return Refused{Word: string(report.Refused), Node: v.Node, Message: v.Summary, Findings: v.Findings}
}

func notStarted(v Visit, f finding.Finding) error {
	return Refused{Word: failed, Node: v.Node, Message: f.Message, Findings: []finding.Finding{f}}
}

// Explain writes a refusal with its next steps to standard error, and gives the error that ends the call. Any other error
// stays as it is.
func (r *Runner) Explain(err error) error {
	var refused Refused
	if !errors.As(err, &refused) {
		return err
	}
	r.Fail(refused.Word, "node/"+refused.Node, refused.Message, refused.Findings)
	return cli.Exit{Code: r.env.FailureCode}
}

// Error writes the error of one node or target, with the next steps of its findings.
func (r *Runner) Error(object, message string, list []finding.Finding) {
	r.Fail(failed, object, message, list)
}

// Fail writes "WORD: object: message" and a block for each critical finding.
func (r *Runner) Fail(word, object, message string, list []finding.Finding) {
	page := output.Page{Terminal: r.env.Err(r.options.Color), Now: r.Now()}
	page.Verdict(word, output.Bad, object, message)
	for _, f := range list {
		if f.Severity != finding.Critical {
			continue
		}
		f.Evidence = slices.DeleteFunc(slices.Clone(f.Evidence), func(e finding.Evidence) bool { return strings.Contains(f.Message, e.Value) })
		page.Findings(output.Block{Finding: f})
	}
	r.env.Warn("%s", strings.TrimSuffix(page.String(), "\n"))
}
