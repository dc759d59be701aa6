package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/names"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Verify compares every answer with the API.
func Verify(in facts.Input, now time.Time, o facts.Options, s facts.Scope) report.Verification {
	o.Standalone = true
	o.Namespace, o.All = "", false
	w := facts.New(in, now, o)
	out := report.Verification{
		Header: header(w, "DNSVerification"), Scope: scopeText(s), Replicas: []report.VerifyReplica{},
		Items: []report.Mismatch{},
	}
	services := w.ServicesOf(s)
	out.Objects = len(services)
	owner := map[string]string{}
	for _, svc := range services {
		for _, q := range w.Engine.Questions(svc, s.Most) {
			owner[q.Name+" "+q.Type] = "Service/" + svc.Namespace + "/" + svc.Name
		}
	}
	out.Names = len(ask.VerifyQuestions(in, s))
	changed := w.Changes()
	merged := map[string]*report.Mismatch{}
	for _, p := range w.Probes {
		r := report.VerifyReplica{Name: p.Pod}
		var slowest float64
		for _, a := range p.Answers {
			if a.Name == w.External || a.Type == "SOA" {
				continue
			}
			r.Queried++
			if a.Milliseconds != nil {
				slowest = max(slowest, *a.Milliseconds)
			}
			verifyOne(w, &r, merged, owner, changed, p.Pod, a)
		}
		if r.Queried > 0 && slowest > 0 {
			r.Milliseconds = &slowest
		}
		out.Replicas = append(out.Replicas, r)
	}
	for _, key := range facts.SortedKeys(merged) {
		out.Items = append(out.Items, *merged[key])
	}
	sorting.Stable(out.Items, func(a, b report.Mismatch) int {
		return cmp.Or(cmp.Compare(stateRank(a.State), stateRank(b.State)), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Type, b.Type))
	})
	verifyVerdict(w, &out, s)
	return out
}

func stateRank(s string) int {
	return slices.Index([]string{"incorrect", "missing", "extra", "unanswered", "settling", "overridden"}, s)
}

func verifyOne(w *facts.Snapshot, r *report.VerifyReplica, merged map[string]*report.Mismatch, owner map[string]string,
	changed map[string]time.Time, pod string, a report.Answer,
) {
	x := w.Engine.Lookup(a.Name, a.Type)
	result := records.Compare(x, a)
	state := string(result)
	why := ""
	altered, isAltered := w.Records.AlteredBy(a.Name, records.Outcome(a))
	switch {
	case result == records.Same:
		r.Correct++
		return
	case result == records.None:
		r.Unanswered++
		why = a.Error
	case isAltered:
		r.Overridden++
		state, why = "overridden", fmt.Sprintf("%s in line %d of the Corefile runs before the kubernetes plugin", altered.Plugin, altered.Line)
	case ask.Unusable(a):
		r.Unanswered++
		state, why = string(records.None), a.Rcode
	case w.Settling(a.Name, changed):
		r.Settling++
		state, why = "settling", fmt.Sprintf("changed less than %s ago", w.SettleTime())
	default:
		r.Incorrect++
	}
	answered := records.Data(a)
	if len(answered) == 0 {
		answered = []string{cmp.Or(records.Outcome(a), a.Error)}
	}
	expected := x.Data
	if len(expected) == 0 {
		expected = []string{x.Outcome}
	}
	key := strings.Join([]string{state, a.Name, a.Type, strings.Join(answered, ",")}, "|")
	if merged[key] == nil {
		merged[key] = &report.Mismatch{
			State: state, Object: cmp.Or(owner[a.Name+" "+a.Type], "-"), Name: a.Name, Type: a.Type,
			Expected: expected, Answered: answered, Why: why,
		}
	}
	merged[key].Replicas = append(merged[key].Replicas, pod)
}

func scopeText(s facts.Scope) string {
	switch {
	case s.Kind != "":
		return s.Kind + "/" + s.Namespace + "/" + s.Name
	case s.Namespace != "":
		return "namespace " + s.Namespace
	}
	return "all namespaces"
}

func verifyVerdict(w *facts.Snapshot, out *report.Verification, s facts.Scope) {
	var all []finding.Finding
	stale := servers.CheckReplicaStale(w)
	all = append(all, stale...)
	all = append(all, differences(w, out, s, stale)...)
	all = append(all, servers.CheckReplicaSilent(w)...)
	all = append(all, servers.CheckAltered(w)...)
	all = append(all, servers.CheckReplicaUnreachable(w)...)
	finalizeFindings(w, &out.Header, all)
	var mute []string // replicas that give no answer, such as those on a node that is down
	for _, r := range out.Replicas {
		if r.Queried == r.Unanswered {
			mute = append(mute, r.Name)
		}
	}
	switch {
	case out.Verdict != report.Healthy:
	case len(mute) == len(out.Replicas):
		out.Verdict, out.Summary = report.Unknown, "no replica could be queried"+notQueriedReason(w)
	case !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable():
		out.Verdict, out.Summary = report.Unknown, "unknown which answers are correct: Services or EndpointSlices could not be read"
	default:
		out.Verdict = report.Healthy
		where := "each of"
		if len(mute) > 0 {
			where = fmt.Sprintf("%d of", len(out.Replicas)-len(mute))
		}
		out.Summary = fmt.Sprintf("%d names of %d %s match the API at %s %d %s", out.Names, out.Objects,
			facts.Plural(out.Objects, "Service"), where, len(out.Replicas), facts.Plural(len(out.Replicas), "replica"))
		if len(mute) > 0 {
			out.Summary += "; not verified at " + strings.Join(mute, ", ")
		}
		if settling := settlingCount(out); settling > 0 {
			out.Summary += fmt.Sprintf("; %d changed too recently to tell", settling)
		}
	}
}

func settlingCount(out *report.Verification) int {
	n := 0
	for _, i := range out.Items {
		if i.State == "settling" {
			n++
		}
	}
	return n
}

// differences sums up what differs, unless a replica that no longer receives changes from the API explains it all.
func differences(w *facts.Snapshot, out *report.Verification, s facts.Scope, stale []finding.Finding) []finding.Finding {
	var evidence []finding.Evidence
	count := 0
	replicas := map[string]bool{}
	for _, item := range out.Items {
		if item.State != "missing" && item.State != "extra" && item.State != "incorrect" {
			continue
		}
		explained := func(r string) bool {
			return slices.ContainsFunc(stale, func(f finding.Finding) bool { return f.Object.Name == r })
		}
		others := slices.DeleteFunc(slices.Clone(item.Replicas), explained)
		if len(others) == 0 {
			continue
		}
		count++
		for _, r := range others {
			replicas[r] = true
		}
		if len(evidence) < 5 {
			evidence = append(evidence, facts.NewEvidence("answer of "+strings.Join(others, ", "), item.Name+" "+item.Type,
				"%s; expected from the API: %s", strings.Join(item.Answered, ", "), strings.Join(item.Expected, ", ")))
		}
	}
	if count == 0 {
		return nil
	}
	where := "all replicas"
	if len(replicas) < len(w.Probes) {
		where = strings.Join(facts.SortedKeys(replicas), ", ") + " only"
	}
	return []finding.Finding{w.Make(names.RecordMismatch, finding.Critical, nil,
		fmt.Sprintf("%d %s of %s %s from the API at %s", count, facts.Plural(count, "name"), scopeText(s),
			map[bool]string{true: "differs", false: "differ"}[count == 1], where), evidence,
		w.Read("Read the errors of the DNS servers, such as a failed list or watch of the API", "", "dns", "logs", "--errors"))}
}
