package suite

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// room is a row of the table in docs/architecture.md.
type room struct {
	packages string   // a path; "*" stands for one name, "/..." at the end for the rest
	imports  []string // the same; SELF is the name of the importing plugin
}

// rooms reads the table under the heading "Rooms".
func rooms(t *testing.T) []room {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Rooms\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var list []room
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		list = append(list, room{packages: strings.Trim(cells[1], " `"), imports: strings.Fields(cells[3])})
	}
	if len(list) < 10 {
		t.Fatalf("only %d rows found under \"## Rooms\" in docs/architecture.md", len(list))
	}
	return list
}

// covers says whether a path is what a pattern means.
func covers(pattern, path string) bool {
	if start, ok := strings.CutSuffix(pattern, "/..."); ok {
		names := strings.Split(path, "/")
		n := strings.Count(start, "/") + 1
		return len(names) >= n && covers(start, strings.Join(names[:n], "/"))
	}
	matched, err := filepath.Match(pattern, path)
	return err == nil && matched
}

func TestCoversReadsPatternsByName(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"pkg/kube", "pkg/kube", true},
		{"pkg/kube", "pkg/kubectl", false},
		{"pkg/diagnose/...", "pkg/diagnose/node", true},
		{"pkg/diagnose/...", "pkg/diagnose", true},
		{"pkg/diagnose/...", "pkg/diagnosed/node", false},
		{"plugins/*", "plugins/dns", true},
		{"plugins/*", "plugins/dns/report", false},
		{"plugins/*/internal/evaluate", "plugins/dns/internal/evaluate", true},
	} {
		if got := covers(tt.pattern, tt.path); got != tt.want {
			t.Errorf("covers(%q, %q) is %v", tt.pattern, tt.path, got)
		}
	}
}

func TestEveryPackageImportsOnlyWhatItsRowAllows(t *testing.T) {
	rows := rooms(t)
	used := map[string]bool{}
	for _, p := range packages(t) {
		from, plugin := layer(p.ImportPath)
		if from != "cmd" && from != "plugins" && from != "pkg" || len(p.GoFiles) == 0 {
			continue
		}
		i := slices.IndexFunc(rows, func(r room) bool { return covers(r.packages, p.ImportPath) })
		if i < 0 {
			t.Errorf("%s has no row under \"Rooms\" in docs/architecture.md: say what it knows and what it may import", p.ImportPath)
			continue
		}
		used[rows[i].packages] = true
		for _, path := range p.Imports {
			imported, ok := inner(path)
			if !ok || imported == "pkg/sorting" { // as each may import the standard library's
				continue
			}
			if !slices.ContainsFunc(rows[i].imports, func(pattern string) bool {
				return covers(strings.ReplaceAll(pattern, "SELF", plugin), imported)
			}) {
				t.Errorf("%s imports %s, and its row under \"Rooms\" in docs/architecture.md does not allow that", p.ImportPath, imported)
			}
		}
	}
	for _, r := range rows {
		if !used[r.packages] {
			t.Errorf("docs/architecture.md has a row for %s, and there is no such package", r.packages)
		}
	}
}

// A package that nobody can hold in mind is no room.
const mostFiles, mostLines = 15, 2500

func TestPackagesStaySmall(t *testing.T) {
	for _, p := range packages(t) {
		if from, _ := layer(p.ImportPath); from != "cmd" && from != "plugins" && from != "pkg" {
			continue
		}
		lines := 0
		for _, name := range p.GoFiles {
			text, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			lines += strings.Count(string(text), "\n")
		}
		if files := len(p.GoFiles); files > mostFiles || lines > mostLines {
			t.Errorf("%s has %d files and %d lines; a package has %d and %d at most: make rooms of it", p.ImportPath, files, lines, mostFiles, mostLines)
		}
	}
}
