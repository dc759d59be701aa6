package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// statusOld is twice the kubelet's nodeStatusReportFrequency of 5 min, and a minute
// (https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/).
const statusOld = 11 * time.Minute

// joining is the age up to which a node that was never Ready is joining rather than broken.
const joining = 5 * time.Minute

// The skews that are believed: a Date and a managedFields time are cut to whole seconds, and a request may be retried
// for a while after the node wrote its clock into it.
const (
	skewAhead  = 3 * time.Second
	skewBehind = -10 * time.Second
)

func (v *view) health() {
	h := &report.Health{Heartbeat: v.heartbeat()}
	for _, c := range nodefact.Conditions(v.node) {
		h.Conditions = append(h.Conditions, v.judged(c))
	}
	if k, ok := v.in.Kubelets[v.node.Name]; ok {
		switch {
		case k.Healthy:
			h.Kubelet = "answers"
		case k.MachineAnswers && !k.Refused:
			h.Kubelet = "does not answer, kube-proxy on the same machine does: " + k.Message
		default:
			h.Kubelet = "does not answer: " + k.Message
		}
	}
	v.out.Health = h
	v.checkReady()
	v.checkReachable()
	v.checkSkew()
	v.checkPressure()
	v.checkConditions()
}

func (v *view) judged(c *corev1.NodeCondition) report.Condition {
	return report.Condition{
		Type: string(c.Type), Status: string(c.Status), Bad: v.bad(c), Reason: c.Reason, Message: c.Message,
		Since: timeOf(c.LastTransitionTime.Time), Posted: timeOf(c.LastHeartbeatTime.Time),
	}
}

// readiness is what can be believed of the node. Where leases could not be read, Ready alone has to do.
func (v *view) readiness() nodefact.Readiness {
	var lease *coordinationv1.Lease
	if v.read(SourceLeases) {
		lease = v.index.leases[v.node.Name]
	}
	return nodefact.ReadinessOf(v.node, lease, v.now, v.o.StaleAfter)
}

// heartbeat reports the lease; nil where leases could not be read.
func (v *view) heartbeat() *report.Heartbeat {
	if !v.read(SourceLeases) {
		return nil
	}
	r := v.readiness()
	h := &report.Heartbeat{State: report.HeartbeatState(r.Heartbeat.Beat)}
	if r.Condition != nil {
		h.StatusPostedAt = timeOf(r.Condition.LastHeartbeatTime.Time)
	}
	beat := r.Heartbeat
	if beat.Beat == nodefact.NoBeat {
		return h
	}
	h.RenewTime, h.ReceivedAt = timeOf(beat.Renewed), timeOf(beat.Received)
	if beat.Skew != nil {
		h.ClockSkew = ptr(float64(beat.Skew.Milliseconds()/100) / 10)
	}
	h.AgeSeconds, h.DurationSeconds = ptr(int64(beat.Age.Seconds())), ptr(int64(beat.Duration.Seconds()))
	return h
}

func (v *view) leaseEvidence() []finding.Evidence {
	h := v.out.Health.Heartbeat
	if h == nil || h.ReceivedAt == nil {
		return nil
	}
	return []finding.Evidence{{
		Source: "Lease kube-node-lease/" + v.node.Name, Path: "spec.renewTime",
		Value: fmt.Sprintf("last renewed %s ago, lasts %ds", v.ago(*h.ReceivedAt), *h.DurationSeconds), Time: h.ReceivedAt,
	}}
}

// checkReady says what keeps the node from being Ready, or Ready from being believed.
func (v *view) checkReady() {
	r := v.readiness()
	if r.Condition == nil {
		if v.now.Sub(v.node.CreationTimestamp.Time) > time.Minute && v.read(SourceLeases) && r.Heartbeat.Beat == nodefact.NoBeat {
			v.add(NeverReported, "no kubelet has ever reported for this Node object", nil, v.describe("shows where the object comes from"))
		}
		return
	}
	evidence := append([]finding.Evidence{conditionEvidence(r.Condition)}, v.leaseEvidence()...)
	switch {
	case r.State == nodefact.NeverHeard:
		v.add(NeverReported, "no kubelet has ever reported for this Node object", evidence, v.describe("shows where the object comes from"))
	case r.State == nodefact.Returning:
		f := v.add(StatusStale, fmt.Sprintf("the kubelet is back (heartbeat %s ago) and has not posted its status yet: Ready is still Unknown", v.ago(r.Heartbeat.Received)), evidence, v.again())
		f.Severity = finding.Critical
	case r.State == nodefact.Silent && r.Condition.Status == corev1.ConditionUnknown:
		v.unknownReady(r, evidence)
	case r.State == nodefact.Silent:
		v.readyStale(r, evidence)
	case r.State == nodefact.NotReady:
		v.notReady(r.Condition, evidence)
	default:
		v.checkStale(r, evidence)
	}
}

func (v *view) unknownReady(r nodefact.Readiness, evidence []finding.Evidence) {
	last := r.Condition.LastHeartbeatTime.Time
	if !r.Heartbeat.Received.IsZero() {
		last = r.Heartbeat.Received
	}
	message := "the node does not report"
	if !last.IsZero() {
		message = fmt.Sprintf("the node does not report: last heard of %s ago", v.ago(last))
	}
	v.add(KubeletNotReporting, message+v.deadOrCut(), evidence, v.askKubelet()...)
}

// deadOrCut says what the API can and cannot tell: a dead node, a stopped kubelet and a cut network look alike until
// the node itself is asked.
func (v *view) deadOrCut() string {
	k, asked := v.in.Kubelets[v.node.Name]
	switch {
	case !asked:
		return "; dead, kubelet stopped, cut off or refused by the API server look alike from here"
	case k.Healthy:
		return ". Its kubelet answers: the node lives, and the kubelet cannot reach the API server or is refused by it (expired certificate)"
	case k.Refused:
		return ". The machine lives and refuses connections to its kubelet: the kubelet does not run"
	case k.MachineAnswers:
		return ". The machine lives (its kube-proxy answers), and its kubelet gives no answer: it hangs, or is cut off from the API server, which it asks who may talk to it"
	}
	return ". Neither its kubelet nor its kube-proxy answers: the machine or its network is down"
}

// askKubelet are the commands that tell what a silent node's object cannot. A kubelet that is cut off may hang, because
// it asks the API server who may talk to it; kube-proxy's health port asks nobody.
func (v *view) askKubelet() []finding.Next {
	if _, asked := v.in.Kubelets[v.node.Name]; asked {
		return []finding.Next{onTheMachine()}
	}
	get := func(path string) string {
		return v.kubectl("", "get", "--raw", path, "--request-timeout=8s")
	}
	return []finding.Next{
		{
			Command: get("/api/v1/nodes/" + v.node.Name + "/proxy/healthz"), Risk: finding.Read,
			Why: "\"ok\": the kubelet lives and cannot reach the API server or is refused by it; \"connection refused\": the machine lives, the kubelet does not run; no answer: ask the next (needs get nodes/proxy; nodeinfo --kubelet asks both)",
		},
		{
			Command: get("/api/v1/nodes/http:" + v.node.Name + ":10256/proxy/livez"), Risk: finding.Read,
			Why: "kube-proxy's health: an answer means that the machine lives and the kubelet hangs or is cut off; none, that machine or network is down",
		},
		onTheMachine(),
	}
}

func onTheMachine() finding.Next {
	return finding.Next{
		Command: "systemctl status kubelet; journalctl -u kubelet -n 50 --no-pager", Risk: finding.Read,
		Why: "on the machine itself (console or ssh, no pod can be started there): is the kubelet running, and what does it say (an expired certificate ends it at once)?",
	}
}

// checkReachable is about a kubelet that lives by its heartbeat and was asked (--kubelet) in vain.
func (v *view) checkReachable() {
	k, asked := v.in.Kubelets[v.node.Name]
	h := v.out.Health.Heartbeat
	if !asked || k.Healthy || h == nil || h.State != report.HeartbeatOK {
		return
	}
	v.add(KubeletUnreachable, "the API server does not reach the kubelet, whose heartbeat is fresh: "+k.Message+"; logs, exec and usage figures of its pods fail",
		append([]finding.Evidence{{Source: "kubelet " + v.node.Name, Path: "/healthz", Value: k.Message}}, v.leaseEvidence()...),
		finding.Next{Command: "curl -sk -m5 https://127.0.0.1:10250/healthz; nft list ruleset | grep -n 10250", Risk: finding.Read, Why: "on the machine itself: any answer, even Unauthorized, means that the kubelet serves, and that a firewall or a route keeps the API server from it"})
}

func (v *view) checkStale(r nodefact.Readiness, evidence []finding.Evidence) {
	switch r.Heartbeat.Beat {
	case nodefact.Late:
		v.add(HeartbeatLate, fmt.Sprintf("no heartbeat for %s (it comes every 10s and lasts %ds): Ready=True may be stale", v.ago(r.Heartbeat.Received), int64(r.Heartbeat.Duration.Seconds())), evidence,
			append([]finding.Next{v.again()}, v.askKubelet()...)...)
	default:
		posted := r.Condition.LastHeartbeatTime.Time
		if posted.IsZero() || v.now.Sub(posted) <= statusOld {
			return
		}
		message := fmt.Sprintf("the status was last posted %s ago (every 5m is usual): its conditions cannot be believed", v.ago(posted))
		if r.Heartbeat.Beat == nodefact.Fresh {
			message = "the kubelet's heartbeat is fresh, but " + message
		}
		v.add(StatusStale, message, evidence, finding.Next{
			Command: "journalctl -u kubelet -n 200 --no-pager | grep -i 'node status'", Risk: finding.Read,
			Why: "on the machine itself: why the kubelet cannot post its status",
		})
	}
}

func (v *view) readyStale(r nodefact.Readiness, evidence []finding.Evidence) {
	message := fmt.Sprintf("the node has not reported for %s, yet Ready is still %s: nobody has marked it", v.ago(r.Heartbeat.Received), r.Condition.Status)
	leader := v.leader("kube-controller-manager")
	if leader != nil && leader.Expired {
		message += ", because no kube-controller-manager works"
		evidence = append(evidence, finding.Evidence{Source: "Lease kube-system/kube-controller-manager", Path: "spec.renewTime", Value: leaseText(*leader), Time: leader.RenewTime})
	}
	next := v.askKubelet()
	if leader == nil {
		next = append(next, finding.Next{Command: v.kubectl("kube-system", "get", "lease", "kube-controller-manager"), Why: "is the controller-manager alive? It marks silent nodes within a minute", Risk: finding.Read})
	}
	v.add(ReadyStale, message+v.deadOrCut(), evidence, next...)
}

// Fragments of the kubelet's Ready message, from its runtime state and node status setters
// (https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/runtime.go, nodestatus/setters.go).
var (
	runtimeWords  = []string{"container runtime is down", "RuntimeReady=false", "container runtime not ready", "PLEG is not healthy", "runtime service", "container runtime status check"}
	networkWords  = []string{"NetworkReady=false", "NetworkPluginNotReady", "cni plugin not initialized", "cni config uninitialized", "network plugin is not ready"}
	shutdownWords = []string{"node is shutting down"}
)

func containsAny(text string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// notReady names the cause that the kubelet gives for Ready=False.
func (v *view) notReady(ready *corev1.NodeCondition, evidence []finding.Evidence) {
	message, since := ready.Message, ""
	if !ready.LastTransitionTime.IsZero() {
		since = " (for " + v.ago(ready.LastTransitionTime.Time) + ")"
	}
	runtime := v.runtimeName()
	born := v.node.CreationTimestamp.Time
	switch neverReady := ready.LastTransitionTime.Sub(born) < 30*time.Second; {
	case neverReady && v.now.Sub(born) < joining:
		v.add(NodeJoining, fmt.Sprintf("the node joined %s ago and has not been Ready yet: %s", v.ago(born), message), evidence, v.again())
	case containsAny(message, shutdownWords):
		v.add(NodeShuttingDown, "the node is shutting down"+since, evidence, v.eventsNext())
	case containsAny(message, runtimeWords):
		v.add(ContainerRuntimeDown, fmt.Sprintf("the container runtime (%s) does not answer the kubelet%s", runtime, since), evidence, finding.Next{
			Command: "systemctl status " + runtime + "; journalctl -u " + runtime + " -n 50 --no-pager", Risk: finding.Read,
			Why: "on the machine itself (console or ssh, no pod can be started there): does the runtime run, and what does it say?",
		}, v.podsNext("what runs there, and may go on running without its runtime"))
	case containsAny(message, networkWords):
		v.add(NetworkPluginNotReady, "the pod network (CNI) is not ready: "+networkCause(message)+since, evidence, v.podsNext("find the network plugin's pod on this node: it writes the configuration in /etc/cni/net.d"), finding.Next{
			Command: "ls -l /etc/cni/net.d /opt/cni/bin", Risk: finding.Read, Why: "on the machine itself: a configuration, and the programs it names, must be there",
		})
	default:
		v.add(NodeNotReady, "the kubelet says that it is not ready: "+message+since, evidence, v.describe("shows its events"))
	}
}

func networkCause(message string) string {
	if strings.Contains(message, "cni plugin not initialized") || strings.Contains(message, "cni config uninitialized") {
		return "the runtime has no usable CNI configuration"
	}
	_, text, ok := strings.Cut(message, "message:")
	if !ok {
		text = message
	}
	return strings.TrimSpace(text)
}

func (v *view) checkSkew() {
	h := v.out.Health.Heartbeat
	if h == nil || h.RenewTime == nil {
		return
	}
	skew, seen := time.Duration(0), h.ClockSkew != nil
	if seen {
		skew = h.RenewTime.Sub(*h.ReceivedAt)
	} else if ahead := h.RenewTime.Sub(v.now); ahead > 0 {
		skew = ahead // without the server's time of writing only a clock that is ahead shows
	}
	if skew <= skewAhead && skew >= skewBehind {
		return
	}
	word := "ahead of"
	if skew < 0 {
		word = "behind"
	}
	v.add(ClockSkew, fmt.Sprintf("the node's clock is %s %s the API server's", age(skew.Abs()), word),
		[]finding.Evidence{{Source: "Lease kube-node-lease/" + v.node.Name, Path: "spec.renewTime", Value: "the node wrote " + h.RenewTime.Format(time.RFC3339), Time: h.ReceivedAt}},
		finding.Next{Command: "timedatectl; chronyc tracking", Why: "on the machine itself: is its clock synchronised?", Risk: finding.Read})
}

func (v *view) checkPressure() {
	for _, p := range []struct {
		kind corev1.NodeConditionType
		code finding.Code
		text string
		sort string
	}{
		{corev1.NodeDiskPressure, DiskPressure, "the node runs out of disk", ""},
		{corev1.NodePIDPressure, PIDPressure, "the node runs out of process IDs", ""},
		{corev1.NodeMemoryPressure, MemoryPressure, "the node runs out of memory", "memory"},
	} {
		// Only True is pressure: on a silent node all are Unknown, which says nothing.
		c := nodefact.Condition(v.node, p.kind)
		if c == nil || c.Status != corev1.ConditionTrue {
			continue
		}
		message := p.text
		if !c.LastTransitionTime.IsZero() {
			message += fmt.Sprintf(" (%s=True for %s); it stays five minutes after the cause is gone", p.kind, v.ago(c.LastTransitionTime.Time))
		}
		v.add(p.code, message, []finding.Evidence{conditionEvidence(c)}, v.eventsNext(),
			finding.Next{Command: v.kubectl("", "nodeinfo", v.node.Name, "--kubelet", "--section=storage,pods"), Why: "free space by the kubelet's own figures (needs get nodes/proxy), and the biggest pods", Risk: finding.Read})
	}
	if c := nodefact.Condition(v.node, corev1.NodeNetworkUnavailable); c != nil && c.Status == corev1.ConditionTrue {
		v.add(NetworkUnavailable, "the node's pod network is not set up: "+firstOf(c.Message, c.Reason), []finding.Evidence{conditionEvidence(c)}, v.podsNext("find the network plugin's pod on this node"))
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return "no message"
}

func (v *view) describe(why string) finding.Next {
	return finding.Next{Command: v.kubectl("", "describe", "node", v.node.Name), Why: why, Risk: finding.Read}
}

func (v *view) again() finding.Next {
	return finding.Next{Command: v.kubectl("", "nodeinfo", v.node.Name), Why: "look again in half a minute", Risk: finding.Read}
}

func (v *view) eventsNext() finding.Next {
	return finding.Next{Command: v.kubectl("default", "get", "events", "--field-selector", "involvedObject.kind=Node,involvedObject.name="+v.node.Name), Why: "what the kubelet and the controllers said about the node", Risk: finding.Read}
}

func (v *view) podsNext(why string) finding.Next {
	return finding.Next{Command: v.kubectl("", "get", "pods", "-A", "-o", "wide", "--field-selector", "spec.nodeName="+v.node.Name), Why: why, Risk: finding.Read}
}
