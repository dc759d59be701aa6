package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readmeWidth is that of the text of a README on GitHub, in pixels.
const readmeWidth = 838

// placed measures the texts of a picture: how far the outermost reach, and how much the widest is stretched or squeezed to stand on
// the grid, which is by how much the font differs from the one that the grid is made for.
const placed = `(() => {
	const texts = Array.from(document.querySelectorAll("text")), boxes = texts.map(t => t.getBBox());
	const stretched = texts.filter(t => t.textContent.length > 9).map(t => {
		const free = t.cloneNode(true);
		free.removeAttribute("textLength");
		t.parentNode.appendChild(free);
		const ratio = t.textLength.baseVal.value / free.getComputedTextLength();
		free.remove();
		return ratio;
	});
	const view = document.documentElement.viewBox.baseVal;
	return {Count: texts.length, Left: Math.min(...boxes.map(b => b.x)), Top: Math.min(...boxes.map(b => b.y)),
		Right: view.width - Math.max(...boxes.map(b => b.x + b.width)), Bottom: view.height - Math.max(...boxes.map(b => b.y + b.height)),
		Least: Math.min(...stretched), Most: Math.max(...stretched)};
})()`

func TestPicturesOfTerminals(t *testing.T) {
	b := start(t)
	folder, err := filepath.Abs("../../docs/pictures")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.svg"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no pictures: %v", err)
	}
	for _, file := range files {
		b.open(file)
		var m struct {
			Count                                 int
			Left, Top, Right, Bottom, Least, Most float64
		}
		b.eval(placed, &m)
		if m.Count < 10 || m.Left < 19 || m.Right < 19 || m.Top < 10 || m.Bottom < 10 || m.Least < 0.9 || m.Most > 1.1 {
			t.Errorf("%s: %+v", filepath.Base(file), m)
		}
		if c := b.complaints(file); len(c) > 0 {
			t.Errorf("%s: %q", filepath.Base(file), c)
		}
	}
	page := regexp.MustCompile(`(?s)<picture>.*?</picture>`)
	for _, name := range []string{"README.md", "docs/runbooks.md", "docs/nodeinfo.md", "docs/dns.md", "docs/rollout-explain.md", "docs/nodeshell.md"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		inPage(t, b, name, folder, page.FindString(string(text)))
	}
}

// inPage looks at a picture as a page shows it: the dark one on a dark screen, as a whole.
func inPage(t *testing.T, b *browser, name, folder, picture string) {
	t.Helper()
	picture = regexp.MustCompile(`"(?:docs/)?pictures/`).ReplaceAllString(picture, `"file://`+folder+`/`)
	file := filepath.Join(t.TempDir(), "page.html")
	html := `<!doctype html><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><style>body{margin:0}img{max-width:100%}</style>` + picture
	if err := os.WriteFile(file, []byte(html), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{readmeWidth, 360} {
		for scheme, end := range map[string]string{"light": ".svg", "dark": "-dark.svg"} {
			b.show(width, scheme)
			b.open(file)
			var img struct {
				Source               string
				Natural, Width, Page float64
			}
			b.eval(`(() => { const i = document.querySelector("img"); return {Source: i.currentSrc, Natural: i.naturalWidth, Width: i.clientWidth, Page: document.documentElement.scrollWidth}; })()`, &img)
			if !strings.HasSuffix(img.Source, end) || strings.HasSuffix(img.Source, "-dark.svg") != (scheme == "dark") || img.Natural < 800 || img.Width != float64(width) || img.Page != float64(width) {
				t.Errorf("%s, %s at %d px: %+v", name, scheme, width, img)
			}
			if *shots != "" {
				shot := fmt.Sprintf("picture-%s-%d-%s.png", strings.TrimSuffix(filepath.Base(name), ".md"), width, scheme)
				b.screenshot(filepath.Join(*shots, shot), width, 4000)
			}
		}
	}
}
