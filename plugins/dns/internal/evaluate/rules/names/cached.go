package names

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// differing compares the answers to one name with the API. An older answer may stand in a node cache, or in the cache of the servers,
// until its TTL ends; that is no server that stopped to follow the API.
func differing(w *facts.Snapshot, answers []report.Answer, name string) []finding.Finding {
	if !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable() ||
		!corefile.InZone(corefile.Fqdn(name), "svc."+w.Zone) {
		return nil
	}
	var evidence []finding.Evidence
	var got, want []string
	of := older{cached: true}
	for _, a := range answers {
		if !strings.EqualFold(a.Name, name) || !differs(w, a) {
			continue
		}
		for _, r := range a.Records {
			of.seconds = max(of.seconds, r.TTL)
			of.cached = of.cached && r.TTL <= w.Records.TTL
		}
		x := w.Engine.Lookup(a.Name, a.Type)
		got, want = append(got, records.Data(a)...), append(want, expected(x)...)
		of.cache = cmp.Or(of.cache, w.ServedBy(a.Server))
		evidence = append(evidence, facts.NewEvidence("answer of "+a.Viewpoint, a.Name+" "+a.Type, "%s%s; expected from the API: %s",
			ask.AnswerText(ask.Sorted(a)), ttlWords(a), x))
	}
	if len(evidence) == 0 {
		return nil
	}
	message := fmt.Sprintf("%s is answered with %s, but the API has %s", strings.TrimSuffix(name, "."), joined(got), joined(want))
	return []finding.Finding{of.judge(w, name, message, evidence)}
}

// older is what differing answers to a name have in common.
type older struct {
	seconds uint32 // the longest TTL
	cached  bool   // none is longer than what a cache can hold
	cache   string // the node cache that gave one; empty: none did
}

func (of older) judge(w *facts.Snapshot, name, message string, evidence []finding.Evidence) finding.Finding {
	changed := w.ChangedAt(name)
	// a Service that is gone leaves no time of its change: the TTL alone tells
	recent := changed.IsZero() || w.Settling(name, w.Changes())
	line := w.CacheLine()
	if left := w.SettleTime() - w.Now.Sub(changed); of.seconds == 0 && left > 0 { // a tool that shows no TTL
		of.seconds = uint32(left.Seconds())
	} else if of.seconds == 0 {
		of.seconds = w.Records.TTL
	}
	switch {
	case of.cache != "" && of.cached && recent:
		return w.Make(RecordMismatch, finding.Warning, nil,
			message+fmt.Sprintf(": the earlier answer is in the %s for another %ds at most", of.cache, of.seconds), evidence,
			w.Read("Query the DNS pods behind the cache", "", "dns", "resolve", strings.TrimSuffix(name, ".")))
	case line > 0 && of.cached && recent:
		evidence = append(evidence, facts.NewEvidence("Corefile", fmt.Sprintf("line %d", line), "cache"))
		return w.Make(RecordMismatch, finding.Warning, nil,
			message+fmt.Sprintf(": the earlier answer is in the cache of CoreDNS for another %ds at most", of.seconds), evidence,
			w.Read("Read the cache and ttl settings of the Corefile", "", "dns", "config"))
	case recent && !changed.IsZero():
		return w.Make(RecordMismatch, finding.Warning, nil,
			message+fmt.Sprintf(", which changed less than %s ago: DNS may need that long to return it", w.SettleTime()), evidence,
			w.Read("Compare every name with the API", "", "dns", "verify", "-A"))
	}
	return w.Make(RecordMismatch, finding.Critical, nil, message, evidence,
		w.Read("Compare every name with the API", "", "dns", "verify", "-A"))
}

// differs says whether an answer has other data than the API, for which no rule of the Corefile stands.
func differs(w *facts.Snapshot, a report.Answer) bool {
	if ask.Unusable(a) || len(records.Data(a)) == 0 || records.Compare(w.Engine.Lookup(a.Name, a.Type), a) == records.Same {
		return false
	}
	_, altered := w.Records.AlteredBy(a.Name, records.Outcome(a))
	return !altered
}

func ttlWords(a report.Answer) string {
	for _, r := range a.Records {
		if r.Type == a.Type && r.TTL > 0 {
			return fmt.Sprintf(", TTL %ds", r.TTL)
		}
	}
	return ""
}

func expected(x records.Expected) []string {
	if x.Open == "" && len(x.Data) > 0 {
		return x.Data
	}
	return []string{x.String()}
}

func joined(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return facts.Shortened(slices.Compact(list))
}
