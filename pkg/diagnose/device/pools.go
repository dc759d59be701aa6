package device

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
)

// Pool is a pool of devices that a driver publishes and pods of the node can use, or one of which pods have devices though nothing
// is published of it.
type Pool struct {
	Driver, Name string
	Shared       bool // a slice of it is for all nodes, or for some, not for the one
	everywhere   bool
	Generation   int64 // the newest
	Slices       int64 // that were seen of it
	Expected     int64 // that there are of it
	Stale        int64 // that are of an older generation, and not in use any more
	Devices      int64 // published
	Tainted      int64 // of these, with an effect
	DriverGone   bool  // nothing is published by the driver, in no pool
	Held         []Held
}

// Incomplete says whether slices were not seen: of an incomplete pool the scheduler allocates nothing.
func (p *Pool) Incomplete() bool { return p.Slices > 0 && p.Slices < p.Expected }

// Held is a device that a claim has which pods of the node use.
type Held struct {
	Result

	Claim     ObjectMeta
	Pods      []*corev1.Pod // of the node, by name
	Published bool
	Taints    []Taint       // with an effect
	Status    *DeviceStatus // nil: the driver says nothing of it
}

// Evicting are the taints that end pods which use the device, and that the claim does not tolerate. A toleration for some time is one.
func (h *Held) Evicting() []Taint {
	return slices.DeleteFunc(slices.Clone(h.Taints), func(t Taint) bool {
		return t.Effect != NoExecute || slices.ContainsFunc(h.Tolerations, func(o Toleration) bool { return o.Tolerates(t) })
	})
}

// Wait is what a pod lacks of a claim that it needs.
type Wait int

// What a pod can lack.
const (
	Ready        Wait = iota
	NotCreated        // there is no claim yet of the template
	Missing           // the claim does not exist
	NotAllocated      // it has no devices
	NotReserved       // it is reserved, but not for the pod
)

// Need is a claim that a pod of the node needs, and what it lacks of it.
type Need struct {
	Pod   *corev1.Pod
	Entry string // of spec.resourceClaims
	Claim string // empty: not known
	Lacks Wait
}

// SlicesOf are the ResourceSlices that may be about devices of a node: of the node, or of no one node.
func SlicesOf(node string, all []Slice) []Slice {
	return slices.DeleteFunc(slices.Clone(all), func(s Slice) bool { return s.Spec.NodeName != "" && s.Spec.NodeName != node })
}

// Claims says whether a pod uses ResourceClaims.
func Claims(p *corev1.Pod) bool {
	return len(p.Spec.ResourceClaims) > 0 || p.Status.ExtendedResourceClaimStatus != nil
}

// Required are the claims of a pod, by the name of the object; NotCreated is one of which there is none yet. A claim that turned out not
// to be needed is none, as for Name of
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/staging/src/k8s.io/dynamic-resource-allocation/resourceclaim/resourceclaim.go
func Required(p *corev1.Pod) []Need {
	var list []Need
	for _, c := range p.Spec.ResourceClaims {
		if c.ResourceClaimName != nil {
			list = append(list, Need{Pod: p, Entry: c.Name, Claim: *c.ResourceClaimName})
			continue
		}
		if c.ResourceClaimTemplateName == nil {
			continue // it comes by a way that is not known here
		}
		at := slices.IndexFunc(p.Status.ResourceClaimStatuses, func(s corev1.PodResourceClaimStatus) bool { return s.Name == c.Name })
		switch {
		case at < 0:
			list = append(list, Need{Pod: p, Entry: c.Name, Lacks: NotCreated})
		case p.Status.ResourceClaimStatuses[at].ResourceClaimName != nil:
			list = append(list, Need{Pod: p, Entry: c.Name, Claim: *p.Status.ResourceClaimStatuses[at].ResourceClaimName})
		}
	}
	if s := p.Status.ExtendedResourceClaimStatus; s != nil && s.ResourceClaimName != "" {
		list = append(list, Need{Pod: p, Entry: "extended resources", Claim: s.ResourceClaimName})
	}
	return list
}

// Needs are the claims that pods need, by pod and entry. claims are those of their namespaces.
func Needs(pods []*corev1.Pod, claims []Claim) []Need {
	known := byName(claims)
	var list []Need
	for _, p := range pods {
		for _, n := range Required(p) {
			if n.Lacks == Ready {
				n.Lacks = lacks(p, known[types.NamespacedName{Namespace: p.Namespace, Name: n.Claim}])
			}
			list = append(list, n)
		}
	}
	sorting.Func(list, func(a, b Need) int {
		return cmp.Or(cmp.Compare(a.Pod.Namespace, b.Pod.Namespace), cmp.Compare(a.Pod.Name, b.Pod.Name), cmp.Compare(a.Entry, b.Entry))
	})
	return list
}

// lacks goes by who may use a claim: the kubelet starts no pod for which its claim is not reserved. A reservation for something else
// than a pod may be for a group that the pod is of.
// https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/cm/dra/manager.go (prepareResources)
func lacks(p *corev1.Pod, c *Claim) Wait {
	switch {
	case c == nil:
		return Missing
	case c.Status.Allocation == nil:
		return NotAllocated
	case slices.ContainsFunc(c.Status.ReservedFor, func(r Consumer) bool { return r.UID == p.UID || r.Resource != "pods" }):
		return Ready
	}
	return NotReserved
}

func byName(claims []Claim) map[types.NamespacedName]*Claim {
	known := map[types.NamespacedName]*Claim{}
	for i := range claims {
		known[types.NamespacedName{Namespace: claims[i].Metadata.Namespace, Name: claims[i].Metadata.Name}] = &claims[i]
	}
	return known
}

type poolKey struct{ driver, name string }

// Pools are those of the slices, and those of which the pods have devices, by driver and name. slices are those of the node, and
// those that are not of one node.
func Pools(list []Slice, pods []*corev1.Pod, claims []Claim) []Pool {
	pools, devices := published(list)
	drivers := map[string]bool{}
	for key := range pools {
		drivers[key.driver] = true
	}
	for _, h := range held(pods, claims) {
		key := poolKey{h.Driver, h.Pool}
		if pools[key] == nil {
			pools[key] = &Pool{Driver: h.Driver, Name: h.Pool, DriverGone: !drivers[h.Driver]}
		}
		var d Published
		d, h.Published = devices[key][h.Device]
		h.Taints = d.effective()
		pools[key].Held = append(pools[key].Held, h)
	}
	var out []Pool
	for _, p := range pools {
		if p.Shared && !p.everywhere && len(p.Held) == 0 {
			continue // it may be for other nodes
		}
		sorting.Func(p.Held, func(a, b Held) int {
			return cmp.Or(cmp.Compare(a.Device, b.Device), cmp.Compare(a.Claim.Namespace, b.Claim.Namespace),
				cmp.Compare(a.Claim.Name, b.Claim.Name), cmp.Compare(a.Request, b.Request))
		})
		out = append(out, *p)
	}
	sorting.Func(out, func(a, b Pool) int { return cmp.Or(cmp.Compare(a.Driver, b.Driver), cmp.Compare(a.Name, b.Name)) })
	return out
}

// published gives the pools by the slices of their newest generations, and their devices.
func published(list []Slice) (map[poolKey]*Pool, map[poolKey]map[string]Published) {
	pools, devices := map[poolKey]*Pool{}, map[poolKey]map[string]Published{}
	for i := range list {
		s := &list[i].Spec
		key := poolKey{s.Driver, s.Pool.Name}
		p := pools[key]
		if p == nil {
			p = &Pool{Driver: s.Driver, Name: s.Pool.Name, Generation: s.Pool.Generation}
			pools[key], devices[key] = p, map[string]Published{}
		}
		p.Generation = max(p.Generation, s.Pool.Generation)
	}
	for i := range list {
		s := &list[i].Spec
		key := poolKey{s.Driver, s.Pool.Name}
		p := pools[key]
		p.Shared, p.everywhere = p.Shared || s.NodeName == "", p.everywhere || s.AllNodes
		if s.Pool.Generation < p.Generation {
			p.Stale++
			continue
		}
		p.Slices++
		p.Expected = max(p.Expected, s.Pool.Count)
		for _, d := range s.Devices {
			p.Devices++
			devices[key][d.Name] = d
			if len(d.effective()) > 0 {
				p.Tainted++
			}
		}
	}
	return pools, devices
}

// effective are the taints that have an effect, by key.
func (d Published) effective() []Taint {
	list := slices.Clone(d.Taints)
	if d.Basic != nil {
		list = append(list, d.Basic.Taints...)
	}
	list = slices.DeleteFunc(list, func(t Taint) bool { return t.Effect != NoSchedule && t.Effect != NoExecute })
	sorting.Func(list, func(a, b Taint) int { return cmp.Compare(a.String(), b.String()) })
	return list
}

// held are the devices of the claims that the pods use.
func held(pods []*corev1.Pod, claims []Claim) []Held {
	users := map[*Claim][]*corev1.Pod{}
	known := byName(claims)
	for _, p := range pods {
		for _, n := range Required(p) {
			c := known[types.NamespacedName{Namespace: p.Namespace, Name: n.Claim}]
			if c != nil && lacks(p, c) == Ready && !slices.Contains(users[c], p) {
				users[c] = append(users[c], p)
			}
		}
	}
	var list []Held
	for c, pods := range users {
		sorting.Func(pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
		for _, r := range c.Status.Allocation.Devices.Results {
			h := Held{Result: r, Claim: c.Metadata, Pods: pods}
			for i := range c.Status.Devices {
				if s := &c.Status.Devices[i]; s.Driver == r.Driver && s.Pool == r.Pool && s.Device == r.Device {
					h.Status = s
				}
			}
			list = append(list, h)
		}
	}
	return list
}
