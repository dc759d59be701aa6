package joining

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
)

// What only a machine that joins lacks.
const (
	JoinRequestMissing   finding.Code = "JoinRequestMissing"
	NodeNotRegistered    finding.Code = "NodeNotRegistered"
	NetworkPluginMissing finding.Code = "NetworkPluginMissing"
	ProviderIDMissing    finding.Code = "ProviderIDMissing"
	PodCIDRMissing       finding.Code = "PodCIDRMissing"
	CSIDriverMissing     finding.Code = "CSIDriverMissing"
	DaemonSetPodNotReady finding.Code = "DaemonSetPodNotReady"
	StartupTaintStuck    finding.Code = "StartupTaintStuck"
)

const nodeDeleted = rules.NodeDeleted

// The codes of nodes by the step that they are about.
var (
	heartbeat = slices.Concat(machine.NotReportingCodes, []finding.Code{
		machine.LeaseNotRenewed, machine.NodeStatusStale, machine.HeartbeatLate,
	})
	network = []finding.Code{
		NetworkPluginMissing, workload.NetworkPluginPodNotReady, machine.NetworkPluginNotReady, machine.NetworkUnavailable,
	}
	daemons = []finding.Code{
		workload.DaemonSetPodMissing, workload.KubeProxyNotReady, workload.NetworkPluginPodNotReady, workload.CSIDriverPodNotReady,
		workload.PodNotStarting, workload.PodCrashLooping,
	}
	readiness = []finding.Code{
		machine.ContainerRuntimeDown, machine.NodeShuttingDown, machine.NodeNotReady, machine.DiskPressure, machine.MemoryPressure,
		machine.PIDPressure, workload.OutOfService, workload.NodeRemovalStuck, workload.Cordoned,
	}
	others = []finding.Code{
		machine.KubeletCertificateNotIssued, machine.KubeletServingCertificateMissing, workload.KubeletNewerThanAPIServer,
		workload.KubeletTooOld, workload.NodeNotInitialized, nodeDeleted,
	}
	// Without these parts of the control plane nobody signs, initializes or places: no step is about them.
	leaders = []string{facts.ControllerManager, facts.Scheduler}

	borrowed = slices.Concat(heartbeat, network[1:], daemons, readiness, others, []finding.Code{machine.LeaderLeaseExpired})
)

// borrows says whether a finding of a node is about a step: of pods, those of DaemonSets alone are.
func (m *Machine) borrows(f *finding.Finding) bool {
	switch f.Code {
	case machine.LeaderLeaseExpired:
		return f.Object != nil && slices.Contains(leaders, f.Object.Name)
	case workload.PodNotStarting, workload.PodCrashLooping:
		return f.Object != nil && slices.ContainsFunc(m.Pods, func(p *facts.Pod) bool {
			owner := metav1.GetControllerOf(p.Pod)
			return p.Namespace == f.Object.Namespace && p.Name == f.Object.Name && owner != nil && owner.Kind == "DaemonSet"
		})
	}
	return slices.Contains(borrowed, f.Code)
}

// rewritten is a finding of a node as it is to a join: what its rules found already stands by itself, but for a network that nothing
// provides; and a cluster in which nobody leads completes no join, wherever that is seen.
func (m *Machine) rewritten(f finding.Finding) finding.Finding {
	f.Causes = []finding.Code{}
	switch f.Code {
	case machine.LeaderLeaseExpired:
		f.Severity = ""
		f.Message, _, _ = strings.Cut(f.Message, "; this control plane node")
	case machine.NetworkPluginNotReady, machine.NetworkUnavailable:
		f.Causes = []finding.Code{NetworkPluginMissing}
	}
	return f
}

type rule = finding.Rule[Machine]

// own are the rules of machines that join; those of nodes have their own book, and stand here as what they explain.
var own = []rule{
	joinRequestMissing, nodeNotRegistered, networkPluginMissing, providerIDMissing, podCIDRMissing, csiDriverMissing, daemonSetPodNotReady,
	startupTaintStuck,
}

var book = rules.Lend(own, slices.Concat(borrowed, []finding.Code{machine.NodeJoining})...)

func severityOf(code finding.Code) finding.Severity { return book.Entry(code).Severity }

// Catalog is the codes that joins alone have, sorted.
func Catalog() []finding.Entry { return finding.NewBook(own...).Catalog() }

var joinRequestMissing = rule{
	Entry: finding.Entry{
		Code: JoinRequestMissing, Severity: finding.Critical, Title: "Machine has not requested to join",
		Meaning: "There is neither a Node of that name nor a request of its kubelet for a client certificate: the kubelet has not reached " +
			"the API server, its bootstrap token is not valid any more, or the machine has another name.",
		Evidence: "No Node, and no CertificateSigningRequest for system:node:NAME; the control plane deletes answered ones after an hour.",
		Next:     "On the node, read the log of the kubelet, and repeat kubeadm join with a new token if that has expired.",
		Source:   "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#initialization-process",
	},
	Check: checkJoinRequestMissing,
}

func checkJoinRequestMissing(m *Machine) []finding.Finding {
	if m.Seen || !m.Read(facts.SourceRequests) {
		return nil
	}
	name := m.Object.Name
	return m.One("there is no Node "+name+", and no machine of that name has requested a client certificate",
		[]finding.Evidence{{Source: "CertificateSigningRequests", Path: "spec.request", Value: "none for system:node:" + name}}, m.atMachine()...)
}

// atMachine is what tells on the machine itself why its kubelet does not arrive.
func (m *Machine) atMachine() []finding.Next {
	token := m.Look("List the bootstrap tokens that exist (needs list secrets)", "kube-system", "get", "secrets",
		"--field-selector=type=bootstrap.kubernetes.io/token")
	again := finding.Next{
		Command: "kubeadm token create --print-join-command", Risk: finding.Change,
		Why:     "On a control plane node, if the token has expired (24h), create one and print the join command",
		Answers: []string{"kubeadm join …: run it on the machine"},
	}
	return []finding.Next{
		subject.OnNode("systemctl status kubelet; journalctl -u kubelet -n 50 --no-pager",
			"On the node, check whether the kubelet is running, and read its log",
			`"bootstrap-kubelet.conf": kubeadm join was not run, or has not got so far`,
			`"Unauthorized": the bootstrap token has expired or is wrong`,
			`"connection refused", "i/o timeout", "no such host": the machine does not reach the API server`,
			`"x509": the certificate authority in its configuration is not that of the cluster`),
		subject.OnNode(`curl -sk -m5 "$(sed -n 's/^ *server: //p' /etc/kubernetes/bootstrap-kubelet.conf /etc/kubernetes/kubelet.conf `+
			`2>/dev/null | head -1)/livez"`, "On the node, query the API server at the address that its kubelet uses",
			`"ok" or any other answer of HTTP: it is reached`, "no answer: a name, a route or a firewall is in the way"),
		token, again,
	}
}

var nodeNotRegistered = rule{
	Entry: finding.Entry{
		Code: NodeNotRegistered, Severity: finding.Critical, Title: "Kubelet has a certificate and no Node",
		Meaning: "The kubelet of the machine received its client certificate more than two minutes ago, and there is no Node object: it has " +
			"stopped, cannot reach the API server any more, or its registration is rejected.",
		Evidence: "A CertificateSigningRequest of the machine with a certificate, created more than 2m ago, and no Node.",
		Next:     "On the node, read the log of the kubelet.",
		Source:   "https://kubernetes.io/docs/concepts/architecture/nodes/#self-registration-of-nodes",
	},
	CausedBy: []finding.Code{nodeDeleted},
	Check:    checkNodeNotRegistered,
}

func checkNodeNotRegistered(m *Machine) []finding.Finding {
	r := m.client
	if m.Registered || r == nil || r.State != certificate.Issued || m.Age(r.Made) < m.Limits.CertificateRequestWait {
		return nil
	}
	message := fmt.Sprintf("the kubelet received its client certificate (%s, requested %s ago), and has not registered a Node",
		r.Name, m.Ago(r.Made))
	return m.One(message, []finding.Evidence{{
		Source: "CertificateSigningRequest " + r.Name, Path: "status.certificate", Value: "issued", Time: facts.Time(r.Made),
	}}, subject.OnNode("systemctl status kubelet; journalctl -u kubelet -n 50 --no-pager",
		"On the node, check whether the kubelet is running, and why it does not register",
		`"Unable to register node": the reason follows, such as an admission policy or a name that is not its own`))
}

var networkPluginMissing = rule{
	Entry: finding.Entry{
		Code: NetworkPluginMissing, Severity: finding.Critical, Title: "No network plugin runs on the node",
		Meaning: "The kubelet reports that the runtime has no network configuration, and nothing will bring one: no DaemonSet of a known " +
			"network plugin exists, and no other node shows one; or there is one, and its node selector or tolerations leave this node out.",
		Evidence: "Node condition Ready=False with a network that is not ready; DaemonSets, and conditions and annotations of all nodes.",
		Next:     "Install a network plugin, or let its DaemonSet include the node.",
		Source:   "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#pod-network",
	},
	Explains: []finding.Code{machine.NetworkPluginNotReady, machine.NetworkUnavailable},
	CausedBy: machine.NotReportingCodes,
	Check:    checkNetworkPluginMissing,
}

func checkNetworkPluginMissing(m *Machine) []finding.Finding {
	if !m.Registered || !m.SaysNoNetwork() || !m.Read(facts.SourceDaemonSets) || !m.Read(facts.SourcePods) || len(m.Components.Network) > 0 {
		return nil
	}
	evidence := []finding.Evidence{subject.ConditionEvidence(m.Readiness.Condition)}
	refused := ""
	for _, d := range m.networkDaemons() {
		name := d.Namespace + "/" + d.Name
		r, fits := schedule.DaemonFits(&d.Spec.Template.Spec, m.Object)
		if fits {
			return nil // its pod comes, or is missing by the rules of nodes
		}
		why := "its node selector or affinity does not match the node"
		if r.Reason == schedule.Untolerated {
			why = "it does not tolerate the taint " + r.Taint.ToString()
		}
		evidence = append(evidence, finding.Evidence{Source: "DaemonSet " + name, Path: "spec.template.spec", Value: why})
		refused = cmp.Or(refused, "DaemonSet "+name+" leaves the node out: "+why)
	}
	if refused != "" {
		return m.One("no network plugin runs on the node: "+refused, evidence,
			m.Look("Compare with the labels and taints of the node", "", "describe", "node", m.Object.Name))
	}
	if m.networked() {
		return nil // by a plugin that is not known
	}
	evidence = append(evidence, finding.Evidence{
		Source: "DaemonSets", Path: "spec.template.metadata.labels", Value: "none of a known network plugin",
	})
	return m.One("no network plugin is installed in the cluster: the node stays without pod network until one is", evidence,
		m.Look("List all DaemonSets: an unknown network plugin may be among them", "", "get", "daemonsets", "-A"),
		subject.OnNode("ls -l /etc/cni/net.d /opt/cni/bin", "On the node, check whether a CNI configuration exists"))
}

// networked says whether another node has a pod network: it is Ready.
func (m *Machine) networked() bool {
	return slices.ContainsFunc(m.book.in.Nodes, func(n corev1.Node) bool { return n.Name != m.Object.Name && nodefact.PostedReady(&n) })
}

var providerIDMissing = rule{
	Entry: finding.Entry{
		Code: ProviderIDMissing, Severity: finding.Warning, Title: "Node has no provider ID, unlike other nodes",
		Meaning: "Most other nodes of the same kind have a spec.providerID, and this node has neither one nor the taint of a node that waits " +
			"for its cloud provider: the kubelet was probably started without --cloud-provider=external. Load balancers, volumes and the " +
			"removal of its Node with its machine do not work.",
		Evidence: "Node spec.providerID and spec.taints, against at least two other nodes that are Ready.",
		Next:     "Compare the arguments of the kubelet with those of another node.",
		Source:   "https://kubernetes.io/docs/tasks/administer-cluster/running-cloud-controller/#running-cloud-controller-manager",
	},
	CausedBy: slices.Concat(machine.NotReportingCodes, []finding.Code{workload.NodeNotInitialized}),
	Check:    checkProviderIDMissing,
}

func checkProviderIDMissing(m *Machine) []finding.Finding {
	if !m.Registered || m.Object.Spec.ProviderID != "" || m.tainted(facts.TaintUninitialized) || m.age() < m.Limits.PodStart {
		return nil
	}
	s := m.providers()
	if s.of < 2 || !s.most() {
		return nil
	}
	return m.One(fmt.Sprintf("the node has no spec.providerID, which %d of %d other nodes have, and waits for none: "+
		"its kubelet probably runs without --cloud-provider=external", s.have, s.of),
		[]finding.Evidence{{Source: "Node", Path: "spec.providerID", Value: "none"}},
		subject.OnNode("ps -o args= -C kubelet; cat /var/lib/kubelet/kubeadm-flags.env", "On the node, read the arguments of the kubelet"))
}

var podCIDRMissing = rule{
	Entry: finding.Entry{
		Code: PodCIDRMissing, Severity: finding.Warning, Title: "Node has no pod CIDR, unlike other nodes",
		Meaning: "Most other nodes of the same kind have a spec.podCIDR, and this node has received none within five minutes: all ranges of " +
			"the cluster CIDR are in use, or the controller that assigns them is not running. Plugins that use it give no addresses to pods.",
		Evidence: "Node spec.podCIDR and spec.podCIDRs against the other nodes that are Ready.",
		Next:     "Read the events of the node (CIDRNotAvailable), and the log of kube-controller-manager.",
		Source:   "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/",
	},
	CausedBy: []finding.Code{machine.LeaderLeaseExpired},
	Check:    checkPodCIDRMissing,
}

func checkPodCIDRMissing(m *Machine) []finding.Finding {
	s := share{}
	if m.Registered {
		s = m.cidrs()
	}
	if !m.Registered || len(m.Network.PodCIDRs) > 0 || m.young() || !s.most() {
		return nil
	}
	return m.One(fmt.Sprintf("the node has no pod CIDR, which %d of %d other nodes have", s.have, s.of),
		[]finding.Evidence{{Source: "Node", Path: "spec.podCIDR", Value: "none"}},
		subject.Answered(m.Look("Read the events of the node", "", "describe", "node", m.Object.Name),
			"CIDRNotAvailable: all ranges of the cluster CIDR are in use; a larger one, or fewer nodes, are needed"),
		m.Look("Compare the ranges of all nodes", "", "get", "nodes", "-o", "custom-columns=NODE:.metadata.name,CIDR:.spec.podCIDR"))
}

var csiDriverMissing = rule{
	Entry: finding.Entry{
		Code: CSIDriverMissing, Severity: finding.Warning, Title: "Node lacks a CSI driver that other nodes have",
		Meaning: "A CSI driver is registered on most other nodes of the same kind, and five minutes after the node joined not on this one: " +
			"pods with volumes of that driver are not scheduled to the node, or wait for their volumes there.",
		Evidence: "CSINode spec.drivers against the other nodes that are Ready.",
		Next:     "Check the pod of the driver on the node: its node selector or tolerations may leave the node out.",
		Source:   "https://kubernetes-csi.github.io/docs/csi-node-object.html",
	},
	CausedBy: slices.Concat(machine.PressureBut(machine.NodeJoining), []finding.Code{
		NetworkPluginMissing, workload.CSIDriverPodNotReady, workload.DaemonSetPodMissing, workload.PodNotStarting,
		workload.NetworkPluginPodNotReady, DaemonSetPodNotReady,
	}),
	Check: checkCSIDriverMissing,
}

func checkCSIDriverMissing(m *Machine) []finding.Finding {
	if !m.Registered || m.young() || !m.Read(facts.SourceCSINodes) {
		return nil
	}
	lacks := m.lacksDrivers()
	if len(lacks) == 0 {
		return nil
	}
	text := strings.Join(lacks, ", ")
	return m.One("CSI driver "+text+" is registered on most other nodes, and not on this one",
		[]finding.Evidence{{Source: "CSINode " + m.Object.Name, Path: "spec.drivers", Value: "lacks " + text}},
		m.PodsHere("Find the pod of the driver on the node, which registers it"),
		m.Look("Compare the drivers of all nodes", "", "get", "csinodes", "-o",
			"custom-columns=NODE:.metadata.name,DRIVERS:.spec.drivers[*].name"))
}

var daemonSetPodNotReady = rule{
	Entry: finding.Entry{
		Code: DaemonSetPodNotReady, Severity: finding.Warning, Title: "DaemonSet pod on the node is running but not ready",
		Meaning: "The pod of a DaemonSet has been running for more than five minutes without being ready, on a Ready node that joined more " +
			"than five minutes ago and has no other problem: what the pod provides to the node may be missing. The pods of network plugins, " +
			"kube-proxy and CSI drivers have codes of their own.",
		Evidence: "Pod condition Ready and status.containerStatuses, the newest Warning event of the pod.",
		Next:     "Read the log of the pod, and check its readiness probe.",
		Source:   "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes",
	},
	CausedBy: []finding.Code{PodCIDRMissing},
	Check:    checkDaemonSetPodNotReady,
}

func checkDaemonSetPodNotReady(m *Machine) []finding.Finding {
	if !m.Registered || m.young() || !m.settled() || !m.Read(facts.SourceDaemonSets) || !m.Read(facts.SourcePods) {
		return nil
	}
	var list []finding.Finding
	for _, d := range m.daemons() {
		p := d.pod
		if p == nil || p.Ready() || m.Age(p.ReadySince()) <= m.Limits.NodeJoin {
			continue
		}
		message := fmt.Sprintf("pod %s of DaemonSet %s has not been ready for %s: %s", subject.Name(p), d.name(), m.Ago(p.ReadySince()), p.State)
		list = append(list, subject.About(m.Found(message, subject.PodEvidence(p), m.PodNext(p)...), p))
	}
	return list
}

var startupTaintStuck = rule{
	Entry: finding.Entry{
		Code: StartupTaintStuck, Severity: finding.Warning, Title: "Startup taint was not removed",
		Meaning: "The node has been Ready for two minutes and joined more than five minutes ago, and still has a taint that is to keep pods " +
			"off only until some program is ready on it. That program is not ready, or no component removes the taint any more.",
		Evidence: "Node spec.taints with a key that Kubernetes, Cilium, Karpenter, Cluster API, CSI drivers or Cluster Autoscaler know as a " +
			"startup taint; node.cloudprovider.kubernetes.io/uninitialized has a code of its own (NodeNotInitialized).",
		Next:   "Check the program that removes the taint; remove the taint by hand only if that program is no longer installed.",
		Source: "https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/",
	},
	CausedBy: slices.Concat(machine.PressureBut(machine.NodeJoining), []finding.Code{
		machine.LeaderLeaseExpired, NetworkPluginMissing, workload.CSIDriverPodNotReady, workload.DaemonSetPodMissing,
		workload.NetworkPluginPodNotReady, workload.PodNotStarting, workload.PodCrashLooping, DaemonSetPodNotReady,
	}),
	Check: checkStartupTaintStuck,
}

func checkStartupTaintStuck(m *Machine) []finding.Finding {
	if !m.Registered || m.young() || m.Readiness.State != nodefact.Ready ||
		m.Age(m.Readiness.Condition.LastTransitionTime.Time) < m.Limits.PodStart {
		return nil
	}
	var list []finding.Finding
	for _, t := range m.Scheduling.Taints {
		who, _ := remover(t.Key)
		if who == "" || t.Key == facts.TaintUninitialized {
			continue
		}
		text := strings.TrimSuffix(t.Key+"="+t.Value, "=") + ":" + t.Effect
		list = append(list, m.Found(fmt.Sprintf("the taint %s is still set, though the node joined %s ago and is Ready: %s has not removed it",
			text, output.Age(m.age()), who), []finding.Evidence{{Source: "Node", Path: "spec.taints", Value: text, Time: t.Since}},
			m.PodsHere("Check the pod on the node for which the taint waits"),
			m.Change("Remove the taint, only if nothing that sets it is installed any more", "taint", "node", m.Object.Name, t.Key+"-")))
	}
	return list
}
