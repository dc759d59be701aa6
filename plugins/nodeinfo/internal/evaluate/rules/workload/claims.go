package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Devices that pods have by ResourceClaims (dynamic resource allocation).
const (
	ResourceClaimNotReady     finding.Code = "ResourceClaimNotReady"
	ClaimedDeviceUnusable     finding.Code = "ClaimedDeviceUnusable"
	DeviceDriverNotPublishing finding.Code = "DeviceDriverNotPublishing"
)

// claimsSettle is how long a pod or a driver may take until claims are as they stay: pods and claims are read one after the other, from
// the API server's memory. deviceSettles is how long a driver may take to configure a device.
const (
	claimsSettle  = time.Minute
	deviceSettles = 2 * time.Minute
)

var resourceClaimNotReady = rule{
	Entry: finding.Entry{
		Code:     ResourceClaimNotReady,
		Severity: finding.Warning,
		Title:    "Pod cannot use a ResourceClaim that it needs",
		Meaning: "The pod was bound to the node more than a minute ago, but a ResourceClaim that it needs does not exist, has no devices, or " +
			"is not reserved for the pod: the kubelet does not start the pod, or the devices of a pod that runs can be given to another.",
		Evidence: "Pod spec.resourceClaims and status.resourceClaimStatuses against ResourceClaim status.allocation and status.reservedFor.",
		Next:     "Read the ResourceClaim and the events of the pod; a pod that was bound without the scheduler has to be recreated.",
	},
	Check: checkResourceClaimNotReady,
}

func checkResourceClaimNotReady(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for i := range c.Needs {
		n := &c.Needs[i]
		if !unreadyClaim(c, n) {
			continue
		}
		p := c.Bound(n.Pod)
		name := p.Namespace + "/" + n.Claim
		what := fmt.Sprintf("ResourceClaim %s ", name)
		path, value := "status.reservedFor", "does not name the pod"
		step := c.Look("Read the claim", p.Namespace, "describe", "resourceclaim", n.Claim)
		switch n.Lacks {
		case device.NotCreated:
			what = fmt.Sprintf("no ResourceClaim was created for entry %q ", n.Entry)
			name, path, value = "", "status.resourceClaimStatuses", "no entry "+n.Entry
			step = c.Look("List the claims of the namespace", p.Namespace, "get", "resourceclaims")
		case device.Missing:
			what += "does not exist "
			path, value = "metadata", "not found"
			step = c.Look("List the claims of the namespace", p.Namespace, "get", "resourceclaims")
		case device.NotAllocated:
			what += "has no devices allocated "
			path, value = "status.allocation", "none"
		case device.NotReserved, device.Ready:
			what += "is not reserved for the pod that needs it "
		}
		source := "ResourceClaim " + name
		if name == "" {
			source = "Pod " + subject.Name(p)
		}
		f := c.Found(what+"(pod "+subject.Name(p)+")", []finding.Evidence{
			{Source: "Pod " + subject.Name(p), Path: "spec.resourceClaims", Value: n.Entry},
			{Source: source, Path: path, Value: value},
		}, step, c.DescribePod(p))
		list = append(list, subject.About(f, p))
	}
	return list
}

// failedPrepare is the kubelet's reason where it cannot prepare what claims give a pod: after its volumes, before its sandbox.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kuberuntime/kuberuntime_manager.go (PrepareDynamicResources)
const failedPrepare = "FailedPrepareDynamicResources"

// claimCauses are what explains that pods which wait do not start: a claim of each of them that is not ready, or the driver of their
// devices. nil: something else, or it is not known what they wait for.
func claimCauses(c *subject.Case, pods []*facts.Pod) []finding.Code {
	unready, undriven := true, true
	for _, p := range pods {
		w := p.Wait
		if w.By == facts.WaitsForContainer || w.By == facts.WaitsByEvent && w.Reason != failedPrepare {
			return nil
		}
		unready = unready && slices.ContainsFunc(c.Needs, func(n device.Need) bool { return n.Pod == p.Pod && unreadyClaim(c, &n) })
		undriven = undriven && isUndriven(c, p)
	}
	switch {
	case unready:
		return []finding.Code{ResourceClaimNotReady}
	case undriven:
		return []finding.Code{DeviceDriverNotPublishing}
	}
	return nil
}

// isUndriven says whether a pod has a device of which the driver publishes nothing.
func isUndriven(c *subject.Case, p *facts.Pod) bool {
	return slices.ContainsFunc(c.Pools, func(pool device.Pool) bool {
		return pool.DriverGone && slices.ContainsFunc(pool.Held, func(h device.Held) bool { return slices.Contains(h.Pods, p.Pod) })
	})
}

// unreadyClaim says whether a pod of the node needs a claim that is not ready, and has for long enough.
func unreadyClaim(c *subject.Case, n *device.Need) bool {
	p := c.Bound(n.Pod)
	return n.Lacks != device.Ready && p != nil && c.Age(p.BoundAt()) >= claimsSettle
}

var claimedDeviceUnusable = rule{
	Entry: finding.Entry{
		Code:     ClaimedDeviceUnusable,
		Severity: finding.Warning,
		Title:    "Device of a ResourceClaim cannot be used",
		Meaning: "A device that a pod has by a ResourceClaim has a taint with the effect NoExecute that the claim does not tolerate, so that " +
			"the pod is to be evicted; or its driver has reported for two minutes that it is not ready for the claim.",
		Evidence: "ResourceSlice spec.devices: taints, against the tolerations in ResourceClaim status.allocation; ResourceClaim " +
			"status.devices: condition Ready. Taints that only a DeviceTaintRule sets are not read.",
		Next: "Read the taint or the condition; recreate the pod so that it gets another device.",
	},
	CausedBy: machine.StoppedCodes,
	Check:    checkClaimedDeviceUnusable,
}

func checkClaimedDeviceUnusable(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for i := range c.Pools {
		for k := range c.Pools[i].Held {
			h := &c.Pools[i].Held[k]
			if h.AdminAccess || !slices.ContainsFunc(h.Pods, func(p *corev1.Pod) bool { return p.DeletionTimestamp == nil }) {
				continue
			}
			if taints := h.Evicting(); len(taints) > 0 {
				list = append(list, unusable(c, h, "has the taint "+taints[0].String(), finding.Evidence{
					Source: "ResourceSlices of pool " + h.Pool, Path: "spec.devices[" + h.Device + "].taints",
					Value: taintsText(taints), Time: taints[0].TimeAdded,
				}))
				continue
			}
			if r := notReady(h, c.Now); r != nil {
				value := "False (" + r.Reason + ")"
				if r.Message != "" {
					value += ": " + r.Message
				}
				list = append(list, unusable(c, h, "is not ready, as its driver reports ("+r.Reason+")", finding.Evidence{
					Source: "ResourceClaim " + h.Claim.Namespace + "/" + h.Claim.Name,
					Path:   "status.devices[" + h.Device + "].conditions[Ready]", Value: value, Time: facts.Time(r.LastTransitionTime.Time),
				}))
			}
		}
	}
	return list
}

// notReady is the condition by which a driver says that a device is not configured as the claim wants it; nil: it does not say so.
// https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.36/#allocateddevicestatus-v1-resource-k8s-io
func notReady(h *device.Held, now time.Time) *metav1.Condition {
	if h.Status == nil {
		return nil
	}
	for i := range h.Status.Conditions {
		r := &h.Status.Conditions[i]
		if r.Type == "Ready" && r.Status == metav1.ConditionFalse && now.Sub(r.LastTransitionTime.Time) >= deviceSettles {
			return r
		}
	}
	return nil
}

func unusable(c *subject.Case, h *device.Held, why string, evidence finding.Evidence) finding.Finding {
	first := c.Bound(h.Pods[0])
	f := subject.About(c.Found(
		fmt.Sprintf("device %s of %s %s (pod %s)", h.Device, h.Driver, why, podsText(h.Pods)), []finding.Evidence{evidence, allocated(h)},
		c.Look("Read the claim and what its driver says of the device", h.Claim.Namespace, "describe", "resourceclaim", h.Claim.Name),
		slicesOf(c), c.DescribePod(first)), first)
	for _, p := range h.Pods[1:] {
		f.Covers = append(f.Covers, finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name})
	}
	return f
}

func allocated(h *device.Held) finding.Evidence {
	return finding.Evidence{
		Source: "ResourceClaim " + h.Claim.Namespace + "/" + h.Claim.Name, Path: "status.allocation.devices.results[" + h.Request + "]",
		Value: h.Driver + "/" + h.Pool + "/" + h.Device,
	}
}

func slicesOf(c *subject.Case) finding.Next {
	return c.Look("Read what drivers publish for the node", "", "get", "resourceslices", "--field-selector", "spec.nodeName="+c.Object.Name,
		"-o", "yaml")
}

func taintsText(taints []device.Taint) string {
	var list []string
	for _, t := range taints {
		list = append(list, t.String())
	}
	return strings.Join(list, ", ")
}

// podsText names at most three pods, and counts the others.
func podsText(pods []*corev1.Pod) string {
	var names []string
	for i, p := range pods {
		if i == 3 {
			return strings.Join(names, ", ") + fmt.Sprintf(" and %d more", len(pods)-i)
		}
		names = append(names, p.Namespace+"/"+p.Name)
	}
	return strings.Join(names, ", ")
}

var deviceDriverNotPublishing = rule{
	Entry: finding.Entry{
		Code:     DeviceDriverNotPublishing,
		Severity: finding.Warning,
		Title:    "Driver of devices that pods use publishes none",
		Meaning: "Pods on the node have devices by ResourceClaims, but their driver publishes no device for the node any more: the kubelet " +
			"removes what a driver published when it is not registered for 30 seconds. No new pod gets such a device, and pods of that driver " +
			"cannot be stopped in order.",
		Evidence: "ResourceSlices of the node, and those that are not of one node, against ResourceClaim status.allocation.",
		Next:     "Check the pod of the driver on the node.",
	},
	CausedBy: machine.StoppedCodes,
	Check:    checkDeviceDriverNotPublishing,
}

// checkDeviceDriverNotPublishing goes by
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/cm/dra/plugin/dra_plugin_manager.go (wipeResourceSlices).
func checkDeviceDriverNotPublishing(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	held := map[string][]*device.Held{}
	for i := range c.Pools {
		p := &c.Pools[i]
		for k := range p.Held {
			if p.DriverGone {
				held[p.Driver] = append(held[p.Driver], &p.Held[k])
			}
		}
		last := i == len(c.Pools)-1 || c.Pools[i+1].Driver != p.Driver
		if devices := held[p.Driver]; last && len(devices) > 0 {
			evidence := []finding.Evidence{{Source: "ResourceSlices", Path: "spec.driver", Value: "none of " + p.Driver}}
			for _, h := range devices[:min(len(devices), 5)] {
				evidence = append(evidence, allocated(h))
			}
			list = append(list, c.Found(fmt.Sprintf("%s publishes no device, but pods use %s of it: %s",
				p.Driver, output.Plural(len(devices), "device"), podsText(users(devices))), evidence,
				c.PodsHere("Find the pod of the driver on the node"), slicesOf(c)))
		}
	}
	return list
}

// users are the pods that have the devices, by namespace and name.
func users(devices []*device.Held) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, h := range devices {
		pods = append(pods, h.Pods...)
	}
	sorting.Func(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(pods)
}
