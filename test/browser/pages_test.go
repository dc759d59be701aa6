package browser

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shots keeps the screenshots, to be looked at.
var shots = flag.String("shots", "", "folder for screenshots of every page")

// widths are those of a phone and of a laptop.
var widths = []int{360, 1280}

// pages are the saved reports of every plugin in a folder, each made a page by the program itself.
func pages(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "kubectl-runbooks")
	if text, err := exec.Command("go", "build", "-o", program, "../../cmd/kubectl-runbooks").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	reports := map[string]string{
		"node":    "../../plugins/nodeinfo/internal/evaluate/testdata/KubeletNotReporting/report.yaml",
		"rollout": "../../plugins/rolloutexplain/testdata/flapping/report.yaml",
	}
	saved, err := filepath.Glob("../../plugins/runbooks/internal/webpage/testdata/*.json")
	if err != nil || len(saved) == 0 {
		t.Fatalf("no reports: %v", err)
	}
	for _, file := range saved {
		reports[strings.TrimSuffix(filepath.Base(file), ".json")] = file
	}
	files := map[string]string{}
	reports["hostile"] = hostile(t, reports["hostile"])
	for name, report := range reports {
		text, err := exec.Command(program, "html", report).Output()
		if err != nil {
			t.Fatalf("%s: %v", report, err)
		}
		files[name] = filepath.Join(dir, name+".html")
		if err := os.WriteFile(files[name], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// hostile is a report whose every text tries to be more than text, and one of which is 1 MB long.
func hostile(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	evil := `</title></style></script><script>evil=1</script><img src=x onerror=evil=1><svg onload=evil=1><a href=javascript:evil=1>` +
		"\" onmouseover=\"evil=1 \u202e\u05d0\u05d1 <!-- ]]> &lt; " + strings.Repeat("word-without-an-end", 20)
	text := string(data)
	for i, value := range []string{evil + strings.Repeat("x", 1<<20), evil} {
		quoted, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		text = strings.Replace(text, `"HOSTILE"`, string(quoted), 1-2*i) // the first one, then all others
	}
	path := filepath.Join(t.TempDir(), "hostile.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wide names the elements that reach out of the window and stand in no box that scrolls.
const wide = `Array.from(document.querySelectorAll("body *")).filter(e => {
	for (let x = e; x !== document.body; x = x.parentElement) {
		if (x !== e && getComputedStyle(x).overflowX !== "visible") { return false; }
	}
	const r = e.getBoundingClientRect();
	return r.width > 0 && (r.right > innerWidth + 1 || r.left < -1);
}).map(e => e.tagName + "." + e.getAttribute("class") + " " + e.textContent.slice(0, 40)).slice(0, 5)`

func TestPages(t *testing.T) {
	files, b := pages(t), start(t)
	for name, file := range files {
		t.Run(name, func(t *testing.T) { fits(t, b, name, file) })
	}
	t.Run("tables", func(t *testing.T) { tables(t, b, files["fleet"]) })
	t.Run("hostile text", func(t *testing.T) { staysText(t, b, files["hostile"]) })
}

// fits looks at a page in every width, light and dark: nothing reaches out of the window, nothing is requested.
func fits(t *testing.T, b *browser, name, file string) {
	b.open(file)
	b.eval("document.querySelectorAll('details').forEach(d => d.open = true)", nil)
	for _, width := range widths {
		for _, scheme := range []string{"light", "dark"} {
			b.show(width, scheme)
			var scroll, inner int
			b.eval("document.documentElement.scrollWidth", &scroll)
			b.eval("innerWidth", &inner)
			var out []string
			b.eval(wide, &out)
			if inner != width || scroll > inner || len(out) > 0 {
				t.Errorf("%s at %d px, %s: the page is %d px wide in a window of %d; %q", name, width, scheme, scroll, inner, out)
			}
			shot := filepath.Join(t.TempDir(), "shot.png")
			if *shots != "" {
				shot = filepath.Join(*shots, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
			}
			if name != "hostile" || width == widths[0] && scheme == "light" { // 1 MB takes seconds to paint
				b.screenshot(shot, width, 4000)
			}
		}
	}
	if c := b.complaints(file); len(c) > 0 {
		t.Errorf("%s: %q", name, c)
	}
}

// tables sorts and filters one.
func tables(t *testing.T, b *browser, file string) {
	b.open(file)
	names := func() (list []string) {
		b.eval(`Array.from(document.querySelectorAll("table")[0].tBodies[0].rows).filter(r => !r.hidden).map(r => r.cells[0].textContent)`, &list)
		return list
	}
	first := names()
	click := func(column int) {
		b.eval(fmt.Sprintf("document.querySelectorAll('table')[0].tHead.rows[0].cells[%d].firstChild.click()", column), nil)
	}
	click(0)
	up := names()
	if !slices.IsSortedFunc(up, natural) || slices.Equal(up, first) {
		t.Errorf("by name: %q", up)
	}
	click(0)
	down := names()
	slices.Reverse(down)
	if !slices.Equal(up, down) {
		t.Errorf("by name, downwards: %q", down)
	}
	click(4)
	var values []float64
	b.eval(`Array.from(document.querySelectorAll("table")[0].tBodies[0].rows).map(r => parseFloat(r.cells[4].textContent)).filter(isFinite)`, &values)
	if !slices.IsSorted(values) || len(values) < 5 {
		t.Errorf("by requests: %v", values)
	}
	var last, sorted string
	b.eval(`Array.from(document.querySelectorAll("table")[0].tBodies[0].rows).at(-1).cells[4].textContent`, &last)
	b.eval(`Array.from(document.querySelectorAll("table")[0].tHead.rows[0].cells).map(c => c.getAttribute("aria-sort") || "").join()`, &sorted)
	if last != "unknown" || sorted != ",,,,ascending,,,,,," {
		t.Errorf("the last is %q, heads are %q", last, sorted)
	}
	b.eval(`{ const i = document.querySelector(".filter input"); i.value = "UNHEALTHY cpu"; i.dispatchEvent(new Event("input")); }`, nil)
	var said string
	b.eval(`document.querySelector(".filter output").textContent`, &said)
	if got := names(); len(got) != 0 || said != "0 of 12" {
		t.Errorf("no row has both words: %q, %q", got, said)
	}
	b.eval(`{ const i = document.querySelector(".filter input"); i.value = "degraded"; i.dispatchEvent(new Event("input")); }`, nil)
	if got := names(); len(got) == 0 || len(got) == len(first) {
		t.Errorf("filtered: %q", got)
	}
	if c := b.complaints(file); len(c) > 0 {
		t.Errorf("%q", c)
	}
}

// natural compares w2 and w10 as people do.
func natural(a, b string) int {
	if d := len(a) - len(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

// staysText says whether text of a cluster that would be a script, a style or an element is none, whatever its length.
func staysText(t *testing.T, b *browser, file string) {
	b.open(file)
	var found int
	b.eval(`document.querySelectorAll("img, iframe, object, embed, link, form, base, script:not(body > script:last-child), a:not([href^='#'])").length`, &found)
	var evil bool
	b.eval(`"evil" in window`, &evil)
	if found != 0 || evil {
		t.Errorf("%d elements that no page has, or a script ran: %v", found, evil)
	}
}
