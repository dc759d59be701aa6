package evaluate

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// badStatus maps conditions to the status that is trouble: the built-in ones, node-problem-detector's
// (https://github.com/kubernetes/node-problem-detector/tree/master/config), and those of cloud agents. An empty status
// means that none is trouble.
var badStatus = map[string]string{
	"Ready":          "False",
	"MemoryPressure": "True", "DiskPressure": "True", "PIDPressure": "True", "NetworkUnavailable": "True",
	"KernelDeadlock": "True", "ReadonlyFilesystem": "True", "CorruptDockerOverlay2": "True", "DockerHung": "True", "XfsShutdown": "True",
	"OutOfDisk": "True", "VMEventScheduled": "", "EtcdIsVoter": "",
	"KubeletUnhealthy": "True", "ContainerRuntimeUnhealthy": "True", "KubeProxyUnhealthy": "True",
}

// Endings and beginnings of condition names whose meaning is plain.
var (
	troubleWhenTrue  = []string{"Pressure", "Unavailable", "Unhealthy", "Problem", "Deadlock", "Failure", "Failed", "Error", "Errors", "Hung", "Degraded", "NotReady", "Corruption", "Outage", "Offline", "Lost"}
	troubleWhenFalse = []string{"Ready", "Healthy", "Available", "Initialized"}
)

// bad says whether the condition's status is trouble; nil when its meaning is not known. Unknown is never trouble by
// itself: it follows from a silent node.
func (v *view) bad(c *corev1.NodeCondition) *bool {
	status, known := v.o.BadConditions[string(c.Type)]
	if !known {
		status, known = badStatus[string(c.Type)]
	}
	if !known {
		status, known = guessed(string(c.Type))
	}
	if !known {
		return nil
	}
	return ptr(status != "" && string(c.Status) == status)
}

func guessed(kind string) (status string, known bool) {
	if at := strings.LastIndexAny(kind, "/."); at >= 0 {
		kind = kind[at+1:]
	}
	if strings.HasPrefix(kind, "Frequent") {
		return "True", true
	}
	for _, end := range troubleWhenTrue {
		if strings.HasSuffix(kind, end) {
			return "True", true
		}
	}
	for _, end := range troubleWhenFalse {
		if strings.HasSuffix(kind, end) {
			return "False", true
		}
	}
	return "", false
}

func (v *view) checkConditions() {
	for i := range v.node.Status.Conditions {
		c := &v.node.Status.Conditions[i]
		if bad := v.bad(c); nodefact.Standard(c.Type) || bad == nil || !*bad {
			continue
		}
		v.add(ConditionProblem, "condition "+string(c.Type)+" is "+string(c.Status)+": "+firstOf(c.Message, c.Reason),
			[]finding.Evidence{conditionEvidence(c)}, v.eventsNext())
	}
}
