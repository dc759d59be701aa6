package nodeshell

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/netns"
)

// scanPatience bounds the scan of a node's processes (measured: 0.1 s).
const scanPatience = 30 * time.Second

// findPod finds the network namespace of a pod through a helper on its node.
func (r *runner) findPod(ctx context.Context, c helperpod.Container, pod *corev1.Pod, container string) (netns.Found, error) {
	query, err := netns.For(pod, container)
	if err != nil {
		return netns.Found{}, err
	}
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(ctx, scanPatience)
	defer cancel()
	code, err := c.Exec(ctx, query.ScanCommand(shellOf(c)), helperpod.Streams{Out: &stdout, Err: &stderr})
	if err != nil {
		return netns.Found{}, err
	}
	if code != 0 {
		return netns.Found{}, fmt.Errorf("the node's processes could not be read (exit code %d): %s", code, bytes.TrimSpace(stderr.Bytes()))
	}
	found, err := query.Choose(stdout.String())
	if err != nil {
		return found, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return found, nil
}

func shellOf(c helperpod.Container) string {
	if c.Shell != "" {
		return c.Shell
	}
	return "sh"
}

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
	found, err := r.findPod(ctx, c, p.target.Pod, container)
	if err != nil {
		return nil, err
	}
	if found.Host {
		r.notices(evaluate.HostNetwork(p.target.Pod))
	}
	return found.Enter(shellOf(c), evaluate.PodNetworkCommand(p.options, netns.NetFile)), nil
}
