package schedule

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// HostPort is a port of the node itself that a container takes.
type HostPort struct {
	IP       string // 0.0.0.0: on every address
	Protocol corev1.Protocol
	Port     int32
}

const everyAddress = "0.0.0.0"

// HostPorts are those that a pod takes for as long as it runs: of its containers and sidecars.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/util/utils.go (GetHostPorts)
func HostPorts(spec *corev1.PodSpec) []HostPort {
	var list []HostPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				list = append(list, HostPort{
					IP: cmp.Or(p.HostIP, everyAddress), Protocol: cmp.Or(p.Protocol, corev1.ProtocolTCP), Port: p.HostPort,
				})
			}
		}
	}
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range spec.Containers {
		add(&spec.Containers[i])
	}
	return list
}

// PortTaken gives the first wanted port that is taken on a node: the same number and protocol, on the same address or on
// every one.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/framework/types.go (HostPortInfo.CheckConflict)
func PortTaken(taken, wanted []HostPort) (HostPort, bool) {
	for _, w := range wanted {
		if slices.ContainsFunc(taken, func(t HostPort) bool {
			return t.Port == w.Port && t.Protocol == w.Protocol && (t.IP == w.IP || t.IP == everyAddress || w.IP == everyAddress)
		}) {
			return w, true
		}
	}
	return HostPort{}, false
}
