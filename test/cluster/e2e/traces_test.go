package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// machine is everything of this machine on which a cluster could leave a trace,
// by kind.
type machine map[string][]string

// look takes stock. Pieces of commands' output that change by themselves are
// cut off.
func look(t *testing.T) machine {
	t.Helper()
	m := machine{}
	command := func(kind string, keep int, args ...string) {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		for line := range strings.Lines(string(out)) {
			fields := strings.Fields(line)
			if len(fields) > 0 {
				// A bridge without running members is called linkdown, now and then.
				line := strings.Join(fields[:min(keep, len(fields))], " ")
				m[kind] = append(m[kind], strings.TrimSuffix(line, " linkdown"))
			}
		}
	}
	command("mount", 3, "cat", "/proc/self/mounts")
	command("link", 2, "ip", "-o", "link", "show")
	command("route", 99, "ip", "route", "show", "table", "all")
	command("route", 99, "ip", "-6", "route", "show", "table", "all")
	command("network namespace", 1, "ip", "netns", "list")
	command("rule", 99, "nft", "list", "ruleset")
	for _, pattern := range []string{"/sys/fs/cgroup/*/kubectl-runbooks/*/*", "/sys/fs/cgroup/kubectl-runbooks/*/*"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				m["control group"] = append(m["control group"], path)
			}
		}
	}
	backings, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range backings {
		if file, err := os.ReadFile(path); err == nil {
			m["loop device"] = append(m["loop device"], strings.TrimSpace(string(file)))
		}
	}
	// Numbers of links are given anew.
	for i, line := range m["link"] {
		_, name, _ := strings.Cut(line, ": ")
		m["link"][i] = strings.TrimSuffix(name, ":")
	}
	return m
}

// processesOf lists processes that belong to a cluster: by control group, or by
// a command line that names its directory.
func processesOf(name string) []string {
	var found []string
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range entries {
		group, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		line := strings.ReplaceAll(string(bytes.TrimRight(command, "\x00")), "\x00", " ")
		if strings.Contains(string(group), "/kubectl-runbooks/") && strings.Contains(string(group), "/"+name+"/") || strings.Contains(line, "/clusters/"+name+"/") {
			found = append(found, filepath.Base(dir)+" "+line)
		}
	}
	return found
}

// ours matches what can be of this program's making: its directories and groups,
// its links and its networks. Others use the machine as well, and their links
// come and go; a rule of a packet filter is nobody's until it is looked at.
var ours = regexp.MustCompile(`kubectl-runbooks|\bkrb?[0-9t]|\b10\.(64|9[6-9]|10[0-9]|11[0-9]|12[0-7])\.|\bfd6b:7262:|/clusters/`)

// traces lists what a cluster has left: what is new since before, but for what
// other clusters of this program have, which come and go meanwhile.
func traces(t *testing.T, before machine, name string, others []string) []string {
	t.Helper()
	var found []string
	for kind, now := range look(t) {
		for _, item := range now {
			ofAnother := slices.ContainsFunc(others, func(mark string) bool { return strings.Contains(item, mark) })
			if !slices.Contains(before[kind], item) && !ofAnother && (kind == "rule" || ours.MatchString(item)) {
				found = append(found, kind+": "+item)
			}
		}
	}
	for _, p := range processesOf(name) {
		found = append(found, "process: "+p)
	}
	if exists(filepath.Join(cacheRoot(t), "clusters", name)) {
		found = append(found, "directory of the cluster")
	}
	return found
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func cacheRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "kubectl-runbooks")
}

// noTraces fails when a cluster has left something. The kernel takes some time
// to dissolve a namespace.
func noTraces(t *testing.T, before machine, h *harness) {
	t.Helper()
	var left []string
	for range 50 {
		if left = traces(t, before, h.name, h.others(t)); len(left) == 0 { // another cluster may begin at any time
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("cluster %q has left %d traces:\n%s", h.name, len(left), strings.Join(left, "\n"))
}

func TestLookSeesALink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs iproute2")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nftables")
	}
	before := look(t)
	link := fmt.Sprintf("krtest%d", os.Getpid()%10000)
	if out, err := exec.Command("ip", "link", "add", link, "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("no bridge can be made: %s", out)
	}
	seen := traces(t, before, "none-such", nil)
	if out, err := exec.Command("ip", "link", "delete", link).CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	if !slices.ContainsFunc(seen, func(s string) bool { return s == "link: "+link }) {
		t.Errorf("a new link was not seen: %v", seen)
	}
}
