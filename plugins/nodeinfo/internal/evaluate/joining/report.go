package joining

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Report judges the machines. Without names, those that have joined are left out.
func (b *Runbook) Report() report.Join {
	out := report.Join{
		APIVersion: report.APIVersion, Kind: report.JoinKind, Time: b.now.UTC(), Nodes: slices.Sorted(slices.Values(b.in.Targets)),
		Machines: []report.JoinMachine{}, Sources: slices.Clone(b.in.Sources), Verdict: report.Joined,
	}
	out.Sources.Sort()
	named := len(b.in.Targets)+len(b.in.NotFound) > 0
	for _, m := range b.Machines {
		r := m.report()
		if slices.Contains(b.in.NotFound, r.Name) {
			out.NotFound = append(out.NotFound, r.Name)
		}
		if named || r.Verdict != report.Joined {
			out.Machines = append(out.Machines, r)
		}
	}
	order := report.JoinVerdicts()
	sorting.Stable(out.Machines, func(a, b report.JoinMachine) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Verdict), slices.Index(order, b.Verdict)), cmp.Compare(a.Name, b.Name))
	})
	if len(out.Machines) > 0 {
		out.Verdict = out.Machines[0].Verdict
	} else if s, unread := b.machinesUnread(); unread {
		out.Verdict, out.Summary = report.JoinUndecided, s
		return out
	}
	out.Summary = b.summary(&out)
	return out
}

// machinesUnread says why machines that are no nodes yet are not known of.
func (b *Runbook) machinesUnread() (string, bool) {
	s := b.in.Sources.Get(facts.SourceRequests)
	return fmt.Sprintf("%s; machines that wait for their certificate are unknown: %s", b.all(), s.Reason()), !s.Readable()
}

func (b *Runbook) all() string {
	return "nothing is missing on " + output.Plural(len(b.in.Nodes), "node")
}

// summary counts the machines by what they lack.
func (b *Runbook) summary(r *report.Join) string {
	switch len(r.Machines) {
	case 0:
		return b.all() + ", and no machine requests to join"
	case 1:
		return r.Machines[0].Summary
	}
	var parts []string
	for _, verdict := range report.JoinVerdicts() {
		n := 0
		for _, m := range r.Machines {
			if m.Verdict == verdict {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, verdict))
		}
	}
	return strings.Join(parts, ", ")
}

func (m *Machine) report() report.JoinMachine {
	out := report.JoinMachine{
		Name: m.Object.Name, Registered: m.Registered, Findings: m.roots, Consequences: m.consequences, Steps: m.Steps(),
		Sources: slices.Clone(m.book.in.NodeSources[m.Object.Name]),
	}
	out.Sources.Sort()
	if out.Findings == nil {
		out.Findings = []finding.Finding{}
	}
	count := map[report.JoinState]int{}
	for _, s := range out.Steps {
		count[s.State]++
		if s.State == report.JoinMissing && out.Missing == "" {
			out.Missing = s.Step
		}
	}
	switch {
	case count[report.JoinMissing] > 0:
		out.Verdict = report.Incomplete
	case count[report.JoinWaiting] > 0:
		out.Verdict = report.Joining
	case count[report.JoinUnknown] > 0:
		out.Verdict = report.JoinUndecided
	default:
		out.Verdict = report.Joined
	}
	if out.Verdict == report.Joined { // who leads is no matter of a node to which nobody has to do anything
		out.Findings = slices.DeleteFunc(slices.Clone(out.Findings), func(f finding.Finding) bool { return f.Code == machine.LeaderLeaseExpired })
	}
	out.Summary = summary(&out)
	out.Next = m.next(&out)
	return out
}

// summary is the first step that is missing, or which ones are not done.
func summary(r *report.JoinMachine) string {
	var evidence string
	steps := func(state report.JoinState) string {
		var names []string
		for _, s := range r.Steps {
			if s.State != state {
				continue
			}
			if names = append(names, string(s.Step)); len(names) == 1 {
				evidence = s.Evidence
			}
		}
		return named(names)
	}
	switch r.Verdict {
	case report.Incomplete:
		steps(report.JoinMissing)
		return string(r.Missing) + ": " + evidence
	case report.Joining:
		return "in progress, nothing is missing; waits for " + steps(report.JoinWaiting)
	case report.JoinUndecided:
		return "nothing is missing in what was read; unknown: " + steps(report.JoinUnknown)
	}
	return "nothing is missing"
}

// next is what to do where no finding says it: wait, or look at what no finding tells of.
func (m *Machine) next(r *report.JoinMachine) []finding.Next {
	switch {
	case r.Verdict == report.Joining:
		next := finding.Next{
			Command: m.Kubectl.Command("", "nodeinfo", r.Name, "--wait-for=healthy"), Risk: finding.Read,
			Why: "Wait until the node is there and Healthy",
		}
		list := []finding.Next{next}
		if !m.Registered && m.client != nil || m.ServingRequest != nil {
			list = append(list, m.approve()...)
		}
		return list
	case r.Verdict == report.Incomplete && len(r.Findings) == 0:
		return []finding.Next{m.Describe("Read the node and its events")}
	}
	return nil
}

// approve is how a request that has just been made is approved where nobody does it.
func (m *Machine) approve() []finding.Next {
	r := m.ServingRequest
	if !m.Registered {
		r = m.client
	}
	_, _, next := machine.Requested(m.Case, r)
	return next
}
