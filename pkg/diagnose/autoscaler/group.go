package autoscaler

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// poolLabels hold the name of the node group itself. Of other clouds a label has the name that its user gave, and the group one that
// was made of it.
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/cloudprovider/digitalocean/digitalocean_node_group.go
var poolLabels = []string{"doks.digitalocean.com/node-pool-id"}

// eksGroup is how Amazon EKS names the Auto Scaling group of a managed node group: eks-NAME-UUID.
// https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html
var eksGroup = regexp.MustCompile(`^eks-(.+)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

const eksLabel = "eks.amazonaws.com/nodegroup"

// GroupOf is the node group that a node is of, where exactly one can be told by what clouds document; nil: it is not known, which is
// not to say that the node has none.
func (s *Status) GroupOf(n *corev1.Node) *Group {
	var found *Group
	for i := range s.Groups {
		if g := &s.Groups[i]; groupHas(g.Name, n) {
			if found != nil {
				return nil
			}
			found = g
		}
	}
	return found
}

func groupHas(group string, n *corev1.Node) bool {
	if group == "" {
		return false
	}
	for _, key := range poolLabels {
		if n.Labels[key] == group {
			return true
		}
	}
	if match := eksGroup.FindStringSubmatch(group); match != nil {
		return n.Labels[eksLabel] == match[1]
	}
	// Azure: azure:///subscriptions/…/virtualMachineScaleSets/GROUP/virtualMachines/0, in whatever case
	_, set, ok := strings.Cut(strings.ToLower(n.Spec.ProviderID), "/virtualmachinescalesets/")
	set, _, _ = strings.Cut(set, "/")
	return ok && set == strings.ToLower(group)
}
