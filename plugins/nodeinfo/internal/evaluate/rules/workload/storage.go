package workload

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Volumes that cannot be attached.
const (
	VolumeLimitReached    finding.Code = "VolumeLimitReached"
	VolumeAttachmentError finding.Code = "VolumeAttachmentError"
)

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
		list = append(list, f)
	}
	return list
}
