package session

import (
	"fmt"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// conclude reports on every node; the exit code is the highest, and that of nodeshell's own failure where a node's result
// is not known.
func (r *running) conclude(outcomes []report.Outcome) error {
	worst, failed, nonzero := 0, 0, 0
	for _, outcome := range outcomes {
		switch {
		case outcome.ExitCode == nil:
			failed++
		case *outcome.ExitCode != 0:
			nonzero++
			worst = max(worst, *outcome.ExitCode)
		}
	}
	if failed > 0 {
		worst = r.env.FailureCode
	}
	summary := fmt.Sprintf("%s: %d ok", output.Plural(len(outcomes), "node"), len(outcomes)-failed-nonzero)
	if nonzero > 0 {
		summary += fmt.Sprintf(", %d with a nonzero exit code", nonzero)
	}
	if failed > 0 {
		summary += fmt.Sprintf(", %d failed", failed)
	}
	if r.o.Format.Structured() {
		for i := range outcomes {
			encode(&outcomes[i].Stdout, &outcomes[i].StdoutBase64)
			encode(&outcomes[i].Stderr, &outcomes[i].StderrBase64)
		}
		doc := report.Outcomes{
			TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: "NodeShellOutcomes"},
			Summary:  summary, Items: outcomes,
		}
		if err := r.o.Format.Print(r.env.Streams.Out, doc); err != nil {
			return err
		}
	} else {
		r.tell(outcomes, summary)
	}
	if worst != 0 {
		return cli.Exit{Code: worst}
	}
	return nil
}

// encode moves what is not UTF-8, and would be changed in JSON, to the field for bytes.
func encode(text *string, raw *[]byte) {
	if !utf8.ValidString(*text) {
		*raw, *text = []byte(*text), ""
	}
}

// tell names the nodes that did not end with 0, on standard error.
func (r *running) tell(outcomes []report.Outcome, summary string) {
	for _, outcome := range outcomes {
		switch {
		case outcome.Error != "":
			r.nodes.Error("node/"+outcome.Node, outcome.Error, outcome.Findings)
		case *outcome.ExitCode != 0:
			r.env.Warn("node/%s: exit code %d", outcome.Node, *outcome.ExitCode)
		}
	}
	if !r.o.Pod.Quiet {
		r.env.Warn("%s", summary)
	}
}
