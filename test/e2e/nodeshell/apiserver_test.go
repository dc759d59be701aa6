package nodeshell

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/faults/broken"
)

// few are the faults of which each stands for others; with E2E_ALL=1 all come.
var few = []string{"hangs", "drops the connection", "cut in the middle", "403"}

// Whatever an API server does to one kind of request of a session: the output is exact or the exit code says that it is not, the
// session ends, and no helper is left on the node.
func TestUnderEachFaultOfTheAPIServerASessionEndsAndLeavesNothing(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	server := behind(t, c)
	clean := broken.NewFront(t, server, broken.Fault{}, "", time.Time{})
	ns := c.Namespace(t)
	if r := session(t, c, clean, ns, "--start-timeout=2m"); r.Code != 0 || r.Stdout != "up\n" || r.Stderr != "" {
		t.Fatalf("without a fault: exit %d, %q, %s", r.Code, r.Stdout, r.Stderr)
	}
	nothingLeft(t, c, ns)
	sources := map[string]bool{}
	for _, source := range clean.Sources() {
		sources[strings.ReplaceAll(source, ns, "NAMESPACE")] = true
	}
	delete(sources, events) // asked only of a pod that is slow: the test below
	if len(sources) < 6 {
		t.Fatalf("asked only %v", clean.Sources())
	}
	for source := range sources {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			ns := c.Namespace(t)
			for _, f := range broken.Faults() {
				if os.Getenv("E2E_ALL") != "1" && !slices.Contains(few, f.Name) {
					continue
				}
				began := time.Now()
				front := broken.NewFront(t, server, f, strings.ReplaceAll(source, "NAMESPACE", ns), time.Time{})
				r := session(t, c, front, ns, "--request-timeout=3s", "--start-timeout=20s", "--timeout=20s")
				front.End()
				if !front.Hit() { // there is nothing to break, such as a body
					if front.Asked(front.Source) == 0 {
						t.Errorf("%s: was not asked", f.Name)
					}
					continue
				}
				if why := wrong(f, r); why != "" {
					t.Errorf("%s: %s: exit %d\nstdout: %q\nstderr: %s", f.Name, why, r.Code, r.Stdout, r.Stderr)
				}
				took := time.Since(began)
				nothingLeft(t, c, ns)
				t.Logf("%s: exit %d after %s, nothing is left after %s: %s", f.Name, r.Code, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), r.Stderr)
			}
		})
	}
}

// events is what a session asks of a pod that does not start.
const events = "list events in NAMESPACE"

// Whatever an API server does to the events of a pod that cannot start: the status tells why, and the session ends with it.
func TestUnderEachFaultOfEventsAPodThatCannotStartIsExplained(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	server := behind(t, c)
	ns := c.Namespace(t)
	for _, f := range broken.Faults() {
		if os.Getenv("E2E_ALL") != "1" && !slices.Contains(few, f.Name) {
			continue
		}
		front := broken.NewFront(t, server, f, strings.ReplaceAll(events, "NAMESPACE", ns), time.Time{})
		r := session(t, c, front, ns, "--request-timeout=3s", "--start-timeout=2m", "--timeout=2m", "--image", "127.0.0.1:9/none:1")
		front.End()
		if front.Asked(front.Source) == 0 {
			t.Errorf("%s: was not asked", f.Name)
		}
		if r.Code != 125 || r.Stdout != "" || !strings.Contains(r.Stderr, "ErrImagePull") || strings.Contains(r.Stderr, "goroutine ") {
			t.Errorf("%s: exit %d, %q: %s", f.Name, r.Code, r.Stdout, r.Stderr)
		}
		nothingLeft(t, c, ns)
	}
}

func session(t *testing.T, c *harness.Cluster, front *broken.Front, ns string, flags ...string) harness.Result {
	t.Helper()
	args := append([]string{"w1", "-n", ns, "--kubeconfig", testkit.Kubeconfig(t, front.URL, "none")}, flags...)
	return run(t, c, append(args, "--", "echo", "up")...)
}

// said is how a cause is told: an error, what was not removed, or the verdict on a pod that is not admitted.
var said = regexp.MustCompile(`^(error|warning|Refused): `)

// wrong says what is wrong with how a session ended.
func wrong(f broken.Fault, r harness.Result) string {
	switch {
	case strings.Contains(r.Stderr, "goroutine "):
		return "crashed"
	case strings.Contains(r.Stderr, "not allowed: not allowed"), strings.Contains(r.Stderr, "refused: not allowed"):
		return "says it twice"
	case f.Harmless && (r.Code != 0 || r.Stdout != "up\n" || r.Stderr != ""):
		return "does no harm"
	case r.Code == 0 && r.Stdout != "up\n":
		return "success without the output"
	case r.Code != 0 && r.Code != 124 && r.Code != 125:
		return "an exit code that the command has not"
	case r.Code != 0 && (!said.MatchString(r.Stderr) || strings.Contains(r.Stderr, "PodStatusNotReported")):
		return "the cause is not said, or is said to be the node" // which is well
	}
	return ""
}

// behind is the cluster's API server, asked as its administrator.
func behind(t *testing.T, c *harness.Cluster) broken.Plain {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"http/1.1"} // an upgrade needs it
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(fmt.Errorf("the kubeconfig: %w", err))
	}
	return broken.Plain{Target: target, Transport: transport}
}
