// Package paths says who must reach whom in a cluster and whether that works: control plane, kubelets, node agents, webhooks and
// aggregated APIs. What is true of a node is judged by its own rules; here it becomes a path, and gets one cause where several
// break together. What was not measured is unknown, with the reason.
package paths

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
)

// Map is what is true of the paths of a cluster, built once.
type Map struct {
	Kubectl finding.Kubectl
	Nodes   []*Node // all, by name

	in       *facts.Input
	now      time.Time
	shown    []*Node // those that the report is about
	services []*Service
	failures []failure
}

// Node is a node, and what its own rules found that bears on a path.
type Node struct {
	*subject.Case

	roots        []finding.Finding
	consequences []finding.Consequence
}

// Service is what stands behind webhooks and aggregated APIs that call the same port, or behind one webhook that is called by a URL.
type Service struct {
	backend.Backend

	Webhooks []*backend.Webhook
	API      []*backend.API
	Unread   string // why it is not known what stands there; empty: it is
}

// MapOf builds the map.
func MapOf(in *facts.Input, now time.Time, kubectl finding.Kubectl) *Map {
	m := &Map{Kubectl: kubectl, in: in, now: now, failures: failuresOf(in)}
	cluster := facts.Of(in, now, nodefact.Patience, nil)
	for i := range in.Nodes {
		n := &Node{Case: &subject.Case{Node: cluster.Node(&in.Nodes[i]), Kubectl: kubectl}}
		roots, consequences := rules.Check(n.Case)
		causes := map[finding.Code]bool{}
		for _, c := range consequences {
			if slices.Contains(borrowed, c.Code) {
				n.consequences, causes[c.CausedBy] = append(n.consequences, c), true
			}
		}
		for _, f := range roots {
			if onPath(&f) || causes[f.Code] {
				n.roots = append(n.roots, f)
			}
		}
		m.Nodes = append(m.Nodes, n)
	}
	sorting.Func(m.Nodes, func(a, b *Node) int { return cmp.Compare(a.Object.Name, b.Object.Name) })
	for _, n := range m.Nodes {
		if len(in.Targets) == 0 || slices.Contains(in.Targets, n.Object.Name) {
			m.shown = append(m.shown, n)
		}
	}
	m.backends()
	return m
}

func (m *Map) read(name string) bool { return m.in.Sources.Get(name).Readable() }

// why is the reason for which a source could not be read.
func (m *Map) why(name string) string { return m.in.Sources.Get(name).Reason() }

func (m *Map) node(name string) *Node {
	at := slices.IndexFunc(m.Nodes, func(n *Node) bool { return n.Object.Name == name })
	if at < 0 {
		return nil
	}
	return m.Nodes[at]
}

// backends looks at each port of a Service that is called, once.
func (m *Map) backends() {
	at := map[backend.Ref]*Service{}
	get := func(ref backend.Ref) *Service {
		s := at[ref]
		if s == nil {
			s = &Service{Backend: backend.Of(ref, m.in.Services, m.in.Endpoints)}
			for _, kind := range []string{facts.SourceServices, facts.SourceEndpoints} {
				if name := kind + " in " + ref.Namespace; !m.read(name) {
					s.Unread = cmp.Or(s.Unread, m.why(name))
				}
			}
			at[ref] = s
			m.services = append(m.services, s)
		}
		return s
	}
	for i := range m.in.Webhooks {
		w := &m.in.Webhooks[i]
		if w.Service == nil {
			m.services = append(m.services, &Service{Unread: "it is called by a URL, not by a Service", Webhooks: []*backend.Webhook{w}})
			continue
		}
		s := get(*w.Service)
		s.Webhooks = append(s.Webhooks, w)
	}
	for i := range m.in.APIs {
		s := get(m.in.APIs[i].Service)
		s.API = append(s.API, &m.in.APIs[i])
	}
	for _, s := range m.services {
		sorting.Func(s.Webhooks, func(a, b *backend.Webhook) int {
			return cmp.Or(cmp.Compare(a.Configuration, b.Configuration), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Index, b.Index))
		})
		sorting.Func(s.API, func(a, b *backend.API) int { return cmp.Compare(a.Name, b.Name) })
	}
	sorting.Func(m.services, func(a, b *Service) int {
		if order := a.Compare(b.Ref); order != 0 || a.Name != "" {
			return order
		}
		x, y := a.Webhooks[0], b.Webhooks[0]
		return cmp.Or(cmp.Compare(x.Configuration, y.Configuration), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Index, y.Index))
	})
}

// found is the worst that was found of a node under one of these codes; nil: nothing.
func (n *Node) found(codes ...finding.Code) (code finding.Code, severity finding.Severity, message string) {
	var list []finding.Finding
	for _, f := range n.roots {
		if slices.Contains(codes, f.Code) {
			list = append(list, f)
		}
	}
	for _, c := range n.consequences {
		if slices.Contains(codes, c.Code) {
			list = append(list, finding.Finding{Code: c.Code, Severity: rules.SeverityOf(c.Code), Message: c.Message})
		}
	}
	if finding.Sort(list); len(list) == 0 {
		return "", "", ""
	}
	return list[0].Code, list[0].Severity, list[0].Message
}

// stopped are the codes that say why pods of the node do not work: nothing runs there, or nothing of it is heard.
func (n *Node) stopped() []finding.Code {
	var codes []finding.Code
	for _, f := range n.roots {
		if slices.Contains(stopping, f.Code) {
			codes = append(codes, f.Code)
		}
	}
	return codes
}

// causes are what explains that pods on these nodes do not work, if it explains all of them; empty: nothing does.
func (m *Map) causes(nodes []string) []finding.Code {
	codes := []finding.Code{}
	for _, name := range nodes {
		n := m.node(name)
		if n == nil {
			return []finding.Code{}
		}
		stopped := n.stopped()
		if len(stopped) == 0 {
			return []finding.Code{}
		}
		codes = append(codes, stopped...)
	}
	return codes
}

// pods are the pods of kube-system with a label, by name, without those that have ended.
func (m *Map) pods(key, value string) []*corev1.Pod {
	var list []*corev1.Pod
	for i := range m.in.Pods {
		p := &m.in.Pods[i]
		if p.Namespace == "kube-system" && p.Labels[key] == value && p.DeletionTimestamp == nil &&
			p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			list = append(list, p)
		}
	}
	sorting.Func(list, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// named lists at most three names and counts the others.
func named(names []string) string {
	const most = 3
	if len(names) > most+1 {
		return strings.Join(names[:most], ", ") + " and " + count(len(names)-most) + " more"
	}
	return strings.Join(names, ", ")
}
