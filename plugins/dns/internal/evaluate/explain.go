package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
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
	if len(out.Findings) == 0 {
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

// ExplainQuestions lists every candidate of every library.
func ExplainQuestions(in Input, name string) []records.Question {
	w := newWorld(in, in.now(), Options{})
	var list []records.Question
	for _, l := range resolver.All() {
		for _, step := range resolver.Candidates(name, w.conf0(), l) {
			list = append(list, records.Question{Name: step.Name, Type: "A"}, records.Question{Name: step.Name, Type: "AAAA"})
		}
	}
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
	var all []finding.Finding
	for _, l := range libcs {
		walk := w.walk(name, l)
		walk.Detected = l == detected
		out.Walks = append(out.Walks, walk)
	}
	all = append(all, rulePodConfig(w)...)
	first := out.Walks[0]
	if first.Outcome != "answered" {
		all = append(all, w.notFoundWalk(name, first))
	}
	all = append(all, w.targetRules(first)...)
	w.settle(&out.Header, all)
	if len(out.Findings) == 0 {
		out.Summary = fmt.Sprintf("%s is answered at step %d of %d as %s, after %d queries", name, len(first.Steps), len(resolver.Candidates(name, w.conf0(), resolver.Libc(first.Libc))), strings.TrimSuffix(first.Steps[len(first.Steps)-1].Name, "."), first.Queries)
		var other []string
		for _, walk := range out.Walks[1:] {
			if walk.Outcome != first.Outcome {
				other = append(other, walk.Libc+": "+walk.Outcome)
			}
		}
		if len(other) > 0 {
			out.Summary += fmt.Sprintf(" with %s; what the image has is not known (%s)", first.Libc, strings.Join(other, ", "))
		}
	}
	return out
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

func (w *world) notFoundWalk(name string, walk report.Walk) finding.Finding {
	fqdn := name
	for _, step := range walk.Steps {
		if strings.HasSuffix(step.Name, ".svc."+w.zone) {
			dots := strings.Count(strings.TrimSuffix(name, "."), ".")
			// web.shop is SERVICE.NAMESPACE: what fits that is the second entry, svc.ZONE
			if dots == 0 || step.Search == "svc."+strings.TrimSuffix(w.zone, ".") || strings.HasSuffix(name, strings.TrimSuffix(w.zone, ".")) {
				fqdn = step.Name
				break
			}
		}
	}
	f := w.notFound(fqdn)
	f.Message = fmt.Sprintf("%s finds nothing from pod %s/%s (%s): %s", name, w.From.Pod.Namespace, w.From.Pod.Name, walk.Because, f.Message)
	return f
}

func (w *world) walk(name string, l resolver.Libc) report.Walk {
	sources := map[string]string{}
	followed := resolver.Follow(name, w.conf0(), l, func(fqdn string) resolver.Pair {
		a, from := w.outcome(fqdn, "A")
		aaaa, _ := w.outcome(fqdn, "AAAA")
		sources[fqdn] = from
		return resolver.Pair{A: a, AAAA: aaaa}
	})
	out := report.Walk{Libc: string(l), Outcome: "not found", Because: followed.Because, Queries: followed.Sent, Steps: []report.Step{}}
	if alias := w.alias(name); alias != "" {
		out.Outcome, out.Because, out.Queries, out.Answer = "answered", "/etc/hosts has it, and DNS is not asked", 0, []string{alias}
		out.Steps = append(out.Steps, report.Step{Number: 1, Name: name, A: string(resolver.Answer), AAAA: "-", Source: "/etc/hosts", Then: "answered"})
		return out
	}
	if followed.Found {
		out.Outcome = "answered"
	} else if strings.Contains(followed.Because, "gives up") {
		out.Outcome = "fails"
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

func (w *world) alias(name string) string {
	for _, a := range w.From.Pod.Spec.HostAliases {
		if slices.Contains(a.Hostnames, strings.TrimSuffix(name, ".")) {
			return a.IP
		}
	}
	return ""
}

// outcome of a question: what a replica said, or else what the API says it must.
func (w *world) outcome(fqdn, typ string) (resolver.Outcome, string) {
	for _, p := range w.Probes {
		for _, a := range p.Answers {
			if !strings.EqualFold(a.Name, fqdn) || a.Type != typ || a.Rcode == "" {
				continue
			}
			return outcomeOf(a), a.Viewpoint
		}
	}
	x := w.engine.Lookup(fqdn, typ)
	switch {
	case len(x.Data) > 0:
		return resolver.Answer, "computed"
	case x.Outcome == records.NoData:
		return resolver.NoData, "computed"
	case x.Outcome == records.NXDomain:
		return resolver.NXDomain, "computed"
	}
	return resolver.Timeout, "not known"
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

// Resolve joins the answers from every point of view.
func Resolve(in Input, now time.Time, o Options, name string, types []string, expect string) report.Resolution {
	o.Standalone = true
	w := newWorld(in, now, o)
	out := report.Resolution{Header: w.header("DNSResolution"), Name: name, Types: types, Expect: expect, Answers: []report.Answer{}}
	var all []finding.Finding
	for _, p := range w.Probes {
		if p.Error != "" {
			out.Answers = append(out.Answers, report.Answer{Viewpoint: "tunnel:" + p.Pod, Server: p.Pod, Transport: "TCP", Name: name, Type: types[0], Error: p.Error})
		}
		out.Answers = append(out.Answers, p.Answers...)
	}
	if w.From != nil {
		out.Answers = append(out.Answers, w.From.Answers...)
		if w.From.Error != "" {
			all = append(all, w.cannotAskInside())
		}
	}
	all = append(all, w.resolveFindings(out.Answers, name)...)
	if expect != "" {
		met := meets(out.Answers, expect)
		out.Met = &met
	}
	w.settle(&out.Header, all)
	switch answered := answeredCount(out.Answers); {
	case len(out.Findings) > 0:
	case answered == 0:
		out.Verdict, out.Summary = report.Unknown, "nobody could be asked"
	default:
		out.Summary = fmt.Sprintf("%s is answered from %d of %d points of view", strings.TrimSuffix(name, "."), answered, len(out.Answers))
	}
	return out
}

func answeredCount(list []report.Answer) int {
	n := 0
	for _, a := range list {
		if a.Rcode != "" {
			n++
		}
	}
	return n
}

func (w *world) cannotAskInside() finding.Finding {
	pod := w.From.Pod
	return w.make("NoAnswer", finding.Critical, ref("Pod", pod.Namespace, pod.Name), fmt.Sprintf("pod %s/%s could not be asked from inside: %s", pod.Namespace, pod.Name, w.From.Error),
		[]finding.Evidence{seen("exec", pod.Name, "%s", w.From.Error)},
		w.change("add a container to the pod that asks (its entry stays in the pod)", pod.Namespace, "dns", "check", "--from", pod.Name, "--probe", "ephemeral"),
		w.change("or ask from a pod beside it, which is deleted afterwards", pod.Namespace, "dns", "check", "--from", pod.Name, "--probe", "pod"),
		w.read("see what it would ask, without asking", pod.Namespace, "dns", "explain", "kubernetes.default", "--from", pod.Name))
}

func (w *world) resolveFindings(answers []report.Answer, name string) []finding.Finding {
	var all []finding.Finding
	exists, missing, silent := false, false, []finding.Evidence{}
	outcomes := map[string][]string{}
	for _, a := range answers {
		switch {
		case a.Error != "":
			silent = append(silent, seen(a.Viewpoint, a.Server+" "+a.Transport, "%s", a.Error))
		case a.Rcode == "NXDOMAIN":
			missing = true
		case a.Rcode == "NOERROR":
			exists = exists || len(a.Records) > 0
		}
		if a.Rcode != "" && strings.HasPrefix(a.Viewpoint, "tunnel:") {
			key := a.Type + " " + said(sorted(a))
			outcomes[key] = append(outcomes[key], strings.TrimPrefix(a.Viewpoint, "tunnel:"))
		}
		if a.Rcode == "SERVFAIL" || a.Rcode == "REFUSED" {
			silent = append(silent, seen(a.Viewpoint, a.Name+" "+a.Type, "%s", a.Rcode))
		}
	}
	if len(silent) > 0 {
		all = append(all, w.make("NoAnswer", finding.Critical, nil, fmt.Sprintf("%d of %d questions about %s got no usable answer", len(silent), len(answers), strings.TrimSuffix(name, ".")), silent, w.checkNext()))
	}
	if missing && !exists {
		fqdn := corefile.Fqdn(name)
		if !corefile.InZone(fqdn, w.zone) && strings.Count(strings.TrimSuffix(name, "."), ".") == 1 && w.looksLocal(name) {
			fqdn = corefile.Fqdn(strings.TrimSuffix(name, ".") + ".svc." + w.zone)
		}
		all = append(all, w.notFound(fqdn))
	}
	if exists && !missing {
		// the same rules as for the answers of a check: what a plugin changes, and what differs from the API
		all = append(all, ruleAltered(w)...)
	}
	if missing && exists {
		var evidence []finding.Evidence
		for _, key := range sortedKeys(outcomes) {
			evidence = append(evidence, seen(strings.Join(outcomes[key], ", "), "", "%s", key))
		}
		all = append(all, w.make("RecordsDiffer", finding.Critical, nil, "the replicas do not agree about "+strings.TrimSuffix(name, "."), evidence, w.read("find the replica that is behind", "", "dns", "check")))
	}
	return all
}

// checkNext is the check from the same point of view.
func (w *world) checkNext() finding.Next {
	if w.From == nil {
		return w.read("find the cause", "", "dns", "check")
	}
	return w.read("find the cause", w.From.Pod.Namespace, "dns", "check", "--from", w.From.Pod.Name)
}

func (w *world) looksLocal(name string) bool {
	_, namespace, _ := strings.Cut(strings.TrimSuffix(name, "."), ".")
	return w.namespaceExists(namespace) || len(w.suggest(corefile.Fqdn(strings.TrimSuffix(name, ".")+".svc."+w.zone))) > 0
}

func sorted(a report.Answer) report.Answer {
	a.Records = slices.Clone(a.Records)
	slices.SortFunc(a.Records, func(x, y report.Record) int { return strings.Compare(x.Data, y.Data) })
	return a
}

// meets holds every answer against --expect: nxdomain, nodata, any, or TYPE=VALUE[,VALUE…].
func meets(answers []report.Answer, expect string) bool {
	if len(answers) == 0 {
		return false
	}
	typ, values, isData := strings.Cut(expect, "=")
	for _, a := range answers {
		switch {
		case a.Rcode == "":
			return false
		case isData && !strings.EqualFold(a.Type, typ):
			continue
		case isData:
			want := strings.Split(strings.ToLower(values), ",")
			slices.Sort(want)
			if !slices.Equal(want, records.Data(a)) {
				return false
			}
		case strings.EqualFold(expect, "nxdomain") && a.Rcode != "NXDOMAIN",
			strings.EqualFold(expect, "nodata") && records.Outcome(a) != records.NoData,
			strings.EqualFold(expect, "any") && len(a.Records) == 0:
			return false
		}
	}
	return true
}
