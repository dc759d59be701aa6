package joining

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// share is how many of the other nodes of the kind have something.
type share struct{ have, of int }

// most says whether more than half have it.
func (s share) most() bool { return s.have*2 > s.of }

func (m *Machine) share(has func(*corev1.Node) bool) share {
	s := share{of: len(m.peers)}
	for _, p := range m.peers {
		if has(p) {
			s.have++
		}
	}
	return s
}

func (m *Machine) providers() share {
	return m.share(func(n *corev1.Node) bool { return n.Spec.ProviderID != "" })
}

func (m *Machine) cidrs() share {
	return m.share(func(n *corev1.Node) bool { return n.Spec.PodCIDR != "" || len(n.Spec.PodCIDRs) > 0 })
}

// lacksDrivers are the CSI drivers that most other nodes have and this one has not, sorted.
func (m *Machine) lacksDrivers() []string {
	own := map[string]bool{}
	for _, d := range m.Storage.Drivers {
		own[d.Name] = true
	}
	have := map[string]int{}
	peers := map[string]bool{}
	for _, p := range m.peers {
		peers[p.Name] = true
	}
	for i := range m.book.in.CSINodes {
		c := &m.book.in.CSINodes[i]
		if !peers[c.Name] {
			continue
		}
		for _, d := range c.Spec.Drivers {
			have[d.Name]++
		}
	}
	var lacks []string
	for name, n := range have {
		if (share{n, len(m.peers)}).most() && !own[name] {
			lacks = append(lacks, name)
		}
	}
	slices.Sort(lacks)
	return lacks
}

// compared begins or is the key of labels that say what a node is and where: the scheduler, volumes and load balancers go by them.
// https://kubernetes.io/docs/reference/labels-annotations-taints/
var compared = []string{
	corev1.LabelTopologyRegion, corev1.LabelTopologyZone, corev1.LabelInstanceTypeStable, corev1.LabelOSStable, corev1.LabelArchStable,
	corev1.LabelHostname, "node-role.kubernetes.io/", "topology.",
}

// unsaid ends the domains whose labels are not compared beyond that: their programs set and remove them.
var unsaid = []string{"kubernetes.io", "k8s.io"}

type lackedLabel struct {
	key string
	share
}

// lacksLabels are the labels that most other nodes of the kind have and this one has not: those above, and the cluster's own that
// each of at least two others has.
func (m *Machine) lacksLabels() []lackedLabel {
	have := map[string]int{}
	for _, p := range m.peers {
		for key := range p.Labels {
			have[key]++
		}
	}
	var lacks []lackedLabel
	for key, n := range have {
		s := share{n, len(m.peers)}
		if _, has := m.Object.Labels[key]; has || !s.most() || !known(key) && (!ours(key) || s.of < 2 || s.have < s.of) {
			continue
		}
		lacks = append(lacks, lackedLabel{key, s})
	}
	sorting.Func(lacks, func(a, b lackedLabel) int {
		return cmp.Or(cmp.Compare(rank(a.key), rank(b.key)), cmp.Compare(a.key, b.key))
	})
	return lacks
}

func known(key string) bool { return rank(key) < len(compared) }

func rank(key string) int {
	at := slices.IndexFunc(compared, func(c string) bool {
		return c == key || (strings.HasSuffix(c, "/") || strings.HasSuffix(c, ".")) && strings.HasPrefix(key, c)
	})
	if at < 0 {
		return len(compared)
	}
	return at
}

// ours says whether a label is of no domain of Kubernetes: somebody of the cluster or its cloud sets it.
func ours(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	return !ok || !slices.ContainsFunc(unsaid, func(u string) bool { return domain == u || strings.HasSuffix(domain, "."+u) })
}
