// Package testkit is what the suite's tests share: golden files, an Env with captured streams, kubeconfigs, and an API
// server that counts requests and misbehaves on demand.
package testkit

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// Updating says that the test writes its golden files: what it would compare may not be there yet.
func Updating() bool { return *update }

// Golden compares got with the file testdata/name, or writes it with -update. Every golden text obeys the rules of text
// off a terminal: no trailing blanks, no control characters, a newline at the end.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	CheckText(t, name, got)
	GoldenFile(t, filepath.Join("testdata", filepath.FromSlash(name)), got)
}

// GoldenFile compares got with the file at path, or writes it with -update.
func GoldenFile(t testing.TB, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if d := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

var (
	trailingBlank = regexp.MustCompile(`[ \t]+\n`)
	control       = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f]|\x{009b}`)
)

// CheckText holds text against the rules of text off a terminal.
func CheckText(t testing.TB, name, got string) {
	t.Helper()
	switch {
	case got == "":
	case !strings.HasSuffix(got, "\n"):
		t.Errorf("%s: does not end in a newline", name)
	case trailingBlank.MatchString(got):
		t.Errorf("%s: has trailing blanks", name)
	case control.MatchString(got):
		t.Errorf("%s: has control characters", name)
	}
}
