package resolver

import (
	"fmt"
	"slices"
	"strings"
)

// Libc is a resolver implementation.
type Libc string

// The implementations that are emulated.
const (
	Glibc   Libc = "glibc"
	Musl    Libc = "musl"
	Go      Libc = "go"
	Windows Libc = "windows"
)

// All lists the emulated implementations.
func All() []Libc { return []Libc{Glibc, Musl, Go, Windows} }

// Outcome of one question.
type Outcome string

// The outcomes. Refused and Timeout are kept apart from ServFail: libraries treat them differently.
const (
	Answer   Outcome = "answer"
	NoData   Outcome = "NODATA"
	NXDomain Outcome = "NXDOMAIN"
	ServFail Outcome = "SERVFAIL"
	Refused  Outcome = "REFUSED"
	Timeout  Outcome = "timeout"
	Unknown  Outcome = "unknown" // no server was queried
)

// Pair is what a name has for A and AAAA.
type Pair struct{ A, AAAA Outcome }

// Step is one name that was tried.
type Step struct {
	Name   string // fully qualified, with the final dot
	Search string // the search entry; empty for the name as it is
	Pair   Pair
	Next   Next
	Sent   int // datagrams
}

// Next is what a library does after a step.
type Next string

// The values of Next.
const (
	Continue Next = "continue" // with the next step
	Skip     Next = "skip"     // the rest of the search list: the name without a search entry is left
	Stop     Next = "stop"
	Unclear  Next = "unknown" // the outcome of the step is not known
)

// Walk is what a library does with a name.
type Walk struct {
	Libc    Libc
	Found   bool
	Unknown bool // a step whose outcome is not known decides
	Failed  bool // the library stopped before the last step
	Reason  string
	Steps   []Step
	Sent    int
}

// Candidates gives the names that a library tries, in order, as long as none is answered.
func Candidates(name string, c Conf, libc Libc) []Step {
	rooted := strings.HasSuffix(name, ".")
	bare := Step{Name: strings.TrimSuffix(name, ".") + "."}
	dots := strings.Count(strings.TrimSuffix(name, "."), ".")
	if rooted {
		return []Step{bare}
	}
	searches := c.Searches
	if libc == Musl && len(c.SearchLine()) >= MuslSearchLine {
		searches = nil
	}
	var searched []Step
	for _, s := range searches {
		s = strings.Trim(s, ".")
		if s == "" {
			searched = append(searched, Step{Name: bare.Name, Search: "."})
			continue
		}
		searched = append(searched, Step{Name: strings.TrimSuffix(name, ".") + "." + s + ".", Search: s})
	}
	enough := dots >= c.Ndots()
	switch {
	case libc == Windows && dots > 0:
		return []Step{bare}
	case libc == Windows:
		return append(searched[:min(1, len(searched))], bare)
	case enough && libc == Musl:
		return []Step{bare}
	case enough:
		return append([]Step{bare}, searched...)
	}
	return append(searched, bare)
}

// Follow walks the candidates with the outcomes that ask gives.
func Follow(name string, c Conf, libc Libc, ask func(fqdn string) Pair) Walk {
	w := Walk{Libc: libc}
	candidates := Candidates(name, c, libc)
	skip := false
	for i, step := range candidates {
		last := i == len(candidates)-1
		if skip && !last {
			continue
		}
		step.Pair = ask(step.Name)
		verdict := judge(libc, step)
		step.Sent = sent(libc, step.Pair)
		w.Sent += step.Sent
		step.Next = verdict.next
		switch {
		case verdict.found:
			w.Found = true
			w.Reason = fmt.Sprintf("step %d has an answer", len(w.Steps)+1)
		case verdict.unknown:
			w.Unknown = true
			w.Reason = fmt.Sprintf("the answer of step %d is unknown", len(w.Steps)+1)
		case verdict.stop:
			w.fail(len(w.Steps)+1, verdict.why)
		case last:
			w.Reason = "no step has an answer"
			step.Next = Stop
		case verdict.toBare:
			// only the name as it is is left, and that only if it stands at the end
			skip = true
			if candidates[len(candidates)-1].Search != "" {
				w.Steps = append(w.Steps, step)
				w.fail(len(w.Steps), verdict.why)
				return w
			}
		}
		w.Steps = append(w.Steps, step)
		if verdict.found || verdict.stop || verdict.unknown {
			return w
		}
	}
	return w
}

// fail records that the library stopped at a step, and why.
func (w *Walk) fail(step int, why string) {
	w.Failed, w.Reason = true, fmt.Sprintf("%s stops at step %d: %s", w.Libc, step, why)
}

type judgement struct {
	found, stop, toBare, unknown bool
	next                         Next
	why                          string
}

func (p Pair) has(o Outcome) bool { return p.A == o || p.AAAA == o }

// judge is the table of what a library does after a step. Measured with glibc 2.36, musl 1.2.3 and Go 1.26.
func judge(libc Libc, s Step) judgement {
	p := s.Pair
	if libc == Musl {
		return judgeMusl(p)
	}
	switch {
	case p.has(Answer):
		return judgement{found: true, next: Stop}
	case p.has(Unknown):
		return judgement{unknown: true, next: Unclear}
	case libc == Glibc && p.has(Refused):
		return judgement{toBare: true, next: Skip, why: "REFUSED ends the search list"}
	case libc == Glibc && p.has(Timeout):
		return judgement{toBare: true, next: Skip, why: "a query without an answer ends the search list"}
	}
	return judgement{next: Continue}
}

// judgeMusl: the first question that fails decides, in the order A, AAAA
// (https://git.musl-libc.org/cgit/musl/tree/src/network/lookup_name.c?h=v1.2.3).
func judgeMusl(p Pair) judgement {
	for _, o := range []Outcome{p.A, p.AAAA} {
		switch o {
		case ServFail:
			return judgement{stop: true, next: Stop, why: "SERVFAIL ends the lookup"}
		case Refused:
			return judgement{stop: true, next: Stop, why: "musl ignores REFUSED and waits for another answer until its timeout"}
		case Timeout:
			return judgement{stop: true, next: Stop, why: "musl waits for an answer until its timeout"}
		case NXDomain:
			return judgement{next: Continue}
		case Unknown:
			return judgement{unknown: true, next: Unclear}
		}
	}
	if p.has(Answer) {
		return judgement{found: true, next: Stop}
	}
	return judgement{stop: true, next: Stop, why: "for musl, NODATA means that the name exists without an address"}
}

// sent counts the datagrams of a step with one nameserver: A and AAAA, and again what was not answered well.
func sent(libc Libc, p Pair) int {
	n := 0
	for _, o := range []Outcome{p.A, p.AAAA} {
		n++
		switch {
		case o == ServFail && libc == Musl:
			n += 4 // two for each of the two questions
		case (o == ServFail || o == Timeout) && libc != Windows:
			n++
		case o == Refused && libc == Go, o == Refused && libc == Glibc:
			n++
		}
	}
	return n
}

// Lookup of the words that the user may give for a library.
func Lookup(word string) (Libc, bool) {
	l := Libc(strings.ToLower(word))
	return l, slices.Contains(All(), l)
}
