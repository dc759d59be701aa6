package drain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// What a cluster loses with a node, and what brings the node back.
const (
	RemoveEndsControlPlane finding.Code = "RemoveEndsControlPlane"
	RemoveEtcdMember       finding.Code = "RemoveEtcdMember"
	RemoveNodeNotReporting finding.Code = "RemoveNodeNotReporting"
	RemoveLosesVolumes     finding.Code = "RemoveLosesVolumes"
	RemoveManagedNode      finding.Code = "RemoveManagedNode"
	RemoveVolumesAttached  finding.Code = "RemoveVolumesAttached"
)

var removes = []rule{
	removeEndsControlPlane, removeEtcdMember, removeNodeNotReporting, removeLosesVolumes, removeManagedNode, removeVolumesAttached,
}

// Where nothing is heard of the kubelet, nothing is evicted: what blocks a drain blocks no removal.
var (
	removal = finding.NewBook(slices.Concat(removes[:3],
		[]rule{drainNodeNotReporting, drainBlockedByPDB, drainWaitsForPod, drainPodsUnplaced, drainDeletesPods},
		removes[3:], []rule{drainLosesData, drainUnwanted})...)
	removalOfSilent = finding.NewBook(slices.Concat(removes[:3], []rule{drainPodsUnplaced, drainDeletesPods},
		removes[3:], []rule{drainLosesData})...)
)

// RemovalCatalog is every finding code of a removal that a drain has not, sorted.
func RemovalCatalog() []finding.Entry { return finding.NewBook(removes...).Catalog() }

func (p *Plan) book() *finding.Book[Plan] {
	switch {
	case p.Removal == nil:
		return book
	case p.Removal.Silent:
		return removalOfSilent
	}
	return removal
}

// ofNode is a finding about the node that is removed.
func (r *Removal) ofNode(message string, evidence []finding.Evidence, next ...finding.Next) finding.Finding {
	return finding.Finding{Message: message, Object: &finding.ObjectRef{Kind: "Node", Name: r.Node.Name}, Evidence: evidence, Next: next}
}

var removeEndsControlPlane = rule{
	Entry: finding.Entry{
		Code: RemoveEndsControlPlane, Severity: finding.Critical, Title: "No other node runs a part of the control plane",
		Meaning: "The node runs the only ready API server, controller manager or scheduler. Without it the cluster cannot be reached, or " +
			"nothing is replaced or scheduled any more.",
		Evidence: "Static pods of the component in kube-system, on this node and on others.",
		Next:     "Add another control plane node first.",
		Source:   "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/high-availability/",
	},
	Check: func(p *Plan) []finding.Finding {
		var names []string
		var evidence []finding.Evidence
		for _, part := range p.Removal.Parts {
			switch {
			case part.Others > 0:
				continue
			case part.Pod == nil:
				evidence = append(evidence, finding.Evidence{
					Source: "Nodes", Path: "metadata.labels[node-role.kubernetes.io/control-plane]", Value: "this node, and no other that is ready",
				})
			default:
				evidence = append(evidence, finding.Evidence{
					Source: "Pods in kube-system", Path: "metadata.labels[component]",
					Value: part.Name + ": " + part.Pod.Name + " on this node, no ready one on another",
				})
			}
			names = append(names, part.Name)
		}
		if len(names) == 0 {
			return nil
		}
		message := "there is no other ready " + strings.Join(names, ", ") + ": the cluster ends with the node"
		return []finding.Finding{p.Removal.ofNode(message, evidence,
			p.look("List the nodes of the control plane", "", "get", "nodes", "-l", "node-role.kubernetes.io/control-plane", "-o", "wide"))}
	},
}

var removeEtcdMember = rule{
	Entry: finding.Entry{
		Code: RemoveEtcdMember, Severity: finding.Warning, Title: "Etcd member is removed with the node",
		Meaning: "The node runs an etcd member as a static pod. Deleting the Node does not remove the member: it stays in the member list and " +
			"counts for the quorum. Critical if the members that remain have no quorum, or none remains; info if one of those may still fail.",
		Evidence: "Static pods of etcd in kube-system, and which of those on other nodes are ready.",
		Next:     "Remove the member by etcdctl before the machine stops; add another one first if the quorum requires it.",
		Source:   "https://etcd.io/docs/v3.6/op-guide/runtime-configuration/#remove-a-member",
	},
	Check: func(p *Plan) []finding.Finding {
		e := p.Removal.Etcd
		if e == nil {
			return nil
		}
		n, ready, needed := len(e.Others), len(e.Ready), e.Quorum()
		evidence := []finding.Evidence{{Source: "Pod " + e.Pod.Namespace + "/" + e.Pod.Name, Path: "metadata.labels[component]", Value: etcd}}
		for _, pod := range e.Others {
			state := "ready"
			if !slices.Contains(e.Ready, pod) {
				state = "not ready"
			}
			evidence = append(evidence, finding.Evidence{
				Source: "Pod " + pod.Namespace + "/" + pod.Name, Path: "status.conditions[Ready]", Value: state,
			})
		}
		var f finding.Finding
		switch members := output.Plural(n, "member that remains", "members that remain"); {
		case n == 0:
			f = p.Removal.ofNode("the node runs the only etcd member: all data of the cluster is lost with it", evidence)
			f.Severity = finding.Critical
		case ready < needed:
			f = p.Removal.ofNode(fmt.Sprintf("etcd loses its quorum: %d of the %s ready, %d required", ready,
				output.Plural(n, "member that remains is", "members that remain are"), needed), evidence)
			f.Severity = finding.Critical
		case spare(n) == 0 && spare(n+1) > 0:
			f = p.Removal.ofNode(fmt.Sprintf("etcd tolerates no failure of the %s; now 1 of %d may fail", members, n+1), evidence)
		default:
			f = p.Removal.ofNode(fmt.Sprintf("the node runs an etcd member, which must be removed from the member list; %d of the %s may fail then",
				spare(n), members), evidence)
			f.Severity = finding.Info
		}
		if command := p.etcdctl("endpoint", "status", "--cluster", "-w", "table"); command != "" {
			f.Next = []finding.Next{{
				Command: command, Risk: finding.Read, Why: "Compare the state of all members, as etcd has it (needs create pods/exec)",
			}}
		}
		return []finding.Finding{f}
	},
}

var removeNodeNotReporting = rule{
	Entry: finding.Entry{
		Code: RemoveNodeNotReporting, Severity: finding.Warning, Title: "Removed node may still run its pods",
		Meaning: "The kubelet does not report, so that the node cannot be drained. Deleting the Node makes controllers replace the pods at " +
			"once: if the machine still runs, pods and volumes of StatefulSets are in use twice.",
		Evidence: "Node condition Ready=Unknown, or a Lease that is not renewed.",
		Next:     "Power the machine off before the Node is deleted.",
		Source:   "https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/#non-graceful-node-shutdown",
	},
	Check: func(p *Plan) []finding.Finding {
		r := p.Removal
		if !r.Silent {
			return nil
		}
		var evidence []finding.Evidence
		if c := nodefact.ReadyCondition(r.Node); c != nil {
			evidence = append(evidence, finding.Evidence{
				Source: "Node " + r.Node.Name, Path: "status.conditions[Ready]", Time: facts.Time(c.LastTransitionTime.Time),
				Value: strings.TrimSuffix(string(c.Status)+" ("+c.Reason+"): "+c.Message, ": "),
			})
		}
		if h := nodefact.HeartbeatOf(r.Lease, p.Now, nodefact.Patience); !h.Received.IsZero() {
			evidence = append(evidence, finding.Evidence{
				Source: "Lease kube-node-lease/" + r.Node.Name, Path: "spec.renewTime",
				Value: "renewed " + output.Age(h.Age) + " ago, valid for " + output.Age(h.Duration), Time: facts.Time(h.Received),
			})
		}
		message := "the kubelet of " + r.Node.Name + " does not report: no drain is possible, and the machine may still run its pods"
		return []finding.Finding{r.ofNode(message, evidence,
			p.look("Find out whether the machine is up", "", "nodeinfo", r.Node.Name, "--kubelet"))}
	},
}

var removeLosesVolumes = rule{
	Entry: finding.Entry{
		Code: RemoveLosesVolumes, Severity: finding.Warning, Title: "No other node can use a volume",
		Meaning: "By its node affinity, a PersistentVolume can be used on this node alone. The data of local and hostPath volumes is on the " +
			"machine and is lost with it; a claim that is bound to such a volume keeps its pods Pending.",
		Evidence: "PersistentVolume spec.nodeAffinity, compared with the labels of all nodes.",
		Next:     "Copy the data, then delete the claim and its volume, so that a new volume is created elsewhere.",
		Source:   "https://kubernetes.io/docs/concepts/storage/volumes/#local",
	},
	Check: func(p *Plan) []finding.Finding {
		var list []*corev1.PersistentVolume
		for _, v := range p.Removal.Pinned {
			if v.Spec.ClaimRef != nil { // an unclaimed one holds nothing for anybody
				list = append(list, v)
			}
		}
		if len(list) == 0 {
			return nil
		}
		var names []string
		var evidence []finding.Evidence
		local := true
		for i, v := range list {
			local = local && onMachine(v)
			if i == most {
				evidence = append(evidence, finding.Evidence{Source: "PersistentVolumes", Value: fmt.Sprintf("%d more", len(list)-i)})
			}
			if i < 3 {
				names = append(names, v.Name)
			}
			if i < most {
				evidence = append(evidence, finding.Evidence{Source: "PersistentVolume " + v.Name, Path: "spec.nodeAffinity", Value: volumeText(v)})
			}
		}
		text := strings.Join(names, ", ")
		if len(list) > len(names) {
			text += fmt.Sprintf(" and %d more", len(list)-len(names))
		}
		message := output.Plural(len(list), "volume", "volumes") + " can be used on no other node: " + text
		if local {
			message += "; the data is on the machine"
		}
		return []finding.Finding{p.Removal.ofNode(message, evidence,
			p.look("Check the claim, the path and the reclaim policy of the volume", "", "describe", "pv", list[0].Name))}
	},
}

func volumeText(v *corev1.PersistentVolume) string {
	text := "this node alone"
	switch {
	case v.Spec.Local != nil:
		text += ", local volume"
	case v.Spec.HostPath != nil:
		text += ", hostPath volume"
	}
	if ref := v.Spec.ClaimRef; ref != nil {
		text += ", claim " + ref.Namespace + "/" + ref.Name
	}
	return text
}

var removeManagedNode = rule{
	Entry: finding.Entry{
		Code: RemoveManagedNode, Severity: finding.Warning, Title: "Node belongs to a group that keeps its size",
		Meaning: "A node group, machine set or autoscaler manages the machine. If only the Node is deleted, the machine registers again with " +
			"the next start of its kubelet, or is replaced. Info for Karpenter, which drains the node and ends the machine when its Node is " +
			"deleted, and makes another one only for pods that fit on no other node.",
		Evidence: "Label or annotation of the Node that names the group.",
		Next:     "Remove the machine where it is managed: scale the group down, or delete its Machine.",
	},
	Check: func(p *Plan) []finding.Finding {
		m := p.Removal.Manager
		if m == nil {
			return nil
		}
		evidence := []finding.Evidence{{Source: "Node " + p.Removal.Node.Name, Path: m.Evidence, Value: m.Value}}
		if m.Ends {
			f := p.Removal.ofNode(fmt.Sprintf("%s manages the node (%s %s) and ends its machine when the Node is deleted; "+
				"it makes another one for pods that then fit nowhere, within the limits of the %s", m.Name, m.Kind, m.Group, m.Kind), evidence)
			f.Severity = finding.Info
			return []finding.Finding{f}
		}
		message := fmt.Sprintf("%s manages the node (%s %s): it comes back, or another in its place, unless it is removed there",
			m.Name, m.Kind, m.Group)
		return []finding.Finding{p.Removal.ofNode(message, evidence)}
	},
}

var removeVolumesAttached = rule{
	Entry: finding.Entry{
		Code: RemoveVolumesAttached, Severity: finding.Info, Title: "Volumes are attached to the node",
		Meaning: "Volumes are attached to the node by a CSI driver. They are detached after their pods have ended; a Node that is deleted " +
			"before keeps them from other nodes, by default for six minutes.",
		Evidence: "VolumeAttachments of the node.",
		Next:     "Wait after the drain until the node has no VolumeAttachment.",
	},
	Check: func(p *Plan) []finding.Finding {
		list := p.Removal.Attached
		if len(list) == 0 {
			return nil
		}
		var evidence []finding.Evidence
		for i, a := range list {
			if i == most {
				evidence = append(evidence, finding.Evidence{Source: "VolumeAttachments", Value: fmt.Sprintf("%d more", len(list)-i)})
				break
			}
			e := finding.Evidence{Source: "VolumeAttachment " + a.Name, Path: "spec.source", Value: volumeOf(a) + " by " + a.Spec.Attacher}
			if problem := facts.VolumeError(a); problem != nil {
				e.Value, e.Time = e.Value+": "+problem.Message, facts.Time(problem.Time.Time)
			}
			evidence = append(evidence, e)
		}
		return []finding.Finding{p.Removal.ofNode(output.Plural(len(list), "volume is", "volumes are")+
			" attached to the node, and must be detached before the Node is deleted", evidence)}
	},
}

// collected is how long a pod of a node that does not exist stays before it is deleted: the garbage collector of pods looks every
// 20 s, and waits for 40 s. https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/podgc/gc_controller.go
const collected = time.Minute
