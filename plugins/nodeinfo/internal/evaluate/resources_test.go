package evaluate

import (
	"fmt"
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func totalsAreTheSumOfTheRows(t *testing.T, n report.Node) {
	t.Helper()
	if n.Pods == nil {
		return
	}
	requests, limits := map[string]int64{}, map[string]int64{}
	for _, p := range n.Pods.Items {
		for name, a := range p.Requests {
			requests[name] += a.Value
		}
		for name, a := range p.Limits {
			limits[name] += a.Value
		}
	}
	for _, r := range n.Resources {
		if r.Name != "pods" && r.Requests.Value != requests[r.Name] {
			t.Errorf("%s: %s requests %d, the rows add up to %d", n.Name, r.Name, r.Requests.Value, requests[r.Name])
		}
		if r.Limits != nil && r.Limits.Value != limits[r.Name] {
			t.Errorf("%s: %s limits %d, the rows add up to %d", n.Name, r.Name, r.Limits.Value, limits[r.Name])
		}
		if r.Free != nil && r.Free.Value != r.Allocatable.Value-r.Requests.Value {
			t.Errorf("%s: %s free %d", n.Name, r.Name, r.Free.Value)
		}
	}
}

// kubectl describe node adds its totals up by another rule than its rows.
func TestTotalsAreTheSumOfTheRows(t *testing.T) {
	for _, name := range fixtures(t) {
		for _, n := range judge(load(t, name)).Items {
			totalsAreTheSumOfTheRows(t, n)
		}
	}
}

func quantity(random *rand.Rand) resource.Quantity {
	return *resource.NewMilliQuantity(int64(random.Intn(4000)), resource.DecimalSI)
}

func list(random *rand.Rand) corev1.ResourceList {
	out := corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{"cpu", "memory", "ephemeral-storage", "hugepages-2Mi"} {
		if random.Intn(2) == 0 {
			q := quantity(random)
			if name != "cpu" {
				q = *resource.NewQuantity(int64(random.Intn(1<<20)), resource.BinarySI)
			}
			out[name] = q
		}
	}
	return out
}

// anyPod has containers, init steps, sidecars, overhead, pod-level resources and a resize as chance wants.
func anyPod(random *rand.Rand, i int) corev1.Pod {
	p := corev1.Pod{}
	p.Name, p.Namespace, p.Spec.NodeName = fmt.Sprint("p", i), "x", "w1"
	p.Status.Phase = []corev1.PodPhase{corev1.PodRunning, corev1.PodPending, corev1.PodUnknown, corev1.PodSucceeded, corev1.PodFailed}[random.Intn(5)]
	always := corev1.ContainerRestartPolicyAlways
	for j := range 1 + random.Intn(3) {
		name := fmt.Sprint("c", j)
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: list(random), Limits: list(random)}})
		if random.Intn(3) == 0 {
			p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, AllocatedResources: list(random), Resources: &corev1.ResourceRequirements{Requests: list(random), Limits: list(random)}})
		}
	}
	for j := range random.Intn(3) {
		c := corev1.Container{Name: fmt.Sprint("i", j), Resources: corev1.ResourceRequirements{Requests: list(random), Limits: list(random)}}
		if random.Intn(2) == 0 {
			c.RestartPolicy = &always
		}
		p.Spec.InitContainers = append(p.Spec.InitContainers, c)
	}
	if random.Intn(3) == 0 {
		p.Spec.Overhead = list(random)
	}
	if random.Intn(4) == 0 {
		p.Spec.Resources = &corev1.ResourceRequirements{Requests: list(random)}
	}
	if random.Intn(4) == 0 {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible})
	}
	return p
}

// For pods of any shape a node's requests are what the scheduler charges for those that are not finished.
func TestRequestsAreWhatTheSchedulerCharges(t *testing.T) {
	random := rand.New(rand.NewSource(7))
	in := load(t, "healthy")
	in.Nodes = in.Nodes[:1]
	for range 60 {
		in.Pods = nil
		want := map[string]int64{}
		for i := range random.Intn(12) {
			p := anyPod(random, i)
			in.Pods = append(in.Pods, p)
			if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
				continue
			}
			// The options as k8s.io/kubernetes/pkg/scheduler/framework/types.go has them in 1.36.
			charge := helpers.PodRequests(&p, helpers.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true})
			for name := range charge {
				want[string(name)] += facts.Amount(name, charge).Value
			}
		}
		n := judge(in).Items[0]
		totalsAreTheSumOfTheRows(t, n)
		for _, r := range n.Resources {
			if r.Name != "pods" && r.Requests.Value != want[r.Name] {
				t.Fatalf("%s: %d, the scheduler charges %d", r.Name, r.Requests.Value, want[r.Name])
			}
		}
	}
}

// By hand: 500m and a sidecar of 100m run together, while the init step wants 2 beside the sidecar; 50m of overhead.
func TestTheTrickyPodsAreCountedRight(t *testing.T) {
	n := judge(load(t, "request-arithmetic")).Items[0]
	want := map[string]int64{
		"with-sidecar": 2150, "pod-level": 1000, "resizing": 2000, "infeasible": 500, "leaving": 200, "etcd-w1": 100, "b-c": 10, "c": 10, "done": 0, "cgroup-v1-unlimited": 0,
	}
	for _, p := range n.Pods.Items {
		got := int64(0)
		if a := p.Requests["cpu"]; a != nil {
			got = a.Value
		}
		if got != want[p.Name] {
			t.Errorf("%s: %dm, want %dm", p.Name, got, want[p.Name])
		}
		if p.Name == "cgroup-v1-unlimited" && p.Limits["memory"] != nil {
			t.Errorf("no limit counts as %s", p.Limits["memory"].Quantity)
		}
	}
}
