package evaluate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Clusters that are well, each set up in a way that one rule or another could take for a fault.
func TestUnusualClustersThatAreWell(t *testing.T) {
	ports := func(in *Input, n int32, containers ...corev1.Container) {
		for i := range in.Pods {
			c := &in.Pods[i].Spec.Containers[0]
			c.Ports = []corev1.ContainerPort{{Name: "dns", ContainerPort: n, Protocol: "UDP"}, {Name: "dns-tcp", ContainerPort: n, Protocol: "TCP"}}
			in.Pods[i].Spec.Containers = append(in.Pods[i].Spec.Containers, containers...)
		}
	}
	server := func(in *Input, text string) {
		in.ConfigMaps[0].Data = map[string]string{"Corefile": strings.Replace(kubeadmCorefile, ".:53", text, 1)}
	}
	for name, c := range map[string]struct {
		change func(in *Input)
		port   int32 // at which a server is asked
	}{
		"a cache before CoreDNS": {func(in *Input) {
			ports(in, 5353, corev1.Container{Name: "dnsmasq", Image: "dnsmasq:1", Ports: []corev1.ContainerPort{{ContainerPort: 53, Protocol: "UDP"}, {ContainerPort: 53, Protocol: "TCP"}}})
			server(in, ".:5353")
		}, 53},
		"the port by a flag": {func(in *Input) {
			ports(in, 1053)
			for i := range in.Pods {
				in.Pods[i].Spec.Containers[0].Args = append(in.Pods[i].Spec.Containers[0].Args, "-dns.port=1053")
			}
			in.Services[0].Spec.Ports[0].TargetPort, in.Services[0].Spec.Ports[1].TargetPort = intstr.FromString("dns"), intstr.FromString("dns-tcp")
			server(in, ".")
		}, 1053},
		"the port out of the environment": {func(in *Input) {
			ports(in, 1053)
			in.Services[0].Spec.Ports[0].TargetPort, in.Services[0].Spec.Ports[1].TargetPort = intstr.FromString("dns"), intstr.FromString("dns-tcp")
			server(in, ".:{$DNS_PORT}")
		}, 1053},
		"an older zone beside the cluster's": {func(in *Input) {
			in.ConfigMaps[0].Data = map[string]string{"Corefile": "old.corp:53 {\n kubernetes old.corp\n}\n" + kubeadmCorefile}
		}, 53},
		"a second Deployment, and the first scaled to 0": {func(in *Input) {
			second := in.Deployments[0]
			second.Name = "zz-dns"
			in.Deployments[0].Spec.Replicas = ptr(int32(0))
			in.Deployments = append(in.Deployments, second)
		}, 53},
	} {
		t.Run(name, func(t *testing.T) {
			in := healthy()
			c.change(&in)
			in = answered(in)
			if got := judge(in); got.Verdict != report.Healthy {
				t.Errorf("%s: %+v", got.Summary, got.Findings)
			}
			if got, _ := Ports(in)(in.Pods[0]); got != c.port {
				t.Errorf("asked at port %d", got)
			}
		})
	}
}

func TestTheWorkloadThatRunsIsTheOneJudged(t *testing.T) {
	in := healthy()
	second := in.Deployments[0]
	second.Name = "zz-dns"
	in.Deployments[0].Spec.Replicas = ptr(int32(0))
	in.Deployments = append(in.Deployments, second)
	for i := range in.Pods {
		in.Pods[i].Status.Conditions[0].Status, in.Pods[i].CreationTimestamp = corev1.ConditionFalse, ago(time.Hour)
	}
	if got := judge(in); got.PrimaryCode == "DNSScaledToZero" {
		t.Error(got.Summary)
	}
}

func TestAnInformationIsNoVerdict(t *testing.T) {
	in := healthy()
	in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 169.254.20.10\noptions ndots:5\n"
	in.From.Answers = nil
	for i := range in.Probes {
		in.Probes[i] = Probe{Namespace: "kube-system", Pod: in.Probes[i].Pod, Error: "forbidden", Forbidden: true}
	}
	forbid(&in, "port-forward")
	if got := Explain(in, noon, Options{}, "www.example.com", nil); got.Verdict != report.Unknown {
		t.Errorf("nobody was asked: %s %s", got.Verdict, got.Summary)
	}
}

// A policy does not close the way to a pod's own node: that an answer of the node's cache comes does not say that the network enforces
// no policy, though it says that this one takes nothing from the pod.
func TestAnAnswerOfTheNodesCacheIsNoProofAgainstAPolicy(t *testing.T) {
	in := healthy()
	in.Policies = []networkingv1.NetworkPolicy{policy(false)}
	in.Kubelets = append(in.Kubelets, Kubelet{Node: "n1", ClusterDNS: []string{"169.254.20.10"}, ClusterDomain: "cluster.local"})
	in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 169.254.20.10\noptions ndots:5\n"
	in = answered(in)
	from(&in, func(a *report.Answer) {
		if a.Server != "169.254.20.10" {
			silent(a)
		}
	})
	got := judge(in)
	if f := code(got.Header, "NetworkPolicyBlocksDNS"); got.Verdict != report.Healthy || f == nil || strings.Contains(f.Message, "does not enforce") {
		t.Errorf("%s: %+v", got.Summary, got.Findings)
	}
}

// Seen on kube-network-policies v0.8.0: a name is of a port with its protocol.
func TestANamedPortOfAPolicyIsOfOneProtocol(t *testing.T) {
	in := healthy()
	swapped := func(protocol corev1.Protocol, name string) networkingv1.NetworkPolicyPort {
		return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: ptr(intstr.FromString(name))}
	}
	in.Policies = []networkingv1.NetworkPolicy{policy(true, swapped("TCP", "dns"), swapped("UDP", "dns-tcp"))}
	in = answered(in)
	from(&in, silent)
	if got := judge(in); got.PrimaryCode != "NetworkPolicyBlocksDNS" || got.Verdict != report.Unhealthy {
		t.Errorf("%s: %s", got.PrimaryCode, got.Summary)
	}
}

func TestAnotherSearchDomainIsNotTheClusters(t *testing.T) {
	in := healthy()
	in.ConfigMaps[0].Data["Corefile"] = kubeadmCorefile + "\nclusterset.local:53 {\n forward . 10.96.7.7\n}\n"
	in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local svc.clusterset.local\nnameserver 10.96.0.10\noptions ndots:5\n"
	in = answered(in)
	for _, q := range ExplainQuestions(in, "apii.shop") {
		for i := range in.Probes {
			in.Probes[i].Answers = append(in.Probes[i].Answers, report.Answer{Viewpoint: "port-forward:x", Name: q.Name, Type: q.Type, Rcode: "NXDOMAIN"})
		}
	}
	if got := Explain(in, noon, Options{}, "apii.shop", nil); got.PrimaryCode != "NameNotFound" || !strings.Contains(got.Summary, "closest existing name: api.shop.svc.cluster.local") {
		t.Errorf("%s: %s", got.PrimaryCode, got.Summary)
	}
}

// Where the cloud runs the cluster's DNS its resolver stands in every pod's file; what it does not answer is wrong.
func TestTheCloudsResolverMayBeTheClusters(t *testing.T) {
	in := healthy()
	in.Kubelets = nil
	in.From.Files["/etc/resolv.conf"] = "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 169.254.169.254\noptions ndots:5\n"
	in.From.Answers = nil
	if got := Pod(in, noon, Options{}); got.Verdict == report.Unhealthy || len(got.Findings) != 1 || got.Findings[0].Severity != finding.Info {
		t.Errorf("not asked: %s %+v", got.Verdict, got.Findings)
	}
	in.Kubelets = []Kubelet{{Node: "n1", ClusterDNS: []string{"169.254.169.254"}, ClusterDomain: "cluster.local"}}
	in = answered(in)
	if got := judge(in); got.Verdict != report.Healthy {
		t.Errorf("it answers: %s %+v", got.Summary, got.Findings)
	}
	from(&in, func(a *report.Answer) {
		if a.Server == "169.254.169.254" {
			a.Rcode, a.Records = "NXDOMAIN", nil
		}
	})
	if got := judge(in); got.Verdict != report.Unhealthy || got.PrimaryCode != "KubeletClusterDNSMismatch" {
		t.Errorf("it knows no name of the cluster: %s %s", got.PrimaryCode, got.Summary)
	}
}

// Serials are seconds: the last change that the replica saw and the first that it missed may share one.
func TestAReplicaThatMissedTheSecondChangeOfASecondIsStale(t *testing.T) {
	in := healthy()
	made := noon.Add(-80 * time.Second)
	svc := service("shop", "new", "10.96.1.9", nil, corev1.ServicePort{Name: "http", Port: 80, Protocol: "TCP"})
	svc.CreationTimestamp = ago(80 * time.Second)
	in.Services = append(in.Services, svc)
	in = answered(in)
	for i := range in.Probes {
		p := &in.Probes[i]
		for k := range p.Answers {
			a := &p.Answers[k]
			switch {
			case a.Type == "SOA":
				a.Records[0].Data = "ns.dns. hostmaster. " + strconv.FormatInt(made.Unix(), 10)
			case i == 0 && strings.Contains(a.Name, "new.shop."):
				a.Rcode, a.Records = "NXDOMAIN", nil
			}
		}
	}
	if got := judge(in); got.PrimaryCode != "ReplicaStale" {
		t.Errorf("%s: %s", got.PrimaryCode, got.Summary)
	}
}

// Secrets of a Corefile stand neither in a saved input nor in the options of a configuration.
func TestASavedInputHoldsNoSecretOfTheCorefile(t *testing.T) {
	in := healthy()
	in.ConfigMaps[0].Data["Corefile"] = ".:53 {\n  kubernetes cluster.local\n  etcd {\n    credentials root canary1\n  }\n  tsig {\n    secret k. canary2\n  }\n}\n"
	in.Logs[0].Text = "[ERROR] GET https://u:canary3@etcd\n"
	text := fmt.Sprintf("%+v %+v", Masked(in), ConfigReport(in, noon, Options{}))
	if strings.Contains(text, "canary") || !strings.Contains(text, "credentials root ***") || !strings.Contains(text, "https://u:***@etcd") {
		t.Error(text)
	}
}

// The step opens what is closed: the way out of the pod's namespace, the way in to the DNS pods, or both.
func TestTheStepsOfAPolicyOpenTheClosedDirection(t *testing.T) {
	in := healthy()
	out, inward := policy(false), policy(false)
	inward.Namespace, inward.Name = "kube-system", "keep-out"
	inward.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	all := &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{in.From.Pod.Status.PodIP + "/32"}}
	inward.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{IPBlock: all}}}}
	edits := []string{"kubectl edit networkpolicy locked -n shop", "kubectl edit networkpolicy keep-out -n kube-system"}
	for name, c := range map[string]struct {
		policies []networkingv1.NetworkPolicy
		want     []string
	}{
		"out":  {[]networkingv1.NetworkPolicy{out}, edits[:1]},
		"in":   {[]networkingv1.NetworkPolicy{inward}, edits[1:]},
		"both": {[]networkingv1.NetworkPolicy{inward, out}, edits},
	} {
		t.Run(name, func(t *testing.T) {
			in := healthy()
			in.Policies = c.policies
			in = answered(in)
			from(&in, silent)
			got := judge(in)
			if got.PrimaryCode != "NetworkPolicyBlocksDNS" {
				t.Fatalf("%s: %s", got.PrimaryCode, got.Summary)
			}
			var changes []string
			for _, next := range got.Findings[0].Next {
				if next.Risk == finding.Change {
					changes = append(changes, next.Command)
					if opens := map[bool]string{true: "Allow ingress from the pod", false: "Allow egress to the DNS pods"}[strings.Contains(next.Command, "keep-out")]; !strings.HasPrefix(next.Why, opens) {
						t.Errorf("%s: %s", next.Command, next.Why)
					}
				}
			}
			if !slices.Equal(changes, c.want) {
				t.Errorf("got %q", changes)
			}
		})
	}
	in.Policies = []networkingv1.NetworkPolicy{inward}
	in = answered(in)
	in.From = nil
	if got := judge(in); slices.Contains(got.PassedChecks, "no NetworkPolicy blocks DNS") || !slices.Contains(got.PassedChecks, "no NetworkPolicy closes the DNS pods") {
		t.Errorf("no pod was judged, and %q", got.PassedChecks)
	}
}
