package pods

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	FailedMount        finding.Code = "FailedMount"
	FailedAttachVolume finding.Code = "FailedAttachVolume"
	MultiAttachError   finding.Code = "MultiAttachError"
)

var volumesRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"olume"}, Entry: finding.Entry{
		Code: FailedMount, Severity: finding.Warning, Title: "Volume cannot be mounted",
		Meaning:  "The kubelet fails to mount a volume of the pod.",
		Evidence: "FailedMount events.",
		Next:     "Read the mount error of the event.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: FailedAttachVolume, Severity: finding.Warning, Title: "Volume cannot be attached",
		Meaning:  "A volume of the pod cannot be attached to the node.",
		Evidence: "FailedAttachVolume events.",
		Next:     "Read the error, and check the VolumeAttachment and the CSI driver.",
	}},
	{Layer: rule.LayerPod, Place: true, Entry: finding.Entry{
		Code: MultiAttachError, Severity: finding.Critical, Title: "Volume is attached to another node",
		Meaning:  "A volume that only one node can use at a time is still attached to another node.",
		Evidence: "\"Multi-Attach error\", in v1.37 \"Waiting for detach\", in a FailedAttachVolume event.",
		Next:     "Let the old pod terminate before the new one starts (strategy Recreate or maxSurge 0).",
	}},
}

// volumeCause explains a pod that waits for its volumes.
func volumeCause(e *model.Evaluation, w *model.Workload, p *model.Pod, events []eventfact.Event) *model.Cause {
	if ev := eventfact.Newest(events, "FailedAttachVolume"); ev != nil && !attachedSince(events, ev) {
		return attachCause(e, w, p, ev)
	}
	ev := eventfact.Newest(events, "FailedMount", "FailedMapVolume")
	if ev == nil {
		return nil
	}
	// A summary that lists what still waits hides the reason that an earlier event gives.
	if strings.Contains(ev.Message, "Unable to attach or mount volumes") ||
		strings.Contains(ev.Message, "timed out waiting for the condition") {
		if inner := model.NewestMatching(events, "FailedMount", "not found", "MountVolume.", "references non-existent"); inner != nil {
			ev = inner
		}
	}
	if c := config.Missing(e, w, p, ev.Message); c != nil {
		c.Stage = model.StageVolume
		c.Message = "a volume cannot be mounted: " + c.Message
		return c.ByEvent(ev)
	}
	if c := driverMissing(e, p, ev, FailedMount); c != nil {
		return c
	}
	if plain.ContainsAny(ev.Message, "failed to sync configmap cache", "failed to sync secret cache", "not registered") {
		return e.Cause(p, model.StageVolume, FailedMount, report.Transient, "a volume waits for the cache of the kubelet: %s",
			plain.OneLine(ev.Message)).MarkSelfHealing().ByEvent(ev)
	}
	volumes := e.Next(w, finding.Read, "Read the volumes of the pod", "get", "pod", p.Name, "-o", "jsonpath={.spec.volumes}")
	if m := hostPathType.FindStringSubmatch(ev.Message); m != nil {
		what := "does not exist or is not a " + m[2]
		switch {
		case strings.HasSuffix(m[4], "does not exist"):
			what = "does not exist; the pod requires a " + m[2]
		case m[3] != "":
			what = fmt.Sprintf("has type %s and is not a %s", m[3], m[2])
		}
		return e.Cause(p, model.StageVolume, FailedMount, report.LikelyFatal,
			"a volume cannot be mounted: hostPath %s on node %s %s", m[1], p.Spec.NodeName, what).
			WithKey(m[1]).ByEvent(ev).WithNext(volumes)
	}
	c := e.Cause(p, model.StageVolume, FailedMount, report.Transient, "a volume cannot be mounted: %s",
		plain.Innermost(ev.Message)).WithKey(plain.FirstWords(ev.Message, 6)).ByEvent(ev).WithNext(volumes)
	if slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil }) {
		c.WithNext(e.Next(w, finding.Read, "List the PersistentVolumeClaims and their state", "get", "pvc"))
	}
	return c
}

// driverMissing: what no driver on the node can mount or attach.
func driverMissing(e *model.Evaluation, p *model.Pod, ev *eventfact.Event, code finding.Code) *model.Cause {
	m := driverAbsent.FindStringSubmatch(ev.Message)
	if m == nil {
		return nil
	}
	driver := m[1] + m[2]
	return e.Cause(p, model.StageVolume, code, report.Transient, "CSI driver %s is not registered on node %s", driver, p.Spec.NodeName).
		WithKey(driver).ByEvent(ev).WithNext(
		e.NextCluster(finding.Read, "Check the pod of the driver on the node, and whether the node has another problem",
			"nodeinfo", p.Spec.NodeName),
		e.NextCluster(finding.Read, "Compare the CSI drivers that are registered on the nodes", "get", "csinodes", "-o",
			"custom-columns=NODE:.metadata.name,DRIVERS:.spec.drivers[*].name"))
}

func attachedSince(events []eventfact.Event, failed *eventfact.Event) bool {
	ok := eventfact.Newest(events, "SuccessfulAttachVolume")
	return ok != nil && ok.Last.After(failed.Last)
}

// attachCause: a volume that one node may hold, wanted by a new pod on another while the old pod is kept on purpose.
func attachCause(e *model.Evaluation, w *model.Workload, p *model.Pod, ev *eventfact.Event) *model.Cause {
	if c := driverMissing(e, p, ev, FailedAttachVolume); c != nil {
		return c
	}
	attachments := e.NextCluster(finding.Read, "Find the node to which the volume is attached", "get", "volumeattachments")
	m := multiAttach.FindStringSubmatch(ev.Message)
	if m == nil {
		return e.Cause(p, model.StageVolume, FailedAttachVolume, report.Transient, "a volume cannot be attached to node %s: %s",
			p.Spec.NodeName, plain.Innermost(ev.Message)).ByEvent(ev).
			WithNext(e.NextCluster(finding.Read, "List the volume attachments", "get", "volumeattachments"))
	}
	holder := holderOf(w, m[2])
	if holder == nil {
		said := strings.TrimSuffix(": "+plain.OneLine(m[2]), ": ")
		if strings.Contains(said, "exclusively attached") { // no pod uses it there: it is being detached, or its node does not confirm that
			said = ", where no pod uses it, and must be detached there first"
		}
		return e.Cause(p, model.StageVolume, MultiAttachError, report.Transient, "volume %q is attached to another node%s", m[1], said).
			ByEvent(ev).WithNext(attachments)
	}
	c := e.Cause(p, model.StageVolume, MultiAttachError, report.Transient, "volume %q is attached to node %s", m[1],
		holder.Spec.NodeName).ByEvent(ev)
	switch {
	case holder.Terminating:
		c.Awaits = holder
		awaiting(c)
		c.Message += fmt.Sprintf(", and stays so until pod %s has terminated there", holder.Name)
	case !holder.IsNew && w.Kind == "Deployment" && w.Report.UpdateStrategy != nil && plain.Or(w.Report.UpdateStrategy.MayRemove, 0) == 0:
		c.Class, c.Severity, c.SelfHealing = report.LikelyFatal, finding.Critical, "no"
		c.Message += fmt.Sprintf("; old pod %s uses the volume there, and the rollout keeps that pod until the new one is available: a deadlock",
			holder.Name)
		c.WithNext(e.Next(w, finding.Change, "Set strategy Recreate, so that the old pod is deleted before the new one is created",
			"patch", w.Slash(), "-p", `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`))
	case holder.IsNew:
		c.Class, c.Severity, c.SelfHealing = report.LikelyFatal, finding.Critical, "no"
		c.Message += fmt.Sprintf(", where pod %s of the same revision uses it; one node at a time can use the volume", holder.Name)
		c.WithNext(e.Next(w, finding.Read, "Read the access modes of the PersistentVolumeClaims; pods on several nodes need ReadWriteMany",
			"get", "pvc"))
	default:
		c.Message += fmt.Sprintf(", where pod %s uses it", holder.Name)
	}
	return c.WithNext(
		e.NextCluster(finding.Read, "Check the node to which the volume is attached", "nodeinfo", holder.Spec.NodeName), attachments)
}

// holderOf is the pod of the workload that a message names as the user of a volume on another node; nil: another one's, or none is named.
func holderOf(w *model.Workload, message string) *model.Pod {
	m := usedBy.FindStringSubmatch(message)
	if m == nil {
		return nil
	}
	names := strings.Split(m[1], ", ")
	for _, p := range w.Pods {
		if p.Spec.NodeName != "" && slices.Contains(names, p.Name) {
			return p
		}
	}
	return nil
}
