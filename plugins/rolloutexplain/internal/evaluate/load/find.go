package load

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// Find gives the rollouts of a name; an empty kind is any.
func Find(in *model.Input, kind, name string) []finding.ObjectRef {
	var hits []finding.ObjectRef
	hit := func(k string, m *metav1.ObjectMeta) {
		if (kind == "" || kind == k) && m.Name == name {
			hits = append(hits, finding.ObjectRef{Kind: k, Namespace: m.Namespace, Name: m.Name})
		}
	}
	for i := range in.Deployments {
		hit("Deployment", &in.Deployments[i].ObjectMeta)
	}
	for i := range in.StatefulSets {
		hit("StatefulSet", &in.StatefulSets[i].ObjectMeta)
	}
	for i := range in.DaemonSets {
		hit("DaemonSet", &in.DaemonSets[i].ObjectMeta)
	}
	for i := range in.Jobs {
		hit("Job", &in.Jobs[i].ObjectMeta)
	}
	for _, o := range in.Rollouts {
		u := unstructured.Unstructured{Object: o}
		hit(model.KindArgo, &metav1.ObjectMeta{Name: u.GetName(), Namespace: u.GetNamespace()})
	}
	if kind == "ReplicaSet" {
		for i := range in.ReplicaSets {
			hit(kind, &in.ReplicaSets[i].ObjectMeta)
		}
	}
	if kind == "Pod" {
		for i := range in.Pods {
			hit(kind, &in.Pods[i].ObjectMeta)
		}
	}
	return hits
}
