package placement

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Devices that pods request by ResourceClaims (dynamic resource allocation).
const (
	ResourceClaimUnsatisfied finding.Code = "ResourceClaimUnsatisfied"
	ResourceClaimNotFound    finding.Code = "ResourceClaimNotFound"
)

var devicesRules = []rule.Rule{
	{Layer: rule.LayerPod, Place: true, Bears: []string{"resourceClaims"}, Entry: finding.Entry{
		Code: ResourceClaimNotFound, Severity: finding.Critical, Title: "ResourceClaim does not exist",
		Meaning: "The pod references a ResourceClaim that does not exist, or no ResourceClaim was created from the ResourceClaimTemplate " +
			"that the pod references. Before the claim exists, the scheduler does not act on the pod, and does not report that.",
		Evidence: "Pod spec.resourceClaims and status.resourceClaimStatuses, without the pod condition PodScheduled; " +
			"FailedResourceClaimCreation events; no ResourceClaim of that name.",
		Next: "Create the ResourceClaim or the ResourceClaimTemplate, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"resourceClaims"}, Entry: finding.Entry{
		Code: ResourceClaimUnsatisfied, Severity: finding.Critical, Title: "No node can satisfy the ResourceClaim",
		Meaning: "No node can allocate the devices that the ResourceClaims of the pod request: the devices are in use, tainted or not " +
			"published, or the DeviceClass does not exist.",
		Evidence: "\"resourceclaim\", \"cannot allocate all claims\" or \"device class\" in the pod condition PodScheduled; the ResourceClaims " +
			"of the pod and of old pods.",
		Next: "Check the ResourceClaims of the pod, who has the devices, and the DRA driver that publishes them.",
	}},
}

// failedClaimCreation is the reason of the controller that creates claims from templates.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/controller/resourceclaim/controller.go (syncPod)
const failedClaimCreation = "FailedResourceClaimCreation"

// awaitsDeviceClaim: the scheduler leaves a pod alone, and says nothing of it, until each of its claims exists.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/scheduler/framework/plugins/dynamicresources/dynamicresources.go (PreEnqueue)
func awaitsDeviceClaim(e *model.Evaluation, w *model.Workload, p *model.Pod, waited time.Duration) *model.Cause {
	for _, n := range device.Required(p.Pod) {
		if n.Lacks == device.NotCreated {
			return claimNotCreated(e, w, p, n.Entry, waited)
		}
		if _, absent := e.DeviceClaim(p.Namespace, n.Claim); absent {
			return e.Cause(p, model.StageSchedule, ResourceClaimNotFound, report.LikelyFatal,
				"ResourceClaim %q does not exist; until it does, the scheduler does not act on the pod", n.Claim).
				WithKey(n.Claim).Since(p.CreationTimestamp.Time).
				WithEvidence(plain.Evidence("Pod "+p.Name, "spec.resourceClaims["+n.Entry+"].resourceClaimName", n.Claim, plain.NoTime)).
				WithNext(e.Next(w, finding.Read, "List the ResourceClaims of the namespace", "get", "resourceclaims"))
		}
	}
	return nil
}

// claimNotCreated: the controller manager has not created the claim of an entry, and says why in an event.
func claimNotCreated(e *model.Evaluation, w *model.Workload, p *model.Pod, entry string, waited time.Duration) *model.Cause {
	template := ""
	for _, c := range p.Spec.ResourceClaims {
		if c.Name == entry {
			template = plain.Or(c.ResourceClaimTemplateName, "")
		}
	}
	c := e.Cause(p, model.StageSchedule, ResourceClaimNotFound, report.Transient, "").WithKey(template).Since(p.CreationTimestamp.Time)
	c.Severity = finding.Critical
	c.WithEvidence(plain.Evidence("Pod "+p.Name, "spec.resourceClaims["+entry+"].resourceClaimTemplateName", template, plain.NoTime))
	templates := e.Next(w, finding.Read, "List the ResourceClaimTemplates of the namespace", "get", "resourceclaimtemplates")
	if ev := eventfact.Newest(e.PodEvents(p), failedClaimCreation); ev != nil {
		c.ByEvent(ev)
		if plain.ContainsAny(ev.Message, "resourceclaimtemplate") && plain.ContainsAny(ev.Message, "not found") {
			c.Class, c.SelfHealing = report.LikelyFatal, "no"
			c.Says("ResourceClaimTemplate %q does not exist, so the pod has no ResourceClaim; until it has, the scheduler does not act on it",
				template)
			return c.WithNext(templates)
		}
		c.Says("no ResourceClaim can be created from ResourceClaimTemplate %q: %s", template,
			plain.OneLine(strings.TrimPrefix(ev.Message, "PodResourceClaim "+entry+": ")))
		return c.WithNext(templates)
	}
	c.Says("no ResourceClaim was created from ResourceClaimTemplate %q for %s", template, plain.Age(waited))
	text, lease := e.ControllerLease("kube-controller-manager")
	if text != "" {
		c.Message += ": " + text
		c.WithEvidence(lease)
	}
	return c.WithNext(templates, e.ControllerStep("kube-controller-manager", lease))
}

// classAbsent is how the scheduler says that a request names no DeviceClass.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/scheduler/framework/plugins/dynamicresources/dynamicresources.go
var classAbsent = regexp.MustCompile(`device class (\S+) does not exist`)

// deviceDetail follows a pod's claims to the devices that it requests, and to the pods of the rollout itself that have such devices.
func deviceDetail(e *model.Evaluation, w *model.Workload, p *model.Pod, c *model.Cause, message string) {
	var classes []string
	required := device.Required(p.Pod)
	for _, n := range required {
		if claim, _ := e.DeviceClaim(p.Namespace, n.Claim); claim != nil {
			classes = append(classes, claim.Classes()...)
			c.WithEvidence(plain.Evidence("ResourceClaim "+n.Claim, "spec.devices.requests", strings.Join(claim.Classes(), ", "), plain.NoTime))
		}
		if n.Claim != "" {
			c.WithNext(e.Next(w, finding.Read, "Read which devices the ResourceClaim requests", "describe", "resourceclaim", n.Claim))
		}
	}
	if m := classAbsent.FindStringSubmatch(message); m != nil {
		c.Class, c.SelfHealing = report.LikelyFatal, "no"
		c.Says("DeviceClass %q does not exist, and a ResourceClaim of the pod requests devices of it", m[1])
		c.Key = m[1]
		c.WithNext(e.NextCluster(finding.Read, "List the DeviceClasses", "get", "deviceclasses"))
		return
	}
	c.WithNext(
		e.NextCluster(finding.Read, "List the devices that drivers publish, and their taints", "get", "resourceslices", "-o",
			"custom-columns=NODE:.spec.nodeName,DRIVER:.spec.driver,POOL:.spec.pool.name,DEVICES:.spec.devices[*].name,"+
				"TAINTS:.spec.devices[*].taints[*].effect"),
		e.NextCluster(finding.Read, "List which devices are allocated, and to which pods", "get", "resourceclaims", "-A", "-o",
			"custom-columns=NAMESPACE:.metadata.namespace,CLAIM:.metadata.name,POOL:.status.allocation.devices.results[*].pool,"+
				"DEVICE:.status.allocation.devices.results[*].device,PODS:.status.reservedFor[*].name"))
	if len(classes) == 0 {
		return
	}
	slices.Sort(classes)
	classes = slices.Compact(classes)
	of := "devices of DeviceClass " + strings.Join(classes, ", ")
	c.Message += "; the pod requests " + of
	if ending := withDevices(e, model.Select(w.Pods, func(q *model.Pod) bool { return q != p && q.Terminating }), classes); len(ending) > 0 {
		c.Awaits = ending[0]
		c.Message += ", and pod " + ending[0].Name + ", which is terminating, still has some"
		return
	}
	heldByOld(e, w, c, withDevices(e, model.CountedPods(w.OldPods()), classes), of)
}

// withDevices are the pods that have devices of one of the classes by their claims.
func withDevices(e *model.Evaluation, pods []*model.Pod, classes []string) []*model.Pod {
	return model.Select(pods, func(p *model.Pod) bool {
		return slices.ContainsFunc(device.Required(p.Pod), func(n device.Need) bool {
			if n.Claim == "" {
				return false
			}
			claim, _ := e.DeviceClaim(p.Namespace, n.Claim)
			return claim != nil && claim.Status.Allocation != nil &&
				slices.ContainsFunc(claim.Classes(), func(class string) bool { return slices.Contains(classes, class) })
		})
	})
}
