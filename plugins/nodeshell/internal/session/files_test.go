package session

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// A node's name comes from the API server: whatever it is, its files are in the directory that the user names.
func TestFilesStayInTheirDirectory(t *testing.T) {
	for _, node := range []string{"w1", "../../w1", "/etc/w1", `..\w1`, ".."} {
		dir := t.TempDir()
		var result report.Outcome
		k, err := filesFor(dir, node, &result)
		if err != nil {
			t.Errorf("%q: %v", node, err)
			continue
		}
		if err := k.finish(); err != nil {
			t.Error(err)
		}
		for _, name := range result.Files {
			if filepath.Dir(name) != dir {
				t.Errorf("%q: %s", node, name)
			}
		}
		if made, _ := os.ReadDir(dir); len(made) != 2 {
			t.Errorf("%q: %v", node, made)
		}
	}
}
