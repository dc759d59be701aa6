package webpage

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// document is a page as an independent parser reads it: the tree without texts and values, and the texts.
type parsed struct {
	shape string
	text  string
	root  *html.Node
}

// elements are all that a page has; scripts and styles are its own.
var elements = strings.Fields(`html head meta title style body script header main section article h1 h2 h3 h4 p span code pre time
	div table caption thead tbody tr th td a ul ol li dl dt dd details summary svg rect line circle text figure figcaption`)

// named are all attributes that an element has.
var named = strings.Fields(`lang charset http-equiv content name class tabindex role aria-label aria-hidden scope data-sort href id
	datetime width height x y x1 x2 y1 y2 cx cy r text-anchor`)

func parse(t *testing.T, text string) parsed {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var shape, words strings.Builder
	var walk func(n *html.Node, depth int)
	walk = func(n *html.Node, depth int) {
		switch {
		case n.Type == html.ElementNode:
			if !slices.Contains(elements, n.Data) {
				t.Errorf("an element that no page has: %s", n.Data)
			}
			fmt.Fprintf(&shape, "%d %s", depth, n.Data)
			for _, a := range n.Attr {
				if !slices.Contains(named, a.Key) {
					t.Errorf("an attribute that no page has: %s=%q", a.Key, a.Val)
				}
				if a.Key == "href" && !regexp.MustCompile(`^#o\d+$`).MatchString(a.Val) {
					t.Errorf("a link that leads out: %q", a.Val)
				}
				shape.WriteString(" " + a.Key)
			}
			shape.WriteByte('\n')
		case n.Type == html.TextNode && n.Parent.Data != "style" && n.Parent.Data != "script":
			words.WriteString(n.Data + "\n")
		case n.Type == html.CommentNode:
			t.Errorf("a comment: %q", n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c, depth+1)
		}
	}
	walk(root, 0)
	for _, tag := range []string{"style", "script"} {
		if got := strings.Count(text, "<"+tag); got != 1 {
			t.Errorf("%d elements %s", got, tag)
		}
	}
	return parsed{shape.String(), words.String(), root}
}

func saved(t *testing.T, r any) string {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Saved(data)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPages(t *testing.T) {
	parts, nodes, dns := Parts{}, fleet(), check()
	parts.Nodes, parts.DNS = &nodes, &dns
	parts.Rollouts = &rolloutreport.List{Items: []rolloutreport.Rollout{stuck()}}
	whole := triage()
	pages := map[string]string{"cluster": Triage(&whole, parts)}
	for name, r := range map[string]any{"fleet": fleet(), "stuck": stuck(), "check": check(), "triage": triage(), "hostile": filled[rolloutreport.Rollout]("HOSTILE")} {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if name == "hostile" {
			data = []byte(strings.Replace(strings.Replace(string(data), `"apiVersion": "HOSTILE"`, `"apiVersion": "`+report.APIVersion+`"`, 1), `"kind": "HOSTILE"`, `"kind": "RolloutExplanation"`, 1))
		}
		testkit.Golden(t, name+".json", string(data)+"\n") // what the tests of the browser read
		if pages[name], err = Saved(data); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range pages {
		p := parse(t, text)
		testkit.CheckText(t, name, text)
		if !strings.Contains(p.text, "Next steps") && name != "check" {
			t.Errorf("%s: %s", name, p.text)
		}
	}
	testkit.Golden(t, "stuck.html", pages["stuck"])
	for _, want := range []string{"kubectl rollout undo deployment/api --to-revision=2 -n shop", "config: DB_HOST is required", "revision 2 (api-7dfbb478fd) created", "progress deadline 600s ends in 9m14s", "events: needs list events", "(in 9m14s)"} {
		if !strings.Contains(parse(t, pages["stuck"]).text, want) {
			t.Errorf("the rollout's page lacks %q", want)
		}
	}
	for _, want := range []string{"worker-12.example.internal", "no NetworkPolicy blocks DNS", "may create 0: 4 pods is the maximum", "10 Healthy nodes without a section", "worker-11.example.internal: Ready became Unknown", "back-off 10s", "3 older not drawn"} {
		if !strings.Contains(parse(t, pages["cluster"]).text, want) {
			t.Errorf("the cluster's page lacks %q", want)
		}
	}
}

// With hostile text, every page has the elements that it has with plain text, and holds the text.
func TestHostileTextStaysText(t *testing.T) {
	hostile := []string{"<script>evil()</script>", `" onload="evil()`, "</title><img src=x onerror=evil()>", "</style>", "</script>", "<!--", "]]>", "{{.}}", "javascript:evil()", "&lt;b&gt;", "\u202eevil", "\ufffe", "#o1"}
	for _, value := range testkit.Hostile {
		if text, ok := value.(string); ok && len(text) < longest {
			hostile = append(hostile, text)
		}
	}
	kinds := map[string]func(string) any{
		"nodes": func(s string) any {
			r := filled[nodereport.List](s)
			r.APIVersion, r.Kind = report.APIVersion, nodereport.Kind
			return r
		},
		"drain": func(s string) any {
			r := filled[nodereport.Drain](s)
			r.APIVersion, r.Kind = report.APIVersion, nodereport.DrainKind
			return r
		},
		"paths": func(s string) any {
			r := filled[nodereport.Paths](s)
			r.APIVersion, r.Kind = report.APIVersion, nodereport.PathsKind
			return r
		},
		"join": func(s string) any {
			r := filled[nodereport.Join](s)
			r.APIVersion, r.Kind = report.APIVersion, nodereport.JoinKind
			return r
		},
		"rollouts": func(s string) any {
			r := filled[rolloutreport.List](s)
			r.APIVersion, r.Kind = report.APIVersion, rolloutreport.KindList
			return r
		},
		"triage": func(s string) any {
			r := filled[report.Triage](s)
			r.APIVersion, r.Kind = report.APIVersion, report.Kind
			return r
		},
		"check": func(s string) any {
			r := filled[dnsreport.Status](s)
			r.APIVersion, r.Kind = report.APIVersion, "DNSCheck"
			return r
		},
		"explain": func(s string) any {
			r := filled[dnsreport.Explanation](s)
			r.APIVersion, r.Kind = report.APIVersion, "DNSExplanation"
			return r
		},
	}
	for kind, of := range kinds {
		plain := parse(t, saved(t, of("word")))
		for _, text := range append(hostile, strings.Repeat("x<i>", longest)) {
			if text == "" {
				continue
			}
			got := parse(t, saved(t, of("a"+text+"b")))
			want := plain.shape
			if len(text) > longest {
				want = parse(t, saved(t, of(strings.Repeat("word", longest)))).shape
			}
			if d := cmp.Diff(want, got.shape); d != "" {
				t.Fatalf("%s: %.40q changes the page: %s", kind, text, d)
			}
			if clean := noncharacters.Replace(output.Sanitize("a" + text + "b")); !strings.Contains(got.text, clean) {
				t.Errorf("%s: %.40q is not to be read", kind, clean)
			}
		}
	}
}

// Every report that the plugins' own tests hold becomes a page.
func TestSavedReportsOfThePluginsBecomePages(t *testing.T) {
	files, err := filepath.Glob("../../../*/internal/evaluate/testdata/*/report.yaml")
	more, err2 := filepath.Glob("../../../rolloutexplain/testdata/*/report.yaml")
	if files = append(files, more...); len(files) < 80 || err != nil || err2 != nil {
		t.Fatalf("%d files, %v %v", len(files), err, err2)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := Saved(data)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		parse(t, text)
	}
}

func TestWhatIsNoReportIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"": "empty", "  \n": "empty", "{": "no report", "[]": "no report", ": :": "neither JSON nor YAML", `{"kind":"Pod","apiVersion":"v1"}`: `its kind "Pod" of "v1"`,
		`{"kind":"Triage","apiVersion":"x"}`: `its kind "Triage" of "x"`, "{}{}": "several reports", `{"apiVersion":"` + report.APIVersion + `","kind":"Triage","causes":3}`: "no report", "kind: x": `its kind "x"`,
	} {
		if _, err := Saved([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNothingIsLoaded(t *testing.T) {
	text := saved(t, fleet())
	var policy string
	for n := range parse(t, text).root.Descendants() {
		if n.Data == "meta" && slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "http-equiv" }) {
			policy = n.Attr[1].Val
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("policy %q", policy)
	}
	for _, of := range []string{"url(", "@import", "http:", "https:", "src=", "fetch(", "XMLHttpRequest", "innerHTML", "eval("} {
		if strings.Contains(style+script, of) {
			t.Errorf("style or script has %q", of)
		}
	}
}

// Text stands out from its ground by 4.5 to 1, light and dark (https://www.w3.org/TR/WCAG22/#contrast-minimum).
func TestContrast(t *testing.T) {
	light, dark, found := strings.Cut(style, "prefers-color-scheme: dark")
	if !found {
		t.Fatal("no dark colors")
	}
	variable := regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`)
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colors := map[string]float64{}
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			colors[m[1]] = luminance(t, m[2])
		}
		for _, pair := range strings.Fields(`ink/ground ink/paper ink/code quiet/ground quiet/paper quiet/code link/paper link/ground link/code
			good/good-paper warn/warn-paper bad/bad-paper mark/good mark/warn mark/bad mark/quiet`) {
			front, back, _ := strings.Cut(pair, "/")
			a, b := colors[front], colors[back]
			if ratio := (max(a, b) + .05) / (min(a, b) + .05); ratio < 4.5 || colors[front] == 0 && colors[back] == 0 {
				t.Errorf("%s: %s has %.1f", scheme, pair, ratio)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		value, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(value) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestLabels(t *testing.T) {
	for name, want := range map[string]string{
		"podCIDRs": "Pod CIDRs", "p99Milliseconds": "P99 milliseconds", "clusterIPs": "Cluster IPs", "notReadyAt": "Not ready at", "aaaa": "AAAA", "dnsPolicy": "DNS policy", "ip": "IP", "providerID": "Provider ID",
	} {
		if got := label(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
