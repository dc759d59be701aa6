package nodeinfo

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// waitOn runs a wait that looks every few milliseconds; then changes the cluster after its first word.
func waitOn(t *testing.T, s *testkit.Server, then func(*testkit.Server), args ...string) (stdout, stderr string, code int) {
	t.Helper()
	env := testkit.NewEnv("kubectl nodeinfo", time.Now())
	env.Now = time.Now
	quick := func(e *cli.Env) *cobra.Command {
		return newCommand(e, func(ctx context.Context, e *cli.Env, o Options) error {
			o.Interval = 5 * time.Millisecond
			changed := make(chan struct{})
			go func() {
				defer close(changed)
				for before := len(s.Requests()); then != nil && len(s.Requests()) < before+40 && ctx.Err() == nil; {
					time.Sleep(time.Millisecond)
				}
				if then != nil {
					then(s)
				}
			}()
			err := run(ctx, e, o)
			<-changed
			return err
		})
	}
	code = env.Run(t, quick, append([]string{"--kubeconfig", s.Kubeconfig(t)}, args...)...)
	return env.Stdout.String(), env.Stderr.String(), code
}

func TestAWaitEndsWhenTheNodesAreHealthy(t *testing.T) {
	born := metav1.Time{Time: time.Now().Add(-time.Hour)}
	well := func(name string) corev1.Node {
		n := corev1.Node{TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: born}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		return n
	}
	list := func(nodes ...corev1.Node) corev1.NodeList {
		return corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}, Items: nodes}
	}
	for name, c := range map[string]struct {
		before, then func(*testkit.Server)
		args         string
		says, prints string
		code         int
	}{
		"all are":       {nil, nil, "good --wait-for=healthy", "", "Healthy: node/good", 0},
		"one gets well": {nil, func(s *testkit.Server) { s.Answer("/api/v1/nodes/bad", well("bad")) }, "bad --wait-for=healthy", "waiting: node bad is Unhealthy (ContainerRuntimeDown)", "Healthy: node/bad", 0},
		"one joins":     {nil, func(s *testkit.Server) { s.Answer("/api/v1/nodes/new", well("new")) }, "new --wait-for=healthy", `waiting: node "new" does not exist`, "Healthy: node/new", 0},
		"the cluster comes back": {
			func(s *testkit.Server) { s.Refuse("/api/v1/nodes", http.StatusServiceUnavailable) }, func(s *testkit.Server) { s.Answer("/api/v1/nodes", list(well("a"), well("b"))) },
			"--wait-for=healthy", "waiting: the cluster cannot be read", "2 nodes: 2 Healthy", 0,
		},
		"none is selected, then one": {
			func(s *testkit.Server) { s.Answer("/api/v1/nodes", list()) }, func(s *testkit.Server) { s.Answer("/api/v1/nodes", list(well("a"))) },
			"-l pool=new --wait-for=healthy", "waiting: no node is selected", "1 node: 1 Healthy", 0,
		},
		"in vain":                   {nil, nil, "bad --wait-for=healthy --timeout=100ms", "error: timed out after 100ms: node bad is Unhealthy (ContainerRuntimeDown)", "Unhealthy: node/bad", cli.ExitTimeout},
		"one that never comes":      {nil, nil, "nope --wait-for=healthy --timeout=100ms", `error: timed out after 100ms: node "nope" does not exist`, "", cli.ExitTimeout},
		"not allowed to read nodes": {func(s *testkit.Server) { s.Refuse("/api/v1/nodes", http.StatusForbidden) }, nil, "--wait-for=healthy", "error: not allowed", "", cli.ExitError},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t)
			s.Answer("/api/v1/nodes", list(well("good")))
			if c.before != nil {
				c.before(s)
			}
			stdout, stderr, code := waitOn(t, s, c.then, strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(stderr, c.says) || !strings.Contains(stdout, c.prints) || c.prints == "" && stdout != "" {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, c.code, stdout, stderr)
			}
			if said := strings.Count(stderr, "waiting: "); said > 2 {
				t.Errorf("it says %d times what it waits for:\n%s", said, stderr)
			}
		})
	}
}

func TestAWaitForWhatIsNoState(t *testing.T) {
	for args, want := range map[string]string{
		"--wait-for=ready": `--wait-for "ready": unknown state; use healthy`, "--wait-for=healthy -w": "--wait-for cannot be combined with -w",
		"w1 --drain --wait-for=healthy": "--wait-for cannot be combined with", "--wait-for=healthy --timeout=-1s": "must be positive",
	} {
		if _, code, stderr := parse(t, strings.Fields(args)...); code != cli.ExitError || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
	if o, _, _ := parse(t, "--wait-for=healthy"); o.WaitLimit != waitLimit || o.Timeout != waitReadLimit {
		t.Errorf("it waits for %s, %s each", o.WaitLimit, o.Timeout)
	}
	if o, _, _ := parse(t, "--wait-for=healthy", "--timeout=3s"); o.WaitLimit != 3*time.Second || o.Timeout != 3*time.Second {
		t.Errorf("it waits for %s, %s each", o.WaitLimit, o.Timeout)
	}
}
