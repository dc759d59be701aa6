package machine

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Whether the kubelet reports, and whether its last report is current.
const (
	KubeletNotReporting  finding.Code = "KubeletNotReporting"
	ReadyConditionStale  finding.Code = "ReadyConditionStale"
	HeartbeatLate        finding.Code = "HeartbeatLate"
	KubeletNeverReported finding.Code = "KubeletNeverReported"
	NodeStatusStale      finding.Code = "NodeStatusStale"
	ClockSkew            finding.Code = "ClockSkew"
	KubeletUnreachable   finding.Code = "KubeletUnreachable"
	LeaseNotRenewed      finding.Code = "LeaseNotRenewed"
)

var leaseNotRenewed = rule{
	Entry: finding.Entry{
		Code:     LeaseNotRenewed,
		Severity: finding.Critical,
		Title:    "Lease is not renewed although the kubelet is running",
		Meaning: "The kubelet is running and posts its status, but has not renewed its Lease for longer than the Lease is valid: most " +
			"likely an admission policy, a webhook or a missing permission rejects the renewals. The node controller sets Ready to " +
			"Unknown whenever no status arrives for its grace period, and the node flaps.",
		Evidence: "Node condition Ready posted later than the last renewal of the Lease, by more than the Lease is valid.",
		Next:     "Try the renewal as the kubelet, without storing anything: the API server returns the reason of the rejection.",
	},
	Explains: []finding.Code{NodeReadinessFlapping},
	Check:    checkLeaseNotRenewed,
}

func checkLeaseNotRenewed(c *subject.Case) []finding.Finding {
	r := c.Readiness
	if !r.Posting {
		return nil
	}
	message := fmt.Sprintf("Lease renewals have failed for %s, but the kubelet is running (status posted %s ago)",
		c.Ago(r.Heartbeat.Received), c.Ago(r.Posted))
	evidence := append(readyEvidence(c), finding.Evidence{
		Source: "Node", Path: "status.conditions[Ready].lastHeartbeatTime", Time: facts.Time(r.Posted),
		Value: "posted " + output.Age(r.Condition.LastHeartbeatTime.Sub(r.Heartbeat.Renewed)) + " after the last renewal of the Lease",
	})
	return c.One(message, evidence,
		subject.Answered(c.Look("Try a write to the Lease as the kubelet (needs impersonate); --dry-run=server stores nothing",
			corev1.NamespaceNodeLease,
			"annotate", "lease", c.Object.Name, "runbooks.test=renewal", "--dry-run=server",
			"--as=system:node:"+c.Object.Name, "--as-group=system:nodes", "--as-group=system:authenticated"),
			"an error: the policy, webhook or permission that it names rejects the renewals",
			"annotated: the API server accepts the write now; read the kubelet log"),
		c.Look("List the admission policies and webhooks that can reject writes", "", "get",
			"validatingadmissionpolicies,validatingwebhookconfigurations,mutatingwebhookconfigurations"),
		subject.OnNode("journalctl -u kubelet -n 200 --no-pager | grep -i lease", "On the node, read why the kubelet cannot renew its Lease"))
}

var kubeletNotReporting = rule{
	Entry: finding.Entry{
		Code:     KubeletNotReporting,
		Severity: finding.Critical,
		Title:    "Kubelet is not reporting",
		Meaning: "The kubelet has not reported for longer than the grace period of the node controller, and Ready is Unknown. The machine " +
			"may be down, the kubelet stopped or hung, the network to the API server cut, or the kubelet's credentials refused " +
			"(expired certificate): from the API alone these look the same.",
		Evidence: "Node condition Ready=Unknown and the age of the Lease in kube-node-lease.",
		Next: "Query the kubelet through the API server; an answer means that the node is up, but the kubelet cannot reach the API " +
			"server or is refused by it.",
	},
	Check: checkKubeletNotReporting,
}

func checkKubeletNotReporting(c *subject.Case) []finding.Finding {
	r := c.Readiness
	if r.State != nodefact.Silent || r.Posting || r.Condition.Status != corev1.ConditionUnknown {
		return nil
	}
	last := r.Condition.LastHeartbeatTime.Time
	if !r.Heartbeat.Received.IsZero() {
		last = r.Heartbeat.Received
	}
	message := "the kubelet is not reporting"
	if !last.IsZero() {
		message = fmt.Sprintf("the kubelet has not reported for %s", c.Ago(last))
	}
	return subject.Beginning(last, c.One(message+notReportingDetail(c), readyEvidence(c), askKubelet(c)...))
}

var readyConditionStale = rule{
	Entry: finding.Entry{
		Code:     ReadyConditionStale,
		Severity: finding.Critical,
		Title:    "Ready condition is out of date",
		Meaning: "The last heartbeat is older than the grace period of the node controller, but Ready is still True. Either the node " +
			"controller is about to update the condition, or kube-controller-manager is not working.",
		Evidence: "Age of the Lease in kube-node-lease, with Node condition Ready=True; the Lease of kube-controller-manager if readable.",
		Next:     "Check the Lease of kube-controller-manager, and query the kubelet.",
	},
	Check: checkReadyConditionStale,
}

func checkReadyConditionStale(c *subject.Case) []finding.Finding {
	r := c.Readiness
	if r.State != nodefact.Silent || r.Condition.Status == corev1.ConditionUnknown {
		return nil
	}
	evidence, next := readyEvidence(c), askKubelet(c)
	message := fmt.Sprintf("the kubelet has not reported for %s, but Ready is still %s", c.Ago(r.Heartbeat.Received), r.Condition.Status)
	cause := ": the node controller has not updated the condition"
	switch leader := c.ControlPlane.Leader(facts.ControllerManager); {
	case leader == nil:
		next = append(next, c.Look("Check the Lease of kube-controller-manager, which updates Ready within a minute", "kube-system",
			"get", "lease", facts.ControllerManager))
	case leader.Expired:
		cause = ": kube-controller-manager has no leader"
		evidence = append(evidence, leaderEvidence(leader))
	}
	return subject.Beginning(r.Heartbeat.Received, c.One(message+cause+notReportingDetail(c), evidence, next...))
}

var heartbeatLate = rule{
	Entry: finding.Entry{
		Code:     HeartbeatLate,
		Severity: finding.Warning,
		Title:    "Node heartbeat is late",
		Meaning: "The kubelet renews its Lease every 10s; this Lease has expired (info: two renewals or more are missing). Either the kubelet " +
			"has just stopped, or the node or the API server is overloaded.",
		Evidence: "Age of the Lease against spec.leaseDurationSeconds.",
		Next:     "Check again in 30 seconds.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkHeartbeatLate,
}

func checkHeartbeatLate(c *subject.Case) []finding.Finding {
	h := c.Readiness.Heartbeat
	if c.Readiness.State != nodefact.Ready || c.Readiness.Posting {
		return nil
	}
	if missed := h.Missed(); h.Beat == nodefact.Fresh && missed >= 2 {
		f := c.Found(fmt.Sprintf("the last %d heartbeats are missing: none for %s (sent every %s)", missed, c.Ago(h.Received),
			output.Age(h.Interval())), readyEvidence(c), c.RecheckStep())
		f.Severity = finding.Info
		return []finding.Finding{f}
	}
	if h.Beat != nodefact.Late {
		return nil
	}
	message := fmt.Sprintf("no heartbeat for %s (sent every 10s, valid for %ds): Ready=True may be out of date",
		c.Ago(h.Received), int64(h.Duration.Seconds()))
	return c.One(message, readyEvidence(c), append([]finding.Next{c.RecheckStep()}, askKubelet(c)...)...)
}

var kubeletNeverReported = rule{
	Entry: finding.Entry{
		Code:     KubeletNeverReported,
		Severity: finding.Critical,
		Title:    "Kubelet has never reported",
		Meaning:  "The Node object exists, but no kubelet has ever posted its status.",
		Evidence: "Node condition Ready=Unknown with reason NodeStatusNeverUpdated, or no Ready condition and no Lease.",
		Next:     "Read the kubelet log on the machine; delete the Node object if the machine no longer exists.",
	},
	Check: checkKubeletNeverReported,
}

// checkKubeletNeverReported gives a node without any condition a minute, and reports it only if there is no Lease.
func checkKubeletNeverReported(c *subject.Case) []finding.Finding {
	r := c.Readiness
	if r.State != nodefact.NeverHeard {
		return nil
	}
	young := c.Age(c.Object.CreationTimestamp.Time) <= time.Minute
	if r.Condition == nil && (young || !c.Read(facts.SourceLeases) || r.Heartbeat.Beat != nodefact.NoBeat) {
		return nil
	}
	return c.One("no kubelet has ever reported for this Node object", readyEvidence(c), c.Describe("Check where the Node object comes from"))
}

var nodeStatusStale = rule{
	Entry: finding.Entry{
		Code:     NodeStatusStale,
		Severity: finding.Warning,
		Title:    "Node status is out of date",
		Meaning: "The Lease is current, but the conditions have not been posted for more than twice the kubelet's report interval of 5m. " +
			"The node controller considers such a node healthy, but the conditions are not reliable.",
		Evidence: "A current Lease, and lastHeartbeatTime of Ready older than 11m.",
		Next:     "Read the kubelet log for failed node status updates.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkNodeStatusStale,
}

func checkNodeStatusStale(c *subject.Case) []finding.Finding {
	r := c.Readiness
	if r.State == nodefact.Returning {
		message := fmt.Sprintf("the kubelet sends heartbeats again (%s ago), but has posted no status yet: Ready is still Unknown",
			c.Ago(r.Heartbeat.Received))
		f := c.Found(message, readyEvidence(c), c.RecheckStep())
		f.Severity = finding.Critical
		return []finding.Finding{f}
	}
	if r.State != nodefact.Ready || r.Heartbeat.Beat == nodefact.Late || !c.StatusOld() {
		return nil
	}
	text := "the kubelet last posted its status %s ago (usual: every 5m); the conditions are not reliable"
	if r.Heartbeat.Beat == nodefact.Fresh {
		text = "the heartbeat is current, but the kubelet last posted its status %s ago (usual: every 5m); the conditions are not reliable"
	}
	return c.One(fmt.Sprintf(text, c.Ago(r.Condition.LastHeartbeatTime.Time)), readyEvidence(c),
		subject.OnNode("journalctl -u kubelet -n 200 --no-pager | grep -i 'node status'",
			"On the node, read the kubelet log for failed status updates"))
}

var clockSkew = rule{
	Entry: finding.Entry{
		Code:     ClockSkew,
		Severity: finding.Warning,
		Title:    "Node clock differs from the API server clock",
		Meaning: "The time that the node writes into its Lease differs from the API server clock at the moment of writing (more than 3s " +
			"ahead or 10s behind). Certificates, tokens, log timestamps and leader election on the node can fail or mislead.",
		Evidence: "Lease spec.renewTime (node clock) against metadata.managedFields time (API server clock).",
		Next:     "Check time synchronization (chrony, timesyncd) on the node.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkClockSkew,
}

func checkClockSkew(c *subject.Case) []finding.Finding {
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
		Value: h.Renewed.UTC().Format(time.RFC3339) + " by the node clock", Time: facts.Time(h.Received),
	}}
	return c.One(fmt.Sprintf("the node clock is %s %s the API server clock", output.Age(skew.Abs()), word), evidence,
		subject.OnNode("timedatectl; chronyc tracking", "On the node, check whether the clock is synchronized"))
}

var kubeletUnreachable = rule{
	Entry: finding.Entry{
		Code:     KubeletUnreachable,
		Severity: finding.Warning,
		Title:    "API server cannot reach the kubelet",
		Meaning: "The kubelet's heartbeat is current, but its port (10250) does not answer the API server or returns an error. Logs, exec, " +
			"port-forward and usage metrics of the node's pods fail; the pods keep running.",
		Evidence: "Answer of the kubelet on /healthz through the API server (--kubelet), and the age of the Lease.",
		Next: "On the node, query the kubelet on the loopback address; if it answers there, a firewall or a route blocks the API " +
			"server.",
	},
	CausedBy: append([]finding.Code{KubeletRestarting}, NotReportingCodes...),
	Check:    checkKubeletUnreachable,
}

// checkKubeletUnreachable reports a kubelet that sends heartbeats but did not answer the query of --kubelet.
func checkKubeletUnreachable(c *subject.Case) []finding.Finding {
	k := c.Kubelet
	if k == nil || k.Healthy || k.CertificateBad() || c.Readiness.Heartbeat.Beat != nodefact.Fresh {
		return nil
	}
	evidence := append([]finding.Evidence{{Source: "kubelet " + c.Object.Name, Path: "/healthz", Value: k.Message}}, leaseEvidence(c)...)
	message := "the API server cannot reach the kubelet, although its heartbeat is current: " + k.Message +
		"; logs, exec and usage metrics of the node's pods fail"
	if k.Refused { // nothing listens: a firewall drops, or answers otherwise
		return c.One(message, evidence, subject.OnNode("systemctl status kubelet; journalctl -u kubelet -n 50 --no-pager",
			"On the node, check whether the kubelet runs, and read its log"))
	}
	return c.One(message, evidence, subject.OnNode("curl -sk -m5 https://127.0.0.1:10250/healthz; nft list ruleset | grep -n 10250",
		"On the node, query the kubelet on the loopback address, and list firewall rules for its port",
		"any answer, even Unauthorized: the kubelet is serving, and a firewall or a route blocks the API server"))
}

// readyEvidence is condition Ready as it is posted, and the heartbeat; nothing where Ready was never posted.
func readyEvidence(c *subject.Case) []finding.Evidence {
	if c.Readiness.Condition == nil {
		return nil
	}
	return append([]finding.Evidence{subject.ConditionEvidence(c.Readiness.Condition)}, leaseEvidence(c)...)
}

func leaseEvidence(c *subject.Case) []finding.Evidence {
	h := c.Readiness.Heartbeat
	if h.Received.IsZero() {
		return nil
	}
	return []finding.Evidence{{
		Source: "Lease kube-node-lease/" + c.Object.Name, Path: "spec.renewTime",
		Value: fmt.Sprintf("renewed %s ago, valid for %ds", c.Ago(h.Received), int64(h.Duration.Seconds())), Time: facts.Time(h.Received),
	}}
}

// notReportingDetail is what the API can and cannot tell: a dead machine, a stopped kubelet and a network failure look the
// same until the node itself is queried.
func notReportingDetail(c *subject.Case) string {
	switch k := c.Kubelet; {
	case k == nil:
		return "; from the API alone, a dead machine, a stopped kubelet, a network failure and refused credentials look the same"
	case k.Healthy:
		return "; the kubelet answers: the node is up, but the kubelet cannot reach the API server or is refused by it " +
			"(such as an expired certificate)"
	case k.Refused:
		return "; the machine is up and refuses connections on the kubelet port: the kubelet is not running"
	case k.MachineAnswers:
		return "; the machine is up (kube-proxy answers), but the kubelet does not answer: the kubelet hangs, or cannot reach the API " +
			"server to authorize the request"
	}
	return "; neither the kubelet nor kube-proxy answers: the machine or its network is down"
}

// askKubelet are the commands that tell what the object of a node that does not report cannot. A kubelet that is cut off may
// hang, because it queries the API server to authorize requests; the health port of kube-proxy does not.
func askKubelet(c *subject.Case) []finding.Next {
	if c.Kubelet != nil {
		return []finding.Next{checkKubeletOnNode()}
	}
	return []finding.Next{
		subject.Answered(c.Look("Query the kubelet through the API server (needs get nodes/proxy)",
			"", "get", "--raw", "/api/v1/nodes/"+c.Object.Name+"/proxy/healthz", "--request-timeout=8s"),
			`"ok": the kubelet is running, but cannot reach the API server or is refused by it`,
			`"connection refused": the machine is up, but the kubelet is not running`,
			"no answer: query kube-proxy, as the next step does (nodeinfo --kubelet queries both)"),
		subject.Answered(c.Look("Query the health port of kube-proxy through the API server (needs get nodes/proxy)",
			"", "get", "--raw", "/api/v1/nodes/http:"+c.Object.Name+":10256/proxy/livez", "--request-timeout=8s"),
			"any answer: the machine is up, and the kubelet hangs or is cut off",
			"no answer: the machine or its network is down"),
		checkKubeletOnNode(),
	}
}

func checkKubeletOnNode() finding.Next {
	return subject.OnNode("systemctl status kubelet; journalctl -u kubelet -n 50 --no-pager",
		"On the node (console or SSH; no pod can start there), check the kubelet and read its log",
		"expired certificate: the kubelet exits at once")
}
