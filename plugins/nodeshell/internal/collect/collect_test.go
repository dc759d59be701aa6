package collect

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
)

func node(name, ip string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-1a/i-" + name},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}},
	}
}

// Reads begun early are those that Inputs waits for: none of them may wait for itself.
func TestEarlyReadsAreUsed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "a"}}
	client := fake.NewClientset(node("a", "10.0.0.1"), node("b", "10.0.0.2"), lease)
	r := Reader{Client: client}.Begin(ctx, []string{"a"})
	done := make(chan struct{})
	go func() {
		defer close(done)
		inputs := r.Inputs(ctx, []Target{{Node: node("a", "")}, {Node: node("b", "")}}, false)
		if inputs[0].Lease == nil || inputs[1].Lease != nil || inputs[1].Sources.Get("leases").State != source.Absent {
			t.Errorf("%+v", inputs)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("the reads wait for each other")
	}
	gets := 0
	for _, action := range client.Actions() {
		if action.Matches("get", "leases") {
			gets++
		}
	}
	if gets != 2 {
		t.Errorf("%d reads of leases for two nodes", gets)
	}
}

func TestANodeIsFoundByWhatIsUnique(t *testing.T) {
	r := Reader{Client: fake.NewClientset(node("a", "10.0.0.1"), node("b", "10.0.0.2"), node("c", "10.0.0.2"))}
	for name, want := range map[string]string{"a": "a", "10.0.0.1": "a", "aws:///eu-1a/i-b": "b", "i-c": "c", "10.0.0.2": "", "x": ""} {
		targets, err := r.Targets(t.Context(), Selection{Nodes: []string{name}})
		got := ""
		if err == nil {
			got = targets[0].Node.Name
		}
		if got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// A pod's name in the place of a node's is told from a word that nothing is called by, also where nodes may not be listed.
func TestAPodInThePlaceOfANodeIsKnown(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0"}}
	for _, listed := range []bool{true, false} {
		client := fake.NewClientset(node("a", ""), pod)
		if !listed {
			client.PrependReactor("list", "nodes", func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(corev1.Resource("nodes"), "", nil)
			})
		}
		for name, want := range map[string]bool{"web-0": true, "nosuch": false} {
			_, err := Reader{Client: client}.Targets(t.Context(), Selection{Namespace: "shop", Nodes: []string{name}})
			var unknown UnknownNode
			if got := errors.As(err, &unknown) && unknown.Pod; err == nil || got != want {
				t.Errorf("%s, nodes listed %v: %v", name, listed, err)
			}
		}
	}
}

func TestANodeInThePlaceOfAPodIsKnown(t *testing.T) {
	r := Reader{Client: fake.NewClientset(node("a", ""))}
	for name, want := range map[string]bool{"a": true, "nosuch": false} {
		_, err := r.CaptureTargets(t.Context(), "shop", []target.Ref{{Kind: "Pod", Name: name}}, "")
		var known NodeForPod
		if got := errors.As(err, &known) && known.Name == name; !apierrors.IsNotFound(err) || got != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDonorHasNoPullSecretsAndRuns(t *testing.T) {
	pod := func(name, image string, phase corev1.PodPhase, secrets ...string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name}, Spec: corev1.PodSpec{NodeName: "a", Containers: []corev1.Container{{Image: image}}}, Status: corev1.PodStatus{Phase: phase}}
		for _, s := range secrets {
			p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
		}
		return p
	}
	r := Reader{Client: fake.NewClientset(pod("a", "secret:1", corev1.PodRunning, "s"), pod("b", "gone:1", corev1.PodSucceeded), pod("c", "z:1", corev1.PodRunning), pod("d", "b:1", corev1.PodRunning))}
	inputs := r.Inputs(t.Context(), []Target{{Node: node("a", "")}}, true)
	if inputs[0].Donor != "b:1" {
		t.Errorf("donor %q", inputs[0].Donor)
	}
}

func TestANamespaceOfAnotherSessionIsNoAdvice(t *testing.T) {
	space := func(name string, labels map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	r := Reader{Client: fake.NewClientset(
		space("shop", nil), space("tools", map[string]string{NamespaceLabel: "yes", evaluate.EnforceLabel: "privileged"}),
		space("agents", map[string]string{evaluate.EnforceLabel: "privileged"}),
		space("nodeshell-1", map[string]string{evaluate.EnforceLabel: "privileged", podspec.RunLabel: "1"}),
	)}
	candidates, usable := r.Candidates(t.Context())
	slices.Sort(usable)
	if !slices.Equal(candidates, []string{"tools", "kube-system"}) || !slices.Equal(usable, []string{"agents", "tools"}) {
		t.Errorf("candidates %v, usable %v", candidates, usable)
	}
}
