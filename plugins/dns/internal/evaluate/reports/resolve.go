package reports

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/clients"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/names"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Resolve joins the answers from every point of view.
func Resolve(in facts.Input, now time.Time, o facts.Options, name string, types []string, expect string) report.Resolution {
	o.Standalone = true
	w := facts.New(in, now, o)
	out := report.Resolution{Header: header(w, "DNSResolution"), Name: name, Types: types, Expect: expect, Answers: []report.Answer{}}
	for _, p := range w.Probes {
		if p.Error != "" {
			out.Answers = append(out.Answers, report.Answer{
				Viewpoint: "port-forward:" + p.Pod, Server: p.Pod, Transport: "TCP", Name: name,
				Type: types[0], Error: p.Error,
			})
		}
		out.Answers = append(out.Answers, p.Answers...)
	}
	all := servers.CheckReplicaUnreachable(w)
	if w.From != nil {
		all = append(all, clients.CheckOwnCache(w)...)
		out.Answers = append(out.Answers, fromReport(w).Answers...)
		if w.From.Error != "" {
			all = append(all, names.CannotAskInside(w))
		}
	}
	all = append(all, clients.HostsOf(w, name)...)
	all = append(all, clients.CheckLoss(w)...)
	all = append(all, names.ResolveFindings(w, ask.AllAnswers(w), name)...)
	if expect != "" {
		met := Meets(out.Answers, expect)
		out.Met = &met
	}
	finalizeFindings(w, &out.Header, all)
	switch answered := answeredCount(out.Answers); {
	case out.Verdict != report.Healthy:
	case answered == 0 && w.From != nil && w.From.Error != "":
		out.Verdict, out.Summary = report.Unknown, names.CannotAskInside(w).Message
	case answered == 0:
		out.Verdict, out.Summary = report.Unknown, "no server could be queried"+notQueriedReason(w)
	case len(out.Findings) == 0:
		out.Summary = fmt.Sprintf("%d of %d queries were answered", answered, len(out.Answers)) + servedBy(out.Answers)
	}
	return out
}

// servedBy names the node cache where it gave all answers.
func servedBy(list []report.Answer) string {
	if list[0].ServedBy == "" || slices.ContainsFunc(list, func(a report.Answer) bool { return a.ServedBy != list[0].ServedBy }) {
		return ""
	}
	return " by " + list[0].ServedBy
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

// Meets holds every answer against --expect: nxdomain, nodata, any, or TYPE=VALUE[,VALUE…].
func Meets(answers []report.Answer, expect string) bool {
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
			got := records.Data(a)
			if a.Truncated && len(got) > 0 { // the rest is not known
				want = slices.DeleteFunc(want, func(v string) bool { return !slices.Contains(got, v) })
			}
			if !slices.Equal(want, got) {
				return false
			}
		case strings.EqualFold(expect, "nxdomain") && a.Rcode != "NXDOMAIN",
			strings.EqualFold(expect, "nodata") && records.Outcome(a) != records.NoData,
			strings.EqualFold(expect, "any") && len(a.Records) == 0 && !a.Truncated:
			return false
		}
	}
	return true
}
