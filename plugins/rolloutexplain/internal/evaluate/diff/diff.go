// Package diff tells what changed between two pod templates, in the words of the template, and which of it bears on a cause.
package diff

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// ArgoHash is the label that Argo Rollouts tells its revisions by.
const ArgoHash = "rollouts-pod-template-hash"

// WithoutHash gives a template without the label that the controller itself adds.
func WithoutHash(t *corev1.PodTemplateSpec) *corev1.PodTemplateSpec {
	c := t.DeepCopy()
	delete(c.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(c.Labels, ArgoHash)
	if len(c.Labels) == 0 {
		c.Labels = nil
	}
	return c
}

// Templates is what changed between two pod templates, in the template's own words: lists are compared by name.
func Templates(from, to *corev1.PodTemplateSpec) []report.Change {
	if from == nil || to == nil {
		return nil
	}
	a, b := flatten(from), flatten(to)
	var changes []report.Change
	for path, old := range a {
		now, kept := b[path]
		switch {
		case !kept:
			changes = append(changes, report.Change{Path: path, Kind: "removed", From: show(path, old), Part: partOf(path, b)})
		case kept && now != old:
			changes = append(changes, report.Change{Path: path, Kind: "changed", From: show(path, old), To: show(path, now)})
		}
	}
	for path, now := range b {
		if _, kept := a[path]; !kept {
			changes = append(changes, report.Change{Path: path, Kind: "added", To: show(path, now), Part: partOf(path, a)})
		}
	}
	sorting.Func(changes, func(x, y report.Change) int {
		return cmp.Or(weight(x.Path)-weight(y.Path), cmp.Compare(x.Path, y.Path))
	})
	return changes
}

var parts = regexp.MustCompile(`^(?:(?:init|ephemeral)?[cC]ontainers\[[^\]]*\]|volumes\[[^\]]*\]|affinity)`)

// partOf names the container, probe or volume of a leaf that the other template does not have at all.
func partOf(path string, other map[string]leaf) string {
	for _, part := range []string{parts.FindString(path), innerPart.FindString(path)} {
		if part == "" || part == path {
			continue
		}
		absent := true
		for p := range other {
			absent = absent && p != part && !strings.HasPrefix(p, part+".") && !strings.HasPrefix(p, part+"[")
		}
		if absent {
			return part
		}
	}
	return ""
}

var innerPart = regexp.MustCompile(`^.*?(?:Probe|volumeMounts\[[^\]]*\])`)

// weight puts what breaks rollouts most often first.
func weight(path string) int {
	for i, word := range []string{".image", ".command", ".args", ".env", ".resources", "Probe", ".ports", "olume", "securityContext"} {
		if strings.Contains(path, word) {
			return i
		}
	}
	return 99
}

func show(path string, v leaf) string {
	value := v.text
	if name, ok := envName(path); ok && mask.LooksSecret(name) && !v.reference {
		return mask.Hidden
	}
	if _, after, ok := strings.Cut(path, ".httpHeaders["); ok {
		if name, rest, _ := strings.Cut(after, "]"); rest == ".value" && mask.LooksSecret(name) {
			return mask.Hidden
		}
	}
	if _, key, ok := strings.Cut(path, "annotations."); ok && mask.LooksSecret(key) && !strings.ContainsAny(v.text, "/:") &&
		!strings.Contains(key, "checksum") { // a path, an address or a fingerprint is no secret
		return mask.Hidden
	}
	if v.shown != "" {
		value = v.shown
	}
	value = mask.Text(value)
	if r := []rune(value); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return value
}

func envName(path string) (string, bool) {
	_, after, ok := strings.Cut(path, ".env[")
	if !ok {
		return "", false
	}
	name, _, ok := strings.Cut(after, "]")
	name, _, _ = strings.Cut(name, " #") // a second one of that name
	return name, ok
}

// leaf is one value of a template; a reference says where a variable's value is, and holds nothing of it. Of a command
// line it is shown what is no secret.
type leaf struct {
	text      string
	shown     string
	reference bool
}

// flatten gives every leaf of a template by its path. The hash label is the controller's own.
func flatten(t *corev1.PodTemplateSpec) map[string]leaf {
	data, err := json.Marshal(WithoutHash(t))
	if err != nil {
		return nil
	}
	var tree map[string]any
	if json.Unmarshal(data, &tree) != nil {
		return nil
	}
	leaves := map[string]leaf{}
	if spec, ok := tree["spec"].(map[string]any); ok {
		walk("", spec, leaves)
	}
	if meta, ok := tree["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
		walk("metadata", meta, leaves)
	}
	return leaves
}

func walk(path string, value any, leaves map[string]leaf) {
	switch v := value.(type) {
	case map[string]any:
		if from, ok := sourceOf(path, v); ok {
			leaves[path] = from
			return
		}
		for key, inner := range v {
			walk(strings.TrimPrefix(path+"."+key, "."), inner, leaves)
		}
	case []any:
		if words, ok := plainWords(v); ok {
			leaves[path] = leaf{text: strings.Join(words, " "), shown: mask.CommandLine(words)}
			return
		}
		named := map[string]int{}
		for i, inner := range v {
			key, name := elementName(inner, i)
			named[name]++
			element := path + "[" + name + "]"
			if n := named[name]; n > 1 { // two tolerations of one taint
				element = fmt.Sprintf("%s[%s #%d]", path, name, n)
			}
			walk(element, inner, leaves)
			// The key of an element is in its path already; it stands for an element that has nothing else.
			if m, ok := inner.(map[string]any); ok && len(m) > 1 {
				delete(leaves, element+"."+key)
			}
		}
	default:
		leaves[path] = leaf{text: fmt.Sprint(v)}
	}
}

// sourceOf shortens an environment variable to its value or where it comes from.
func sourceOf(path string, v map[string]any) (leaf, bool) {
	if !strings.Contains(path, ".env[") || !strings.HasSuffix(path, "]") {
		return leaf{}, false
	}
	from, ok := v["valueFrom"].(map[string]any)
	if !ok {
		value, _ := v["value"].(string)
		return leaf{text: value}, true
	}
	for kind, ref := range from {
		m, _ := ref.(map[string]any)
		var parts []string
		for _, key := range []string{"name", "key", "fieldPath", "resource"} {
			if s, ok := m[key].(string); ok {
				parts = append(parts, s)
			}
		}
		return leaf{
			text:      "from " + strings.TrimSuffix(strings.TrimSuffix(kind, "KeyRef"), "Ref") + " " + strings.Join(parts, "/"),
			reference: true,
		}, true
	}
	return leaf{}, true
}

func plainWords(v []any) ([]string, bool) {
	words := make([]string, 0, len(v))
	for _, x := range v {
		s, ok := x.(string)
		if !ok {
			return nil, false
		}
		words = append(words, s)
	}
	return words, true
}

// elementKeys are the fields by which list elements are known, the first that there is: one volume is mounted at several
// paths (patchMergeKey in https://github.com/kubernetes/api/blob/master/core/v1/types.go).
var elementKeys = []string{"mountPath", "devicePath", "name", "containerPort", "topologyKey", "key", "ip", "conditionType"}

// elementName names a list element by the field that is its key in the API, and else by its place.
func elementName(v any, i int) (key, name string) {
	if m, ok := v.(map[string]any); ok {
		for _, key := range elementKeys {
			if s, ok := m[key]; ok {
				return key, fmt.Sprint(s)
			}
		}
	}
	return "", fmt.Sprint(i)
}

// Say puts a change into words: "image api:1 → api:2", "env DB_URL removed".
func Say(c report.Change) string {
	path := c.Path
	inContainer := false
	for _, drop := range []string{"containers[", "initContainers["} {
		if after, ok := strings.CutPrefix(path, drop); ok {
			path, inContainer = after, true
		}
	}
	if name, ok := envName(c.Path); ok {
		switch c.Kind {
		case "removed":
			return "env " + name + " removed"
		case "added":
			return "env " + name + " added"
		}
		return fmt.Sprintf("env %s %s → %s", name, c.From, c.To)
	}
	if name, ok := strings.CutSuffix(path, "]"); ok && inContainer && !strings.Contains(name, "]") {
		path = "container " + name // the whole of it
	} else if inContainer {
		path = strings.Replace(path, "].", " ", 1)
	}
	switch c.Kind {
	case "removed":
		return fmt.Sprintf("%s removed (was %s)", path, c.From)
	case "added":
		return fmt.Sprintf("%s added %s", path, c.To)
	}
	return fmt.Sprintf("%s %s → %s", path, c.From, c.To)
}
