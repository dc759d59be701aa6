package ask

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Outcome of a question: what the suspect's own nameservers said to it, or else a replica, or else what the API says that they
// must. A port-forward that brings no answer says nothing about what the pod gets.
func Outcome(w *facts.Snapshot, fqdn, typ string) (resolver.Outcome, string) {
	if outcome, viewpoint := ownOutcome(w, fqdn, typ); viewpoint != "" {
		return outcome, viewpoint
	}
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
		return resolver.Unknown, silent
	}
	switch x := Expect(w, fqdn, typ); {
	case x.Open != "":
		return resolver.Unknown, "unknown"
	case len(x.Data) > 0:
		return resolver.Answer, "computed"
	case x.Outcome == records.NoData:
		return resolver.NoData, "computed"
	}
	return resolver.NXDomain, "computed"
}

// ownOutcome goes through the nameservers in their order, as the libraries do: the next one is asked where one gives no usable
// answer.
func ownOutcome(w *facts.Snapshot, fqdn, typ string) (outcome resolver.Outcome, viewpoint string) {
	for _, server := range w.OwnServers() {
		for _, a := range w.OwnAnswers(server, fqdn, typ, "") {
			if !Unusable(a) {
				return outcomeOf(a), a.Viewpoint
			}
			if viewpoint == "" {
				outcome, viewpoint = resolver.Timeout, a.Viewpoint
			}
			if a.Rcode != "" {
				outcome = outcomeOf(a)
			}
		}
	}
	return outcome, viewpoint
}

func outcomeOf(a report.Answer) resolver.Outcome {
	switch {
	case a.Rcode == "NOERROR" && (a.Truncated || len(records.Data(a)) > 0):
		return resolver.Answer
	case a.Rcode == "NOERROR":
		return resolver.NoData
	}
	return resolver.Outcome(a.Rcode)
}

func AnswerData(w *facts.Snapshot, fqdn string) []string {
	var data []string
	for _, typ := range []string{"A", "AAAA"} {
		found := false
		for _, a := range AllAnswers(w) {
			if !found && strings.EqualFold(a.Name, fqdn) && a.Type == typ && a.Rcode != "" {
				data, found = append(data, records.Data(a)...), true
			}
		}
		if !found {
			data = append(data, w.Engine.Lookup(fqdn, typ).Data...)
		}
	}
	return data
}

// Expect is what the API says a question must be answered with; open where what that depends on could not be read.
func Expect(w *facts.Snapshot, fqdn, typ string) records.Expected {
	x := w.Engine.Lookup(fqdn, typ)
	svc, _ := ServiceOf(w, fqdn)
	switch {
	case x.Open != "":
	case !w.Sources.Get("services").Readable():
		return records.Expected{Open: "Services could not be read"}
	case len(x.Data) == 0 && svc != nil && !w.Sources.Get("endpointslices").Readable():
		return records.Expected{Open: "EndpointSlices could not be read"}
	}
	return x
}

// Address is what the API says of a name's addresses, and the type that it has them of.
func Address(w *facts.Snapshot, fqdn string) (records.Expected, string) {
	if x := Expect(w, fqdn, "AAAA"); len(x.Data) > 0 && len(Expect(w, fqdn, "A").Data) == 0 {
		return x, "AAAA"
	}
	return Expect(w, fqdn, "A"), "A"
}

// Answers gives the answers to a name as evidence, one for each type.
func Answers(w *facts.Snapshot, fqdn string) []finding.Evidence {
	var list []finding.Evidence
	types := map[string]bool{}
	for i, a := range AllAnswers(w) {
		own := w.From != nil && i < len(w.From.Answers) // silence counts too: it is what the pod gets
		if strings.EqualFold(a.Name, fqdn) && (own || a.Rcode != "") && !types[a.Type] {
			types[a.Type] = true
			list = append(list, facts.NewEvidence("answer of "+a.Viewpoint, a.Name+" "+a.Type, "%s", AnswerText(Sorted(a))))
		}
	}
	return list
}

func AllAnswers(w *facts.Snapshot) []report.Answer {
	var list []report.Answer
	if w.From != nil { // first: they are what counts for the pod
		list = append(list, w.From.Answers...)
	}
	for _, p := range w.Probes {
		list = append(list, p.Answers...)
	}
	return list
}

// Cname is where a name leads at last, by the answers or else by the API; empty for a name that is no CNAME.
func Cname(w *facts.Snapshot, fqdn string) string {
	next := map[string]string{}
	for _, a := range AllAnswers(w) {
		for _, r := range a.Records {
			if r.Type == "CNAME" {
				next[corefile.Fqdn(r.Name)] = corefile.Fqdn(r.Data)
			}
		}
	}
	if data := w.Engine.Lookup(fqdn, "CNAME").Data; len(data) == 1 {
		next[fqdn] = data[0]
	}
	at := fqdn
	for range len(next) { // a loop ends somewhere
		if next[at] == "" {
			break
		}
		at = next[at]
	}
	if at == fqdn {
		return ""
	}
	return at
}

// Has says whether the API gives a name an address.
func Has(w *facts.Snapshot, fqdn string) bool {
	x, _ := Address(w, fqdn)
	return len(x.Data) > 0
}

// Evidence is what was answered for a name, or else what the API says of it.
func Evidence(w *facts.Snapshot, fqdn string) []finding.Evidence {
	if list := Answers(w, fqdn); len(list) > 0 {
		return list
	}
	x, typ := Address(w, fqdn)
	return []finding.Evidence{facts.NewEvidence("API", fqdn+" "+typ, "%s", x)}
}

func Sorted(a report.Answer) report.Answer {
	a.Records = slices.Clone(a.Records)
	sort.Slice(a.Records, func(i, j int) bool { return a.Records[i].Data < a.Records[j].Data })
	return a
}

// Baseline is what the way to a replica costs: the quickest answer about the cluster.
func Baseline(w *facts.Snapshot, p facts.Probe) float64 {
	least := -1.0
	for _, a := range p.Answers {
		if a.Name != w.External && a.Milliseconds != nil && (least < 0 || *a.Milliseconds < least) {
			least = *a.Milliseconds
		}
	}
	return max(0, least)
}

// ControlFailure judges the answer for the API server's own Service, and says whether there was one to judge.
func ControlFailure(w *facts.Snapshot, p facts.Probe) (*finding.Evidence, bool) {
	for _, a := range p.Answers {
		if a.Type != "A" || a.Name != w.Control() || a.Rcode == "" {
			continue
		}
		if !Right(w, a) {
			e := facts.NewEvidence("answer of "+p.Pod, a.Name+" "+a.Type, "%s", AnswerText(a))
			return &e, true
		}
		return nil, true
	}
	return nil, false
}

// Right says whether an answer agrees with the API, as far as that can be known.
func Right(w *facts.Snapshot, a report.Answer) bool {
	x := w.Engine.Lookup(a.Name, a.Type)
	return records.Compare(x, a) == records.Same || !w.Sources.Get("services").Readable() && a.Rcode == "NOERROR"
}

func AnswerText(a report.Answer) string {
	if a.Lost > 0 {
		all := a
		all.Lost = 0
		return fmt.Sprintf("%s (%d of %d queries lost)", AnswerText(all), a.Lost, a.Asked)
	}
	if a.Error != "" {
		return a.Error
	}
	var data []string
	for _, r := range a.Records {
		data = append(data, r.Data)
	}
	switch {
	case a.Truncated:
		return fmt.Sprintf("%s (truncated) %s", a.Rcode, report.Listed(data))
	case len(data) == 0:
		return records.Outcome(a)
	}
	return a.Rcode + " " + report.Listed(data)
}

// WrongAnswers lists the answers of a probe that disagree with the API and had time to settle.
func WrongAnswers(w *facts.Snapshot, p facts.Probe, settledOnly bool) []report.Answer {
	if !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return nil
	}
	changed := w.Changes()
	var list []report.Answer
	for _, a := range p.Answers {
		if Unusable(a) || a.Rcode == "" || a.Type == "SOA" || a.Name == w.External { // a failure is no other answer
			continue
		}
		x := w.Engine.Lookup(a.Name, a.Type)
		if records.Compare(x, a) == records.Same {
			continue
		}
		if _, altered := w.Records.AlteredBy(a.Name, records.Outcome(a)); altered {
			continue
		}
		if settledOnly && w.Settling(a.Name, changed) {
			continue
		}
		list = append(list, a)
	}
	return list
}

// OtherReplicaIsNewer says whether another replica saw a later change and answers correctly what this one does not. Serials are
// seconds: of two changes in one second this replica may have seen the first alone, and the name tells which it missed.
func OtherReplicaIsNewer(w *facts.Snapshot, p facts.Probe, serial uint32, a report.Answer) bool {
	changedThen := !w.ChangedAt(a.Name).Before(time.Unix(int64(serial), 0))
	for _, other := range w.Probes {
		theirs, ok := SoaSerial(&other, w.Zone)
		if other.Pod == p.Pod || !ok || theirs < serial || theirs == serial && !changedThen {
			continue
		}
		for _, b := range other.Answers {
			if b.Name == a.Name && b.Type == a.Type && b.Rcode != "" && Right(w, b) {
				return true
			}
		}
	}
	return false
}

// SoaSerial reads the serial of the zone: CoreDNS fills it with the second of the last change that it saw, or of its
// start (https://github.com/coredns/coredns/blob/master/plugin/kubernetes/controller.go, updateModified).
func SoaSerial(p *facts.Probe, zone string) (uint32, bool) {
	for _, a := range p.Answers {
		if a.Type != "SOA" || !strings.EqualFold(a.Name, zone) {
			continue
		}
		for _, r := range a.Records {
			if words := strings.Fields(r.Data); r.Type == "SOA" && len(words) == 3 {
				n, err := strconv.ParseUint(words[2], 10, 32)
				return uint32(n), err == nil && n > 1_000_000_000
			}
		}
	}
	return 0, false
}

// Lag is how long a replica with this serial has missed something that the API holds. Only creations count: they bump
// the serial for certain, whereas an update may change nothing that DNS shows.
func Lag(w *facts.Snapshot, serial uint32) (time.Duration, bool) {
	if !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return 0, false
	}
	seen := time.Unix(int64(serial), 0)
	var oldest time.Time
	missed := func(at time.Time) {
		if at.After(seen.Add(clockTolerance)) && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	for i := range w.Services {
		if w.Engine.Service(w.Services[i].Namespace, w.Services[i].Name) != nil {
			missed(w.Services[i].CreationTimestamp.Time)
		}
	}
	if oldest.IsZero() {
		return 0, true
	}
	return w.Now.Sub(oldest), true
}

// Knows says whether a replica rightly answered the name of a Service that was created after its serial: then its node's clock is behind,
// and not the replica.
func Knows(w *facts.Snapshot, p facts.Probe, serial uint32) bool {
	seen := time.Unix(int64(serial), 0).Add(clockTolerance)
	return slices.ContainsFunc(p.Answers, func(a report.Answer) bool {
		if len(a.Records) == 0 || !Right(w, a) {
			return false
		}
		svc, _ := ServiceOf(w, a.Name)
		return svc != nil && svc.CreationTimestamp.After(seen)
	})
}

// The serial comes from the node's clock and the creation from the API server's; and a replica may take a while to see
// a change.
const (
	clockTolerance = 5 * time.Second
	LagTolerance   = 60 * time.Second
)

// Failures lists the answers of a probe for cluster names by which a server says that it cannot answer, unless a rule of the
// Corefile does.
func Failures(w *facts.Snapshot, p facts.Probe) []report.Answer {
	var list []report.Answer
	for _, a := range p.Answers {
		if a.Rcode == "" || !Unusable(a) || !corefile.InZone(corefile.Fqdn(a.Name), w.Zone) || w.Engine.Lookup(a.Name, a.Type).Open != "" {
			continue
		}
		if _, altered := w.Records.AlteredBy(a.Name, records.Outcome(a)); !altered {
			list = append(list, a)
		}
	}
	return list
}

func Unusable(a report.Answer) bool {
	return a.Error != "" || a.Rcode == "SERVFAIL" || a.Rcode == "REFUSED"
}
