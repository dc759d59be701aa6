package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/rbac"
)

// The generator reads the sources of this module, so its tests run where it runs.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func demo() plugin {
	return plugin{
		name: "demo",
		command: func(env *cli.Env) *cobra.Command {
			root := &cobra.Command{Use: "demo", Long: "Demonstrate.", RunE: func(*cobra.Command, []string) error { return nil }}
			home, _ := os.UserHomeDir()
			root.Flags().String("cache", home+"/cache", "Where.")
			root.AddCommand(&cobra.Command{Use: "sub NAME", Short: "Go below", RunE: root.RunE})
			return root
		},
		catalog: func() []finding.Entry {
			return []finding.Entry{{Code: "DiskFull", Severity: finding.Critical, Title: "The disk | is full", Meaning: "No byte fits.", Evidence: "Used.", Next: "Delete.", Source: "https://example.com"}}
		},
		chinese: func() []finding.Entry {
			return []finding.Entry{{Code: "DiskFull", Title: "磁盘已满", Meaning: "没有空间。", Evidence: "已用", Next: "删除"}}
		},
		reports: []any{finding.Finding{}},
	}
}

func TestEveryPageIsTheSameOnEveryMachine(t *testing.T) {
	pages, err := render([]plugin{demo()})
	if err != nil {
		t.Fatal(err)
	}
	home, _ := os.UserHomeDir()
	for path, page := range pages {
		if strings.Contains(string(page), home+"/cache") {
			t.Errorf("%s names this machine's home", path)
		}
		if strings.Contains(string(page), "Auto generated") || strings.Contains(string(page), time.Now().Format("Jan 2006")) {
			t.Errorf("%s bears a date", path)
		}
	}
	for _, path := range []string{"docs/reference/demo.md", "docs/man/kubectl-demo.1", "docs/man/kubectl-demo-sub.1", "docs/man/kubectl-demo-version.1", "docs/findings/demo.md", "docs/zh-CN/findings/demo.md", "docs/schema/demo.json"} {
		if pages[path] == nil {
			t.Errorf("no %s", path)
		}
	}
}

func TestBothLanguagesHoldTheSameCodes(t *testing.T) {
	p := demo()
	english := p.catalog()
	tests := map[string][]finding.Entry{
		"DiskFull is not translated":                nil,
		"the translation of DiskFull is empty":      {{Code: "DiskFull", Title: "磁盘已满"}},
		"Gone is translated and not in the catalog": append(p.chinese(), finding.Entry{Code: "Gone", Title: "x", Meaning: "y"}),
		"": p.chinese(),
	}
	for want, chinese := range tests {
		got, err := translate(english, chinese)
		switch {
		case want == "" && (err != nil || got[0].Severity != finding.Critical || got[0].Source == "" || got[0].Title != "磁盘已满"):
			t.Errorf("got %+v, %v", got, err)
		case want != "" && (err == nil || err.Error() != want):
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestSchemaKnowsNullWordsAndComments(t *testing.T) {
	data, err := schema(demo())
	if err != nil {
		t.Fatal(err)
	}
	var whole node
	if err := json.Unmarshal(data, &whole); err != nil {
		t.Fatal(err)
	}
	f := whole.Defs["finding.Finding"]
	if f == nil || f.Properties["object"].Ref != "#/$defs/finding.ObjectRef" || f.Properties["evidence"].Items.Ref != "#/$defs/finding.Evidence" {
		t.Fatalf("got %s", data)
	}
	if d := cmp.Diff([]string{"code", "message", "severity", "title"}, f.Required); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"critical", "warning", "info"}, whole.Defs["finding.Severity"].Enum); d != "" {
		t.Error(d)
	}
	if code := f.Properties["code"]; code.Type != "string" || code.Enum != nil {
		t.Errorf("got %+v", code)
	}
	if time := whole.Defs["finding.Evidence"].Properties["time"]; time.Format != "date-time" {
		t.Errorf("got %+v", time)
	}
	if !strings.HasPrefix(f.Description, "Finding is one conclusion.") || whole.Defs["finding.ObjectRef"] == nil {
		t.Errorf("got %q", f.Description)
	}
	type nullable struct {
		Known *int  `json:"known"`
		Maybe *int  `json:"maybe,omitempty"`
		List  []int `json:"list"`
	}
	r := reflector{defs: map[string]*node{}, sources: map[string]*source{}}
	into := &node{Properties: map[string]*node{}}
	if err := r.fields(into, reflect.TypeOf(nullable{})); err != nil {
		t.Fatal(err)
	}
	if into.Properties["known"].AnyOf == nil || into.Properties["maybe"].Type != "integer" || into.Properties["list"].Type != "array" {
		t.Errorf("got %+v", into.Properties)
	}
}

func TestEachPluginHasARole(t *testing.T) {
	if roles, err := rbac.Roles(); err != nil || len(roles) != len(plugins()) {
		t.Errorf("%d roles for %d plugins: %v", len(roles), len(plugins()), err)
	}
}
