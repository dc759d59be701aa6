package facts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// LogText cuts the kubelet's time stamp off a line.
func LogText(line string) string {
	line = strings.TrimSpace(line)
	if stamp, rest, ok := strings.Cut(line, " "); ok {
		if _, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
			return strings.TrimSpace(rest)
		}
	}
	return line
}

// Holding says of lines whether they contain a mark.
func Holding(mark string) func(line string) bool {
	return func(line string) bool { return strings.Contains(line, mark) }
}

// LacksPermission says whether a line tells that a service account was refused something.
func LacksPermission(line string) bool {
	r := admission.Parse(line)
	return r.Kind == admission.NotPermitted && strings.HasPrefix(r.Permission.User, "system:serviceaccount:")
}

// LastLine gives the last line of a log that is what is looked for, without its time stamp.
func LastLine(text string, is func(line string) bool) (string, bool) {
	lines := strings.Split(text, "\n")
	for _, line := range slices.Backward(lines) {
		if is(line) {
			return LogText(line), true
		}
	}
	return "", false
}

// ConfigHashFromLog reads the hash that a replica logs when it starts: the metric has none before the first reload.
func (w *Snapshot) ConfigHashFromLog(pod string) string {
	for _, l := range w.Logs {
		if l.Pod != pod || l.Previous {
			continue
		}
		if line, ok := LastLine(l.Text, Holding("SHA512 = ")); ok {
			_, hash, _ := strings.Cut(line, "SHA512 = ")
			return strings.TrimSpace(hash)
		}
	}
	return ""
}

// AnyReached says whether any server is known to answer.
func (w *Snapshot) AnyReached() bool { return slices.ContainsFunc(w.Probes, w.Reached) }

func (w *Snapshot) Reached(p Probe) bool {
	return slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" })
}

// NodeDown says what is wrong with a node, "is not Ready" or "has sent no heartbeat for 75s", and by what that is seen;
// false where the node is unknown or nothing is wrong. The Lease overrules Ready=True, which stays on a node whose kubelet
// stopped until the node controller acts.
func (w *Snapshot) NodeDown(name string) (string, finding.Evidence, bool) {
	i := slices.IndexFunc(w.Nodes, func(n corev1.Node) bool { return n.Name == name })
	if i < 0 {
		return "", finding.Evidence{}, false
	}
	r := nodefact.ReadinessOf(&w.Nodes[i], w.lease(name), w.Now, nodefact.Patience)
	switch {
	case r.Condition == nil, r.State == nodefact.Ready:
		return "", finding.Evidence{}, false
	case r.Condition.Status == corev1.ConditionTrue: // and yet silent
		age, valid := AgeWords(r.Heartbeat.Age.Seconds()), AgeWords(r.Heartbeat.Duration.Seconds())
		return "has sent no heartbeat for " + age, NewEvidence("Lease kube-node-lease/"+name, "spec.renewTime",
			"renewed %s ago, valid for %s; Ready=True of the node may be out of date", age, valid), true
	}
	c := r.Condition
	return "is not Ready", NewEvidence("Node "+name, "Ready", "%s (%s): %s", c.Status, c.Reason, c.Message), true
}

// lease is the heartbeat of a node; nil where it was not read.
func (w *Snapshot) lease(node string) *coordinationv1.Lease {
	i := slices.IndexFunc(w.Leases, func(l coordinationv1.Lease) bool { return l.Name == node })
	if i < 0 {
		return nil
	}
	return &w.Leases[i]
}

// Live are the DNS pods that count as replicas: not those on their way out, nor what an eviction left behind.
func (w *Snapshot) Live() []*corev1.Pod {
	var list []*corev1.Pod
	for i := range w.Pods {
		if p := &w.Pods[i]; p.DeletionTimestamp == nil && !podfact.Finished(p) {
			list = append(list, p)
		}
	}
	return list
}

// Starting says whether a pod is in its first half minute, in which it is not expected to be ready.
func (w *Snapshot) Starting(pod *corev1.Pod) bool {
	return w.Now.Sub(pod.CreationTimestamp.Time).Seconds() < 30
}

func (w *Snapshot) NodeOf(pod string) string {
	for i := range w.Pods {
		if w.Pods[i].Name == pod {
			return w.Pods[i].Spec.NodeName
		}
	}
	return ""
}

// LastFatal finds a mark in the log of a container that has ended for it: its previous run, or the current one while it
// is down. One that has run for twenty seconds since is past it: a loop is seen within a few.
func (w *Snapshot) LastFatal(pod *corev1.Pod, mark string) (string, bool) {
	down := slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		t := s.LastTerminationState.Terminated
		recent := t != nil && t.ExitCode != 0 && (s.State.Running == nil || w.Now.Sub(s.State.Running.StartedAt.Time).Seconds() < 20)
		return s.State.Running == nil || recent
	})
	if !down {
		return "", false
	}
	for _, l := range w.Logs {
		if l.Pod != pod.Name {
			continue
		}
		lines := strings.Split(strings.TrimSpace(l.Text), "\n")
		for i := len(lines) - 1; i >= max(0, len(lines)-12); i-- {
			if strings.Contains(lines[i], mark) {
				return LogText(lines[i]), true
			}
		}
	}
	return "", false
}

// ReadyEndpoints counts the addresses that the Service sends queries to.
func (w *Snapshot) ReadyEndpoints(svc *corev1.Service) int {
	seen := map[string]bool{}
	for _, e := range w.EndpointsOf(svc) {
		if records.Ready(e) {
			for _, a := range e.Addresses {
				seen[a] = true
			}
		}
	}
	return len(seen)
}

// EndpointsOf gives the endpoints of a Service, from all of its EndpointSlices.
func (w *Snapshot) EndpointsOf(svc *corev1.Service) []discoveryv1.Endpoint {
	var list []discoveryv1.Endpoint
	for i := range w.Slices {
		if s := &w.Slices[i]; s.Namespace == svc.Namespace && s.Labels[discoveryv1.LabelServiceName] == svc.Name {
			list = append(list, s.Endpoints...)
		}
	}
	return list
}

func (w *Snapshot) ProbeOf(pod string) *Probe {
	for i := range w.Probes {
		if w.Probes[i].Pod == pod {
			return &w.Probes[i]
		}
	}
	return nil
}

// Ports gives the ports of a pod for DNS and for metrics. A targetPort of the Service counts only where the Corefile or the pod
// confirms it: a wrong one is a fault of the Service, and the server behind it is still queried.
func (w *Snapshot) Ports(pod corev1.Pod) (dns, metrics int32) {
	dns, metrics = 53, 9153
	declared := discover.ContainerPorts(pod.Spec)
	for _, p := range declared {
		if p.Name == "metrics" {
			metrics = p.ContainerPort
		}
	}
	if listening := w.Listening(pod.Spec); len(listening) > 0 && !slices.Contains(listening, dns) {
		dns = listening[0]
	}
	if w.Service == nil {
		return dns, metrics
	}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolTCP} {
		if port, ok := discover.TargetOf(w.Service, protocol, declared); ok && w.ServedAt(pod.Spec, protocol, port) {
			dns = port
		}
	}
	return dns, metrics
}

// ServedAt says whether DNS is served at a port of a pod, as the Corefile has it, or else the pod's own ports.
func (w *Snapshot) ServedAt(spec corev1.PodSpec, protocol corev1.Protocol, port int32) bool {
	listening := w.Listening(spec)
	var declared []corev1.ContainerPort
	for _, c := range spec.Containers {
		if len(listening) == 0 || discover.Provider(corev1.PodSpec{Containers: []corev1.Container{c}}) == "" { // or a cache before the server
			declared = append(declared, c.Ports...)
		}
	}
	return slices.Contains(listening, port) || len(listening) == 0 && len(declared) == 0 || discover.HasPort(declared, protocol, port) &&
		(len(listening) == 0 || discover.HasPort(declared, corev1.ProtocolUDP, port))
}

// Listening gives the ports of the Corefile's server blocks that answer plain DNS, those of the cluster's zone first;
// none where it was not read, or does not load: then the servers run with another one.
func (w *Snapshot) Listening(spec corev1.PodSpec) []int32 {
	if !w.ConfRead || !w.Conf.Valid() || discover.PortFlag(spec) {
		return nil
	}
	var first, further []int32
	for _, b := range w.Conf.Blocks {
		for _, z := range b.Zones {
			n, err := strconv.ParseInt(cmp.Or(z.Port, "53"), 10, 32)
			switch {
			case strings.Contains(z.Name, "{"): // a port out of the environment
				return nil
			case err != nil || z.Scheme != "" && z.Scheme != "dns":
			case len(b.Find("kubernetes")) > 0:
				first = append(first, int32(n))
			default:
				further = append(further, int32(n))
			}
		}
	}
	return append(first, further...)
}
