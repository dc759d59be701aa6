package evaluate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// splitYAML separates the documents of a file.
func splitYAML(text string) []string {
	var parts []string
	for _, part := range strings.Split("\n"+text, "\n---") {
		if strings.TrimSpace(part) != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// hideSecrets is the last look at what is printed: causes quote programs, kubelets and registries.
func hideSecrets(r *report.Rollout) {
	r.Summary = mask.Text(r.Summary)
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Message = mask.Text(f.Message)
		for k := range f.Evidence {
			f.Evidence[k].Value = mask.Text(f.Evidence[k].Value)
		}
	}
}

// Masked gives a copy for a file: values of variables whose names look secret are replaced, equal ones by equal masks, so
// that a replay still sees what changed. What looks like a secret by itself is hidden wherever it stands.
func Masked(in *Input) (*Input, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	out := &Input{}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, err
	}
	m := masker{}
	for i := range out.Deployments {
		m.spec(&out.Deployments[i].Spec.Template.Spec)
	}
	for i := range out.ReplicaSets {
		m.spec(&out.ReplicaSets[i].Spec.Template.Spec)
	}
	for i := range out.StatefulSets {
		m.spec(&out.StatefulSets[i].Spec.Template.Spec)
	}
	for i := range out.DaemonSets {
		m.spec(&out.DaemonSets[i].Spec.Template.Spec)
	}
	for i := range out.Jobs {
		m.spec(&out.Jobs[i].Spec.Template.Spec)
	}
	for i := range out.Pods {
		m.spec(&out.Pods[i].Spec)
	}
	for i := range out.ControllerRevisions {
		raw := &out.ControllerRevisions[i].Data
		var tree any
		if json.Unmarshal(raw.Raw, &tree) == nil {
			m.tree(tree)
			if text, err := json.Marshal(tree); err == nil {
				raw.Raw = text
			}
		}
	}
	for _, o := range out.Rollouts {
		m.tree(o)
	}
	m.annotations(out)
	return withoutSecrets(out)
}

// withoutSecrets hides what looks like a secret in every text of the input: logs, events, statuses, annotations, headers.
func withoutSecrets(in *Input) (*Input, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a resource version or a count is no float
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	if data, err = json.Marshal(mask.Tree(tree)); err != nil {
		return nil, err
	}
	out := &Input{}
	return out, json.Unmarshal(data, out)
}

// masker numbers the values that it hides.
type masker map[string]int

func (m masker) hide(value string) string {
	if value == "" {
		return ""
	}
	if _, ok := m[value]; !ok {
		m[value] = len(m) + 1
	}
	return fmt.Sprintf("masked-%d", m[value])
}

// The ways in which a command line gives a name its value: --password=x or PASSWORD=x, and --password x.
var assigned = []*regexp.Regexp{regexp.MustCompile(`([A-Za-z_][\w.-]*)(=)(\S+)`), regexp.MustCompile(`(--?[A-Za-z][\w.-]*)(\s+)([^\s-]\S*)`)}

// maskWords hides values in a command line whose names look secret.
func maskWords(words string, hide func(string) string) string {
	for _, way := range assigned {
		words = way.ReplaceAllStringFunc(words, func(word string) string {
			m := way.FindStringSubmatch(word)
			if !LooksSecret(m[1]) || m[2] != "=" && offFlag.MatchString(m[1]) {
				return word
			}
			return m[1] + m[2] + hide(m[3])
		})
	}
	return words
}

func (m masker) spec(s *corev1.PodSpec) {
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
func (m masker) container(c *corev1.Container) {
	m.words(c.Command)
	m.words(c.Args)
	for _, words := range execs(c) {
		m.words(words)
	}
	for k := range c.Env {
		if v := &c.Env[k]; LooksSecret(v.Name) {
			v.Value = m.hide(v.Value)
		}
	}
	for _, get := range gets(c) {
		for k := range get.HTTPHeaders {
			if h := &get.HTTPHeaders[k]; LooksSecret(h.Name) {
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

func (m masker) words(list []string) { maskLine(list, m.hide) }

// commandLine is a command line for people.
func commandLine(words []string) string {
	words = slices.Clone(words)
	maskLine(words, func(string) string { return masked })
	return strings.Join(words, " ")
}

// maskLine hides flags' values in the words of a command line: a flag may stand before its value in a word of its own,
// and a value may hold blanks.
func maskLine(list []string, hide func(string) string) {
	for i := range list {
		if i > 0 && secretFlag(list[i-1]) && !strings.HasPrefix(list[i], "-") {
			list[i] = hide(list[i])
			continue
		}
		if name, value, ok := strings.Cut(list[i], "="); ok && secretFlag(name) {
			list[i] = name + "=" + hide(value)
			continue
		}
		list[i] = maskWords(list[i], hide)
	}
}

// secretFlag says whether a flag's value should not be shown; --no-auth and --skip-auth have none.
func secretFlag(word string) bool {
	return loneFlag.MatchString(word) && LooksSecret(word) && !offFlag.MatchString(word)
}

var (
	loneFlag = regexp.MustCompile(`^--?[A-Za-z][\w.-]*$`)
	offFlag  = regexp.MustCompile(`^--?(no|skip|disable)-`)
)

// tree hides the same in a template without a type: {"name": "DB_PASSWORD", "value": "…"}.
func (m masker) tree(v any) {
	switch v := v.(type) {
	case map[string]any:
		name, named := v["name"].(string)
		if value, ok := v["value"].(string); ok && named && LooksSecret(name) {
			v["value"] = m.hide(value)
		}
		if meta, ok := v["metadata"].(map[string]any); ok {
			if a, ok := meta["annotations"].(map[string]any); ok {
				delete(a, corev1.LastAppliedConfigAnnotation)
			}
		}
		for key, inner := range v {
			if list, ok := inner.([]any); ok && (key == "args" || key == "command") {
				m.anyWords(list)
			}
			m.tree(inner)
		}
	case []any:
		for _, inner := range v {
			m.tree(inner)
		}
	}
}

func (m masker) anyWords(list []any) {
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

// annotations drops kubectl's copies of whole manifests.
func (m masker) annotations(in *Input) {
	for i := range in.Deployments {
		delete(in.Deployments[i].Annotations, corev1.LastAppliedConfigAnnotation)
	}
	for i := range in.StatefulSets {
		delete(in.StatefulSets[i].Annotations, corev1.LastAppliedConfigAnnotation)
	}
	for i := range in.DaemonSets {
		delete(in.DaemonSets[i].Annotations, corev1.LastAppliedConfigAnnotation)
	}
	for i := range in.Jobs {
		delete(in.Jobs[i].Annotations, corev1.LastAppliedConfigAnnotation)
	}
	for i := range in.ReplicaSets {
		delete(in.ReplicaSets[i].Annotations, corev1.LastAppliedConfigAnnotation)
	}
	for i := range in.ControllerRevisions {
		delete(in.ControllerRevisions[i].Annotations, corev1.LastAppliedConfigAnnotation)
	}
	for i := range in.Pods {
		delete(in.Pods[i].Annotations, corev1.LastAppliedConfigAnnotation)
	}
}
