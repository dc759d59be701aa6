package rules

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// Whether the kubelet is heard of, and whether what it said can be believed.
const (
	KubeletNotReporting  finding.Code = "KubeletNotReporting"
	ReadyConditionStale  finding.Code = "ReadyConditionStale"
	HeartbeatLate        finding.Code = "HeartbeatLate"
	KubeletNeverReported finding.Code = "KubeletNeverReported"
	NodeStatusStale      finding.Code = "NodeStatusStale"
	ClockSkew            finding.Code = "ClockSkew"
	KubeletUnreachable   finding.Code = "KubeletUnreachable"
)

var kubeletNotReporting = rule{
	Entry: finding.Entry{
		Code:     KubeletNotReporting,
		Severity: finding.Critical,
		Title:    "Kubelet is not reporting",
		Meaning: "The API server has heard nothing from the kubelet for longer than the node controller waits, and Ready is Unknown. The " +
			"node may be dead, its kubelet stopped or hung, the network to the API server cut, or its credentials refused (expired " +
			"certificate): from the API alone these look alike.",
		Evidence: "Node condition Ready=Unknown and the age of the Lease in kube-node-lease.",
		Next: "Ask the kubelet itself through the API server: an answer means the node lives and cannot reach the API server or is " +
			"refused by it.",
	},
	Check: giving(KubeletNotReporting, checkKubeletNotReporting),
}

func checkKubeletNotReporting(c *Case) []finding.Finding {
	r := c.Readiness
	if r.State != nodefact.Silent || r.Condition.Status != corev1.ConditionUnknown {
		return nil
	}
	last := r.Condition.LastHeartbeatTime.Time
	if !r.Heartbeat.Received.IsZero() {
		last = r.Heartbeat.Received
	}
	message := "Kubelet is not reporting"
	if !last.IsZero() {
		message = fmt.Sprintf("the node does not report: last heard of %s ago", c.ago(last))
	}
	return c.one(message+c.notReportingDetail(), c.readyEvidence(), c.askKubelet()...)
}

var readyStale = rule{
	Entry: finding.Entry{
		Code:     ReadyConditionStale,
		Severity: finding.Critical,
		Title:    "Ready condition is out of date",
		Meaning: "The node's heartbeat stopped longer ago than the node controller waits, yet Ready is still True: nobody has marked the " +
			"node. Either that is about to happen or the controller-manager is not working.",
		Evidence: "Age of the Lease, with Node condition Ready=True; the lease of kube-controller-manager when readable.",
		Next:     "Look at the controller-manager's lease, and ask the kubelet itself.",
	},
	Check: giving(ReadyConditionStale, checkReadyStale),
}

func checkReadyStale(c *Case) []finding.Finding {
	r := c.Readiness
	if r.State != nodefact.Silent || r.Condition.Status == corev1.ConditionUnknown {
		return nil
	}
	evidence, next := c.readyEvidence(), c.askKubelet()
	message := fmt.Sprintf("the node has not reported for %s, yet Ready is still %s: nobody has marked it",
		c.ago(r.Heartbeat.Received), r.Condition.Status)
	switch leader := c.ControlPlane.Leader(facts.ControllerManager); {
	case leader == nil:
		next = append(next, c.look("is the controller-manager alive? It marks silent nodes within a minute", "kube-system",
			"get", "lease", facts.ControllerManager))
	case leader.Expired:
		message += ", because no kube-controller-manager works"
		evidence = append(evidence, leaderEvidence(leader))
	}
	return c.one(message+c.notReportingDetail(), evidence, next...)
}

var heartbeatLate = rule{
	Entry: finding.Entry{
		Code:     HeartbeatLate,
		Severity: finding.Warning,
		Title:    "Node heartbeat is late",
		Meaning: "The kubelet renews its lease every 10 s; this one is older than its duration. It may be the first seconds of a dead " +
			"kubelet, or an overloaded node or API server.",
		Evidence: "Age of the Lease against spec.leaseDurationSeconds.",
		Next:     "Look again in 20 s.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(HeartbeatLate, checkHeartbeatLate),
}

func checkHeartbeatLate(c *Case) []finding.Finding {
	h := c.Readiness.Heartbeat
	if c.Readiness.State != nodefact.Ready || h.Beat != nodefact.Late {
		return nil
	}
	message := fmt.Sprintf("no heartbeat for %s (it comes every 10s and lasts %ds): Ready=True may be stale",
		c.ago(h.Received), int64(h.Duration.Seconds()))
	return c.one(message, c.readyEvidence(), append([]finding.Next{c.recheckStep()}, c.askKubelet()...)...)
}

var neverReported = rule{
	Entry: finding.Entry{
		Code:     KubeletNeverReported,
		Severity: finding.Critical,
		Title:    "Kubelet has never reported",
		Meaning:  "The Node object exists and no kubelet has ever posted its status.",
		Evidence: "Ready=Unknown with reason NodeStatusNeverUpdated, or no Ready condition and no lease.",
		Next:     "Look at the kubelet's own log on the machine; delete the Node object if the machine is gone.",
	},
	Check: giving(KubeletNeverReported, checkNeverReported),
}

// checkNeverReported gives a node without any condition a minute, and believes that nobody reports only if there is no lease.
func checkNeverReported(c *Case) []finding.Finding {
	r := c.Readiness
	if r.State != nodefact.NeverHeard {
		return nil
	}
	young := c.Age(c.Object.CreationTimestamp.Time) <= time.Minute
	if r.Condition == nil && (young || !c.Read(facts.SourceLeases) || r.Heartbeat.Beat != nodefact.NoBeat) {
		return nil
	}
	return c.one("no kubelet has ever reported for this Node object", c.readyEvidence(), c.describe("shows where the object comes from"))
}

var statusStale = rule{
	Entry: finding.Entry{
		Code:     NodeStatusStale,
		Severity: finding.Warning,
		Title:    "Node status is out of date",
		Meaning: "The lease is fresh, and the conditions have not been posted for longer than twice the kubelet's report interval of 5 " +
			"min. The node controller calls such a node healthy; its conditions cannot be believed.",
		Evidence: "Fresh Lease; lastHeartbeatTime of Ready older than 11 min.",
		Next:     "Read the kubelet's log for failed node status updates.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(NodeStatusStale, checkStatusStale),
}

func checkStatusStale(c *Case) []finding.Finding {
	r := c.Readiness
	if r.State == nodefact.Returning {
		message := fmt.Sprintf("the kubelet is back (heartbeat %s ago) and has not posted its status yet: Ready is still Unknown",
			c.ago(r.Heartbeat.Received))
		f := c.found(message, c.readyEvidence(), c.recheckStep())
		f.Severity = finding.Critical
		return []finding.Finding{f}
	}
	if r.State != nodefact.Ready || r.Heartbeat.Beat == nodefact.Late || !c.StatusOld() {
		return nil
	}
	message := fmt.Sprintf("the status was last posted %s ago (every 5m is usual): its conditions cannot be believed",
		c.ago(r.Condition.LastHeartbeatTime.Time))
	if r.Heartbeat.Beat == nodefact.Fresh {
		message = "the kubelet's heartbeat is fresh, but " + message
	}
	return c.one(message, c.readyEvidence(),
		onNode("journalctl -u kubelet -n 200 --no-pager | grep -i 'node status'", ": why the kubelet cannot post its status"))
}

var clockSkew = rule{
	Entry: finding.Entry{
		Code:     ClockSkew,
		Severity: finding.Warning,
		Title:    "Node clock differs from the API server clock",
		Meaning: "The time that the node writes into its lease differs from the API server's clock at the moment of writing. " +
			"Certificates, tokens, logs and leader elections on that node suffer.",
		Evidence: "Lease renewTime (node's clock) against managedFields time (server's clock).",
		Next:     "Look at time synchronisation (chrony, timesyncd) on the node.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(ClockSkew, checkClockSkew),
}

func checkClockSkew(c *Case) []finding.Finding {
	skew, h := c.ClockSkew(), c.Readiness.Heartbeat
	if skew == 0 {
		return nil
	}
	word := "ahead of"
	if skew < 0 {
		word = "behind"
	}
	evidence := []finding.Evidence{{
		Source: "Lease kube-node-lease/" + c.Object.Name, Path: "spec.renewTime",
		Value: "the node wrote " + h.Renewed.UTC().Format(time.RFC3339), Time: facts.Time(h.Received),
	}}
	return c.one(fmt.Sprintf("the node's clock is %s %s the API server's", output.Age(skew.Abs()), word), evidence,
		onNode("timedatectl; chronyc tracking", ": is its clock synchronised?"))
}

var kubeletUnreachable = rule{
	Entry: finding.Entry{
		Code:     KubeletUnreachable,
		Severity: finding.Warning,
		Title:    "API server cannot reach the kubelet",
		Meaning: "The kubelet's heartbeat is fresh, and its port (10250) does not answer the API server or answers with an error: logs, " +
			"exec, port-forward and usage figures of the node's pods fail, while the pods run.",
		Evidence: "The kubelet's /healthz through the API server (--kubelet), and the age of the Lease.",
		Next: "On the machine, ask the kubelet by loopback: if it answers there, a firewall or a route stands between the API server " +
			"and the node.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(KubeletUnreachable, checkKubeletUnreachable),
}

// checkKubeletUnreachable is about a kubelet that lives by its heartbeat and was asked (--kubelet) in vain.
func checkKubeletUnreachable(c *Case) []finding.Finding {
	k := c.Kubelet
	if k == nil || k.Healthy || c.Readiness.Heartbeat.Beat != nodefact.Fresh {
		return nil
	}
	evidence := append([]finding.Evidence{{Source: "kubelet " + c.Object.Name, Path: "/healthz", Value: k.Message}}, c.leaseEvidence()...)
	message := "the API server does not reach the kubelet, whose heartbeat is fresh: " + k.Message +
		"; logs, exec and usage figures of its pods fail"
	return c.one(message, evidence, onNode("curl -sk -m5 https://127.0.0.1:10250/healthz; nft list ruleset | grep -n 10250",
		": any answer, even Unauthorized, means that the kubelet serves, and that a firewall or a route keeps the API server from it"))
}

// readyEvidence is condition Ready as it is posted, and the heartbeat; nothing where Ready was never posted.
func (c *Case) readyEvidence() []finding.Evidence {
	if c.Readiness.Condition == nil {
		return nil
	}
	return append([]finding.Evidence{conditionEvidence(c.Readiness.Condition)}, c.leaseEvidence()...)
}

func (c *Case) leaseEvidence() []finding.Evidence {
	h := c.Readiness.Heartbeat
	if h.Received.IsZero() {
		return nil
	}
	return []finding.Evidence{{
		Source: "Lease kube-node-lease/" + c.Object.Name, Path: "spec.renewTime",
		Value: fmt.Sprintf("last renewed %s ago, lasts %ds", c.ago(h.Received), int64(h.Duration.Seconds())), Time: facts.Time(h.Received),
	}}
}

// notReportingDetail says what the API can and cannot tell: a dead node, a stopped kubelet and a cut network look alike until
// the node itself is asked.
func (c *Case) notReportingDetail() string {
	switch k := c.Kubelet; {
	case k == nil:
		return "; dead, kubelet stopped, cut off or refused by the API server look alike from here"
	case k.Healthy:
		return ". Its kubelet answers: the node lives, and the kubelet cannot reach the API server or is refused by it " +
			"(expired certificate)"
	case k.Refused:
		return ". The machine lives and refuses connections to its kubelet: the kubelet does not run"
	case k.MachineAnswers:
		return ". The machine lives (its kube-proxy answers), and its kubelet gives no answer: it hangs, or is cut off from the API " +
			"server, which it asks who may talk to it"
	}
	return ". Neither its kubelet nor its kube-proxy answers: the machine or its network is down"
}

// askKubelet are the commands that tell what a silent node's object cannot. A kubelet that is cut off may hang, because
// it asks the API server who may talk to it; kube-proxy's health port asks nobody.
func (c *Case) askKubelet() []finding.Next {
	machine := onNode("systemctl status kubelet; journalctl -u kubelet -n 50 --no-pager",
		" (console or ssh, no pod can be started there): is the kubelet running, and what does it say "+
			"(an expired certificate ends it at once)?")
	if c.Kubelet != nil {
		return []finding.Next{machine}
	}
	return []finding.Next{
		c.look("\"ok\": the kubelet lives and cannot reach the API server or is refused by it; \"connection refused\": the machine lives, "+
			"the kubelet does not run; no answer: ask the next (needs get nodes/proxy; nodeinfo --kubelet asks both)",
			"", "get", "--raw", "/api/v1/nodes/"+c.Object.Name+"/proxy/healthz", "--request-timeout=8s"),
		c.look("kube-proxy's health: an answer means that the machine lives and the kubelet hangs or is cut off; none, that machine "+
			"or network is down",
			"", "get", "--raw", "/api/v1/nodes/http:"+c.Object.Name+":10256/proxy/livez", "--request-timeout=8s"),
		machine,
	}
}
