package component

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Canal is calico's policies over flannel, the default of RKE2; its pods carry a label of their own.
func TestCanalIsANetworkPlugin(t *testing.T) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Labels: map[string]string{"k8s-app": "canal"}, OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Controller: new(true)}},
	}}
	if known, ok := Of(p); !ok || known.Role != NetworkPlugin || known.Name != "canal" || !EachNode(p.Labels) {
		t.Errorf("%+v, %t", known, ok)
	}
}

func TestADriverOfVolumesIsKnownByItsRegistrar(t *testing.T) {
	for _, tt := range []struct {
		name     string
		owner    string
		sidecar  corev1.Container
		evidence string // empty: it is no driver
	}{
		{"by its image", "DaemonSet", corev1.Container{Name: "x", Image: "registry.k8s.io/sig-storage/csi-node-driver-registrar:v2.9.0"}, "pod container csi-node-driver-registrar"},
		{"by its name, as upstream's manifests have it", "DaemonSet", corev1.Container{Name: "node-driver-registrar", Image: "a:1"}, "pod container node-driver-registrar"},
		{
			"by its name, where images are digests", "DaemonSet",
			corev1.Container{Name: "csi-driver-registrar", Image: "quay.io/openshift-release-dev/ocp-v4.0-art-dev@sha256:0123"},
			"pod container csi-driver-registrar",
		},
		{"that registers something else", "DaemonSet", corev1.Container{Name: "registrar", Image: "registrar:1"}, ""},
		{"that is beside no node", "ReplicaSet", corev1.Container{Name: "node-driver-registrar", Image: "a:1"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "ebs-node-x", OwnerReferences: []metav1.OwnerReference{{Kind: tt.owner, Controller: new(true)}}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "driver", Image: "b:1"}, tt.sidecar}},
			}
			known, ok := Of(p)
			if ok != (tt.evidence != "") || ok && (known.Role != VolumeDriver || known.Name != p.Name || known.Evidence != tt.evidence) {
				t.Errorf("got %+v, %t", known, ok)
			}
		})
	}
}
