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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
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

// ClusterNameRules report that every server answers cluster names incorrectly.
var ClusterNameRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ClusterNamesFailing, Severity: finding.Critical, Title: "No replica answers cluster names correctly",
			Meaning: "Every replica answers the name of Service kubernetes in namespace default, which every cluster has, incorrectly or " +
				"without records.",
			Evidence: "The answer of each replica for kubernetes.default.svc, compared with the API.",
			Next:     "Read the logs and the configuration of the DNS servers.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{ReplicaWrongAnswer, ReplicaStale, ReplicaNotAnswering},
		Check:    checkClusterNames,
	},
}

// ReplicaRules report one DNS server that is down, wrong or silent.
var ReplicaRules = []finding.Rule[facts.Snapshot]{
	{
		Entry: finding.Entry{
			Code: ReplicaNotReady, Severity: finding.Warning, Title: "DNS replica is not ready",
			Meaning:  "One DNS pod is not ready; the other replicas answer all queries.",
			Evidence: "The conditions, container states and last log lines of the pod.",
			Next:     "Read the events and the log of the pod.",
			Source:   DebugPage,
		},
		Explains: []finding.Code{ReplicaNotAnswering, ReplicaPortForwardFailed, AllReplicasOnOneNode, ReplicaRestarted},
		Check:    checkReplicaDown,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaStale, Severity: finding.Critical, Title: "DNS replica serves outdated records",
			Meaning: "The replica no longer receives changes from the API. The pod is Ready, but answers that new names do not exist.",
			Evidence: "An SOA serial (the time in seconds of the last change that the replica received) more than 60s older than the " +
				"creation of a Service; or another replica with a later serial that answers correctly what this one does not.",
			Next:   "Delete the pod; its controller recreates it.",
			Source: "https://github.com/lf-edge/eve/pull/6113",
		},
		Explains: []finding.Code{ReplicaWrongAnswer},
		Check:    CheckReplicaStale,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaWrongAnswer, Severity: finding.Critical, Title: "DNS replica returns wrong answers",
			Meaning:  "A replica answers differently from the API for objects that changed long enough ago to be visible in DNS.",
			Evidence: "The answers of each replica for the most recently changed Services, compared with the API.",
			Next:     "Run kubectl dns verify to compare every name with the API.",
			Source:   SpecPage,
		},
		Check: checkReplicaWrong,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaNotAnswering, Severity: finding.Critical, Title: "Ready DNS replica does not serve cluster names",
			Meaning: "The readiness probe of the pod succeeds, but its DNS port returns no answer, or SERVFAIL or REFUSED for cluster " +
				"names.",
			Evidence: "Queries over a port-forward to the pod: all without an answer, or cluster names with SERVFAIL or REFUSED.",
			Next:     "Read the log of the pod.",
			Source:   DebugPage,
		},
		Check: CheckReplicaSilent,
	},
	{
		Entry: finding.Entry{
			Code: ReplicaPortForwardFailed, Severity: finding.Warning, Title: "DNS replica could not be queried",
			Meaning: "Port-forward through the kubelet of the pod's node failed, but succeeded for another replica: the kubelet or the " +
				"node has a problem, and it is unknown what the replica answers. If port-forward fails for every replica, the finding is " +
				"information and the verdict is Unknown.",
			Evidence: "The error of the port-forward.",
			Next:     "Run kubectl nodeinfo for the pod's node.",
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
		w.Read("Read the errors in the logs of the DNS servers", "", "dns", "logs", "--errors"),
		w.Read("Check which plugin answers the cluster domain", "", "dns", "config"),
	}
	return []finding.Finding{w.Make(ClusterNamesFailing, finding.Critical, w.WorkloadRef(),
		fmt.Sprintf("no replica answers kubernetes.default.svc.%s correctly", strings.TrimSuffix(w.Zone, ".")), evidence, next...)}
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
	if _, how := fallen(w, pod); how != "" {
		state += ", a container " + how
	}
	next := []finding.Next{
		w.Read("Read the events of the pod", pod.Namespace, "describe", "pod", pod.Name),
		w.Read("Read the errors in the logs of the DNS servers", "", "dns", "logs", "--errors"),
	}
	if what, seen, down := w.NodeDown(pod.Spec.NodeName); down {
		state = "node " + pod.Spec.NodeName + " " + what
		evidence = append([]finding.Evidence{seen}, evidence...)
		next = append([]finding.Next{w.Read("Check why the node is not Ready", "", "nodeinfo", pod.Spec.NodeName)}, next[:1]...)
	}
	if slices.ContainsFunc(podfact.Containers(pod), func(s corev1.ContainerStatus) bool { return podfact.Waiting(&s) == podfact.Image }) {
		state = "image " + pod.Spec.Containers[0].Image + " is not available, " + state
		next = next[:1] // a container that never ran has said nothing
		if w.Workload != nil {
			kind := w.Workload.Ref.Kind
			next = append([]finding.Next{w.Change("Roll the "+kind+" back, if the image is wrong", pod.Namespace,
				"rollout", "undo", strings.ToLower(kind), w.Workload.Ref.Name)}, next...)
		}
	}
	return w.Make(ReplicaNotReady, finding.Warning, facts.Ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("DNS pod %s is not ready (%s); %d of %d replicas are ready", pod.Name, state, ready, len(w.Live())), evidence, next...)
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

// CheckReplicaUnreachable reports a replica to which port-forward failed. A port-forward goes through the API server and the
// kubelet of the pod's node: one that fails while another succeeds points to that kubelet or its node, and says nothing
// about the DNS server; when all fail, the fault is on the path that all share.
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
		if _, seen, down := w.NodeDown(node); down {
			evidence = append(evidence, seen)
		}
		list = append(list, w.Make(ReplicaPortForwardFailed, severity, facts.Ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s: port-forward through the kubelet of node %s failed; unknown whether the pod answers DNS", p.Pod,
				node), evidence,
			w.Read("Check the node and its kubelet", "", "nodeinfo", node),
			w.Read("Choose a pod on another node, to query DNS from there (kubectl dns check --from "+
				"POD)", "", "get", "pods", "-A", "-o", "wide", "--field-selector",
				"status.phase=Running,spec.nodeName!="+node)))
	}
	return list
}

// CheckReplicaStale reports a replica that no longer receives changes from the API: it stays Ready and answers NXDOMAIN for what
// is new. Its serial shows it, and so does a wrong answer for a changed object that another replica answers correctly.
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
		late := known && lag >= max(ask.LagTolerance, w.SettleTime()) && !ask.Knows(w, p, serial)
		if !late && !behind {
			continue
		}
		evidence := []finding.Evidence{facts.NewEvidence("answer of "+p.Pod, w.Zone+" SOA", "last change received at %s (%s ago)",
			time.Unix(int64(serial), 0).UTC().Format(time.RFC3339), facts.AgeWords(w.Now.Sub(time.Unix(int64(serial), 0)).Seconds()))}
		missing := "recent changes"
		if known && lag > 0 {
			missing = "the Services created in the last " + facts.AgeWords(lag.Seconds())
		}
		if len(wrong) > 0 {
			missing += " and answers that new names do not exist"
		}
		for _, a := range wrong[:min(3, len(wrong))] {
			evidence = append(evidence, facts.NewEvidence("answer of "+p.Pod, a.Name+" "+a.Type, "%s; expected from the API: %s", ask.AnswerText(a),
				w.Engine.Lookup(a.Name, a.Type)))
		}
		list = append(list, w.Make(ReplicaStale, finding.Critical, facts.Ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s no longer receives changes from the API: the pod lacks %s", p.Pod, missing), evidence,
			w.Read("List every name that the pod answers incorrectly", "", "dns", "verify", "-A", "--at", p.Pod),
			w.Read("Check whether the pod's node can reach the API server", "", "nodeinfo", w.NodeOf(p.Pod)),
			facts.WithAnswers(w.Change("Recreate the pod, on another node if this one cannot reach the API server", p.Namespace, "delete",
				"pod", p.Pod), "the new pod is not Ready: it may be unable to read the API as well")))
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
			evidence = append(evidence, facts.NewEvidence("answer of "+p.Pod, a.Name+" "+a.Type, "%s; expected from the "+
				"API: %s", ask.AnswerText(a), x))
		}
		list = append(list, w.Make(ReplicaWrongAnswer, finding.Critical, facts.Ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("the answers of DNS pod %s differ from the API for %d of the queried names", p.Pod, len(wrong)), evidence,
			w.Read("Compare every name with the API", "", "dns", "verify", "-A", "--at", p.Pod)))
	}
	return list
}

// replicaFails: a server that says SERVFAIL or REFUSED has no other answer than the API; it cannot answer.
func replicaFails(w *facts.Snapshot, p facts.Probe) *finding.Finding {
	failed := ask.Failures(w, p)
	if len(failed) == 0 {
		return nil
	}
	asked := 0
	var rcodes []string
	var evidence []finding.Evidence
	for _, a := range p.Answers {
		if a.Rcode != "" && corefile.InZone(corefile.Fqdn(a.Name), w.Zone) {
			asked++
		}
	}
	for _, a := range failed {
		if !slices.Contains(rcodes, a.Rcode) {
			rcodes = append(rcodes, a.Rcode)
		}
		if len(evidence) < 4 {
			evidence = append(evidence, facts.NewEvidence("answer of "+p.Pod, a.Name+" "+a.Type, "%s", ask.AnswerText(a)))
		}
	}
	slices.Sort(rcodes)
	f := w.Make(ReplicaNotAnswering, finding.Critical, facts.Ref("Pod", p.Namespace, p.Pod),
		fmt.Sprintf("DNS pod %s answers %s for %d of %d queried cluster names", p.Pod, strings.Join(rcodes, " and "), len(failed), asked),
		evidence, w.Read("Read the log of the pod", p.Namespace, "logs", p.Pod, "--tail=20"))
	return &f
}

// CheckReplicaSilent reports Ready servers that give no answer, or none that can be used.
func CheckReplicaSilent(w *facts.Snapshot) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		if f := replicaFails(w, p); f != nil {
			list = append(list, *f)
		}
	}
	for _, p := range w.Probes {
		if p.Error != "" || len(p.Answers) == 0 || slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" }) {
			continue
		}
		pod := slices.IndexFunc(w.Pods, func(pod corev1.Pod) bool { return pod.Name == p.Pod })
		if pod < 0 || !podfact.Serves(&w.Pods[pod]) {
			continue
		}
		message := fmt.Sprintf("DNS pod %s is Ready but does not answer DNS queries over TCP", p.Pod)
		next := w.Read("Read the log of the pod", p.Namespace, "logs", p.Pod, "--tail=20")
		if container, how := fallen(w, &w.Pods[pod]); how != "" { // Ready may be some seconds old
			message = fmt.Sprintf("DNS pod %s does not answer DNS queries over TCP: a container %s", p.Pod, how)
			next = lastLog(w, &w.Pods[pod], container)
		}
		list = append(list, w.Make(ReplicaNotAnswering, finding.Critical, facts.Ref("Pod", p.Namespace, p.Pod), message,
			[]finding.Evidence{facts.NewEvidence("answer of "+p.Pod, p.Answers[0].Name+" "+p.Answers[0].Type, "%s", p.Answers[0].Error)}, next))
	}
	return list
}

// fallen says how a container of the pod ended that has not recovered since; empty: none.
func fallen(w *facts.Snapshot, pod *corev1.Pod) (container, how string) {
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i]
		end := podfact.End(s)
		if end == nil || end.ExitCode == 0 || w.Now.Sub(end.FinishedAt.Time) > podfact.BackOffMemory || podfact.Recovered(s, w.Now) {
			continue
		}
		return s.Name, ended(w, end)
	}
	return "", ""
}

// lastLog reads the log of the run of a container that ended.
func lastLog(w *facts.Snapshot, pod *corev1.Pod, container string) finding.Next {
	args := []string{"logs", pod.Name, "-c", container, "--tail=20"}
	if podfact.PreviousLog(pod, container) {
		args = append(args, "--previous")
	}
	return w.Read("Read the log of the previous run", pod.Namespace, args...)
}
