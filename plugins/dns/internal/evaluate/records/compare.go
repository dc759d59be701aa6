package records

import (
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Result of comparing an answer with what is expected.
type Result string

// The results.
const (
	Same    Result = "same"
	Missing Result = "missing"   // something expected is not there
	Extra   Result = "extra"     // something is there that is not expected
	Wrong   Result = "incorrect" // both
	None    Result = "unanswered"
)

// Outcome is the rcode of an answer, with NODATA for NOERROR without a record of the type asked for.
func Outcome(a report.Answer) string {
	if a.Rcode == NoError && len(Data(a)) == 0 && !a.Truncated {
		return NoData
	}
	return a.Rcode
}

// Data gives the values of the type asked for, sorted. A CNAME in an address answer is the way, not the answer.
func Data(a report.Answer) []string {
	var list []string
	for _, r := range a.Records {
		if r.Type == a.Type {
			list = append(list, strings.ToLower(r.Data))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Compare ignores order, TTL, priority and weight (a dual-stack Service halves the weights), and the additional
// section. An open expectation is met by everything. A truncated answer is the same if nothing in it is not expected: what does not fit
// into a UDP packet the client gets over TCP (https://www.rfc-editor.org/rfc/rfc7766#section-5).
func Compare(x Expected, a report.Answer) Result {
	if a.Rcode == "" {
		return None
	}
	if x.Open != "" {
		return Same
	}
	got := Data(a)
	outcome := Outcome(a)
	if outcome == x.Outcome && slices.Equal(got, x.Data) {
		return Same
	}
	part := len(x.Data) > 0 && !slices.ContainsFunc(got, func(d string) bool { return !slices.Contains(x.Data, d) })
	switch {
	case part && a.Truncated && a.Rcode == NoError:
		return Same
	case part:
		return Missing
	case len(got) > 0 && !slices.ContainsFunc(x.Data, func(d string) bool { return !slices.Contains(got, d) }):
		return Extra
	}
	return Wrong
}

// String says an expectation in a few words.
func (x Expected) String() string {
	switch {
	case x.Open != "":
		return "(" + x.Open + ")"
	case len(x.Data) == 0:
		return x.Outcome
	}
	return report.Listed(x.Data)
}
