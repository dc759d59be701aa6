package joining

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// Taints with which a node joins, and who removes them.
const (
	taintCilium     = "node.cilium.io/agent-not-ready"
	taintKarpenter  = "karpenter.sh/unregistered"
	taintClusterAPI = "node.cluster.x-k8s.io/uninitialized"
	agentNotReady   = "/agent-not-ready"
)

// removers are those who remove the taints with which nodes join.
//
// https://kubernetes.io/docs/reference/labels-annotations-taints/
// https://docs.cilium.io/en/stable/installation/taints/
// https://karpenter.sh/docs/concepts/nodepools/#cilium-startup-taint (karpenter.sh/unregistered is removed at registration)
// https://cluster-api.sigs.k8s.io/developer/providers/contracts/bootstrap-config#taint-nodes-at-creation
var removers = map[string]string{
	corev1.TaintNodeNotReady:           "kube-controller-manager",
	corev1.TaintNodeNetworkUnavailable: "kube-controller-manager",
	facts.TaintUninitialized:           "the cloud-controller-manager",
	taintCilium:                        "Cilium",
	taintKarpenter:                     "Karpenter",
	taintClusterAPI:                    "Cluster API",
}

// conditions are when kube-controller-manager removes its taints.
var conditions = map[string]string{
	corev1.TaintNodeNotReady: "when the node is Ready", corev1.TaintNodeNetworkUnavailable: "when the network is configured",
}

// prefixes begin the taints that others mark as those of a start.
// https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md (startup-taint)
// https://github.com/kubernetes-sigs/node-readiness-controller
var prefixes = map[string]string{
	"startup-taint.cluster-autoscaler.kubernetes.io/": "the program that initializes the node",
	"readiness.k8s.io/": "the node readiness controller",
}

func startupTaint(key string) bool {
	who, _ := remover(key)
	return who != ""
}

// remover is who removes a taint with which nodes join, and when, if more than that program decides it; empty: it is no such taint.
func remover(key string) (who, when string) {
	if who := removers[key]; who != "" {
		return who, conditions[key]
	}
	for prefix, who := range prefixes {
		if strings.HasPrefix(key, prefix) {
			return who, ""
		}
	}
	// CSI drivers of Amazon: https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/install.md#configure-node-startup-taint
	if domain, ok := strings.CutSuffix(key, agentNotReady); ok {
		return domain, ""
	}
	return "", ""
}
