package kubelet

import (
	"cmp"
	"encoding/json"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// psi is what a kubelet reports of a resource for which tasks wait.
type psi struct {
	PSI *struct {
		Some Share `json:"some"`
		Full Share `json:"full"`
	} `json:"psi"`
}

// ReadStalls reads the swap of the node, and how long its tasks waited for a resource.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go
func (k *Answer) ReadStalls(body []byte) {
	var summary struct {
		Node *struct {
			CPU    psi   `json:"cpu"`
			Memory psi   `json:"memory"`
			IO     psi   `json:"io"`
			Swap   *Swap `json:"swap"`
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
			k.Stalls = append(k.Stalls, Stall{Resource: r.name, Some: r.PSI.Some, Full: r.PSI.Full})
		}
	}
}

// ReadSwapBehavior reads whether containers may use swap.
// https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/#kubelet-config-k8s-io-v1beta1-MemorySwapConfiguration
func (k *Answer) ReadSwapBehavior(body []byte) {
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

// mostUsers is how many pods are told by their use of the disk or the memory.
const mostUsers = 5

// ReadSummary reads what the kubelet measures of its node.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go
func (k *Answer) ReadSummary(body []byte) {
	type fs = Filesystem
	var summary struct {
		Node struct {
			Root    *fs `json:"fs"`
			Runtime struct {
				Image     *fs `json:"imageFs"`
				Container *fs `json:"containerFs"`
			} `json:"runtime"`
			Memory struct {
				Available *uint64 `json:"availableBytes"`
			} `json:"memory"`
			Processes struct {
				Max     *uint64 `json:"maxpid"`
				Running *uint64 `json:"curproc"`
			} `json:"rlimit"`
		} `json:"node"`
		Pods []struct {
			Pod struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"podRef"`
			Disk   *fs `json:"ephemeral-storage"`
			Memory struct {
				WorkingSet *uint64 `json:"workingSetBytes"`
			} `json:"memory"`
		} `json:"pods"`
	}
	if err := json.Unmarshal(body, &summary); err != nil {
		return
	}
	for _, f := range []struct {
		name string
		fs   *fs
	}{{"root", summary.Node.Root}, {"image", summary.Node.Runtime.Image}, {"container", summary.Node.Runtime.Container}} {
		if f.fs != nil {
			f.fs.Name = f.name
			k.Filesystems = append(k.Filesystems, *f.fs)
		}
	}
	k.Memory, k.MaxPIDs, k.PIDs = summary.Node.Memory.Available, summary.Node.Processes.Max, summary.Node.Processes.Running
	for _, p := range summary.Pods {
		use := PodUse{Namespace: p.Pod.Namespace, Name: p.Pod.Name}
		if p.Disk != nil && p.Disk.Used != nil && *p.Disk.Used > 0 {
			use.Used = *p.Disk.Used
			k.DiskUsers = append(k.DiskUsers, use)
		}
		if used := p.Memory.WorkingSet; used != nil && *used > 0 {
			use.Used = *used
			k.MemoryUsers = append(k.MemoryUsers, use)
		}
	}
	k.DiskUsers, k.MemoryUsers = greatest(k.DiskUsers), greatest(k.MemoryUsers)
}

// greatest are those that use most, the largest first.
func greatest(users []PodUse) []PodUse {
	sorting.Func(users, func(a, b PodUse) int {
		return cmp.Or(cmp.Compare(b.Used, a.Used), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return users[:min(len(users), mostUsers)]
}

// ReadThresholds reads from which shortage on the kubelet evicts.
func (k *Answer) ReadThresholds(body []byte) {
	var config struct {
		Kubelet struct {
			Hard map[string]string `json:"evictionHard"`
			Soft map[string]string `json:"evictionSoft"`
		} `json:"kubeletconfig"`
	}
	if json.Unmarshal(body, &config) == nil {
		k.EvictionHard, k.EvictionSoft = config.Kubelet.Hard, config.Kubelet.Soft
	}
}
