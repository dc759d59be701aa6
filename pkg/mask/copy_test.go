package mask

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestACopyHidesAndTheOriginalStays(t *testing.T) {
	type variable struct{ Name, Value string }
	type object struct {
		Env  []variable
		Args []string
		Map  map[string]string
		Any  any
		Node string
	}
	planted := object{
		Env: []variable{{"DB_PASSWORD", "canary1"}, {"MODE", "fast"}}, Args: []string{"--token", "canary2", "-v"},
		Map: map[string]string{"dsn": "redis://u:canary3@db", lastApplied: "canary4"}, Any: []any{"password=canary5"}, Node: "worker-1",
	}
	before := fmt.Sprintf("%+v", planted)
	got := fmt.Sprintf("%+v", Copy(planted))
	if strings.Contains(got, "canary") || !strings.Contains(got, "fast") || !strings.Contains(got, "redis://u:***@db") || !strings.Contains(got, "worker-1") {
		t.Error(got)
	}
	if after := fmt.Sprintf("%+v", planted); after != before {
		t.Errorf("the original became %s", after)
	}
}

// A pod is saved as it is, without the values of what its template names a secret.
func TestACopyOfAPodHidesByItsPlaces(t *testing.T) {
	get := &corev1.HTTPGetAction{HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Auth", Value: "canary1"}}}
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "auth", Labels: map[string]string{"example.com/auth": "basic"}, Annotations: map[string]string{"example.com/auth-token": "canary2"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "auth", Command: []string{"mysql", "-p", "canary3"}, Args: []string{"--dsn=canary4", "--port", "80"},
			Env:            []corev1.EnvVar{{Name: "AUTH", Value: "canary5"}, {Name: "MODE", Value: "fast"}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: get}},
			LivenessProbe:  &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"redis-cli", "-a", "canary6"}}}},
		}}},
	}
	got := fmt.Sprintf("%+v", Copy(pod))
	for _, kept := range []string{"auth", "basic", "--port 80", "fast", "mysql"} {
		if !strings.Contains(got, kept) {
			t.Errorf("%q is gone: %s", kept, got)
		}
	}
	if data, err := json.Marshal(Copy(pod)); err != nil || strings.Contains(string(data), "canary") {
		t.Errorf("%v: %s", err, data)
	}
}

// The arguments of a plugin in a Corefile are words of one line.
func TestACopyHidesWhatTheWordBeforeMakesASecret(t *testing.T) {
	for words, want := range map[string]string{
		"header|Authorization:|Bearer|canary7|then": "header|Authorization:|Bearer|***|then",
		"a|-----BEGIN|PRIVATE|KEY-----|MIIE|b":      "a|-----BEGIN|PRIVATE|KEY-----***|***|***",
		"two words|password:|canary":                "two words|password:|canary", // words of several lines
		"password:|required":                        "password:|required",
	} {
		if got := strings.Join(Copy(strings.Split(words, "|")), "|"); got != want {
			t.Errorf("%s: %s", words, got)
		}
	}
}
