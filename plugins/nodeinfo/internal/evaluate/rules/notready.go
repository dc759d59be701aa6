package rules

import (
	"fmt"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
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
		Meaning: "The kubelet runs and the container runtime does not answer it. Running containers may go on; nothing is started, " +
			"stopped or probed.",
		Evidence: "Ready=False with a message of RuntimeReady=false, PLEG or a runtime that is down.",
		Next:     "Restart the runtime on the node and read its log.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(ContainerRuntimeDown, checkContainerRuntimeDown),
}

func checkContainerRuntimeDown(c *Case) []finding.Finding {
	if c.Cause != facts.RuntimeDown {
		return nil
	}
	runtime := c.Components.Runtime.Name
	if runtime == "" {
		runtime = "container runtime"
	}
	return c.one(fmt.Sprintf("the container runtime (%s) does not answer the kubelet%s", runtime, c.unreadySince()), c.readyEvidence(),
		onNode("systemctl status "+runtime+"; journalctl -u "+runtime+" -n 50 --no-pager",
			" (console or ssh, no pod can be started there): does the runtime run, and what does it say?"),
		c.podsHere("what runs there, and may go on running without its runtime"))
}

var networkPluginNotReady = rule{
	Entry: finding.Entry{
		Code:     NetworkPluginNotReady,
		Severity: finding.Critical,
		Title:    "Network plugin (CNI) is not ready",
		Meaning:  "The runtime found no usable CNI configuration. New pods stay in ContainerCreating; running ones keep their network.",
		Evidence: "Ready=False with NetworkReady=false / NetworkPluginNotReady, and the CNI's pod on this node.",
		Next:     "Look at the CNI's pod on this node: it writes the configuration in /etc/cni/net.d.",
	},
	CausedBy: append([]finding.Code{ContainerRuntimeDown}, notReportingCodes...),
	Check:    giving(NetworkPluginNotReady, checkNetworkPluginNotReady),
}

func checkNetworkPluginNotReady(c *Case) []finding.Finding {
	if c.Cause != facts.NetworkDown {
		return nil
	}
	return c.one("the pod network (CNI) is not ready: "+networkCause(c.Readiness.Condition.Message)+c.unreadySince(), c.readyEvidence(),
		c.podsHere("find the network plugin's pod on this node: it writes the configuration in /etc/cni/net.d"),
		onNode("ls -l /etc/cni/net.d /opt/cni/bin", ": a configuration, and the programs it names, must be there"))
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
		Meaning:  "The machine was told to shut down, and the kubelet is ending its pods in order.",
		Evidence: "Ready=False with \"node is shutting down\".",
		Next:     "Nothing, if it was meant; otherwise find who shut it down.",
	},
	CausedBy: notReportingCodes,
	Check:    giving(NodeShuttingDown, checkNodeShuttingDown),
}

func checkNodeShuttingDown(c *Case) []finding.Finding {
	if c.Cause != facts.Stopping {
		return nil
	}
	return c.one("Node is shutting down"+c.unreadySince(), c.readyEvidence(), c.nodeEvents())
}

var nodeNotReady = rule{
	Entry: finding.Entry{
		Code:     NodeNotReady,
		Severity: finding.Critical,
		Title:    "Node is not ready",
		Meaning:  "The kubelet reports, and says that the node cannot run pods, for a reason of another kind than runtime or network.",
		Evidence: "The message of Ready=False.",
		Next:     "Read the message, then the kubelet's log.",
	},
	Check: giving(NodeNotReady, checkNodeNotReady),
}

func checkNodeNotReady(c *Case) []finding.Finding {
	if c.Cause != facts.OtherCause {
		return nil
	}
	message := "the kubelet says that it is not ready: " + c.Readiness.Condition.Message + c.unreadySince()
	return c.one(message, c.readyEvidence(), c.describe("shows its events"))
}

var nodeJoining = rule{
	Entry: finding.Entry{
		Code:     NodeJoining,
		Severity: finding.Warning,
		Title:    "Node has joined and is not ready yet",
		Meaning:  "The node is younger than five minutes and has not been Ready yet.",
		Evidence: "Creation time and Ready=False since then.",
		Next:     "Wait for Ready; look again after five minutes.",
	},
	Check: giving(NodeJoining, checkNodeJoining),
}

func checkNodeJoining(c *Case) []finding.Finding {
	if c.Cause != facts.Joining {
		return nil
	}
	born := c.Object.CreationTimestamp.Time
	message := fmt.Sprintf("the node joined %s ago and has not been Ready yet: %s", c.ago(born), c.Readiness.Condition.Message)
	return c.one(message, c.readyEvidence(), c.recheckStep())
}

func (c *Case) unreadySince() string {
	at := c.Readiness.Condition.LastTransitionTime
	if at.IsZero() {
		return ""
	}
	return " (for " + c.ago(at.Time) + ")"
}
