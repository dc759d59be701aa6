package render

import (
	"fmt"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// left prints what a removed node leaves behind: a line for the objects of one kind that share what becomes of them.
func (p *page) left(r *report.Removal) {
	if r == nil {
		return
	}
	type key struct {
		kind, note string
		fate       report.LeftoverFate
	}
	var order []key
	names := map[key][]string{}
	for _, l := range r.Left {
		k := key{l.Object.Kind, l.Note, l.Fate}
		if names[k] == nil {
			order = append(order, k)
		}
		name := l.Object.Name
		if l.Object.Namespace != "" {
			name = l.Object.Namespace + "/" + name
		}
		names[k] = append(names[k], name)
	}
	words := map[report.LeftoverFate]string{report.LeftGoes: "goes", report.LeftStays: "stays", report.LeftLost: "lost"}
	var lines []string
	for _, k := range order {
		list := names[k]
		text := strings.Join(list[:min(shown, len(list))], ", ")
		if len(list) > shown {
			text += fmt.Sprintf(" and %d more", len(list)-shown)
		}
		lines = append(lines, fmt.Sprintf("%s: %s %s: %s", words[k.fate], k.kind, text, k.note))
	}
	if len(lines) == 0 {
		lines = []string{"nothing"}
	}
	p.facts("Left behind", lines...)
}
