package kubelet

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// What a disk has too little of.
const (
	Inodes = "inodes"
	Space  = "ephemeral-storage"
)

// The kubelet's default thresholds for hard eviction: the share that must be free. Of a filesystem's own thresholds nothing
// is known here.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#hard-eviction-thresholds
const (
	freeInodes = 0.05
	freeSpace  = 0.10
)

// Shortage is what a filesystem has too little of, and where the kubelet says so.
type Shortage struct{ Resource, Path, Text string }

// Short is what a filesystem has less of than the kubelet's defaults require.
func (f *Filesystem) Short() []Shortage {
	var out []Shortage
	look := func(resource, path string, free, all *uint64, threshold float64) {
		if free != nil && all != nil && *all > 0 && float64(*free) < threshold*float64(*all) {
			text := fmt.Sprintf("%d of %d %s free on the %s filesystem", *free, *all,
				map[string]string{Inodes: "inodes", Space: "bytes"}[resource], f.Name)
			out = append(out, Shortage{Resource: resource, Path: path, Text: text})
		}
	}
	look(Inodes, "/stats/summary "+f.Name+" inodesFree", f.InodesFree, f.Inodes, freeInodes)
	look(Space, "/stats/summary "+f.Name+" availableBytes", f.Available, f.Capacity, freeSpace)
	return out
}

// Margin is how far a node is from an eviction: what is left of a signal, and the least that the kubelet requires of it.
type Margin struct {
	Signal, Threshold       string // as the kubelet's configuration has them
	Soft                    bool
	Available, Least, Whole uint64
}

// Near says that little more has to be used until the kubelet acts: a tenth of its threshold, or that percentage of the whole. What is
// below the threshold is the kubelet's to tell, by a condition.
func (m *Margin) Near(percent int) bool {
	return m.Available >= m.Least && m.Available-m.Least <= max(m.Least/10, m.Whole/100*uint64(max(0, percent))) //nolint:gosec // not below 0
}

// Margins are those of which the kubelet told both sides, the hard ones first.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#eviction-signals
func (k *Answer) Margins(memory uint64) []Margin {
	var out []Margin
	for _, soft := range []bool{false, true} {
		list := k.EvictionHard
		if soft {
			list = k.EvictionSoft
		}
		for _, signal := range signals {
			left, whole := k.signal(signal, memory)
			if left == nil || whole == nil || *whole == 0 { // a filesystem without a number of inodes has none to count
				continue
			}
			if least, ok := threshold(list[signal], *whole); ok {
				out = append(out, Margin{signal, list[signal], soft, *left, least, *whole})
			}
		}
	}
	return out
}

var signals = []string{
	"memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree", "containerfs.available",
	"containerfs.inodesFree", "pid.available",
}

// signal is what is left of a signal, and the whole of it; nil: not told.
func (k *Answer) signal(name string, memory uint64) (left, whole *uint64) {
	switch name {
	case "memory.available":
		return k.Memory, &memory
	case "pid.available":
		if k.MaxPIDs == nil || k.PIDs == nil || *k.PIDs > *k.MaxPIDs {
			return nil, nil
		}
		left := *k.MaxPIDs - *k.PIDs
		return &left, k.MaxPIDs
	}
	fs, what, _ := strings.Cut(name, ".")
	for i := range k.Filesystems {
		f := &k.Filesystems[i]
		if f.Name != map[string]string{"nodefs": "root", "imagefs": "image", "containerfs": "container"}[fs] {
			continue
		}
		if what == "inodesFree" {
			return f.InodesFree, f.Inodes
		}
		return f.Available, f.Capacity
	}
	return nil, nil
}

// threshold reads a share ("10%") or a quantity ("100Mi").
func threshold(text string, whole uint64) (uint64, bool) {
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		return uint64(percent / 100 * float64(whole)), err == nil && percent > 0 && percent < 100
	}
	q, err := resource.ParseQuantity(text)
	if err != nil || q.Sign() <= 0 {
		return 0, false
	}
	return uint64(q.Value()), true //nolint:gosec // above 0
}
