package trace

import "testing"

func TestWhatCanBeOfThisProgramsMaking(t *testing.T) {
	for item, want := range map[string]bool{
		"krb0": true, "kr0-w1@if2": true, "krt1": true, "eth0": false, "krypton0": false, "docker0": false,
		"10.112.1.0/24 via 10.64.0.12 dev krb0": true, "10.10.0.0/16 dev eth0": false, "fd6b:7262:0:1::/64 dev krb0": true,
		"tmpfs /root/.cache/kubectl-runbooks/clusters/dev/nodes/w1 tmpfs": true, "tmpfs /run tmpfs": false,
		"/sys/fs/cgroup/memory/kubectl-runbooks/dev/w1": true,
	} {
		if got := Ours(item); got != want {
			t.Errorf("%q: %t", item, got)
		}
	}
}
