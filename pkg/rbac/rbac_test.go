package rbac

import (
	"slices"
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

// Runbooks answers for a named node, a named rollout and DNS, so that it has to read what those plugins read; it watches nothing.
func TestRunbooksMayReadWhatItsWorkflowsRead(t *testing.T) {
	has := rights(t, "runbooks", func(Permission) bool { return true })
	for _, plugin := range []string{"nodeinfo", "dns", "rollout-explain"} {
		for _, right := range rights(t, plugin, Everyday) {
			if !strings.HasPrefix(right, "watch ") && !slices.Contains(has, right) {
				t.Errorf("%s: %s, which runbooks may not", plugin, right)
			}
		}
	}
}

func rights(t *testing.T, plugin string, taken func(Permission) bool) []string {
	t.Helper()
	role, err := Of(plugin)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, p := range role.Permissions {
		if !taken(p) {
			continue
		}
		for _, verb := range strings.Split(p.Verbs, ",") {
			for _, resource := range strings.Split(p.Resources, ",") {
				list = append(list, verb+" "+strings.TrimSpace(p.Group+" "+resource))
			}
		}
	}
	return list
}
