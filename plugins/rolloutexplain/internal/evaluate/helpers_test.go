package evaluate

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

var sampleContainer = corev1.Container{Name: "api", Image: "r.test/a:1"}

func samplePod() *model.Pod {
	return &model.Pod{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "api-1", Namespace: "n"}, Spec: corev1.PodSpec{NodeName: "w1", Containers: []corev1.Container{sampleContainer}}}}
}
