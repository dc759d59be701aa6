package collect

import (
	"encoding/json"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// psi is what a kubelet reports of a resource for which tasks wait.
type psi struct {
	PSI *struct {
		Some evaluate.KubeletShare `json:"some"`
		Full evaluate.KubeletShare `json:"full"`
	} `json:"psi"`
}

// readStalls reads the swap of the node, and how long its tasks waited for a resource.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go
func readStalls(body []byte, k *evaluate.Kubelet) {
	var summary struct {
		Node *struct {
			CPU    psi                   `json:"cpu"`
			Memory psi                   `json:"memory"`
			IO     psi                   `json:"io"`
			Swap   *evaluate.KubeletSwap `json:"swap"`
		} `json:"node"`
	}
	if json.Unmarshal(body, &summary) != nil || summary.Node == nil {
		return
	}
	k.Measured, k.Swap = true, summary.Node.Swap
	for _, r := range []struct {
		name string
		psi
	}{{"cpu", summary.Node.CPU}, {"memory", summary.Node.Memory}, {"io", summary.Node.IO}} {
		if r.PSI != nil {
			k.Stalls = append(k.Stalls, evaluate.KubeletStall{Resource: r.name, Some: r.PSI.Some, Full: r.PSI.Full})
		}
	}
}

// readSwapBehavior reads whether containers may use swap.
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/#kubelet-config-k8s-io-v1beta1-MemorySwapConfiguration
func readSwapBehavior(body []byte, k *evaluate.Kubelet) {
	var config struct {
		Kubelet *struct {
			MemorySwap struct {
				Behavior string `json:"swapBehavior"`
			} `json:"memorySwap"`
		} `json:"kubeletconfig"`
	}
	if json.Unmarshal(body, &config) == nil && config.Kubelet != nil {
		k.SwapBehavior = &config.Kubelet.MemorySwap.Behavior
	}
}
