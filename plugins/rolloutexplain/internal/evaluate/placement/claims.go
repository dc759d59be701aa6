package placement

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	PVCNotFound                 finding.Code = "PVCNotFound"
	PVCNotBound                 finding.Code = "PVCNotBound"
	NoPersistentVolumeAvailable finding.Code = "NoPersistentVolumeAvailable"
	VolumeNodeAffinityConflict  finding.Code = "VolumeNodeAffinityConflict"
	VolumeLimitReached          finding.Code = "VolumeLimitReached"
	VolumeInUse                 finding.Code = "VolumeInUse"
)

var claimsRules = []rule.Rule{
	{Layer: rule.LayerPod, Place: true, Bears: []string{"olume"}, Entry: finding.Entry{
		Code: PVCNotFound, Severity: finding.Critical, Title: "PersistentVolumeClaim does not exist",
		Meaning:  "The pod references a PersistentVolumeClaim that does not exist.",
		Evidence: "\"persistentvolumeclaim … not found\" in the pod condition PodScheduled.",
		Next:     "Create the PersistentVolumeClaim, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerPod, Place: true, Bears: []string{"olume"}, Entry: finding.Entry{
		Code: PVCNotBound, Severity: finding.Critical, Title: "PersistentVolumeClaim is not bound",
		Meaning: "A PersistentVolumeClaim of the pod is not bound to a PersistentVolume.",
		Evidence: "\"unbound immediate PersistentVolumeClaims\" or \"binding volumes\" in the pod condition PodScheduled, or no such " +
			"condition while a node is selected for the claim; phase and events of the claim.",
		Next: "Check the events and the StorageClass of the PersistentVolumeClaim.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: NoPersistentVolumeAvailable, Severity: finding.Critical, Title: "No PersistentVolume is available to bind",
		Meaning: "A PersistentVolumeClaim of the pod is bound only when the pod is scheduled. On the nodes that are " +
			"left, no existing PersistentVolume matches the claim, and its StorageClass cannot provision one, " +
			"such as for local volumes.",
		Evidence: "\"didn't find available persistent volumes to bind\" in the pod condition PodScheduled.",
		Next: "Compare the PersistentVolumes (size, access mode, StorageClass, node affinity) with the " +
			"PersistentVolumeClaim, and create one that matches.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"olume"}, Entry: finding.Entry{
		Code: VolumeNodeAffinityConflict, Severity: finding.Critical, Title: "No eligible node can reach the volume",
		Meaning:  "The bound volume is restricted to a zone or node, and no node there can run the pod.",
		Evidence: "\"PersistentVolume's node affinity\", \"volume node affinity conflict\" or \"volume zone\" in the pod condition PodScheduled.",
		Next:     "Compare the node affinity of the volume with the zones and names of the nodes.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: VolumeLimitReached, Severity: finding.Critical, Title: "Volume limit is reached",
		Meaning:  "The nodes that are left have reached the number of volumes that can be attached to them.",
		Evidence: "\"exceed max volume count\" in the pod condition PodScheduled.",
		Next:     "Add nodes, or remove pods with volumes from the nodes.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: VolumeInUse, Severity: finding.Critical, Title: "Volume is in use by another pod",
		Meaning:  "A PersistentVolumeClaim of the pod has access mode ReadWriteOncePod, and another pod uses it.",
		Evidence: "\"ReadWriteOncePod\" in the pod condition PodScheduled; pods with the same PersistentVolumeClaim.",
		Next:     "Let the old pod terminate first (strategy Recreate).",
	}},
}

// claimDetail follows a pod's claims to the reason why one is not bound.
func claimDetail(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, message string) {
	c.WithNext(e.Next(w, finding.Read, "List the PersistentVolumeClaims and their StorageClasses", "get", "pvc"))
	if c.Code == PVCNotFound {
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
		if m := quoted(message); m != "" {
			c.Says("PersistentVolumeClaim %q does not exist", m)
			c.Key = m
		}
		return
	}
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.PersistentVolumeClaim == nil ||
			!e.Asks.Have(model.Need{Kind: model.NeedClaim, Namespace: p.Namespace, Name: v.PersistentVolumeClaim.ClaimName}) {
			continue
		}
		if oneClaim(e, w, p, c, v.PersistentVolumeClaim.ClaimName) {
			return
		}
	}
}

// selectedNode is the annotation by which the scheduler has a volume provisioned for the node that it has chosen.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#volume-kubernetes-io-selected-node
const selectedNode = "volume.kubernetes.io/selected-node"

// awaitsVolume: the scheduler has chosen a node for the pod, and says nothing of that until the volume is provisioned.
func awaitsVolume(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	for _, name := range claimNames(p) {
		if !e.Asks.Have(model.Need{Kind: model.NeedClaim, Namespace: p.Namespace, Name: name}) {
			continue
		}
		for i := range e.In.Claims {
			claim := &e.In.Claims[i]
			if claim.Name != name || claim.Namespace != p.Namespace || claim.Status.Phase != corev1.ClaimPending ||
				claim.Annotations[selectedNode] == "" {
				continue
			}
			c := e.Cause(p, model.StageSchedule, PVCNotBound, report.Transient, "").Since(p.CreationTimestamp.Time)
			c.Severity = finding.Critical
			oneClaim(e, w, p, c, name)
			return c.WithEvidence(plain.Evidence("PersistentVolumeClaim "+name, "metadata.annotations["+selectedNode+"]",
				claim.Annotations[selectedNode], plain.NoTime))
		}
	}
	return nil
}

// volumesOf gives the volumes that a pod's claims are bound to, where the scheduler says that one keeps it off some nodes.
func volumesOf(e *model.Evaluation, p *model.Pod, terms []schedulingTerm) []*corev1.PersistentVolume {
	if !slices.ContainsFunc(terms, func(t schedulingTerm) bool { return schedulingCode(t.text) == VolumeNodeAffinityConflict }) {
		return nil
	}
	var list []*corev1.PersistentVolume
	for _, name := range claimNames(p) {
		if !e.Asks.Have(model.Need{Kind: model.NeedClaim, Namespace: p.Namespace, Name: name}) {
			continue
		}
		i := slices.IndexFunc(e.In.Claims, func(c corev1.PersistentVolumeClaim) bool { return c.Namespace == p.Namespace && c.Name == name })
		if i < 0 || e.In.Claims[i].Spec.VolumeName == "" {
			continue
		}
		volume := e.In.Claims[i].Spec.VolumeName
		if !e.Asks.Have(model.Need{Kind: model.NeedVolume, Name: volume}) {
			continue
		}
		if i := slices.IndexFunc(e.In.Volumes, func(v corev1.PersistentVolume) bool { return v.Name == volume }); i >= 0 {
			list = append(list, &e.In.Volumes[i])
		}
	}
	return list
}

// unreachable names a volume that cannot be used on a node; empty: all can, as far as they are known.
func unreachable(volumes []*corev1.PersistentVolume, n *corev1.Node) string {
	for _, v := range volumes {
		if !schedule.Reaches(v, n) {
			return v.Name
		}
	}
	return ""
}

func quoted(s string) string {
	_, after, ok := strings.Cut(s, `"`)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(after, `"`)
	return name
}

func oneClaim(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, name string) bool {
	for i := range e.In.Claims {
		claim := &e.In.Claims[i]
		if claim.Name != name || claim.Namespace != p.Namespace {
			continue
		}
		if claim.Status.Phase == corev1.ClaimBound {
			if c.Code == VolumeNodeAffinityConflict && e.Asks.Have(model.Need{Kind: model.NeedVolume, Name: claim.Spec.VolumeName}) {
				c.Message += fmt.Sprintf("; PersistentVolumeClaim %q is bound to PersistentVolume %q", name, claim.Spec.VolumeName)
			}
			continue
		}
		c.Key = name
		c.Says("PersistentVolumeClaim %q is %s", name, claim.Status.Phase)
		if c.Code == NoPersistentVolumeAvailable {
			c.Message += " and no PersistentVolume is available to bind"
		}
		c.WithEvidence(plain.Evidence("PersistentVolumeClaim "+name, "status.phase", string(claim.Status.Phase), claim.CreationTimestamp.Time))
		whyUnbound(e, c, claim)
		c.WithNext(e.Next(w, finding.Read, "Check why the PersistentVolumeClaim is not bound", "describe", "pvc", name))
		return true
	}
	return false
}

// noProvisioner is the provisioner of a class whose volumes are made by hand.
// https://kubernetes.io/docs/concepts/storage/storage-classes/#local
const noProvisioner = "kubernetes.io/no-provisioner"

// volumeInUse: a claim that one pod alone may use.
func volumeInUse(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause) {
	users := model.Select(model.CountedPods(w.OldPods()), func(q *model.Pod) bool {
		return slices.ContainsFunc(claimNames(p), func(name string) bool { return slices.Contains(claimNames(q), name) })
	})
	if len(users) == 0 {
		c.Says("another pod uses its PersistentVolumeClaim, which one pod alone may use (ReadWriteOncePod)")
		return
	}
	c.Says("pod %s uses its PersistentVolumeClaim, which one pod alone may use (ReadWriteOncePod)", users[0].Name)
	heldByOld(e, w, c, users, "a ReadWriteOncePod PersistentVolumeClaim")
}

func claimNames(p *model.Pod) []string {
	var names []string
	for i := range p.Spec.Volumes {
		if claim := p.Spec.Volumes[i].PersistentVolumeClaim; claim != nil {
			names = append(names, claim.ClaimName)
		}
	}
	return names
}

// whyUnbound reads the claim's class and events. WaitForFirstConsumer is how it should be, and never a cause.
func whyUnbound(e *model.Evaluation, c *model.Cause, claim *corev1.PersistentVolumeClaim) {
	class, reason := plain.Or(claim.Spec.StorageClassName, ""), whyClass(e, claim)
	if reason != "" {
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
	}
	events := e.EventsOfUID(claim.Namespace, string(claim.UID))
	ev := eventfact.Newest(events, "ProvisioningFailed", "FailedBinding")
	if ev == nil { // said again and again, also after a failure
		ev = eventfact.Newest(events, "ExternalProvisioning")
	}
	if ev != nil {
		c.ByEvent(ev)
		switch {
		case reason != "":
		case ev.Reason == "ExternalProvisioning":
			reason = "waiting for the provisioner"
		default:
			reason = plain.Innermost(ev.Message)
		}
		if ev.Reason == "FailedBinding" && c.Class == report.Transient && class == "" {
			c.Class, c.SelfHealing = report.LikelyFatal, "no"
		}
	}
	if reason != "" {
		c.Message += ": " + reason
	}
}

// whyClass is what is wrong with a claim's class; empty: nothing, or its classes cannot be read.
func whyClass(e *model.Evaluation, claim *corev1.PersistentVolumeClaim) string {
	if !e.Asks.Have(model.Need{Kind: model.NeedStorageClasses}) || !e.In.Sources.Get("storageclasses").Readable() {
		return ""
	}
	class := plain.Or(claim.Spec.StorageClassName, "")
	known, defaults, manual := false, false, false
	for i := range e.In.StorageClasses {
		s := &e.In.StorageClasses[i]
		known = known || s.Name == class
		manual = manual || s.Name == class && s.Provisioner == noProvisioner
		defaults = defaults || s.Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
	}
	switch {
	case claim.Spec.StorageClassName == nil && !defaults:
		return "no StorageClass is set, and no default StorageClass exists"
	case class != "" && !known:
		return fmt.Sprintf("StorageClass %q does not exist", class)
	case manual:
		return fmt.Sprintf("StorageClass %q has no provisioner: create a PersistentVolume by hand", class)
	}
	return ""
}
