package machine

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// EvictionNear is what a pressure condition will be.
const EvictionNear finding.Code = "EvictionNear"

var evictionNear = rule{
	Entry: finding.Entry{
		Code:     EvictionNear,
		Severity: finding.Warning,
		Title:    "Kubelet is about to evict pods",
		Meaning: "Memory, disk space, inodes or process IDs are left just above a threshold of the kubelet: a tenth of the threshold or 1% of " +
			"the whole more, and it evicts pods (soft threshold: after its grace period). Information for the image filesystem, of which " +
			"the kubelet deletes unused images first.",
		Evidence: "Available amounts of the kubelet (/stats/summary) against the thresholds of its configuration (/configz); --kubelet.",
		Next:     "Find what uses most, and free some of it or move pods away.",
		Source:   "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
	},
	CausedBy: []finding.Code{DiskPressure, MemoryPressure, PIDPressure},
	Check:    checkEvictionNear,
}

// what the signals are of, in words.
var signalWords = map[string]string{
	"memory.available": "of memory", "pid.available": "process IDs", "nodefs.available": "of disk space", "nodefs.inodesFree": "inodes",
	"imagefs.available": "of disk space for images", "imagefs.inodesFree": "inodes for images",
	"containerfs.available": "of disk space for containers", "containerfs.inodesFree": "inodes for containers",
}

func checkEvictionNear(c *subject.Case) []finding.Finding {
	if c.Kubelet == nil {
		return nil
	}
	var list []finding.Finding
	told := map[string]bool{}
	for _, m := range c.Kubelet.Margins(memoryOf(c)) {
		if !m.Near(c.Limits.EvictionMarginPercent) || told[m.Signal] {
			continue
		}
		told[m.Signal] = true
		kind, amount := "hard", amountOf(&m)
		if m.Soft {
			kind = "soft"
		}
		message := fmt.Sprintf("only %s %s left: the kubelet evicts pods below %s (%s threshold %s)", amount(m.Available),
			signalWords[m.Signal], amount(m.Least), kind, m.Threshold)
		evidence := []finding.Evidence{{
			Source: "kubelet " + c.Object.Name, Path: "eviction" + strings.ToUpper(kind[:1]) + kind[1:] + "[" + m.Signal + "]",
			Value: fmt.Sprintf("%s; available %s of %s", m.Threshold, amount(m.Available), amount(m.Whole)),
		}}
		var next []finding.Next
		switch m.Signal {
		case "memory.available":
			evidence = append(append(evidence, users(c, "memory", c.Kubelet.MemoryUsers)...), Stalls(c, "memory")...)
			next = largest(c, c.Kubelet.MemoryUsers)
			if next == nil {
				next = append(next, c.BiggestUsers())
			}
		case "pid.available":
			next = append(next, c.PodsHere("List the pods of the node: one of them runs very many processes"))
		default:
			evidence, next = append(evidence, diskUsers(c)...), append(largest(c, c.Kubelet.DiskUsers), directories())
		}
		f := c.Found(message, evidence, next...)
		if strings.HasPrefix(m.Signal, "imagefs.") {
			f.Severity = finding.Info
		}
		list = append(list, f)
	}
	return list
}

// amountOf writes amounts of a margin: bytes, or a number of inodes or processes.
func amountOf(m *kubelet.Margin) func(uint64) string {
	if strings.HasSuffix(m.Signal, "inodesFree") || m.Signal == "pid.available" {
		return func(n uint64) string { return fmt.Sprint(n) }
	}
	return func(n uint64) string { return output.Bytes(int64(min(n, 1<<62))) }
}

func memoryOf(c *subject.Case) uint64 {
	q := c.Object.Status.Capacity[corev1.ResourceMemory]
	return uint64(max(0, q.Value()))
}

// largest leads to the pod that uses most.
func largest(c *subject.Case, pods []kubelet.PodUse) []finding.Next {
	if len(pods) == 0 {
		return nil
	}
	return []finding.Next{c.Look("Check the owner, the limits and the volumes of the pod that uses most", pods[0].Namespace,
		"describe", "pod", pods[0].Name)}
}

// directories leads to what fills a disk and is no pod's.
func directories() finding.Next {
	return subject.OnNode("du -xhd3 /var/log /var/lib/kubelet /var/lib/containerd 2>/dev/null | sort -h | tail -15",
		"On the node, list the largest directories of logs, volumes and images")
}

// diskUsers are evidence for a disk that is short.
func diskUsers(c *subject.Case) []finding.Evidence {
	if c.Kubelet == nil {
		return nil
	}
	return users(c, "disk", c.Kubelet.DiskUsers)
}

// users names the pods that use most of something.
func users(c *subject.Case, what string, pods []kubelet.PodUse) []finding.Evidence {
	if len(pods) == 0 {
		return nil
	}
	var list []string
	for _, u := range pods[:min(3, len(pods))] {
		list = append(list, fmt.Sprintf("%s/%s %s", u.Namespace, u.Name, output.Bytes(int64(min(u.Used, 1<<62)))))
	}
	return []finding.Evidence{{
		Source: "kubelet " + c.Object.Name, Path: "/stats/summary pods", Value: "most " + what + " used by " + strings.Join(list, ", "),
	}}
}
