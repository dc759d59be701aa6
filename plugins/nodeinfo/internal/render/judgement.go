package render

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
)

// judgement writes what every report begins with: the verdict, its causes with evidence and next steps, what follows from them, and
// findings for information.
func (p *page) judgement(
	verdict string, style output.Style, object, message string, causes []output.Block, follows []finding.Consequence, notes []output.Block,
) {
	p.Verdict(verdict, style, object, message, causes...)
	p.Findings(causes...)
	p.Consequences(follows)
	p.Findings(notes...)
	p.Gap()
}

// blocks parts findings into those that make the verdict and those for information.
func blocks(list []finding.Finding) (causes, notes []output.Block) {
	for _, b := range output.Blocks(list) {
		if b.Severity == finding.Info {
			notes = append(notes, b)
		} else {
			causes = append(causes, b)
		}
	}
	return causes, notes
}

// first is the message of the first cause; without one, that which is given.
func first(causes []output.Block, message string) string {
	if len(causes) > 0 {
		return causes[0].Message
	}
	return message
}

// published are findings in the shape of the formats that other tools read.
func published(causes, notes []output.Block) []publish.Finding {
	var list []publish.Finding
	for _, b := range causes {
		list = append(list, publish.Finding{Block: b})
	}
	for _, b := range notes {
		list = append(list, publish.Finding{Block: b, Folded: true})
	}
	return list
}

// commands writes numbered commands that no finding has. They are not wrapped: they are pasted.
func (p *page) commands(title string, list []finding.Next) {
	if len(list) == 0 {
		return
	}
	p.Gap()
	p.WriteString(title + ":\n")
	for i, n := range list {
		why := n.Why
		if n.Risk != finding.Read {
			why = "[" + string(n.Risk) + "] " + why
		}
		p.Line(2, fmt.Sprintf("%d. %s", i+1, why))
		p.WriteString("     " + p.Terminal.Paint(output.Sanitize(n.Command), output.Bold) + "\n")
		for _, a := range n.Answers {
			p.Line(5, "→ "+a)
		}
	}
}
