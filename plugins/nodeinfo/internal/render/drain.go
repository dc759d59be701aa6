package render

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Drain writes the preview of a drain: the verdict, what stops it and what it costs, the pods, the room, and the command.
func Drain(w io.Writer, d report.Drain, term output.Terminal) error {
	p := &page{Page: output.Page{Terminal: term, Now: d.Time}}
	causes, notes := blocks(d.Findings)
	objects := make([]string, 0, len(d.Nodes))
	for _, name := range d.Nodes {
		objects = append(objects, "node/"+name)
	}
	message := d.Summary
	if d.Verdict != report.Undecided {
		message = first(causes, message)
	}
	p.judgement(string(d.Verdict), drainStyle(d.Verdict), strings.Join(objects, ", "), message, causes, nil, notes)
	p.drainPods(d)
	p.drainRooms(d)
	p.drainTime(d)
	p.facts("Not modeled", d.NotModeled...)
	p.left(d.Removal)
	p.Section("Not checked", d.Sources.Gaps()...)
	if d.Removal != nil {
		p.commands("Commands, in this order (read-only unless marked)", d.Removal.Steps)
	} else if c := d.Command; c != nil {
		facts := []string{"[" + string(c.Risk) + "] " + c.Why, c.Command}
		for _, a := range c.Answers {
			facts = append(facts, "→ "+a)
		}
		p.Gap()
		p.WriteString("Drain command:\n")
		for i, f := range facts {
			if i == 1 {
				p.WriteString("  " + term.Paint(output.Sanitize(f), output.Bold) + "\n") // not wrapped: it is pasted
				continue
			}
			p.Line(2, f)
		}
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func drainStyle(v report.DrainVerdict) output.Style {
	switch v {
	case report.Drainable, report.Removable:
		return output.Good
	case report.DrainBlocked:
		return output.Bad
	}
	return output.Warn
}

// shown is how many names of a kind are printed; -o json has all.
const shown = 8

func (p *page) drainPods(d report.Drain) {
	by := map[report.PodFate][]string{}
	for _, pod := range d.Pods {
		text := pod.Namespace + "/" + pod.Name
		if pod.To != "" {
			text += " (" + pod.To + ")"
		}
		by[pod.Fate] = append(by[pod.Fate], text)
	}
	var lines []string
	for _, kind := range []struct {
		fate report.PodFate
		text string
	}{
		{report.PodMoves, "to move (and a node with room)"},
		{report.PodLost, "deleted for good"},
		{report.PodTerminating, "terminating already"},
		{report.PodFinished, "finished, deleted"},
		{report.PodOfDaemonSet, "of DaemonSets, left alone"},
		{report.PodStatic, "static, left alone"},
	} {
		names := by[kind.fate]
		if len(names) == 0 {
			continue
		}
		text := fmt.Sprintf("%d %s: %s", len(names), kind.text, strings.Join(names[:min(shown, len(names))], ", "))
		if len(names) > shown {
			text += fmt.Sprintf(" and %d more", len(names)-shown)
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 && d.Sources.Get("pods").Readable() {
		lines = []string{"none"}
	}
	p.facts("Pods", lines...)
}

// drainRooms prints the nodes that take pods, then those that could and those that do not.
func (p *page) drainRooms(d report.Drain) {
	if d.Counts.Moves == 0 {
		return
	}
	rooms := slices.Clone(d.Rooms)
	sorting.Stable(rooms, func(a, b report.DrainRoom) int { return b.Takes - a.Takes })
	var lines []string
	for i, r := range rooms {
		if i == shown {
			lines = append(lines, fmt.Sprintf("%d more nodes", len(rooms)-i))
			break
		}
		if r.Refuses != "" {
			lines = append(lines, r.Node+": takes none: "+r.Refuses)
			continue
		}
		var free []string
		for _, name := range []string{"cpu", "memory", "pods"} {
			if a := r.Free[name]; a != nil {
				free = append(free, name+" "+amount(name, a))
			}
		}
		lines = append(lines, fmt.Sprintf("%s: takes %d; free after that: %s", r.Node, r.Takes, strings.Join(free, ", ")))
	}
	if len(rooms) == 0 {
		lines = []string{"no other node"}
	}
	p.facts("Room", lines...)
}

func amount(name string, a *report.Amount) string {
	switch name {
	case "cpu":
		return output.Millicores(a.Value)
	case "memory":
		return output.Bytes(a.Value)
	}
	return fmt.Sprint(a.Value)
}

func (p *page) drainTime(d report.Drain) {
	if d.GraceSeconds == nil {
		return
	}
	text := fmt.Sprintf("each pod may take %s to stop (the longest grace period, %s)",
		output.Age(time.Duration(*d.GraceSeconds)*time.Second), d.GracePod)
	if slices.ContainsFunc(d.Pods, func(p report.DrainPod) bool { return len(p.Budgets) > 0 }) {
		text += "; pods of one PodDisruptionBudget go as far as it allows, then wait for their replacements"
	}
	p.facts("Time", text)
}
