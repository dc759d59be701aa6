package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// settleTime is how long a change may take to show: the ttl of a cached answer (30 s in kubeadm's Corefile) and a few
// seconds for the watch.
func (w *world) settleTime() time.Duration {
	return time.Duration(w.records.TTL)*time.Second + 5*time.Second
}

// settling says whether the object behind a name changed so lately that a wrong answer proves nothing.
func (w *world) settling(name string, changed map[string]time.Time) bool {
	key, ok := w.serviceKey(name)
	if !ok {
		return w.addressSettling(name, changed)
	}
	at, ok := changed[key]
	return ok && w.now.Sub(at) < w.settleTime()
}

// serviceKey gives NAMESPACE/NAME of the Service that a name is of.
func (w *world) serviceKey(name string) (string, bool) {
	base, ok := strings.CutSuffix(corefile.Fqdn(name), ".svc."+w.zone)
	labels := strings.Split(base, ".")
	if !ok || len(labels) < 2 {
		return "", false
	}
	return labels[len(labels)-1] + "/" + labels[len(labels)-2], true
}

// changedAt is when the Service behind a name changed last; zero for other names.
func (w *world) changedAt(name string) time.Time {
	key, _ := w.serviceKey(name)
	return w.changes()[key]
}

// addressSettling: a reverse name belongs to any Service that changed lately.
func (w *world) addressSettling(name string, changed map[string]time.Time) bool {
	for _, data := range w.engine.Lookup(name, "PTR").Data {
		if strings.HasSuffix(data, ".svc."+w.zone) && w.settling(data, changed) {
			return true
		}
	}
	return false
}

// Scope chooses what verify and names look at: a namespace ("" is all), and within it a kind and name.
type Scope struct {
	Namespace string
	Kind      string // Service, StatefulSet, Pod; empty: every Service
	Name      string
	Most      int // endpoints of one headless Service; 0: all
}

// services gives the Services of a scope.
func (w *world) services(s Scope) []*corev1.Service {
	var list []*corev1.Service
	for i := range w.Services {
		svc := &w.Services[i]
		if s.Namespace != "" && svc.Namespace != s.Namespace {
			continue
		}
		switch s.Kind {
		case "Service":
			if svc.Name != s.Name {
				continue
			}
		case "StatefulSet":
			if !slices.ContainsFunc(w.StatefulSet, func(sts stsType) bool { return sts.Name == s.Name && sts.Spec.ServiceName == svc.Name }) {
				continue
			}
		case "Pod":
			if !w.holdsPod(svc, s.Name) {
				continue
			}
		}
		list = append(list, svc)
	}
	return list
}

func (w *world) holdsPod(svc *corev1.Service, pod string) bool {
	for i := range w.Slices {
		sl := &w.Slices[i]
		if sl.Namespace != svc.Namespace || sl.Labels["kubernetes.io/service-name"] != svc.Name {
			continue
		}
		for _, e := range sl.Endpoints {
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" && e.TargetRef.Name == pod {
				return true
			}
		}
	}
	return false
}

// VerifyQuestions lists what verify asks every replica.
func VerifyQuestions(in Input, s Scope) []records.Question {
	w := newWorld(in, in.now(), Options{})
	list := []records.Question{{Name: absent + w.zone, Type: "A"}}
	for _, svc := range w.services(s) {
		list = append(list, w.engine.Questions(svc, s.Most)...)
	}
	return unique(list)
}

func unique(list []records.Question) []records.Question {
	seen := map[records.Question]bool{}
	return slices.DeleteFunc(list, func(q records.Question) bool {
		drop := seen[q]
		seen[q] = true
		return drop
	})
}

// Mismatched lists the questions that some replica answers otherwise: what is asked again before it counts.
func Mismatched(in Input, now time.Time) []records.Question {
	w := newWorld(in, now, Options{})
	var list []records.Question
	for _, p := range w.Probes {
		for _, a := range w.wrongAnswers(p, false) {
			list = append(list, records.Question{Name: a.Name, Type: a.Type})
		}
	}
	return unique(list)
}

// Verify compares every answer with the API.
func Verify(in Input, now time.Time, o Options, s Scope) report.Verification {
	o.Standalone = true
	o.Namespace, o.All = "", false
	w := newWorld(in, now, o)
	out := report.Verification{Header: w.header("DNSVerification"), Scope: scopeWords(s), Replicas: []report.VerifyReplica{}, Items: []report.Mismatch{}}
	services := w.services(s)
	out.Objects = len(services)
	owner := map[string]string{}
	for _, svc := range services {
		for _, q := range w.engine.Questions(svc, s.Most) {
			owner[q.Name+" "+q.Type] = "Service/" + svc.Namespace + "/" + svc.Name
		}
	}
	out.Names = len(VerifyQuestions(in, s))
	changed := w.changes()
	merged := map[string]*report.Mismatch{}
	for _, p := range w.Probes {
		r := report.VerifyReplica{Name: p.Pod}
		var slowest float64
		for _, a := range p.Answers {
			if a.Name == w.External || a.Type == "SOA" {
				continue
			}
			r.Asked++
			if a.Milliseconds != nil {
				slowest = max(slowest, *a.Milliseconds)
			}
			w.verifyOne(&r, merged, owner, changed, p.Pod, a)
		}
		if r.Asked > 0 && slowest > 0 {
			r.Milliseconds = &slowest
		}
		out.Replicas = append(out.Replicas, r)
	}
	for _, key := range sortedKeys(merged) {
		out.Items = append(out.Items, *merged[key])
	}
	slices.SortStableFunc(out.Items, func(a, b report.Mismatch) int {
		return cmp.Or(cmp.Compare(stateRank(a.State), stateRank(b.State)), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	w.verifyVerdict(&out, s)
	return out
}

func stateRank(s string) int {
	return slices.Index([]string{"wrong", "missing", "extra", "unanswered", "settling", "altered"}, s)
}

func (w *world) verifyOne(r *report.VerifyReplica, merged map[string]*report.Mismatch, owner map[string]string, changed map[string]time.Time, pod string, a report.Answer) {
	x := w.engine.Lookup(a.Name, a.Type)
	result := records.Compare(x, a)
	state := string(result)
	why := ""
	altered, isAltered := w.records.AlteredBy(a.Name, records.Outcome(a))
	switch {
	case result == records.Same:
		r.Right++
		return
	case result == records.None:
		r.Unanswered++
		why = a.Error
	case isAltered:
		r.Altered++
		state, why = "altered", fmt.Sprintf("%s in line %d of the Corefile runs before the kubernetes plugin", altered.Plugin, altered.Line)
	case w.settling(a.Name, changed):
		r.Settling++
		state, why = "settling", fmt.Sprintf("changed less than %s ago", w.settleTime())
	default:
		r.Wrong++
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
		merged[key] = &report.Mismatch{State: state, Object: cmp.Or(owner[a.Name+" "+a.Type], "-"), Name: a.Name, Type: a.Type, Expected: expected, Answered: answered, Why: why}
	}
	merged[key].Replicas = append(merged[key].Replicas, pod)
}

func scopeWords(s Scope) string {
	switch {
	case s.Kind != "":
		return s.Kind + "/" + s.Namespace + "/" + s.Name
	case s.Namespace != "":
		return "namespace " + s.Namespace
	}
	return "all namespaces"
}

func (w *world) verifyVerdict(out *report.Verification, s Scope) {
	var all []finding.Finding
	stale := ruleReplicaStale(w)
	all = append(all, stale...)
	all = append(all, w.differences(out, s, stale)...)
	all = append(all, ruleAltered(w)...)
	all = append(all, ruleReplicaUnreachable(w)...)
	w.settle(&out.Header, all)
	asked := 0
	for _, r := range out.Replicas {
		asked += r.Asked - r.Unanswered
	}
	switch {
	case out.Verdict != report.Healthy:
	case asked == 0:
		out.Verdict, out.Summary = report.Unknown, "no replica could be asked"+w.unaskedBecause()
	case !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable():
		out.Verdict, out.Summary = report.Unknown, "what must be answered is not known: Services or EndpointSlices could not be read"
	default:
		out.Verdict = report.Healthy
		out.Summary = fmt.Sprintf("%d names of %d %s are answered as the API has them by each of %d %s", out.Names, out.Objects, plural(out.Objects, "Service"), len(out.Replicas), plural(len(out.Replicas), "replica"))
		if settling := settlingCount(out); settling > 0 {
			out.Summary += fmt.Sprintf("; %d changed too lately to say", settling)
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

// differences sums up what differs, unless a replica that has stopped following the API explains it all.
func (w *world) differences(out *report.Verification, s Scope, stale []finding.Finding) []finding.Finding {
	var evidence []finding.Evidence
	count := 0
	replicas := map[string]bool{}
	for _, item := range out.Items {
		if item.State != "missing" && item.State != "extra" && item.State != "wrong" {
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
			evidence = append(evidence, seen("answer of "+strings.Join(others, ", "), item.Name+" "+item.Type, "%s; the API says %s", strings.Join(item.Answered, ", "), strings.Join(item.Expected, ", ")))
		}
	}
	if count == 0 {
		return nil
	}
	who := "all replicas answer"
	if len(replicas) < len(w.Probes) {
		who = strings.Join(sortedKeys(replicas), ", ") + " alone answers"
		if len(replicas) > 1 {
			who = strings.Join(sortedKeys(replicas), ", ") + " answer"
		}
	}
	return []finding.Finding{w.make(RecordsDiffer, finding.Critical, nil, fmt.Sprintf("%s %d %s of %s otherwise than the API has them", who, count, plural(count, "name"), scopeWords(s)), evidence,
		w.read("see whether the server follows the API", "", "dns", "check"))}
}
