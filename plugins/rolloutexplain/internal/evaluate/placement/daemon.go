package placement

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
)

// DaemonExcluded is why the DaemonSet controller excludes a node; empty where it does not.
func DaemonExcluded(ds *appsv1.DaemonSet, n *corev1.Node) string {
	spec := &ds.Spec.Template.Spec
	why, fits := schedule.DaemonFits(spec, n)
	switch {
	case fits:
		return ""
	case why.Reason == schedule.OtherNode:
		return "nodeName is " + spec.NodeName
	case why.Reason == schedule.Untolerated:
		return "taint " + taintText(&why.Taint)
	}
	return "labels do not match"
}
