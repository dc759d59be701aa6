package evaluate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	mathrand "math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/joining"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// grown is a cluster of cp1, w1, w2 and w3 in which all is well and old, read with --join for w3. flannel runs on each node.
func grown(t testing.TB) Input {
	t.Helper()
	in := loadFile(t, "paths/cluster.json")
	in.Depth, in.Kubelets, in.ProxyHealth, in.NodeSources = JoinDepth, nil, nil, nil
	in.ServerVersion = "v1.36.3"
	for _, name := range []string{
		SourceRequests, SourceCSINodes, SourceServerVersion, SourceEvents,
	} {
		in.Sources = append(in.Sources, source.Source{Name: name, State: source.OK})
	}
	w3 := nodeOf(&in, "w2").DeepCopy()
	w3.Name, w3.UID, w3.Labels[corev1.LabelHostname], w3.Spec.PodCIDR, w3.Spec.PodCIDRs = "w3", "w3", "w3", "10.114.3.0/24", []string{"10.114.3.0/24"}
	in.Nodes = append(in.Nodes, *w3)
	for i := range in.Leases {
		if in.Leases[i].Name == "w2" {
			l := in.Leases[i].DeepCopy()
			l.Name = "w3"
			in.Leases = append(in.Leases, *l)
		}
	}
	for i := range in.Metrics {
		if m := in.Metrics[i]; m.Metadata.Name == "w2" {
			m.Metadata.Name = "w3"
			in.Metrics = append(in.Metrics, m)
		}
	}
	proxy := podsOf(&in, "k8s-app", "kube-proxy")[0].DeepCopy()
	proxy.Name, proxy.UID, proxy.Spec.NodeName = "kube-proxy-w3", "proxy-w3", "w3"
	in.Pods = append(in.Pods, *proxy)
	flannel := in.DaemonSets[0].DeepCopy()
	flannel.Name, flannel.UID = "kube-flannel", "flannel"
	flannel.Spec.Template.Labels = map[string]string{"app": "flannel"}
	in.DaemonSets = append(in.DaemonSets, *flannel)
	for i := range in.Nodes {
		n := &in.Nodes[i]
		n.CreationTimestamp = before(&in, 30*24*time.Hour)
		ready(n, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status", before(&in, 20*24*time.Hour))
		p := proxy.DeepCopy()
		p.Name, p.UID, p.Spec.NodeName, p.Labels = "kube-flannel-"+n.Name, "flannel-"+n.UID, n.Name, map[string]string{"app": "flannel"}
		p.OwnerReferences[0].Name, p.OwnerReferences[0].UID = flannel.Name, flannel.UID
		in.Pods = append(in.Pods, *p)
	}
	in.Targets = []string{"w3"}
	return in
}

func ready(n *corev1.Node, status corev1.ConditionStatus, reason, message string, since metav1.Time) {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			c.Status, c.Reason, c.Message, c.LastTransitionTime = status, reason, message, since
		}
	}
}

const noCNI = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: " +
	"cni plugin not initialized"

// arrives makes w3 a node that registered so long ago and was never Ready, for want of a network.
func arrives(ago time.Duration) func(in *Input) {
	return func(in *Input) {
		n := nodeOf(in, "w3")
		n.CreationTimestamp = before(in, ago)
		ready(n, corev1.ConditionFalse, "KubeletNotReady", noCNI, before(in, ago))
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule})
		for i := range in.Pods {
			if p := &in.Pods[i]; p.Spec.NodeName == "w3" {
				p.CreationTimestamp = before(in, min(ago, 40*time.Second))
			}
		}
	}
}

// starting makes pods of w3 start: they are created and not ready yet.
func starting(in *Input, names ...string) {
	for i := range in.Pods {
		if p := &in.Pods[i]; p.Spec.NodeName == "w3" && slices.Contains(names, p.Name) {
			p.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: p.CreationTimestamp},
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: p.CreationTimestamp},
			}, ContainerStatuses: []corev1.ContainerStatus{{
				Name: "x", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
			}}}
		}
	}
}

func withoutPods(in *Input, names ...string) {
	in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return slices.Contains(names, p.Name) })
}

func withoutFlannel(in *Input) {
	in.DaemonSets = in.DaemonSets[:1]
	in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return p.Labels["app"] == "flannel" })
}

func taint(key string) func(in *Input) {
	return func(in *Input) {
		n := nodeOf(in, "w3")
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoSchedule})
	}
}

func unrouted(in *Input) {
	n := nodeOf(in, "w3")
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
		Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Reason: "NoRouteCreated", Message: "Node created without a route",
	})
}

// newborn makes w3 a node that registered so long ago and is Ready.
func newborn(ago time.Duration) func(in *Input) {
	return func(in *Input) {
		n := nodeOf(in, "w3")
		n.CreationTimestamp = before(in, ago)
		ready(n, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status", before(in, ago-20*time.Second))
	}
}

// agent is a third DaemonSet, whose pod on w3 is the last of all.
func agent(in *Input) {
	set := in.DaemonSets[1].DeepCopy()
	set.Name, set.UID, set.Spec.Template.Labels = "agent", "agent", map[string]string{"app": "agent"}
	in.DaemonSets = append(in.DaemonSets, *set)
	for _, name := range []string{"cp1", "w1", "w2", "w3"} {
		p := podsOf(in, "app", "flannel")[0].DeepCopy()
		p.Name, p.UID, p.Spec.NodeName, p.Labels = "agent-"+name, "agent-"+types.UID(name), name, set.Spec.Template.Labels
		p.OwnerReferences[0].Name, p.OwnerReferences[0].UID = set.Name, set.UID
		in.Pods = append(in.Pods, *p)
	}
}

// unreadySince makes the last pod run and be not ready.
func unreadySince(ago time.Duration) func(in *Input) {
	return func(in *Input) {
		p := &in.Pods[len(in.Pods)-1]
		p.CreationTimestamp = before(in, time.Hour)
		for i := range p.Status.Conditions {
			if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady {
				c.Status, c.LastTransitionTime = corev1.ConditionFalse, before(in, ago)
			}
		}
	}
}

func provided(names ...string) func(in *Input) {
	return func(in *Input) {
		for _, name := range names {
			nodeOf(in, name).Spec.ProviderID = "cloud:///zone/" + name
		}
	}
}

func drivers(names ...string) func(in *Input) {
	return func(in *Input) {
		for _, name := range names {
			in.CSINodes = append(in.CSINodes, storagev1.CSINode{
				ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{Name: "disk.csi"}}},
			})
		}
	}
}

func unreadable(names ...string) func(in *Input) {
	return func(in *Input) {
		for i := range in.Sources {
			if s := &in.Sources[i]; slices.Contains(names, s.Name) {
				s.State, s.Verb, s.Resource = source.Forbidden, "list", s.Name
			}
		}
	}
}

// all makes several changes.
func all(changes ...func(in *Input)) func(in *Input) {
	return func(in *Input) {
		for _, change := range changes {
			change(in)
		}
	}
}

// asks adds a request of a machine, so old, with what became of it.
func asks(name, signer, user string, ago time.Duration, state ...certificatesv1.RequestConditionType) func(in *Input) {
	return func(in *Input) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:" + name}}
		if signer == certificatesv1.KubeletServingSignerName {
			for i := range in.Nodes {
				if in.Nodes[i].Name == name {
					template.DNSNames = []string{in.Nodes[i].Status.Addresses[0].Address}
				}
			}
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			panic(err)
		}
		r := certificatesv1.CertificateSigningRequest{
			ObjectMeta: metav1.ObjectMeta{Name: "csr-" + name, CreationTimestamp: before(in, ago)},
			Spec: certificatesv1.CertificateSigningRequestSpec{
				SignerName: signer, Username: user, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			},
		}
		for _, s := range state {
			if s == issued {
				r.Status.Certificate = []byte("issued")
				continue
			}
			r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: s, Reason: "ByTest"})
		}
		in.Requests = append(in.Requests, r)
	}
}

const (
	issued = "issued"
	client = certificatesv1.KubeAPIServerClientKubeletSignerName
	server = certificatesv1.KubeletServingSignerName
)

// machineOf asks about a machine that has no Node.
func machineOf(name string, changes ...func(in *Input)) func(in *Input) {
	return func(in *Input) {
		in.Targets, in.NotFound = []string{name}, nil
		all(changes...)(in)
	}
}

type join struct {
	name    string
	change  func(in *Input)
	verdict report.JoinVerdict
	missing report.JoinStepName // the first; empty: none
	codes   string              // of the roots, apart by spaces
	step    report.JoinStepName // a step, its state, and what its evidence says
	state   report.JoinState
	says    string
}

func everyJoin() []join {
	const w9 = "system:bootstrap:abcdef"
	none := func(*Input) {}
	return []join{
		{"an old healthy node", none, report.Joined, "", "", report.JoinReady, report.JoinDone, "Ready for 20d"},
		{"near: the pods of a node that joined a minute ago start", all(arrives(time.Minute), func(in *Input) {
			starting(in, "kube-proxy-w3", "kube-flannel-w3")
		}), report.Joining, "", "", report.JoinNetwork, report.JoinWaiting, "flannel (kube-system/kube-flannel-w3): ContainerCreating"},
		{"near: nothing of the network plugin is there yet", all(arrives(time.Minute), func(in *Input) {
			withoutPods(in, "kube-flannel-w3")
		}), report.Joining, "", "", report.JoinNetwork, report.JoinWaiting, "DaemonSet kube-system/kube-flannel has no pod on the node yet"},
		{"the image of the network plugin is not pulled, a minute after the node joined", all(arrives(time.Minute), func(in *Input) {
			starting(in, "kube-flannel-w3")
			for i := range in.Pods {
				if in.Pods[i].Name == "kube-flannel-w3" {
					in.Pods[i].Status.ContainerStatuses[0].State.Waiting.Reason = "ImagePullBackOff"
				}
			}
		}), report.Incomplete, report.JoinNetwork, "NetworkPluginPodNotReady", report.JoinNetwork, report.JoinMissing, "ImagePullBackOff"},
		{
			"the network does not come", all(arrives(20*time.Minute), func(in *Input) { starting(in, "kube-proxy-w3") }),
			report.Incomplete, report.JoinNetwork, "NetworkPluginNotReady", report.JoinTaints, report.JoinWaiting, "node.kubernetes.io/not-ready",
		},
		{"no network plugin in a new cluster", all(withoutFlannel, arrives(time.Minute), func(in *Input) {
			for _, name := range []string{"cp1", "w1", "w2"} {
				ready(nodeOf(in, name), corev1.ConditionFalse, "KubeletNotReady", noCNI, before(in, time.Minute))
			}
		}), report.Incomplete, report.JoinNetwork, "NetworkPluginMissing", report.JoinNetwork, report.JoinMissing, "no network plugin is installed"},
		{"no network plugin, and the node is old", all(withoutFlannel, arrives(20*time.Minute), func(in *Input) {
			for _, name := range []string{"cp1", "w1", "w2"} {
				ready(nodeOf(in, name), corev1.ConditionFalse, "KubeletNotReady", noCNI, before(in, time.Minute))
			}
		}), report.Incomplete, report.JoinNetwork, "NetworkPluginMissing", report.JoinNetwork, report.JoinMissing, "no network plugin is installed"},
		{
			"near: an unknown network plugin works on other nodes", all(withoutFlannel, arrives(time.Minute)), report.Joining, "", "",
			report.JoinNetwork, report.JoinWaiting, "no pod of a network plugin that nodeinfo knows",
		},
		{"the network plugin leaves the node out", all(arrives(time.Minute), func(in *Input) {
			withoutPods(in, "kube-flannel-w3")
			in.DaemonSets[1].Spec.Template.Spec.NodeSelector = map[string]string{"pool": "old"}
		}), report.Incomplete, report.JoinNetwork, "NetworkPluginMissing", report.JoinNetwork, report.JoinMissing, "its node selector or affinity does not match"},
		{
			"near: DaemonSets are not read", all(withoutFlannel, arrives(time.Minute), unreadable(SourceDaemonSets)), report.Joining, "", "",
			report.JoinDaemonSets, report.JoinUnknown, "not checked: needs list daemonsets",
		},
		{
			"near: the routes of a cloud are not there yet", all(newborn(time.Minute), unrouted), report.Joining, "", "", report.JoinNetwork,
			report.JoinWaiting, "NetworkUnavailable (NoRouteCreated): Node created without a route",
		},
		{"the routes of a cloud do not come", all(newborn(10*time.Minute), unrouted), report.Incomplete, report.JoinNetwork, "NetworkUnavailable", report.JoinNetwork, report.JoinMissing, "without a route"},
		{
			"a DaemonSet has no pod", func(in *Input) { withoutPods(in, "kube-proxy-w3") }, report.Incomplete, report.JoinDaemonSets,
			"DaemonSetPodMissing", report.JoinDaemonSets, report.JoinMissing, "kube-system/kube-proxy has no pod on this node",
		},
		{
			"near: a DaemonSet has no pod yet", all(newborn(time.Minute), func(in *Input) { withoutPods(in, "kube-proxy-w3") }), report.Joining, "", "",
			report.JoinDaemonSets, report.JoinWaiting, "1 of 2 are ready: kube-system/kube-proxy has no pod",
		},
		{
			"the pod of a DaemonSet runs and is not ready", all(newborn(20*time.Minute), agent, unreadySince(6*time.Minute)), report.Incomplete,
			report.JoinDaemonSets, "DaemonSetPodNotReady", report.JoinDaemonSets, report.JoinMissing,
			"pod kube-system/agent-w3 of DaemonSet kube-system/agent has not been ready for 6m: Running, not ready",
		},
		{
			"it explains a startup taint", all(newborn(20*time.Minute), agent, unreadySince(6*time.Minute), taint("node.cilium.io/agent-not-ready")),
			report.Incomplete, report.JoinDaemonSets, "DaemonSetPodNotReady", report.JoinTaints, report.JoinMissing, "Cilium has not removed it",
		},
		{
			"it explains a CSI driver", all(newborn(20*time.Minute), agent, unreadySince(6*time.Minute), drivers("w1", "w2")),
			report.Incomplete, report.JoinDaemonSets, "DaemonSetPodNotReady", report.JoinCSI, report.JoinMissing, "disk.csi",
		},
		{
			"near: another DaemonSet has no pod, which may be why", all(newborn(20*time.Minute), agent, unreadySince(6*time.Minute), func(in *Input) {
				withoutPods(in, "kube-proxy-w3")
			}), report.Incomplete, report.JoinDaemonSets, "DaemonSetPodMissing", report.JoinDaemonSets, report.JoinMissing, "kube-proxy has no pod",
		},
		{
			"it follows from a pod CIDR that is missing", all(newborn(20*time.Minute), agent, unreadySince(6*time.Minute), func(in *Input) {
				nodeOf(in, "w3").Spec.PodCIDR, nodeOf(in, "w3").Spec.PodCIDRs = "", nil
			}), report.Incomplete, report.JoinPodCIDR, "PodCIDRMissing", report.JoinDaemonSets, report.JoinMissing, "agent-w3",
		},
		{
			"the node is cordoned, too", all(newborn(20*time.Minute), agent, unreadySince(6*time.Minute), func(in *Input) {
				nodeOf(in, "w3").Spec.Unschedulable = true
			}), report.Incomplete, report.JoinDaemonSets, "DaemonSetPodNotReady Cordoned", report.JoinDaemonSets, report.JoinMissing, "agent-w3",
		},
		{
			"near: the pod of a DaemonSet is ready", all(newborn(20*time.Minute), agent), report.Joined, "", "", report.JoinDaemonSets,
			report.JoinDone, "3 of 3 are ready",
		},
		{
			"near: the pod has not been ready for four minutes", all(newborn(20*time.Minute), agent, unreadySince(4*time.Minute)), report.Joining, "", "",
			report.JoinDaemonSets, report.JoinWaiting, "2 of 3 are ready: kube-system/agent Running, not ready",
		},
		{
			"near: the node joined four minutes ago", all(newborn(4*time.Minute), agent, unreadySince(6*time.Minute)), report.Joining, "", "",
			report.JoinDaemonSets, report.JoinWaiting, "2 of 3 are ready",
		},
		{
			"near: the kubelet stopped, and the pod is not ready", all(agent, unreadySince(6*time.Minute), func(in *Input) { down(in, "w3") }),
			report.Incomplete, report.JoinReports, "KubeletNotReporting", report.JoinDaemonSets, report.JoinUnknown, "the kubelet does not report",
		},
		{
			"near: a pod of no DaemonSet is not ready", all(newborn(20*time.Minute), agent, unreadySince(6*time.Minute), func(in *Input) {
				in.Pods[len(in.Pods)-1].OwnerReferences = nil
				in.DaemonSets = in.DaemonSets[:2]
			}), report.Joined, "", "", report.JoinDaemonSets, report.JoinDone, "2 of 2 are ready",
		},
		{
			"the kubelet stopped", func(in *Input) { down(in, "w3") }, report.Incomplete, report.JoinReports, "KubeletNotReporting", report.JoinNetwork,
			report.JoinUnknown, "the kubelet does not report",
		},
		{"leases are not read", unreadable(SourceLeases), report.JoinUndecided, "", "", report.JoinReports, report.JoinUnknown, "needs list leases"},
		{
			"the kubelet is too old", func(in *Input) { nodeOf(in, "w3").Status.NodeInfo.KubeletVersion = "v1.30.1" }, report.Incomplete,
			report.JoinVersion, "KubeletTooOld", report.JoinVersion, report.JoinMissing, "6 minor versions older",
		},
		{
			"near: three minor versions older", func(in *Input) { nodeOf(in, "w3").Status.NodeInfo.KubeletVersion = "v1.33.1" }, report.Joined, "", "",
			report.JoinVersion, report.JoinDone, "kubelet v1.33.1",
		},
		{
			"a request for a serving certificate waits", all(newborn(10*time.Minute), asks("w3", server, "system:node:w3", 9*time.Minute)),
			report.Incomplete, report.JoinServingCertificate, "KubeletCertificateNotIssued", report.JoinServingCertificate, report.JoinMissing,
			"csr-w3 waits for approval",
		},
		{
			"a request for a serving certificate was denied", all(newborn(10*time.Minute),
				asks("w3", server, "system:node:w3", time.Minute, certificatesv1.CertificateDenied)),
			report.Incomplete, report.JoinServingCertificate, "KubeletCertificateNotIssued", report.JoinServingCertificate, report.JoinMissing, "was denied",
		},
		{
			"near: the request is half a minute old", all(newborn(time.Minute), asks("w3", server, "system:node:w3", 30*time.Second)), report.Joining, "", "",
			report.JoinServingCertificate, report.JoinWaiting, "csr-w3 waits for approval",
		},
		{
			"near: the serving certificate was issued", all(newborn(10*time.Minute),
				asks("w3", server, "system:node:w3", 9*time.Minute, certificatesv1.CertificateApproved, issued)), report.Joined, "", "",
			report.JoinServingCertificate, report.JoinDone, "issued: CertificateSigningRequest csr-w3",
		},
		{
			"near: a renewal of the client certificate waits, and the kubelet reports", asks("w3", client, "system:node:w3", 9*time.Minute),
			report.Joined, "", "KubeletCertificateNotIssued", report.JoinClientCertificate, report.JoinDone, "the kubelet reports with it",
		},
		{
			"requests are not read", unreadable(SourceRequests), report.JoinUndecided, "", "", report.JoinServingCertificate, report.JoinUnknown,
			"needs list certificate requests",
		},
		{
			"the cloud has not initialized the node", all(newborn(15*time.Minute), taint("node.cloudprovider.kubernetes.io/uninitialized")),
			report.Incomplete, report.JoinCloud, "NodeNotInitialized", report.JoinCloud, report.JoinMissing, "no pod of one was found",
		},
		{"near: the cloud initializes a node that has just joined", all(newborn(time.Minute),
			taint("node.cloudprovider.kubernetes.io/uninitialized"), func(in *Input) {
				in.Pods = append(in.Pods, part("cp1", "cloud-controller-manager", true))
			}), report.Joining, "", "", report.JoinCloud, report.JoinWaiting, "1 of 1 pods of it are ready: kube-system/cloud-controller-manager-cp1"},
		{
			"the kubelet does not know of a cloud", all(newborn(10*time.Minute), provided("w1", "w2")), report.Incomplete, report.JoinCloud,
			"ProviderIDMissing", report.JoinCloud, report.JoinMissing, "2 of 2 other nodes",
		},
		{"near: one of two others has a providerID", provided("w1"), report.Joined, "", "", report.JoinCloud, report.JoinNotNeeded, "1 of 2 other nodes"},
		{"near: all have a providerID", provided("w1", "w2", "w3"), report.Joined, "", "", report.JoinCloud, report.JoinDone, "cloud:///zone/w3"},
		{"no pod CIDR is left", all(newborn(10*time.Minute), func(in *Input) {
			nodeOf(in, "w3").Spec.PodCIDR, nodeOf(in, "w3").Spec.PodCIDRs = "", nil
		}), report.Incomplete, report.JoinPodCIDR, "PodCIDRMissing", report.JoinPodCIDR, report.JoinMissing, "2 of 2 other nodes have"},
		{"near: no pod CIDR yet", all(newborn(time.Minute), func(in *Input) {
			nodeOf(in, "w3").Spec.PodCIDR, nodeOf(in, "w3").Spec.PodCIDRs = "", nil
		}), report.Joining, "", "", report.JoinPodCIDR, report.JoinWaiting, "2 of 2 other nodes have one"},
		{"near: no node has a pod CIDR", func(in *Input) {
			for i := range in.Nodes {
				in.Nodes[i].Spec.PodCIDR, in.Nodes[i].Spec.PodCIDRs = "", nil
			}
		}, report.Joined, "", "", report.JoinPodCIDR, report.JoinNotNeeded, "the network plugin assigns addresses itself"},
		{
			"the node lacks a CSI driver", all(newborn(10*time.Minute), drivers("w1", "w2")), report.Incomplete, report.JoinCSI, "CSIDriverMissing",
			report.JoinCSI, report.JoinMissing, "disk.csi",
		},
		{
			"near: the CSI driver is about to register", all(newborn(time.Minute), drivers("w1", "w2")), report.Joining, "", "", report.JoinCSI,
			report.JoinWaiting, "disk.csi",
		},
		{"near: one of two others has the driver", drivers("w1"), report.Joined, "", "", report.JoinCSI, report.JoinNotNeeded, "most other nodes have none"},
		{"near: the driver of control plane nodes", drivers("cp1"), report.Joined, "", "", report.JoinCSI, report.JoinNotNeeded, ""},
		{
			"a startup taint stays", all(newborn(30*time.Minute), taint("node.cilium.io/agent-not-ready")), report.Incomplete, report.JoinTaints,
			"StartupTaintStuck", report.JoinTaints, report.JoinMissing, "Cilium has not removed it",
		},
		{
			"a startup taint of a CSI driver stays", all(newborn(30*time.Minute), taint("ebs.csi.aws.com/agent-not-ready")), report.Incomplete,
			report.JoinTaints, "StartupTaintStuck", report.JoinTaints, report.JoinMissing, "ebs.csi.aws.com has not removed it",
		},
		{
			"near: a startup taint of a node that has just joined", all(newborn(time.Minute), taint("karpenter.sh/unregistered")), report.Joining, "", "",
			report.JoinTaints, report.JoinWaiting, "karpenter.sh/unregistered (removed by Karpenter)",
		},
		{"near: a taint of the cluster", taint("dedicated"), report.Joined, "", "", report.JoinTaints, report.JoinDone, "dedicated:NoSchedule"},
		{"near: a label that others have", func(in *Input) {
			nodeOf(in, "w1").Labels[corev1.LabelTopologyZone], nodeOf(in, "w2").Labels[corev1.LabelTopologyZone] = "a", "b"
		}, report.Joined, "", "", report.JoinLabels, report.JoinInfo, "lacks topology.kubernetes.io/zone (2 of 2 other nodes have it)"},
		{
			"the node is cordoned", func(in *Input) { nodeOf(in, "w3").Spec.Unschedulable = true }, report.Incomplete, report.JoinReady, "Cordoned",
			report.JoinReady, report.JoinMissing, "the node is cordoned",
		},
		{"the runtime does not answer", all(newborn(30*time.Minute), func(in *Input) {
			ready(nodeOf(in, "w3"), corev1.ConditionFalse, "KubeletNotReady", "container runtime is down", before(in, 4*time.Minute))
		}), report.Incomplete, report.JoinReady, "ContainerRuntimeDown", report.JoinReady, report.JoinMissing, "has not responded"},
		{
			"the Node is being deleted", func(in *Input) { nodeOf(in, "w3").DeletionTimestamp = new(before(in, time.Minute)) }, report.Incomplete,
			report.JoinNode, "", report.JoinNode, report.JoinMissing, "being deleted",
		},
		{"near: a pod of nobody's crashes", func(in *Input) {
			p := podsOf(in, "k8s-app", "kube-dns")[0].DeepCopy()
			p.Name, p.UID, p.Spec.NodeName = "coredns-w3", "coredns-w3", "w3"
			in.Pods = append(in.Pods, *p)
			starting(in, "coredns-w3")
			in.Pods[len(in.Pods)-1].Status.ContainerStatuses[0].State.Waiting.Reason = "ImagePullBackOff"
		}, report.Joined, "", "", report.JoinReady, report.JoinDone, ""},

		{
			"a bootstrap request waits", machineOf("w9", asks("w9", client, w9, 9*time.Minute)), report.Incomplete, report.JoinClientCertificate,
			"KubeletCertificateNotIssued", report.JoinNode, report.JoinWaiting, "follows the client certificate",
		},
		{
			"a bootstrap request was denied", machineOf("w9", asks("w9", client, w9, time.Minute, certificatesv1.CertificateDenied)), report.Incomplete,
			report.JoinClientCertificate, "KubeletCertificateNotIssued", report.JoinClientCertificate, report.JoinMissing, "was denied",
		},
		{
			"a bootstrap request failed", machineOf("w9", asks("w9", client, w9, time.Minute, certificatesv1.CertificateApproved, certificatesv1.CertificateFailed)),
			report.Incomplete, report.JoinClientCertificate, "KubeletCertificateNotIssued", report.JoinClientCertificate, report.JoinMissing, "failed",
		},
		{
			"a bootstrap request is not signed", machineOf("w9", asks("w9", client, w9, 5*time.Minute, certificatesv1.CertificateApproved)),
			report.Incomplete, report.JoinClientCertificate, "KubeletCertificateNotIssued", report.JoinClientCertificate, report.JoinMissing, "no signer has issued",
		},
		{
			"near: the bootstrap request is ten seconds old", machineOf("w9", asks("w9", client, w9, 10*time.Second)), report.Joining, "", "",
			report.JoinClientCertificate, report.JoinWaiting, "csr-w9 waits for approval",
		},
		{
			"near: a machine has just received its certificate", machineOf("w9", asks("w9", client, w9, time.Minute, certificatesv1.CertificateApproved, issued)),
			report.Joining, "", "", report.JoinNode, report.JoinWaiting, "registers the Node after",
		},
		{
			"a machine has its certificate and does not register", machineOf("w9",
				asks("w9", client, w9, 9*time.Minute, certificatesv1.CertificateApproved, issued)), report.Incomplete, report.JoinNode,
			"NodeNotRegistered", report.JoinNode, report.JoinMissing, "has not registered a Node",
		},
		{
			"nothing is known of a machine", machineOf("w9", func(in *Input) { in.Targets, in.NotFound = nil, []string{"w9"} }), report.Incomplete,
			report.JoinClientCertificate, "JoinRequestMissing", report.JoinNode, report.JoinWaiting, "",
		},
		{"near: nothing is known, and requests are not read", machineOf("w9", unreadable(SourceRequests), func(in *Input) {
			in.Targets, in.NotFound = nil, []string{"w9"}
		}), report.JoinUndecided, "", "", report.JoinClientCertificate, report.JoinUnknown, "needs list certificate requests"},
	}
}

func reportJoin(in Input) report.Join { return ReportJoin(in, in.Now, finding.Kubectl{}) }

func TestJoinsAreJudged(t *testing.T) {
	seen, near := map[finding.Code]bool{}, 0
	for _, tt := range everyJoin() {
		t.Run(tt.name, func(t *testing.T) {
			in := grown(t)
			tt.change(&in)
			r := reportJoin(in)
			if len(r.Machines) != 1 {
				t.Fatalf("%d machines", len(r.Machines))
			}
			m := r.Machines[0]
			var roots []string
			for _, f := range m.Findings {
				roots = append(roots, string(f.Code))
				seen[f.Code] = true
				if len(f.Next) == 0 {
					t.Errorf("%s leads nowhere", f.Code)
				}
			}
			if got := strings.Join(roots, " "); got != tt.codes || m.Verdict != tt.verdict || m.Missing != tt.missing {
				t.Errorf("%s, missing %q, with %q, want %s, %q, %q\n%s\n%+v", m.Verdict, m.Missing, got, tt.verdict, tt.missing, tt.codes, m.Summary, m.Steps)
			}
			at := slices.IndexFunc(m.Steps, func(s report.JoinStep) bool { return s.Step == tt.step })
			if at < 0 || m.Steps[at].State != tt.state || !strings.Contains(m.Steps[at].Evidence, tt.says) {
				t.Errorf("step %s is not %s with %q: %+v", tt.step, tt.state, tt.says, m.Steps)
			}
			for _, s := range m.Steps { // --fail-on sees codes
				if s.State == report.JoinMissing && s.Code == "" && s.Step != report.JoinNode {
					t.Errorf("step %s is missing without a code", s.Step)
				}
			}
			if (m.Verdict == report.Joining || m.Verdict == report.Incomplete && len(m.Findings) == 0) && len(m.Next) == 0 {
				t.Error("nothing comes next")
			}
			if m.Verdict == report.Joining && !strings.Contains(m.Next[0].Command, "--wait-for=healthy") {
				t.Errorf("it is not waited: %v", m.Next)
			}
		})
		if strings.HasPrefix(tt.name, "near: ") {
			near++
		}
	}
	for _, e := range joining.Catalog() {
		if !seen[e.Code] {
			t.Errorf("%s is never found", e.Code)
		}
	}
	if near < 20 {
		t.Errorf("only %d near misses", near)
	}
}

// Without names, those are told that have not joined: nodes, and machines that only a request tells of.
func TestWhoHasNotJoinedIsFound(t *testing.T) {
	in := grown(t)
	in.Targets = nil
	if r := reportJoin(in); len(r.Machines) > 0 || r.Verdict != report.Joined ||
		r.Summary != "nothing is missing on 4 nodes, and no machine requests to join" {
		t.Errorf("%s: %s, %v", r.Verdict, r.Summary, r.Machines)
	}
	all(arrives(20*time.Minute), asks("w8", client, "system:bootstrap:a", 10*time.Second), asks("w9", client, "system:bootstrap:a", time.Hour))(&in)
	newborn := nodeOf(&in, "w1") // and complete
	newborn.CreationTimestamp = before(&in, 30*time.Minute)
	r := reportJoin(in)
	var names []string
	for _, m := range r.Machines {
		names = append(names, m.Name+" "+string(m.Verdict))
	}
	if got := strings.Join(names, ", "); got != "w3 Incomplete, w9 Incomplete, w8 Joining" || r.Summary != "2 Incomplete, 1 Joining" {
		t.Errorf("%s; %s", got, r.Summary)
	}
	in = grown(t)
	in.Targets = nil
	down(&in, "w2") // and no node controller has noticed it
	ready(nodeOf(&in, "w2"), corev1.ConditionTrue, "KubeletReady", "", before(&in, time.Hour))
	if r := reportJoin(in); len(r.Machines) != 1 || r.Machines[0].Name != "w2" || r.Machines[0].Missing != report.JoinReports {
		t.Errorf("%s: %+v", r.Verdict, r.Machines)
	}
	in = grown(t)
	in.Targets = nil
	unreadable(SourceRequests)(&in)
	if r := reportJoin(in); r.Verdict != report.JoinUndecided || !strings.Contains(r.Summary, "machines that wait for their certificate are unknown") {
		t.Errorf("%s: %s", r.Verdict, r.Summary)
	}
}

// Who leads nothing signs and places nothing: it is the cause of what does not come, and no matter of a node that lacks nothing.
func TestAClusterWithoutLeaderCompletesNoJoin(t *testing.T) {
	in := grown(t)
	at := metav1.NewMicroTime(in.Now.Add(-3 * time.Minute))
	for i := range in.SystemLeases {
		if l := &in.SystemLeases[i]; l.Name == "kube-controller-manager" {
			l.Spec.RenewTime, l.ManagedFields = &at, nil
		}
	}
	if m := reportJoin(in).Machines[0]; m.Verdict != report.Joined || len(m.Findings) > 0 {
		t.Errorf("%s: %v", m.Verdict, m.Findings)
	}
	newborn(10 * time.Minute)(&in)
	nodeOf(&in, "w3").Spec.PodCIDR, nodeOf(&in, "w3").Spec.PodCIDRs = "", nil
	m := reportJoin(in).Machines[0]
	if len(m.Findings) != 1 || m.Findings[0].Code != machine.LeaderLeaseExpired || m.Findings[0].Severity != finding.Critical ||
		len(m.Consequences) != 1 || m.Consequences[0].Code != joining.PodCIDRMissing || m.Missing != report.JoinPodCIDR {
		t.Errorf("%+v, %+v", m.Findings, m.Consequences)
	}
}

func TestASavedJoinIsForItsMachines(t *testing.T) {
	in := grown(t)
	asks("w9", client, "system:bootstrap:a", time.Hour)(&in)
	in.NodeSources = map[string]source.List{"w3": {}, "w9": {}}
	if err := in.AimJoin([]string{"w1"}); err == nil || !strings.Contains(err.Error(), "saved for other nodes: w3, w9") {
		t.Error(err)
	}
	if err := in.AimJoin([]string{"w3", "w9", "w7"}); err != nil || !slices.Equal(in.Targets, []string{"w3", "w9"}) || !slices.Equal(in.NotFound, []string{"w7"}) {
		t.Error(err, in.Targets, in.NotFound)
	}
	in.Depth = Full
	if err := in.AimJoin(nil); err == nil || !strings.Contains(err.Error(), "not saved with --join") {
		t.Error(err)
	}
}

func TestAJoinIsAsRecorded(t *testing.T) {
	in := grown(t)
	in.Targets = nil
	all(arrives(20*time.Minute), asks("w9", client, "system:bootstrap:abcdef", 9*time.Minute), drivers("w1", "w2"), func(in *Input) {
		starting(in, "kube-proxy-w3")
	}, taint("node.cilium.io/agent-not-ready"))(&in)
	want := reportJoin(in)
	golden(t, "join/report.yaml", want)
	disorder(mathrand.New(mathrand.NewSource(1)), &in)
	if diff := cmp.Diff(want, reportJoin(in)); diff != "" {
		t.Error(diff)
	}
}

func TestJoinsLeadSomewhereNew(t *testing.T) {
	var list []testkit.Report
	for _, tt := range everyJoin() {
		in := grown(t)
		tt.change(&in)
		for _, m := range reportJoin(in).Machines {
			list = append(list, testkit.Report{Fixture: tt.name, Findings: m.Findings})
		}
	}
	testkit.CheckWords(t, Catalog(), nil, list)
}
