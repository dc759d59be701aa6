package netns

import (
	"bytes"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
)

// patience bounds the scan of a node's processes (measured: 0.1 s).
const patience = 30 * time.Second

// Find finds the network namespace of a pod through a helper's container on its node. Container, where it is given, is
// the one of the pod's by whose processes it is found.
func Find(ctx context.Context, c helperpod.Container, pod *corev1.Pod, container string) (Found, error) {
	q, err := queryOf(pod, container)
	if err != nil {
		return Found{}, err
	}
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	code, err := c.Exec(ctx, q.scanCommand(c.Shell), helperpod.Streams{Out: &stdout, Err: &stderr})
	if err != nil {
		return Found{}, err
	}
	if code != 0 {
		return Found{}, fmt.Errorf("the node's processes could not be read (exit code %d): %s", code, bytes.TrimSpace(stderr.Bytes()))
	}
	found, err := q.choose(stdout.String())
	if err != nil {
		return found, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return found, nil
}
