package rules

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// Volumes that cannot be attached.
const (
	VolumeLimit           finding.Code = "VolumeLimitReached"
	VolumeAttachmentError finding.Code = "VolumeAttachmentError"
)

var volumeLimit = rule{
	Entry: finding.Entry{
		Code:     VolumeLimit,
		Severity: finding.Warning,
		Title:    "Volume limit is reached",
		Meaning:  "A CSI driver has as many volumes attached as it allows on this node.",
		Evidence: "CSINode limits and VolumeAttachments.",
		Next:     "Move pods with volumes elsewhere.",
	},
	Check: giving(VolumeLimit, checkVolumeLimit),
}

func checkVolumeLimit(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, d := range c.Storage.Drivers {
		if d.Limit == nil || d.Attached == nil || *d.Attached < *d.Limit {
			continue
		}
		message := fmt.Sprintf("no further volume of %s can be attached: %d of %d are", d.Name, *d.Attached, *d.Limit)
		list = append(list, c.found(message, []finding.Evidence{
			{Source: "CSINode/" + c.Object.Name, Path: "spec.drivers[" + d.Name + "].allocatable.count", Value: fmt.Sprint(*d.Limit)},
		}, c.look("which volumes are attached here", "", "get", "volumeattachments")))
	}
	return list
}

var volumeAttachError = rule{
	Entry: finding.Entry{
		Code:     VolumeAttachmentError,
		Severity: finding.Warning,
		Title:    "Volume cannot be attached or detached",
		Meaning:  "The CSI driver's controller failed at attaching a volume to this node or detaching it.",
		Evidence: "VolumeAttachment status.",
		Next:     "Follow the error's text; look at the CSI controller.",
	},
	Check: giving(VolumeAttachmentError, checkVolumeAttachError),
}

func checkVolumeAttachError(c *Case) []finding.Finding {
	var list []finding.Finding
	for _, a := range c.Storage.Failed {
		problem, verb, volume := facts.VolumeError(a), "attached to", a.Name
		if a.DeletionTimestamp != nil {
			verb = "detached from"
		}
		if a.Spec.Source.PersistentVolumeName != nil {
			volume = *a.Spec.Source.PersistentVolumeName
		}
		f := c.found(fmt.Sprintf("volume %s cannot be %s this node: %s", volume, verb, problem.Message), []finding.Evidence{
			{Source: "VolumeAttachment/" + a.Name, Path: "status", Value: problem.Message, Time: facts.Time(problem.Time.Time)},
		}, c.look("the driver's error", "", "describe", "volumeattachment", a.Name))
		f.Object = &finding.ObjectRef{Kind: "VolumeAttachment", Name: a.Name}
		list = append(list, f)
	}
	return list
}
