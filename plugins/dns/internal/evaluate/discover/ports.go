package discover

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func ContainerPorts(spec corev1.PodSpec) []corev1.ContainerPort {
	var list []corev1.ContainerPort
	for _, c := range spec.Containers {
		list = append(list, c.Ports...)
	}
	return list
}

func HasPort(list []corev1.ContainerPort, protocol corev1.Protocol, port int32) bool {
	return slices.ContainsFunc(list, func(p corev1.ContainerPort) bool {
		return p.ContainerPort == port && cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol
	})
}

// TargetOf gives the port of a pod to which a Service sends what comes to its port 53; not for a name that no container
// port has.
func TargetOf(service *corev1.Service, protocol corev1.Protocol, declared []corev1.ContainerPort) (int32, bool) {
	for _, p := range service.Spec.Ports {
		if p.Port != 53 || cmp.Or(p.Protocol, corev1.ProtocolTCP) != protocol {
			continue
		}
		if name := p.TargetPort.StrVal; name != "" {
			i := slices.IndexFunc(declared, func(c corev1.ContainerPort) bool {
				return c.Name == name && cmp.Or(c.Protocol, corev1.ProtocolTCP) == protocol
			})
			if i < 0 {
				return 0, false
			}
			return declared[i].ContainerPort, true
		}
		return cmp.Or(p.TargetPort.IntVal, p.Port), true
	}
	return 0, false
}

// PortFlag says whether a flag (-dns.port or -p) changes the port of server blocks that name none.
func PortFlag(spec corev1.PodSpec) bool {
	return slices.ContainsFunc(spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(append(slices.Clone(c.Command), c.Args...), func(a string) bool {
			name, _, _ := strings.Cut(strings.TrimLeft(a, "-"), "=")
			return strings.HasPrefix(a, "-") && (name == "dns.port" || name == "p")
		})
	})
}
