package finding

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type facts struct{ down bool }

func entry(code Code, severity Severity) Entry {
	return Entry{Code: code, Severity: severity, Title: "title of " + string(code), Meaning: "m", Evidence: "e", Next: "n"}
}

// network: a cable explains lost links, a lost link explains lost packets; packets name the cable by themselves.
func network() *Book[facts] {
	return NewBook(
		Rule[facts]{Entry: entry("Cable", Critical), Explains: []Code{"Link"}, Check: func(f *facts) []Finding {
			if !f.down {
				return nil
			}
			return []Finding{{Code: "Link", Severity: Critical, Message: "b"}, {}}
		}},
		Rule[facts]{Entry: entry("Notice", Info), Explains: []Code{"Link"}, ExplainsInfo: true},
		Rule[facts]{Entry: entry("Link", Critical), Explains: []Code{"Packets"}},
		Rule[facts]{Entry: entry("Packets", Warning), CausedBy: []Code{"Cable"}, Check: func(*facts) []Finding { return []Finding{{}} }},
	)
}

func codes(list []Finding) string {
	var words []string
	for _, f := range list {
		words = append(words, strings.TrimSpace(string(f.Code)+" "+f.Message))
	}
	return strings.Join(words, ", ")
}

func TestSettlePartsRootsFromConsequences(t *testing.T) {
	at := func(code Code, severity Severity) Finding { return Finding{Code: code, Severity: severity} }
	for _, tt := range []struct {
		name  string
		list  []Finding
		roots string
		by    map[Code]Code
	}{
		{"nothing", nil, "", nil},
		{"a consequence alone is a root", []Finding{at("Packets", Warning)}, "Packets", nil},
		{"said by the cause", []Finding{at("Link", Critical), at("Packets", Warning)}, "Link", map[Code]Code{"Packets": "Link"}},
		{"said by the consequence", []Finding{at("Packets", Warning), at("Cable", Critical)}, "Cable", map[Code]Code{"Packets": "Cable"}},
		{"its own causes are named first, and what is explained explains", []Finding{at("Cable", Critical), at("Link", Critical), at("Packets", Warning)}, "Cable", map[Code]Code{"Link": "Cable", "Packets": "Cable"}},
		{"information explains nothing", []Finding{at("Cable", Info), at("Packets", Warning)}, "Packets, Cable", nil},
		{"but where one of the code is more", []Finding{at("Cable", Info), at("Cable", Warning), at("Packets", Warning)}, "Cable, Cable", map[Code]Code{"Packets": "Cable"}},
		{"or its rule says so", []Finding{at("Notice", Info), at("Link", Critical)}, "Notice", map[Code]Code{"Link": "Notice"}},
		{"a finding's own causes are all", []Finding{at("Cable", Critical), {Code: "Packets", Severity: Warning, Causes: []Code{"Link"}}}, "Cable, Packets", nil},
		{"none at all", []Finding{at("Cable", Critical), {Code: "Packets", Severity: Warning, Causes: []Code{}}}, "Cable, Packets", nil},
		{"a cause of its own that the book does not know", []Finding{at("Notice", Critical), {Code: "Cable", Severity: Critical, Causes: []Code{"Cable", "Notice"}}}, "Notice", map[Code]Code{"Cable": "Notice"}},
		{"an unknown code stands by itself", []Finding{at("Odd", Warning), at("Cable", Critical)}, "Cable, Odd", nil},
	} {
		roots, consequences := network().Settle(tt.list)
		by := map[Code]Code(nil)
		for _, c := range consequences {
			if by == nil {
				by = map[Code]Code{}
			}
			by[c.Code] = c.CausedBy
		}
		if codes(roots) != tt.roots || !cmp.Equal(by, tt.by) || roots == nil {
			t.Errorf("%s: roots %s, consequences %v; want %s, %v", tt.name, codes(roots), by, tt.roots, tt.by)
		}
	}
}

func TestSettleRanksBySeverityDepthAndSort(t *testing.T) {
	list := []Finding{
		{Code: "Odd", Severity: Warning},
		{Code: "Packets", Severity: Warning, Message: "b", Causes: []Code{}},
		{Code: "Packets", Severity: Warning, Message: "a", Causes: []Code{}},
		{Code: "Link", Severity: Warning, Causes: []Code{}},
		{Code: "Packets", Severity: Critical, Causes: []Code{}},
		{Code: "Cable", Severity: Warning},
	}
	roots, _ := network().Settle(list)
	if got, want := codes(roots), "Packets, Cable, Link, Packets a, Packets b, Odd"; got != want {
		t.Errorf("settled: %s, want %s", got, want)
	}
	roots, _ = network().Fold(list)
	if got, want := codes(roots), "Packets, Odd, Packets b, Packets a, Link, Cable"; got != want {
		t.Errorf("folded: %s, want %s", got, want)
	}
	if roots[0].Title != "title of Packets" || roots[1].Title != "Odd" {
		t.Errorf("titles %q, %q", roots[0].Title, roots[1].Title)
	}
}

func TestCheckRunsInOrderOfDepthAndTakesCodesAndWordsFromTheRules(t *testing.T) {
	b := network()
	got := b.Check(&facts{down: true})
	want := []Finding{
		{Code: "Cable", Severity: Critical, Title: "title of Cable"},
		{Code: "Link", Severity: Critical, Title: "title of Link", Message: "b"},
		{Code: "Packets", Severity: Warning, Title: "title of Packets"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(want[2:], b.Check(&facts{})); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Finding{Code: "Notice", Severity: Info, Title: "title of Notice", Message: "m"}, b.New("Notice", "m")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(Finding{Code: "Odd", Severity: Critical, Title: "Odd"}, b.New("Odd", "")); d != "" {
		t.Error(d)
	}
	var list []string
	for _, e := range b.Catalog() {
		list = append(list, string(e.Code))
	}
	if d := cmp.Diff([]string{"Cable", "Link", "Notice", "Packets"}, list); d != "" {
		t.Error(d)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	rule := func(code Code, explains, causedBy []Code) Rule[facts] {
		return Rule[facts]{Entry: entry(code, Warning), Explains: explains, CausedBy: causedBy}
	}
	list := func(codes ...Code) []Code { return codes }
	for _, tt := range []struct {
		name string
		book *Book[facts]
		want string
	}{
		{"a good one", network(), ""},
		{"one that names itself", NewBook(rule("A", list("A"), list("A"))), ""},
		{"two ways to one", NewBook(rule("A", list("B", "C"), nil), rule("B", list("D"), nil), rule("C", list("D"), nil), rule("D", nil, nil)), ""},
		{"twice", NewBook(rule("A", nil, nil), rule("A", nil, nil)), "A stands twice"},
		{"no such consequence", NewBook(rule("A", list("B"), nil)), "A names B, which has no rule"},
		{"no such cause", NewBook(rule("A", nil, list("B"))), "A names B, which has no rule"},
		{"a circle from both ends", NewBook(rule("A", list("B"), list("C")), rule("B", nil, nil), rule("C", nil, list("B"))), "a circle of causes: [A C B]"},
		{"no severity", NewBook(Rule[facts]{Entry: entry("A", "")}), `"A": the entry lacks something`},
		{"no title", NewBook(Rule[facts]{Entry: Entry{Code: "A", Severity: Info, Meaning: "m", Evidence: "e", Next: "n"}}), `"A": the entry lacks something`},
	} {
		got := ""
		if err := tt.book.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
