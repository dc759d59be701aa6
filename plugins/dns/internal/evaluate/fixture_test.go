package evaluate

import (
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(noon.Add(-d)) }

const kubeadmCorefile = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`

func ptr[T any](v T) *T { return &v }

func labeled(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, CreationTimestamp: ago(24 * time.Hour)}
}

func service(namespace, name, ip string, selector map[string]string, ports ...corev1.ServicePort) corev1.Service {
	s := corev1.Service{ObjectMeta: labeled(namespace, name, nil), Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Selector: selector, Ports: ports}}
	return s
}

func slice(namespace, service string, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
	return discoveryv1.EndpointSlice{
		ObjectMeta: labeled(namespace, service+"-x", map[string]string{discoveryv1.LabelServiceName: service}), AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080)), Protocol: ptr(corev1.ProtocolTCP)}}, Endpoints: endpoints,
	}
}

func endpointAt(ip string, ready bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{ip}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
}

func dnsPod(name, node, ip string) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: labeled("kube-system", name, map[string]string{"k8s-app": "kube-dns"}),
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "coredns", DNSPolicy: corev1.DNSDefault,
			Containers: []corev1.Container{{Name: "coredns", Image: "registry.k8s.io/coredns/coredns:v1.14.2", Args: []string{"-conf", "/etc/coredns/Corefile"}, Ports: []corev1.ContainerPort{{Name: "dns", ContainerPort: 53, Protocol: "UDP"}, {Name: "dns-tcp", ContainerPort: 53, Protocol: "TCP"}}, VolumeMounts: []corev1.VolumeMount{{Name: "config-volume", MountPath: "/etc/coredns"}}}},
			Volumes:    []corev1.Volume{{Name: "config-volume", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "coredns"}, Items: []corev1.KeyToPath{{Key: "Corefile", Path: "Corefile"}}}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "coredns", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(20 * time.Hour)}}}},
		},
	}
}

// healthy is a small kubeadm cluster in which everything is right, looked at from pod shop/web.
func healthy() Input {
	dnsPorts := []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: "UDP", TargetPort: intstr.FromInt32(53)}, {Name: "dns-tcp", Port: 53, Protocol: "TCP", TargetPort: intstr.FromInt32(53)}}
	dns := service("kube-system", "kube-dns", "10.96.0.10", map[string]string{"k8s-app": "kube-dns"}, dnsPorts...)
	dns.Labels = map[string]string{"k8s-app": "kube-dns"}
	in := Input{
		Services: []corev1.Service{
			dns, service("default", "kubernetes", "10.96.0.1", nil, corev1.ServicePort{Name: "https", Port: 443, Protocol: "TCP"}),
			service("shop", "api", "10.96.1.1", map[string]string{"app": "api"}, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"}),
		},
		Slices: []discoveryv1.EndpointSlice{
			slice("kube-system", "kube-dns", endpointAt("10.244.1.2", true), endpointAt("10.244.2.2", true)),
			slice("shop", "api", endpointAt("10.244.1.9", true)),
		},
		Pods: []corev1.Pod{dnsPod("coredns-a", "n1", "10.244.1.2"), dnsPod("coredns-b", "n2", "10.244.2.2")},
		Deployments: []appsv1.Deployment{{ObjectMeta: labeled("kube-system", "coredns", nil), Spec: appsv1.DeploymentSpec{
			Replicas: ptr(int32(2)), Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"k8s-app": "kube-dns"}}, Spec: corev1.PodSpec{ServiceAccountName: "coredns"}},
		}}},
		ConfigMaps: []corev1.ConfigMap{{ObjectMeta: labeled("kube-system", "coredns", nil), Data: map[string]string{"Corefile": kubeadmCorefile}}},
		Kubelets:   []Kubelet{{ClusterDNS: []string{"10.96.0.10"}, ClusterDomain: "cluster.local"}},
		External:   "kubectl-dns-x.example.com.",
	}
	for _, ns := range []string{"default", "kube-system", "shop"} {
		in.Namespaces = append(in.Namespaces, corev1.Namespace{ObjectMeta: labeled("", ns, map[string]string{corev1.LabelMetadataName: ns})})
	}
	for _, n := range []string{"n1", "n2"} {
		in.Nodes = append(in.Nodes, corev1.Node{ObjectMeta: labeled("", n, nil), Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}})
	}
	for _, name := range []string{"services", "endpointslices", "namespaces", "nodes", "pods", "deployments", "daemonsets", "configmaps", "networkpolicies", "access", "logs", "port-forward", "statefulsets", "targets", "kubelet-config"} {
		in.Sources = append(in.Sources, source.Source{Name: name, State: source.OK})
	}
	for _, resource := range []string{"endpointslices.discovery.k8s.io", "namespaces", "services"} {
		in.Access = append(in.Access, Access{Verb: "list", Resource: resource, Allowed: true}, Access{Verb: "watch", Resource: resource, Allowed: true})
	}
	for _, pod := range in.Pods {
		in.Logs = append(in.Logs, Log{Pod: pod.Name, Text: "2026-06-01T11:00:00.000000000Z [INFO] plugin/reload: Running configuration SHA512 = abcdef\n"})
		in.Probes = append(in.Probes, Probe{Namespace: "kube-system", Pod: pod.Name})
	}
	in.From = &FromPod{Wanted: true, Method: "exec nc", Pod: corev1.Pod{ObjectMeta: labeled("shop", "web", map[string]string{"app": "web"}), Spec: corev1.PodSpec{NodeName: "n1", DNSPolicy: corev1.DNSClusterFirst, Containers: []corev1.Container{{Name: "c"}}}, Status: corev1.PodStatus{PodIP: "10.244.1.7", Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(20 * time.Hour)}}}}}}, Files: map[string]string{"/etc/resolv.conf": "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"}}
	return in
}

// answered fills in what healthy servers say to an Input as it now is: after a change of the objects, or before a change
// of the answers.
func answered(in Input) Input {
	w := facts.New(in, noon, Options{})
	for i := range in.Probes {
		in.Probes[i].Answers = nil
		for _, q := range ControlQuestions(in, noon, 10) {
			in.Probes[i].Answers = append(in.Probes[i].Answers, answer(w, in.Probes[i].Pod, q))
		}
		in.Probes[i].Answers = append(in.Probes[i].Answers, report.Answer{Viewpoint: "port-forward:" + in.Probes[i].Pod, Name: in.External, Type: "A", Rcode: "NXDOMAIN", Milliseconds: ptr(4.0)})
	}
	servers, q := ServersOf(in)
	in.From.Answers = nil
	for _, server := range servers {
		for _, transport := range []string{"UDP", "TCP"} {
			in.From.Answers = append(in.From.Answers, report.Answer{Viewpoint: "pod:shop/web", Server: server, Transport: transport, Name: q.Name, Type: q.Type, Rcode: "NOERROR", Records: []report.Record{{Name: q.Name, Type: "A", Data: "10.96.0.1"}}})
		}
	}
	return in
}

func answer(w *facts.Snapshot, pod string, q records.Question) report.Answer {
	a := report.Answer{Viewpoint: "port-forward:" + pod, Name: q.Name, Type: q.Type, Transport: "TCP", Milliseconds: ptr(1.0)}
	if q.Type == "SOA" {
		a.Rcode = "NOERROR"
		a.Records = []report.Record{{Name: q.Name, Type: "SOA", Data: fmt.Sprintf("ns.dns.%s hostmaster.%s %d", w.Zone, w.Zone, noon.Add(-time.Hour).Unix())}}
		return a
	}
	x := w.Engine.Lookup(q.Name, q.Type)
	a.Rcode = strings.Replace(x.Outcome, records.NoData, "NOERROR", 1)
	for _, d := range x.Data {
		a.Records = append(a.Records, report.Record{Name: q.Name, Type: q.Type, Data: d})
	}
	return a
}
