package evaluate

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// What admission made of a pod is told where it bears on the cause, and not what every pod gets.
func TestAPodThatIsNotAsItsTemplate(t *testing.T) {
	own := func(b *builder) { // the pod's container is no more the template's
		b.x().Spec.Containers = []corev1.Container{*b.c().DeepCopy()}
	}
	oom := crashed(3, 137, "OOMKilled")
	for _, tt := range []struct {
		name   string
		change func(b *builder)
		says   string // empty: nothing of a template
		next   string
	}{
		{"another image", func(b *builder) {
			b.c().Image = "mirror.test/api:2"
			b.status(waiting("ImagePullBackOff", `Back-off pulling image "mirror.test/api:2": manifest unknown: not found`))
		}, "; the pod is not as its template: api image api:2 → mirror.test/api:2", "mutatingwebhookconfigurations"},
		{"another command", func(b *builder) {
			b.c().Command = []string{"/wrapper"}
			b.status(crashed(4, 1, "Error"))
		}, "; the pod is not as its template: api command added /wrapper", "mutatingwebhookconfigurations"},
		{"a container that the template does not have", func(b *builder) {
			b.x().Spec.Containers = append(b.x().Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy:1"})
			s := crashed(5, 1, "Error")
			s.Name = "proxy"
			b.x().Status.ContainerStatuses = append(b.x().Status.ContainerStatuses, s)
			b.status(running(0))
		}, "; the pod template has no such container", "mutatingwebhookconfigurations"},
		{"a limit of a LimitRange", func(b *builder) {
			b.c().Resources.Limits = corev1.ResourceList{"memory": quantity("48Mi")}
			b.x().Annotations = map[string]string{"kubernetes.io/limit-ranger": "LimitRanger plugin set: memory limit for container api"}
			b.status(oom)
		}, "; the pod is not as its template: api resources.limits.memory added 48Mi", "describe limitrange"},
		{"a request that is the limit", func(b *builder) {
			b.rs.Spec.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"memory": quantity("48Mi")}
			b.c().Resources.Limits = corev1.ResourceList{"memory": quantity("48Mi")}
			b.c().Resources.Requests = corev1.ResourceList{"memory": quantity("48Mi")}
			b.status(oom)
		}, "", ""},
		{"the mount of the token", func(b *builder) {
			b.c().VolumeMounts = []corev1.VolumeMount{{Name: "kube-api-access-x", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}}
			b.status(crashed(4, 1, "Error"))
		}, "", ""},
		{"a label that bears on nothing", func(b *builder) {
			b.c().Image = "mirror.test/api:2"
			b.x().Spec.NodeName = ""
			b.unscheduled("0/2 nodes are available: 2 Insufficient cpu.")
		}, "", ""},
		{"an old pod", func(b *builder) { // its template is another one
			b.in.Pods[0].Status.ContainerStatuses[0] = crashed(6, 1, "Error")
			b.in.Pods[0].Status.ContainerStatuses[0].Name = "api"
		}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := deploymentCase()
			own(b)
			tt.change(b)
			text, step := "", ""
			for _, f := range Evaluate(b.in, now, model.Options{}).Items[0].Findings {
				for _, part := range strings.SplitAfter(f.Message, "; ") {
					if strings.Contains(part, "template") {
						text += "; " + strings.TrimSuffix(part, "; ")
					}
				}
				for _, n := range f.Next {
					if tt.next != "" && strings.Contains(n.Command, tt.next) {
						step = n.Command
					}
				}
			}
			if text != tt.says {
				t.Errorf("says %q, want %q", text, tt.says)
			}
			if tt.next != "" && step == "" {
				t.Errorf("no step leads to %s", tt.next)
			}
		})
	}
}
