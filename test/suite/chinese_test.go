package suite

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shape is what a page has in every language: how its headings nest, what stands in its code blocks (comments of sh and
// yaml blocks may be translated), which words stand as code in its text, and how long its tables are.
type shape struct {
	Headings []string
	Blocks   []string
	Code     []string
	Rows     int
}

var (
	inline  = regexp.MustCompile("`[^`]+`") // a line may end inside
	comment = regexp.MustCompile(`(^|\s+)#( .*)?$`)
)

func shapeOf(text string) shape {
	var (
		s     shape
		prose strings.Builder
	)
	inBlock, commented := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inBlock = !inBlock
			commented = line == "```sh" || line == "```yaml"
			s.Blocks = append(s.Blocks, line)
		case inBlock && commented:
			if line = comment.ReplaceAllString(line, ""); line != "" {
				s.Blocks = append(s.Blocks, line)
			}
		case inBlock:
			s.Blocks = append(s.Blocks, line)
		default:
			if level, _, ok := strings.Cut(line, " "); ok && level != "" && strings.Trim(level, "#") == "" {
				s.Headings = append(s.Headings, level+" "+strings.Join(inline.FindAllString(line, -1), " "))
			}
			if strings.HasPrefix(line, "|") {
				s.Rows++
			}
			prose.WriteString(line + "\n")
		}
	}
	for _, code := range inline.FindAllString(prose.String(), -1) {
		s.Code = append(s.Code, strings.Join(strings.Fields(code), " "))
	}
	// The languages order a sentence differently, so the words count and not their order.
	slices.Sort(s.Code)
	s.Code = slices.Compact(s.Code)
	return s
}

func TestChinesePagesKeepUpWithTheEnglishOnes(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root(t), "docs", "zh-CN", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"README.md", "install.md"} // what must be there, whatever is found
	for _, plugin := range plugins(t) {
		names = append(names, plugin+".md")
	}
	for _, path := range pages {
		names = append(names, filepath.Base(path))
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		english := "docs/" + name
		if name == "README.md" {
			english = name
		}
		comparePages(t, english, "docs/zh-CN/"+name)
	}
	findings, err := filepath.Glob(filepath.Join(root(t), "docs", "findings", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range findings {
		name := filepath.Base(path)
		english, chinese := read(t, "docs/findings/"+name), read(t, "docs/zh-CN/findings/"+name)
		codes := regexp.MustCompile(`(?m)^## \w+$`)
		if d := cmp.Diff(codes.FindAllString(english, -1), codes.FindAllString(chinese, -1)); d != "" {
			t.Errorf("docs/zh-CN/findings/%s (-English +Chinese):\n%s", name, d)
		}
		links := regexp.MustCompile(`<https://[^>]+>|\((critical|warning|info)\)$`)
		if d := cmp.Diff(links.FindAllString(english, -1), links.FindAllString(chinese, -1)); d != "" {
			t.Errorf("docs/zh-CN/findings/%s (-English +Chinese):\n%s", name, d)
		}
	}
}

func comparePages(t *testing.T, english, chinese string) {
	t.Helper()
	if d := cmp.Diff(shapeOf(read(t, english)), shapeOf(read(t, chinese))); d != "" {
		t.Errorf("%s and %s have grown apart (-English +Chinese):\n%s", english, chinese, d)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), path))
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

func TestTheShapeOfAPageIsWhatALanguageMustNotChange(t *testing.T) {
	const english = "# Nodes\n\nRun `kubectl nodeinfo` with `-o wide`.\n\n## Codes of `ReadyStale`\n\n| a | b |\n|---|---|\n\n```sh\n# every node\nkubectl nodeinfo  # all\n```\n"
	const chinese = "# 节点\n\n用 `-o wide` 运行 `kubectl nodeinfo`。\n\n## `ReadyStale` 的代码\n\n| 甲 | 乙 |\n|---|---|\n\n```sh\n# 所有节点\nkubectl nodeinfo  # 全部\n```\n"
	if d := cmp.Diff(shapeOf(english), shapeOf(chinese)); d != "" {
		t.Errorf("a faithful translation differs:\n%s", d)
	}
	for name, stale := range map[string]string{
		"another command":   strings.Replace(chinese, "kubectl nodeinfo  #", "kubectl nodeinfo -A  #", 1),
		"another flag":      strings.Replace(chinese, "-o wide", "-o json", 1),
		"a heading less":    strings.Replace(chinese, "## ", "", 1),
		"another code":      strings.Replace(chinese, "ReadyStale", "Cordoned", 1),
		"a row more":        strings.Replace(chinese, "|---|---|\n", "|---|---|\n| 丙 | 丁 |\n", 1),
		"a deeper heading":  strings.Replace(chinese, "## ", "### ", 1),
		"a block untouched": strings.Replace(chinese, "```sh", "```text", 1),
	} {
		if cmp.Equal(shapeOf(english), shapeOf(stale)) {
			t.Errorf("%s is not seen", name)
		}
	}
}
