package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Resolve finds the rollouts behind what was named: a bare name is searched over the kinds; a pod or ReplicaSet climbs to
// the workload that controls it. Asked tells, per rollout, the object that was named instead of it.
func (c *Collector) Resolve(ctx context.Context, named []finding.ObjectRef) (
	targets []finding.ObjectRef, asked map[finding.ObjectRef]finding.ObjectRef, err error,
) {
	ctx, cancel := context.WithTimeout(ctx, c.limit())
	defer cancel()
	asked = map[finding.ObjectRef]finding.ObjectRef{}
	for _, n := range named {
		t := n
		if n.Kind == "" {
			if t, err = c.search(ctx, n); err != nil {
				return nil, nil, err
			}
		}
		top, err := c.climb(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		if top != t {
			asked[top] = t
		}
		if !slices.Contains(targets, top) {
			targets = append(targets, top)
		}
	}
	return targets, asked, nil
}

// search looks for a name among the kinds that roll out.
func (c *Collector) search(ctx context.Context, n finding.ObjectRef) (finding.ObjectRef, error) {
	kinds := []string{KindDeployment, KindStatefulSet, KindDaemonSet, KindJob, KindRollout}
	errs := make([]error, len(kinds))
	var wg sync.WaitGroup
	for i, kind := range kinds {
		wg.Go(func() { errs[i] = c.exists(ctx, kind, n.Namespace, n.Name) })
	}
	wg.Wait()
	var hits []string
	var unread error
	for i, err := range errs {
		switch {
		case err == nil:
			hits = append(hits, kinds[i])
		case !apierrors.IsNotFound(err) && kinds[i] != KindRollout:
			unread = err
		}
	}
	switch {
	case len(hits) == 1:
		return finding.ObjectRef{Kind: hits[0], Namespace: n.Namespace, Name: n.Name}, nil
	case len(hits) > 1:
		words := make([]string, 0, len(hits))
		for _, h := range hits {
			words = append(words, strings.ToLower(h)+"/"+n.Name)
		}
		return n, fmt.Errorf("%q matches several workloads: specify one of %s", n.Name, strings.Join(words, ", "))
	case unread != nil:
		return n, unread
	}
	return n, fmt.Errorf("no deployment, statefulset, daemonset, job or rollout named %q in namespace %q", n.Name, n.Namespace)
}

func (c *Collector) exists(ctx context.Context, kind, namespace, name string) error {
	resource, ok := resources[kind]
	if !ok {
		return fmt.Errorf("kind %q has no resource", kind)
	}
	_, err := c.Metadata.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	return err
}

// climb follows controlling owners up to a kind that rolls out. An owner that is gone or of another kind ends the climb.
func (c *Collector) climb(ctx context.Context, t finding.ObjectRef) (finding.ObjectRef, error) {
	for range 4 {
		if t.Kind != KindPod && t.Kind != KindReplicaSet {
			return t, nil
		}
		o, err := c.Metadata.Resource(resources[t.Kind]).Namespace(t.Namespace).Get(ctx, t.Name, metav1.GetOptions{})
		if err != nil {
			return t, err
		}
		owner := metav1.GetControllerOf(o)
		if owner == nil || resources[owner.Kind].Resource == "" {
			return t, nil
		}
		up := finding.ObjectRef{Kind: owner.Kind, Namespace: t.Namespace, Name: owner.Name}
		if err := c.exists(ctx, up.Kind, up.Namespace, up.Name); err != nil {
			if apierrors.IsNotFound(err) {
				return t, nil
			}
			return t, err
		}
		t = up
	}
	return t, nil
}
