package corefile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseKeepsLinesAndBodies(t *testing.T) {
	f := Text("# head\n.:53 {\n    errors\n    kubernetes cluster.local { # why\n       pods \"insecure\"\n    }\n}\ncorp.example:5353 10.0.0.0/8 {\n  forward . 10.1.0.1\n}\n")
	if !f.Valid() {
		t.Fatalf("%+v", f.Problems)
	}
	want := []Block{
		{File: "Corefile", Line: 2, Zones: []Zone{{".", "53", "dns"}}, Directives: []Directive{
			{Name: "errors", File: "Corefile", Line: 3},
			{Name: "kubernetes", Args: []string{"cluster.local"}, File: "Corefile", Line: 4, Body: []Directive{{Name: "pods", Args: []string{"insecure"}, File: "Corefile", Line: 5}}},
		}},
		{File: "Corefile", Line: 8, Zones: []Zone{{"corp.example.", "5353", "dns"}, {"10.in-addr.arpa.", "53", "dns"}}, Directives: []Directive{{Name: "forward", Args: []string{".", "10.1.0.1"}, File: "Corefile", Line: 9}}},
	}
	if d := cmp.Diff(want, f.Blocks); d != "" {
		t.Error(d)
	}
}

func TestImportsAndSnippetsAreFollowed(t *testing.T) {
	f := Parse(map[string]string{
		"/etc/coredns/Corefile":              "(log) {\n log\n forward . {args[0]}\n}\n.:53 {\n import log 9.9.9.9\n import custom/*.override\n}\nimport custom/*.server\n",
		"/etc/coredns/custom/a.override":     "rewrite name a b\n",
		"/etc/coredns/custom/corp.server":    "corp:53 {\n forward . 10.0.0.1\n}\n",
		"/etc/coredns/custom/readme.ignored": "junk {",
	}, "/etc/coredns/Corefile")
	if !f.Valid() || len(f.Blocks) != 2 {
		t.Fatalf("%+v", f)
	}
	var got []string
	for _, d := range f.Blocks[0].Directives {
		got = append(got, d.Name+" "+strings.Join(d.Args, " "))
	}
	if d := cmp.Diff([]string{"log ", "forward . 9.9.9.9", "rewrite name a b"}, got); d != "" {
		t.Error(d)
	}
	if at := f.Blocks[0].Directives[2]; at.File != "/etc/coredns/custom/a.override" || at.Line != 1 {
		t.Errorf("the import's place is lost: %s:%d", at.File, at.Line)
	}
}

func TestProblemsNameTheLine(t *testing.T) {
	tests := map[string]struct {
		text string
		line int
		want string
	}{
		"unclosed":        {".:53 {\n errors\n", 1, "is not closed"},
		"unclosed inside": {".:53 {\n health {\n errors\n}\n", 1, "is not closed"},
		"too many":        {".:53 {\n}\n}\n", 3, "one closing brace too many"},
		"twice":           {".:53 {\n}\n. {\n}\n", 3, "already defined in line 1"},
		"no zone":         {"{\n errors\n}\n", 1, "without a zone"},
		"missing import":  {".:53 {\n import nothing\n}\n", 2, "no such file or snippet"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := Text(tt.text)
			if f.Valid() || f.Problems[0].Line != tt.line || !strings.Contains(f.Problems[0].Message, tt.want) {
				t.Errorf("%+v", f.Problems)
			}
		})
	}
	if f := Parse(map[string]string{"C": "import C"}, "C"); f.Valid() {
		t.Error("a file that imports itself is taken")
	}
}

func TestWhatLooksLikeAProblemAndIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"commented brace":     ".:53 {\n loop # {\n}\n",
		"quoted brace":        ".:53 {\n template ANY ANY {\n  answer \"{{ .Name }} 60 IN A 1.2.3.4\"\n }\n}\n",
		"one block bare":      ".:53\nerrors\nforward . 9.9.9.9\n",
		"keys with commas":    "a.test, b.test {\n errors\n}\n",
		"same zone two ports": ".:53 {\n}\n.:54 {\n}\n",
		"empty glob":          ".:53 {\n import custom/*.override\n}\n",
	} {
		if f := Text(text); !f.Valid() || len(f.Blocks) == 0 {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestPluginsRunInTheirOwnOrder(t *testing.T) {
	b := Text(". {\n forward . 9.9.9.9\n kubernetes\n mine\n cache\n template ANY ANY\n}\n").Blocks[0]
	var got []string
	for _, d := range b.Effective() {
		got = append(got, d.Name)
	}
	if d := cmp.Diff([]string{"cache", "template", "kubernetes", "forward", "mine"}, got); d != "" {
		t.Error(d)
	}
	if !Before("template", "kubernetes") || Before("forward", "kubernetes") || Before("mine", "cache") {
		t.Error("Before disagrees with the order")
	}
}

func TestTheLongestZoneAnswers(t *testing.T) {
	f := Text(". {\n a\n}\ncorp.test {\n b\n}\nx.corp.test:54 {\n c\n}\n")
	for name, want := range map[string]string{"www.example.com": "a", "a.corp.test": "b", "x.corp.test": "b", "notcorp.test": "a"} {
		if b, ok := f.BlockFor(name, "53"); !ok || b.Directives[0].Name != want {
			t.Errorf("%s is answered by %+v, want %s", name, b.Directives, want)
		}
	}
}

func TestReverseZones(t *testing.T) {
	tests := map[string][]string{
		"10.0.0.0/8":      {"10.in-addr.arpa."},
		"192.168.16.0/23": {"16.168.192.in-addr.arpa.", "17.168.192.in-addr.arpa."},
		"fd00::/8":        {"d.f.ip6.arpa."},
		"cluster.local":   nil,
	}
	for cidr, want := range tests {
		if d := cmp.Diff(want, ReverseZones(cidr)); d != "" {
			t.Errorf("%s: %s", cidr, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{".:53 {\n errors\n}\n", "(a) {\n b\n}\n. {\n import a x\n}\n", "import *\n", "\"", "{}{", "10.0.0.0/9 fd00::/5 {\n}", "a {\n b {\n c {\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := Parse(map[string]string{"C": text, "D": text}, "C")
		for _, b := range file.Blocks {
			if b.Line < 1 || b.Line > strings.Count(text, "\n")+1 {
				t.Errorf("line %d of a text with %d", b.Line, strings.Count(text, "\n")+1)
			}
			if len(b.Effective()) != len(b.Directives) {
				t.Error("ordering loses plugins")
			}
		}
	})
}
