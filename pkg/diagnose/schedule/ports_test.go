package schedule

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHostPortsConflictAsTheSchedulerSays(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	spec := func(ip string, protocol corev1.Protocol, port int32) *corev1.PodSpec {
		return &corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{HostIP: ip, Protocol: protocol, HostPort: port, ContainerPort: 80}}}}}
	}
	sidecar := &corev1.PodSpec{InitContainers: []corev1.Container{{RestartPolicy: &always, Ports: spec("", "", 8080).Containers[0].Ports}}}
	step := &corev1.PodSpec{InitContainers: []corev1.Container{{Ports: spec("", "", 8080).Containers[0].Ports}}}
	for name, tt := range map[string]struct {
		taken, wanted *corev1.PodSpec
		want          bool
	}{
		"the same":                  {spec("", "", 8080), spec("", corev1.ProtocolTCP, 8080), true},
		"another number":            {spec("", "", 8080), spec("", "", 8081), false},
		"another protocol":          {spec("", "", 53), spec("", corev1.ProtocolUDP, 53), false},
		"two addresses":             {spec("10.0.0.1", "", 80), spec("10.0.0.2", "", 80), false},
		"one address and every one": {spec("10.0.0.1", "", 80), spec("0.0.0.0", "", 80), true},
		"no port of the node":       {spec("", "", 0), spec("", "", 0), false},
		"a sidecar's":               {sidecar, spec("", "", 8080), true},
		"a step's":                  {step, spec("", "", 8080), false},
	} {
		if _, got := PortTaken(HostPorts(tt.taken), HostPorts(tt.wanted)); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAVolumeReachesTheNodesOfItsAffinityAndZone(t *testing.T) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1", Labels: map[string]string{corev1.LabelHostname: "w1", corev1.LabelTopologyZone: "a"}}}
	on := func(host string) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{host}}}}},
		}}}}
	}
	zoned := func(zone string) *corev1.PersistentVolume {
		return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{corev1.LabelTopologyZone: zone}}}
	}
	unreadable := on("w1")
	unreadable.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Operator = "Near"
	for name, tt := range map[string]struct {
		volume *corev1.PersistentVolume
		want   bool
	}{
		"anywhere": {&corev1.PersistentVolume{}, true}, "here": {on("w1"), true}, "elsewhere": {on("w2"), false}, "unreadable": {unreadable, false},
		"its zone": {zoned("a"), true}, "one of its zones": {zoned("b__a"), true}, "another zone": {zoned("b"), false},
	} {
		if got := Reaches(tt.volume, n); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if plain := (&corev1.Node{}); !Reaches(zoned("a"), plain) {
		t.Error("a node without zones is refused")
	}
}
