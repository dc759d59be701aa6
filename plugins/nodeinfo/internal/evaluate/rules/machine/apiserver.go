package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// The API server of this node, where a cluster has several.
const (
	LocalAPIServerNotReady     finding.Code = "LocalAPIServerNotReady"
	LocalAPIServerNotReporting finding.Code = "LocalAPIServerNotReporting"
)

var localAPIServerNotReady = rule{
	Entry: finding.Entry{
		Code:     LocalAPIServerNotReady,
		Severity: finding.Critical,
		Title:    "API server on this node is not ready",
		Meaning: "The API server on this control plane node answers that it is not ready, or does not run, while another API server of " +
			"the cluster works. The kubelet uses the API server of its own node: it cannot report either, and the node becomes NotReady " +
			"although its pods run.",
		Evidence: "Answer of the API server on this node on /readyz through its pod (needs get pods/proxy), asked when its Lease in " +
			"kube-system is late.",
		Next: "On the node, check the etcd member first, then the API server.",
	},
	Explains: []finding.Code{
		LocalAPIServerNotReporting, KubeletNotReporting, ReadyConditionStale, LeaseNotRenewed, HeartbeatLate, NodeReadinessFlapping,
	},
	Check: checkLocalAPIServerNotReady,
}

func checkLocalAPIServerNotReady(c *subject.Case) []finding.Finding {
	api := c.ControlPlane.API
	if api == nil || api.Answer == nil {
		return nil
	}
	failed := api.Answer.Failed()
	var message, component string
	switch {
	case api.Answer.Refused:
		message, component = "the API server on this node does not run (connection refused)", "kube-apiserver"
	case slices.ContainsFunc(failed, func(check string) bool { return strings.HasPrefix(check, "etcd") }):
		message, component = "the API server on this node has lost its etcd ("+strings.Join(failed, ", ")+" failed)", "etcd"
	case len(failed) > 0:
		message, component = "the API server on this node is not ready: "+strings.Join(failed, ", "), "kube-apiserver"
	default:
		return nil
	}
	answer := finding.Evidence{Source: "API server on " + c.Object.Name, Path: "/readyz", Value: "connection refused"}
	if !api.Answer.Refused {
		answer.Value = "failed: " + strings.Join(failed, ", ")
	}
	found := c.One(message+"; the API server of "+strings.Join(api.Others, ", ")+" works", []finding.Evidence{answer, identityEvidence(api)},
		onControlPlane(component), membersStep(c))
	return subject.Beginning(api.Renewed, found)
}

var localAPIServerNotReporting = rule{
	Entry: finding.Entry{
		Code:     LocalAPIServerNotReporting,
		Severity: finding.Warning,
		Title:    "API server on this node is not reporting",
		Meaning: "Each API server renews a Lease of its own in kube-system every 10s. The one on this control plane node has not done so " +
			"for 40s or more, while another one has: it does not run, is cut off, or has lost its etcd. Clients that reach it through a " +
			"load balancer without health checks get errors. Info if the API server answers that it is ready.",
		Evidence: "Age of the Lease with the label apiserver.kubernetes.io/identity whose host is this node.",
		Next:     "On the node, check the etcd member first, then the API server.",
	},
	CausedBy: slices.Concat(StoppedCodes, []finding.Code{ControlPlaneComponentNotReady}),
	Check:    checkLocalAPIServerNotReporting,
}

func checkLocalAPIServerNotReporting(c *subject.Case) []finding.Finding {
	api := c.ControlPlane.API
	if api == nil || !api.Silent() {
		return nil
	}
	message := fmt.Sprintf("the API server on this node has not renewed its Lease for %s; the API server of %s has",
		c.Ago(api.Renewed), strings.Join(api.Others, ", "))
	f := c.Found(message, []finding.Evidence{identityEvidence(api)}, onControlPlane("etcd"), onControlPlane("kube-apiserver"), membersStep(c))
	if a := api.Answer; a != nil && !a.Refused && len(a.Failed()) == 0 {
		f.Severity = finding.Info
		f.Message += "; it answers that it is ready: compare the clocks of the nodes"
	}
	return subject.Beginning(api.Renewed, []finding.Finding{f})
}

func identityEvidence(api *facts.APIServer) finding.Evidence {
	if api.Gone {
		return finding.Evidence{Source: "Leases of kube-system", Value: "none of the API server on this node"}
	}
	return finding.Evidence{
		Source: "Lease kube-system/" + api.Lease, Path: "spec.renewTime",
		Value: "renewed " + api.Age.Round(1e9).String() + " ago (every 10s)", Time: facts.Time(api.Renewed),
	}
}

// onControlPlane looks at a static pod where the kubelet can't tell of it.
func onControlPlane(component string) finding.Next {
	return subject.OnNode("ls /etc/kubernetes/manifests; crictl ps -a --name '^"+component+"$'; "+
		"crictl logs --tail 50 $(crictl ps -a -q --name '^"+component+"$' | head -1)",
		"On the node (console or SSH), check "+component+" and read its log",
		"no manifest or no container: the kubelet was not told to run it, or cannot")
}

func membersStep(c *subject.Case) finding.Next {
	return subject.Answered(c.Look("List which API servers and etcd members run where, as their kubelets last reported", "kube-system",
		"get", "pods", "-l", "tier=control-plane", "-o", "wide"),
		"Running on this node: old news, its kubelet cannot report")
}
