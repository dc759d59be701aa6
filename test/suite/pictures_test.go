package suite

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// picture is how a page shows one: dark where the reader's screen is dark, and in words for who does not see it.
var picture = regexp.MustCompile(`<picture>\n  <source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)-dark\.svg">\n  <img alt="([^"]+)" src="([^"]+)\.svg">\n</picture>\n`)

// pictured are the pictures of a page.
func pictured(t *testing.T, page string) []string {
	t.Helper()
	text := read(t, page)
	var files []string
	for _, match := range picture.FindAllStringSubmatch(text, -1) {
		file := filepath.Join(filepath.Dir(page), match[3])
		if match[1] != match[3] || len(strings.Fields(match[2])) < 2 {
			t.Errorf("%s: dark %s, light %s, in words %q", page, match[1], match[3], match[2])
		}
		for _, end := range []string{".svg", "-dark.svg"} {
			if _, err := os.Stat(filepath.Join(root(t), file+end)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		files = append(files, file)
	}
	if all := strings.Count(text, "<picture>") + strings.Count(text, "<img"); all != 2*len(files) {
		t.Errorf("%s: of %d pictures and images, %d are a picture that is light and dark", page, all, len(files))
	}
	return files
}

func TestEachWorkflowIsShownAsAPicture(t *testing.T) {
	shown := map[string]bool{}
	pages := map[string]string{"README.md": "docs/zh-CN/README.md"}
	for _, plugin := range plugins(t) {
		pages["docs/"+plugin+".md"] = "docs/zh-CN/" + plugin + ".md"
	}
	for english, chinese := range pages {
		files := pictured(t, english)
		if len(files) == 0 {
			t.Errorf("%s has no picture", english)
		}
		if translated := pictured(t, chinese); strings.Join(files, " ") != strings.Join(translated, " ") {
			t.Errorf("%s has %q, and %s %q", english, files, chinese, translated)
		}
		for _, file := range files {
			shown[file+".svg"], shown[file+"-dark.svg"] = true, true
		}
	}
	files, err := filepath.Glob(filepath.Join(root(t), "docs", "pictures", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name, err := filepath.Rel(root(t), file); err != nil || !shown[filepath.ToSlash(name)] {
			t.Errorf("no page shows %s: %v", file, err)
		}
	}
}
