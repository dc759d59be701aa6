// Package config tells what pods want of ConfigMaps and Secrets that is not there: an object, a key of one, a file of a volume.
package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

const (
	ConfigMapNotFound finding.Code = "ConfigMapNotFound"
	SecretNotFound    finding.Code = "SecretNotFound"
	ConfigKeyNotFound finding.Code = "ConfigKeyNotFound"
)

// Rules are the findings about ConfigMaps and Secrets.
var Rules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"configMap", "olume", ".env", "nodeName"}, Entry: finding.Entry{
		Code: ConfigMapNotFound, Severity: finding.Critical, Title: "ConfigMap does not exist",
		Meaning: "The pod template references a ConfigMap that does not exist. The pods start without a change once it " +
			"is created.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Create the ConfigMap, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerPod, Bears: []string{"secret", "olume", ".env"}, Entry: finding.Entry{
		Code: SecretNotFound, Severity: finding.Critical, Title: "Secret does not exist",
		Meaning: "The pod template references a Secret that does not exist. The pods start without a change once it is " +
			"created.",
		Evidence: "Container state CreateContainerConfigError, or FailedMount events.",
		Next:     "Create the Secret, or correct its name in the pod template.",
	}},
	{Layer: rule.LayerPod, Bears: []string{".env", "olume"}, Entry: finding.Entry{
		Code: ConfigKeyNotFound, Severity: finding.Critical, Title: "ConfigMap or Secret lacks a referenced key",
		Meaning: "The ConfigMap or Secret exists but does not contain the key that the pod template references. For a " +
			"subPath without its key the kubelet mounts an empty directory.",
		Evidence: "Container state CreateContainerConfigError, FailedMount events, or an error about a directory in a " +
			"file's place; the keys are those in metadata.managedFields.",
		Next: "Add the key, or correct its name in the pod template.",
	}},
}

var (
	objectAbsent = regexp.MustCompile(`(configmap|secret)s? "([^"]+)" not found`)
	keyAbsent    = regexp.MustCompile(`couldn't find key (\S+) in (ConfigMap|Secret) (\S+)`)
	keyRefAbsent = regexp.MustCompile(`references non-existent (config|secret) key: (\S+)`)
)

var notFound = map[string]finding.Code{"ConfigMap": ConfigMapNotFound, "Secret": SecretNotFound}

// Missing recognizes a ConfigMap, a Secret or a key in one that is not there, of the kubelet's words; nil: they speak of something else.
func Missing(e *model.Evaluation, w *model.Workload, p *model.Pod, text string) *model.Cause {
	if m := keyAbsent.FindStringSubmatch(text); m != nil {
		return keyMissing(e, w, p, object{m[2], m[3][strings.LastIndex(m[3], "/")+1:]}, m[1], "")
	}
	if m := keyRefAbsent.FindStringSubmatch(text); m != nil {
		kind := map[string]string{"config": "ConfigMap", "secret": "Secret"}[m[1]]
		if name := volumeSourceOf(p, kind, m[2]); name != "" {
			return keyMissing(e, w, p, object{kind, name}, m[2], ", which a volume mounts")
		}
		return e.Cause(p, model.StageConfig, ConfigKeyNotFound, report.LikelyFatal, "a mounted %s has no key %q", kind, m[2]).
			WithKey(kind + m[2])
	}
	m := objectAbsent.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	kind := "ConfigMap"
	if m[1] == "secret" {
		kind = "Secret"
	}
	c := e.Cause(p, model.StageConfig, notFound[kind], report.LikelyFatal, "%s %q does not exist", kind, m[2]).WithKey(m[2])
	c.SelfHealing = "no"
	likeNamed(e, p.Namespace, kind, m[2], c)
	next := listObjects(e, w, kind)
	next.Why += "; the pods start without a change once the missing one exists"
	return c.WithNext(next)
}

func listObjects(e *model.Evaluation, w *model.Workload, kind string) finding.Next {
	return e.Next(w, finding.Read, "List the existing objects", "get", strings.ToLower(kind)+"s")
}

// volumeSourceOf finds which object a mounted key belongs to.
func volumeSourceOf(p *model.Pod, kind, key string) string {
	holds := func(items []corev1.KeyToPath) bool {
		return slices.ContainsFunc(items, func(i corev1.KeyToPath) bool { return i.Key == key })
	}
	for _, v := range p.Spec.Volumes {
		switch {
		case kind == "ConfigMap" && v.ConfigMap != nil && holds(v.ConfigMap.Items):
			return v.ConfigMap.Name
		case kind == "Secret" && v.Secret != nil && holds(v.Secret.Items):
			return v.Secret.SecretName
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if kind == "ConfigMap" && s.ConfigMap != nil && holds(s.ConfigMap.Items) {
					return s.ConfigMap.Name
				}
				if kind == "Secret" && s.Secret != nil && holds(s.Secret.Items) {
					return s.Secret.Name
				}
			}
		}
	}
	return ""
}

// likeNamed adds a near miss: an object whose name is a small slip away.
func likeNamed(e *model.Evaluation, namespace, kind, name string, c *model.Cause) {
	best, least := "", 3
	for _, n := range held(e, namespace, kind) {
		if n.Name == name {
			existsNow(c, fmt.Sprintf("%s %q", kind, name))
			return
		}
		if d := distance(n.Name, name); d <= least && (d < least || best == "" || n.Name < best) {
			best, least = n.Name, d
		}
	}
	if best != "" {
		c.Message += fmt.Sprintf("; closest existing name: %q", best)
	}
}

// existsNow makes a cause of something missing one that passes: it has come since the kubelet looked.
func existsNow(c *model.Cause, what string) {
	c.Message = fmt.Sprintf("the kubelet does not find %s, which exists now: it looks again within 1 to 2 minutes", what)
	c.Class, c.SelfHealing = report.Transient, "yes"
}

// held are the ConfigMaps or the Secrets of a namespace, which are asked for; none: not known.
func held(e *model.Evaluation, namespace, kind string) []model.Held {
	if e.Opts.Wide || !e.Asks.Have(model.Need{Kind: model.NeedNames, Namespace: namespace, Name: strings.ToLower(kind) + "s"}) {
		return nil
	}
	var list []model.Held
	for _, h := range e.In.Held {
		if h.Kind == kind && h.Namespace == namespace {
			list = append(list, h)
		}
	}
	return list
}

// distance is how many letters differ (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j], diagonal = min(row[j]+1, row[j-1]+1, diagonal+cost), row[j]
		}
	}
	return row[len(b)]
}
