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
	Unknown  Outcome = "not known" // nobody was asked
)

// Pair is what a name has for A and AAAA.
type Pair struct{ A, AAAA Outcome }

// Step is one name that was tried.
type Step struct {
	Name   string // fully qualified, with the final dot
	Search string // the search entry; empty for the name as it is
	Pair   Pair
	Then   string
	Sent   int // datagrams
}

// Walk is what a library does with a name.
type Walk struct {
	Libc    Libc
	Found   bool
	Unknown bool // a step whose outcome is not known decides
	Because string
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
		step.Then = verdict.text
		switch {
		case verdict.found:
			w.Found = true
			w.Because = fmt.Sprintf("step %d answers", len(w.Steps)+1)
		case verdict.unknown:
			w.Unknown = true
			w.Because = fmt.Sprintf("the answer of step %d is not known", len(w.Steps)+1)
		case verdict.stop:
			w.Because = fmt.Sprintf("%s gives up at step %d: %s", libc, len(w.Steps)+1, verdict.why)
		case last:
			w.Because = "no step answers"
			step.Then = "the end"
		case verdict.toBare:
			// only the name as it is is left, and that only if it stands at the end
			skip = true
			if candidates[len(candidates)-1].Search != "" {
				w.Steps = append(w.Steps, step)
				w.Because = fmt.Sprintf("%s gives up at step %d: %s", libc, len(w.Steps), verdict.why)
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

type judgement struct {
	found, stop, toBare, unknown bool
	why, text                    string
}

func (p Pair) has(o Outcome) bool { return p.A == o || p.AAAA == o }

// judge is the table of what a library does after a step. Measured with glibc 2.36, musl 1.2.3 and Go 1.26.
func judge(libc Libc, s Step) judgement {
	p := s.Pair
	next := judgement{text: "next"}
	if libc == Musl {
		return judgeMusl(p)
	}
	switch {
	case p.has(Answer):
		return judgement{found: true, text: "answered"}
	case p.has(Unknown):
		return judgement{unknown: true, text: "not known"}
	case libc == Glibc && p.has(Refused):
		return judgement{toBare: true, text: "skips the rest of the search list", why: "REFUSED ends the search list"}
	case libc == Glibc && p.has(Timeout):
		return judgement{toBare: true, text: "skips the rest of the search list", why: "no answer ends the search list"}
	}
	return next
}

// judgeMusl: the first question that fails decides, in the order A, AAAA
// (https://git.musl-libc.org/cgit/musl/tree/src/network/lookup_name.c?h=v1.2.3).
func judgeMusl(p Pair) judgement {
	for _, o := range []Outcome{p.A, p.AAAA} {
		switch o {
		case ServFail:
			return judgement{stop: true, text: "gives up", why: "SERVFAIL ends the lookup"}
		case Refused, Timeout:
			return judgement{stop: true, text: "gives up", why: "it waits for an answer that it accepts until the time is over"}
		case NXDomain:
			return judgement{text: "next"}
		case Unknown:
			return judgement{unknown: true, text: "not known"}
		}
	}
	if p.has(Answer) {
		return judgement{found: true, text: "answered"}
	}
	return judgement{stop: true, text: "gives up", why: "NODATA means to musl that the name exists and has no address"}
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
