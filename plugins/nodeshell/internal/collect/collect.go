// Package collect reads what a session needs to know of the cluster: the nodes that are meant, their leases, who the
// user is, and what admission says to the pod. It judges nothing.
package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
)

// patience bounds one read.
const patience = 10 * time.Second

// Reader reads one cluster.
type Reader struct {
	Client kube.Clients
	early  *early
}

// early holds reads that were begun before their turn: who the user is, and the leases of nodes named exactly.
type early struct {
	user   func() string
	leases map[string]func() (*coordinationv1.Lease, source.Source)
}

// Begin starts the reads that depend on nothing, beside those of Targets: a round trip less before the first prompt.
func (r Reader) Begin(ctx context.Context, names []string) Reader {
	plain := Reader{Client: r.Client} // reads itself, and never waits for what it has begun
	e := &early{user: async(func() string { return plain.User(ctx) }), leases: map[string]func() (*coordinationv1.Lease, source.Source){}}
	for _, name := range names {
		type result struct {
			lease *coordinationv1.Lease
			state source.Source
		}
		get := async(func() result {
			lease, state := plain.lease(ctx, name)
			return result{lease, state}
		})
		e.leases[name] = func() (*coordinationv1.Lease, source.Source) { x := get(); return x.lease, x.state }
	}
	r.early = e
	return r
}

// async begins f and gives a function that waits for its result.
func async[T any](f func() T) func() T {
	done := make(chan struct{})
	var result T
	go func() {
		defer close(done)
		result = f()
	}()
	return func() T {
		<-done
		return result
	}
}

// Target is a node that is meant, and the pod through which it was named.
type Target struct {
	Node *corev1.Node
	Pod  *corev1.Pod
}

// Selection is how nodes are chosen.
type Selection struct {
	Nodes     []string // names, addresses, host names or provider IDs
	Pods      []string // of Namespace: their nodes
	Namespace string
	Selector  string
	All       bool
}

// Targets resolves a selection, in the order given and without duplicates; chosen by label they are sorted by name.
func (r Reader) Targets(ctx context.Context, s Selection) ([]Target, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.All || s.Selector != "" {
		list, err := r.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: s.Selector})
		if err != nil {
			return nil, err
		}
		if len(list.Items) == 0 {
			return nil, fmt.Errorf("no node matches label selector %q", s.Selector)
		}
		var targets []Target
		for i := range list.Items {
			targets = append(targets, Target{Node: &list.Items[i]})
		}
		sorting.Func(targets, func(a, b Target) int { return strings.Compare(a.Node.Name, b.Node.Name) })
		return targets, nil
	}
	targets := make([]Target, len(s.Pods)+len(s.Nodes))
	failures := make([]error, len(targets))
	var wg sync.WaitGroup
	for i := range targets {
		wg.Go(func() {
			if i < len(s.Pods) {
				targets[i], failures[i] = r.podTarget(ctx, s.Namespace, s.Pods[i])
				return
			}
			targets[i].Node, failures[i] = r.node(ctx, s.Nodes[i-len(s.Pods)])
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, r.perhapsPod(ctx, s.Namespace, err)
		}
	}
	return unique(targets), nil
}

// perhapsPod tells the name of a pod, given in the place of a node's, from one that nothing has.
func (r Reader) perhapsPod(ctx context.Context, namespace string, err error) error {
	var (
		unknown UnknownNode
		status  apierrors.APIStatus
	)
	if apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "nodes" {
		if _, podErr := r.Client.CoreV1().Pods(namespace).Get(ctx, status.Status().Details.Name, metav1.GetOptions{}); podErr == nil {
			return UnknownNode{Name: status.Status().Details.Name, Pod: true} // nodes may not be listed
		}
	}
	if errors.As(err, &unknown) && len(validation.IsDNS1123Subdomain(unknown.Name)) == 0 {
		_, podErr := r.Client.CoreV1().Pods(namespace).Get(ctx, unknown.Name, metav1.GetOptions{})
		unknown.Pod = podErr == nil
		return unknown
	}
	return err
}

func unique(targets []Target) []Target {
	var kept []Target
	for _, t := range targets {
		if !slices.ContainsFunc(kept, t.same) {
			kept = append(kept, t)
		}
	}
	return kept
}

func (t Target) same(other Target) bool {
	if t.Pod == nil || other.Pod == nil {
		return t.Pod == nil && other.Pod == nil && t.Node.Name == other.Node.Name
	}
	return t.Pod.UID == other.Pod.UID
}

func (r Reader) podTarget(ctx context.Context, namespace, name string) (Target, error) {
	pod, err := r.Client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return Target{}, err
	}
	if pod.Spec.NodeName == "" {
		return Target{}, nowhere(pod)
	}
	node, err := r.Client.CoreV1().Nodes().Get(ctx, pod.Spec.NodeName, metav1.GetOptions{})
	return Target{Node: node, Pod: pod}, err
}

// nowhere says that a pod is on no node, in the scheduler's words.
func nowhere(pod *corev1.Pod) error {
	why := ""
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Message != "" {
			why = ": " + c.Message
		}
	}
	return fmt.Errorf("pod %s/%s is not assigned to a node (%s%s)", pod.Namespace, pod.Name, pod.Status.Phase, why)
}

// node finds a node by its name, and else by an address, host name or provider ID that is unique.
func (r Reader) node(ctx context.Context, name string) (*corev1.Node, error) {
	node, err := r.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		return node, err
	}
	list, listErr := r.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if listErr != nil {
		return nil, err // a missing permission must not turn "not found" into something else
	}
	var found []*corev1.Node
	var near []string
	for i := range list.Items {
		n := &list.Items[i]
		if known(n, name) {
			found = append(found, n)
		}
		if strings.Contains(n.Name, name) || strings.Contains(name, n.Name) {
			near = append(near, n.Name)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fmt.Errorf("%q is an address of %d nodes; use a node name", name, len(found))
	case len(near) > 0:
		slices.Sort(near)
		return nil, UnknownNode{Name: name, Near: near[:min(len(near), 5)]}
	}
	return nil, UnknownNode{Name: name}
}

// UnknownNode is the error of a word that no node is called by.
type UnknownNode struct {
	Name string
	Near []string // names of nodes that are similar
	Pod  bool     // a pod of the namespace has the name
}

func (e UnknownNode) Error() string {
	if len(e.Near) == 0 {
		return fmt.Sprintf("no node has the name, address or provider ID %q", e.Name)
	}
	return fmt.Sprintf("node %q not found; closest existing names: %s", e.Name, strings.Join(e.Near, ", "))
}

func known(node *corev1.Node, name string) bool {
	if node.Spec.ProviderID == name || strings.HasSuffix(node.Spec.ProviderID, "/"+name) {
		return true
	}
	return slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Address == name })
}

// User asks who the user is, for the record on the pod. Without the API the record has no name.
func (r Reader) User(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	review, err := r.Client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return ""
	}
	return review.Status.UserInfo.Username
}

// Inputs fills in what is known of each target's node, all reads in parallel.
func (r Reader) Inputs(ctx context.Context, targets []Target, noPull bool) []evaluate.Input {
	inputs := make([]evaluate.Input, len(targets))
	var (
		user  string
		wg    sync.WaitGroup
		slots = make(chan struct{}, 20)
	)
	wg.Go(func() {
		if r.early != nil {
			user = r.early.user()
			return
		}
		user = r.User(ctx)
	})
	for i, t := range targets {
		inputs[i].Node = t.Node
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var s source.Source
			inputs[i].Lease, s = r.lease(ctx, t.Node.Name)
			inputs[i].Sources = append(inputs[i].Sources, s)
			if noPull {
				inputs[i].Donor, s = r.donor(ctx, t.Node.Name)
				inputs[i].Sources = append(inputs[i].Sources, s)
			}
		})
	}
	wg.Wait()
	for i := range inputs {
		inputs[i].User = user
	}
	return inputs
}

func (r Reader) lease(ctx context.Context, node string) (*coordinationv1.Lease, source.Source) {
	if r.early != nil {
		if get, ok := r.early.leases[node]; ok {
			return get()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lease, err := r.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
	s := kube.SourceOf("leases", "get", "leases.coordination.k8s.io", err)
	if err != nil {
		return nil, s
	}
	return lease, s
}

// donor finds the image of a running pod on the node that was pulled without secrets: one that needed them may be
// refused although it is there (https://kubernetes.io/docs/concepts/containers/images/#ensureimagepullcredentialverification).
func (r Reader) donor(ctx context.Context, node string) (string, source.Source) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := r.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
	})
	s := kube.SourceOf("pods", "list", "pods in all namespaces", err)
	if err != nil {
		return "", s
	}
	var images []string
	for _, pod := range list.Items {
		if len(pod.Spec.ImagePullSecrets) > 0 || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		for _, c := range pod.Spec.Containers {
			if !slices.Contains(images, c.Image) {
				images = append(images, c.Image)
			}
		}
	}
	if len(images) == 0 {
		return "", s
	}
	return slices.Min(images), s
}

// Try asks admission about the pod in a namespace, without creating it.
func (r Reader) Try(ctx context.Context, pod *corev1.Pod, namespace string) (evaluate.Try, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := pod.DeepCopy()
	asked.Namespace = namespace
	made, err := r.Client.CoreV1().Pods(namespace).Create(ctx, asked, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return evaluate.Try{Namespace: namespace, Asked: asked, Pod: made}, nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsNotFound(err), apierrors.IsBadRequest(err):
		return evaluate.Try{Namespace: namespace, Denied: kube.OneLine(err)}, nil
	case apierrors.ReasonForError(err) != metav1.StatusReasonUnknown && !apierrors.IsUnauthorized(err):
		// A webhook may deny with any code, and a webhook without dry-run support answers 400 or 500.
		return evaluate.Try{Namespace: namespace, Denied: kube.OneLine(err)}, nil
	}
	return evaluate.Try{}, err
}

// NamespaceLabel marks a namespace that an administrator has made for nodeshell.
const NamespaceLabel = "kubectl-runbooks.github.io/nodeshell"

// Candidates lists the namespaces to try after the first one has refused: labeled for nodeshell, then kube-system; and
// those that are labeled privileged, for the advice.
func (r Reader) Candidates(ctx context.Context) (candidates, usable []string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := r.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return []string{metav1.NamespaceSystem}, nil
	}
	for i := range list.Items {
		n := &list.Items[i]
		if n.DeletionTimestamp != nil || n.Labels[podspec.RunLabel] != "" { // one session's own, gone with it
			continue
		}
		if n.Labels[NamespaceLabel] != "" {
			candidates = append(candidates, n.Name)
		}
		if level := n.Labels[evaluate.EnforceLabel]; level == "privileged" {
			usable = append(usable, n.Name)
		}
	}
	slices.Sort(candidates)
	return append(candidates, metav1.NamespaceSystem), usable
}
