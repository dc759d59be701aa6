package collect

import (
	"cmp"
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
)

// CaptureTargets resolves pods, workloads, Services, nodes and a selector into pods (with their nodes) and nodes.
func (r Reader) CaptureTargets(ctx context.Context, namespace string, refs []target.Ref, selector string) ([]Target, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var targets []Target
	for _, ref := range refs {
		found, err := r.captureTarget(ctx, namespace, ref)
		if err != nil {
			return nil, err
		}
		targets = append(targets, found...)
	}
	if selector != "" {
		found, err := r.podsOf(ctx, namespace, selector, fmt.Sprintf("selector %q", selector))
		if err != nil {
			return nil, err
		}
		targets = append(targets, found...)
	}
	targets = unique(targets)
	nodes := map[string]*corev1.Node{}
	for i, t := range targets {
		if t.Node != nil {
			continue
		}
		name := t.Pod.Spec.NodeName
		if nodes[name] == nil {
			node, err := r.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				// Ephemeral mode works without any right on nodes.
				node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
			}
			nodes[name] = node
		}
		targets[i].Node = nodes[name]
	}
	return targets, nil
}

// NodeForPod is the error of a node's name in the place of a pod's.
type NodeForPod struct {
	Name string
	err  error
}

func (e NodeForPod) Error() string { return e.err.Error() }
func (e NodeForPod) Unwrap() error { return e.err }

// perhapsNode tells the name of a node, given in the place of a pod's, from one that nothing has.
func (r Reader) perhapsNode(ctx context.Context, name string, err error) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	if _, nodeErr := r.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{}); nodeErr != nil {
		return err
	}
	return NodeForPod{Name: name, err: err}
}

func (r Reader) captureTarget(ctx context.Context, namespace string, ref target.Ref) ([]Target, error) {
	what := fmt.Sprintf("%s %q", ref.Kind, ref.Name)
	var selector *metav1.LabelSelector
	switch ref.Kind {
	case "Node":
		node, err := r.node(ctx, ref.Name)
		return []Target{{Node: node}}, err
	case "Pod":
		pod, err := r.Client.CoreV1().Pods(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, r.perhapsNode(ctx, ref.Name, err)
		}
		if pod.Spec.NodeName == "" {
			return nil, nowhere(pod)
		}
		if pod.Status.Phase != corev1.PodRunning && pod.Status.Phase != corev1.PodPending {
			return nil, fmt.Errorf("pod %s/%s has no network to capture: its phase is %s", namespace, ref.Name, pod.Status.Phase)
		}
		return []Target{{Pod: pod}}, nil
	case "Service":
		service, err := r.Client.CoreV1().Services(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if len(service.Spec.Selector) == 0 {
			return nil, fmt.Errorf("%s has no selector; name the pods", what)
		}
		return r.podsOf(ctx, namespace, labels.SelectorFromSet(service.Spec.Selector).String(), what)
	case "Deployment":
		object, err := r.Client.AppsV1().Deployments(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		selector = object.Spec.Selector
	case "StatefulSet":
		object, err := r.Client.AppsV1().StatefulSets(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		selector = object.Spec.Selector
	case "DaemonSet":
		object, err := r.Client.AppsV1().DaemonSets(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		selector = object.Spec.Selector
	}
	return r.podsOf(ctx, namespace, metav1.FormatLabelSelector(selector), what)
}

// podsOf lists the running pods of a selector, by name.
func (r Reader) podsOf(ctx context.Context, namespace, selector, what string) ([]Target, error) {
	list, err := r.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	var targets []Target
	for i := range list.Items {
		if pod := &list.Items[i]; pod.Status.Phase == corev1.PodRunning && pod.Spec.NodeName != "" {
			targets = append(targets, Target{Pod: pod})
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("no running pod for %s in namespace %q", what, namespace)
	}
	sorting.Func(targets, func(a, b Target) int { return cmp.Compare(a.Pod.Name, b.Pod.Name) })
	return targets, nil
}
