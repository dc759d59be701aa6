package model

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
)

// initContainer gives the init container of a name: no name is used twice in a pod.
func (p *Pod) initContainer(name string) *corev1.Container {
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Name == name {
			return &p.Spec.InitContainers[i]
		}
	}
	return nil
}

// Called is a container in a sentence: `container "api"`.
func (p *Pod) Called(name string) string {
	word := "container"
	if c := p.initContainer(name); c != nil {
		word = "init container"
		if podfact.Sidecar(c) {
			word = "sidecar"
		}
	}
	return fmt.Sprintf("%s %q", word, name)
}

// SpecPath is where a container stands in a pod's spec.
func (p *Pod) SpecPath(name string) string { return "spec." + p.listOf(name) + "s[" + name + "]" }

// StatusPath is where a container's state stands in a pod's status.
func (p *Pod) StatusPath(name string) string {
	return "status." + p.listOf(name) + "Statuses[" + name + "]"
}

// JSONPath is kubectl's output argument for a part of a container's spec.
func (p *Pod) JSONPath(name, part string) string {
	return fmt.Sprintf(`jsonpath={.spec.%ss[?(@.name=="%s")]%s}`, p.listOf(name), name, part)
}

func (p *Pod) listOf(name string) string {
	if p.initContainer(name) != nil {
		return "initContainer"
	}
	return "container"
}
