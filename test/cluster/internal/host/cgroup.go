package host

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupTop is this program's directory at the top of every hierarchy. The
// caller's own group may be a deep one that is taken away with it, so
// the clusters do not live below that.
const cgroupTop = "kubectl-runbooks"

// Hierarchy is one mounted control group tree.
type Hierarchy struct {
	Path    string
	Unified bool // version 2
	CPUSet  bool
}

// Hierarchies lists the trees of the machine: one for each controller under
// version 1 (plus perhaps an unused version 2 tree), a single one under version 2.
func Hierarchies() ([]Hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	return parseHierarchies(string(mounts)), nil
}

func parseHierarchies(mounts string) []Hierarchy {
	var found []Hierarchy
	seen := map[string]bool{}
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 4 || seen[fields[1]] || !strings.HasPrefix(fields[2], "cgroup") {
			continue
		}
		seen[fields[1]] = true
		cpuset := fields[2] == "cgroup" && slices.Contains(strings.Split(fields[3], ","), "cpuset")
		found = append(found, Hierarchy{Path: fields[1], Unified: fields[2] == "cgroup2", CPUSet: cpuset})
	}
	return found
}

// Cgroup is the path of a group inside a hierarchy, as the kubelet's cgroupRoot
// wants it. Clusters of different roots may have equal names, so the root is
// part of it.
func (r Root) Cgroup(parts ...string) string {
	sum := fnv.New32a()
	sum.Write([]byte(r)) //nolint:errcheck // never fails
	return "/" + filepath.Join(append([]string{cgroupTop, fmt.Sprintf("%08x", sum.Sum32())}, parts...)...)
}

// CreateCgroup makes a group in every hierarchy, ready for processes.
func CreateCgroup(path string) error {
	trees, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, tree := range trees {
		dir := tree.Path
		for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
			if tree.Unified {
				delegate(dir)
			}
			dir = filepath.Join(dir, part)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if part == cgroupTop {
				favor(dir)
			}
			if tree.CPUSet {
				if err := inheritCPUs(dir); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// favor gives the clusters the processor time of several processes, where a new
// group has that of one: many clients of a test at once would let all the control
// planes together have a small share, and controllers that come to nothing for
// ten seconds lose their leases, end, and are kept down by the kubelet's back-off.
// The file is that of version 1 (2 to 262,144, 1,024 at first) or of version 2
// (1 to 10,000, 100 at first), if the tree has the controller at all:
// https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
func favor(dir string) {
	for file, value := range map[string]string{"cpu.shares": "16384", "cpu.weight": "1600"} {
		if file := filepath.Join(dir, file); exists(file) {
			os.WriteFile(file, []byte(value), 0o644) //nolint:errcheck // without it the clusters are slower under load
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// delegate hands every controller of a version 2 group on to its children; the
// kubelet refuses a root without them. A controller that cannot be handed on
// (a domain with processes of its own) is left out, as systemd does. This path
// serves hosts with cgroup v2 alone.
func delegate(dir string) {
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(controllers)) {
		os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644) //nolint:errcheck // see above
	}
}

// inheritCPUs fills in what a version 1 cpuset does not inherit and without
// which no process can enter it.
func inheritCPUs(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// EnterCgroup moves the calling process into a group, in every hierarchy.
func EnterCgroup(path string) error {
	trees, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, tree := range trees {
		procs := filepath.Join(tree.Path, path, "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return fmt.Errorf("enter %q: %w", procs, err)
		}
	}
	return nil
}

// RemoveCgroup kills every process below a group and removes the group from
// every hierarchy. Membership proves that a process is one of ours.
func RemoveCgroup(path string, patience time.Duration) error {
	trees, err := Hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for {
		left := 0
		for _, tree := range trees {
			left += sweep(filepath.Join(tree.Path, path))
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("control group %q still has %d directories after %s", path, left, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, tree := range trees {
		for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
			os.Remove(filepath.Join(tree.Path, dir)) //nolint:errcheck // stays while another cluster is in it
		}
	}
	return nil
}

// sweep kills and removes bottom-up, and counts what could not be removed yet.
func sweep(dir string) int {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	left := 0
	for _, e := range entries {
		if e.IsDir() {
			left += sweep(filepath.Join(dir, e.Name()))
		}
	}
	thaw(dir)
	procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for _, field := range strings.Fields(string(procs)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			unix.Kill(pid, unix.SIGKILL) //nolint:errcheck // gone is as good
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		left++
	}
	return left
}

// thaw releases a frozen group, for what is frozen cannot die (version 1).
func thaw(dir string) {
	if state := filepath.Join(dir, "freezer.state"); Exists(state) {
		os.WriteFile(state, []byte("THAWED"), 0o644) //nolint:errcheck // the top group has no such state
	}
}
