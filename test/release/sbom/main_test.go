package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDescribeNamesWhatIsInTheBinary(t *testing.T) {
	sum := "h1:" + strings.Repeat("A", 43) + "="
	got := describe(&debug.BuildInfo{
		GoVersion: "go1.26.8", Path: "example.com/m/cmd/kubectl-x",
		Main:     debug.Module{Path: "example.com/m", Version: "(devel)"},
		Settings: []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "-trimpath", Value: "true"}},
		Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.0.0", Sum: sum},
			{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.0"}},
		},
	}, "v0.1.0")
	if d := cmp.Diff(component{
		Ref: "pkg:golang/example.com/m@v0.1.0", Type: "application", Name: "kubectl-x", Version: "v0.1.0",
		PURL: "pkg:golang/example.com/m@v0.1.0#cmd/kubectl-x", Properties: []property{{"build:GOOS", "linux"}},
	}, got.Metadata.Component); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]component{
		{Ref: "std", Type: "library", Name: "std", Version: "1.26.8", PURL: "pkg:golang/std@1.26.8"},
		{
			Ref: "pkg:golang/example.com/a@v1.0.0", Type: "library", Name: "example.com/a", Version: "v1.0.0", PURL: "pkg:golang/example.com/a@v1.0.0",
			Hashes: []hash{{"SHA-256", strings.Repeat("0", 64)}},
		},
		{Ref: "pkg:golang/example.com/fork@v2.0.0", Type: "library", Name: "example.com/fork", Version: "v2.0.0", PURL: "pkg:golang/example.com/fork@v2.0.0"},
	}, got.Components); d != "" {
		t.Error(d)
	}
}

// This test's own binary is a Go binary, too.
func TestWriteIsTheSameTwiceAndRefusesOtherFiles(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for _, out := range []string{one, two} {
		if err := write(os.Args[0], out); err != nil {
			t.Fatal(err)
		}
	}
	first, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(two)
	if err != nil || string(first) != string(second) || !strings.Contains(string(first), "std@") {
		t.Errorf("%v\n%.300s", err, first)
	}
	if err := write("main.go", filepath.Join(dir, "three")); err == nil || !strings.Contains(err.Error(), `"main.go"`) {
		t.Error(err)
	}
}
