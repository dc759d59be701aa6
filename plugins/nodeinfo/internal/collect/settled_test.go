package collect

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// settledPod runs well, beside an init container that is done and a sidecar.
func settledPod(i int) corev1.Pod {
	at := metav1.NewTime(time.Unix(int64(1e9+i), 0))
	yes, always := true, corev1.ContainerRestartPolicyAlways
	resources := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{"memory": resource.MustParse("128Mi")},
	}
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: fmt.Sprintf("web-%d", i), UID: "u", CreationTimestamp: at, Labels: map[string]string{"app": "web"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web", UID: "r", Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			NodeName: "w1", Hostname: fmt.Sprint("web", i), InitContainers: []corev1.Container{
				{Name: "first", Image: "i:1", Resources: resources}, {Name: "beside", Image: "i:1", RestartPolicy: &always, Resources: resources},
			},
			Containers: []corev1.Container{{Name: "web", Image: "i:1", Resources: resources, Args: []string{"--leader-elect=false"}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.0.0.%d", i), StartTime: &at},
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady, corev1.PodInitialized, corev1.PodScheduled} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at})
	}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at, FinishedAt: at}}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{
		{Name: "first", State: ended, Ready: true, Started: new(bool)}, {Name: "beside", State: runs, Ready: true, Started: &yes},
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", State: runs, Ready: true, Started: &yes, Image: "i:1", ImageID: "x"}}
	return p
}

// judge evaluates a node with pods, as they were read with or without being reduced.
func judge(t testing.TB, pods []corev1.Pod, packed evaluate.Input) string {
	t.Helper()
	now := time.Unix(1e9+100000, 0)
	in := packed
	in.Now, in.Depth, in.Pods = now, evaluate.Pods, pods
	in.Nodes = []corev1.Node{{
		ObjectMeta: metav1.ObjectMeta{Name: "w1", CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0))},
		Spec:       corev1.NodeSpec{PodCIDR: "10.0.0.0/28"},
		Status:     corev1.NodeStatus{Allocatable: corev1.ResourceList{"cpu": resource.MustParse("1"), "pods": resource.MustParse("3")}},
	}}
	in.DaemonSets = fixtureDaemonSets()
	for _, name := range []string{evaluate.SourceNodes, evaluate.SourcePods, evaluate.SourceDaemonSets, evaluate.SourceLeases} {
		in.Sources = append(in.Sources, source.Source{Name: name, State: source.OK})
	}
	data, err := json.MarshalIndent(evaluate.Evaluate(in, now, evaluate.Options{Kubectl: finding.Kubectl{}}), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// sameReport judges pods whole and as they are packed, and gives how many were settled.
func sameReport(t testing.TB, what string, encoded ...[]byte) int {
	t.Helper()
	whole, s := []corev1.Pod{}, &packed{}
	s.Restart()
	for _, data := range encoded {
		p := typed(data)
		if p == nil || s.Add(data) != nil {
			return 0
		}
		whole = append(whole, *p)
	}
	want, got := judge(t, whole, evaluate.Input{}), judge(t, nil, evaluate.Input{Packed: s})
	if want != got {
		t.Errorf("%s: the report on the packed pod differs:\n%s\nwhole:\n%s", what, got, want)
	}
	settled := 0
	for _, p := range s.On("w1") {
		if p.Shape != 0 {
			settled++
		}
	}
	return settled
}

// Whatever else a settled pod has or lacks: either it is kept whole, or the report is the same.
func TestTheReportIsTheSameWhetherAPodIsReduced(t *testing.T) {
	other := settledPod(2)
	data := encode(t, &other)
	pod := settledPod(1)
	if n := sameReport(t, "settled pods", encode(t, &pod), data); n != 2 {
		t.Fatalf("%d of two pods are settled", n)
	}
	fields, settled := 0, 0
	eachField(t, reflect.ValueOf(&pod).Elem(), "pod", func(path string) {
		fields++
		settled += sameReport(t, path, encode(t, &pod), data)
	})
	if fields < 500 || settled < fields*5/4 {
		t.Errorf("%d fields, %d pods settled", fields, settled)
	}
	static, daemon := settledPod(3), settledPod(4)
	static.Namespace, static.Labels["component"] = metav1.NamespaceSystem, "etcd"
	static.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	daemon.OwnerReferences[0].Kind, daemon.OwnerReferences[0].UID = "DaemonSet", "d"
	pods := append(fixtures(t), static, daemon)
	for i := range pods {
		pods[i].Spec.NodeName = "w1"
		sameReport(t, pods[i].Name, encode(t, &pods[i]), data)
	}
}

// A pod that requests devices is named by the report, reduced or not; what a ResourceClaim serves is not counted as the node's.
func TestRequestsOfDevicesOutliveTheReduction(t *testing.T) {
	device := func(i int) corev1.Pod {
		p := settledPod(i)
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
		return p
	}
	a, b, claims := device(1), device(2), device(3)
	claims.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{
		ResourceClaimName: "c", RequestMappings: []corev1.ContainerExtendedResourceRequest{{ContainerName: "web", ResourceName: "example.com/gpu", RequestName: "r"}},
	}
	if n := sameReport(t, "devices", encode(t, &a), encode(t, &b), encode(t, &claims)); n != 2 {
		t.Errorf("%d of three pods are settled", n)
	}
	if text := judge(t, []corev1.Pod{a, b, claims}, evaluate.Input{}); !strings.Contains(text, `"requested": 2`) {
		t.Error(text)
	}
}

// The health of a pod's devices is kept as it came, saved, and reported of a whole fleet.
func TestHealthOfDevicesIsKept(t *testing.T) {
	with := func(i int, health corev1.ResourceHealthStatus) corev1.Pod {
		p := settledPod(i)
		p.Status.ContainerStatuses[0].AllocatedResourcesStatus = []corev1.ResourceStatus{{
			Name: "example.com/gpu", Resources: []corev1.ResourceHealth{{ResourceID: "GPU-1", Health: health}},
		}}
		return p
	}
	for health, settled := range map[corev1.ResourceHealthStatus]int{"Healthy": 2, "Unhealthy": 1, "Unknown": 1} {
		other, p := settledPod(1), with(2, health)
		if n := sameReport(t, string(health), encode(t, &other), encode(t, &p)); n != settled {
			t.Errorf("%s: %d of two pods are settled", health, n)
		}
		trimmed := trim.Pods([]corev1.Pod{p})
		saved, err := json.Marshal(evaluate.Input{Pods: trimmed})
		if err != nil {
			t.Fatal(err)
		}
		var read evaluate.Input
		if err := json.Unmarshal(saved, &read); err != nil {
			t.Fatal(err)
		}
		found := strings.Contains(judge(t, read.Pods, evaluate.Input{}), `"DeviceUnhealthy"`)
		if found != (health != corev1.ResourceHealthStatusHealthy) {
			t.Errorf("%s: reported %t", health, found)
		}
	}
}

// eachField sets each field below v, one at a time, to some value and to none, and calls visit.
func eachField(t testing.TB, v reflect.Value, path string, visit func(path string)) {
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	for seed := range 2 {
		value := reflect.New(v.Type()).Elem()
		if seed > 0 {
			fill(t, value, &seed)
		}
		v.Set(value)
		visit(fmt.Sprintf("%s=%d", path, seed))
		v.Set(old)
	}
	switch v.Interface().(type) {
	case metav1.Time, resource.Quantity, metav1.FieldsV1:
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				eachField(t, v.Field(i), path+"."+v.Type().Field(i).Name, visit)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			element := reflect.New(v.Type().Elem())
			element.Elem().Set(v.Elem())
			v.Set(element) // not that of others
			eachField(t, v.Elem(), path, visit)
			v.Set(old)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachField(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
		if v.Len() > 0 {
			v.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()+1), v))
			added := reflect.New(v.Type().Elem()).Elem()
			seed := 3
			fill(t, added, &seed)
			v.Set(reflect.Append(v, added))
			visit(path + "+")
			v.Set(old)
		}
	}
}

func FuzzSettledPods(f *testing.F) {
	for i := range 3 {
		p := settledPod(i)
		f.Add(encode(f, &p))
	}
	for i, p := range fixtures(f) {
		if i%20 == 0 {
			f.Add(encode(f, &p))
		}
	}
	other := settledPod(9)
	beside := encode(f, &other)
	f.Fuzz(func(t *testing.T, data []byte) { sameReport(t, "pod", data, beside) })
}

// fixtureDaemonSets is one whose pod is missing, unless a pod is its own.
func fixtureDaemonSets() []appsv1.DaemonSet {
	return []appsv1.DaemonSet{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "agent", UID: "d", CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0))},
		Status:     appsv1.DaemonSetStatus{DesiredNumberScheduled: 1},
	}}
}

// What is held of settled pods grows with their names alone, at any number.
func TestSettledPodsTakeFewBytes(t *testing.T) {
	for _, n := range []int{100, 1000, 4000} {
		s := &packed{}
		s.Restart()
		for i := range n {
			p := settledPod(i)
			if err := s.Add(encode(t, &p)); err != nil {
				t.Fatal(err)
			}
		}
		if held := len(s.byNode["w1"].settled); held > 30*n || len(s.shapes) != 1 || len(s.seen) != 1 || len(s.chunks) > 0 {
			t.Errorf("%d pods: %d bytes, %d shapes of %d, %d chunks", n, held, len(s.shapes), len(s.seen), len(s.chunks))
		}
	}
}
