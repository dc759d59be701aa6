package install

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// loadImage puts the image of a release, of this build's programs, onto the nodes, and says what it is called.
func loadImage(t *testing.T, c *harness.Cluster) string {
	t.Helper()
	dist := t.TempDir()
	files, err := filepath.Glob(filepath.Join(os.Getenv("E2E_BIN"), "kubectl-*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		folder := filepath.Join(dist, filepath.Base(file)+"_linux_"+runtime.GOARCH+"_v1")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, filepath.Join(folder, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	archive := filepath.Join(dist, "image.tar")
	own := []harness.Option{harness.Env("PATH="+os.Getenv("PATH"), "GOFLAGS=-buildvcs=false")}
	r := c.Run(t, 5*time.Minute, own, "go", "-C", root+"/test/release/image", "run", ".", "-dist", dist, "-license", "../../../LICENSE",
		"-version", "v0.0.1-e2e", "-commit", "none", "-epoch", "1", "-out", archive)
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	c.LoadImage(t, archive)
	return "ghcr.io/kubectl-runbooks/kubectl-runbooks:v0.0.1-e2e"
}

// The manifest of docs/cronjob.yaml writes gauges on a node, with its role and as its user.
func TestTheScheduledReportIsWrittenOnItsNode(t *testing.T) {
	c := harness.Shared(t)
	page, err := os.ReadFile(root + "/docs/cronjob.yaml")
	if err != nil {
		t.Fatal(err)
	}
	image, dir := loadImage(t, c), "/var/lib/textfiles-of-a-test"
	manifest := strings.NewReplacer(
		"image: ghcr.io/kubectl-runbooks/kubectl-runbooks:v0.1.0", "image: "+image, "/var/lib/node_exporter/textfile_collector", dir,
	).Replace(string(page))
	if strings.Count(manifest, image)+strings.Count(manifest, dir) != 2 {
		t.Fatalf("docs/cronjob.yaml has another image, or another directory:\n%s", manifest)
	}
	node := strings.Fields(c.MustKubectl(t, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"))[1]
	t.Cleanup(func() {
		c.Kubectl(t, "delete", "clusterrole,clusterrolebinding", "kubectl-runbooks", "--ignore-not-found")
		c.Kubectl(t, "delete", "namespace", "kubectl-runbooks", "--ignore-not-found")
		c.Kubectl(t, "label", "node", node, "kubectl-runbooks/report-")
		c.OnNode(t, node, "rm", "-r", dir)
	})
	c.Apply(t, manifest)
	c.MustKubectl(t, "label", "node", node, "kubectl-runbooks/report=")
	if r := c.OnNode(t, node, "sh", "-c", "mkdir "+dir+" && chown 65532 "+dir); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	c.MustKubectl(t, "create", "job", "now", "--from=cronjob/kubectl-runbooks", "-n", "kubectl-runbooks")
	if r := c.Kubectl(t, "wait", "job/now", "-n", "kubectl-runbooks", "--for=condition=Complete", "--timeout=90s"); r.Code != 0 {
		t.Fatal(r.Stderr, c.Kubectl(t, "get", "pods,events", "-n", "kubectl-runbooks").Stdout, c.Kubectl(t, "logs", "job/now", "-n", "kubectl-runbooks").Stdout)
	}
	written := c.OnNode(t, node, "cat", dir+"/kubectl-runbooks.prom").Stdout
	verdicts := testkit.ReadPrometheus(t, written)["kubectl_runbooks_verdict"]
	if verdicts == nil || len(verdicts.Metric) != 3 {
		t.Errorf("it is no verdict on three workflows:\n%s", written)
	}
	if unread := testkit.ReadPrometheus(t, written)["kubectl_runbooks_sources_unread"]; unread == nil || unread.Metric[0].Gauge.GetValue() != 0 {
		t.Errorf("its role is not enough:\n%s", written)
	}
	if left := c.OnNode(t, node, "ls", "-A", dir).Stdout; strings.TrimSpace(left) != "kubectl-runbooks.prom" {
		t.Errorf("left beside it: %s", left)
	}
}
