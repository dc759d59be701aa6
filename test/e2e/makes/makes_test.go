// Package makes holds end-to-end tests on a cluster with parts that not every cluster has: a network that enforces NetworkPolicies,
// volumes that are provisioned where their first pod is, or attached to one node at a time, and the controller of Argo Rollouts; on
// another one, whose nodes have a DNS cache; on one whose worker has the oldest kubelet that Kubernetes supports; on two that have
// IPv6, one of them IPv6 alone; on one whose pods reach each other through flannel's overlay; on one whose nodes have devices; and on
// one with Karpenter. `make test-all` runs them. Tests run in the order of their files' names: those of one cluster are beside each
// other, for two clusters are there at a time.
package makes

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

func cluster(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes", 2, "--with", "argo-rollouts,csi,local-path,network-policy")
}

// other is of yet another make: with what would stand in the way of the first one's tests.
func other(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes2", 2, "--with", "node-cache")
}

// oldKubelets is a cluster whose worker has an older kubelet than its control plane.
func oldKubelets(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes3", 1, "--kubelet-version", oldKubelet)
}

// otherDomain is a cluster domain that is not Kubernetes' own.
const otherDomain = "corp.example"

// dualStack is a cluster with both families of addresses and another domain.
func dualStack(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes-dual", 1, "--ip-family", "dual", "--cluster-domain", otherDomain)
}

// ipv6Only is a cluster without IPv4.
func ipv6Only(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes-ipv6", 1, "--ip-family", "ipv6")
}

// flannel is a cluster with a network plugin of the field.
func flannel(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "makes-flannel", 1, "--with", "flannel")
}
