package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Components of the control plane.
const (
	ControlPlaneComponentNotReady finding.Code = "ControlPlaneComponentNotReady"
	LeaderLeaseExpired            finding.Code = "LeaderLeaseExpired"
	APIServerNotReady             finding.Code = "APIServerNotReady"
	APIWritesStopped              finding.Code = "APIWritesStopped"
)

var apiWritesStopped = rule{
	Entry: finding.Entry{
		Code:     APIWritesStopped,
		Severity: finding.Critical,
		Title:    "API server stores no writes",
		Meaning: "The Leases of nodes and of control plane components were last renewed within 15 seconds of each other and have all expired: " +
			"what they share is the API server and etcd behind it, which answer reads but store no writes (etcd out of space or without " +
			"quorum, or an admission policy for all Leases). The nodes themselves may be healthy; nothing is scheduled, updated or created.",
		Evidence: "Time of the last renewal of every Lease that was read, in kube-node-lease and kube-system.",
		Next:     "Check etcd (alarms, space, quorum), then admission policies for Leases.",
	},
	Explains: []finding.Code{KubeletNotReporting, ReadyConditionStale, HeartbeatLate, LeaderLeaseExpired, NodeReadinessFlapping},
	Check:    checkAPIWritesStopped,
}

func checkAPIWritesStopped(c *subject.Case) []finding.Finding {
	at := c.ControlPlane.WritesStopped
	if at.IsZero() || c.Readiness.Posting || c.Readiness.Heartbeat.Received.IsZero() {
		return nil
	}
	evidence := leaseEvidence(c)
	for i := range c.ControlPlane.Leaders {
		evidence = append(evidence, leaderEvidence(&c.ControlPlane.Leaders[i]))
	}
	return c.One(fmt.Sprintf("the API server has stored no Lease for %s: the renewals of nodes and control plane components stopped together",
		c.Ago(at)), evidence,
		c.Look("Show the result of every readiness check of the API server", "", "get", "--raw", "/readyz?verbose"),
		subject.Answered(c.Look("Read the etcd log (space, quorum, slow disk)", "kube-system", "logs", "-l", "component=etcd", "--tail=50"),
			"no space: compact and defragment etcd, then disarm the alarm",
			"no leader: restore the quorum of etcd"),
		c.Look("List admission policies and webhooks, which can reject every Lease", "", "get",
			"validatingadmissionpolicies,validatingwebhookconfigurations,mutatingwebhookconfigurations"))
}

var controlPlaneComponentNotReady = rule{
	Entry: finding.Entry{
		Code:     ControlPlaneComponentNotReady,
		Severity: finding.Critical,
		Title:    "Control plane component is not ready",
		Meaning:  "The static pod of an API server, etcd, scheduler or controller manager on this node is not ready or is crash looping.",
		Evidence: "Pod status.containerStatuses.",
		Next:     "Read the log of the pod; the manifest is in /etc/kubernetes/manifests on the node.",
	},
	CausedBy: StoppedCodes,
	Check:    checkControlPlaneComponentNotReady,
}

func checkControlPlaneComponentNotReady(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, component := range c.ControlPlane.StaticPods {
		p := component.Pod
		if p.Crash == nil && (p.Ready() || c.Age(p.ReadySince()) < time.Minute && !p.FailedStart()) {
			continue
		}
		message := fmt.Sprintf("%s on this node is not ready: %s", component.Name, p.State)
		if p.Crash != nil {
			message = fmt.Sprintf("%s: %s", component.Name, c.CrashText(p.Crash))
		}
		f := c.Found(message, subject.PodEvidence(p), c.PodNext(p)...)
		list = append(list, subject.About(f, p))
	}
	return list
}

var leaderLeaseExpired = rule{
	Entry: finding.Entry{
		Code:     LeaderLeaseExpired,
		Severity: finding.Critical,
		Title:    "Control plane component has no leader",
		Meaning: "The leader election Lease of the scheduler or controller manager has expired and no replica took over: no pod is " +
			"scheduled, or no controller acts (node conditions, replicas and endpoints are not updated). Critical on control plane " +
			"nodes, info on other nodes, and for the Lease of a cloud's controllers that is older than a day.",
		Evidence: "Age of the component's Lease in kube-system above its duration plus 10s, unless a ready pod of the component runs with " +
			"--leader-elect=false.",
		Next: "Check the static pods of the component.",
	},
	CausedBy:     []finding.Code{ControlPlaneComponentNotReady, KubeletNotReporting, ContainerRuntimeDown},
	ExplainsInfo: true, // on a node that does not hold the control plane, too
	Check:        checkLeaderLeaseExpired,
}

// leftOver is the age from which the Lease of a cloud's controllers is most likely that of a removed installation: what still runs renews
// it every few seconds, nothing deletes it, and a cluster runs without them. The others are in every cluster.
const leftOver = 24 * time.Hour

var leaderWork = map[string]string{
	facts.Scheduler:         "no pod is scheduled",
	facts.ControllerManager: "no controller acts on nodes, replicas or endpoints",
	facts.CloudControllers:  "nodes are not initialized or deleted, load balancers and routes are not updated",
}

// checkLeaderLeaseExpired is critical on the nodes that hold the control plane, where it is repaired; on others it is for
// information, as their own health is not touched. A component that was stopped in order gives its lease back: no holder is
// left.
func checkLeaderLeaseExpired(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, l := range c.ControlPlane.Leaders {
		if !l.Expired || l.ElectionOff {
			continue
		}
		message := fmt.Sprintf("%s has had no leader for %s: %s", l.Name, c.Ago(*l.RenewTime), leaderWork[l.Name])
		f := c.Found(message, []finding.Evidence{leaderEvidence(&l)},
			subject.Answered(c.Look("List the static pods of the component",
				"kube-system", "get", "pods", "-l", "component="+l.Name, "-o", "wide"),
				"no pods: the manifest in /etc/kubernetes/manifests is missing or invalid"))
		f.Object = &finding.ObjectRef{Kind: "Lease", Namespace: "kube-system", Name: l.Name}
		switch {
		case l.Name == facts.CloudControllers && c.Age(*l.RenewTime) > leftOver:
			f.Severity = finding.Info
			f.Message = fmt.Sprintf("the Lease of %s was last renewed %s ago: it was removed from this cluster, or %s", l.Name, c.Ago(*l.RenewTime),
				leaderWork[l.Name])
			f.Next = append(f.Next[:0:0], c.Look("Look for its pods", "", "get", "pods", "-A", "-o", "wide", "-l", "component="+l.Name),
				c.Change("Delete the Lease, if the component was removed on purpose", "delete", "lease", l.Name, "-n", "kube-system"))
		case !l.OnThisNode && !c.ControlPlane.Here:
			f.Severity = finding.Info
		case c.Read(facts.SourcePods) && !c.ControlPlane.Hosts(l.Name):
			f.Message += fmt.Sprintf("; this control plane node has no %s pod", l.Name)
		}
		list = append(list, f)
	}
	return list
}

func leaderEvidence(l *report.Leader) finding.Evidence {
	text := "renewed"
	if l.AgeSeconds != nil {
		text += " " + output.Age(time.Duration(*l.AgeSeconds)*time.Second) + " ago"
	}
	if l.Holder != "" {
		text += " by " + l.Holder
	}
	return finding.Evidence{Source: "Lease kube-system/" + l.Name, Path: "spec.renewTime", Value: text}
}

var apiServerNotReady = rule{
	Entry: finding.Entry{
		Code:     APIServerNotReady,
		Severity: finding.Critical,
		Title:    "API server is not ready",
		Meaning:  "At least one check of /readyz fails.",
		Evidence: "Failed checks of the /readyz endpoint, read with verbose.",
		Next:     "Check the failed component, etcd first.",
	},
	Check: checkAPIServerNotReady,
}

func checkAPIServerNotReady(c *subject.Case) []finding.Finding {
	failed := strings.Join(c.ControlPlane.Failed, ", ")
	if len(c.ControlPlane.Failed) == 0 {
		return nil
	}
	component := "kube-apiserver"
	if slices.ContainsFunc(c.ControlPlane.Failed, func(check string) bool { return strings.HasPrefix(check, "etcd") }) {
		component = "etcd"
	}
	evidence := finding.Evidence{Source: "API server", Path: "/readyz", Value: c.ControlPlane.Readyz()}
	f := c.Found("the API server that answered is not ready: "+failed, []finding.Evidence{evidence},
		subject.OnNode("crictl logs --tail 50 $(crictl ps -a -q --name '^"+component+"$' | head -1)",
			"On a control plane node, read the log of "+component))
	if c.ControlPlane.StaticPods == nil {
		f.Severity = finding.Info
	}
	return []finding.Finding{f}
}
