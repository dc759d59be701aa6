package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Pod explains a pod's resolver settings.
func Pod(in Input, now time.Time, o Options) report.PodResolver {
	o.Standalone = true
	w := newWorld(in, now, o)
	pod := &w.From.Pod
	c := resolver.Compute(pod.Namespace, pod.Spec, w.kubeletFor(pod.Spec.NodeName))
	out := report.PodResolver{
		Header: w.header("DNSPodResolver"), Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName,
		Policy: string(pod.Spec.DNSPolicy), Computed: confReport(c.Conf), Libc: string(w.libc()), Policies: w.policyEffects(),
	}
	for _, v := range c.Values {
		out.Settings = append(out.Settings, report.ValueFrom{Value: v.Value, From: v.From})
	}
	if c.AnyServers {
		out.Settings = append(out.Settings, report.ValueFrom{Value: "nameserver (not known)", From: "clusterDNS of the kubelet, which could not be asked"})
	}
	if c.HostServers {
		out.Settings = append(out.Settings, report.ValueFrom{Value: "nameserver (not known to the API)", From: "resolv.conf of node " + pod.Spec.NodeName})
	}
	if c.HostSearches {
		out.Settings = append(out.Settings, report.ValueFrom{Value: "further searches (not known to the API)", From: "resolv.conf of node " + pod.Spec.NodeName})
	}
	for _, a := range pod.Spec.HostAliases {
		out.Aliases = append(out.Aliases, report.HostAlias{IP: a.IP, Names: a.Hostnames})
	}
	if actual, ok := w.actualConf(); ok {
		out.Actual = confReport(actual)
		out.Differs = c.Differences(actual)
	}
	w.conclude(&out.Header, []rule{rulePodConfig, rulePolicy})
	switch {
	case len(out.Findings) > 0:
	case c.AnyServers && out.Actual == nil:
		out.Verdict, out.Summary = report.Unknown, fmt.Sprintf("which servers pod %s/%s asks is not known: neither its file, nor its kubelet's settings, nor the DNS Service could be read", pod.Namespace, pod.Name)
	default:
		out.Summary = fmt.Sprintf("pod %s/%s asks %s, with ndots:%d", pod.Namespace, pod.Name, orNone(strings.Join(shownServers(out), ", ")), ndotsOf(out, c))
		if len(out.Differs) > 0 {
			out.Summary += "; its file differs from what the kubelet would write now: it was written when the pod was made"
		}
	}
	return out
}

func shownServers(p report.PodResolver) []string {
	if p.Actual != nil {
		return p.Actual.Nameservers
	}
	return p.Computed.Nameservers
}

func ndotsOf(p report.PodResolver, c resolver.Computed) int {
	if p.Actual != nil {
		return resolver.Conf{Options: p.Actual.Options}.Ndots()
	}
	return c.Ndots()
}

func confReport(c resolver.Conf) *report.ResolvConf {
	none := func(list []string) []string {
		if list == nil {
			return []string{}
		}
		return list
	}
	return &report.ResolvConf{Nameservers: none(c.Nameservers), Searches: none(c.Searches), Options: none(c.Options)}
}

// libc is what the image's files tell; empty when nothing was read or nothing was found.
func (w *world) libc() resolver.Libc {
	switch {
	case w.From == nil:
		return ""
	case w.From.Pod.Spec.OS != nil && w.From.Pod.Spec.OS.Name == "windows":
		return resolver.Windows
	case w.From.Musl != nil && *w.From.Musl:
		return resolver.Musl
	case w.From.Glibc != nil && *w.From.Glibc:
		return resolver.Glibc
	}
	return ""
}

// conf is the suspect's resolv.conf: the real one, or else the computed.
func (w *world) conf0() resolver.Conf {
	if actual, ok := w.actualConf(); ok {
		return actual
	}
	return resolver.Compute(w.From.Pod.Namespace, w.From.Pod.Spec, w.kubeletFor(w.From.Pod.Spec.NodeName)).Conf
}

// ExplainQuestions lists every candidate of every library. Those of the cluster come first: a server answers one
// connection in order, and a dead upstream would hold up what stands behind a name outside.
func ExplainQuestions(in Input, name string) []records.Question {
	w := newWorld(in, in.now(), Options{})
	var list []records.Question
	for _, l := range resolver.All() {
		for _, step := range resolver.Candidates(name, w.conf0(), l) {
			list = append(list, records.Question{Name: step.Name, Type: "A"}, records.Question{Name: step.Name, Type: "AAAA"})
		}
	}
	slices.SortStableFunc(list, func(a, b records.Question) int {
		return boolOrder(!corefile.InZone(corefile.Fqdn(a.Name), w.zone), !corefile.InZone(corefile.Fqdn(b.Name), w.zone))
	})
	return unique(list)
}

// Explain walks a name for one library, or for all when it is not known.
func Explain(in Input, now time.Time, o Options, name string, libcs []resolver.Libc) report.Explanation {
	o.Standalone = true
	w := newWorld(in, now, o)
	out := report.Explanation{Header: w.header("DNSExplanation"), Name: name, From: *w.fromReport(), Walks: []report.Walk{}}
	detected := w.libc()
	if len(libcs) == 0 && detected != "" {
		libcs = []resolver.Libc{detected}
	}
	if len(libcs) == 0 {
		libcs = resolver.All()
		if w.nodeOS() == "linux" {
			libcs = slices.DeleteFunc(libcs, func(l resolver.Libc) bool { return l == resolver.Windows })
		}
		out.Libc = "unknown"
	} else {
		out.Libc = string(libcs[0])
	}
	for _, l := range libcs {
		walk := w.walk(name, l)
		walk.Detected = l == detected
		out.Walks = append(out.Walks, walk)
	}
	first := out.Walks[0]
	all := rulePodConfig(w)
	failure := w.walkFailure(name, first)
	all = append(all, failure...)
	if first.Outcome == walkAnswered {
		all = append(all, w.alteredAnswers(func(asked string) bool {
			return slices.ContainsFunc(first.Steps, func(s report.Step) bool { return strings.EqualFold(s.Name, asked) })
		})...)
	}
	for _, f := range w.targetRules(first) {
		if !slices.ContainsFunc(failure, func(have finding.Finding) bool { return have.Code == f.Code }) {
			all = append(all, f) // the cause of the failure is not said twice
		}
	}
	w.settle(&out.Header, all)
	switch {
	case out.Verdict != report.Healthy:
	case first.Outcome == walkUnknown:
		out.Verdict, out.Summary = report.Unknown, fmt.Sprintf("whether %s is found is not known: no server could be asked for %s", name, strings.TrimSuffix(first.Steps[len(first.Steps)-1].Name, "."))+w.unaskedBecause()
	default:
		out.Summary = w.answeredWords(name, out.Walks)
	}
	return out
}

// The outcomes of a walk.
const (
	walkAnswered = "answered"
	walkNotFound = "not found"
	walkFails    = "fails"
	walkUnknown  = "not known"
)

func (w *world) answeredWords(name string, walks []report.Walk) string {
	first := walks[0]
	if first.Queries == 0 {
		return fmt.Sprintf("%s is %s by the pod's /etc/hosts, which is read before DNS is asked", name, strings.Join(first.Answer, ", "))
	}
	words := fmt.Sprintf("%s is answered at step %d of %d as %s, after %d queries", name, len(first.Steps), len(resolver.Candidates(name, w.conf0(), resolver.Libc(first.Libc))), strings.TrimSuffix(first.Steps[len(first.Steps)-1].Name, "."), first.Queries)
	var other []string
	for _, walk := range walks[1:] {
		if walk.Outcome != first.Outcome {
			other = append(other, walk.Libc+": "+walk.Outcome)
		}
	}
	if len(other) > 0 {
		words += fmt.Sprintf(" with %s; what the image has is not known (%s)", first.Libc, strings.Join(other, ", "))
	}
	return words
}

// unaskedBecause says why no server could be asked: no tunnel opened, or the servers are not known.
func (w *world) unaskedBecause() string {
	for _, name := range []string{"tunnels", "services", "pods"} {
		if s := w.Sources.Get(name); s.State == source.Forbidden || s.State == source.Unreachable {
			return ": " + strings.TrimPrefix(s.Gap(), "not checked: ")
		}
	}
	return ""
}

// nodeOS is the operating system of the suspect's node, where it is known.
func (w *world) nodeOS() string {
	for i := range w.Nodes {
		if w.Nodes[i].Name == w.From.Pod.Spec.NodeName {
			return w.Nodes[i].Labels[corev1.LabelOSStable]
		}
	}
	return ""
}

// targetRules judges the object that the name leads to.
func (w *world) targetRules(walk report.Walk) []finding.Finding {
	for _, step := range walk.Steps {
		base, ok := strings.CutSuffix(step.Name, ".svc."+w.zone)
		labels := strings.Split(base, ".")
		if !ok || len(labels) < 2 {
			continue
		}
		if svc := w.engine.Service(labels[len(labels)-1], labels[len(labels)-2]); svc != nil {
			return w.serviceRules(svc)
		}
	}
	return nil
}

// walkFailure makes the finding for a walk that ended without an address. The step that decides is the one that stands
// for what the user meant, where the walk came so far, and else its last.
func (w *world) walkFailure(name string, walk report.Walk) []finding.Finding {
	if walk.Outcome == walkAnswered {
		return nil
	}
	meant := w.qualify(name)
	step := walk.Steps[len(walk.Steps)-1]
	for _, s := range walk.Steps {
		if corefile.Fqdn(s.Name) == meant {
			step = s
		} else if corefile.InZone(meant, w.zone) {
			if f := w.zoneElsewhere(s.Name); f != nil {
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
		f = w.nothing(step.Name, true)
	case step.A == string(resolver.NoData) && step.AAAA == string(resolver.NoData):
		f = w.nothing(step.Name, false)
	default:
		f = w.make(NoAnswer, finding.Critical, nil, fmt.Sprintf("%s gets no usable answer (A: %s, AAAA: %s)", strings.TrimSuffix(step.Name, "."), step.A, step.AAAA), w.answers(step.Name), w.noAnswerNext(step.Name))
		if len(f.Evidence) == 0 {
			f.Evidence = append(f.Evidence, seen(step.Source, step.Name, "%s", step.A))
		}
	}
	if walk.Outcome != walkUnknown {
		f.Message = fmt.Sprintf("%s finds nothing from pod %s/%s (%s): %s", name, w.From.Pod.Namespace, w.From.Pod.Name, walk.Because, f.Message)
	}
	return []finding.Finding{f}
}

func (w *world) noAnswerNext(fqdn string) finding.Next {
	if corefile.InZone(fqdn, w.zone) {
		return w.checkNext()
	}
	return w.read("see the servers that are asked for names outside the cluster", "", "dns", "upstream")
}

func (w *world) walk(name string, l resolver.Libc) report.Walk {
	if addresses := w.hostsFile(name, l); len(addresses) > 0 {
		family := func(v6 bool) string {
			if slices.ContainsFunc(addresses, func(a string) bool { return strings.Contains(a, ":") == v6 }) {
				return string(resolver.Answer)
			}
			return "-"
		}
		return report.Walk{
			Libc: string(l), Outcome: walkAnswered, Because: "/etc/hosts has it, and is read before DNS is asked", Answer: addresses,
			Steps: []report.Step{{Number: 1, Name: name, A: family(false), AAAA: family(true), Source: "/etc/hosts", Then: walkAnswered}},
		}
	}
	sources := map[string]string{}
	followed := resolver.Follow(name, w.conf0(), l, func(fqdn string) resolver.Pair {
		a, from := w.outcome(fqdn, "A")
		aaaa, _ := w.outcome(fqdn, "AAAA")
		sources[fqdn] = from
		return resolver.Pair{A: a, AAAA: aaaa}
	})
	out := report.Walk{Libc: string(l), Outcome: walkNotFound, Because: followed.Because, Queries: followed.Sent, Steps: []report.Step{}}
	switch {
	case followed.Found:
		out.Outcome = walkAnswered
	case followed.Unknown:
		out.Outcome = walkUnknown
	case strings.Contains(followed.Because, "gives up"):
		out.Outcome = walkFails
	}
	for i, s := range followed.Steps {
		out.Steps = append(out.Steps, report.Step{Number: i + 1, Name: s.Name, Search: s.Search, A: string(s.Pair.A), AAAA: string(s.Pair.AAAA), Source: sources[s.Name], Then: s.Then})
		out.Predicted = out.Predicted || sources[s.Name] == "computed"
	}
	if followed.Found && len(out.Steps) > 0 {
		out.Answer = w.answerData(out.Steps[len(out.Steps)-1].Name)
	}
	return out
}

// hostsFile gives the addresses that the pod's /etc/hosts has for a name: the file itself, or what the kubelet is told
// to write into it. glibc and musl compare a name as it is typed; Go drops a final dot.
func (w *world) hostsFile(name string, l resolver.Libc) []string {
	if l == resolver.Go {
		name = strings.TrimSuffix(name, ".")
	}
	text := w.From.Files["/etc/hosts"]
	if strings.TrimSpace(text) == "" {
		for _, a := range w.From.Pod.Spec.HostAliases {
			text += a.IP + " " + strings.Join(a.Hostnames, " ") + "\n"
		}
	}
	return resolver.HostsFile(text, name)
}

// outcome of a question: what a replica said, or else what the API says it must.
func (w *world) outcome(fqdn, typ string) (resolver.Outcome, string) {
	silent := ""
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			switch {
			case !strings.EqualFold(a.Name, fqdn) || a.Type != typ:
			case a.Rcode != "":
				return outcomeOf(a), a.Viewpoint
			default:
				silent = a.Viewpoint
			}
		}
	}
	if silent != "" {
		return resolver.Timeout, silent
	}
	switch x := w.expect(fqdn, typ); {
	case x.Open != "":
		return resolver.Unknown, "not known"
	case len(x.Data) > 0:
		return resolver.Answer, "computed"
	case x.Outcome == records.NoData:
		return resolver.NoData, "computed"
	}
	return resolver.NXDomain, "computed"
}

func outcomeOf(a report.Answer) resolver.Outcome {
	switch {
	case a.Rcode == "NOERROR" && len(records.Data(a)) > 0:
		return resolver.Answer
	case a.Rcode == "NOERROR":
		return resolver.NoData
	}
	return resolver.Outcome(a.Rcode)
}

func (w *world) answerData(fqdn string) []string {
	var data []string
	for _, typ := range []string{"A", "AAAA"} {
		found := false
		for _, p := range w.Probes {
			for _, a := range p.Answers {
				if !found && strings.EqualFold(a.Name, fqdn) && a.Type == typ && a.Rcode != "" {
					data, found = append(data, records.Data(a)...), true
				}
			}
		}
		if !found {
			data = append(data, w.engine.Lookup(fqdn, typ).Data...)
		}
	}
	return data
}
