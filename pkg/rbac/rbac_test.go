package rbac

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRolesAreReadFromTheTable(t *testing.T) {
	got, err := read("How to read this: a | b\n\n# demo: Reads: all.\nget,list | apps deployments,daemonsets | replicas\nget | /version | skew; more | `--skew`\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Role{{Plugin: "demo", About: "Reads: all.", Permissions: []Permission{
		{Group: "apps", Resources: "deployments,daemonsets", Verbs: "get,list", Use: "replicas"},
		{Resources: "/version", Verbs: "get", Use: "skew; more", Option: "`--skew`"},
	}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"get | nodes", "get | nodes | a | b | c", "get nodes"} {
		if _, err := read("# demo: x\n" + bad); err == nil {
			t.Errorf("%q is let through", bad)
		}
	}
	if want := "  name: kubectl-demo\nrules:\n  - apiGroups: [\"apps\"]\n    resources: [deployments, daemonsets]\n    verbs: [get, list]\n"; !strings.HasSuffix(got[0].Manifest("kubectl-demo", Everyday), want) {
		t.Errorf("%s", got[0].Manifest("kubectl-demo", Everyday))
	}
	if all := got[0].Manifest("x", func(Permission) bool { return true }); !strings.Contains(all, "nonResourceURLs: [/version]") {
		t.Error(all)
	}
	if _, err := Of("nobody"); err == nil {
		t.Error("nobody has a role")
	}
}
