package nodeshell

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/netns"
)

// haveNetworks refuses, before anything is made, pods whose network is gone: a pod that has ended keeps its object only.
func haveNetworks(found []collect.Target) error {
	for _, t := range found {
		if t.Pod != nil && (t.Pod.Status.Phase == corev1.PodSucceeded || t.Pod.Status.Phase == corev1.PodFailed) {
			return fmt.Errorf("pod %q in namespace %q has ended (%s) and has no network any more; without --netns this enters its node, %q", t.Pod.Name, t.Pod.Namespace, t.Pod.Status.Phase, t.Node.Name)
		}
	}
	return nil
}

// enterPod gives the command in the pod's network, with the node's files and tools.
func (r *runner) enterPod(ctx context.Context, p planned, helper *helperpod.Helper, container string) ([]string, error) {
	c := helper.Container()
	found, err := netns.Find(ctx, c, p.target.Pod, container)
	if err != nil {
		return nil, err
	}
	if found.Host {
		r.notices(evaluate.HostNetwork(p.target.Pod))
	}
	return found.Enter(c.Shell, evaluate.PodNetworkCommand(p.options, netns.NetFile)), nil
}
