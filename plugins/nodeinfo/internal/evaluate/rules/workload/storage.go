package workload

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Volumes that cannot be attached or mounted.
const (
	CSIDriverNotRegistered finding.Code = "CSIDriverNotRegistered"
	VolumeLimitReached     finding.Code = "VolumeLimitReached"
	VolumeAttachmentError  finding.Code = "VolumeAttachmentError"
)

var csiDriverNotRegistered = rule{
	Entry: finding.Entry{
		Code:     CSIDriverNotRegistered,
		Severity: finding.Warning,
		Title:    "CSI driver is not registered on the node",
		Meaning: "Volumes are attached to the node, or have waited for that for two minutes, by a CSI driver that is not registered at the " +
			"kubelet: its volumes cannot be mounted or unmounted there. Pods that are running keep their volumes.",
		Evidence: "VolumeAttachment spec.attacher against CSINode spec.drivers.",
		Next:     "Check the pod of the driver on the node, which registers the driver.",
		Source:   "https://kubernetes-csi.github.io/docs/csi-node-object.html",
	},
	CausedBy: append([]finding.Code{CSIDriverPodNotReady, DaemonSetPodMissing}, machine.PressureCodes...),
	Check:    checkCSIDriverNotRegistered,
}

func checkCSIDriverNotRegistered(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	volumes, needed := map[string]int{}, map[string]bool{}
	for _, a := range c.Storage.Driverless {
		volumes[a.Spec.Attacher]++
		// A driver registers some time after its node has joined, and pods may be there before it.
		if a.Status.Attached || c.Age(a.CreationTimestamp.Time) >= c.Limits.PodStart {
			needed[a.Spec.Attacher] = true
		}
	}
	for _, driver := range slices.Sorted(maps.Keys(needed)) {
		message := fmt.Sprintf("CSI driver %s is not registered on this node; %s of the driver cannot be mounted or unmounted here",
			driver, output.Plural(volumes[driver], "volume"))
		list = append(list, c.Found(message, []finding.Evidence{
			{Source: "CSINode " + c.Object.Name, Path: "spec.drivers", Value: "lacks " + driver},
		}, c.Look("Find the pod of the driver on the node, which registers it", "", "get", "pods", "-A", "-o", "wide",
			"--field-selector", "spec.nodeName="+c.Object.Name),
			c.Look("Compare the drivers of all nodes", "", "get", "csinodes", "-o",
				"custom-columns=NODE:.metadata.name,DRIVERS:.spec.drivers[*].name")))
	}
	return list
}

var volumeLimitReached = rule{
	Entry: finding.Entry{
		Code:     VolumeLimitReached,
		Severity: finding.Warning,
		Title:    "Volume limit is reached",
		Meaning:  "A CSI driver has as many volumes attached as it allows on the node.",
		Evidence: "Number of attached VolumeAttachments against CSINode spec.drivers.allocatable.count.",
		Next:     "Move pods with volumes to other nodes.",
	},
	Check: checkVolumeLimitReached,
}

func checkVolumeLimitReached(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, d := range c.Storage.Drivers {
		if d.Limit == nil || d.Attached == nil || *d.Attached < *d.Limit {
			continue
		}
		message := fmt.Sprintf("CSI driver %s has reached its volume limit: %d of %d are attached", d.Name, *d.Attached, *d.Limit)
		list = append(list, c.Found(message, []finding.Evidence{
			{Source: "CSINode " + c.Object.Name, Path: "spec.drivers[" + d.Name + "].allocatable.count", Value: fmt.Sprint(*d.Limit)},
		}, c.Look("List the volume attachments", "", "get", "volumeattachments")))
	}
	return list
}

var volumeAttachmentError = rule{
	Entry: finding.Entry{
		Code:     VolumeAttachmentError,
		Severity: finding.Warning,
		Title:    "Volume cannot be attached or detached",
		Meaning:  "The CSI driver failed to attach a volume to the node or to detach it.",
		Evidence: "VolumeAttachment status.attachError, or status.detachError of one that is deleted.",
		Next:     "Follow the error message; read the log of the CSI controller.",
	},
	Check: checkVolumeAttachmentError,
}

func checkVolumeAttachmentError(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, a := range c.Storage.Failed {
		problem, verb, volume := facts.VolumeError(a), "attached to", a.Name
		if a.DeletionTimestamp != nil {
			verb = "detached from"
		}
		if a.Spec.Source.PersistentVolumeName != nil {
			volume = *a.Spec.Source.PersistentVolumeName
		}
		f := c.Found(fmt.Sprintf("volume %s cannot be %s this node: %s", volume, verb, problem.Message), []finding.Evidence{
			{Source: "VolumeAttachment " + a.Name, Path: "status", Value: problem.Message, Time: facts.Time(problem.Time.Time)},
		}, c.Look("Find the other attachments of the volume, and the nodes that hold them", "", "get", "volumeattachments"))
		f.Object = &finding.ObjectRef{Kind: "VolumeAttachment", Name: a.Name}
		if slices.Contains(c.Storage.Driverless, a) {
			f.Causes = []finding.Code{CSIDriverNotRegistered, CSIDriverPodNotReady}
		}
		list = append(list, f)
	}
	return list
}
