package node

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestAnAPIServerIsSilentAfterFourRenewals(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lease := func(age time.Duration, change func(*coordinationv1.Lease)) *coordinationv1.Lease {
		renewed := metav1.NewMicroTime(now.Add(-age))
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "apiserver-x",
			Labels: map[string]string{"apiserver.kubernetes.io/identity": "kube-apiserver", "kubernetes.io/hostname": "cp2"},
		}}
		l.Spec.RenewTime = &renewed
		if change != nil {
			change(l)
		}
		return l
	}
	for age, want := range map[time.Duration][2]bool{
		9 * time.Second: {false, false}, 22 * time.Second: {false, false}, 23 * time.Second: {true, false},
		40 * time.Second: {true, false}, 41 * time.Second: {true, true},
	} {
		i, ok := IdentityOf(lease(age, nil), now)
		if !ok || i.Host != "cp2" || i.Age != age || i.Late() != want[0] || i.Silent() != want[1] {
			t.Errorf("renewed %s ago: %+v, %t, late %t, silent %t", age, i, ok, i.Late(), i.Silent())
		}
	}
	for name, change := range map[string]func(*coordinationv1.Lease){
		"of another kind of server": func(l *coordinationv1.Lease) { l.Labels["apiserver.kubernetes.io/identity"] = "metrics" },
		"of another namespace":      func(l *coordinationv1.Lease) { l.Namespace = "default" },
		"without a host":            func(l *coordinationv1.Lease) { delete(l.Labels, "kubernetes.io/hostname") },
		"that was never renewed":    func(l *coordinationv1.Lease) { l.Spec.RenewTime = nil },
		"of a component's election": func(l *coordinationv1.Lease) { l.Labels = nil },
	} {
		if i, ok := IdentityOf(lease(time.Second, change), now); ok {
			t.Errorf("a lease %s is taken for an API server's: %+v", name, i)
		}
	}
}

func TestSecurePort(t *testing.T) {
	if got := SecurePort([]string{"kube-apiserver", "--secure-port=8443"}); got != "8443" {
		t.Errorf("got %s", got)
	}
	if got := SecurePort([]string{"kube-apiserver"}); got != "6443" {
		t.Errorf("got %s", got)
	}
}
