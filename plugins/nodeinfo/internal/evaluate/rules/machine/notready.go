package machine

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// The cause that a kubelet gives for its Ready=False.
const (
	ContainerRuntimeDown  finding.Code = "ContainerRuntimeDown"
	NetworkPluginNotReady finding.Code = "NetworkPluginNotReady"
	NodeShuttingDown      finding.Code = "NodeShuttingDown"
	NodeNotReady          finding.Code = "NodeNotReady"
	NodeJoining           finding.Code = "NodeJoining"
)

var containerRuntimeDown = rule{
	Entry: finding.Entry{
		Code:     ContainerRuntimeDown,
		Severity: finding.Critical,
		Title:    "Container runtime is not responding",
		Meaning: "The kubelet is running, but the container runtime does not respond to it. Running containers may keep running; no container " +
			"is started, stopped or probed.",
		Evidence: "Node condition Ready=False whose message has RuntimeReady=false, PLEG or container runtime is down.",
		Next:     "Check the container runtime on the node, read its log and restart it.",
	},
	CausedBy: NotReportingCodes,
	Check:    sinceNotReady(relist, checkContainerRuntimeDown),
}

func checkContainerRuntimeDown(c *subject.Case) []finding.Finding {
	if c.Cause != facts.RuntimeDown {
		return nil
	}
	what, check := "the container runtime", subject.OnNode("journalctl -u kubelet -n 50 --no-pager",
		"On the node (console or SSH; no pod can start there), read the kubelet log, which names the runtime")
	if runtime := c.Components.Runtime.Name; runtime != "" {
		what += " (" + runtime + ")"
		unit := cmp.Or(map[string]string{"cri-o": "crio", "docker": "cri-docker"}[runtime], runtime) // what its packages call it
		check = subject.OnNode("systemctl status "+unit+"; journalctl -u "+unit+" -n 50 --no-pager",
			"On the node (console or SSH; no pod can start there), check the runtime and read its log")
	}
	message := what + " is not responding to the kubelet"
	if age := notReadyFor(c); age != "" {
		message = what + " has not responded to the kubelet for " + age
	}
	return c.One(message, readyEvidence(c), check,
		c.PodsHere("List the pods on the node; their containers may keep running without the runtime"))
}

var networkPluginNotReady = rule{
	Entry: finding.Entry{
		Code:     NetworkPluginNotReady,
		Severity: finding.Critical,
		Title:    "Network plugin (CNI) is not ready",
		Meaning:  "The container runtime found no usable CNI configuration. New pods stay in ContainerCreating; running pods keep their network.",
		Evidence: "Node condition Ready=False with NetworkReady=false or NetworkPluginNotReady.",
		Next:     "Check the network plugin pod on the node, which writes the configuration in /etc/cni/net.d.",
	},
	CausedBy: append([]finding.Code{ContainerRuntimeDown}, NotReportingCodes...),
	Check:    sinceNotReady(0, checkNetworkPluginNotReady),
}

func checkNetworkPluginNotReady(c *subject.Case) []finding.Finding {
	if c.Cause != facts.NetworkDown {
		return nil
	}
	message := "the network plugin (CNI) is not ready"
	if age := notReadyFor(c); age != "" {
		message = "the network plugin (CNI) has not been ready for " + age
	}
	return c.One(message+": "+networkCause(c.Readiness.Condition.Message), readyEvidence(c),
		c.PodsHere("Find the network plugin pod, which writes the configuration in /etc/cni/net.d"),
		subject.OnNode("ls -l /etc/cni/net.d /opt/cni/bin", "On the node, check that a CNI configuration and the plugins that it names exist"))
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

var nodeShuttingDown = rule{
	Entry: finding.Entry{
		Code:     NodeShuttingDown,
		Severity: finding.Critical,
		Title:    "Node is shutting down",
		Meaning:  "A shutdown of the machine was requested, and the kubelet is terminating its pods in order.",
		Evidence: "Node condition Ready=False with the message \"node is shutting down\".",
		Next:     "Do nothing if the shutdown is intended; otherwise find its origin.",
	},
	CausedBy: NotReportingCodes,
	Check:    sinceNotReady(0, checkNodeShuttingDown),
}

func checkNodeShuttingDown(c *subject.Case) []finding.Finding {
	if c.Cause != facts.Stopping {
		return nil
	}
	message := "the node is shutting down"
	if age := notReadyFor(c); age != "" {
		message = "the node has been shutting down for " + age
	}
	return c.One(message, readyEvidence(c), c.PodsHere("List the pods that are still on the node"))
}

var nodeNotReady = rule{
	Entry: finding.Entry{
		Code:     NodeNotReady,
		Severity: finding.Critical,
		Title:    "Node is not ready",
		Meaning:  "The kubelet reports that the node cannot run pods, for a reason other than container runtime, network or shutdown.",
		Evidence: "Message of Node condition Ready=False.",
		Next:     "Read the message, then the kubelet log.",
	},
	Check: sinceNotReady(relist, checkNodeNotReady),
}

func checkNodeNotReady(c *subject.Case) []finding.Finding {
	if c.Cause != facts.OtherCause {
		return nil
	}
	message := "the kubelet reports the node as not ready"
	if age := notReadyFor(c); age != "" {
		message = "the kubelet has reported the node as not ready for " + age
	}
	return c.One(message+": "+c.Readiness.Condition.Message, readyEvidence(c), subject.KubeletLog())
}

var nodeJoining = rule{
	Entry: finding.Entry{
		Code:     NodeJoining,
		Severity: finding.Warning,
		Title:    "Node has joined and is not ready yet",
		Meaning:  "The node is younger than five minutes and has not been ready yet.",
		Evidence: "Node metadata.creationTimestamp, and Ready=False since then.",
		Next:     "Wait for the node to become ready; check again after five minutes.",
	},
	Check: checkNodeJoining,
}

func checkNodeJoining(c *subject.Case) []finding.Finding {
	if c.Cause != facts.Joining {
		return nil
	}
	born := c.Object.CreationTimestamp.Time
	message := fmt.Sprintf("the node joined %s ago and is not ready yet: %s", c.Ago(born), c.Readiness.Condition.Message)
	return c.One(message, readyEvidence(c), c.RecheckStep())
}

// relist is how long the runtime may fail to list its containers until the kubelet says so.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kubelet.go (genericPlegRelistThreshold)
const relist = 3 * time.Minute

// sinceNotReady dates what a check finds to when Ready went away, and as far before as the kubelet may have been patient. Where
// Ready went away again and again, the begin is not known.
func sinceNotReady(patience time.Duration, check func(*subject.Case) []finding.Finding) func(*subject.Case) []finding.Finding {
	return func(c *subject.Case) []finding.Finding {
		list := check(c)
		if len(list) == 0 || len(checkNodeReadinessFlapping(c)) > 0 {
			return list
		}
		at := c.Readiness.Condition.LastTransitionTime.Time
		if fell := c.Events.Fell; !fell.IsZero() && fell.Before(at) { // Ready may have been Unknown before it was False
			at = fell
		}
		return subject.Beginning(at.Add(-patience), list)
	}
}

// notReadyFor is how long Ready has had its status; empty where that is unknown.
func notReadyFor(c *subject.Case) string {
	at := c.Readiness.Condition.LastTransitionTime
	if at.IsZero() {
		return ""
	}
	return c.Ago(at.Time)
}
