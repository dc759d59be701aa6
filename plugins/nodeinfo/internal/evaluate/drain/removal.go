package drain

import (
	"cmp"
	"slices"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// Removal is what is true of taking a node out for good, beside its drain.
type Removal struct {
	Node     *corev1.Node
	Silent   bool // nothing is heard of the kubelet: no drain ends there
	Lease    *coordinationv1.Lease
	CSINode  *storagev1.CSINode
	Attached []*storagev1.VolumeAttachment // by name
	Pinned   []*corev1.PersistentVolume    // that no other node can use, by name
	Etcd     *Etcd                         // nil: no static pod of it here
	Parts    []Part                        // of the control plane, by name, without etcd
	Manager  *nodefact.Manager             // of the machine; nil: nobody that is known
}

// Part is a part of the control plane on the node, and how many ready ones there are on others.
type Part struct {
	Name   string
	Pod    *corev1.Pod // nil: the role of the node tells it, and no pod
	Others int
}

// Etcd is the etcd member of the node and those of other nodes, by their static pods.
type Etcd struct {
	Name   string // of the member; empty: its pod does not tell
	Pod    *corev1.Pod
	Others []*corev1.Pod // by name
	Ready  []*corev1.Pod // of these
}

// Quorum is how many of the others must work once the member is removed.
func (e *Etcd) Quorum() int { return quorum(len(e.Others)) }

func quorum(members int) int { return members/2 + 1 }

// spare is how many members may fail while the others decide.
func spare(members int) int { return members - quorum(members) }

// removal gathers what is left of the one target.
func (p *Plan) removal() *Removal {
	if p.in.Depth != facts.Remove || len(p.Targets) != 1 {
		return nil
	}
	n := p.Targets[0]
	r := &Removal{Node: n, Manager: nodefact.ManagerOf(n)}
	for i := range p.in.Leases {
		if p.in.Leases[i].Name == n.Name {
			r.Lease = &p.in.Leases[i]
		}
	}
	r.Silent = nodefact.ReadinessOf(n, r.Lease, p.Now, nodefact.Patience).State == nodefact.Silent
	for i := range p.in.CSINodes {
		if p.in.CSINodes[i].Name == n.Name {
			r.CSINode = &p.in.CSINodes[i]
		}
	}
	for i := range p.in.VolumeAttachments {
		if p.in.VolumeAttachments[i].Spec.NodeName == n.Name {
			r.Attached = append(r.Attached, &p.in.VolumeAttachments[i])
		}
	}
	sorting.Func(r.Attached, func(a, b *storagev1.VolumeAttachment) int { return cmp.Compare(a.Name, b.Name) })
	for i := range p.in.Volumes {
		v := &p.in.Volumes[i]
		elsewhere := slices.ContainsFunc(p.Rooms, func(room *Room) bool { return schedule.Reaches(v, room.Node) })
		if v.Spec.NodeAffinity != nil && schedule.Reaches(v, n) && !elsewhere {
			r.Pinned = append(r.Pinned, v)
		}
	}
	sorting.Func(r.Pinned, func(a, b *corev1.PersistentVolume) int { return cmp.Compare(a.Name, b.Name) })
	r.controlPlane(p.in)
	return r
}

// controlPlane finds the parts of the control plane on the node and on others.
func (r *Removal) controlPlane(in *facts.Input) {
	here, others := map[string]*corev1.Pod{}, map[string][]*corev1.Pod{}
	for i := range in.Pods {
		pod := &in.Pods[i]
		name := component.ControlPlane(pod)
		switch {
		case name == "" || podfact.Finished(pod):
		case pod.Spec.NodeName == r.Node.Name:
			here[name] = pod
		default:
			others[name] = append(others[name], pod)
		}
	}
	for name, pod := range here {
		list := others[name]
		sorting.Func(list, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
		ready := slices.DeleteFunc(slices.Clone(list), func(p *corev1.Pod) bool { return !podfact.Ready(p) })
		if name == etcd {
			r.Etcd = &Etcd{Name: argument(pod, "--name="), Pod: pod, Others: list, Ready: ready}
			continue
		}
		if name == apiServer || name == facts.ControllerManager || name == facts.Scheduler {
			r.Parts = append(r.Parts, Part{Name: name, Pod: pod, Others: len(ready)})
		}
	}
	if len(here) == 0 && nodefact.ControlPlane(r.Node) {
		part := Part{Name: roleOnly}
		for i := range in.Nodes {
			if n := &in.Nodes[i]; n.Name != r.Node.Name && nodefact.ControlPlane(n) && nodefact.PostedReady(n) {
				part.Others++
			}
		}
		r.Parts = append(r.Parts, part)
	}
	sorting.Func(r.Parts, func(a, b Part) int { return cmp.Compare(a.Name, b.Name) })
}

// The parts of a control plane, beside those that elect a leader.
const (
	etcd      = "etcd"
	apiServer = "kube-apiserver"
	roleOnly  = "node with the role control-plane" // k3s and hosted control planes show no pods
)

// argument is the value of a container's argument; empty: none has it.
func argument(p *corev1.Pod, name string) string {
	for i := range p.Spec.Containers {
		for _, arg := range p.Spec.Containers[i].Args {
			if value, ok := strings.CutPrefix(arg, name); ok {
				return value
			}
		}
	}
	return ""
}

// onMachine says whether a volume's data is on the machine itself.
func onMachine(v *corev1.PersistentVolume) bool { return v.Spec.Local != nil || v.Spec.HostPath != nil }

// unseen is why the etcd member of a node that has one is not known; empty: nothing tells of one, or its pod is.
func (r *Removal) unseen() string {
	if r.Etcd != nil {
		return ""
	}
	if _, labeled := r.Node.Labels["node-role.kubernetes.io/etcd"]; labeled {
		return "the node has the role etcd and no static pod of it (k3s): check the member list of etcd"
	}
	for _, part := range r.Parts {
		servers := ""
		if part.Pod != nil {
			servers = argument(part.Pod, "--etcd-servers=")
		}
		if part.Name == roleOnly {
			return "the node has the role control-plane, and its parts are no pods: check whether it runs an etcd member"
		}
		if strings.Contains(servers, "127.0.0.1") || strings.Contains(servers, "localhost") {
			return "the API server of the node uses an etcd on the same machine (" + servers + "), which is no pod: check its member list"
		}
	}
	return ""
}

// Ends says that the cluster does not outlive the node: no commands that remove it are told.
func (r *Removal) Ends() bool {
	e := r.Etcd
	return slices.ContainsFunc(r.Parts, func(part Part) bool { return part.Others == 0 }) ||
		e != nil && (len(e.Others) == 0 || len(e.Ready) < e.Quorum())
}

// distribution is what starts the kubelet of k3s and rke2; empty for others.
func (r *Removal) distribution() string {
	for _, name := range []string{"k3s", "rke2"} {
		if strings.Contains(r.Node.Status.NodeInfo.KubeletVersion, "+"+name) {
			return name
		}
	}
	return ""
}
