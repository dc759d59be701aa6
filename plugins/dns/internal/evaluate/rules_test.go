package evaluate

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// fault is a finding code, the change that must bring it as the headline and nothing else, and a near miss that must
// bring nothing of it. After is applied to the healthy servers' answers, before to the objects that they answer from.
type fault struct {
	code   finding.Code
	before func(*Input)
	after  func(*Input)
	near   func(*Input)   // to the objects
	nearly func(*Input)   // to the answers
	also   []finding.Code // further codes that are true as well
}

func corefileOf(in *Input, old, replacement string) {
	in.ConfigMaps[0].Data = map[string]string{"Corefile": strings.Replace(kubeadmCorefile, old, replacement, 1)}
}

func crash(in *Input, line string) {
	for i := range in.Pods {
		in.Pods[i].Status.Conditions[0].Status = corev1.ConditionFalse
		in.Pods[i].Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "coredns", RestartCount: 4, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: ago(time.Minute)}}, LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", FinishedAt: ago(time.Minute)}}}
		in.Logs = append(in.Logs, Log{Pod: in.Pods[i].Name, Previous: true, Text: "2026-06-01T11:59:00.000000000Z " + line + "\n"})
	}
	in.Slices[0].Endpoints = nil
	in.Probes = nil
}

func from(in *Input, f func(*report.Answer)) {
	for i := range in.From.Answers {
		f(&in.From.Answers[i])
	}
}

// editedAt changes the Corefile at some time; the replicas of healthy run for 20 hours.
func editedAt(in *Input, old, replacement string, at metav1.Time) {
	corefileOf(in, old, replacement)
	in.ConfigMaps[0].ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "kubeadm", Time: ptr(ago(24 * time.Hour)), FieldsV1: metav1.NewFieldsV1(`{"f:data":{".":{}}}`)},
		{Manager: "kubectl-edit", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:data":{"f:Corefile":{}}}`)},
		{Manager: "labeler", Time: ptr(ago(time.Minute)), FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:x":{}}}}`)},
	}
}

// atServiceAddress changes what the suspect got from the DNS Service.
func atServiceAddress(in *Input, f func(*report.Answer)) {
	from(in, func(a *report.Answer) {
		if a.Server == "10.96.0.10" {
			f(a)
		}
	})
}

// nodeLocal keeps the DNS Service to the node of the asking pod, with its endpoints on these nodes.
func nodeLocal(in *Input, nodes ...string) {
	in.Services[0].Spec.InternalTrafficPolicy = ptr(corev1.ServiceInternalTrafficPolicyLocal)
	for i := range nodes {
		in.Slices[0].Endpoints[i].NodeName = &nodes[i]
	}
}

func silent(a *report.Answer) { a.Rcode, a.Records, a.Error = "", nil, "no answer in time" }

func policy(egress bool, ports ...networkingv1.NetworkPolicyPort) networkingv1.NetworkPolicy {
	p := networkingv1.NetworkPolicy{ObjectMeta: labeled("shop", "locked", nil), Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}}}
	if egress {
		p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{Ports: ports}}
	}
	return p
}

func port53(protocol corev1.Protocol) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: ptr(intstr.FromInt32(53))}
}

func externalName(name, target string) corev1.Service {
	return corev1.Service{ObjectMeta: labeled("shop", name, nil), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: target}}
}

func statefulSet(serviceName string) appsv1.StatefulSet {
	return appsv1.StatefulSet{ObjectMeta: labeled("shop", "db", nil), Spec: appsv1.StatefulSetSpec{ServiceName: serviceName, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}}}}}
}

func headless(name string, selector map[string]string) corev1.Service {
	return service("shop", name, "None", selector, corev1.ServicePort{Name: "sql", Port: 5432, Protocol: "TCP"})
}

func each(in *Input, f func(*Probe, *report.Answer)) {
	for p := range in.Probes {
		for a := range in.Probes[p].Answers {
			f(&in.Probes[p], &in.Probes[p].Answers[a])
		}
	}
}

func serverFaults() []fault {
	return []fault{
		{code: "DNSServiceNotFound", before: func(in *Input) {
			in.Services, in.Pods, in.Probes, in.Logs, in.Deployments = in.Services[1:], nil, nil, nil, nil
		}, near: func(in *Input) { in.Services[0].Name, in.Services[0].Labels = "rke2-coredns-rke2-coredns", nil }},
		{code: "DNSScaledToZero", before: func(in *Input) {
			in.Deployments[0].Spec.Replicas, in.Pods, in.Probes, in.Slices[0].Endpoints = ptr(int32(0)), nil, nil, nil
		}, after: func(in *Input) { from(in, silent) }, near: func(in *Input) { in.Deployments[0].Spec.Replicas = nil }},
		{code: "ForwardingLoop", before: func(in *Input) {
			crash(in, `[FATAL] plugin/loop: Loop (127.0.0.1:53 -> :53) detected for zone "."`)
		}, near: func(in *Input) {
			in.Logs = append(in.Logs, Log{Pod: "coredns-a", Previous: true, Text: "2026-05-01T11:59:00Z [FATAL] plugin/loop: Loop (x) detected\n"})
		}},
		{code: "CorefileInvalid", before: func(in *Input) { corefileOf(in, "loop\n", "loop {\n") }, near: func(in *Input) { corefileOf(in, "loop\n", "loop # {\n") }},
		{code: "DNSServerForbidden", before: func(in *Input) { in.Access[0].Allowed = false }, near: func(in *Input) {
			in.Access = nil
			in.Logs[0].Text += "2026-06-01T11:59:00Z User \"system:serviceaccount:x\" is allowed\n"
		}},
		{code: "ProbePluginMissing", before: func(in *Input) {
			corefileOf(in, "    ready\n", "")
			probes(in)
			for i := range in.Pods {
				in.Pods[i].Status.Conditions[0].Status = corev1.ConditionFalse
			}
			in.Slices[0].Endpoints = nil
		}, near: func(in *Input) {
			corefileOf(in, "    ready\n", "    ready :8181\n")
			probes(in)
			in.Pods[1].Status.Conditions[0].Status, in.Slices[0].Endpoints = corev1.ConditionFalse, in.Slices[0].Endpoints[:1]
		}},
		{code: "DNSPodsNotReady", before: func(in *Input) {
			for i := range in.Pods {
				in.Pods[i].Status.Conditions[0].Status = corev1.ConditionFalse
			}
			in.Slices[0].Endpoints = nil
		}, near: func(in *Input) { in.Pods[0].DeletionTimestamp = ptr(ago(time.Second)) }},
		{code: "DNSServiceWithoutDNSPods", before: func(in *Input) {
			in.Services[0].Spec.Selector, in.Slices[0].Endpoints = map[string]string{"app": "dns"}, nil
		}, near: func(in *Input) { in.Slices[0].Endpoints = in.Slices[0].Endpoints[:1] }},
		{code: "DNSServicePortMissing", before: func(in *Input) { in.Services[0].Spec.Ports = in.Services[0].Spec.Ports[1:] }, near: func(in *Input) { in.Services[0].Spec.Ports[1].Protocol = "" }},
		{code: "DNSServiceEndpointsMismatch", before: func(in *Input) {
			in.Slices[0].Endpoints = append(in.Slices[0].Endpoints, endpointAt("10.244.9.9", true))
		}, near: func(in *Input) {
			in.Slices[0].Endpoints = append(in.Slices[0].Endpoints, endpointAt("10.244.9.9", false))
			in.Pods[1].Status.Conditions[0].Status, in.Pods[1].CreationTimestamp = corev1.ConditionFalse, ago(time.Second)
		}},
		{code: "DNSServiceNodeLocal", before: func(in *Input) {
			nodeLocal(in, "n2", "n2")
		}, after: func(in *Input) { atServiceAddress(in, silent) }, near: func(in *Input) { nodeLocal(in, "n1", "n2") }},
		{code: "DNSServiceTargetPortMismatch", before: func(in *Input) {
			for i := range in.Services[0].Spec.Ports {
				in.Services[0].Spec.Ports[i].TargetPort = intstr.FromInt32(5353)
			}
		}, after: func(in *Input) {
			atServiceAddress(in, silent)
		}, near: func(in *Input) {
			in.Services[0].Spec.Ports[0].TargetPort, in.Services[0].Spec.Ports[1].TargetPort = intstr.FromString("dns"), intstr.IntOrString{}
		}},
		{code: "ZoneNotServed", before: func(in *Input) { in.Kubelets[0].ClusterDomain = "corp.local" }, near: func(in *Input) { in.Kubelets[0].ClusterDomain = "cluster.local." }},
		{code: "ClusterNamesFailing", after: func(in *Input) {
			each(in, func(_ *Probe, a *report.Answer) {
				if a.Name != in.External {
					a.Rcode, a.Records = "SERVFAIL", nil
				}
			})
		}, nearly: func(in *Input) {
			each(in, func(p *Probe, a *report.Answer) {
				if a.Type == "AAAA" {
					a.Authoritative = false
				}
			})
		}},
		{code: "CorefileNotReloaded", before: func(in *Input) {
			editedAt(in, "reload\n", "", ago(19*time.Hour))
		}, near: func(in *Input) { editedAt(in, "reload\n", "", ago(21*time.Hour)) }},
		{code: "CorefileReloadFailed", before: func(in *Input) {
			in.Logs[0].Text += "2026-06-01T11:58:00Z [ERROR] Restart failed: /etc/coredns/Corefile:3 - Error during parsing: Unknown directive 'x'\n"
		}, near: func(in *Input) {
			in.Logs[0].Text += "2026-06-01T11:58:00Z [ERROR] Restart failed: x\n2026-06-01T11:59:00Z [INFO] Reloading complete\n"
		}},
		{code: "TemplateOverridesCluster", before: func(in *Input) { corefileOf(in, "loop\n", "template ANY ANY {\n rcode NXDOMAIN\n}\nloop\n") }, after: swallowed("NXDOMAIN"), near: func(in *Input) {
			corefileOf(in, "loop\n", "template ANY ANY lan {\n rcode NXDOMAIN\n}\nloop\n")
		}},
		{code: "HostsWithoutFallthrough", before: func(in *Input) { corefileOf(in, "loop\n", "hosts {\n 192.0.2.1 a.b\n}\nloop\n") }, after: swallowed("SERVFAIL"), near: func(in *Input) {
			corefileOf(in, "loop\n", "hosts {\n 192.0.2.1 a.b\n fallthrough\n}\nloop\n")
		}},
		{code: "AnswersOverridden", before: func(in *Input) {
			corefileOf(in, "loop\n", "hosts {\n 192.0.2.1 api.shop.svc.cluster.local\n fallthrough\n}\nloop\n")
		}, after: func(in *Input) {
			each(in, func(_ *Probe, a *report.Answer) {
				if strings.HasPrefix(a.Name, "api.shop.") && a.Type == "A" {
					a.Records[0].Data = "192.0.2.1"
				}
			})
		}, near: func(in *Input) {
			corefileOf(in, "loop\n", "hosts {\n 192.0.2.1 api.other.svc.cluster.local\n fallthrough\n}\nloop\n")
		}},
		{code: "ForwardsToItself", before: func(in *Input) { corefileOf(in, "forward . /etc/resolv.conf", "forward . 10.96.0.10") }, near: func(in *Input) { corefileOf(in, "forward . /etc/resolv.conf", "forward . 10.96.0.100") }},
		{code: "AutopathWithoutPodsVerified", before: func(in *Input) { corefileOf(in, "loop\n", "autopath @kubernetes\nloop\n") }, near: func(in *Input) {
			in.ConfigMaps[0].Data = map[string]string{"Corefile": strings.Replace(strings.Replace(kubeadmCorefile, "pods insecure", "pods verified", 1), "loop\n", "autopath @kubernetes\nloop\n", 1)}
		}},
		{code: "UnknownPlugin", before: func(in *Input) { corefileOf(in, "loop\n", "netbox {\n}\nloop\n") }, near: func(in *Input) { corefileOf(in, "loop\n", "chaos\nloop\n") }},
		{code: "NamespacesFiltered", before: func(in *Input) { corefileOf(in, "ttl 30\n", "ttl 30\nnamespaces default shop kube-system\n") }, near: func(in *Input) { corefileOf(in, "ttl 30\n", "ttl 30 # namespaces\n") }},
		{code: "AllReplicasOnOneNode", before: func(in *Input) { in.Pods[1].Spec.NodeName = "n1" }, near: func(in *Input) { in.Pods[1].Spec.NodeName, in.Nodes[1].Spec.Unschedulable = "n1", true }},
		{code: "SingleReplica", before: func(in *Input) {
			in.Deployments[0].Spec.Replicas, in.Pods, in.Probes, in.Slices[0].Endpoints = ptr(int32(1)), in.Pods[:1], in.Probes[:1], in.Slices[0].Endpoints[:1]
		}, near: func(in *Input) {
			in.Deployments[0].Spec.Replicas, in.Pods, in.Probes, in.Slices[0].Endpoints, in.Nodes = ptr(int32(1)), in.Pods[:1], in.Probes[:1], in.Slices[0].Endpoints[:1], in.Nodes[:1]
		}},
		{code: "NodeLocalDNSCacheMissing", before: func(in *Input) { nodeCache(in, "169.254.20.10", 1) }, near: func(in *Input) { nodeCache(in, "169.254.20.10", 2) }},
	}
}

// probes are those of kubeadm's Deployment.
func probes(in *Input) {
	for i := range in.Pods {
		get := func(path string, port int32) *corev1.Probe {
			return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(port)}}}
		}
		c := &in.Pods[i].Spec.Containers[0]
		c.ReadinessProbe, c.LivenessProbe = get("/ready", 8181), get("/health", 8080)
	}
}

// nodeCache adds a node cache to a cluster, which is ready on the first nodes, and whose address the kubelets give to pods.
func nodeCache(in *Input, localip string, ready int) {
	set := nodeCacheSet(int32(ready))
	set.Spec.Template.Spec.Containers[0].Args[1] = localip
	in.DaemonSets = append(in.DaemonSets, set)
	for i, n := range in.Nodes {
		pod := dnsPod("node-local-dns-"+n.Name, n.Name, "192.0.2.1")
		pod.Labels = map[string]string{"k8s-app": "node-local-dns"}
		if i >= ready {
			pod.Status.Phase, pod.Status.Conditions[0].Status = corev1.PodPending, corev1.ConditionFalse
			pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "node-cache", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}
		}
		in.CachePods = append(in.CachePods, pod)
	}
	in.Sources = append(in.Sources, source.Source{Name: "cache-pods", State: source.OK})
	if !strings.Contains(localip, "10.96.0.10") {
		in.Kubelets[0].ClusterDNS = []string{localip}
		in.From.Files["/etc/resolv.conf"] = strings.Replace(in.From.Files["/etc/resolv.conf"], "10.96.0.10", localip, 1)
	}
}

func nodeCacheSet(ready int32) appsv1.DaemonSet {
	return appsv1.DaemonSet{ObjectMeta: labeled("kube-system", "node-local-dns", nil), Status: appsv1.DaemonSetStatus{DesiredNumberScheduled: 2, NumberReady: ready}, Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Args: []string{"-localip", "169.254.20.10,10.96.0.10"}}}}}}}
}

func replicaFaults() []fault {
	newer := func(in *Input) {
		svc := service("shop", "new", "10.96.1.9", nil, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"})
		svc.CreationTimestamp = ago(10 * time.Minute)
		in.Services = append(in.Services, svc)
	}
	serial := func(in *Input, pod int, at time.Time) {
		for i, a := range in.Probes[pod].Answers {
			if a.Type == "SOA" {
				in.Probes[pod].Answers[i].Records[0].Data = fmt.Sprintf("ns.dns. hostmaster. %d", at.Unix())
			}
		}
	}
	return []fault{
		{code: "ReplicaNotReady", before: func(in *Input) {
			in.Pods[1].Status.Conditions[0].Status, in.Slices[0].Endpoints = corev1.ConditionFalse, in.Slices[0].Endpoints[:1]
		}, near: func(in *Input) {
			in.Pods[1].Status.Conditions[0].Status, in.Pods[1].CreationTimestamp = corev1.ConditionFalse, ago(3*time.Second)
		}},
		{code: "ReplicaStale", before: newer, after: func(in *Input) {
			serial(in, 0, noon.Add(-time.Minute))
			for i, a := range in.Probes[1].Answers {
				if strings.HasPrefix(a.Name, "new.shop.") {
					in.Probes[1].Answers[i].Rcode, in.Probes[1].Answers[i].Records = "NXDOMAIN", nil
				}
			}
		}, near: newer, nearly: func(in *Input) { serial(in, 0, noon.Add(-time.Minute)) }}, // the other's clock is behind: it knows the new name
		{code: "ReplicaWrongAnswer", after: func(in *Input) {
			for i, a := range in.Probes[0].Answers {
				if strings.HasPrefix(a.Name, "api.shop.") && a.Type == "A" {
					in.Probes[0].Answers[i].Records[0].Data = "10.96.9.9"
				}
			}
		}, nearly: func(in *Input) { in.Probes[0].Answers[2].Records[0].TTL = 3 }},
		{code: "ReplicaNotAnswering", after: func(in *Input) {
			for i := range in.Probes[0].Answers {
				silent(&in.Probes[0].Answers[i])
			}
		}, nearly: func(in *Input) { in.Probes[0].Answers = nil }},
		{code: "ReplicaPortForwardFailed", after: func(in *Input) {
			in.Probes[0] = Probe{Namespace: "kube-system", Pod: "coredns-a", Error: "no tunnel within 4s"}
		}, nearly: func(in *Input) {
			in.Probes[0] = Probe{Namespace: "kube-system", Pod: "coredns-a", Error: "not allowed", Forbidden: true}
		}},
		{code: "ReplicaRestarted", before: func(in *Input) {
			in.Pods[0].Status.ContainerStatuses[0].RestartCount = 1
			in.Pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", FinishedAt: ago(time.Hour)}
		}, near: func(in *Input) {
			in.Pods[0].Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", FinishedAt: ago(25 * time.Hour)}
		}},
		{code: "HighServfailRate", before: func(in *Input) { in.Probes[0].Metrics = responses(900, 100) }, near: func(in *Input) { in.Probes[0].Metrics = responses(980, 20) }},
		{code: "UnexplainedEvidence", after: func(in *Input) {
			in.Probes[0].Metrics = Metrics{{Name: "coredns_panics_total", Value: 2}}
		}, nearly: func(in *Input) {
			in.Probes[0].Metrics = Metrics{{Name: "coredns_panics_total", Value: 0}}
			in.Logs[0].Text += "2026-06-01T11:59:00Z [ERROR] plugin/errors: 2 x.test. A: read udp 10.244.1.2:1->192.0.2.53:53: i/o timeout\n" +
				"2026-06-01T09:00:00Z [PANIC] long over\n"
		}},
		{code: "UpstreamFailing", after: func(in *Input) {
			each(in, func(_ *Probe, a *report.Answer) {
				if a.Name == in.External {
					a.Rcode = "SERVFAIL"
				}
			})
		}, nearly: func(in *Input) {
			each(in, func(_ *Probe, a *report.Answer) {
				if a.Name == in.External {
					a.Rcode = "NOERROR"
				}
			})
		}},
		{code: "UpstreamTCPFailing", after: func(in *Input) { deadUpstream(in, 3, 3) }, nearly: func(in *Input) { deadUpstream(in, 3, 5) }},
		{code: "UpstreamSlow", after: func(in *Input) {
			each(in, func(_ *Probe, a *report.Answer) {
				if a.Name == in.External {
					a.Milliseconds = ptr(900.0)
				}
			})
		}, nearly: func(in *Input) { each(in, func(_ *Probe, a *report.Answer) { a.Milliseconds = ptr(900.0) }) }},
	}
}

func deadUpstream(in *Input, before, after float64) {
	each(in, func(_ *Probe, a *report.Answer) {
		if a.Name == in.External {
			a.Rcode = "SERVFAIL"
		}
	})
	for i := range in.Probes {
		failures := func(n float64) Metrics {
			return Metrics{{Name: "coredns_proxy_healthcheck_failures_total", Labels: map[string]string{"to": "192.0.2.53:53"}, Value: n}}
		}
		in.Probes[i].Metrics, in.Probes[i].After = failures(before), failures(after)
	}
}

func responses(good, bad float64) Metrics {
	return Metrics{{Name: "coredns_dns_responses_total", Labels: map[string]string{"rcode": "NOERROR"}, Value: good}, {Name: "coredns_dns_responses_total", Labels: map[string]string{"rcode": "SERVFAIL"}, Value: bad}}
}

func pathFaults() []fault {
	when := func(match func(report.Answer) bool) func(*Input) {
		return func(in *Input) {
			from(in, func(a *report.Answer) {
				if match(*a) {
					silent(a)
				}
			})
		}
	}
	return []fault{
		{code: "DNSUnavailableFromPod", after: when(func(report.Answer) bool { return true }), nearly: func(in *Input) { in.From.Answers = nil }},
		{code: "DNSOverUDPBlocked", after: when(func(a report.Answer) bool { return a.Transport == "UDP" }), nearly: func(in *Input) {
			in.From.Answers = slices.DeleteFunc(in.From.Answers, func(a report.Answer) bool { return a.Transport == "UDP" })
		}},
		{code: "DNSOverTCPBlocked", after: when(func(a report.Answer) bool { return a.Transport == "TCP" }), nearly: func(in *Input) {
			in.From.Answers = slices.DeleteFunc(in.From.Answers, func(a report.Answer) bool { return a.Transport == "TCP" })
		}},
		{code: "DNSServiceUnreachableFromPod", after: when(func(a report.Answer) bool { return a.Server == "10.96.0.10" }), nearly: func(in *Input) {}},
		{code: "ReplicaUnreachableFromPod", after: when(func(a report.Answer) bool { return a.Server == "10.244.2.2" }), before: func(in *Input) {}, nearly: func(in *Input) {
			in.Pods[1].Status.Conditions[0].Status, in.Pods[1].CreationTimestamp = corev1.ConditionFalse, ago(time.Second)
			when(func(a report.Answer) bool { return a.Server == "10.244.2.2" })(in)
		}},
		{code: "DNSQueriesLost", after: func(in *Input) { from(in, lostSome(2)) }, nearly: func(in *Input) { from(in, lostSome(0)) }},
		{code: "PodResolvConfMismatch", before: func(in *Input) {
			in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.99\noptions ndots:5\n"
		}, after: func(in *Input) {
			for _, transport := range []string{"UDP", "TCP"} {
				in.From.Answers = append(in.From.Answers, report.Answer{Viewpoint: "pod:shop/web", Server: "10.96.0.99", Name: "kubernetes.default.svc.cluster.local.", Type: "A", Transport: transport, Error: "no answer in time", Asked: 3, Lost: 3})
			}
		}, near: func(in *Input) {
			in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local lan.test\nnameserver 10.96.0.10\noptions ndots:5 edns0\n"
		}},
		{code: "HostsFileOverridesDNS", before: func(in *Input) {
			in.From.Pod.Spec.HostAliases = []corev1.HostAlias{{IP: "10.9.9.9", Hostnames: []string{"api"}}}
		}, near: func(in *Input) {
			in.From.Files["/etc/hosts"] = "127.0.0.1 localhost\n10.244.1.7 web\n192.0.2.7 api.example.com\n"
		}},
		{code: "NetworkPolicyBlocksDNS", before: func(in *Input) { in.Policies = []networkingv1.NetworkPolicy{policy(false)} }, after: func(in *Input) { from(in, silent) }, near: func(in *Input) {
			in.Policies = []networkingv1.NetworkPolicy{policy(false), policy(true, port53("UDP"), port53("TCP"))}
		}},
		{code: "HostNetworkClusterFirst", before: func(in *Input) {
			in.From.Pod.Spec.HostNetwork = true
			in.From.Files = map[string]string{"/etc/resolv.conf": "nameserver 192.0.2.53\n"}
		}, near: func(in *Input) {
			in.From.Pod.Spec.HostNetwork, in.From.Pod.Spec.DNSPolicy = true, corev1.DNSClusterFirstWithHostNet
		}},
		{code: "DNSPolicyNone", before: func(in *Input) {
			in.From.Pod.Spec.DNSPolicy, in.From.Pod.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}}
			in.From.Files = map[string]string{"/etc/resolv.conf": "nameserver 192.0.2.53\n"}
		}, near: func(in *Input) {
			in.From.Pod.Spec.DNSPolicy, in.From.Pod.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10"}}
		}},
		{code: "DNSPolicyDefault", before: func(in *Input) {
			in.From.Pod.Spec.DNSPolicy = corev1.DNSDefault
			in.From.Files = map[string]string{"/etc/resolv.conf": "nameserver 192.0.2.53\n"}
		}, near: func(in *Input) { in.From.Pod.Spec.DNSPolicy = "" }},
		{code: "KubeletClusterDNSMismatch", before: func(in *Input) {
			in.Kubelets = append(in.Kubelets, Kubelet{Node: "n2", ClusterDNS: []string{"10.96.0.99"}, ClusterDomain: "cluster.local"})
		}, near: func(in *Input) {
			in.Kubelets = append(in.Kubelets, Kubelet{Node: "n2", ClusterDNS: []string{"10.96.0.10"}, ClusterDomain: "cluster.local"})
		}},
		{code: "LoopbackNameserver", before: func(in *Input) {
			in.From.Pod.Spec.DNSPolicy, in.From.Pod.Spec.DNSConfig = corev1.DNSNone, &corev1.PodDNSConfig{Nameservers: []string{"127.0.0.53"}}
			in.From.Files = map[string]string{"/etc/resolv.conf": "nameserver 127.0.0.53\n"}
		}, also: []finding.Code{"DNSPolicyNone"}, near: func(in *Input) {
			in.From.Files = map[string]string{"/etc/resolv.conf": "nameserver 10.96.0.10 # 127.0.0.53\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"}
		}},
		{code: "MixedNameservers", before: func(in *Input) {
			in.From.Pod.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"192.0.2.53"}}
			in.From.Files = nil
		}, near: func(in *Input) {
			in.From.Pod.Spec.DNSConfig = &corev1.PodDNSConfig{Nameservers: []string{"10.96.0.10"}}
			in.From.Files = nil
		}},
		{code: "MuslSearchListTooLong", before: func(in *Input) { in.From.Musl = ptr(true); longSearch(in, 250) }, near: func(in *Input) { in.From.Musl = ptr(false); longSearch(in, 250) }},
		{code: "ResolverLimitsExceeded", before: func(in *Input) { in.From.Musl = ptr(false); manySearches(in, 33) }, near: func(in *Input) { in.From.Musl = ptr(false); manySearches(in, 29) }},
		{code: "WildcardSearchDomain", after: func(in *Input) { wildcard(in, "NOERROR") }, nearly: func(in *Input) { wildcard(in, "NXDOMAIN") }},
	}
}

func lostSome(n int) func(*report.Answer) {
	return func(a *report.Answer) {
		a.Asked = 3
		if a.Transport == "UDP" {
			a.Lost = n
		}
	}
}

func longSearch(in *Input, n int) {
	in.From.Files = map[string]string{"/etc/resolv.conf": "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local " + strings.Repeat("x", n) + "\noptions ndots:5\n"}
}

func manySearches(in *Input, n int) {
	in.From.Pod.Spec.DNSConfig = &corev1.PodDNSConfig{}
	for i := range n {
		in.From.Pod.Spec.DNSConfig.Searches = append(in.From.Pod.Spec.DNSConfig.Searches, fmt.Sprintf("d%d.test", i))
	}
	in.From.Files = nil
}

func wildcard(in *Input, rcode string) {
	a := report.Answer{Viewpoint: "port-forward:coredns-a", Name: WildcardLabel + ".corp.test.", Type: "A", Rcode: rcode, Milliseconds: ptr(1.0)}
	if rcode == "NOERROR" {
		a.Records = []report.Record{{Name: a.Name, Type: "A", Data: "192.0.2.80"}}
	}
	in.Probes[0].Answers = append(in.Probes[0].Answers, a)
}

func dataFaults() []fault {
	return []fault{
		{code: "ExternalNameLoop", before: func(in *Input) {
			in.Services = append(in.Services, externalName("a", "b.shop.svc.cluster.local"), externalName("b", "a.shop.svc.cluster.local"))
		}, also: []finding.Code{"ExternalNameLoop"}, near: func(in *Input) { in.Services = append(in.Services, externalName("a", "api.shop.svc.cluster.local")) }},
		{code: "ExternalNameIsAddress", before: func(in *Input) { in.Services = append(in.Services, externalName("a", "192.0.2.1")) }, near: func(in *Input) { in.Services = append(in.Services, externalName("a", "192.0.2.1.example.com")) }},
		{code: "ExternalNameTargetNotFound", before: func(in *Input) { in.Services = append(in.Services, externalName("a", "gone.shop.svc.cluster.local")) }, near: func(in *Input) { in.Services = append(in.Services, externalName("a", "gone.shop.example.com")) }},
		{code: "HeadlessServiceWithoutEndpoints", before: func(in *Input) {
			in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}))
			in.Slices = append(in.Slices, slice("shop", "db", endpointAt("10.244.1.20", false)))
		}, near: func(in *Input) { in.Services = append(in.Services, headless("db", nil)) }},
		{code: "ServiceWithoutEndpoints", before: func(in *Input) { in.Slices = in.Slices[:1] }, near: func(in *Input) {
			in.Slices = in.Slices[:1]
			in.Services[2].CreationTimestamp = ago(time.Second)
		}},
		{code: "StatefulSetPodsWithoutNames", before: func(in *Input) {
			in.StatefulSet = []appsv1.StatefulSet{statefulSet("dbs")}
		}, near: func(in *Input) {
			in.StatefulSet = []appsv1.StatefulSet{statefulSet("db")}
			in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}))
			in.Slices = append(in.Slices, slice("shop", "db", endpointAt("10.244.1.20", true)))
		}},
		{code: "PodSubdomainWithoutName", before: func(in *Input) { in.Targets = []corev1.Pod{subdomainPod("nowhere")} }, near: func(in *Input) {
			in.Targets = []corev1.Pod{subdomainPod("db")}
			in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}))
			in.Slices = append(in.Slices, slice("shop", "db", discoveryv1.Endpoint{Addresses: []string{"10.244.1.30"}}))
		}},
	}
}

func subdomainPod(subdomain string) corev1.Pod {
	return corev1.Pod{ObjectMeta: labeled("shop", "p", map[string]string{"app": "db"}), Spec: corev1.PodSpec{Hostname: "p", Subdomain: subdomain}}
}

func faults() []fault {
	return slices.Concat(serverFaults(), replicaFaults(), pathFaults(), dataFaults())
}

func judge(in Input) report.Status {
	return Status(in, noon, Options{Slow: 500 * time.Millisecond, Namespace: "shop"}, "DNSCheck")
}

func TestAHealthyClusterIsHealthy(t *testing.T) {
	got := judge(answered(healthy()))
	if got.Verdict != report.Healthy || len(got.Findings) > 0 {
		t.Errorf("%s %s: %+v", got.Verdict, got.Summary, got.Findings)
	}
}

func build(before, after func(*Input)) Input {
	in := healthy()
	if before != nil {
		before(&in)
	}
	in = answered(in)
	if after != nil {
		after(&in)
	}
	return in
}

func TestEveryFaultIsTheHeadlineAndAlone(t *testing.T) {
	for _, f := range faults() {
		t.Run(string(f.code), func(t *testing.T) {
			got := judge(build(f.before, f.after))
			if len(got.Findings) == 0 || got.Findings[0].Code != f.code && !slices.Contains(f.also, got.Findings[0].Code) {
				t.Fatalf("headline %q (%s), want %s; all: %+v", got.PrimaryCode, got.Summary, f.code, got.Findings)
			}
			if got.Findings[0].Severity != "info" && got.Verdict == report.Healthy {
				t.Errorf("verdict %s", got.Verdict)
			}
			for _, other := range got.Findings {
				if other.Code != f.code && !slices.Contains(f.also, other.Code) {
					t.Errorf("also seen %s: %s", other.Code, other.Message)
				}
				if len(other.Evidence) == 0 || other.Title == string(other.Code) {
					t.Errorf("%s has no evidence or no catalog entry", other.Code)
				}
			}
		})
	}
}

func TestANearMissIsNoFault(t *testing.T) {
	for _, f := range faults() {
		t.Run(string(f.code), func(t *testing.T) {
			for _, other := range judge(build(f.near, f.nearly)).Findings {
				if other.Code == f.code {
					t.Errorf("%s: %+v", other.Message, other.Evidence)
				}
			}
		})
	}
}

func TestEveryCodeHasACase(t *testing.T) {
	// these come from the commands about single names, and have tests of their own
	elsewhere := []finding.Code{"NameNotFound", "NoAddressRecord", "NoUsableAnswer", "RecordMismatch", "UpstreamNotResponding"}
	for _, e := range Catalog() {
		if !slices.ContainsFunc(faults(), func(f fault) bool { return f.code == e.Code }) && !slices.Contains(elsewhere, e.Code) {
			t.Errorf("%s has no case", e.Code)
		}
		if e.Meaning == "" || e.Evidence == "" || e.Next == "" || e.Source == "" && e.Code != finding.UnexplainedEvidence {
			t.Errorf("%s is not explained", e.Code)
		}
	}
}

func TestTheOrderOfListsDoesNotMatter(t *testing.T) {
	for _, f := range faults() {
		in := build(f.before, f.after)
		want := judge(in)
		r := rand.New(rand.NewSource(1))
		mix := func(n int, swap func(i, j int)) { r.Shuffle(n, swap) }
		mix(len(in.Services), func(i, j int) { in.Services[i], in.Services[j] = in.Services[j], in.Services[i] })
		mix(len(in.Slices), func(i, j int) { in.Slices[i], in.Slices[j] = in.Slices[j], in.Slices[i] })
		mix(len(in.Pods), func(i, j int) { in.Pods[i], in.Pods[j] = in.Pods[j], in.Pods[i] })
		mix(len(in.Nodes), func(i, j int) { in.Nodes[i], in.Nodes[j] = in.Nodes[j], in.Nodes[i] })
		mix(len(in.Probes), func(i, j int) { in.Probes[i], in.Probes[j] = in.Probes[j], in.Probes[i] })
		mix(len(in.Logs), func(i, j int) { in.Logs[i], in.Logs[j] = in.Logs[j], in.Logs[i] })
		mix(len(in.Access), func(i, j int) { in.Access[i], in.Access[j] = in.Access[j], in.Access[i] })
		mix(len(in.Policies), func(i, j int) { in.Policies[i], in.Policies[j] = in.Policies[j], in.Policies[i] })
		if d := cmp.Diff(want, judge(in)); d != "" {
			t.Errorf("%s: the report depends on the order of lists:\n%s", f.code, d)
		}
	}
}

func TestAMissingPermissionIsNeverAVerdict(t *testing.T) {
	for _, name := range []string{"services", "endpointslices", "namespaces", "nodes", "pods", "deployments", "configmaps", "networkpolicies", "access", "logs", "port-forward"} {
		t.Run(name, func(t *testing.T) {
			in := healthy()
			for i := range in.Sources {
				if in.Sources[i].Name == name {
					in.Sources[i] = source.Source{Name: name, State: source.Forbidden, Verb: "list", Resource: name}
				}
			}
			in = answered(in)
			switch name {
			case "services":
				in.Services = in.Services[:1]
			case "endpointslices":
				in.Slices = nil
			case "namespaces":
				in.Namespaces = nil
			case "nodes":
				in.Nodes = nil
			case "pods":
				in.Pods, in.Probes = nil, nil
			case "deployments":
				in.Deployments = nil
			case "configmaps":
				in.ConfigMaps = nil
			case "access":
				in.Access = nil
			case "logs":
				in.Logs = nil
			case "port-forward":
				in.Probes = nil
			}
			got := judge(in)
			if got.Verdict == report.Unhealthy || got.Verdict == report.Degraded {
				t.Errorf("%s without permission: %s, %+v", got.Verdict, name, got.Findings)
			}
			if slices.Contains([]string{"services", "pods", "port-forward"}, name) && got.Verdict != report.Unknown {
				t.Errorf("%s although %s could not be read", got.Verdict, name)
			}
		})
	}
}

// When no tunnel opens at all, what they share is broken, and DNS may be well.
func TestNoTunnelAtAllIsUnknown(t *testing.T) {
	in := answered(healthy())
	for i := range in.Probes {
		in.Probes[i] = Probe{Namespace: "kube-system", Pod: in.Probes[i].Pod, Error: "no tunnel within 4s"}
	}
	in.From = nil
	got := judge(in)
	if got.Verdict != report.Unknown || !strings.Contains(got.Summary, "unknown what the 2 DNS pods answer: port-forward failed for all") || len(got.Findings) != 2 || got.Findings[0].Severity != "info" {
		t.Errorf("%s: %s %+v", got.Verdict, got.Summary, got.Findings)
	}
}

// A pod on its way out, or one that an eviction left behind, is no replica: neither counted nor accused.
func TestPodsOnTheirWayOutDoNotCount(t *testing.T) {
	in := answered(healthy())
	gone, evicted := dnsPod("coredns-0", "n1", "10.244.1.8"), dnsPod("coredns-9", "n2", "")
	gone.DeletionTimestamp = ptr(ago(time.Second))
	evicted.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}
	in.Pods = append(in.Pods, gone, evicted)
	if got := judge(in); got.Verdict != report.Healthy || !strings.HasPrefix(got.Summary, "2 of 2 replicas are ready on 2 nodes, and each answers") {
		t.Errorf("%s: %s %+v", got.Verdict, got.Summary, got.Findings)
	}
}

// The newest Services that had time to settle are asked for: neither those of this moment, which prove nothing, nor
// those whose endpoints alone changed behind a virtual address.
func TestTheNewestSettledServicesAreAsked(t *testing.T) {
	in := healthy()
	add := func(name, ip string, age time.Duration) {
		svc := service("shop", name, ip, nil, corev1.ServicePort{Port: 80, Protocol: "TCP"})
		svc.CreationTimestamp = ago(age)
		in.Services = append(in.Services, svc)
	}
	add("now", "10.96.2.1", 3*time.Second)
	add("minute", "10.96.2.2", time.Minute)
	add("hour", "10.96.2.3", time.Hour)
	in.Slices[1].CreationTimestamp = ago(50 * time.Second) // of shop/api, a day old
	got := ask.Newest(facts.New(in, noon, Options{}), 2)
	if len(got) != 2 || got[0].Name != "minute" || got[1].Name != "hour" {
		t.Errorf("%v", got)
	}
}

func TestPortsAreThoseWhereThePodAnswers(t *testing.T) {
	in := healthy()
	pod, svc := in.Pods[0], &in.Services[0]
	for target, want := range map[string]int32{"53": 53, "dns-tcp": 53, "5353": 53, "nowhere": 53, "9153": 53} {
		svc.Spec.Ports[1].TargetPort = intstr.Parse(target)
		if got, _ := Ports(in)(pod); got != want {
			t.Errorf("targetPort %s: %d, want %d", target, got, want)
		}
	}
	for i := range pod.Spec.Containers[0].Ports {
		pod.Spec.Containers[0].Ports[i].ContainerPort = 5353 // OpenShift
	}
	svc.Spec.Ports[1].TargetPort = intstr.FromString("dns-tcp")
	corefileOf(&in, ".:53 {", ".:5353 {")
	if got, _ := Ports(in)(pod); got != 5353 {
		t.Errorf("OpenShift: %d", got)
	}
}

func TestAServiceThatIsGoneIsMadeAgainWhereItWas(t *testing.T) {
	in := healthy()
	in.Services, in.Pods, in.Probes, in.Logs = in.Services[1:], nil, nil, nil
	f := judge(answered(in)).Findings[0]
	if f.Code != "DNSServiceNotFound" || !strings.Contains(f.Message, "no Service has the address 10.96.0.10") || !strings.Contains(f.Next[0].Command, "--cluster-ip=10.96.0.10") {
		t.Errorf("%s %v", f.Message, f.Next)
	}
}

// What another finding explains is not reported; that it was well is not said either.
func TestWhatIsExplainedAwayIsNotCalledRight(t *testing.T) {
	in := build(func(in *Input) {
		in.Services[0].Spec.Ports[0].TargetPort, in.Services[0].Spec.Ports[1].TargetPort = intstr.FromInt32(5353), intstr.FromInt32(5353)
	}, func(in *Input) {
		atServiceAddress(in, silent)
	})
	for _, line := range judge(in).PassedChecks {
		if strings.Contains(line, "the pod reaches the DNS Service") {
			t.Errorf("said to be right: %s", line)
		}
	}
}

func TestAReadyServerThatTheServiceLeavesOutIsNamed(t *testing.T) {
	in := healthy()
	in.Slices[0].Endpoints = in.Slices[0].Endpoints[:1]
	got := judge(answered(in))
	if got.PrimaryCode != "DNSServiceEndpointsMismatch" || !strings.Contains(got.Summary, "sends no query to coredns-b") {
		t.Errorf("%s %s", got.PrimaryCode, got.Summary)
	}
}

func TestAnImageThatCannotBeHadIsSaidSo(t *testing.T) {
	in := build(func(in *Input) {
		in.Pods[1].Status.Conditions[0].Status, in.Slices[0].Endpoints = corev1.ConditionFalse, in.Slices[0].Endpoints[:1]
		in.Pods[1].Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}
	}, nil)
	got := judge(in)
	if got.PrimaryCode != "ReplicaNotReady" || !strings.Contains(got.Summary, "image registry.k8s.io/coredns/coredns:v1.14.2 is not available, ImagePullBackOff") || !strings.Contains(got.Findings[0].Next[0].Command, "rollout undo deployment coredns") {
		t.Errorf("%s %v", got.Summary, got.Findings[0].Next)
	}
}

// Ready=True of a node whose kubelet stopped is out of date before the node controller has acted: the Lease tells.
func TestASilentNodeIsNamedThoughItsReadyIsTrue(t *testing.T) {
	lease := func(age time.Duration) []coordinationv1.Lease {
		return []coordinationv1.Lease{{
			ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: "n1"},
			Spec:       coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr(int32(40)), RenewTime: &metav1.MicroTime{Time: noon.Add(-age)}},
		}}
	}
	for name, tt := range map[string]struct {
		leases []coordinationv1.Lease
		want   string
	}{
		"no lease was read":   {nil, "Running"},
		"a lease in time":     {lease(5 * time.Second), "Running"},
		"a lease that is old": {lease(75 * time.Second), "node n1 has sent no heartbeat for 75s"},
	} {
		in := healthy()
		in.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
		in = answered(in)
		in.Leases = tt.leases
		s := judge(in)
		if s.PrimaryCode != "ReplicaNotReady" || !strings.Contains(s.Summary, "("+tt.want) {
			t.Errorf("%s: %s: %s", name, s.PrimaryCode, s.Summary)
		}
		if first := s.Findings[0]; tt.want != "Running" && (first.Next[0].Command != "kubectl nodeinfo n1" || first.Evidence[0].Source != "Lease kube-node-lease/n1") {
			t.Errorf("%s: %+v", name, first)
		}
	}
}
