package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/clients"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/names"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Explain walks a name for one library, or for all when it is not known.
func Explain(in facts.Input, now time.Time, o facts.Options, name string, libcs []resolver.Libc) report.Explanation {
	o.Standalone = true
	w := facts.New(in, now, o)
	out := report.Explanation{Header: header(w, "DNSExplanation"), Name: name, From: *fromReport(w), Lookups: []report.Lookup{}}
	detected := w.Libc()
	if len(libcs) == 0 && detected != "" {
		libcs = []resolver.Libc{detected}
	}
	if len(libcs) == 0 {
		libcs = resolver.All()
		if nodeOS(w) == "linux" {
			libcs = slices.DeleteFunc(libcs, func(l resolver.Libc) bool { return l == resolver.Windows })
		}
		out.Libc = "unknown"
	} else {
		out.Libc = string(libcs[0])
	}
	for _, l := range libcs {
		walk := walk(w, name, l)
		walk.Detected = l == detected
		out.Lookups = append(out.Lookups, walk)
	}
	first := out.Lookups[0]
	all := slices.Concat(clients.CheckPodConfig(w), clients.CheckOwnCache(w))
	failure := walkFailure(w, name, first)
	all = append(all, failure...)
	if first.Outcome == Answered && first.Queries == 0 {
		w.Options.Typed = name
		all = append(all, clients.HostsOf(w, ask.Complete(w, name))...)
	}
	if first.Outcome == Answered {
		all = append(all, servers.AlteredAnswers(w, func(asked string) bool {
			return slices.ContainsFunc(first.Steps, func(s report.Step) bool { return strings.EqualFold(s.Name, asked) })
		})...)
	}
	for _, f := range targetRules(w, first) {
		if !slices.ContainsFunc(failure, func(have finding.Finding) bool { return have.Code == f.Code }) {
			all = append(all, f) // the cause of the failure is not said twice
		}
	}
	finalizeFindings(w, &out.Header, all)
	switch {
	case out.Verdict != report.Healthy:
	case first.Outcome == Unknown:
		out.Verdict, out.Summary = report.Unknown, fmt.Sprintf("unknown whether %s is found: no server could be queried for %s", name,
			strings.TrimSuffix(first.Steps[len(first.Steps)-1].Name, "."))+notQueriedReason(w)
	default:
		out.Summary = answeredText(w, name, out.Lookups)
	}
	return out
}

// The outcomes of a lookup.
const (
	Answered = "Answered"
	NotFound = "NotFound"
	Failed   = "Failed"
	Unknown  = "Unknown"
)

func answeredText(w *facts.Snapshot, name string, walks []report.Lookup) string {
	first := walks[0]
	if first.Queries == 0 {
		return fmt.Sprintf("resolved to %s by /etc/hosts of the pod, which is read before DNS is queried", strings.Join(first.Answer, ", "))
	}
	words := fmt.Sprintf("answered at step %d of %d as %s after %d queries", len(first.Steps),
		len(resolver.Candidates(name, w.ResolvConf(), resolver.Libc(first.Libc))),
		strings.TrimSuffix(first.Steps[len(first.Steps)-1].Name, "."), first.Queries)
	var other []string
	for _, walk := range walks[1:] {
		if walk.Outcome != first.Outcome {
			other = append(other, walk.Libc+": "+walk.Outcome)
		}
	}
	if len(other) > 0 {
		words += fmt.Sprintf(" with %s; the C library of the image is unknown (%s)", first.Libc, strings.Join(other, ", "))
	}
	return words
}

// nodeOS is the operating system of the suspect's node, where it is known.
func nodeOS(w *facts.Snapshot) string {
	for i := range w.Nodes {
		if w.Nodes[i].Name == w.From.Pod.Spec.NodeName {
			return w.Nodes[i].Labels[corev1.LabelOSStable]
		}
	}
	return ""
}

// targetRules judges the object that the name leads to.
func targetRules(w *facts.Snapshot, walk report.Lookup) []finding.Finding {
	for _, step := range walk.Steps {
		base, ok := strings.CutSuffix(step.Name, ".svc."+w.Zone)
		labels := strings.Split(base, ".")
		if !ok || len(labels) < 2 {
			continue
		}
		if svc := w.Engine.Service(labels[len(labels)-1], labels[len(labels)-2]); svc != nil {
			return names.ServiceRules(w, svc)
		}
	}
	return nil
}

// walkFailure makes the finding for a walk that ended without an address. The step that decides is the one that stands
// for what the user meant, where the walk came so far, and else its last.
func walkFailure(w *facts.Snapshot, name string, walk report.Lookup) []finding.Finding {
	if walk.Outcome == Answered {
		return nil
	}
	meant := ask.Complete(w, name)
	step := walk.Steps[len(walk.Steps)-1]
	for _, s := range walk.Steps {
		if corefile.Fqdn(s.Name) == meant {
			step = s
		} else if corefile.InZone(meant, w.Zone) {
			if f := servers.ZoneElsewhere(w, s.Name); f != nil {
				return []finding.Finding{*f} // the pod searches where nobody serves
			}
		}
	}
	has := func(o resolver.Outcome) bool { return step.A == string(o) || step.AAAA == string(o) }
	var f finding.Finding
	switch {
	case has(resolver.Unknown):
		return nil
	case has(resolver.NXDomain):
		f = names.ExplainNoAddress(w, step.Name, true)
	case step.A == string(resolver.NoData) && step.AAAA == string(resolver.NoData):
		f = names.ExplainNoAddress(w, step.Name, false)
	default:
		f = w.Make(names.NoUsableAnswer, finding.Critical, nil, fmt.Sprintf("%s gets no usable answer (A: %s, AAAA: %s)",
			strings.TrimSuffix(step.Name, "."), step.A, step.AAAA), ask.Answers(w, step.Name), noAnswerNext(w, step, meant))
		if len(f.Evidence) == 0 {
			f.Evidence = append(f.Evidence, facts.NewEvidence(step.Source, step.Name, "%s", step.A))
		}
		f = clients.BlameCache(w, f, w.OwnServers()...)
	}
	if walk.Outcome != Unknown {
		f.Message = fmt.Sprintf("%s (lookup of %s from pod %s/%s: %s)", f.Message, name, w.From.Pod.Namespace, w.From.Pod.Name, walk.Reason)
	}
	return []finding.Finding{f}
}

// noAnswerNext leads to the upstream servers only for a name outside to which a server said something: silence is met on the way.
func noAnswerNext(w *facts.Snapshot, step report.Step, meant string) finding.Next {
	silent := step.A == string(resolver.Timeout) && step.AAAA == string(resolver.Timeout)
	if silent || corefile.InZone(corefile.Fqdn(step.Name), w.Zone) || corefile.InZone(meant, w.Zone) {
		return names.CheckNext(w)
	}
	return w.Read("Check the upstream servers, which answer names outside the cluster", "", "dns", "upstream")
}

func walk(w *facts.Snapshot, name string, l resolver.Libc) report.Lookup {
	if addresses := hostsFile(w, name, l); len(addresses) > 0 {
		family := func(v6 bool) string {
			if slices.ContainsFunc(addresses, func(a string) bool { return strings.Contains(a, ":") == v6 }) {
				return string(resolver.Answer)
			}
			return "-"
		}
		return report.Lookup{
			Libc: string(l), Outcome: Answered, Reason: "/etc/hosts has the name and is read before DNS is queried", Answer: addresses,
			Steps: []report.Step{{Number: 1, Name: name, A: family(false), AAAA: family(true), Source: "/etc/hosts", Next: string(resolver.Stop)}},
		}
	}
	sources := map[string]string{}
	followed := resolver.Follow(name, w.ResolvConf(), l, func(fqdn string) resolver.Pair {
		a, from := ask.Outcome(w, fqdn, "A")
		aaaa, _ := ask.Outcome(w, fqdn, "AAAA")
		sources[fqdn] = from
		return resolver.Pair{A: a, AAAA: aaaa}
	})
	out := report.Lookup{Libc: string(l), Outcome: NotFound, Reason: followed.Reason, Queries: followed.Sent, Steps: []report.Step{}}
	switch {
	case followed.Found:
		out.Outcome = Answered
	case followed.Unknown:
		out.Outcome = Unknown
	case followed.Failed:
		out.Outcome = Failed
	}
	for i, s := range followed.Steps {
		out.Steps = append(out.Steps, report.Step{
			Number: i + 1, Name: s.Name, Search: s.Search, A: string(s.Pair.A),
			AAAA: string(s.Pair.AAAA), Source: sources[s.Name], Next: string(s.Next),
		})
		out.Predicted = out.Predicted || sources[s.Name] == "computed"
	}
	if followed.Found && len(out.Steps) > 0 {
		out.Answer = ask.AnswerData(w, out.Steps[len(out.Steps)-1].Name)
	}
	return out
}

// hostsFile gives the addresses that the pod's /etc/hosts has for a name: the file itself, or what the kubelet is told
// to write into it. glibc and musl compare a name as it is typed; Go drops a final dot.
func hostsFile(w *facts.Snapshot, name string, l resolver.Libc) []string {
	if l == resolver.Go {
		name = strings.TrimSuffix(name, ".")
	}
	return resolver.HostsFile(w.HostsFile(), name)
}
