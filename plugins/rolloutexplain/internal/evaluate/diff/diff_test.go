package diff

import (
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
	got := Templates(template("a", corev1.TaintEffectNoSchedule), template("z", corev1.TaintEffectPreferNoSchedule))
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	old := template("a", corev1.TaintEffectNoSchedule)
	old.Spec.Tolerations = old.Spec.Tolerations[:1]
	if got := Templates(old, template("a", corev1.TaintEffectNoSchedule)); len(got) != 1 || got[0].Path != "tolerations[pool #2].effect" {
		t.Errorf("a second toleration: %+v", got)
	}
}
