package facts

import (
	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
)

// missingDaemons are the DaemonSets whose pod should be here and is not.
func (c *Cluster) missingDaemons(n *Node) []*appsv1.DaemonSet {
	young := n.Age(n.Object.CreationTimestamp.Time) < Starting
	if !n.Read(SourcePods) || !n.Read(SourceDaemonSets) || young || n.Object.DeletionTimestamp != nil {
		return nil
	}
	here := map[string]bool{}
	for _, p := range n.Pods {
		for _, o := range p.OwnerReferences {
			here[string(o.UID)] = here[string(o.UID)] || !p.Finished()
		}
	}
	var missing []*appsv1.DaemonSet
	for _, d := range c.daemonSets {
		settled := d.Status.ObservedGeneration == d.Generation && n.Age(d.CreationTimestamp.Time) > Starting && d.DeletionTimestamp == nil
		if here[string(d.UID)] || !settled {
			continue
		}
		if _, fits := schedule.DaemonFits(&d.Spec.Template.Spec, n.Object); fits {
			missing = append(missing, d)
		}
	}
	return missing
}
