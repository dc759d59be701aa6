package evaluate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// The codes of what is judged here.
const (
	AnswersAltered finding.Code = "AnswersAltered"
)

// altered makes the finding for answers that a plugin before the kubernetes one gives.
func (w *world) altered(message string, by records.Altered, evidence []finding.Evidence) finding.Finding {
	evidence = append(evidence, seen("Corefile", fmt.Sprintf("line %d", by.Line), "%s runs before the kubernetes plugin", by.Plugin))
	next := []finding.Next{w.read("see the rules in the order in which they work", "", "dns", "config")}
	if w.confRef != nil {
		next = append(next, w.change("change the rule, if it is not meant", w.confRef.Namespace, "edit", "configmap", w.confRef.Name))
	}
	return w.make(AnswersAltered, finding.Warning, w.confRef, message, evidence, next...)
}

// ruleAltered: names of the cluster, of those that were asked, which the Corefile answers otherwise than the API; one
// finding for each rule.
func ruleAltered(w *world) []finding.Finding {
	return w.alteredAnswers(func(string) bool { return true })
}

func (w *world) alteredAnswers(asked func(name string) bool) []finding.Finding {
	if !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return nil
	}
	type changed struct {
		by       records.Altered
		names    map[string]bool
		evidence []finding.Evidence
	}
	var rules []*changed
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			by, ok := w.records.AlteredBy(a.Name, records.Outcome(a))
			if !ok || a.Rcode == "" || a.Type == "SOA" || a.Name == w.External || !asked(a.Name) {
				continue
			}
			x := w.engine.Lookup(a.Name, a.Type)
			if records.Compare(x, a) == records.Same || x.Outcome == records.NXDomain {
				continue
			}
			i := slices.IndexFunc(rules, func(r *changed) bool { return r.by.Plugin == by.Plugin && r.by.Line == by.Line })
			if i < 0 {
				i, rules = len(rules), append(rules, &changed{by: by, names: map[string]bool{}})
			}
			r := rules[i]
			if !r.names[a.Name+a.Type] && len(r.evidence) < 4 {
				r.evidence = append(r.evidence, seen("answer of "+p.Pod, a.Name+" "+a.Type, "%s; the API says %s", said(sorted(a)), x))
			}
			r.names[a.Name+a.Type] = true
		}
	}
	slices.SortFunc(rules, func(a, b *changed) int { return cmp.Compare(a.by.Line, b.by.Line) })
	var list []finding.Finding
	for _, r := range rules {
		list = append(list, w.altered(fmt.Sprintf("%s in line %d of the Corefile changes what %d %s of the cluster %s answered with", r.by.Plugin, r.by.Line, len(r.names), plural(len(r.names), "name"), map[bool]string{true: "is", false: "are"}[len(r.names) == 1]), r.by, r.evidence))
	}
	return list
}
