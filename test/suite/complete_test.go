package suite

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// plugins lists the binaries' folders: cmd/kubectl-NAME gives NAME.
func plugins(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(root(t), "cmd", "kubectl-*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no plugin found: %v", err)
	}
	var names []string
	for _, folder := range folders {
		names = append(names, strings.TrimPrefix(filepath.Base(folder), "kubectl-"))
	}
	return names
}

func TestEveryPluginStandsInEveryPlace(t *testing.T) {
	for _, name := range plugins(t) {
		pkg := strings.ReplaceAll(name, "-", "")
		for _, path := range []string{
			"plugins/" + pkg + "/report", "plugins/" + pkg + "/internal/evaluate",
			"test/e2e/" + pkg, "docs/" + name + ".md", "docs/reference/" + name + ".md", "docs/findings/" + name + ".md",
			"docs/man/kubectl-" + name + ".1", "docs/schema/" + name + ".json", "docs/zh-CN/findings/" + name + ".md",
		} {
			if _, err := os.Stat(filepath.Join(root(t), path)); err != nil {
				t.Errorf("%s lacks %s", name, path)
			}
		}
		release, err := os.ReadFile(filepath.Join(root(t), ".goreleaser.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"main: ./cmd/kubectl-" + name + "\n", "binary: kubectl-" + strings.ReplaceAll(name, "-", "_") + "\n", "name: " + name + "\n", "ids: [" + name + "]\n"} {
			if !strings.Contains(string(release), want) {
				t.Errorf(".goreleaser.yaml lacks %q", want)
			}
		}
		readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(readme), "kubectl "+name) {
			t.Errorf("README.md does not show kubectl %s", name)
		}
	}
}

func TestMainsHoldNoLogic(t *testing.T) {
	for _, name := range plugins(t) {
		text, err := os.ReadFile(filepath.Join(root(t), "cmd", "kubectl-"+name, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines > 15 {
			t.Errorf("cmd/kubectl-%s/main.go has %d lines: a main has no logic", name, lines)
		}
		if !strings.Contains(string(text), "k8s.io/client-go/plugin/pkg/client/auth") {
			t.Errorf("cmd/kubectl-%s/main.go does not import client-go's auth plugins: exec, OIDC and cloud logins would not work", name)
		}
	}
}

// 34 MB is what a cobra binary with client-go takes (27 to 30) and its own code, and some air: one careless import costs 10 or more. runbooks holds
// three of the others.
func TestBinariesStaySmall(t *testing.T) {
	budgets := map[string]int64{"runbooks": 50_000_000}
	dir := t.TempDir()
	for _, name := range plugins(t) {
		out := filepath.Join(dir, name)
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./cmd/kubectl-"+name)
		build.Dir = root(t)
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		info, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		budget := cmp.Or(budgets[name], 34_000_000)
		t.Logf("%s: %.1f MB", name, float64(info.Size())/1e6)
		if info.Size() > budget {
			t.Errorf("%s has %.1f MB of %.1f: look for what executes text templates, or for kubectl's factory", name, float64(info.Size())/1e6, float64(budget)/1e6)
		}
		if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
			collectsNothing(t, out)
		}
	}
}

// A program that prints a line does not collect garbage: that was a quarter of its time (pkg/garbage).
func collectsNothing(t *testing.T, program string) {
	t.Helper()
	command := exec.Command(program, "version")
	command.Env = append(os.Environ(), "GODEBUG=gctrace=1", "GOGC=")
	text, err := command.CombinedOutput()
	if err != nil || bytes.Contains(text, []byte("gc 1 ")) {
		t.Errorf("%s version: %v\n%s", filepath.Base(program), err, text)
	}
}

// What everybody sees first stays short.
func TestTopLevelIsKept(t *testing.T) {
	allowed := map[string]bool{}
	for _, name := range strings.Fields("cmd plugins pkg docs test go.mod go.sum Makefile .goreleaser.yaml LICENSE README.md .golangci.yaml .gitignore .ci .github .git bin dist") {
		allowed[name] = true
	}
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !allowed[e.Name()] {
			t.Errorf("%s stands at the top level, which is kept to what the architecture names", e.Name())
		}
	}
}
