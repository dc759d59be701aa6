package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/trace"
)

// look takes stock.
func look(t *testing.T) trace.Machine {
	t.Helper()
	m, err := trace.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// traces lists what a cluster has left: what is new since before, but for what
// other clusters of this program have, which come and go meanwhile. A rule of a
// packet filter is nobody's until it is looked at.
func traces(t *testing.T, before trace.Machine, name string, others []string) []string {
	t.Helper()
	var found []string
	for kind, now := range look(t) {
		for _, item := range now {
			ofAnother := slices.ContainsFunc(others, func(mark string) bool { return strings.Contains(item, mark) })
			if !slices.Contains(before[kind], item) && !ofAnother && (kind == "rule" || trace.Ours(item)) {
				found = append(found, kind+": "+item)
			}
		}
	}
	for _, p := range trace.Processes(name) {
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
func noTraces(t *testing.T, before trace.Machine, h *harness) {
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
