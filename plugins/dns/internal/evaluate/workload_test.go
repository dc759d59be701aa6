package evaluate

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

func forbid(in *Input, names ...string) {
	for i := range in.Sources {
		if slices.Contains(names, in.Sources[i].Name) {
			in.Sources[i] = source.Source{Name: in.Sources[i].Name, State: source.Forbidden, Verb: "list", Resource: in.Sources[i].Name}
		}
	}
}

// strange makes the Service select metrics-server instead of the DNS pods.
func strange(in *Input) {
	l := map[string]string{"k8s-app": "metrics-server"}
	in.Services[0].Spec.Selector = l
	spec := corev1.PodSpec{NodeName: "n1", ServiceAccountName: "metrics-server", Containers: []corev1.Container{{Name: "metrics-server", Image: "metrics-server:1", Ports: []corev1.ContainerPort{{Name: "https", ContainerPort: 10250}}}}}
	pod := dnsPod("metrics-server-x", "n1", "10.244.1.50")
	pod.Labels, pod.Spec = l, spec
	in.Pods = append(in.Pods, pod)
	in.Deployments = append([]appsv1.Deployment{{ObjectMeta: labeled("kube-system", "a-metrics-server", nil), Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: l}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: spec},
	}}}, in.Deployments...)
	in.Slices[0].Endpoints = in.Slices[0].Endpoints[:0:0]
	in.Slices[0].Endpoints = append(in.Slices[0].Endpoints, endpointAt("10.244.1.50", true))
}

func TestAServiceThatSelectsOtherPodsIsNamedWithTheRightSelector(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"all readable":           func(*Input) {},
		"deployments unreadable": func(in *Input) { in.Deployments = nil; forbid(in, "deployments", "daemonsets") },
		"pods unreadable":        func(in *Input) { in.Pods, in.Probes = nil, nil; forbid(in, "pods") },
		"a permission is missing too": func(in *Input) {
			in.Access[0].Allowed = false
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := healthy()
			strange(&in)
			change(&in)
			got := judge(answered(in))
			if got.PrimaryCode != "DNSServiceWithoutDNSPods" || !strings.Contains(got.Summary, "has selector k8s-app=metrics-server, but the") {
				t.Fatalf("%s %s", got.PrimaryCode, got.Summary)
			}
			if next := got.Findings[0].Next[0].Command; next != "kubectl set selector service kube-dns k8s-app=kube-dns -n kube-system" {
				t.Errorf("next: %s", next)
			}
			if i := slices.IndexFunc(got.Replicas, func(r report.Replica) bool { return strings.HasPrefix(r.Name, "metrics") }); i >= 0 {
				t.Errorf("counted as a DNS server: %s", got.Replicas[i].Name)
			}
			if name != "a permission is missing too" && len(got.Findings) > 1 {
				t.Errorf("also: %+v", got.Findings[1:])
			}
		})
	}
}

// A pod that the Service selects beside the DNS pods gets a part of the queries; it is no silent DNS server.
func TestAPodSelectedBesideTheDNSPodsIsNoDNSServer(t *testing.T) {
	in := healthy()
	pod := dnsPod("log-shipper", "n1", "10.244.1.51")
	pod.Labels = map[string]string{"tier": "system"}
	pod.Spec = corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{{Name: "c", Image: "shipper:1"}}}
	in.Services[0].Spec.Selector = map[string]string{"tier": "system"}
	for i := range in.Pods {
		in.Pods[i].Labels["tier"] = "system"
	}
	in.Deployments[0].Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}}
	in.Deployments[0].Spec.Template.Labels["tier"] = "system"
	in.Pods = append(in.Pods, pod)
	in.Slices[0].Endpoints = append(in.Slices[0].Endpoints, endpointAt("10.244.1.51", true))
	got := judge(answered(in))
	if got.PrimaryCode != "DNSServiceEndpointsMismatch" || len(got.Findings) != 1 || !strings.Contains(got.Summary, "sends some queries to 10.244.1.51, where no DNS pod runs") {
		t.Errorf("%s %s %+v", got.PrimaryCode, got.Summary, got.Findings)
	}
}

// Servers of another make are DNS servers where the Service selects them, whatever else runs in the namespace.
func TestServersOfAnotherMakeAreNotForeign(t *testing.T) {
	in := healthy()
	l := map[string]string{"app": "unbound"}
	in.Services[0].Spec.Selector = l
	for i := range in.Pods {
		in.Pods[i].Labels = l
		in.Pods[i].Spec.Containers = []corev1.Container{{Name: "unbound", Image: "unbound:1"}}
	}
	in.Deployments = append(in.Deployments, appsv1.Deployment{ObjectMeta: labeled("kube-system", "unbound", nil), Spec: appsv1.DeploymentSpec{
		Replicas: ptr(int32(2)), Selector: &metav1.LabelSelector{MatchLabels: l}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}},
	}})
	in.Deployments[0].Spec.Replicas = ptr(int32(0)) // the CoreDNS that it replaced
	if got := judge(answered(in)); got.Verdict != report.Healthy {
		t.Errorf("%s %+v", got.Summary, got.Findings)
	}
}

func TestTheAccountThatWasAskedIsTheOneNamed(t *testing.T) {
	in := healthy()
	in.Deployments[0].Spec.Template.Spec.ServiceAccountName = "dns-runner"
	for i := range in.Access {
		in.Access[i].Allowed = false
	}
	f := judge(answered(in)).Findings[0]
	if f.Code != "DNSServerForbidden" || !strings.Contains(f.Message, "ServiceAccount kube-system/dns-runner lacks") {
		t.Errorf("%s", f.Message)
	}
	if want := "kubectl get clusterrolebindings -o wide | grep kube-system/dns-runner"; f.Next[0].Command != want {
		t.Errorf("first the bindings: %s", f.Next[0].Command)
	}
	if len(f.Next) != 1 {
		t.Errorf("the role of another installer is not known: %v", f.Next)
	}
	in.Deployments[0].Spec.Template.Spec.ServiceAccountName = "coredns"
	f = judge(answered(in)).Findings[0]
	if want := "kubectl create clusterrolebinding system:coredns --clusterrole=system:coredns --serviceaccount=kube-system:coredns"; f.Next[1].Command != want {
		t.Errorf("with every right missing the binding is made again: %s", f.Next[1].Command)
	}
	in.Access[0].Allowed = true
	for _, n := range judge(answered(in)).Findings[0].Next {
		if strings.Contains(n.Command, "create clusterrolebinding") {
			t.Errorf("with some rights there is a binding: %s", n.Command)
		}
	}
}

// kube-dns needs endpoints and Services alone, and has no dns-version.
func TestKubeDNSIsNotHeldAgainstCoreDNS(t *testing.T) {
	in := healthy()
	for i := range in.Pods {
		in.Pods[i].Spec.Containers[0].Image = "registry.k8s.io/dns/k8s-dns-kube-dns:1.23.1"
	}
	in.ConfigMaps = nil
	for i := range in.Access {
		in.Access[i].Allowed = in.Access[i].Resource == "services"
	}
	in = answered(in)
	for _, q := range ControlQuestions(in, noon, 0) {
		if strings.HasPrefix(q.Name, "dns-version.") {
			t.Error("asked for dns-version")
		}
	}
	got := judge(in)
	if got.Verdict != report.Healthy {
		t.Errorf("%s %+v", got.Summary, got.Findings)
	}
	for _, line := range got.PassedChecks {
		if strings.Contains(line, "ServiceAccount") {
			t.Errorf("said to be right: %s", line)
		}
	}
}

func TestATargetPortCountsByItsProtocol(t *testing.T) {
	in := healthy()
	for i := range in.Pods {
		in.Pods[i].Spec.Containers[0].Ports = append(in.Pods[i].Spec.Containers[0].Ports, corev1.ContainerPort{Name: "metrics", ContainerPort: 9153, Protocol: "TCP"})
	}
	target := func(port int, corefile bool) (report.Status, string) {
		changed := in
		changed.Services = slices.Clone(in.Services)
		changed.Services[0].Spec.Ports = slices.Clone(in.Services[0].Spec.Ports)
		changed.Services[0].Spec.Ports[port].TargetPort = intstr.FromInt32(9153)
		if !corefile {
			changed.ConfigMaps = nil
			forbid(&changed, "configmaps")
		}
		got := judge(answered(changed))
		return got, string(got.PrimaryCode)
	}
	for _, corefile := range []bool{true, false} {
		if got, headline := target(0, corefile); headline != "DNSServiceTargetPortMismatch" || got.Verdict != report.Unhealthy || !strings.Contains(got.Summary, "53/UDP to port 9153, where the DNS pods serve no DNS") {
			t.Errorf("UDP, Corefile read %v: %s %s", corefile, headline, got.Summary)
		}
	}
	if got, headline := target(1, true); headline != "DNSServiceTargetPortMismatch" || got.Verdict != report.Degraded || strings.Contains(got.Summary, "UDP to") {
		t.Errorf("TCP: %s %s", headline, got.Summary)
	}
}

func TestNothingSelectedIsManagedElsewhereOnlyWhenThatIsKnown(t *testing.T) {
	in := healthy()
	in.Pods, in.Probes, in.Logs, in.Deployments, in.From = nil, nil, nil, nil, nil
	if got := judge(in); got.Verdict != report.Unknown || !strings.Contains(got.Summary, "managed outside the cluster") {
		t.Errorf("all readable: %s %s", got.Verdict, got.Summary)
	}
	forbid(&in, "deployments")
	if got := judge(in); got.Verdict != report.Unknown || strings.Contains(got.Summary, "managed") || !strings.Contains(got.Summary, "selects no pods (k8s-app=kube-dns)") {
		t.Errorf("deployments unreadable: %s %s", got.Verdict, got.Summary)
	}
	in.Services[0].Spec.Selector = nil
	if got := judge(in); !strings.Contains(got.Summary, "managed outside the cluster") {
		t.Errorf("no selector: %s %s", got.Verdict, got.Summary)
	}
}

func TestAForwardToLoopbackIsToItselfOnItsOwnPortAlone(t *testing.T) {
	for text, want := range map[string]bool{
		".:5353 {\n kubernetes cluster.local\n forward . 127.0.0.1:53\n}\n":               false,
		".:5353 {\n kubernetes cluster.local\n forward . 127.0.0.1:5353\n}\n":             true,
		".:53 {\n kubernetes cluster.local\n forward . 127.0.0.1\n}\n":                    true,
		".:53 {\n kubernetes cluster.local\n forward . [::1]:53\n}\n":                     true,
		".:53 {\n kubernetes cluster.local\n forward . 192.0.2.1 dns://127.0.0.1:53\n}\n": true,
		".:53 {\n kubernetes cluster.local\n forward . tls://127.0.0.1\n}\n":              false,
		".:53 {\n bind 10.0.0.1\n kubernetes cluster.local\n forward . 127.0.0.1\n}\n":    false,
	} {
		in := healthy()
		in.ConfigMaps[0].Data = map[string]string{"Corefile": text}
		got := slices.ContainsFunc(judge(answered(in)).Findings, func(f finding.Finding) bool { return f.Code == "ForwardsToItself" })
		if got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
