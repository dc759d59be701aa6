package evaluate

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/diff"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/load"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Values of secrets stand neither in changes nor in a saved snapshot, wherever the template has them.
func TestValuesOfSecretsAreNotShown(t *testing.T) {
	template := func(value string) *corev1.PodTemplateSpec {
		ref := corev1.EnvVar{Name: "DB_PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "creds-" + value}, Key: "pw"}}}
		return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "api", Env: []corev1.EnvVar{{Name: "API_TOKEN", Value: "from hidden-" + value}, ref},
			Args:    []string{"serve", "--password=hidden-" + value, "--port=80" + value},
			Command: []string{"sh", "-c", "KEY_TOKEN=hidden-" + value + " app --token hidden-" + value},
		}}}}
	}
	want := []report.Change{
		{Path: "containers[api].command", Kind: "changed", From: "sh -c KEY_TOKEN=*** app --token ***", To: "sh -c KEY_TOKEN=*** app --token ***"},
		{Path: "containers[api].args", Kind: "changed", From: "serve --password=*** --port=801", To: "serve --password=*** --port=802"},
		{Path: "containers[api].env[API_TOKEN]", Kind: "changed", From: "***", To: "***"},
		{Path: "containers[api].env[DB_PASSWORD]", Kind: "changed", From: "from secret creds-1/pw", To: "from secret creds-2/pw"},
	}
	if d := cmp.Diff(want, diff.Templates(template("1"), template("2"))); d != "" {
		t.Error(d)
	}
	twice := func(value string) *corev1.PodTemplateSpec {
		t := template("1")
		t.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "DB_URL", Value: "x"}, {Name: "DB_URL", Value: "hidden-" + value}}
		return t
	}
	if got := diff.Templates(twice("1"), twice("2")); len(got) != 1 || got[0].From != "***" {
		t.Errorf("a variable that is there twice: %+v", got)
	}
	in := deploymentCase().in
	in.Deployments[0].Spec.Template = *template("1")
	exec := []string{"mysqladmin", "--password=hidden 5", "ping"}
	c := &in.Deployments[0].Spec.Template.Spec.Containers[0]
	c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: exec}}}
	c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: exec}}}
	in.Rollouts = []map[string]any{{"spec": map[string]any{"containers": []any{map[string]any{"args": []any{"--token", "hidden-3", "--password=hidden-4", "on"}}}}}}
	safe, err := load.Masked(in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(safe)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hidden") || !strings.Contains(string(data), `"on"`) {
		t.Errorf("%s", data)
	}
}

// A secret that no name marks is planted wherever a program, a kubelet or a template may put one.
func TestNoSecretIsQuotedOrSaved(t *testing.T) {
	const planted = "postgres://app:canary1@db/shop"
	b := deploymentCase().status(crashed(1, 4, "Error"))
	b.s().State.Terminated.Message = "dial " + planted
	b.s().LastTerminationState.Terminated.Message = "dial " + planted
	b.podEvent("BackOff", "restarting: "+planted, 3)
	b.in.Logs = []model.PodLog{{UID: string(b.x().UID), Container: "api", Lines: []string{"Authorization: Bearer canary2canary", "connect " + planted}}}
	b.in.Logs = append(b.in.Logs, b.in.Logs[0])
	b.in.Logs[1].Previous = true
	for _, c := range []*corev1.Container{b.c(), &b.d.Spec.Template.Spec.Containers[0], &b.in.ReplicaSets[1].Spec.Template.Spec.Containers[0]} {
		c.Env = []corev1.EnvVar{{Name: "DB", Value: planted}}
		c.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Api-Key", Value: "canary3"}}}}}
	}
	shape := "ghp_" + strings.Repeat("canary1", 6)
	for _, c := range []*corev1.Container{b.c(), &b.d.Spec.Template.Spec.Containers[0], &b.in.ReplicaSets[1].Spec.Template.Spec.Containers[0]} {
		c.Env = append(c.Env, corev1.EnvVar{Name: "SETTINGS", Value: `{"user":"a","password":"canary5"}`}, corev1.EnvVar{Name: "GIT", Value: shape},
			corev1.EnvVar{Name: "CERT", Value: "-----BEGIN PRIVATE KEY-----\ncanary6\n-----END PRIVATE KEY-----"})
		c.Command = []string{"mysql", "-u", "app", "-p", "canary7", "--header=Authorization: Token canary8", "http://app:canary9@api:80/v1"}
		c.Args = []string{"-H", "X-Auth-Token: canary10", "--user", "app:canary11"}
		c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "redis-cli -a canary12 ping; curl -u app:canary13 x"}}}}
		c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/stop?token=canary14"}}}
	}
	for _, meta := range []*metav1.ObjectMeta{&b.d.ObjectMeta, &b.in.ReplicaSets[0].ObjectMeta, &b.in.ReplicaSets[1].ObjectMeta} {
		meta.Annotations = maps.Clone(meta.Annotations)
		if meta.Annotations == nil {
			meta.Annotations = map[string]string{}
		}
		meta.Annotations["kubernetes.io/change-cause"] = "kubectl set env deployment/api TOKEN=canary15"
		meta.Annotations["example.com/api-token"] = "canary16"
	}
	b.x().Annotations = map[string]string{"example.com/dsn": planted, "vault.example.com/token": "canary17"}
	b.x().Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d", Env: []corev1.EnvVar{{Name: "TOKEN", Value: "canary4"}}}}}
	saved, err := load.Masked(b.in)
	if err != nil {
		t.Fatal(err)
	}
	list := Evaluate(b.in, now, model.Options{LogLines: 5, Diff: true, History: true})
	if f := wait.RootOf(&list.Items[0]); f == nil || f.Log == nil || !strings.Contains(strings.Join(f.Log.Lines, " "), "connect postgres://app:***@db/shop") {
		t.Errorf("the log is not quoted, and shows nothing: %+v", f)
	}
	for name, v := range map[string]any{"report": list, "saved input": saved} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 18 {
			if i := strings.Index(string(data), fmt.Sprintf("canary%d", n)); i >= 0 {
				t.Errorf("%s: …%s…", name, data[max(0, i-90):min(len(data), i+30)])
			}
		}
	}
}
