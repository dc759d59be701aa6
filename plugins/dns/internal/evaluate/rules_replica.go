package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// ruleClusterNames: what must be answered by every replica fails at all of them.
func ruleClusterNames(w *world) []finding.Finding {
	var evidence []finding.Evidence
	asked, failed := 0, 0
	for _, p := range w.Probes {
		bad, ok := w.controlFailure(p)
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
	next := []finding.Next{w.read("see what the servers say", "", "dns", "logs", "--errors"), w.read("see what answers the zone", "", "dns", "config")}
	return []finding.Finding{w.make("ClusterNamesFail", finding.Critical, w.workloadRef(), fmt.Sprintf("no replica answers kubernetes.default.svc.%s as the API has it", strings.TrimSuffix(w.zone, ".")), evidence, next...)}
}

// controlFailure judges the answer for the API server's own Service, and says whether there was one to judge.
func (w *world) controlFailure(p Probe) (*finding.Evidence, bool) {
	for _, a := range p.Answers {
		if a.Type != "A" || a.Name != w.control() || a.Rcode == "" {
			continue
		}
		if !w.right(a) {
			e := seen("answer of "+p.Pod, a.Name+" "+a.Type, "%s", said(a))
			return &e, true
		}
		return nil, true
	}
	return nil, false
}

// right says whether an answer agrees with the API, as far as that can be known.
func (w *world) right(a report.Answer) bool {
	x := w.engine.Lookup(a.Name, a.Type)
	return records.Compare(x, a) == records.Same || !w.Sources.Get("services").Readable() && a.Rcode == "NOERROR"
}

func said(a report.Answer) string {
	if a.Error != "" {
		return a.Error
	}
	if len(a.Records) == 0 {
		return records.Outcome(a)
	}
	var data []string
	for _, r := range a.Records {
		data = append(data, r.Data)
	}
	return a.Rcode + " " + strings.Join(data, ", ")
}

func ruleReplicaDown(w *world) []finding.Finding {
	ready := 0
	for i := range w.Pods {
		if podfact.Serves(&w.Pods[i]) {
			ready++
		}
	}
	if ready == 0 || w.workload == nil {
		return nil
	}
	var list []finding.Finding
	for _, pod := range w.live() {
		if podfact.Serves(pod) || w.starting(pod) {
			continue
		}
		list = append(list, w.replicaNotReady(pod, ready))
	}
	return list
}

func (w *world) replicaNotReady(pod *corev1.Pod, ready int) finding.Finding {
	state, evidence := w.stateOf(pod), w.podEvidence(pod)
	next := []finding.Next{w.read("see its events", pod.Namespace, "describe", "pod", pod.Name), w.read("see what it says", "", "dns", "logs", "--errors")}
	if why, down := w.nodeDown(pod.Spec.NodeName); down {
		state = "its node " + pod.Spec.NodeName + " is not ready"
		evidence = append([]finding.Evidence{seen("Node "+pod.Spec.NodeName, "Ready", "%s", why)}, evidence...)
		next = append([]finding.Next{w.read("see what is wrong with the node", "", "nodeinfo", pod.Spec.NodeName)}, next[:1]...)
	}
	if slices.ContainsFunc(podfact.Containers(pod), func(s corev1.ContainerStatus) bool { return podfact.Waiting(&s) == podfact.Image }) {
		state = "its image " + pod.Spec.Containers[0].Image + " cannot be had: " + state
		next = next[:1] // a container that never ran has said nothing
		if w.workload != nil && w.workload.Ref.Kind == "Deployment" {
			next = append([]finding.Next{w.change("take the last change of the Deployment back, if the image is a mistake", pod.Namespace, "rollout", "undo", "deployment", w.workload.Ref.Name)}, next...)
		}
	}
	return w.make("ReplicaNotReady", finding.Warning, ref("Pod", pod.Namespace, pod.Name),
		fmt.Sprintf("DNS pod %s is not ready (%s): %d of %d replicas are", pod.Name, state, ready, len(w.live())), evidence, next...)
}

// nodeDown says why a node is not Ready, where it is known and is not.
func (w *world) nodeDown(name string) (string, bool) {
	for i := range w.Nodes {
		if w.Nodes[i].Name != name {
			continue
		}
		if c := nodefact.ReadyCondition(&w.Nodes[i]); c != nil && c.Status != corev1.ConditionTrue {
			return fmt.Sprintf("%s (%s): %s", c.Status, c.Reason, c.Message), true
		}
	}
	return "", false
}

// stateOf is kubectl's word for the pod. It can say Error or Running in the midst of a crash loop.
func (w *world) stateOf(pod *corev1.Pod) string {
	word := podfact.Status(pod)
	if word != podfact.CrashLoopBackOff && slices.ContainsFunc(podfact.Containers(pod), func(s corev1.ContainerStatus) bool { return podfact.Looping(pod, &s, w.now) }) {
		word += ", in a crash loop"
	}
	return word
}

// live are the DNS pods that count as replicas: not those on their way out, nor what an eviction left behind.
func (w *world) live() []*corev1.Pod {
	var list []*corev1.Pod
	for i := range w.Pods {
		if p := &w.Pods[i]; p.DeletionTimestamp == nil && !podfact.Finished(p) {
			list = append(list, p)
		}
	}
	return list
}

// ruleReplicaUnreachable: a tunnel goes by the API server and the kubelet of the pod's node. One that does not open
// while others do tells of that kubelet or its node, and nothing of the DNS server; when none opens it tells of the way
// that all share, and there is nothing to accuse.
func ruleReplicaUnreachable(w *world) []finding.Finding {
	reached := slices.ContainsFunc(w.Probes, func(p Probe) bool { return p.Error == "" })
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
		evidence := []finding.Evidence{seen("port-forward to "+p.Pod, "", "%s", p.Error)}
		if why, down := w.nodeDown(node); down {
			evidence = append(evidence, seen("Node "+node, "Ready", "%s", why))
		}
		list = append(list, w.make("ReplicaUnreachable", severity, ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s could not be asked: the kubelet of node %s opens no tunnel to it. Whether it answers DNS is not known", p.Pod, node), evidence,
			w.read("see what is wrong with the node", "", "nodeinfo", node),
			w.read("ask the server from a pod instead: choose one on another node", "", "get", "pods", "-A", "-o", "wide", "--field-selector", "status.phase=Running,spec.nodeName!="+node)))
	}
	return list
}

// starting: a pod in its first half minute is on its way, not broken.
func (w *world) starting(pod *corev1.Pod) bool {
	return w.now.Sub(pod.CreationTimestamp.Time).Seconds() < 30
}

// ruleReplicaStale: a replica whose view of the API stands still stays Ready and answers NXDOMAIN for what is new. Its
// serial betrays it, and so does a wrong answer for a changed object that another replica gets right.
func ruleReplicaStale(w *world) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		serial, ok := soaSerial(&p, w.zone)
		if !ok {
			continue
		}
		lag, known := w.lag(serial)
		wrong := w.wrongAnswers(p, true)
		behind := len(wrong) > 0 && w.aheadAndRight(p, serial, wrong[0])
		if (!known || lag < lagTolerance) && !behind {
			continue
		}
		evidence := []finding.Evidence{seen("answer of "+p.Pod, w.zone+" SOA", "the last change that it saw is of %s, %s ago", time.Unix(int64(serial), 0).UTC().Format(time.RFC3339), ageWords(w.now.Sub(time.Unix(int64(serial), 0)).Seconds()))}
		missing := "what changed since then"
		if known && lag > 0 {
			missing = "what was made in the last " + ageWords(lag.Seconds())
		}
		for _, a := range wrong[:min(3, len(wrong))] {
			evidence = append(evidence, seen("answer of "+p.Pod, a.Name+" "+a.Type, "%s; the API says %s", said(a), w.engine.Lookup(a.Name, a.Type)))
		}
		list = append(list, w.make("ReplicaStale", finding.Critical, ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s no longer follows the API: it misses %s, and says that new names do not exist", p.Pod, missing), evidence,
			w.read("see every name that it answers wrongly", "", "dns", "verify", "-A", "--at", p.Pod),
			w.read("see whether its node reaches the API server", "", "nodeinfo", w.nodeOf(p.Pod)),
			w.change("start it anew, elsewhere if that node does not: a new pod that cannot read the API is not Ready", p.Namespace, "delete", "pod", p.Pod)))
	}
	return list
}

func (w *world) nodeOf(pod string) string {
	for i := range w.Pods {
		if w.Pods[i].Name == pod {
			return w.Pods[i].Spec.NodeName
		}
	}
	return ""
}

func ageWords(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%d seconds", int(seconds))
	case seconds < 7200:
		return fmt.Sprintf("%d minutes", int(seconds/60))
	}
	return fmt.Sprintf("%d hours", int(seconds/3600))
}

// wrongAnswers lists the answers of a probe that disagree with the API and had time to settle.
func (w *world) wrongAnswers(p Probe, settledOnly bool) []report.Answer {
	if !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return nil
	}
	changed := w.changes()
	var list []report.Answer
	for _, a := range p.Answers {
		if a.Rcode == "" || a.Type == "SOA" || a.Name == w.External {
			continue
		}
		x := w.engine.Lookup(a.Name, a.Type)
		if records.Compare(x, a) == records.Same {
			continue
		}
		if _, altered := w.records.AlteredBy(a.Name, records.Outcome(a)); altered {
			continue
		}
		if settledOnly && w.settling(a.Name, changed) {
			continue
		}
		list = append(list, a)
	}
	return list
}

// aheadAndRight: another replica saw a change later than this one, and answers rightly what this one does not. Serials are
// seconds: of two changes in one second this replica may have seen the first alone, and the name tells which it missed.
func (w *world) aheadAndRight(p Probe, serial uint32, a report.Answer) bool {
	changedThen := !w.changedAt(a.Name).Before(time.Unix(int64(serial), 0))
	for _, other := range w.Probes {
		theirs, ok := soaSerial(&other, w.zone)
		if other.Pod == p.Pod || !ok || theirs < serial || theirs == serial && !changedThen {
			continue
		}
		for _, b := range other.Answers {
			if b.Name == a.Name && b.Type == a.Type && b.Rcode != "" && w.right(b) {
				return true
			}
		}
	}
	return false
}

// ruleReplicaWrong: some replicas, or all, disagree with the API about an object that has not changed lately.
func ruleReplicaWrong(w *world) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		wrong := w.wrongAnswers(p, true)
		if len(wrong) == 0 {
			continue
		}
		var evidence []finding.Evidence
		for _, a := range wrong[:min(4, len(wrong))] {
			x := w.engine.Lookup(a.Name, a.Type)
			evidence = append(evidence, seen("answer of "+p.Pod, a.Name+" "+a.Type, "%s; the API says %s", said(a), x))
		}
		list = append(list, w.make("ReplicaWrongAnswer", finding.Critical, ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s answers %d of the names that were asked otherwise than the API has them", p.Pod, len(wrong)), evidence,
			w.read("compare every name", "", "dns", "verify", "-A", "--at", p.Pod)))
	}
	return list
}

func ruleReplicaSilent(w *world) []finding.Finding {
	var list []finding.Finding
	for _, p := range w.Probes {
		if p.Error != "" || len(p.Answers) == 0 || slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" }) {
			continue
		}
		pod := slices.IndexFunc(w.Pods, func(pod corev1.Pod) bool { return pod.Name == p.Pod })
		if pod < 0 || !podfact.Serves(&w.Pods[pod]) {
			continue
		}
		list = append(list, w.make("ReplicaSilent", finding.Critical, ref("Pod", p.Namespace, p.Pod),
			fmt.Sprintf("DNS pod %s is Ready and does not answer DNS over TCP", p.Pod),
			[]finding.Evidence{seen("answer of "+p.Pod, p.Answers[0].Name+" "+p.Answers[0].Type, "%s", p.Answers[0].Error)},
			w.read("see what it says", p.Namespace, "logs", p.Pod, "--tail=20")))
	}
	return list
}

// rulePlacement: what makes one node's loss the loss of DNS (https://github.com/kubernetes/kubeadm/issues/1931).
func rulePlacement(w *world) []finding.Finding {
	if w.workload == nil || w.workload.Ref.Kind != "Deployment" || !w.Sources.Get("pods").Readable() {
		return nil
	}
	nodes := map[string]int{}
	for i := range w.Pods {
		if podfact.Serves(&w.Pods[i]) {
			nodes[w.Pods[i].Spec.NodeName]++
		}
	}
	usable := 0
	for i := range w.Nodes {
		if !w.Nodes[i].Spec.Unschedulable && nodefact.PostedReady(&w.Nodes[i]) {
			usable++
		}
	}
	ref := w.workload.Ref
	switch {
	case w.workload.Wanted == 1 && usable > 1:
		return []finding.Finding{w.make("SingleReplica", finding.Warning, &ref, "DNS has a single replica: while it restarts or its node is down, nobody answers",
			[]finding.Evidence{seen("Deployment", "spec.replicas", "1"), seen("Node", "", "%d nodes are usable", usable)},
			w.change("run two", ref.Namespace, "scale", "deployment", ref.Name, "--replicas=2"))}
	case len(nodes) == 1 && w.workload.Wanted > 1 && usable > 1:
		node := sortedKeys(nodes)[0]
		if nodes[node] < 2 {
			return nil
		}
		return []finding.Finding{w.make("AllReplicasOnOneNode", finding.Warning, &ref,
			fmt.Sprintf("the %d DNS replicas all run on node %s: its loss is the loss of DNS", nodes[node], node),
			[]finding.Evidence{seen("Pod", "spec.nodeName", "%s for all of %d", node, nodes[node]), seen("Node", "", "%d nodes are usable", usable)},
			w.change("let the scheduler place them anew", ref.Namespace, "rollout", "restart", "deployment", ref.Name),
			w.read("see where they are", "", "dns", "status", "-o", "wide"))}
	}
	return nil
}

// ruleRestarts: exits of the last day. A graceful end (code 0) is no fault.
func ruleRestarts(w *world) []finding.Finding {
	var list []finding.Finding
	for _, pod := range w.live() {
		for _, s := range pod.Status.ContainerStatuses {
			t := s.LastTerminationState.Terminated
			if t == nil || t.ExitCode == 0 || w.now.Sub(t.FinishedAt.Time).Hours() > 24 {
				continue
			}
			severity, why := finding.Info, fmt.Sprintf("ended with code %d", t.ExitCode)
			if t.Reason == "OOMKilled" {
				severity, why = finding.Warning, "ran out of memory"
			}
			list = append(list, w.make("ReplicaRestarted", severity, ref("Pod", pod.Namespace, pod.Name),
				fmt.Sprintf("DNS pod %s %s %s ago and was restarted (%d restarts in all)", pod.Name, why, ageWords(w.now.Sub(t.FinishedAt.Time).Seconds()), s.RestartCount),
				[]finding.Evidence{seen("Pod", "lastState.terminated", "%s, code %d", t.Reason, t.ExitCode)},
				w.read("see its last words", pod.Namespace, "logs", pod.Name, "--previous", "--tail=20")))
		}
	}
	return list
}
