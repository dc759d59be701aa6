package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Hidden commands that the program starts itself with.
const (
	NodeInitCommand = "node-init"
	HelperCommand   = "helper"
)

const socketPath = "/run/containerd/containerd.sock"

// helper paths: identity and log of a process beside the nodes.
func (c *Cluster) helperRecord(name string) string { return c.path("helpers", name+".json") }

// HelperLog is the log of a process beside the nodes.
func (c *Cluster) HelperLog(name string) string { return c.path("helpers", name+".log") }

// startHelper runs a program beside the nodes for as long as the cluster lives.
func (c *Cluster) startHelper(name string, command ...string) error {
	if p, err := host.LoadProcess(c.helperRecord(name)); err == nil && p.Alive() {
		return nil
	}
	if err := os.MkdirAll(c.path("helpers"), 0o755); err != nil {
		return err
	}
	// Its group finds it even when its record is lost.
	group := noGroup
	if host.CanMakeNodes() {
		group = c.Root.Cgroup(c.State.Name, "helpers")
	}
	_, err := host.Spawn{
		Args:   append([]string{HelperCommand, "--", group}, command...),
		Log:    c.HelperLog(name),
		Record: c.helperRecord(name),
	}.Start()
	return err
}

// noGroup stands for the group of a helper whose user may not make one.
const noGroup = "-"

// RunHelper is the helper's side: it waits until it is recorded, enters its
// group, and then becomes the program it stands for.
func RunHelper(args []string) error {
	if err := host.AwaitRelease(); err != nil {
		return err
	}
	group, command := args[0], args[1:]
	if group != noGroup {
		if err := host.CreateCgroup(group); err != nil {
			return err
		}
		if err := host.EnterCgroup(group); err != nil {
			return err
		}
	}
	return unix.Exec(command[0], command, os.Environ())
}

// stopHelper ends one helper.
func (c *Cluster) stopHelper(name string) error {
	p, err := host.LoadProcess(c.helperRecord(name))
	if err != nil {
		return err
	}
	if err := p.Kill(unix.SIGKILL, 5*time.Second); err != nil {
		return err
	}
	return os.RemoveAll(c.helperRecord(name))
}

// stopHelpers ends every helper of the cluster.
func (c *Cluster) stopHelpers() error {
	records, err := filepath.Glob(c.helperRecord("*"))
	if err != nil {
		return err
	}
	var fails []error
	for _, r := range records {
		fails = append(fails, c.stopHelper(strings.TrimSuffix(filepath.Base(r), ".json")))
	}
	return errors.Join(fails...)
}

// hopeless wraps an error that waiting does not mend.
type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// poll repeats a check until it holds or is hopeless, and ends with its last
// error.
func poll(ctx context.Context, every time.Duration, check func() error) error {
	for {
		err := check()
		if err == nil || errors.As(err, new(hopeless)) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(every):
		}
	}
}
