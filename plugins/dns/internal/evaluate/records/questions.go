package records

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Questions lists what the API says must be answered for a Service: its own name in both families, SRV for named
// ports, PTR for its addresses, and, when headless, every ready endpoint up to most (0: all).
func (e *Engine) Questions(svc *corev1.Service, most int) []Question {
	name := e.ServiceName(svc)
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		return []Question{{name, "CNAME"}, {name, "A"}, {name, "AAAA"}}
	}
	list := []Question{{name, "A"}, {name, "AAAA"}}
	if !Headless(svc) {
		for _, p := range svc.Spec.Ports {
			if p.Name != "" {
				list = append(list, Question{"_" + p.Name + "._" + strings.ToLower(string(p.Protocol)) + "." + name, "SRV"})
			}
		}
		for _, ip := range clusterIPs(svc) {
			list = append(list, Question{ReverseName(ip), "PTR"})
		}
		return e.known(list)
	}
	return e.known(append(list, e.endpointQuestions(svc, name, most)...))
}

func (e *Engine) endpointQuestions(svc *corev1.Service, name string, most int) []Question {
	var list []Question
	count := 0
	for _, slice := range e.slices[key(svc.Name, svc.Namespace)] {
		for _, p := range slice.Ports {
			if p.Name != nil && *p.Name != "" && p.Protocol != nil {
				list = append(list, Question{"_" + *p.Name + "._" + strings.ToLower(string(*p.Protocol)) + "." + name, "SRV"})
			}
		}
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				if most > 0 && count >= most || !Ready(endpoint) {
					continue
				}
				count++
				typ := (host{address: address}).family()
				list = append(list, Question{strings.ToLower(e.options.Hostname(endpoint, address)) + "." + name, typ},
					Question{ReverseName(address), "PTR"})
			}
		}
	}
	return list
}

// known drops doubles and reverse names outside the plugin's zones.
func (e *Engine) known(list []Question) []Question {
	seen := map[Question]bool{}
	return slices.DeleteFunc(list, func(q Question) bool {
		drop := seen[q] || q.Name == "" || e.options.zoneOf(q.Name) == ""
		seen[q] = true
		return drop
	})
}

// ServiceName is the name of a Service in the cluster's zone.
func (e *Engine) ServiceName(svc *corev1.Service) string {
	return strings.ToLower(svc.Name+"."+svc.Namespace) + ".svc." + e.options.Primary()
}

// Service finds a Service of the snapshot.
func (e *Engine) Service(namespace, name string) *corev1.Service {
	return e.services[key(name, namespace)]
}
