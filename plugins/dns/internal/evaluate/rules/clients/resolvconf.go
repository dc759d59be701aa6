package clients

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
)

// The codes of this file.
const (
	PodResolvConfMismatch finding.Code = "PodResolvConfMismatch"
)

// FileRules report a resolv.conf in a pod that is not what the kubelet writes now.
var FileRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: PodResolvConfMismatch, Severity: finding.Critical, Title: "Pod resolv.conf differs from the current settings",
			Meaning: "The kubelet writes resolv.conf once, at pod creation. The file of this pod is not what the current settings give: " +
				"the pod is older than a change of the settings, or a container rewrote the file.",
			Evidence: "The file read in the pod, the kubelet configuration, and the addresses of the DNS Services.",
			Next:     "Recreate the pod. If the new pod has the same file, find the container that rewrites it.",
			Source:   PodPage,
		},
		Explains: []finding.Code{DNSUnavailableFromPod},
	},
}

// serversOf judges the nameservers that stand in the pod's file. Who wrote a wrong one is known only where a kubelet
// configuration has it, too.
func serversOf(w *facts.Snapshot, computed resolver.Computed, show finding.Next) []finding.Finding {
	pod := &w.From.Pod
	actual, read := w.ActualConf()
	if !read || computed.Policy != corev1.DNSClusterFirst {
		return nil
	}
	told := toldServers(w, pod.Spec.NodeName)
	serves := func(ip string) bool { return ask.Serves(w, ip) }
	cloud := func(ip string) bool {
		return ask.CloudMayServe(w, ip) && (len(told) == 0 || slices.Contains(told, ip))
	}
	list := restOfFile(w, computed, actual, show)
	add := func(ip, message string) {
		list = append(list, w.Make(KubeletClusterDNSMismatch, finding.Info, facts.Ref("Pod", pod.Namespace, pod.Name), fmt.Sprintf(message,
			pod.Namespace, pod.Name, ip), []finding.Evidence{
			facts.NewEvidence("file in the pod", "/etc/resolv.conf", "nameserver %s", strings.Join(actual.Nameservers, ", ")),
		}, show))
	}
	served := slices.ContainsFunc(actual.Nameservers, serves)
	i := slices.IndexFunc(actual.Nameservers, cloud)
	switch {
	case len(actual.Nameservers) > 0 && !served && i < 0:
		list = append(list, wrongServers(w, actual, told, show))
	case i >= 0 && len(told) == 0 && !served:
		add(actual.Nameservers[i], "pod %s/%s queries %s, the cloud resolver, which knows cluster names only if the cloud provides "+
			"cluster DNS there")
	}
	if i := slices.IndexFunc(actual.Nameservers, func(v string) bool { return ask.LocalUnseen(w, v) }); i >= 0 {
		add(actual.Nameservers[i], "pod %s/%s queries %s, an address of its node; unknown what answers there: no DaemonSet that could be "+
			"read has it")
	}
	return list
}

// toldServers gives the clusterDNS that is known for a node.
func toldServers(w *facts.Snapshot, node string) []string {
	if !slices.ContainsFunc(w.Kubelets, func(k facts.Kubelet) bool { return (k.Node == node || k.Node == "") && len(k.ClusterDNS) > 0 }) {
		return nil
	}
	return w.KubeletFor(node).ClusterDNS
}

// wrongServers: none of the file's nameservers is cluster DNS.
func wrongServers(w *facts.Snapshot, actual resolver.Conf, told []string, show finding.Next) finding.Finding {
	pod := &w.From.Pod
	node := pod.Spec.NodeName
	name := pod.Namespace + "/" + pod.Name
	have := strings.Join(actual.Nameservers, ", ")
	service := strings.Join(discover.ClusterIPs(w.Service), ", ")
	evidence := []finding.Evidence{
		facts.NewEvidence("file in the pod", "/etc/resolv.conf", "nameserver %s", have),
		facts.NewEvidence("Service", w.Service.Namespace+"/"+w.Service.Name, "%s", service),
	}
	if len(told) > 0 {
		evidence = append(evidence, facts.NewEvidence(w.KubeletFor(node).From, "clusterDNS", "%s", strings.Join(told, ", ")))
	}
	for _, ip := range actual.Asked() {
		for _, a := range w.OwnAnswers(ip, w.Control(), "A", "") {
			evidence = append(evidence, facts.NewEvidence("answer in the pod", ip+" "+a.Transport, "%s", ask.AnswerText(a)))
		}
	}
	compare := w.Read("Compare the configuration of all kubelets (needs get nodes/proxy)", "", "dns", "check", "--profile", "full")
	if !w.KubeletFor(node).Node {
		compare = w.Read("Read the configuration of the kubelet (needs get nodes/proxy)", pod.Namespace, "dns", "pod", pod.Name,
			"--kubelet-config")
	}
	if slices.ContainsFunc(actual.Nameservers, func(ip string) bool { return slices.Contains(told, ip) }) {
		return w.Make(KubeletClusterDNSMismatch, finding.Critical, facts.Ref("Node", "", node),
			fmt.Sprintf("the kubelet of node %s gave pod %s nameserver %s, which is not a DNS Service of this cluster", node, name, have),
			evidence, compare, show)
	}
	now := "the DNS Service is " + service
	if len(told) > 0 {
		now = strings.TrimPrefix(w.KubeletFor(node).From, "ConfigMap kube-system/") + " now has " + strings.Join(told, ", ")
	}
	evidence = append(evidence, fileEvidence(w, actual))
	steps := recreate(w)
	if !w.KubeletFor(node).Node { // what the kubelet writes is unknown yet
		steps = append(steps, compare)
	}
	return w.Make(PodResolvConfMismatch, finding.Critical, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("resolv.conf of pod %s has nameserver %s, but %s: %s", name, have, now, writtenBy(w, actual)), evidence,
		append(steps, show)...)
}

// asKubelet says whether a file has the form that the kubelet writes for ClusterFirst: a search list with svc.DOMAIN, and ndots.
func asKubelet(c resolver.Conf) bool {
	return slices.ContainsFunc(c.Searches, func(s string) bool { return strings.HasPrefix(s, "svc.") }) &&
		slices.ContainsFunc(c.Options, func(o string) bool { return strings.HasPrefix(o, "ndots:") })
}

func writtenBy(w *facts.Snapshot, actual resolver.Conf) string {
	if v := w.MountedAt("/etc/resolv.conf"); v != nil {
		return "container " + w.From.Container + " has " + facts.VolumeWords(v) + " there"
	}
	if !asKubelet(actual) {
		return "a container rewrote the file, or the runtime mounted that of the node"
	}
	if k := w.KubeletFor(w.From.Pod.Spec.NodeName); k.Node {
		return "the pod was created before the change, or a container rewrote the file"
	}
	return fmt.Sprintf("the pod is older, a container rewrote the file, or the kubelet of node %s has other settings",
		w.From.Pod.Spec.NodeName)
}

func fileEvidence(w *facts.Snapshot, actual resolver.Conf) finding.Evidence {
	if v := w.MountedAt("/etc/resolv.conf"); v != nil {
		return facts.NewEvidence("Pod", "spec.containers.volumeMounts", "%s hides the file that the kubelet writes", facts.VolumeWords(v))
	}
	if asKubelet(actual) {
		return facts.NewEvidence("Pod", "metadata.creationTimestamp", "created %s ago; the kubelet writes resolv.conf at pod creation only",
			facts.AgeWords(w.Now.Sub(w.From.Pod.CreationTimestamp.Time).Seconds()))
	}
	return facts.NewEvidence("file in the pod", "/etc/resolv.conf", "search %s, options %s: the kubelet writes svc.DOMAIN and ndots for "+
		"dnsPolicy ClusterFirst", facts.OrNone(strings.Join(actual.Searches, " ")), facts.OrNone(strings.Join(actual.Options, " ")))
}

// recreate is the next step that gives the pod a new file; a pod without a controller would not come back, and a file of a volume would.
func recreate(w *facts.Snapshot) []finding.Next {
	pod := &w.From.Pod
	if v := w.MountedAt("/etc/resolv.conf"); v != nil {
		return []finding.Next{mountStep(w, v)}
	}
	if metav1.GetControllerOf(pod) == nil {
		return []finding.Next{w.Read("Read the pod, which has no controller that recreates it", pod.Namespace, "describe", "pod", pod.Name)}
	}
	return []finding.Next{facts.WithAnswers(w.Change("Recreate the pod", pod.Namespace, "delete", "pod", pod.Name),
		"the new pod has the same file: a container of the pod rewrites it")}
}

// mountStep reads what hides a file of the kubelet: its own data where it is an object, and else the pod that mounts it.
func mountStep(w *facts.Snapshot, v *corev1.Volume) finding.Next {
	pod := &w.From.Pod
	if v.ConfigMap != nil {
		return w.Read("Read the ConfigMap; correct it, or remove the mount from the pod template, and recreate the pod", pod.Namespace,
			"describe", "configmap", v.ConfigMap.Name)
	}
	return w.Read("Read the mounts of the pod; remove this one from the pod template, or correct what it holds", pod.Namespace, "describe",
		"pod", pod.Name)
}

// restOfFile: the nameserver is right, and the search list of the kubelet is gone, so that short names do not resolve.
func restOfFile(w *facts.Snapshot, computed resolver.Computed, actual resolver.Conf, show finding.Next) []finding.Finding {
	pod := &w.From.Pod
	served := slices.ContainsFunc(actual.Nameservers, func(ip string) bool { return ask.Serves(w, ip) })
	if !served || asKubelet(actual) || len(computed.Searches) == 0 ||
		slices.ContainsFunc(computed.Searches, func(s string) bool { return slices.Contains(actual.Searches, s) }) {
		return nil
	}
	return []finding.Finding{w.Make(PodResolvConfMismatch, finding.Warning, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("resolv.conf of pod %s/%s lacks the search list of the cluster, so short names do not resolve: %s", pod.Namespace,
			pod.Name, writtenBy(w, actual)), []finding.Evidence{fileEvidence(w, actual)}, append(recreate(w), show)...)}
}
