package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// leaders are the leader-election leases of the control plane, in kube-system.
var leaders = []string{"kube-controller-manager", "kube-scheduler", "cloud-controller-manager"}

// controlPlaneName is the component that a static pod of kubeadm, k3s or a cloud is; empty for others.
func controlPlaneName(p *corev1.Pod) string {
	if p.Namespace != "kube-system" || !static(p) {
		return ""
	}
	switch name := p.Labels["component"]; name {
	case "kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager", "cloud-controller-manager":
		return name
	}
	return ""
}

func (v *view) controlPlane() {
	out := &report.ControlPlane{}
	if v.read(SourcePods) {
		for _, p := range v.index.pods[v.node.Name] {
			name := controlPlaneName(p)
			if name == "" || podfact.Finished(p) {
				continue
			}
			out.Hosted = append(out.Hosted, v.component(name, "static pod", p))
			v.checkHosted(name, p)
		}
		slices.SortFunc(out.Hosted, func(a, b report.Component) int { return cmp.Compare(a.Name+a.Pod, b.Name+b.Pod) })
	}
	for _, name := range leaders {
		if leader := v.leader(name); leader != nil {
			out.Leases = append(out.Leases, *leader)
			v.checkLeader(*leader)
		}
	}
	v.readyz(out)
	if out.Hosted != nil || out.Leases != nil || out.Readyz != "" {
		v.out.ControlPlane = out
	}
}

func (v *view) checkHosted(name string, p *corev1.Pod) {
	crash := v.crashing(p)
	if crash == nil && (podfact.Ready(p) || v.now.Sub(readySince(p)) < time.Minute && !failedStart(p)) {
		return
	}
	state := podState(p)
	if crash != nil {
		state = crash.text
	}
	f := v.add(ControlPlaneDown, fmt.Sprintf("%s on this node is down: %s", name, state), v.podEvidence(p), v.podNext(p, crash)...)
	about(f, p)
}

// leader reads a leader's lease; nil when there is none or it could not be read. Its age is by the server's clock.
func (v *view) leader(name string) *report.Leader {
	if !v.read(SourceSystemLeases) {
		return nil
	}
	at := slices.IndexFunc(v.in.SystemLeases, func(l leaseType) bool { return nodefact.LeaseOfComponent(&l, name) })
	if at < 0 {
		return nil
	}
	held := nodefact.LeaderOf(&v.in.SystemLeases[at], v.now)
	l := &report.Leader{Name: name, Holder: held.Holder, Expired: held.Expired}
	host, _, _ := strings.Cut(l.Holder, "_")
	l.Here = host != "" && (host == v.node.Name || host == hostname(v.node))
	if !held.Renewed.IsZero() {
		l.RenewTime, l.AgeSeconds = timeOf(held.Renewed), ptr(int64(held.Age.Seconds()))
	}
	return l
}

func leaseText(l report.Leader) string {
	text := "last renewed"
	if l.AgeSeconds != nil {
		text += " " + age(time.Duration(*l.AgeSeconds)*time.Second) + " ago"
	}
	if l.Holder != "" {
		text += " by " + l.Holder
	}
	return text
}

const cloudControllers = "cloud-controller-manager"

var leaderWork = map[string]string{
	"kube-scheduler":          "no pod is scheduled",
	"kube-controller-manager": "no controller works: silent nodes are not marked, replicas not replaced, endpoints not updated",
	cloudControllers:          "nodes are not initialised or removed, load balancers and routes not updated",
}

// checkLeader is critical on the nodes that hold the control plane, where it is repaired; on others it is for information,
// as their own health is not touched. A component that was stopped in order gives its lease back: no holder is left.
func (v *view) checkLeader(l report.Leader) {
	if !l.Expired {
		return
	}
	f := v.add(LeaderLeaseExpired, fmt.Sprintf("no %s leads since %s: %s", l.Name, v.ago(*l.RenewTime), leaderWork[l.Name]),
		[]finding.Evidence{{Source: "Lease kube-system/" + l.Name, Path: "spec.renewTime", Value: leaseText(l), Time: l.RenewTime}},
		finding.Next{Command: v.kubectl("kube-system", "get", "pods", "-l", "component="+l.Name, "-o", "wide"), Why: "its static pods; none means that the manifest in /etc/kubernetes/manifests is gone or broken", Risk: finding.Read})
	f.Object = &finding.ObjectRef{Kind: "Lease", Namespace: "kube-system", Name: l.Name}
	hosts, has := v.hosts(l.Name)
	switch {
	case !l.Here && !hosts:
		f.Severity = finding.Info
	case v.read(SourcePods) && !has:
		f.Message += fmt.Sprintf("; this node holds the control plane and has no %s pod", l.Name)
	}
}

// hosts says whether the node holds the control plane, and whether it has a pod of the component. Without its pods the
// node's role has to do.
func (v *view) hosts(component string) (controlPlane, has bool) {
	if !v.read(SourcePods) {
		return slices.Contains(v.out.Roles, "control-plane"), false
	}
	for _, p := range v.index.pods[v.node.Name] {
		name := controlPlaneName(p)
		controlPlane = controlPlane || name != ""
		has = has || name == component && !podfact.Finished(p)
	}
	return controlPlane, has
}

// readyz reads the failed checks of /readyz?verbose ("[-]etcd failed: reason withheld").
func (v *view) readyz(out *report.ControlPlane) {
	if !v.read(SourceReadyz) {
		return
	}
	for line := range strings.Lines(v.in.Readyz) {
		if check, ok := strings.CutPrefix(strings.TrimSpace(line), "[-]"); ok {
			name, _, _ := strings.Cut(check, " ")
			out.Failed = append(out.Failed, name)
		}
	}
	slices.Sort(out.Failed)
	if len(out.Failed) == 0 {
		out.Readyz = "ok"
		return
	}
	out.Readyz = "failed: " + strings.Join(out.Failed, ", ")
	f := v.add(APIServerNotReady, "the API server that answered is not ready: "+strings.Join(out.Failed, ", "),
		[]finding.Evidence{{Source: "API server", Path: "/readyz", Value: out.Readyz}},
		finding.Next{Command: v.kubectl("", "get", "--raw", "/readyz?verbose"), Why: "every check", Risk: finding.Read})
	if out.Hosted == nil {
		f.Severity = finding.Info
	}
}
