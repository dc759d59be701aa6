package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// odd judges the healthy cluster after a change of its objects and one of the answers; either may be nil.
func odd(before, after func(in *Input)) func(testing.TB) (string, []finding.Finding) {
	return func(testing.TB) (string, []finding.Finding) {
		got := judge(build(before, after))
		return string(got.Verdict), got.Findings
	}
}

func TestQuiet(t *testing.T) {
	testkit.Quiet(t, "dns", slices.Concat(quietServers(), quietClients(), quietNames(), quietGaps()))
}

// resolvConf is what the suspect pod has.
func resolvConf(in *Input, text string) { in.From.Files = map[string]string{"/etc/resolv.conf": text} }

const searchList = "search shop.svc.cluster.local svc.cluster.local cluster.local\n"

func quietServers() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "Two Services have the label k8s-app=kube-dns, and one of them has no port 53",
			Why:       "The second one is headless and exists so that Prometheus finds the metrics of CoreDNS.",
			Link:      "https://github.com/prometheus-operator/kube-prometheus/issues/79", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				s := service("kube-system", "prometheus-kube-prometheus-coredns", "None", map[string]string{"k8s-app": "kube-dns"},
					corev1.ServicePort{Name: "http-metrics", Port: 9153, Protocol: "TCP", TargetPort: intstr.FromInt32(9153)})
				s.Labels = map[string]string{"k8s-app": "kube-dns"}
				in.Services = append(in.Services, s)
				e := slice("kube-system", s.Name, endpointAt("10.244.1.2", true), endpointAt("10.244.2.2", true))
				e.Ports = []discoveryv1.EndpointPort{{Name: ptr("http-metrics"), Port: ptr(int32(9153)), Protocol: ptr(corev1.ProtocolTCP)}}
				in.Slices = append(in.Slices, e)
			}, nil),
		},
		{
			Situation: "A DNS pod has Warning events: a probe failed once, and it could not be scheduled at first",
			Why:       "The failure threshold of the probe was not reached, and the other event is older than the pod's readiness.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				warn(in, "Unhealthy", time.Minute)
				warn(in, "FailedScheduling", 20*time.Hour)
			}, nil),
		},
		{
			Situation: "A rolling update of CoreDNS: one pod is terminating, and one is not ready yet",
			Why:       "The terminating pod is out of the Service, the new one has existed for five seconds, and two others answer.",
			Link:      "https://coredns.io/plugins/health/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				old, next := dnsPod("coredns-0", "n1", "10.244.1.8"), dnsPod("coredns-c", "n2", "10.244.2.9")
				old.DeletionTimestamp, old.DeletionGracePeriodSeconds = ptr(ago(-20*time.Second)), ptr(int64(30))
				next.CreationTimestamp = ago(5 * time.Second)
				next.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: ago(4 * time.Second)}}
				next.Status.ContainerStatuses[0].Ready = false
				next.Status.ContainerStatuses[0].State.Running.StartedAt = ago(3 * time.Second)
				in.Pods = append(in.Pods, old, next)
				in.Deployments[0].Spec.Replicas = ptr(int32(3))
				leaving := endpointAt("10.244.1.8", false)
				leaving.Conditions.Serving, leaving.Conditions.Terminating = ptr(true), ptr(true)
				in.Slices[0].Endpoints = append(in.Slices[0].Endpoints, leaving, endpointAt("10.244.2.9", false))
			}, nil),
		},
		{
			Situation: "DNS runs a single replica", Why: "The cluster has one node, so a second replica would fail together with the first.",
			Link: "https://github.com/kubernetes/kubeadm/issues/1931", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.Deployments[0].Spec.Replicas, in.Pods, in.Probes, in.Logs = ptr(int32(1)), in.Pods[:1], in.Probes[:1], in.Logs[:1]
				in.Slices[0].Endpoints, in.Nodes = in.Slices[0].Endpoints[:1], in.Nodes[:1]
			}, nil),
		},
		{
			Situation: "Both replicas run on one node", Why: "The other node is cordoned for maintenance, so no other node can run them.", Verdict: "Healthy",
			Judge: odd(func(in *Input) { in.Pods[1].Spec.NodeName, in.Nodes[1].Spec.Unschedulable = "n1", true }, nil),
		},
		{
			Situation: "A CoreDNS container was OOM killed two days ago, and one exited with code 0 yesterday",
			Why:       "Both have been running for at least 20 hours, and each answers correctly.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				for i, end := range []*corev1.ContainerStateTerminated{
					{ExitCode: 137, Reason: "OOMKilled", FinishedAt: ago(48 * time.Hour)}, {ExitCode: 0, Reason: "Completed", FinishedAt: ago(20 * time.Hour)},
				} {
					in.Pods[i].Status.ContainerStatuses[0].RestartCount, in.Pods[i].Status.ContainerStatuses[0].LastTerminationState.Terminated = 1, end
				}
			}, nil),
		},
		{
			Situation: "Both CoreDNS containers exited with code 255 an hour ago", Why: "Their nodes were rebooted for an update, and both replicas have been ready since then.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				for i := range in.Pods {
					s := &in.Pods[i].Status.ContainerStatuses[0]
					s.RestartCount, s.State.Running.StartedAt = 1, ago(59*time.Minute)
					s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 255, Reason: "Unknown", StartedAt: ago(20 * time.Hour), FinishedAt: ago(time.Hour)}
					in.Pods[i].Status.Conditions[0].LastTransitionTime = ago(58 * time.Minute)
				}
			}, nil),
		},
		{
			Situation: "The log of CoreDNS has a reload that failed", Why: "A later reload succeeded, after the Corefile was corrected.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.Logs[0].Text += "2026-06-01T11:20:00Z [ERROR] Restart failed: /etc/coredns/Corefile:3 - Error during parsing: Unknown directive 'x'\n" +
					"2026-06-01T11:30:00Z [INFO] Reloading complete\n"
			}, nil),
		},
		{
			Situation: "The Corefile forwards one domain to servers that answer no other name", Why: "It is a stub domain, and all other names go to the upstream servers of the node.",
			Link: "https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.ConfigMaps[0].Data["Corefile"] = kubeadmCorefile + "corp.example:53 {\n    errors\n    cache 30\n    forward . 192.0.2.40 192.0.2.41\n}\n"
			}, nil),
		},
		{
			Situation: "The Corefile has fixed addresses in a hosts block", Why: "Names that are not in the block fall through to the cluster's own records.",
			Link: "https://coredns.io/plugins/hosts/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				corefileOf(in, "loop\n", "hosts {\n 192.0.2.1 git.corp.example\n fallthrough\n}\nloop\n")
			}, nil),
		},
	}
}

func quietClients() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A NetworkPolicy denies all egress of the namespace", Why: "A second policy allows DNS by the names of the ports, dns and dns-tcp, and policies add up.",
			Link: "https://github.com/projectcalico/calico/issues/5170", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				named := func(protocol corev1.Protocol, name string) networkingv1.NetworkPolicyPort {
					return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: ptr(intstr.FromString(name))}
				}
				allow := policy(true, named("UDP", "dns"), named("TCP", "dns-tcp"))
				allow.Name = "allow-dns"
				allow.Spec.Egress[0].To = []networkingv1.NetworkPolicyPeer{{
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "kube-system"}},
					PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
				}}
				in.Policies = []networkingv1.NetworkPolicy{policy(false), allow}
			}, nil),
		},
		{
			Situation: "A NetworkPolicy in the API blocks DNS from the pod, and the pod gets answers over UDP and TCP",
			Why:       "The network plugin of this cluster enforces no policies, which the report says as information.",
			Link:      "https://kubernetes.io/docs/concepts/services-networking/network-policies/", Verdict: "Healthy",
			Judge: odd(func(in *Input) { in.Policies = []networkingv1.NetworkPolicy{policy(false)} }, nil),
		},
		{
			Situation: "A pod has dnsPolicy None", Why: "Its own nameserver is the DNS Service, and its search list is that of its namespace.",
			Link: "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.From.Pod.Spec.DNSPolicy = corev1.DNSNone
				in.From.Pod.Spec.DNSConfig = &corev1.PodDNSConfig{
					Nameservers: []string{"10.96.0.10"}, Searches: strings.Fields(searchList)[1:], Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: ptr("2")}},
				}
				resolvConf(in, "nameserver 10.96.0.10\n"+searchList+"options ndots:2\n")
			}, nil),
		},
		{
			Situation: "A pod on the host network uses the DNS Service", Why: "Its dnsPolicy is ClusterFirstWithHostNet, which is meant for that.",
			Link: "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.From.Pod.Spec.HostNetwork, in.From.Pod.Spec.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet
			}, nil),
		},
		{
			Situation: "The nameserver of the pod is a link-local address that no Service has", Why: "NodeLocal DNSCache answers there, and it is ready on every node.",
			Link: "https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.DaemonSets = []appsv1.DaemonSet{nodeCacheSet(2)}
				in.Kubelets = []Kubelet{{ClusterDNS: []string{"169.254.20.10"}, ClusterDomain: "cluster.local"}}
				resolvConf(in, searchList+"nameserver 169.254.20.10\noptions ndots:5\n")
			}, nil),
		},
		{
			Situation: "The search list of the pod has six domains", Why: "Three are those of the node, and the limit is 32.",
			Link: "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#dns-search-domain-list-limits", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				resolvConf(in, strings.TrimSpace(searchList)+" eu.corp.example corp.example example\nnameserver 10.96.0.10\noptions ndots:5\n")
			}, nil),
		},
	}
}

func quietNames() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A name outside the cluster gets NXDOMAIN from every replica", Why: "The name does not exist, and NXDOMAIN is the correct answer of an upstream that works.",
			Link: "https://datatracker.ietf.org/doc/html/rfc2308", Verdict: "Healthy", Judge: odd(nil, nil),
		},
		{
			Situation: "The pods of a headless Service are not ready", Why: "The Service publishes addresses that are not ready, so that the pods find each other while they start.",
			Link: "https://kubernetes.io/docs/concepts/services-networking/service/#headless-services", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				db := headless("db", map[string]string{"app": "db"})
				db.Spec.PublishNotReadyAddresses = true
				in.Services, in.StatefulSet = append(in.Services, db), []appsv1.StatefulSet{statefulSet("db")}
				first := endpointAt("10.244.1.20", true) // so the controller writes it, whatever the pod says
				first.Conditions.Serving, first.Hostname, first.TargetRef = ptr(false), ptr("db-0"), &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "db-0"}
				in.Slices = append(in.Slices, slice("shop", "db", first))
			}, nil),
		},
		{
			Situation: "A Service has no endpoints", Why: "Its Deployment is scaled to 0, and DNS returns its address as it must.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.Services = append(in.Services, service("shop", "nightly", "10.96.1.7", map[string]string{"app": "nightly"}, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"}))
				in.Slices = append(in.Slices, slice("shop", "nightly"))
			}, nil),
		},
		{
			Situation: "The name of a headless Service does not exist", Why: "Its StatefulSet is scaled to 0, and a headless Service without pods has no addresses.",
			Link: "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				db := statefulSet("db")
				db.Spec.Replicas = ptr(int32(0))
				in.StatefulSet, in.Services = []appsv1.StatefulSet{db}, append(in.Services, headless("db", map[string]string{"app": "db"}))
				in.Slices = append(in.Slices, slice("shop", "db"))
			}, nil),
		},
		{
			Situation: "A Service has no selector and no pods", Why: "Its EndpointSlice was written by hand, with the address of a database outside the cluster.",
			Link: "https://kubernetes.io/docs/concepts/services-networking/service/#services-without-selectors", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.Services = append(in.Services, service("shop", "ledger", "10.96.1.8", nil, corev1.ServicePort{Name: "sql", Port: 5432, Protocol: "TCP"}))
				in.Slices = append(in.Slices, slice("shop", "ledger", endpointAt("192.0.2.77", true)))
			}, nil),
		},
		{
			Situation: "A Service has no address, and its name is a CNAME", Why: "It is an ExternalName Service that refers to a host outside the cluster.",
			Link: "https://kubernetes.io/docs/concepts/services-networking/service/#externalname", Verdict: "Healthy",
			Judge: odd(func(in *Input) { in.Services = append(in.Services, externalName("mail", "smtp.example.com")) }, nil),
		},
	}
}

func quietGaps() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "kubectl may read neither the logs and events of CoreDNS nor NetworkPolicies nor the kubelet configuration",
			Why:       "Every replica answers correctly, and the report lists what was not checked.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.Logs, in.Kubelets = nil, nil
				forbid(in, "logs", "events", "networkpolicies", "kubelet-config")
			}, nil),
		},
		{
			Situation: "The metrics of CoreDNS cannot be read", Why: "The metrics plugin is not in the Corefile, and no answer depends on it.",
			Link: "https://coredns.io/plugins/metrics/", Verdict: "Healthy",
			Judge: odd(func(in *Input) { corefileOf(in, "    prometheus :9153\n", "") }, func(in *Input) {
				for i := range in.Probes {
					in.Probes[i].MetricsError = "connection refused"
				}
			}),
		},
		{
			Situation: "2% of the answers are SERVFAIL", Why: "Some names outside the cluster fail at their own servers, which no cluster can prevent.", Verdict: "Healthy",
			Judge: odd(nil, func(in *Input) {
				for i := range in.Probes {
					in.Probes[i].Metrics = responses(9800, 200)
				}
			}),
		},
	}
}
