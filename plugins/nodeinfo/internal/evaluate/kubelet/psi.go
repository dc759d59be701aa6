package kubelet

import "slices"

// Stall is how long tasks waited for a resource (PSI): some of them, or all at once; averages in percent of the time.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go (PSIStats)
type Stall struct {
	Resource string `json:"resource"` // cpu, memory, io
	Some     Share  `json:"some"`
	Full     Share  `json:"full"`
}

// Share is how long tasks waited: altogether, in nanoseconds, and of the last 10, 60 and 300 seconds, in percent.
type Share struct {
	Total  uint64  `json:"total"`
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
}

// Swap is what a kubelet says of the swap of its node.
type Swap struct {
	Used      *uint64 `json:"swapUsageBytes,omitempty"`
	Available *uint64 `json:"swapAvailableBytes,omitempty"`
}

// PSI gives the stalls that a kubelet measured, by resource; supported: it measures them. Where the kernel does not (cgroup v1), a
// kubelet of 1.36 reports zeros all the same: then no task has ever waited for anything, which no machine that runs has.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/stats/helper.go (cadvisorPSIToStatsPSI)
func (k *Answer) PSI() (list []Stall, supported bool) {
	waited := func(s Stall) bool { return s.Some.Total > 0 || s.Full.Total > 0 }
	if !slices.ContainsFunc(k.Stalls, waited) {
		return nil, false
	}
	return k.Stalls, true
}

// StallOf is the stall of a resource; nil: not measured.
func (k *Answer) StallOf(resource string) *Stall {
	list, _ := k.PSI()
	if i := slices.IndexFunc(list, func(s Stall) bool { return s.Resource == resource }); i >= 0 {
		return &list[i]
	}
	return nil
}
