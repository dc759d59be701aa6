package host

import (
	"regexp"
	"testing"
)

func TestParseHierarchies(t *testing.T) {
	for name, test := range map[string]struct {
		mounts string
		want   []Hierarchy
	}{
		"version 1 with an unused version 2 tree": {
			mounts: "proc /proc proc rw 0 0\n" +
				"cgroup /sys/fs/cgroup/cpuset cgroup rw,relatime,cpuset 0 0\n" +
				"cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n" +
				"cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n",
			want: []Hierarchy{
				{Path: "/sys/fs/cgroup/cpuset", CPUSet: true},
				{Path: "/sys/fs/cgroup/memory"},
				{Path: "/sys/fs/cgroup/unified", Unified: true},
			},
		},
		"version 2 alone, mounted twice": {
			mounts: "cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
			want:   []Hierarchy{{Path: "/sys/fs/cgroup", Unified: true}},
		},
		"a controller whose name only contains cpuset": {
			mounts: "cgroup /c cgroup rw,cpusetish 0 0\n",
			want:   []Hierarchy{{Path: "/c"}},
		},
		"none": {mounts: "proc /proc proc rw 0 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseHierarchies(test.mounts)
			if len(got) != len(test.want) {
				t.Fatalf("got %+v, want %+v", got, test.want)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("got %+v, want %+v", got[i], test.want[i])
				}
			}
		})
	}
}

func TestCgroupsOfDifferentRootsAreApart(t *testing.T) {
	one, other := Root("/a").Cgroup("dev", "w1"), Root("/b").Cgroup("dev", "w1")
	form := regexp.MustCompile(`^/kubectl-runbooks/[0-9a-f]{8}/dev/w1$`)
	if one == other || !form.MatchString(one) || !form.MatchString(other) {
		t.Errorf("got %q and %q", one, other)
	}
	if again := Root("/a").Cgroup("dev", "w1"); again != one {
		t.Errorf("got %q and %q for one group", one, again)
	}
}
