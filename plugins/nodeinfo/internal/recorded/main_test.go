package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
)

// What the demo shows first is what kubectl nodeinfo prints.
func TestItPrintsWhatThePluginDoes(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", "../../../../test/demo/cluster.tar.gz", "-C", dir, "nodeinfo.json").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file := filepath.Join(dir, "nodeinfo.json")
	saved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := testkit.NewEnv("kubectl-nodeinfo", time.Now())
	command := nodeinfo.New(env.Env)
	command.SetArgs([]string{"--from-input", file})
	if err = command.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %s", err, env.Stderr)
	}
	var got bytes.Buffer
	if err = show(bytes.NewReader(saved), &got); err != nil || got.Len() == 0 || got.String() != env.Stdout.String() {
		t.Errorf("%v\n%s\nwant\n%s", err, got.String(), env.Stdout)
	}
	if err = show(bytes.NewReader([]byte("no JSON")), &got); err == nil {
		t.Error("no error")
	}
}
