package schedule

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
)

// zoneLabels are those of a volume that bind it to the nodes with the same.
var zoneLabels = []string{
	corev1.LabelTopologyZone, corev1.LabelTopologyRegion, corev1.LabelFailureDomainBetaZone, corev1.LabelFailureDomainBetaRegion,
}

// Reaches says whether a volume can be used on a node, by its node affinity and its zone. A term that cannot be read
// matches no node.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/component-helpers/storage/volume/helpers.go (CheckNodeAffinity),
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/scheduler/framework/plugins/volumezone/volume_zone.go
func Reaches(v *corev1.PersistentVolume, n *corev1.Node) bool {
	if a := v.Spec.NodeAffinity; a != nil && a.Required != nil {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: n.Labels}}
		if match, err := schedulinghelpers.MatchNodeSelectorTerms(node, a.Required); err != nil || !match {
			return false
		}
	}
	zoned := slices.ContainsFunc(zoneLabels, func(key string) bool { return n.Labels[key] != "" })
	for _, key := range zoneLabels {
		zone, labeled := v.Labels[key]
		if labeled && zoned && !slices.Contains(strings.Split(zone, "__"), n.Labels[key]) {
			return false
		}
	}
	return true
}
