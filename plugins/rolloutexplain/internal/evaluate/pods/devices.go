package pods

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// What the kubelet says where it cannot prepare the devices of a pod.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/cm/dra/manager.go (prepareResources),
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/cm/dra/plugin/dra_plugin_manager.go (GetPlugin)
var (
	draUnregistered = regexp.MustCompile(`DRA driver (\S+) is not registered`)
	claimRefused    = regexp.MustCompile(`NodePrepareResources failed for ResourceClaim (\S+): (.*)`)
	prepareFrames   = []string{"Failed to prepare dynamic resources: ", "prepare dynamic resources: "}
)

// prepareCause: the devices that a pod has by its claims cannot be prepared on its node.
func prepareCause(e *model.Evaluation, w *model.Workload, p *model.Pod, ev *eventfact.Event) *model.Cause {
	message := plain.OneLine(ev.Message)
	for _, frame := range prepareFrames {
		message = strings.TrimPrefix(message, frame)
	}
	why, key := fmt.Sprintf("the devices of the pod cannot be prepared on node %s: %s", p.Spec.NodeName, message), p.Spec.NodeName
	var next []finding.Next
	if m := draUnregistered.FindStringSubmatch(message); m != nil {
		why = fmt.Sprintf("the devices of the pod cannot be prepared: DRA driver %s is not registered on node %s", m[1], p.Spec.NodeName)
		key += m[1]
	} else if m := claimRefused.FindStringSubmatch(message); m != nil {
		why = fmt.Sprintf("the DRA driver on node %s cannot prepare ResourceClaim %s: %s", p.Spec.NodeName, m[1], m[2])
		key += m[2]
		next = append(next, e.Next(w, finding.Read, "Read which driver and device the ResourceClaim has", "describe", "resourceclaim", m[1]))
	}
	return e.Cause(p, model.StageVolume, FailedPrepareDynamicResources, report.Transient, "%s", why).ByEvent(ev).WithKey(key).
		WithNext(next...).WithNext(driverSteps(e, p.Spec.NodeName)...)
}

// driverSteps lead to the driver of devices on a node: nothing in the API says which pod it is.
func driverSteps(e *model.Evaluation, node string) []finding.Next {
	return []finding.Next{
		e.NextCluster(finding.Read, "Check what the drivers publish for the node, and the pods that use their devices", "nodeinfo", node),
		e.NextCluster(finding.Read, "Find the pod of the driver on the node, and read its log", "get", "pods", "-A", "-o", "wide",
			"--field-selector", "spec.nodeName="+node),
	}
}

// deviceDrivers are those of the devices that a pod has by its claims, by name.
func deviceDrivers(e *model.Evaluation, p *model.Pod) []string {
	var list []string
	for _, n := range device.Required(p.Pod) {
		if n.Claim == "" {
			continue
		}
		if claim, _ := e.DeviceClaim(p.Namespace, n.Claim); claim != nil {
			list = append(list, claim.Drivers()...)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
