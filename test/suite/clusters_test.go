package suite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A row of docs/clusters.md whose test is gone would stand for nothing.
func TestEachRowOfTheClustersHasItsTest(t *testing.T) {
	sources := ""
	for _, pattern := range []string{"test/e2e/makes/*_test.go", "test/e2e/controlplanes/*_test.go"} {
		files, err := filepath.Glob(filepath.Join(root(t), pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources += string(text)
		}
	}
	page, err := os.ReadFile(filepath.Join(root(t), "docs/clusters.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "|---|---|---|---|---|\n")
	rows := 0
	for row := range strings.Lines(table) {
		rows++
		cells := strings.Split(row, " | ")
		if len(cells) != 5 {
			t.Errorf("not five cells: %s", row)
			continue
		}
		name, _, _ := strings.Cut(cells[1], "/")
		if !strings.Contains(sources, "\nfunc "+name+"(t *testing.T) {") {
			t.Errorf("a row of %s, which is no test", name)
		}
	}
	if rows == 0 {
		t.Error("no row")
	}
}
