package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhoManagesANode(t *testing.T) {
	for _, tt := range []struct {
		name                string
		labels, annotations map[string]string
		finalizers          []string
		want                string // NAME KIND GROUP
		ends                bool
	}{
		{name: "nobody", labels: map[string]string{"kubernetes.io/hostname": "w1"}, finalizers: []string{"karpenter.sh/termination"}},
		{name: "an empty value", labels: map[string]string{"karpenter.sh/nodepool": ""}},
		{name: "a label where an annotation tells", labels: map[string]string{"cluster.x-k8s.io/machine": "m1"}},
		{name: "Karpenter", labels: map[string]string{"karpenter.sh/nodepool": "default"}, finalizers: []string{"karpenter.sh/termination"}, want: "Karpenter NodePool default", ends: true},
		{name: "Karpenter without its finalizer", labels: map[string]string{"karpenter.sh/nodepool": "default"}, want: "Karpenter NodePool default"},
		{name: "Cluster API", annotations: map[string]string{"cluster.x-k8s.io/machine": "m1"}, want: "Cluster API Machine m1"},
		{name: "OpenShift", annotations: map[string]string{"machine.openshift.io/machine": "openshift-machine-api/m1"}, want: "the OpenShift Machine API Machine m1"},
		{name: "EKS", labels: map[string]string{"eks.amazonaws.com/nodegroup": "ng-1"}, want: "Amazon EKS node group ng-1"},
	} {
		m := ManagerOf(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: tt.labels, Annotations: tt.annotations, Finalizers: tt.finalizers}})
		got, ends := "", false
		if m != nil {
			got, ends = m.Name+" "+m.Kind+" "+m.Group, m.Ends
		}
		if got != tt.want || ends != tt.ends {
			t.Errorf("%s: %q, ends %t", tt.name, got, ends)
		}
	}
}
