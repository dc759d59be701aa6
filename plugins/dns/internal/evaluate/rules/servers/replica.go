package servers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// The codes of this file.
const (
	ClusterNamesFailing      finding.Code = "ClusterNamesFailing"
	ReplicaNotReady          finding.Code = "ReplicaNotReady"
	ReplicaStale             finding.Code = "ReplicaStale"
	ReplicaWrongAnswer       finding.Code = "ReplicaWrongAnswer"
	ReplicaNotAnswering      finding.Code = "ReplicaNotAnswering"
	ReplicaPortForwardFailed finding.Code = "ReplicaPortForwardFailed"
)

// ClusterNameRules are about this: every server is wrong.
var ClusterNameRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ClusterNamesFailing, Severity: finding.Critical, Title: "No replica answers cluster names correctly",
			Meaning:  "The Service that every cluster has is answered wrongly, or not, by every replica.",
			Evidence: "kubernetes.default.svc asked at each replica, compared with the API.",
			Next:     "Read the servers' logs and configuration.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{ReplicaWrongAnswer, ReplicaStale},
		Check:    checkClusterNames,
	},
}

// ReplicaRules are about this: one server is down, wrong or silent.
var ReplicaRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ReplicaNotReady, Severity: finding.Warning, Title: "DNS replica is not ready",
			Meaning:  "The others carry the load.",
			Evidence: "The pod's conditions, states and last log lines.",
			Next:     "Read its events and log.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{ReplicaNotAnswering, ReplicaPortForwardFailed, AllReplicasOnOneNode, ReplicaRestarted},
		Check:    checkReplicaDown,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaStale, Severity: finding.Critical, Title: "DNS replica serves outdated records",
			Meaning: "Its watch of the API stands still: it is Ready, and says that new names do not exist.",
			Evidence: "The serial of its SOA (the second of the last change that it saw) is older than the creation of a Service by more than 60 " +
				"s; or another replica has a later serial and answers rightly what this one does not.",
			Next:   "Delete that pod.",
			Source: "https://github.com/lf-edge/eve/pull/6113",
		},
		Explains: []finding.Code{ReplicaWrongAnswer},
		Check:    CheckReplicaStale,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaWrongAnswer, Severity: finding.Critical, Title: "DNS replica returns wrong answers",
			Meaning:  "For objects that had time to settle.",
			Evidence: "The newest Services asked at each replica, compared with the API.",
			Next:     "Compare every name with verify.",
			Source:   SpecPage,
		},
		Check: checkReplicaWrong,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaNotAnswering, Severity: finding.Critical, Title: "Ready DNS replica does not answer queries",
			Meaning:  "Its probe passes and port 53 gives nothing.",
			Evidence: "Questions over a tunnel to the pod.",
			Next:     "Read its log.",
			Source:   DebugPage,
		},
		Check: checkReplicaSilent,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaPortForwardFailed, Severity: finding.Warning, Title: "DNS replica could not be queried",
			Meaning: "Its node's kubelet opens no tunnel, while others do: the kubelet or the node is in trouble, and what the replica answers is " +
				"not known. Where no tunnel opens at all this is information, and the verdict is Unknown.",
			Evidence: "The error of the port-forward.",
			Next:     "Look at the node.",
			Source:   DebugPage,
		},
		Check: CheckReplicaUnreachable,
	},
}

// checkClusterNames: what must be answered by every replica fails at all of them.
func checkClusterNames(w *facts.Snapshot) []finding.Finding {
	var evidence []finding.Evidence
	asked, failed := 0, 0
	for _, p := range w.Probes {
		bad, ok := ask.ControlFailure(w, p)
		if !ok {
			continue
		}
		asked++
		if bad != nil {
			failed++
			evidence = append(evidence, *bad)
		}
	}
	if asked == 0 || failed < asked {
		return nil
	}
	next := []finding.Next{
		w.Read("see what the servers say", "", "dns", "logs", "--errors"),
		w.Read("see what answers the zone", "", "dns", "config"),
	}
	return []finding.Finding{w.Make(ClusterNamesFailing, finding.Critical, w.WorkloadRef(),
		fmt.Sprintf("no replica answers kubernetes.default.svc.%s as the API has it", strings.TrimSuffix(w.Zone, ".")), evidence, next...)}
}

func checkReplicaDown(w *facts.Snapshot) []finding.Finding {
	ready := 0
	for i := range w.Pods {
		if podfact.Serves(&w.Pods[i]) {
			ready++
		}
	}
	if ready == 0 || w.Workload == nil {
		return nil
	}
	var list []finding.Finding
	for _, pod := range w.Live() {
		if podfact.Serves(pod) || w.Starting(pod) {
			continue
		}
		list = append(list, replicaNotReady(w, pod, ready))
	}
	return list
}

func replicaNotReady(w *facts.Snapshot, pod *corev1.Pod, ready int) finding.Finding {
	state, evidence := stateOf(w, pod), podEvidence(w, pod)
	if how := fallen(w, pod); how != "" {
		state += "; it " + how
	}
	next := []finding.Next{
		w.Read("see its events", pod.Namespace, "describe", "pod", pod.Name),
		w.Read("see what it says", "", "dns", "logs", "--errors"),
	}
	if why, down := w.NodeDown(pod.Spec.NodeName); down {
		state = "its node " + pod.Spec.NodeName + " is not ready"
		evidence = append([]finding.Evidence{facts.NewEvidence("Node "+pod.Spec.NodeName, "Ready", "%s", why)}, evidence...)
		next = append([]finding.Next{w.Read("see what is wrong with the node", "", "nodeinfo", pod.Spec.NodeName)}, next[:1]...)
	}
	if slices.ContainsFunc(podfact.Containers(pod), func(s corev1.ContainerStatus) bool { return podfact.Waiting(&s) == podfact.Image }) {
		state = "its image " + pod.Spec.Containers[0].Image + " cannot be had: " + state
		next = next[:1] // a container that never ran has said nothing
		if w.Workload != nil && w.Workload.Ref.Kind == "Deployment" {
			next = append([]finding.Next{w.Change("take the last change of the Deployment back, if the image is a mistake", pod.Namespace,
				"rollout", "undo", "deployment", w.Workload.Ref.Name)}, next...)
		}
	}
	return w.Make(ReplicaNotReady, finding.Warning, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("DNS pod %s is not ready (%s): %d of %d replicas are", pod.Name, state, ready, len(w.Live())), evidence, next...)
}

// stateOf is kubectl's word for the pod. It can say Error or Running in the midst of a crash loop.
func stateOf(w *facts.Snapshot, pod *corev1.Pod) string {
	word := podfact.Status(pod)
	looping := func(s corev1.ContainerStatus) bool { return podfact.Looping(pod, &s, w.Now) }
	if word != podfact.CrashLoopBackOff && slices.ContainsFunc(podfact.Containers(pod), looping) {
		word += ", in a crash loop"
	}
	return word
}

// CheckReplicaUnreachable finds this: a tunnel goes by the API server and the kubelet of the pod's node. One that does not open
// while others do tells of that kubelet or its node, and nothing of the DNS server; when none opens it tells of the way
// that all share, and there is nothing to accuse.
func CheckReplicaUnreachable(w *facts.Snapshot) []finding.Finding {
	reached := slices.ContainsFunc(w.Probes, func(p facts.Probe) bool { return p.Error == "" })
	var list []finding.Finding
	for _, p := range w.Probes {
		i := slices.IndexFunc(w.Pods, func(pod corev1.Pod) bool { return pod.Name == p.Pod })
		if p.Error == "" || p.Forbidden || i < 0 || !podfact.Serves(&w.Pods[i]) {
			continue
		}
		pod, severity := &w.Pods[i], finding.Info
		if reached {
			severity = finding.Warning
		}
		node := pod.Spec.NodeName
		evidence := []finding.Evidence{facts.NewEvidence("port-forward to "+p.Pod, "", "%s", p.Error)}
		if why, down := w.NodeDown(node); down {
			evidence = append(evidence, facts.NewEvidence("Node "+node, "Ready", "%s", why))
		}
		list = append(list, w.Make(ReplicaPortForwardFailed, severity, facts.Ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s could not be asked: the kubelet of node %s opens no tunnel to it. Whether it answers DNS is not known", p.Pod,
				node), evidence,
			w.Read("see what is wrong with the node", "", "nodeinfo", node),
			w.Read("ask the server from a pod instead: choose one on another node", "", "get", "pods", "-A", "-o", "wide", "--field-selector",
				"status.phase=Running,spec.nodeName!="+node)))
	}
	return list
}

// CheckReplicaStale finds this: a replica whose view of the API stands still stays Ready and answers NXDOMAIN for what is new. Its
// serial betrays it, and so does a wrong answer for a changed object that another replica gets right.
func CheckReplicaStale(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		serial, ok := ask.SoaSerial(&p, w.Zone)
		if !ok {
			continue
		}
		lag, known := ask.Lag(w, serial)
		wrong := ask.WrongAnswers(w, p, true)
		behind := len(wrong) > 0 && ask.OtherReplicaIsNewer(w, p, serial, wrong[0])
		if (!known || lag < ask.LagTolerance) && !behind {
			continue
		}
		evidence := []finding.Evidence{facts.NewEvidence("answer of "+p.Pod, w.Zone+" SOA", "the last change that it saw is of %s, %s ago",
			time.Unix(int64(serial), 0).UTC().Format(time.RFC3339), facts.AgeWords(w.Now.Sub(time.Unix(int64(serial), 0)).Seconds()))}
		missing := "what changed since then"
		if known && lag > 0 {
			missing = "what was made in the last " + facts.AgeWords(lag.Seconds())
		}
		for _, a := range wrong[:min(3, len(wrong))] {
			evidence = append(evidence, facts.NewEvidence("answer of "+p.Pod, a.Name+" "+a.Type, "%s; the API says %s", ask.AnswerText(a),
				w.Engine.Lookup(a.Name, a.Type)))
		}
		list = append(list, w.Make(ReplicaStale, finding.Critical, facts.Ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s no longer follows the API: it misses %s, and says that new names do not exist", p.Pod, missing), evidence,
			w.Read("see every name that it answers wrongly", "", "dns", "verify", "-A", "--at", p.Pod),
			w.Read("see whether its node reaches the API server", "", "nodeinfo", w.NodeOf(p.Pod)),
			w.Change("start it anew, elsewhere if that node does not: a new pod that cannot read the API is not Ready", p.Namespace, "delete",
				"pod", p.Pod)))
	}
	return list
}

// checkReplicaWrong: some replicas, or all, disagree with the API about an object that has not changed lately.
func checkReplicaWrong(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		wrong := ask.WrongAnswers(w, p, true)
		if len(wrong) == 0 {
			continue
		}
		var evidence []finding.Evidence
		for _, a := range wrong[:min(4, len(wrong))] {
			x := w.Engine.Lookup(a.Name, a.Type)
			evidence = append(evidence, facts.NewEvidence("answer of "+p.Pod, a.Name+" "+a.Type, "%s; the API says %s", ask.AnswerText(a), x))
		}
		list = append(list, w.Make(ReplicaWrongAnswer, finding.Critical, facts.Ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s answers %d of the names that were asked otherwise than the API has them", p.Pod, len(wrong)), evidence,
			w.Read("compare every name", "", "dns", "verify", "-A", "--at", p.Pod)))
	}
	return list
}

func checkReplicaSilent(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		if p.Error != "" || len(p.Answers) == 0 || slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" }) {
			continue
		}
		pod := slices.IndexFunc(w.Pods, func(pod corev1.Pod) bool { return pod.Name == p.Pod })
		if pod < 0 || !podfact.Serves(&w.Pods[pod]) {
			continue
		}
		message := fmt.Sprintf("DNS pod %s is Ready and does not answer DNS over TCP", p.Pod)
		next := w.Read("see what it says", p.Namespace, "logs", p.Pod, "--tail=20")
		if how := fallen(w, &w.Pods[pod]); how != "" { // Ready may be some seconds old
			message = fmt.Sprintf("DNS pod %s does not answer DNS over TCP: it %s", p.Pod, how)
			next = w.Read("see its last words", p.Namespace, "logs", p.Pod, "--previous", "--tail=20")
		}
		list = append(list, w.Make(ReplicaNotAnswering, finding.Critical, facts.Ref("Pod", p.Namespace, p.Pod), message,
			[]finding.Evidence{facts.NewEvidence("answer of "+p.Pod, p.Answers[0].Name+" "+p.Answers[0].Type, "%s", p.Answers[0].Error)}, next))
	}
	return list
}

// fallen says how a container of the pod ended that has not recovered since; empty: none.
func fallen(w *facts.Snapshot, pod *corev1.Pod) string {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		end := podfact.End(s)
		if end == nil || end.ExitCode == 0 || w.Now.Sub(end.FinishedAt.Time) > podfact.BackOffMemory || podfact.Recovered(s, w.Now) {
			continue
		}
		return ended(w, end)
	}
	return ""
}
