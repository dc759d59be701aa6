package nodeinfo

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// Each role is one that kubectl apply takes, and grants what its name says.
func TestARoleIsPrintedWithoutACluster(t *testing.T) {
	for name, c := range map[string]struct {
		object        string
		allows, lacks []string
	}{
		"minimal": {"kubectl-nodeinfo-minimal", []string{"nodes", "leases"}, []string{"pods", "nodes/proxy", "poddisruptionbudgets"}},
		"full":    {"kubectl-nodeinfo", []string{"nodes", "leases", "pods", "csinodes", "poddisruptionbudgets", "nodeclaims"}, []string{"nodes/proxy", "pods/proxy", "persistentvolumes"}},
		"kubelet": {"kubectl-nodeinfo-kubelet", []string{"nodes", "leases", "pods", "nodes/proxy"}, []string{"pods/proxy", "persistentvolumes"}},
	} {
		env := testkit.NewEnv("kubectl nodeinfo", now)
		if code := env.Run(t, New, "--rbac-manifest="+name); code != 0 {
			t.Fatalf("%s: exit %d: %s", name, code, env.Stderr.String())
		}
		var role rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict(env.Stdout.Bytes(), &role); err != nil || role.Kind != "ClusterRole" || role.Name != c.object {
			t.Errorf("%s: %v: %s", name, err, env.Stdout.String())
		}
		granted := map[string]bool{}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				granted[resource] = true
			}
			for _, verb := range rule.Verbs {
				if verb != "get" && verb != "list" {
					t.Errorf("%s: it may %s", name, verb)
				}
			}
		}
		for _, r := range c.allows {
			if !granted[r] {
				t.Errorf("%s: %s is not granted", name, r)
			}
		}
		for _, r := range c.lacks {
			if granted[r] {
				t.Errorf("%s: %s is granted", name, r)
			}
		}
	}
	if _, code, stderr := parse(t, "--rbac-manifest=all"); code != cli.ExitError || !strings.Contains(stderr, `--rbac-manifest "all": unknown role; use minimal, full, kubelet`) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
