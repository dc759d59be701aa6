package component

import "testing"

func TestSkewIsThatOfThePolicy(t *testing.T) {
	for name, supported := range map[string]map[int]bool{
		"kube-apiserver":          {-2: false, -1: true, 0: true, 1: true, 2: false},
		"kube-controller-manager": {-1: false, 0: true, 1: true, 2: false},
		"kube-scheduler":          {-1: false, 0: true, 1: true, 2: false},
	} {
		for behind, want := range supported {
			if got, ok := Skew(name, behind); !ok || got != want {
				t.Errorf("%s, %d behind: %t %t, want %t", name, behind, got, ok, want)
			}
		}
	}
	for _, name := range []string{"etcd", "cloud-controller-manager", ""} {
		if _, ok := Skew(name, 0); ok {
			t.Errorf("%q is judged", name)
		}
	}
}
