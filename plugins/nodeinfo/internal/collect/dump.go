package collect

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/dump"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// loader sorts the objects of dumps.
type loader struct {
	in     evaluate.Input
	scopes []*scope // of each document
	known  map[string]bool
}

// scope is what one document is of.
type scope struct {
	list       bool
	kinds      map[string]bool
	namespaces map[string]bool
	in         map[string]bool // "KIND NAMESPACE"
	clock      dump.Clock      // by the API server's times in Leases; zero: they have none
	timeless   bool            // a Lease has none
}

// Dump makes an Input of dumps: what "kubectl get nodes,pods,… -A -o yaml" prints. What they do not tell is a skipped source.
func Dump(documents []dump.Document) (evaluate.Input, error) {
	l := &loader{in: evaluate.Input{Depth: evaluate.Full}, known: map[string]bool{}}
	for _, d := range documents {
		s := &scope{list: d.List, kinds: map[string]bool{}, namespaces: map[string]bool{}, in: map[string]bool{}}
		l.scopes = append(l.scopes, s)
		for _, o := range d.Objects {
			if err := l.take(s, o); err != nil {
				return evaluate.Input{}, err
			}
		}
	}
	if len(l.in.Nodes) == 0 {
		return evaluate.Input{}, errors.New("the dump contains no nodes")
	}
	l.sources()
	trim.Nodes(l.in.Nodes)
	trim.Named(l.in.Pods)
	trim.Pods(l.in.Components)
	trim.DaemonSets(l.in.DaemonSets)
	trim.Events(l.in.Events)
	l.in.Requests = slices.DeleteFunc(l.in.Requests, func(r certificatesv1.CertificateSigningRequest) bool {
		return !slices.Contains(kubeletSigners, r.Spec.SignerName)
	})
	return l.in, nil
}

// take sorts an object into the Input. An object that is there twice counts once, as it was first.
func (l *loader) take(s *scope, o dump.Object) error {
	id := o.Kind() + " " + o.Namespace() + "/" + o.Name()
	s.kinds[o.Kind()], s.in[o.Kind()+" "+o.Namespace()] = true, true
	if o.Namespace() != "" {
		s.namespaces[o.Namespace()] = true
	}
	if l.known[id] {
		return nil
	}
	l.known[id] = true
	switch o.Kind() {
	case "Node":
		return dump.Into(o, &l.in.Nodes)
	case "Pod":
		return l.takePod(o)
	case "Lease":
		return l.takeLease(s, o)
	case "Event":
		return dump.IntoEvents(o, &l.in.Events)
	case "DaemonSet":
		return dump.Into(o, &l.in.DaemonSets)
	case "CSINode":
		return dump.Into(o, &l.in.CSINodes)
	case "VolumeAttachment":
		return dump.Into(o, &l.in.VolumeAttachments)
	case "CertificateSigningRequest":
		return dump.Into(o, &l.in.Requests)
	case "ResourceSlice":
		return dump.Into(o, &l.in.Slices)
	case "ResourceClaim":
		return dump.Into(o, &l.in.DeviceClaims)
	case "NodeClaim":
		return dump.Into(o, &l.in.NodeClaims)
	case "NodePool":
		return dump.Into(o, &l.in.NodePools)
	case "PodDisruptionBudget":
		return dump.Into(o, &l.in.Budgets)
	case "ConfigMap":
		return l.takeStatus(o)
	}
	return nil
}

func (l *loader) takePod(o dump.Object) error {
	var pods []corev1.Pod
	if err := dump.Into(o, &pods); err != nil {
		return err
	}
	p := pods[0]
	if p.Spec.NodeName != "" {
		l.in.Pods = append(l.in.Pods, p)
	} else if owner := metav1.GetControllerOf(&p); owner != nil && owner.Kind == "DaemonSet" {
		l.in.Unscheduled = append(l.in.Unscheduled, unbound(&p))
	}
	if p.Namespace == metav1.NamespaceSystem && p.Labels["tier"] == "control-plane" && p.Spec.NodeName != "" {
		l.in.Components = append(l.in.Components, p)
	}
	return nil
}

// takeStatus takes what Cluster Autoscaler reports, of all ConfigMaps.
func (l *loader) takeStatus(o dump.Object) error {
	if o.Name() != statusMap || o.Namespace() != metav1.NamespaceSystem {
		return nil
	}
	var maps []corev1.ConfigMap
	if err := dump.Into(o, &maps); err != nil {
		return err
	}
	l.in.ClusterAutoscaler, _ = autoscaler.Read(&maps[0])
	return nil
}

func (l *loader) takeLease(s *scope, o dump.Object) error {
	list := &l.in.SystemLeases
	switch o.Namespace() {
	case corev1.NamespaceNodeLease:
		list = &l.in.Leases
	case metav1.NamespaceSystem:
	default:
		return nil
	}
	if err := dump.Into(o, list); err != nil {
		return err
	}
	lease := &(*list)[len(*list)-1]
	if written, ok := nodefact.WrittenAt(lease.ManagedFields, "renewTime"); ok {
		s.clock.See(written.Time.Time)
	} else if !nodefact.Renewal(lease).IsZero() {
		s.timeless = true
	}
	return nil
}

// sources says what the dump tells, and by which time it is judged.
func (l *loader) sources() {
	l.note(evaluate.SourceNodes, "")
	l.note(evaluate.SourcePods, l.lacks("Pod", "pods", ""))
	l.note(evaluate.SourceDaemonSets, l.lacks("DaemonSet", "daemonsets", ""))
	l.note(evaluate.SourceEvents, l.lacks("Event", "events", metav1.NamespaceDefault))
	l.note(evaluate.SourceCSINodes, l.lacks("CSINode", "csinodes", "-"))
	l.note(evaluate.SourceAttachments, l.lacks("VolumeAttachment", "volumeattachments", "-"))
	l.note(evaluate.SourceAutoscaler, l.lacks("ConfigMap", "configmaps", metav1.NamespaceSystem))
	if l.in.ClusterAutoscaler != nil || slices.ContainsFunc(l.in.Nodes, func(n corev1.Node) bool { return autoscaler.OfKarpenter(&n) }) {
		l.note(evaluate.SourceBudgets, l.lacks("PodDisruptionBudget", "poddisruptionbudgets", ""))
	}
	l.note(evaluate.SourceRequests, l.lacks("CertificateSigningRequest", "certificatesigningrequests", "-"))
	for _, name := range []string{
		evaluate.SourceMetrics, evaluate.SourceServerVersion, evaluate.SourceReadyz, evaluate.SourceProxyConfig, evaluate.SourceKubelet,
	} {
		l.note(name, "not part of a dump")
	}
	l.claims()
	why := l.beats()
	nodes, system := why, why
	if why == "" {
		nodes, system = l.lacks("Lease", "leases", corev1.NamespaceNodeLease), l.lacks("Lease", "leases", metav1.NamespaceSystem)
	}
	l.note(evaluate.SourceLeases, nodes)
	l.note(evaluate.SourceSystemLeases, system)
	l.in.Sources.Sort()
}

// claims says what the dump tells of the devices that pods have by ResourceClaims, where one has.
func (l *loader) claims() {
	namespaces := map[string]bool{}
	for i := range l.in.Pods {
		if device.Claims(&l.in.Pods[i]) {
			namespaces[l.in.Pods[i].Namespace] = true
		}
	}
	if len(namespaces) == 0 {
		return
	}
	l.note(evaluate.SourceSlices, l.lacks("ResourceSlice", "resourceslices", "-"))
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		l.note(evaluate.SourceDeviceClaims+" in "+namespace, l.lacks("ResourceClaim", "resourceclaims", namespace))
	}
}

func (l *loader) note(name, lacks string) {
	s := source.Source{Name: name, State: source.OK}
	if lacks != "" {
		s.State, s.Message = source.Skipped, lacks
	}
	l.in.Sources = append(l.in.Sources, s)
}

// lacks says why the objects of a kind are not there, or not all of them; empty: they are. in is the namespace that is asked for;
// empty: all, "-": the kind has none. One command reads either one namespace or all: objects of two namespaces are of -A.
func (l *loader) lacks(kind, plural, in string) string {
	found := false
	for _, s := range l.scopes {
		if !s.kinds[kind] {
			continue
		}
		found = true
		if s.list && (in == "-" || len(s.namespaces) > 1 || in != "" && s.in[kind+" "+in]) {
			return ""
		}
	}
	switch {
	case !found:
		return "the dump contains no " + plural
	case in == "":
		return fmt.Sprintf("the %s in the dump are of one namespace only (use kubectl get -A)", plural)
	}
	return "the dump has only some " + plural
}

// beats says why heartbeats cannot be judged; empty: they can. A renewal carries the time of whoever renewed it, whose clock may be
// wrong, and a dump is of no moment that is known: so both have to be the API server's, from the same command that read the nodes.
func (l *loader) beats() string {
	at := slices.IndexFunc(l.scopes, func(s *scope) bool { return s.kinds["Lease"] && s.kinds["Node"] })
	leases := func(s *scope) bool { return s.kinds["Lease"] }
	why := ""
	switch {
	case !slices.ContainsFunc(l.scopes, leases):
		why = "the dump contains no leases"
	case at < 0 || len(l.with("Lease")) > 1 || len(l.with("Node")) > 1:
		why = "nodes and leases were not dumped by one command, and no time is known of both"
	case l.scopes[at].timeless || l.scopes[at].clock.Newest.IsZero():
		why = "the leases in the dump lack the times of the API server (use kubectl get --show-managed-fields)"
	default:
		l.in.Now = l.scopes[at].clock.Newest.UTC()
		return ""
	}
	l.in.Now = l.estimate().UTC()
	for i := range l.in.Nodes { // nor is then known how old what a kubelet posted is
		for j := range l.in.Nodes[i].Status.Conditions {
			l.in.Nodes[i].Status.Conditions[j].LastHeartbeatTime = metav1.Time{}
		}
	}
	l.in.Leases, l.in.SystemLeases = nil, nil
	return why
}

func (l *loader) with(kind string) []*scope {
	return slices.DeleteFunc(slices.Clone(l.scopes), func(s *scope) bool { return !s.kinds[kind] })
}

// estimate is a time at or before which the dump was made: the newest of the API server's, and of those that nodes wrote by their
// own clocks the middle one, so that one clock that is ahead does not make everything old.
func (l *loader) estimate() time.Time {
	var clock dump.Clock
	for i := range l.in.Pods {
		clock.SeeServer(&l.in.Pods[i].ObjectMeta)
	}
	for i := range l.in.Events {
		clock.SeeServer(&l.in.Events[i].ObjectMeta)
	}
	renewed := map[string]*coordinationv1.Lease{}
	for i := range l.in.Leases {
		renewed[l.in.Leases[i].Name] = &l.in.Leases[i]
	}
	var posted []time.Time
	for i := range l.in.Nodes {
		n := &l.in.Nodes[i]
		clock.SeeServer(&n.ObjectMeta)
		var own dump.Clock
		if ready := nodefact.ReadyCondition(n); ready != nil {
			own.See(ready.LastHeartbeatTime.Time)
		}
		if lease := renewed[n.Name]; lease != nil {
			own.See(nodefact.Renewal(lease))
		}
		posted = append(posted, own.Newest)
	}
	sorting.Func(posted, time.Time.Compare)
	clock.See(posted[(len(posted)-1)/2])
	return clock.Newest
}

// Judged says by which time a dump is judged, and what it lacks of what every report tells.
func Judged(in *evaluate.Input) []string {
	text := "the dump is judged as of " + in.Now.Format(time.RFC3339) + ", the newest time of the API server in its leases"
	if s := in.Sources.Get(evaluate.SourceLeases); !s.Readable() {
		text = "the dump is judged as of about " + in.Now.Format(time.RFC3339) + "; heartbeats are unknown: " + s.Reason()
	}
	notes := []string{text}
	for _, name := range []string{evaluate.SourcePods, evaluate.SourceDaemonSets, evaluate.SourceEvents} {
		if s := in.Sources.Get(name); !s.Readable() {
			notes = append(notes, s.Gap())
		}
	}
	return notes
}
