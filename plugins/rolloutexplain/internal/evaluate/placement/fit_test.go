package placement

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
)

// The sentences of both judgements, where Kubernetes' rule is not the obvious one.
func TestNodesAreLeftOutByKubernetesRules(t *testing.T) {
	pressure := corev1.Taint{Key: corev1.TaintNodeMemoryPressure, Effect: corev1.TaintEffectNoExecute}
	gpus := corev1.Taint{Key: "gpus", Value: "8", Effect: corev1.TaintEffectNoSchedule}
	unreadable := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "zone", Operator: "Near"}}}},
	}}}
	for _, tt := range []struct {
		name           string
		spec           corev1.PodSpec
		taint          corev1.Taint
		daemon, static string
	}{
		{"more than", corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "gpus", Operator: corev1.TolerationOpGt, Value: "4"}}}, gpus, "", ""},
		{"less than itself", corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "gpus", Operator: corev1.TolerationOpLt, Value: "8"}}}, gpus, "taint gpus=8:NoSchedule", "taint gpus=8:NoSchedule"},
		{"pressure that evicts", corev1.PodSpec{}, pressure, "taint node.kubernetes.io/memory-pressure:NoExecute", "taint node.kubernetes.io/memory-pressure:NoExecute"},
		{"an affinity that cannot be read", corev1.PodSpec{Affinity: unreadable}, gpus, "labels do not match", "labels do not match the node selector or affinity"},
		{"another node", corev1.PodSpec{NodeName: "b"}, corev1.Taint{}, "nodeName is b", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
			if tt.taint.Key != "" {
				n.Spec.Taints = []corev1.Taint{tt.taint}
			}
			ds := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: tt.spec}}}
			if got := DaemonExcluded(ds, n); got != tt.daemon {
				t.Errorf("the DaemonSet: %q, want %q", got, tt.daemon)
			}
			e := model.New(rule.NewBook(Rules), &model.Input{}, time.Now(), model.Options{}, model.NewAsks(nil, model.Options{}))
			w := e.NewWorkload("DaemonSet", &ds.ObjectMeta, nil, nil, 0)
			if got := fit(e, w, &model.Pod{Pod: &corev1.Pod{Spec: tt.spec}}, n, false); got.static != tt.static {
				t.Errorf("the scheduler: %q, want %q", got.static, tt.static)
			}
		})
	}
}
