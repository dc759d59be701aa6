package report

// Swap is the swap of the node: its size by the Node, and what is used of it by the kubelet (--kubelet).
type Swap struct {
	Capacity  *int64 `json:"capacityBytes,omitempty"`
	Used      *int64 `json:"usedBytes,omitempty"`
	Available *int64 `json:"availableBytes,omitempty"`
	Behavior  string `json:"behavior,omitempty"` // of containers, by the kubelet's configuration: NoSwap, LimitedSwap
}

// PSI is how long tasks of the node waited for a resource, as its kubelet measures it (--kubelet). Supported is false where it reports
// nothing, or zeros alone, because the kernel does not measure it: no figures are given then.
type PSI struct {
	Supported bool    `json:"supported"`
	Items     []Stall `json:"items,omitempty"`
}

// Stall is how long tasks waited for a resource (cpu, memory, io): some of them, or all at once.
type Stall struct {
	Resource string `json:"resource"`
	Some     Share  `json:"some"`
	Full     Share  `json:"full"`
}

// Share is a share of the last 10, 60 and 300 seconds, in percent.
type Share struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
}
