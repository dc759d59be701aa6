// Package resolver computes the resolv.conf that a kubelet writes for a pod, and what each C library makes of it. It is
// pure; a test holds the walks against real glibc, musl and Go.
package resolver

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Conf is a resolv.conf.
type Conf struct {
	Nameservers []string
	Searches    []string
	Options     []string
}

// Parse reads a resolv.conf as the C libraries do: the last search or domain line counts, comments begin with # or ;.
func Parse(text string) Conf {
	var c Conf
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "#") || strings.HasPrefix(words[0], ";") {
			continue
		}
		switch words[0] {
		case "nameserver":
			c.Nameservers = append(c.Nameservers, words[1])
		case "search":
			c.Searches = slices.Clone(words[1:])
		case "domain":
			c.Searches = []string{words[1]}
		case "options":
			c.Options = append(c.Options, words[1:]...)
		}
	}
	return c
}

// Asked gives the nameservers that the C libraries query: the first three.
func (c Conf) Asked() []string { return c.Nameservers[:min(MaxNameservers, len(c.Nameservers))] }

// HostsFile gives the addresses that an /etc/hosts has for a name, in the order of its lines.
func HostsFile(text, name string) []string {
	var list []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || slices.Contains(list, words[0]) {
			continue
		}
		if slices.ContainsFunc(words[1:], func(word string) bool { return strings.EqualFold(word, name) }) {
			list = append(list, words[0])
		}
	}
	return list
}

// HostsNames gives the names that an /etc/hosts has, but for those that every file has.
func HostsNames(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || strings.HasPrefix(words[0], "127.") || strings.Contains(words[0], "::") {
			continue
		}
		for _, name := range words[1:] {
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// Ndots is the number of dots from which a name is tried as it is first; 1 unless an option says otherwise, and 15 at
// most (https://man7.org/linux/man-pages/man5/resolv.conf.5.html).
func (c Conf) Ndots() int {
	n := 1
	for _, o := range c.Options {
		if value, ok := strings.CutPrefix(o, "ndots:"); ok {
			if parsed, err := strconv.Atoi(value); err == nil && parsed >= 0 {
				n = min(parsed, 15)
			}
		}
	}
	return n
}

// SearchLine is the line as it stands in the file.
func (c Conf) SearchLine() string { return "search " + strings.Join(c.Searches, " ") }

// Value is one value of a computed file and where it comes from.
type Value struct{ Value, From string }

// Computed is what the kubelet must have written. What comes from the node's own resolv.conf is not known to the API:
// Host says that such values follow (searches) or are all there is (nameservers).
type Computed struct {
	Conf
	Policy       corev1.DNSPolicy // in effect
	HostServers  bool
	AnyServers   bool // the nameservers of the kubelet, which is not known
	HostSearches bool
	Values       []Value
	Dropped      []string // beyond the limits
}

// The limits that kubelets apply (https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/validation.go,
// MaxDNSNameservers, MaxDNSSearchPaths, MaxDNSSearchListChars).
const (
	MaxNameservers = 3
	MaxSearches    = 32
	MaxSearchChars = 2048
	// musl reads the search line into a buffer of this size and drops a longer one whole
	// (https://git.musl-libc.org/cgit/musl/tree/src/network/resolvconf.c).
	MuslSearchLine = 256
)

// Kubelet is what the node's kubelet is told.
type Kubelet struct {
	ClusterDNS []string
	Domain     string
	From       string // where this is known from
	Node       bool   // its own configuration was read
	Unknown    bool   // neither it nor the DNS Service could be asked: no ClusterDNS is then no knowledge
}

// EffectivePolicy is the policy that the kubelet follows: on the host's network ClusterFirst means Default
// (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy).
func EffectivePolicy(spec corev1.PodSpec, k Kubelet) corev1.DNSPolicy {
	policy := spec.DNSPolicy
	if policy == "" {
		policy = corev1.DNSClusterFirst
	}
	switch {
	case policy == corev1.DNSClusterFirst && spec.HostNetwork:
		return corev1.DNSDefault
	case policy == corev1.DNSClusterFirstWithHostNet:
		policy = corev1.DNSClusterFirst
	}
	if policy == corev1.DNSClusterFirst && len(k.ClusterDNS) == 0 && !k.Unknown {
		return corev1.DNSDefault
	}
	return policy
}

// Compute follows the kubelet (https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/network/dns/dns.go).
func Compute(namespace string, spec corev1.PodSpec, k Kubelet) Computed {
	c := Computed{Policy: EffectivePolicy(spec, k)}
	add := func(value, from string) { c.Values = append(c.Values, Value{value, from}) }
	switch c.Policy {
	case corev1.DNSClusterFirst:
		c.AnyServers = k.Unknown
		for _, ip := range k.ClusterDNS {
			c.Nameservers = append(c.Nameservers, ip)
			add("nameserver "+ip, "clusterDNS of "+k.From)
		}
		domain := strings.Trim(k.Domain, ".")
		if domain != "" {
			for _, s := range []string{namespace + ".svc." + domain, "svc." + domain, domain} {
				c.Searches = append(c.Searches, s)
				add("search "+s, "namespace and clusterDomain of "+k.From)
			}
		}
		c.HostSearches = true
		c.Options = []string{"ndots:5"}
		add("options ndots:5", "dnsPolicy ClusterFirst")
	case corev1.DNSDefault:
		c.HostServers, c.HostSearches = true, true
	}
	if d := spec.DNSConfig; d != nil {
		c.merge(d, add)
	}
	c.limit()
	return c
}

func (c *Computed) merge(d *corev1.PodDNSConfig, add func(string, string)) {
	for _, ip := range d.Nameservers {
		if !slices.Contains(c.Nameservers, ip) {
			c.Nameservers = append(c.Nameservers, ip)
			add("nameserver "+ip, "dnsConfig of the pod")
		}
	}
	for _, s := range d.Searches {
		if !slices.Contains(c.Searches, s) {
			c.Searches = append(c.Searches, s)
			add("search "+s, "dnsConfig of the pod")
		}
	}
	for _, o := range d.Options {
		option := o.Name
		if o.Value != nil {
			option += ":" + *o.Value
		}
		c.Options = slices.DeleteFunc(c.Options, func(have string) bool {
			name, _, _ := strings.Cut(have, ":")
			return name == o.Name
		})
		c.Options = append(c.Options, option)
		add("options "+option, "dnsConfig of the pod")
	}
}

func (c *Computed) limit() {
	if len(c.Nameservers) > MaxNameservers {
		for _, ip := range c.Nameservers[MaxNameservers:] {
			c.Dropped = append(c.Dropped, "nameserver "+ip)
		}
		c.Nameservers = c.Nameservers[:MaxNameservers]
	}
	for len(c.Searches) > MaxSearches || len(strings.Join(c.Searches, " ")) > MaxSearchChars {
		last := len(c.Searches) - 1
		c.Dropped = append(c.Dropped, "search "+c.Searches[last])
		c.Searches = c.Searches[:last]
	}
}

// Differences says in words how a real file departs from the computed one. Values of the node's own file may be added
// to it, and only in their place.
func (c Computed) Differences(actual Conf) []string {
	var list []string
	if !c.HostServers && !c.AnyServers && !slices.Equal(actual.Nameservers, c.Nameservers) {
		list = append(list, "nameservers are "+words(actual.Nameservers)+"; by the current settings "+words(c.Nameservers))
	}
	missing := func(what string, want, have []string) {
		for _, v := range want {
			if !slices.Contains(have, v) {
				list = append(list, what+" "+v+" is missing from the file")
			}
		}
	}
	missing("search", c.Searches, actual.Searches)
	missing("option", c.Options, actual.Options)
	return list
}

func words(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
