// Package joining says how far a machine has come on its way to a node that pods can use: the steps of the runbook in their order,
// each done, in progress or missing. What is wrong with a node is judged by its own rules; here it becomes a step. A step that could
// not be read is unknown, with the reason.
package joining

import (
	"cmp"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Young is the age below which a node that lacks a step is told without being named.
const Young = time.Hour

// Runbook is what is true of all machines that are asked about.
type Runbook struct {
	Kubectl  finding.Kubectl
	Machines []*Machine

	in  *facts.Input
	now time.Time
}

// Machine is a machine that becomes a node, or is one. Without a Node, its Object has a name alone.
type Machine struct {
	*subject.Case

	Registered bool
	Seen       bool // there is a Node, something is left of one, or a request for a client certificate

	book         *Runbook
	gone         *facts.Gone          // of a machine without a Node; nil: nothing is left of one, and no request waits
	client       *certificate.Request // the newest for a client certificate, whatever became of it; nil: there is none, or it was not read
	serving      *certificate.Request // the same for a serving certificate
	peers        []*corev1.Node       // of the same kind, without this one
	roots        []finding.Finding
	consequences []finding.Consequence
}

// Candidates are the nodes that may not have joined yet: not Ready, with a taint of those that bring nodes in, or young.
func Candidates(in *facts.Input, now time.Time) []string {
	var names []string
	leases := map[string]*coordinationv1.Lease{}
	for i := range in.Leases {
		leases[in.Leases[i].Name] = &in.Leases[i]
	}
	for i := range in.Nodes {
		n := &in.Nodes[i]
		is := nodefact.ReadinessOf(n, leases[n.Name], now, nodefact.Patience)
		startup := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return startupTaint(t.Key) })
		if is.State != nodefact.Ready || startup || now.Sub(n.CreationTimestamp.Time) < Young {
			names = append(names, n.Name)
		}
	}
	for _, r := range facts.Of(in, now, nodefact.Patience, nil).Joining() {
		names = append(names, r.Node)
	}
	return names
}

// Of gathers the machines: the targets, or all that may not have joined yet.
func Of(in *facts.Input, now time.Time, kubectl finding.Kubectl) *Runbook {
	b := &Runbook{Kubectl: kubectl, in: in, now: now}
	names := slices.Concat(in.Targets, in.NotFound)
	if len(names) == 0 {
		names = Candidates(in, now)
	}
	cluster := facts.Of(in, now, nodefact.Patience, nil)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		b.Machines = append(b.Machines, b.machine(cluster, name))
	}
	return b
}

func (b *Runbook) machine(cluster *facts.Cluster, name string) *Machine {
	m := &Machine{book: b, client: b.request(name, certificate.Client), serving: b.request(name, certificate.Serving)}
	if at := slices.IndexFunc(b.in.Nodes, func(n corev1.Node) bool { return n.Name == name }); at >= 0 {
		m.Case = &subject.Case{Node: cluster.Node(&b.in.Nodes[at]), Kubectl: b.Kubectl}
		m.Registered, m.Seen = true, true
		m.peers = b.peersOf(m.Object)
	} else {
		object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		limits := cluster.Node(object).Limits
		m.Case = &subject.Case{Kubectl: b.Kubectl, Node: &facts.Node{
			Now: b.now, Object: object, Limits: limits, Sources: slices.Concat(b.in.NodeSources[name], b.in.Sources),
		}}
		m.gone = cluster.Gone(name)
		m.Seen = m.gone != nil || m.client != nil
	}
	m.judge()
	return m
}

// request is the newest of a machine for a use, whatever became of it.
func (b *Runbook) request(name string, use certificate.Use) (newest *certificate.Request) {
	for i := range b.in.Requests {
		r, ok := certificate.RequestOf(&b.in.Requests[i])
		if !ok || r.Node != name || r.Use != use {
			continue
		}
		if newest == nil || newest.Made.Before(r.Made) || newest.Made.Equal(r.Made) && r.Name < newest.Name {
			newest = &r
		}
	}
	return newest
}

// judge collects what the rules of nodes found that bears on a step, and adds what only nodes that join can lack.
func (m *Machine) judge() {
	var list []finding.Finding
	if m.Registered {
		but := []finding.Code{machine.NodeJoining} // this report says what it waits for
		if m.young() {
			but = append(but, machine.NetworkUnavailable) // raised on each node until its routes are there
		}
		roots, consequences := rules.CheckBut(m.Case, but...)
		for _, f := range roots {
			if m.borrows(&f) {
				list = append(list, m.rewritten(f))
			}
		}
		for _, c := range consequences {
			if slices.Contains(borrowed, c.Code) {
				m.consequences = append(m.consequences, c)
			}
		}
	} else if m.gone != nil {
		for _, f := range rules.Gone(m.gone, m.Kubectl) {
			r := m.gone.Request
			if r == nil || f.Code != machine.KubeletCertificateNotIssued ||
				certificate.Unanswered(r, m.Now, m.Limits.CertificateRequestWait) {
				f.Causes = []finding.Code{}
				list = append(list, f)
			}
		}
	}
	m.roots = list
	roots, more := book.Settle(append(list, book.Check(m)...))
	m.roots = roots
	explained := map[finding.Code]finding.Code{}
	for _, c := range more {
		explained[c.Code] = c.CausedBy
	}
	for i := range m.consequences {
		if by, ok := explained[m.consequences[i].CausedBy]; ok {
			m.consequences[i].CausedBy = by
		}
	}
	m.consequences = append(m.consequences, more...)
}

// found is the worst that was found under one of these codes.
func (m *Machine) found(codes ...finding.Code) (f finding.Finding, ok bool) {
	for _, r := range m.roots {
		if slices.Contains(codes, r.Code) {
			return r, true
		}
	}
	for _, c := range m.consequences {
		if slices.Contains(codes, c.Code) {
			return finding.Finding{Code: c.Code, Severity: severityOf(c.Code), Message: c.Message, Object: c.Object}, true
		}
	}
	return finding.Finding{}, false
}

// peersOf are the other nodes of the same kind: the same operating system, and with or without the control plane.
func (b *Runbook) peersOf(n *corev1.Node) []*corev1.Node {
	var list []*corev1.Node
	for i := range b.in.Nodes {
		o := &b.in.Nodes[i]
		alike := system(o) == system(n) && nodefact.ControlPlane(o) == nodefact.ControlPlane(n)
		if o.Name != n.Name && alike && o.DeletionTimestamp == nil && nodefact.PostedReady(o) {
			list = append(list, o)
		}
	}
	return list
}

func system(n *corev1.Node) string {
	return cmp.Or(n.Status.NodeInfo.OperatingSystem, n.Labels[corev1.LabelOSStable], "linux")
}
