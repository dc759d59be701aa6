// Package masking hides, in a pod template and in command lines, the values whose names look secret. What looks like a
// secret by itself is the business of pkg/mask. It stands apart from diff because saved inputs and causes need it, too.
package masking

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
)

// Masker numbers the values that it hides.
type Masker map[string]int

func (m Masker) hide(value string) string {
	if value == "" {
		return ""
	}
	if _, ok := m[value]; !ok {
		m[value] = len(m) + 1
	}
	return fmt.Sprintf("masked-%d", m[value])
}

// Spec hides values in a pod's containers, in place.
func (m Masker) Spec(s *corev1.PodSpec) {
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		m.container(&c)
	}
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			m.container(&list[i])
		}
	}
}

// container hides values in its command lines, variables and headers, in place.
func (m Masker) container(c *corev1.Container) {
	m.words(c.Command)
	m.words(c.Args)
	for _, words := range execs(c) {
		m.words(words)
	}
	for k := range c.Env {
		if v := &c.Env[k]; mask.LooksSecret(v.Name) {
			v.Value = m.hide(v.Value)
		}
	}
	for _, get := range gets(c) {
		for k := range get.HTTPHeaders {
			if h := &get.HTTPHeaders[k]; mask.LooksSecret(h.Name) {
				h.Value = m.hide(h.Value)
			}
		}
	}
}

// gets are the HTTP requests of a container's probes and hooks.
func gets(c *corev1.Container) (list []*corev1.HTTPGetAction) {
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil && p.HTTPGet != nil {
			list = append(list, p.HTTPGet)
		}
	}
	if l := c.Lifecycle; l != nil {
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil && h.HTTPGet != nil {
				list = append(list, h.HTTPGet)
			}
		}
	}
	return list
}

// execs are the command lines of a container's probes and hooks.
func execs(c *corev1.Container) (lines [][]string) {
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil && p.Exec != nil {
			lines = append(lines, p.Exec.Command)
		}
	}
	if l := c.Lifecycle; l != nil {
		for _, h := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
			if h != nil && h.Exec != nil {
				lines = append(lines, h.Exec.Command)
			}
		}
	}
	return lines
}

// Annotations hides, in what encoding/json decodes into an any, the values of annotations whose names look secret, and drops
// kubectl's copies of whole manifests.
func (m Masker) Annotations(v any) {
	switch v := v.(type) {
	case map[string]any:
		if list, ok := v["annotations"].(map[string]any); ok {
			delete(list, corev1.LastAppliedConfigAnnotation)
			for key, value := range list {
				if text, ok := value.(string); ok && mask.LooksSecret(key) {
					list[key] = m.hide(text)
				}
			}
		}
		for _, inner := range v {
			m.Annotations(inner)
		}
	case []any:
		for _, inner := range v {
			m.Annotations(inner)
		}
	}
}

func (m Masker) words(list []string) { mask.Words(list, m.hide) }

// Tree hides the same in a template without a type: {"name": "DB_PASSWORD", "value": "…"}.
func (m Masker) Tree(v any) {
	switch v := v.(type) {
	case map[string]any:
		name, named := v["name"].(string)
		if value, ok := v["value"].(string); ok && named && mask.LooksSecret(name) {
			v["value"] = m.hide(value)
		}
		for key, inner := range v {
			if list, ok := inner.([]any); ok && (key == "args" || key == "command") {
				m.anyWords(list)
			}
			m.Tree(inner)
		}
	case []any:
		for _, inner := range v {
			m.Tree(inner)
		}
	}
}

func (m Masker) anyWords(list []any) {
	words := make([]string, len(list))
	for i := range list {
		words[i], _ = list[i].(string)
	}
	m.words(words)
	for i := range list {
		if _, ok := list[i].(string); ok {
			list[i] = words[i]
		}
	}
}
