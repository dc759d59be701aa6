package evaluate

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
)

// An eviction is near just above a threshold, on any signal of which the kubelet told both sides.
func TestAnEvictionIsToldBeforeItHappens(t *testing.T) {
	n := func(value uint64) *uint64 { return &value }
	disk := func(name string, free uint64) []kubelet.Filesystem {
		return []kubelet.Filesystem{{Name: name, Capacity: n(1000 << 20), Available: n(free << 20), Inodes: n(1000), InodesFree: n(900)}}
	}
	for name, c := range map[string]struct {
		kubelet  kubelet.Answer
		says     string // empty: nothing
		severity finding.Severity
	}{
		"disk at a hard threshold": {
			kubelet.Answer{Filesystems: disk("root", 105), EvictionHard: map[string]string{"nodefs.available": "10%"}},
			"only 105Mi of disk space left: the kubelet evicts pods below 100Mi (hard threshold 10%)", finding.Warning,
		},
		"disk a little farther":     {kubelet.Answer{Filesystems: disk("root", 115), EvictionHard: map[string]string{"nodefs.available": "10%"}}, "", ""},
		"disk below: the condition": {kubelet.Answer{Filesystems: disk("root", 95), EvictionHard: map[string]string{"nodefs.available": "10%"}}, "", ""},
		"disk at a soft threshold": {
			kubelet.Answer{Filesystems: disk("root", 205), EvictionHard: map[string]string{"nodefs.available": "10%"}, EvictionSoft: map[string]string{"nodefs.available": "200Mi"}},
			"evicts pods below 200Mi (soft threshold 200Mi)", finding.Warning,
		},
		"images": {kubelet.Answer{Filesystems: disk("image", 152), EvictionHard: map[string]string{"imagefs.available": "15%"}}, "disk space for images", finding.Info},
		"inodes": {
			kubelet.Answer{Filesystems: []kubelet.Filesystem{{Name: "root", Inodes: n(1000), InodesFree: n(52)}}, EvictionHard: map[string]string{"nodefs.inodesFree": "5%"}},
			"only 52 inodes left: the kubelet evicts pods below 50", finding.Warning,
		},
		"memory": {kubelet.Answer{Memory: n(105 << 20), EvictionHard: map[string]string{"memory.available": "100Mi"}}, "105Mi of memory left", finding.Warning},
		"process IDs": {
			kubelet.Answer{MaxPIDs: n(1000), PIDs: n(895), EvictionHard: map[string]string{"pid.available": "10%"}},
			"105 process IDs left", finding.Warning,
		},
		"thresholds that were not read":      {kubelet.Answer{Memory: n(105 << 20)}, "", ""},
		"figures that were not read":         {kubelet.Answer{EvictionHard: map[string]string{"memory.available": "100Mi", "nodefs.available": "10%", "pid.available": "5%"}}, "", ""},
		"a filesystem that counts no inodes": {kubelet.Answer{Filesystems: []kubelet.Filesystem{{Name: "root", Inodes: n(0), InodesFree: n(0)}}, EvictionHard: map[string]string{"nodefs.inodesFree": "5%"}}, "", ""},
		"an eviction that is off":            {kubelet.Answer{Filesystems: disk("image", 1), EvictionHard: map[string]string{"imagefs.available": "0%"}}, "", ""},
		"what is no threshold":               {kubelet.Answer{Filesystems: disk("image", 1), EvictionHard: map[string]string{"imagefs.available": "much"}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, string(machine.EvictionNear))
			c.kubelet.Healthy = true
			in.Kubelets["fires"] = c.kubelet
			list := node(t, judge(in), "fires").Findings
			at := slices.IndexFunc(list, func(f finding.Finding) bool { return f.Code == machine.EvictionNear })
			if at < 0 != (c.says == "") {
				t.Fatalf("%+v", list)
			}
			if at >= 0 && (!strings.Contains(list[at].Message, c.says) || list[at].Severity != c.severity) {
				t.Errorf("%s: %s", list[at].Severity, list[at].Message)
			}
		})
	}
}
