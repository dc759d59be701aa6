package kube

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// podsSeen keeps what it is handed.
type podsSeen struct {
	pods     []corev1.Pod
	restarts int
}

func (s *podsSeen) Restart() { s.pods, s.restarts = nil, s.restarts+1 }

func (s *podsSeen) Add(encoded []byte) error {
	var p corev1.Pod
	if err := p.Unmarshal(encoded); err != nil {
		return err
	}
	s.pods = append(s.pods, p)
	return nil
}

func podList(count int) *corev1.PodList {
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}}
	for i := range count {
		list.Items = append(list.Items, corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("p%03d", i), Labels: map[string]string{"app": strings.Repeat("x", i)}},
			Spec:       corev1.PodSpec{NodeName: "w1"},
		})
	}
	return list
}

// encoded is a list as the API server sends it in protobuf.
func encoded(t testing.TB, list *corev1.PodList) []byte {
	t.Helper()
	raw, err := list.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Raw: raw}
	data, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(protobufMagic, data)
}

// eachPod reads from a server that answers the list of the cache with the body, and pages with pods 0 to 2.
func eachPod(t *testing.T, status int, contentType string, body []byte) (*podsSeen, []string, error) {
	t.Helper()
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		w.Header().Set("Content-Type", contentType)
		if r.URL.Query().Get("limit") != "" {
			w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
			body, status = encoded(t, podList(3)), http.StatusOK
		}
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may have what it wants
	}))
	t.Cleanup(server.Close)
	client, err := newClients(&rest.Config{Host: server.URL}, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	seen := &podsSeen{}
	core := client.CoreV1()
	err = Each(t.Context(), core.RESTClient(), "pods", "", metav1.ListOptions{ResourceVersion: "0"}, core.Pods("").List, seen)
	return seen, asked, err
}

const cachedPods = "/api/v1/pods?resourceVersion=0"

func TestPodsArriveOneByOneInOneCall(t *testing.T) {
	for _, n := range []int{0, 1, 300} {
		want := podList(n)
		seen, asked, err := eachPod(t, http.StatusOK, runtime.ContentTypeProtobuf, encoded(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(asked, []string{cachedPods}) {
			t.Errorf("asked %v", asked)
		}
		if !equality.Semantic.DeepEqual(seen.pods, want.Items) {
			t.Errorf("%d pods differ from the list's %d", len(seen.pods), n)
		}
	}
}

func TestAnAnswerInJSONIsRead(t *testing.T) {
	for _, head := range []string{`"kind":"PodList","apiVersion":"v1",`, ""} {
		body := []byte(`{` + head + `"metadata":{},"items":[{"metadata":{"name":"a","namespace":"b"}}]}`)
		seen, asked, err := eachPod(t, http.StatusOK, "application/json", body)
		if err != nil || len(asked) != 1 || len(seen.pods) != 1 || seen.pods[0].Name != "a" {
			t.Errorf("%q: %v, asked %v, pods %v", head, err, asked, seen.pods)
		}
	}
}

// What does not arrive whole, or is no list of pods, is read again in pages, and nothing of it counts twice.
func TestABrokenListIsReadAgainInPages(t *testing.T) {
	whole := encoded(t, podList(300))
	partial := podList(2)
	partial.Continue = "more"
	other := bytes.Replace(whole, []byte("PodList"), []byte("PodMist"), 1)
	for name, body := range map[string][]byte{
		"cut in a pod": whole[:len(whole)-5], "cut in the middle": whole[:len(whole)/2], "cut in the head": whole[:6], "nothing": {},
		"not whole": encoded(t, partial), "another kind": other, "an absurd length": append(slices.Clone(whole[:20]), bytes.Repeat([]byte{0xff}, 40)...),
		"no list": []byte(`{"kind":"Status","apiVersion":"v1"}`), "no items": []byte(`{}`), "half of JSON": []byte(`{"kind":"PodList","items":[{"metadata":`),
	} {
		seen, asked, err := eachPod(t, http.StatusOK, runtime.ContentTypeProtobuf, body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := podList(3).Items; !equality.Semantic.DeepEqual(seen.pods, want) || seen.restarts != 2 {
			t.Errorf("%s: %d pods after %d restarts", name, len(seen.pods), seen.restarts)
		}
		if want := []string{cachedPods, "/api/v1/pods?limit=500"}; !slices.Equal(asked, want) {
			t.Errorf("%s: asked %v", name, asked)
		}
	}
}

// The server's own limit of time is no refusal: pages are smaller.
func TestARefusalIsNotAskedAgain(t *testing.T) {
	for status, calls := range map[int]int{http.StatusForbidden: 1, http.StatusInternalServerError: 1, http.StatusGatewayTimeout: 2} {
		_, asked, err := eachPod(t, status, "application/json", nil)
		if len(asked) != calls || (err == nil) != (calls == 2) {
			t.Errorf("%d: asked %v, error %v", status, asked, err)
		}
	}
}

// A list that the typed decoder reads is read the same here, or not at all.
func FuzzReadPods(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		f.Add(encoded(f, podList(n)))
	}
	whole := encoded(f, podList(2))
	f.Add(whole[:len(whole)-3])
	f.Add(binary.AppendUvarint(slices.Clone(whole), 3<<3|wireBytes))
	f.Fuzz(func(t *testing.T, body []byte) {
		seen := &podsSeen{}
		if err := readList[corev1.PodList](bytes.NewReader(body), "v1", seen); err != nil || !bytes.HasPrefix(body, protobufMagic) {
			return
		}
		var envelope runtime.Unknown
		var list corev1.PodList
		if err := envelope.Unmarshal(body[len(protobufMagic):]); err != nil {
			t.Fatalf("read, though the typed decoder does not: %v", err)
		}
		if err := list.Unmarshal(envelope.Raw); err != nil {
			t.Fatalf("read, though the typed decoder does not: %v", err)
		}
		if !equality.Semantic.DeepEqual(seen.pods, list.Items) {
			t.Fatalf("%d pods, and %d typed", len(seen.pods), len(list.Items))
		}
	})
}
