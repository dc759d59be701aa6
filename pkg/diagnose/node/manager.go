package node

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Manager is who makes machines and takes them away: a node that it manages comes back, or another one in its place, if only
// the Node object is deleted.
type Manager struct {
	Name     string // "Karpenter"
	Kind     string // of the group: "NodePool"
	Group    string // its name; empty: unknown
	Evidence string // the field that tells it
	Value    string // and its value

	// Ends says that the manager ends the machine when the Node is deleted.
	Ends bool
}

// terminates is Karpenter's finalizer on a Node: whoever deletes the Node has the machine drained and ended.
// https://karpenter.sh/docs/concepts/disruption/#manual-methods
const terminates = "karpenter.sh/termination"

// managers are the labels and annotations by which nodes of a group are known, in the documents of those who set them:
// https://karpenter.sh/docs/concepts/scheduling/, https://cluster-api.sigs.k8s.io/reference/api/labels-and-annotations,
// https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html,
// https://cloud.google.com/kubernetes-engine/docs/concepts/node-pools, https://learn.microsoft.com/azure/aks/use-labels,
// https://kops.sigs.k8s.io/labels/, https://gardener.cloud/docs/, https://docs.digitalocean.com/products/kubernetes/
var managers = []struct {
	key, name, kind string
	annotation      bool
}{
	{key: "karpenter.sh/nodepool", name: "Karpenter", kind: "NodePool"},
	{key: "cluster.x-k8s.io/machine", name: "Cluster API", kind: "Machine", annotation: true},
	{key: "machine.openshift.io/machine", name: "the OpenShift Machine API", kind: "Machine", annotation: true}, // NAMESPACE/NAME
	{key: "eks.amazonaws.com/nodegroup", name: "Amazon EKS", kind: "node group"},
	{key: "cloud.google.com/gke-nodepool", name: "Google Kubernetes Engine", kind: "node pool"},
	{key: "kubernetes.azure.com/agentpool", name: "Azure Kubernetes Service", kind: "node pool"},
	{key: "kops.k8s.io/instancegroup", name: "kOps", kind: "InstanceGroup"},
	{key: "worker.gardener.cloud/pool", name: "Gardener", kind: "worker pool"},
	{key: "doks.digitalocean.com/node-pool", name: "DigitalOcean Kubernetes", kind: "node pool"},
}

// ManagerOf is who manages the machine of a node, as far as the Node tells; nil: nobody that is known.
func ManagerOf(n *corev1.Node) *Manager {
	for _, m := range managers {
		field, all := "metadata.labels", n.Labels
		if m.annotation {
			field, all = "metadata.annotations", n.Annotations
		}
		if value := all[m.key]; value != "" {
			return &Manager{
				Name: m.name, Kind: m.kind, Group: value[strings.LastIndex(value, "/")+1:], Evidence: field, Value: m.key + "=" + value,
				Ends: slices.Contains(n.Finalizers, terminates),
			}
		}
	}
	return nil
}
