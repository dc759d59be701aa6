package netns

import "testing"

// What a node says of its processes is read, whatever names they gave themselves.
func FuzzParse(f *testing.F) {
	f.Add("H net:[1]\nC /proc/7/cgroup:0::/kubepods/pod1/x\nN 7 net:[2]\n")
	f.Add("C /proc//cgroup:a:b:c:d\nN \nX\n")
	f.Fuzz(func(t *testing.T, output string) {
		_, processes := parse(output)
		seen := map[string]bool{}
		for _, p := range processes {
			if seen[p.PID] {
				t.Errorf("%q is there twice", p.PID)
			}
			seen[p.PID] = true
		}
	})
}
