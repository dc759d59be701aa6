package collect

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// fixtures are the pods of every saved input of evaluate, as the API server would send them.
func fixtures(t testing.TB) []corev1.Pod {
	t.Helper()
	files, err := filepath.Glob("../evaluate/testdata/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var pods []corev1.Pod
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var input evaluate.Input
		if filepath.Base(file) == "report.yaml" || yaml.Unmarshal(data, &input) != nil {
			continue
		}
		pods = append(pods, input.Pods...)
	}
	if len(pods) < 50 {
		t.Fatalf("only %d pods in the fixtures", len(pods))
	}
	return pods
}

// full is a pod of which every field is set, the recursive ones to a depth; each call gives other values.
func full(t testing.TB, seed int) corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	fill(t, reflect.ValueOf(&pod).Elem(), &seed)
	pod.Annotations[corev1.MirrorPodAnnotationKey] = "mirror"
	return pod
}

func fill(t testing.TB, v reflect.Value, seed *int) {
	*seed++
	switch special := v.Addr().Interface().(type) {
	case *metav1.Time:
		*special = metav1.NewTime(time.Unix(int64(1e9+*seed), 0))
		return
	case *resource.Quantity:
		*special = *resource.NewMilliQuantity(int64(*seed)*100, resource.DecimalSI)
		return
	case *metav1.FieldsV1:
		*special = *metav1.NewFieldsV1(`{"f:spec":{}}`)
		return
	case *intstr.IntOrString:
		*special = intstr.FromInt32(int32(*seed))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("s" + strings.Repeat("x", *seed%200))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*seed))
	case reflect.Uint8:
		v.SetUint(uint64(*seed % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), seed)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), seed)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, seed)
			fill(t, value, seed)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i), seed)
			}
		}
	default:
		t.Fatalf("no value for %s", v.Type())
	}
}

// typed is what the typed decoder and trim.Pods make of a pod; nil: it cannot be decoded.
func typed(data []byte) *corev1.Pod {
	var pod corev1.Pod
	if pod.Unmarshal(data) != nil {
		return nil
	}
	return &trim.Pods([]corev1.Pod{pod})[0]
}

// samePacked packs one pod and compares what comes out with what the typed decoder gives.
func samePacked(t *testing.T, data []byte) {
	t.Helper()
	want, s := typed(data), &packed{whole: true}
	s.Restart()
	err := s.Add(data)
	switch {
	case want == nil:
		return // what is cut is not looked at: Add may take what the decoder refuses
	case err != nil:
		t.Fatalf("not packed: %v", err)
	}
	got := s.On(want.Spec.NodeName)
	if want.Spec.NodeName == "" {
		if len(got) != 0 {
			t.Fatal("a pod without a node is kept")
		}
		return
	}
	if len(got) != 1 || !equality.Semantic.DeepEqual(got[0].Pod, *want) {
		t.Fatalf("packed:\n%+v\ntyped:\n%+v", got, *want)
	}
}

func encode(t testing.TB, p *corev1.Pod) []byte {
	t.Helper()
	data, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAPackedPodIsWhatTheTypedDecoderGives(t *testing.T) {
	pods := fixtures(t)
	for i := range 40 {
		p := full(t, i*37)
		if i%3 == 0 {
			p.Name, p.Namespace, p.Labels["tier"] = "kube-proxy-x", metav1.NamespaceSystem, "control-plane"
			p.Spec.Containers[0].Command = []string{"kube-controller-manager", "--leader-elect=false"}
		}
		pods = append(pods, p)
	}
	for i := range pods {
		samePacked(t, encode(t, &pods[i]))
	}
}

// Nothing that trim.Pods drops is held until a node is judged.
func TestAPackedPodIsSmall(t *testing.T) {
	p := full(t, 1)
	s := &packed{}
	s.Restart()
	if err := s.Add(encode(t, &p)); err != nil {
		t.Fatal(err)
	}
	kept, want := len(s.chunks[0]), p.DeepCopy()
	data := encode(t, &trim.Pods([]corev1.Pod{*want})[0])
	if kept > len(data)*3/2 {
		t.Errorf("%d bytes are kept of %d; trimmed it has %d", kept, len(encode(t, &p)), len(data))
	}
}

// Packed pods come by node, in order, over the ends of chunks.
func TestPackedPodsAreFoundByNode(t *testing.T) {
	s := &packed{}
	s.Restart()
	long := strings.Repeat("m", chunkSize/3)
	for _, name := range []string{"c", "a", "b", "d"} {
		for _, node := range []string{"w1", "w2", ""} {
			p := corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name + node}, Spec: corev1.PodSpec{NodeName: node},
				Status: corev1.PodStatus{Message: long},
			}
			if err := s.Add(encode(t, &p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var names []string
	for _, p := range s.On("w2") {
		if p.Status.Message != long {
			t.Errorf("%s: %d bytes of message", p.Name, len(p.Status.Message))
		}
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "aw2 bw2 cw2 dw2" || len(s.On("w3")) != 0 || len(s.chunks) < 3 {
		t.Errorf("%s in %d chunks", got, len(s.chunks))
	}
	s.Restart()
	if len(s.On("w2")) != 0 {
		t.Error("pods of the first reading are left")
	}
}

func FuzzPackedPods(f *testing.F) {
	for i, p := range fixtures(f) {
		if i%10 == 0 {
			f.Add(encode(f, &p))
		}
	}
	p := full(f, 5)
	f.Add(encode(f, &p))
	f.Fuzz(func(t *testing.T, data []byte) { samePacked(t, data) })
}

// What is cut of an encoded node is what trim.Node drops.
func TestACutNodeIsWhatTheTypedDecoderGives(t *testing.T) {
	for i := range 20 {
		var node corev1.Node
		seed := i * 31
		fill(t, reflect.ValueOf(&node).Elem(), &seed)
		if i%2 == 0 {
			node.ManagedFields[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{"f:unschedulable":{}}}`)
		}
		data, err := node.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		node.TypeMeta = metav1.TypeMeta{} // is not encoded
		small, ok := trim.NodeCut.Apply(nil, data)
		if !ok || len(small) > len(data)*9/10 {
			t.Fatalf("%t, %d bytes of %d", ok, len(small), len(data))
		}
		var got corev1.Node
		if err := got.Unmarshal(small); err != nil {
			t.Fatal(err)
		}
		trim.Node(&node)
		trim.Node(&got)
		if !equality.Semantic.DeepEqual(got, node) {
			t.Errorf("cut:\n%+v\nwhole:\n%+v", got, node)
		}
	}
}
