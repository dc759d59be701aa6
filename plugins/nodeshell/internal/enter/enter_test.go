package enter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// runnerOn has a cluster that admits privileged pods in one namespace only.
func runnerOn(admits string) (*Runner, testkit.Env, *fake.Clientset) {
	client := fake.NewClientset()
	client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetNamespace() == admits {
			return true, a.(clienttesting.CreateAction).GetObject(), nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "p", errors.New(`violates PodSecurity "baseline:latest": host namespaces (hostPID=true)`))
	})
	env := testkit.NewEnv("kubectl nodeshell", now)
	return &Runner{
		env: env.Env, client: client, reader: collect.Reader{Client: client}, id: "1", options: Options{MaxDuration: time.Hour},
		cluster: &kube.Cluster{Clock: kube.NewClock(func() time.Time { return now }), Config: &rest.Config{}, Namespace: "x"},
	}, env, client
}

func (r *Runner) planOne(ctx context.Context) []Visit {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1"}}
	return r.Plan(ctx, []collect.Target{{Node: node}}, func(int, *evaluate.Options) {})
}

// Another namespace than the current one is looked for only where none was chosen.
func TestANamespaceThatWasChosenIsNotExchanged(t *testing.T) {
	tests := []struct {
		name        string
		admits      string
		given, free bool
		placed      string // empty: refused
	}{
		{"the current one admits it", "x", false, false, "x"},
		{"the next one does", "kube-system", false, false, "kube-system"},
		{"chosen", "kube-system", true, false, ""},
		{"-n names the pods of the call", "kube-system", true, true, "kube-system"},
		{"none does", "", false, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, _, _ := runnerOn(test.admits)
			r.cluster.NamespaceGiven, r.free = test.given, test.free
			visits := r.planOne(t.Context())
			if err := r.Place(t.Context(), visits, false); err != nil {
				t.Fatal(err)
			}
			v := visits[0]
			if test.placed == "" {
				if v.Verdict != report.Refused || len(v.Findings) == 0 || len(v.Findings[0].Next) == 0 {
					t.Errorf("%s: %v", v.Verdict, v.Refusal())
				}
				return
			}
			if v.Verdict != report.Ready || v.Namespace != test.placed || v.Options.Namespace != test.placed || v.Pod.Namespace != test.placed {
				t.Errorf("%s in %q: %s", v.Verdict, v.Namespace, v.Summary)
			}
		})
	}
}

// The namespace of one session is privileged, is the only one that is tried, and goes with the session.
func TestANamespaceIsMadeAndRemoved(t *testing.T) {
	r, _, client := runnerOn("nodeshell-1")
	r.options.CreateNamespace = true
	visits := r.planOne(t.Context())
	if err := r.Place(t.Context(), visits, false); err != nil || visits[0].Namespace != "nodeshell-1" {
		t.Fatalf("%v, %q", err, visits[0].Namespace)
	}
	made, err := client.CoreV1().Namespaces().Get(t.Context(), "nodeshell-1", metav1.GetOptions{})
	if err != nil || made.Labels[evaluate.EnforceLabel] != "privileged" {
		t.Fatalf("%v, %v", err, made)
	}
	r.RemoveNamespace(t.Context())
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "nodeshell-1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestNoticesAreForWhoeverMayReadThem(t *testing.T) {
	list := []finding.Finding{
		{Severity: finding.Critical, Message: "a"}, {Severity: finding.Warning, Message: "b"}, {Severity: finding.Info, Message: "c"},
	}
	for _, test := range []struct {
		terminal, quiet bool
		want            string
	}{
		{false, false, "warning: b\n"},
		{true, false, "warning: b\ninfo: c\n"},
		{true, true, ""},
	} {
		r, env, _ := runnerOn("")
		env.ErrTTY, r.options.Quiet = test.terminal, test.quiet
		r.Notices(list)
		if env.Stderr.String() != test.want {
			t.Errorf("%q; want %q", env.Stderr.String(), test.want)
		}
	}
}

// A policy may come into effect after the dry run: the way out is the same as if it had been seen there.
func TestAPodThatIsChangedOnlyWhenItIsMade(t *testing.T) {
	r, _, _ := runnerOn("x")
	r.cluster.NamespaceGiven = true
	visits := r.planOne(t.Context())
	if err := r.Place(t.Context(), visits, false); err != nil {
		t.Fatal(err)
	}
	v := visits[0]
	made := v.Pod.DeepCopy()
	if err := r.changed(t.Context(), v, made); err != nil {
		t.Errorf("the same pod: %v", err)
	}
	made.Spec.Containers[0].Image = "example.test/other:1"
	for admits, want := range map[string]string{"kube-system": "kubectl nodeshell w1 -n kube-system", "": "kubectl nodeshell w1 --image=example.test/other:1"} {
		other, _, _ := runnerOn(admits)
		other.cluster.NamespaceGiven = true
		var refused Refused
		if err := other.changed(t.Context(), v, made); !errors.As(err, &refused) || len(refused.Findings) == 0 || !strings.HasPrefix(refused.Findings[0].Next[0].Command, want) {
			t.Errorf("%q admits it: %v", admits, err)
		}
	}
}
