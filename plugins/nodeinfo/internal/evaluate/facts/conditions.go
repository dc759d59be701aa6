package facts

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Condition is a condition with its polarity: Problem says whether its status is a problem; nil when its meaning is unknown.
type Condition struct {
	*corev1.NodeCondition

	Problem *bool
}

// problemStatus maps conditions to the status that is a problem: the built-in ones, node-problem-detector's
// (https://github.com/kubernetes/node-problem-detector/tree/master/config), and those of cloud agents. An empty status
// means that none is a problem.
var problemStatus = map[string]string{
	"Ready":          "False",
	"MemoryPressure": "True", "DiskPressure": "True", "PIDPressure": "True", "NetworkUnavailable": "True",
	"KernelDeadlock": "True", "ReadonlyFilesystem": "True", "CorruptDockerOverlay2": "True", "DockerHung": "True", "XfsShutdown": "True",
	"OutOfDisk": "True", "VMEventScheduled": "", "EtcdIsVoter": "",
	"KubeletUnhealthy": "True", "ContainerRuntimeUnhealthy": "True", "KubeProxyUnhealthy": "True",
}

// Endings and beginnings of condition names whose meaning is plain.
var (
	problemWhenTrue = []string{
		"Pressure", "Unavailable", "Unhealthy", "Problem", "Deadlock", "Failure", "Failed", "Error", "Errors", "Hung", "Degraded",
		"NotReady", "Corruption", "Outage", "Offline", "Lost",
	}
	problemWhenFalse = []string{"Ready", "Healthy", "Available", "Initialized"}
)

// problemCondition goes by --problem-condition, the list above, and the name, in this order. Unknown is never a problem by
// itself: it follows from a node that does not report.
func (c *Cluster) problemCondition(condition *corev1.NodeCondition) *bool {
	kind := string(condition.Type)
	status, known := c.bad[kind]
	if !known {
		status, known = problemStatus[kind]
	}
	if !known {
		status, known = guessProblemStatus(kind)
	}
	if !known {
		return nil
	}
	bad := status != "" && string(condition.Status) == status
	return &bad
}

func guessProblemStatus(kind string) (status string, known bool) {
	if at := strings.LastIndexAny(kind, "/."); at >= 0 {
		kind = kind[at+1:]
	}
	if strings.HasPrefix(kind, "Frequent") {
		return "True", true
	}
	for _, end := range problemWhenTrue {
		if strings.HasSuffix(kind, end) {
			return "True", true
		}
	}
	for _, end := range problemWhenFalse {
		if strings.HasSuffix(kind, end) {
			return "False", true
		}
	}
	return "", false
}
