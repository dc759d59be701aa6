// Package suite holds the suite's own rules as tests: what depends on what, who may touch the process, how big a binary
// may be, and that every plugin stands in every place. A failure says which rule, and why it is one.
package suite

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/kubectl-runbooks/kubectl-runbooks"

type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports,Deps", "./...")
	command.Dir = root(t)
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		list = append(list, p)
	}
	if len(list) < 8 {
		t.Fatalf("only %d packages found", len(list))
	}
	return list
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// layer gives cmd, plugins, pkg, test or docs; plugin its name below plugins/.
func layer(path string) (name, plugin string) {
	parts := strings.Split(path, "/")
	if parts[0] == "plugins" && len(parts) > 1 {
		return parts[0], parts[1]
	}
	return parts[0], ""
}

func inner(path string) (imported string, ok bool) {
	imported, ok = strings.CutPrefix(path, module+"/")
	return imported, ok
}

func TestLayersPointDownwards(t *testing.T) {
	allowed := map[string][]string{
		"cmd": {"pkg", "plugins"}, "plugins": {"pkg", "plugins"}, "pkg": {"pkg"},
		"docs": {"pkg", "plugins"}, "test": {"pkg", "plugins", "test"},
	}
	for _, p := range packages(t) {
		from, plugin := layer(p.ImportPath)
		for _, path := range p.Imports {
			imported, ok := inner(path)
			if !ok {
				continue
			}
			to, other := layer(imported)
			if !slices.Contains(allowed[from], to) {
				t.Errorf("%s imports %s: cmd -> plugins -> pkg, never back, or a plugin cannot be read alone", p.ImportPath, imported)
			}
			if from == "plugins" && to == "plugins" && plugin != other && plugin != "runbooks" { // runbooks is a floor above the others
				t.Errorf("%s imports %s: plugins never import each other, or one's change breaks another; share through pkg", p.ImportPath, imported)
			}
		}
	}
}

// pure says whether a package must give the same answer for the same input.
func pure(path string) bool {
	return strings.HasPrefix(path, "pkg/diagnose/") || strings.HasPrefix(path, "plugins/") && slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool {
		return part == "evaluate" || part == "report" || part == "render"
	})
}

// harmless parts of client-go read no world: -o jsonpath is made of them.
var harmless = []string{"k8s.io/client-go/util/jsonpath", "k8s.io/client-go/third_party/forked/golang/template"}

func TestEvaluateReportAndRenderArePure(t *testing.T) {
	for _, p := range packages(t) {
		if !pure(p.ImportPath) {
			continue
		}
		for _, path := range p.Imports {
			if path == "os" || path == "net" || path == "net/http" || path == "github.com/spf13/cobra" || strings.HasPrefix(path, "k8s.io/client-go") {
				t.Errorf("%s imports %s: what judges and what prints must not look at the world, or a saved input cannot be replayed", p.ImportPath, path)
			}
			if strings.HasPrefix(p.ImportPath, "pkg/diagnose/") && path == module+"/pkg/finding" {
				t.Errorf("%s imports %s: a fact has no severity and no sentence; those belong to the plugin that asks", p.ImportPath, path)
			}
			if strings.HasSuffix(p.ImportPath, "/render") && strings.HasPrefix(path, "k8s.io/api/") {
				t.Errorf("%s imports %s: what render needs is in the report, so that text and JSON cannot disagree", p.ImportPath, path)
			}
		}
		// Through another package of ours it would be the same client.
		for _, path := range p.Deps {
			if strings.HasPrefix(path, "k8s.io/client-go/") && !slices.Contains(harmless, path) {
				t.Errorf("%s depends on %s: what judges and what prints must not reach a cluster, not even through pkg", p.ImportPath, path)
			}
		}
		forbid(t, p, "time", []string{"Now", "Since", "Until"}, "the time is an input")
	}
}

func TestOnlyCliTouchesTheProcess(t *testing.T) {
	for _, p := range packages(t) {
		from, _ := layer(p.ImportPath)
		if from == "plugins" || (from == "pkg" && p.ImportPath != "pkg/cli") {
			names := []string{"Args", "Stdin", "Stdout", "Stderr", "Getenv", "LookupEnv", "Environ", "Exit"}
			// a main, which the demo has: what it shows takes its streams as arguments
			if p.ImportPath == "pkg/testkit" || p.ImportPath == "plugins/nodeinfo/internal/recorded" {
				continue
			}
			forbid(t, p, "os", names, "only pkg/cli touches os.Args, os.Std*, the environment and signals, so that a test can have its own; os.Exit stands in the mains alone")
			forbid(t, p, "os/signal", []string{"Notify", "NotifyContext", "Ignore"}, "only pkg/cli catches signals")
		}
		if from == "pkg" {
			forbid(t, p, "os", []string{"Exit"}, "os.Exit stands in the mains alone, after every cleanup")
		}
	}
}

func TestOnlyOutputImportsTablewriter(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range p.Imports {
			if strings.HasPrefix(path, "github.com/olekukonko/tablewriter") && p.ImportPath != "pkg/output" {
				t.Errorf("%s imports %s: tables have one look, kept in pkg/output", p.ImportPath, path)
			}
		}
	}
}

// What makes a binary grow by a third or more: kubectl's factory, its describers, and everything that executes text
// templates, after which the linker keeps every exported method.
func TestNothingImportsWhatMakesBinariesFat(t *testing.T) {
	fat := []string{
		"k8s.io/kubectl/pkg/cmd/util", "k8s.io/kubectl/pkg/cmd/get", "k8s.io/kubectl/pkg/util/completion",
		"k8s.io/kubectl/pkg/polymorphichelpers", "k8s.io/kubectl/pkg/describe", "sigs.k8s.io/controller-runtime",
	}
	for _, p := range packages(t) {
		if from, _ := layer(p.ImportPath); from == "test" || from == "docs" {
			continue
		}
		for _, path := range append(p.Imports, p.Deps...) {
			if slices.ContainsFunc(fat, func(f string) bool { return path == f || strings.HasPrefix(path, f+"/") }) {
				t.Errorf("%s depends on %s, which takes a binary over its budget", p.ImportPath, path)
			}
		}
		if slices.Contains(p.Imports, "text/template") {
			t.Errorf("%s executes text templates: +10 MB in every binary (https://github.com/spf13/cobra/issues/2015)", p.ImportPath)
		}
	}
}

// forbid reports uses of names of an imported package in a package's files.
func forbid(t *testing.T, p goPackage, imported string, names []string, why string) {
	t.Helper()
	for _, file := range p.GoFiles {
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, filepath.Join(p.Dir, file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		local := localName(parsed, imported)
		if local == "" {
			continue
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == local && slices.Contains(names, selector.Sel.Name) {
				t.Errorf("%s: %s.%s: %s", set.Position(n.Pos()), imported, selector.Sel.Name, why)
			}
			return true
		})
	}
}

func localName(file *ast.File, imported string) string {
	for _, spec := range file.Imports {
		if strings.Trim(spec.Path.Value, `"`) != imported {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return imported[strings.LastIndex(imported, "/")+1:]
	}
	return ""
}

// What reads reports in tests only must reach no binary.
func TestBinariesLinkNoTestOnlyModule(t *testing.T) {
	only := []string{"github.com/yuin/goldmark", "github.com/google/go-cmp", "github.com/santhosh-tekuri/jsonschema", module + "/pkg/testkit"}
	for _, p := range packages(t) {
		if from, _ := layer(p.ImportPath); from != "cmd" {
			continue
		}
		if !slices.Contains(p.Deps, "github.com/spf13/cobra") {
			t.Errorf("%s does not seem to link anything", p.ImportPath)
		}
		for _, path := range p.Deps {
			if slices.ContainsFunc(only, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") }) {
				t.Errorf("%s links %s, which is for tests", p.ImportPath, path)
			}
		}
		if p.ImportPath != "cmd/kubectl-dns" && p.ImportPath != "cmd/kubectl-runbooks" && slices.Contains(p.Deps, "github.com/prometheus/common/expfmt") {
			t.Errorf("%s links the parser of Prometheus: what is printed is written by pkg/publish", p.ImportPath)
		}
	}
}
