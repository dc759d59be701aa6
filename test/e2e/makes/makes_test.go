// Package makes holds end-to-end tests on a cluster with parts that not every cluster has: a network that enforces NetworkPolicies,
// volumes that are provisioned where their first pod is, and the controller of Argo Rollouts. `make test-all` runs them.
package makes

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

func cluster(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes", 2, "--with", "argo-rollouts,local-path,network-policy")
}
