package placement

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
)

// DaemonRefused is why the DaemonSet controller leaves a node out.
func DaemonRefused(ds *appsv1.DaemonSet, n *corev1.Node) string {
	spec := &ds.Spec.Template.Spec
	why, fits := schedule.DaemonFits(spec, n)
	switch {
	case fits:
		return ""
	case why.Reason == schedule.OtherNode:
		return "not nodeName " + spec.NodeName
	case why.Reason == schedule.Untolerated:
		return "taint " + taintText(&why.Taint)
	}
	return "labels do not match"
}
