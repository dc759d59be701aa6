package node

import (
	"maps"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// identityLabel marks the leases in kube-system in which API servers say that they are there, each in one of its own.
// https://kubernetes.io/docs/concepts/architecture/leases/#api-server-identity
const (
	identityLabel = "apiserver.kubernetes.io/identity"
	identityValue = "kube-apiserver"
)

// An API server renews its lease every 10 s. It is said to be silent when four renewals in a row did not come, which is what
// ends a kubelet's, too. The lease itself is valid for an hour and kept as long after its server has gone.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controlplane/apiserver/server.go (IdentityLeaseRenewIntervalPeriod)
const (
	identityInterval = 10 * time.Second
	identitySilent   = renewals * identityInterval
)

// Identity is what the lease of one API server says.
type Identity struct {
	Lease   string // its name
	Host    string // of its machine
	Renewed time.Time
	Age     time.Duration
}

// IdentityOf reads the lease of an API server; ok: it is one that names its host and was renewed.
func IdentityOf(lease *coordinationv1.Lease, now time.Time) (i Identity, ok bool) {
	if lease.Namespace != metav1.NamespaceSystem || lease.Labels[identityLabel] != identityValue {
		return i, false
	}
	i = Identity{Lease: lease.Name, Host: lease.Labels[corev1.LabelHostname], Renewed: Renewal(lease)}
	i.Age = max(0, now.Sub(i.Renewed))
	return i, i.Host != "" && !i.Renewed.IsZero()
}

// IdentityAmong finds the API server of a machine, by the names that the machine has, and the hosts of the others that renew their
// leases. A machine that was set up anew under its old name may have left a lease: the newest counts.
func IdentityAmong(leases []coordinationv1.Lease, names []string, now time.Time) (own *Identity, others []string) {
	for at := range leases {
		switch i, ok := IdentityOf(&leases[at], now); {
		case !ok:
		case slices.Contains(names, i.Host):
			if own == nil || i.Age < own.Age {
				own = &i
			}
		case !i.Late():
			others = append(others, i.Host)
		}
	}
	slices.Sort(others)
	return own, slices.Compact(others)
}

// Current are the API servers that renew their leases, by host: of a host the newest lease.
func Current(leases []coordinationv1.Lease, now time.Time) []Identity {
	newest := map[string]Identity{}
	for at := range leases {
		if i, ok := IdentityOf(&leases[at], now); ok && !i.Late() {
			if known, twice := newest[i.Host]; !twice || i.Age < known.Age {
				newest[i.Host] = i
			}
		}
	}
	return slices.SortedFunc(maps.Values(newest), func(a, b Identity) int { return strings.Compare(a.Host, b.Host) })
}

// Silent says that the API server is gone, cut off, or stores nothing.
func (i *Identity) Silent() bool { return i.Age > identitySilent }

// Late says that two renewals or more did not come.
func (i *Identity) Late() bool { return i.Age > 2*identityInterval+onTheWay }

// SecurePort is where an API server listens, by its arguments.
// https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/ (--secure-port)
func SecurePort(arguments []string) string {
	at := slices.IndexFunc(arguments, func(a string) bool { return strings.HasPrefix(a, "--secure-port=") })
	if at < 0 {
		return "6443"
	}
	return strings.TrimPrefix(arguments[at], "--secure-port=")
}
