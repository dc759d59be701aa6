package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of what is judged here.
const (
	NoAnswer finding.Code = "NoAnswer"
)

// Resolve joins the answers from every point of view.
func Resolve(in Input, now time.Time, o Options, name string, types []string, expect string) report.Resolution {
	o.Standalone = true
	w := newWorld(in, now, o)
	out := report.Resolution{Header: w.header("DNSResolution"), Name: name, Types: types, Expect: expect, Answers: []report.Answer{}}
	for _, p := range w.Probes {
		if p.Error != "" {
			out.Answers = append(out.Answers, report.Answer{Viewpoint: "tunnel:" + p.Pod, Server: p.Pod, Transport: "TCP", Name: name, Type: types[0], Error: p.Error})
		}
		out.Answers = append(out.Answers, p.Answers...)
	}
	all := ruleReplicaUnreachable(w)
	if w.From != nil {
		out.Answers = append(out.Answers, w.From.Answers...)
		if w.From.Error != "" {
			all = append(all, w.cannotAskInside())
		}
	}
	all = append(all, w.resolveFindings(w.allAnswers(), name)...)
	if expect != "" {
		met := meets(out.Answers, expect)
		out.Met = &met
	}
	w.settle(&out.Header, all)
	switch answered := answeredCount(out.Answers); {
	case out.Verdict != report.Healthy:
	case answered == 0 && w.From != nil && w.From.Error != "":
		out.Verdict, out.Summary = report.Unknown, w.cannotAskInside().Message
	case answered == 0:
		out.Verdict, out.Summary = report.Unknown, "nobody could be asked"+w.unaskedBecause()
	case len(out.Findings) == 0:
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

// cannotAskInside is no verdict: it tells of the image or of a permission, and nothing of DNS.
func (w *world) cannotAskInside() finding.Finding {
	pod := w.From.Pod
	return w.make(NoAnswer, finding.Info, ref("Pod", pod.Namespace, pod.Name), fmt.Sprintf("pod %s/%s could not be asked from inside: %s", pod.Namespace, pod.Name, w.From.Error),
		[]finding.Evidence{seen("exec", pod.Name, "%s", w.From.Error)},
		w.change("add a container to the pod that asks (its entry stays in the pod)", pod.Namespace, "dns", "check", "--from", pod.Name, "--probe", "ephemeral"),
		w.change("or ask from a pod beside it, which is deleted afterwards", pod.Namespace, "dns", "check", "--from", pod.Name, "--probe", "pod"),
		w.read("see what it would ask, without asking", pod.Namespace, "dns", "explain", "kubernetes.default", "--from", pod.Name))
}

func (w *world) resolveFindings(answers []report.Answer, name string) []finding.Finding {
	var all []finding.Finding
	exists, missing, silent := false, false, []finding.Evidence{}
	address, empty := false, map[string]bool{}
	outcomes := map[string][]string{}
	for _, a := range answers {
		switch {
		case a.Error != "":
			silent = append(silent, seen(a.Viewpoint, a.Server+" "+a.Transport, "%s", a.Error))
		case a.Rcode == "NXDOMAIN":
			missing = true
		case a.Rcode == "NOERROR":
			exists = exists || len(a.Records) > 0
			address = address || len(records.Data(a)) > 0 && (a.Type == "A" || a.Type == "AAAA")
			empty[a.Type] = empty[a.Type] || len(records.Data(a)) == 0
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
		all = append(all, w.make(NoAnswer, finding.Critical, nil, fmt.Sprintf("%d of %d questions about %s got no usable answer", len(silent), len(answers), strings.TrimSuffix(name, ".")), silent, w.checkNext()))
	}
	if missing && !exists {
		all = append(all, w.nothing(name, true))
	}
	// one family without an address is usual; both are a name that nobody can connect to
	if !missing && !address && len(silent) == 0 && empty["A"] && empty["AAAA"] {
		return append(all, w.nothing(name, false))
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
		all = append(all, w.make(RecordsDiffer, finding.Critical, nil, "the replicas do not agree about "+strings.TrimSuffix(name, "."), evidence, w.read("find the replica that is behind", "", "dns", "check")))
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
