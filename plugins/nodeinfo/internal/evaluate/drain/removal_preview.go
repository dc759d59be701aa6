package drain

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	storagev1 "k8s.io/api/storage/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/eviction"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// removed is what the report says of a removal.
func (p *Plan) removed() *report.Removal {
	r := p.Removal
	if r == nil {
		return nil
	}
	out := &report.Removal{Left: p.leftovers(), Steps: []finding.Next{}}
	if e := r.Etcd; e != nil {
		out.Etcd = &report.EtcdMember{Name: e.Name, Members: len(e.Others) + 1, Ready: len(e.Ready), Quorum: e.Quorum()}
	}
	if p.Read(facts.SourcePods) && !r.Ends() {
		out.Steps = p.steps()
	}
	return out
}

func (p *Plan) leftovers() []report.Leftover {
	r, list := p.Removal, []report.Leftover{}
	add := func(kind, namespace, name string, fate report.LeftoverFate, note string) {
		list = append(list, report.Leftover{Object: finding.ObjectRef{Kind: kind, Namespace: namespace, Name: name}, Fate: fate, Note: note})
	}
	for _, pod := range p.Pods {
		switch pod.Fate {
		case eviction.Daemon:
			add("Pod", pod.Namespace, pod.Name, report.LeftGoes,
				"of a DaemonSet: deleted a minute after the Node; its containers run until the machine stops")
		case eviction.Static:
			add("Pod", pod.Namespace, pod.Name, report.LeftGoes,
				"static: the Pod is deleted with the Node; its containers run until the machine stops")
		}
	}
	for _, part := range r.Parts {
		if part.Name == apiServer {
			address := cmp.Or(argument(part.Pod, "--advertise-address="), r.Node.Name)
			add("API server", "", address, report.LeftGoes, "leaves Service default/kubernetes when it stops; a load balancer and kubeconfigs that "+
				"name its address have to be changed")
		}
	}
	if r.Etcd != nil {
		add("etcd member", "", r.Etcd.Name, report.LeftStays, "in the member list, until it is removed there")
	}
	if l := r.Lease; l != nil {
		fate, note := report.LeftStays, "it does not belong to the Node: kubectl delete lease -n kube-node-lease "+l.Name
		for _, owner := range l.OwnerReferences {
			if owner.Kind == "Node" && owner.Name == r.Node.Name {
				fate, note = report.LeftGoes, "belongs to the Node, and is deleted with it"
			}
		}
		add("Lease", l.Namespace, l.Name, fate, note)
	}
	if c := r.CSINode; c != nil {
		add("CSINode", "", c.Name, report.LeftGoes, "belongs to the Node, and is deleted with it")
	}
	for _, a := range r.Attached {
		add("VolumeAttachment", "", a.Name, report.LeftStays, "until volume "+volumeOf(a)+" is detached")
	}
	for _, v := range r.Pinned {
		add("PersistentVolume", "", v.Name, report.LeftLost, volumeText(v))
	}
	return list
}

func volumeOf(a *storagev1.VolumeAttachment) string {
	if name := a.Spec.Source.PersistentVolumeName; name != nil {
		return *name
	}
	return "of a pod"
}

// etcdctl is a command in an etcd pod of another node that is ready; empty: there is none, or its pod does not tell how it is asked.
func (p *Plan) etcdctl(args ...string) string {
	e := p.Removal.Etcd
	for _, pod := range e.Ready {
		certificate, key, authority := argument(pod, "--cert-file="), argument(pod, "--key-file="), argument(pod, "--trusted-ca-file=")
		endpoint := loopback(argument(pod, "--listen-client-urls="))
		if certificate == "" || key == "" || authority == "" || endpoint == "" {
			continue
		}
		words := []string{
			"exec", pod.Name, "--", "etcdctl", "--endpoints=" + endpoint, "--cacert=" + authority, "--cert=" + certificate, "--key=" + key,
		}
		return p.Kubectl.Command(pod.Namespace, append(words, args...)...)
	}
	return ""
}

// loopback is the URL of a list that a client in the pod itself should use.
func loopback(urls string) string {
	first, _, _ := strings.Cut(urls, ",")
	for one := range strings.SplitSeq(urls, ",") {
		if u, err := url.Parse(one); err == nil && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost" || u.Hostname() == "::1") {
			return one
		}
	}
	return first
}

// steps are the commands in their order: pods and volumes go while the node works, the member before its machine, and the Node when
// nothing registers it again.
func (p *Plan) steps() []finding.Next {
	r := p.Removal
	var list []finding.Next
	if r.Silent {
		list = append(list, finding.Next{
			Command: "systemctl poweroff", Risk: finding.Destructive,
			Why:     "On the node (console, or where the machine is managed), power the machine off",
			Answers: []string{"off: nothing runs twice when the pods are replaced"},
		})
	} else if d := p.command(); d != nil {
		list = append(list, *d)
	}
	if len(r.Attached) > 0 {
		list = append(list, p.detach()...)
	}
	if r.Etcd != nil {
		list = append(list, p.member()...)
	}
	if !r.Silent && (r.Manager == nil || !r.Manager.Ends) {
		list = append(list, p.stopKubelet())
	}
	deletes := finding.Next{
		Command: p.Kubectl.Command("", "delete", "node", r.Node.Name), Risk: finding.Destructive,
		Why: "Delete the Node; its labels, taints and annotations are lost",
	}
	if f := r.Node.Finalizers; len(f) > 0 {
		deletes.Answers = []string{"no answer yet: the Node stays until its finalizers are removed (" + strings.Join(f, ", ") + ")"}
	}
	left := p.look(fmt.Sprintf("Check again after %d seconds which pods are still bound to the node", int(collected.Seconds())), "",
		"get", "pods", "-A", "-o", "wide", "--field-selector", "spec.nodeName="+r.Node.Name)
	left.Answers = []string{"No resources found: nothing runs there; kubectl nodeinfo reports NodeDeleted as long as the event is retained"}
	return append(list, deletes, left)
}

func (p *Plan) detach() []finding.Next {
	r := p.Removal
	var list []finding.Next
	if r.Silent {
		list = append(list, finding.Next{
			Command: p.Kubectl.Command("", "taint", "nodes", r.Node.Name, "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"),
			Why:     "Have the pods deleted and the volumes detached by force, once the machine is off", Risk: finding.Destructive,
		})
	}
	query := `{range .items[?(@.spec.nodeName=="` + r.Node.Name + `")]}{.spec.source.persistentVolumeName}{"\n"}{end}`
	step := p.look("Wait until no volume is attached to the node", "", "get", "volumeattachments", "-o", "jsonpath="+query)
	step.Answers = []string{"nothing: all volumes are detached"}
	return append(list, step)
}

// member removes the etcd member, by its name or, where that is unknown, by what the list says.
func (p *Plan) member() []finding.Next {
	e := p.Removal.Etcd
	list := p.etcdctl("member", "list")
	if list == "" || e.Name == "" {
		return []finding.Next{{
			Command: "etcdctl member list; etcdctl member remove ID", Risk: finding.Destructive,
			Why: "On a control plane node that stays, remove the etcd member of " + p.Removal.Node.Name,
		}}
	}
	id := list + " | awk -F', ' -v name=" + finding.Quote(e.Name) + ` '$3 == name {print $1}'`
	return []finding.Next{
		{
			Command: p.etcdctl("endpoint", "health", "--cluster"), Risk: finding.Read,
			Why: "Check that the other etcd members are healthy (needs create pods/exec)",
		},
		{
			Command: p.etcdctl("member", "remove") + ` "$(` + id + `)"`, Risk: finding.Destructive,
			Why:     "Remove etcd member " + e.Name + " from the member list; its API server stops working then",
			Answers: []string{"Member ID is invalid: it is not in the list any more"},
		},
	}
}

func (p *Plan) stopKubelet() finding.Next {
	unit := "kubelet"
	if name := p.Removal.distribution(); name != "" {
		unit = name + "-agent"
		if len(p.Removal.Parts) > 0 || p.Removal.Etcd != nil {
			unit = map[string]string{"k3s": "k3s", "rke2": "rke2-server"}[name]
		}
	}
	return finding.Next{
		Command: "systemctl disable --now " + unit, Risk: finding.Change,
		Why: "On the node, stop the kubelet for good: it registers the node again whenever it starts",
		Answers: []string{
			"stopped: containers run on until the machine is powered off or reset; its client certificate stays valid until it expires",
		},
	}
}
