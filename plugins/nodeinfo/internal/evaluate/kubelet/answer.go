// Package kubelet is what a kubelet answers when it is asked: its disks, memory and processes, how near it is to evicting pods, and
// its certificates.
package kubelet

import "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"

// Answer is what a kubelet answered through the API server's proxy. Where it did not, kube-proxy's health port on the
// same machine was asked, which needs neither kubelet nor API server.
type Answer struct {
	Healthy        bool              `json:"healthy"`
	Refused        bool              `json:"refused,omitempty"`        // the machine refused the connection: no kubelet listens
	MachineAnswers bool              `json:"machineAnswers,omitempty"` // kube-proxy answered
	Message        string            `json:"message,omitempty"`        // why not healthy
	Filesystems    []Filesystem      `json:"filesystems,omitempty"`
	Memory         *uint64           `json:"memoryAvailableBytes,omitempty"`
	MaxPIDs        *uint64           `json:"maxPIDs,omitempty"`
	PIDs           *uint64           `json:"pids,omitempty"`
	DiskUsers      []PodUse          `json:"diskUsers,omitempty"`    // the pods that use most of the disk, the largest first
	MemoryUsers    []PodUse          `json:"memoryUsers,omitempty"`  // and of the memory, by their working sets
	EvictionHard   map[string]string `json:"evictionHard,omitempty"` // its thresholds by signal, by its configuration
	EvictionSoft   map[string]string `json:"evictionSoft,omitempty"`

	Measured     bool    `json:"measured,omitempty"` // /stats/summary was read: what is not among its figures is not reported
	Stalls       []Stall `json:"psi,omitempty"`
	Swap         *Swap   `json:"swap,omitempty"`
	SwapBehavior *string `json:"swapBehavior,omitempty"` // by its configuration; empty: its default; nil: not read

	Served            *certificate.Served `json:"served,omitempty"`           // its serving certificate, by a handshake from here
	ServerTTL         *float64            `json:"serverTTLSeconds,omitempty"` // by its metrics; absent: it does not manage one
	ClientTTL         *float64            `json:"clientTTLSeconds,omitempty"`
	ServerRenewErrors int64               `json:"serverRenewErrors,omitempty"`
	ClientRenewErrors int64               `json:"clientRenewErrors,omitempty"`
}

// Filesystem is a filesystem of /stats/summary.
type Filesystem struct {
	Name       string  `json:"name"`
	Capacity   *uint64 `json:"capacityBytes,omitempty"`
	Used       *uint64 `json:"usedBytes,omitempty"`
	Available  *uint64 `json:"availableBytes,omitempty"`
	Inodes     *uint64 `json:"inodes,omitempty"`
	InodesFree *uint64 `json:"inodesFree,omitempty"`
}

// PodUse is a pod and the bytes that it uses: of the disk its writable layers, logs and emptyDirs.
type PodUse struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Used      uint64 `json:"usedBytes"`
}
