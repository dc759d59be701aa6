package node

import (
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A component of the control plane holds its lease for 15 s by default and renews it every 2 s; the next leader looks every
// 2 to 4.4 s (retry period, jitter factor 1.2) and has to start. Nobody is said to lead 10 s after the lease has run out.
// https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
const (
	leaderDuration = 15 * time.Second
	leaderGrace    = 10 * time.Second
)

// Leader is what the lease of a component in kube-system says.
type Leader struct {
	Holder  string    // empty: given back by a component that was stopped in order
	Renewed time.Time // by the server's clock where the object tells it; zero: never
	Age     time.Duration
	Expired bool // nobody leads: what the component does is not done
}

// LeaderOf judges the lease of a component by the server's clock.
func LeaderOf(lease *coordinationv1.Lease, now time.Time) Leader {
	var l Leader
	if h := lease.Spec.HolderIdentity; h != nil {
		l.Holder = *h
	}
	if l.Renewed = Renewal(lease); l.Renewed.IsZero() {
		return l
	}
	l.Age = max(0, now.Sub(l.Renewed))
	l.Expired = l.Age > duration(lease, leaderDuration)+leaderGrace
	return l
}

// LeaseOfComponent says whether a lease is the leader's of that component: others may have the same name elsewhere.
func LeaseOfComponent(lease *coordinationv1.Lease, component string) bool {
	return lease.Namespace == metav1.NamespaceSystem && lease.Name == component
}

// ElectsNone says whether a component was told not to elect a leader: it works without a lease, and one that is there is of
// another time.
// https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/ (--leader-elect)
func ElectsNone(arguments []string) bool {
	return slices.Contains(arguments, "--leader-elect=false")
}
