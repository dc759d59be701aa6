package evaluate

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Elements that share the field by which others are told apart must not hide each other.
func TestElementsOfOneNameAreAllCompared(t *testing.T) {
	template := func(subPath string, effect corev1.TaintEffect) *corev1.PodTemplateSpec {
		return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "api", VolumeMounts: []corev1.VolumeMount{
				{Name: "data", MountPath: "/a", SubPath: subPath}, {Name: "data", MountPath: "/b", SubPath: "b"},
			}}},
			Tolerations: []corev1.Toleration{{Key: "pool", Effect: effect}, {Key: "pool", Effect: corev1.TaintEffectNoExecute}},
		}}
	}
	want := []report.Change{
		{Path: "containers[api].volumeMounts[/a].subPath", Kind: "changed", From: "a", To: "z"},
		{Path: "tolerations[pool].effect", Kind: "changed", From: "NoSchedule", To: "PreferNoSchedule"},
	}
	got := diffTemplates(template("a", corev1.TaintEffectNoSchedule), template("z", corev1.TaintEffectPreferNoSchedule))
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	old := template("a", corev1.TaintEffectNoSchedule)
	old.Spec.Tolerations = old.Spec.Tolerations[:1]
	if got := diffTemplates(old, template("a", corev1.TaintEffectNoSchedule)); len(got) != 1 || got[0].Path != "tolerations[pool #2].effect" {
		t.Errorf("a second toleration: %+v", got)
	}
}

// Values of secrets stand neither in changes nor in a saved snapshot, wherever the template has them.
func TestValuesOfSecretsAreNotShown(t *testing.T) {
	template := func(value string) *corev1.PodTemplateSpec {
		ref := corev1.EnvVar{Name: "DB_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "creds-" + value}, Key: "pw"}}}
		return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "api", Env: []corev1.EnvVar{{Name: "API_TOKEN", Value: "from hidden-" + value}, ref},
			Args:    []string{"serve", "--password=hidden-" + value, "--port=80" + value},
			Command: []string{"sh", "-c", "KEY_TOKEN=hidden-" + value + " app --token hidden-" + value},
		}}}}
	}
	want := []report.Change{
		{Path: "containers[api].command", Kind: "changed", From: "sh -c KEY_TOKEN=*** app --token ***", To: "sh -c KEY_TOKEN=*** app --token ***"},
		{Path: "containers[api].args", Kind: "changed", From: "serve --password=*** --port=801", To: "serve --password=*** --port=802"},
		{Path: "containers[api].env[API_TOKEN]", Kind: "changed", From: "***", To: "***"},
		{Path: "containers[api].env[DB_PASSWORD]", Kind: "changed", From: "from secret creds-1/pw", To: "from secret creds-2/pw"},
	}
	if d := cmp.Diff(want, diffTemplates(template("1"), template("2"))); d != "" {
		t.Error(d)
	}
	in := deploymentCase().in
	in.Deployments[0].Spec.Template = *template("1")
	in.Rollouts = []map[string]any{{"spec": map[string]any{"containers": []any{map[string]any{"args": []any{"--token", "hidden-3", "--password=hidden-4", "on"}}}}}}
	safe, err := Masked(in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(safe)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hidden") || !strings.Contains(string(data), `"on"`) {
		t.Errorf("%s", data)
	}
}
