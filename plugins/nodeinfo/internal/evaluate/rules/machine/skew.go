package machine

import (
	"fmt"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// ControlPlaneVersionSkew is about the versions of the control plane's own programs.
const ControlPlaneVersionSkew finding.Code = "ControlPlaneVersionSkew"

var controlPlaneVersionSkew = rule{
	Entry: finding.Entry{
		Code:     ControlPlaneVersionSkew,
		Severity: finding.Warning,
		Title:    "Control plane version skew is not supported",
		Meaning: "A kube-controller-manager or kube-scheduler must not be newer than its API server, and may be at most one " +
			"minor version older; API servers may be at most one minor version apart.",
		Evidence: "Image tags of the static pods on the node against kube-apiserver on the same node; if there is none, and for " +
			"kube-apiserver, against /version of the API server and the static pods of others.",
		Next:   "Upgrade the control plane one minor version at a time, on each node the API server first.",
		Source: "https://kubernetes.io/releases/version-skew-policy/",
	},
	Check: checkControlPlaneVersionSkew,
}

// checkControlPlaneVersionSkew compares with the API server of the same node, which kubeadm makes its neighbors use. During an
// upgrade they are newer than the API servers of nodes whose turn has not come; that is no fault.
func checkControlPlaneVersionSkew(c *subject.Case) []finding.Finding {
	answering := finding.Evidence{Source: "API server", Path: "/version", Value: c.Components.Server.Text}
	beside, besideEvidence, name := c.Components.Server, answering, "the API server"
	for _, part := range c.ControlPlane.StaticPods {
		if part.Name == "kube-apiserver" {
			beside, besideEvidence, name = part.Version(), imageEvidence(&part), "kube-apiserver on this node"
		}
	}
	var list []finding.Finding
	for _, part := range c.ControlPlane.StaticPods {
		server, evidence, of := beside, besideEvidence, name
		own := part.Version()
		if part.Name == "kube-apiserver" {
			server, evidence, of = farthest(c, own, answering)
		}
		behind := server.Minor - own.Minor
		if supported, ok := component.Skew(part.Name, behind); !ok || supported || !own.Known || !server.Known {
			continue
		}
		message := fmt.Sprintf("%s %s is newer than %s (%s), which is not supported", part.Name, own.Text, of, server.Text)
		switch {
		case behind > 0:
			message = fmt.Sprintf("%s %s is %d minor versions older than %s (%s): 1 is supported", part.Name, own.Text, behind, of, server.Text)
		case part.Name == "kube-apiserver":
			message = fmt.Sprintf("%s %s is %d minor versions newer than %s (%s): 1 is supported", part.Name, own.Text, -behind, of, server.Text)
		}
		f := c.Found(message, []finding.Evidence{imageEvidence(&part), evidence},
			c.Look("List the images of the control plane pods on all nodes", "kube-system", "get", "pods", "-l", "tier=control-plane",
				"-o", "custom-columns=NODE:.spec.nodeName,POD:.metadata.name,IMAGE:.spec.containers[*].image"))
		list = append(list, subject.About(f, part.Pod))
	}
	return list
}

// farthest is the API server whose version is farthest from one: the one that answered, or one whose pod was read.
func farthest(c *subject.Case, own facts.Version, answering finding.Evidence) (server facts.Version, evidence finding.Evidence, of string) {
	server, evidence, of = c.Components.Server, answering, "the API server that answered"
	distance := func(v facts.Version) int { return max(v.Minor-own.Minor, own.Minor-v.Minor) }
	for i := range c.ControlPlane.Servers {
		s := &c.ControlPlane.Servers[i]
		v := s.Version()
		if v.Known && own.Known && !s.OnThisNode && (!server.Known || distance(v) > distance(server)) {
			server, evidence, of = v, imageEvidence(&s.Component), "kube-apiserver on "+s.Host
		}
	}
	return server, evidence, of
}

func imageEvidence(part *facts.Component) finding.Evidence {
	return finding.Evidence{Source: "Pod " + part.PodName(), Path: "spec.containers[0].image", Value: part.Version().Text}
}
