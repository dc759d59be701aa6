package rolloutexplain

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

type allOf []step

func (a allOf) run(t *testing.T, c *harness.Cluster, ns string) {
	t.Helper()
	for _, s := range a {
		s(t, c, ns)
	}
}

// finalizer puts a finalizer on every pod of a selector, and takes it off again when the test ends.
func finalizer(selector string) step { return finalize(selector, false) }

// finalizerOn puts it on one pod alone.
func finalizerOn(selector string) step { return finalize(selector, true) }

func finalize(selector string, one bool) step {
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		pods := strings.Fields(c.MustKubectl(t, "get", "pods", "-n", ns, "-l", selector, "-o", "jsonpath={.items[*].metadata.name}"))
		if one {
			pods = pods[:1]
		}
		for _, p := range pods {
			c.MustKubectl(t, "patch", "pod", p, "-n", ns, "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/hold"]}}`)
			t.Cleanup(func() {
				c.Kubectl(t, "patch", "pod", p, "-n", ns, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
			})
		}
	}
}
