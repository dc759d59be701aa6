package rolloutexplain

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// A next command is worth something only if it helps: each is run as it was printed, and the rollout must get complete.
func TestNextCommandsHelp(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	db := app{kind: "StatefulSet", name: "db", replicas: 2}
	for _, tt := range []struct {
		name, target, root string
		steps              []step
		run                []string // words of the commands to run, in their order
	}{
		{"undo", "deployment/api", "InvalidImageName", []step{app{replicas: 2}.up(), app{replicas: 2, image: "'Foo:::'"}.apply()}, []string{"rollout undo"}},
		{"resume", "deployment/api", "DeploymentPaused", []step{app{replicas: 1}.up(), run("rollout", "pause", "deployment/api"), run("set", "env", "deployment/api", "V=2")}, []string{"rollout resume"}},
		{"quota", "deployment/api", "QuotaExceeded", []step{app{replicas: 2}.up(), apply(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: two}, spec: {hard: {pods: "2"}}}`), run("set", "env", "deployment/api", "V=2")}, []string{`"maxSurge":0`, "annotate replicaset"}},
		{"trap", "statefulset/db", "StatefulSetPodNotReplaced", []step{db.up(), db.withCommand(`["/nope"]`).apply(), brokenAtDB1, db.apply()}, []string{"delete pod db-1"}},
		{"partition", "statefulset/db", "PartitionedRollout", []step{app{kind: "StatefulSet", name: "db", replicas: 2, spec: "\n  updateStrategy: {rollingUpdate: {partition: 1}}"}.up(), run("set", "env", "statefulset/db", "V=2")}, []string{`"partition":0`}},
		{"anti-affinity", "deployment/api", "PodAffinityUnsatisfied", []step{app{replicas: 1, pod: antiAffinity}.up(), run("set", "env", "deployment/api", "V=2")}, []string{`"maxSurge":0`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			harness.Room(t)
			ns := c.Namespace(t)
			all(tt.steps...)(t, c, ns)
			var got report
			harness.Eventually(t, 90*time.Second, func() (string, bool) {
				got = explain(t, c, ns, tt.target)
				return got.Summary, got.root() == tt.root
			})
			for _, words := range tt.run {
				line := ""
				for _, n := range got.Findings[0].Next {
					if line == "" && strings.Contains(n.Command, words) {
						line = n.Command
					}
				}
				if line == "" {
					t.Fatalf("no next command holds %q:\n%s", words, commands(got))
				}
				if r := c.Sh(t, line); r.Code != 0 {
					t.Fatalf("%s: exit %d: %s", line, r.Code, r.Stderr)
				}
				time.Sleep(3 * time.Second)
			}
			if r := c.Run(t, 2*time.Minute, nil, "kubectl", "rollout-explain", "-n", ns, tt.target, "--wait", "--timeout=100s", "--stable-for=1s"); r.Code != 0 {
				t.Errorf("after it: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
}
