package dump

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	pod    = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}}`
	secret = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: key\ndata:\n  key: aGlkZGVu\n"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an object":                     {pod, "Pod shop/web"},
		"a list":                        {`{"apiVersion": "v1", "kind": "List", "items": [` + pod + `, ` + pod + `]}`, "list Pod shop/web Pod shop/web"},
		"a list of lists":               {`{"kind": "List", "items": [{"kind": "List", "items": [` + pod + `]}]}`, "list Pod shop/web"},
		"documents":                     {"---\n" + secret + "---\n# nothing\n---\n" + pod, "Secret /key; Pod shop/web"},
		"a typed list, without kinds":   {`{"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "web", "namespace": "shop"}}]}`, "list Pod shop/web"},
		"an item that is no object":     {`{"kind": "List", "items": [1, null, ` + pod + `]}`, "list Pod shop/web"},
		"a separator within an object":  {"kind: ConfigMap\nmetadata: {name: a}\ndata:\n  b: |\n    ---\n    c\n", "ConfigMap /a"},
		"a document that is no mapping": {"- 1\n---\n" + pod, "Pod shop/web"},
	} {
		documents, err := Read([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, d := range documents {
			var line []string
			if d.List {
				line = append(line, "list")
			}
			for _, o := range d.Objects {
				line = append(line, o.Kind()+" "+o.Namespace()+"/"+o.Name())
			}
			got = append(got, strings.Join(line, " "))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestWhatIsNoDump(t *testing.T) {
	list := "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: web\n"
	for text, want := range map[string]string{
		"": "the file contains no Kubernetes objects", "garbage": "the file contains no Kubernetes objects", "[]": "the file contains no Kubernetes objects",
		`{"kind": "List", "items": []}`: "the file contains no Kubernetes objects",
		list:                            "the file is cut: a list has no kind after its items",
		"a: b: c\n  d":                  "the file is neither YAML nor JSON: ",
		"\x00\x01\x02":                  "the file is neither YAML nor JSON: ",
		pod[:40]:                        "the file is neither YAML nor JSON: ",
	} {
		_, err := Read([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
	var pods []corev1.Pod
	if err := Into(Object{"kind": "Pod", "metadata": map[string]any{"name": "web"}, "spec": "none"}, &pods); err == nil ||
		!strings.HasPrefix(err.Error(), "Pod web: ") {
		t.Error(err)
	}
}

// What a node writes by its own clock is no time of the API server.
func TestClock(t *testing.T) {
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(at)}}
	written := metav1.NewTime(at.Add(time.Minute))
	p.ManagedFields = []metav1.ManagedFieldsEntry{{}, {Time: &written}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at.Add(time.Hour))}},
	}}
	var server, all Clock
	server.SeeServer(&p.ObjectMeta)
	all.SeePod(p)
	if !server.Newest.Equal(at.Add(time.Minute)) || !all.Newest.Equal(at.Add(time.Hour)) {
		t.Error(server.Newest, all.Newest)
	}
}
