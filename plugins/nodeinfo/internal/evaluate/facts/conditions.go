package facts

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Condition is a condition with its polarity: Bad says whether its status is trouble; nil when its meaning is not known.
type Condition struct {
	*corev1.NodeCondition

	Bad *bool
}

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
	troubleWhenTrue = []string{
		"Pressure", "Unavailable", "Unhealthy", "Problem", "Deadlock", "Failure", "Failed", "Error", "Errors", "Hung", "Degraded",
		"NotReady", "Corruption", "Outage", "Offline", "Lost",
	}
	troubleWhenFalse = []string{"Ready", "Healthy", "Available", "Initialized"}
)

// badCondition goes by the user's word, the list above, and the name, in this order. Unknown is never trouble by itself: it
// follows from a silent node.
func (c *Cluster) badCondition(condition *corev1.NodeCondition) *bool {
	kind := string(condition.Type)
	status, known := c.bad[kind]
	if !known {
		status, known = badStatus[kind]
	}
	if !known {
		status, known = guessed(kind)
	}
	if !known {
		return nil
	}
	bad := status != "" && string(condition.Status) == status
	return &bad
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
