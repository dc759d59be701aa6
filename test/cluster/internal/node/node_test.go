package node

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestKubeadmFlags(t *testing.T) {
	for file, want := range map[string][]string{
		"KUBELET_KUBEADM_ARGS=\"--a=b --c\"\n":   {"--a=b", "--c"},
		"# remark\nKUBELET_KUBEADM_ARGS=--a=b\n": {"--a=b"},
		"KUBELET_KUBEADM_ARGS=\"\"\n":            {},
		"":                                       {},
	} {
		if got := kubeadmFlags(file); !slices.Equal(got, want) {
			t.Errorf("%q: got %q", file, got)
		}
	}
}

func newNode(t *testing.T) Config {
	t.Helper()
	c := Config{Name: "w1", Cluster: "x", Dir: t.TempDir()}
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigComesBack(t *testing.T) {
	c := newNode(t)
	got, err := Load(c.ConfigPath())
	if err != nil || got != c {
		t.Errorf("got %+v, %v", got, err)
	}
}

// run lets process 1's loop go on for a while, as far as one unit is concerned.
func run(c Config, u *unit, until func() bool) bool {
	for range 400 {
		reap(c, []*unit{u})
		u.step(c)
		if until() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestOrders(t *testing.T) {
	c := newNode(t)
	possible := false
	u := &unit{name: "sleeper", command: func() []string {
		if !possible {
			return nil
		}
		return []string{"/bin/sleep", "60"}
	}}
	t.Cleanup(func() {
		if u.status.PID != 0 {
			unix.Kill(u.status.PID, unix.SIGKILL) //nolint:errcheck // the test's own child
		}
	})
	u.step(c)
	if u.status.PID != 0 {
		t.Fatal("it runs before it can")
	}
	possible = true
	if !run(c, u, func() bool { return u.status.PID != 0 }) {
		t.Fatal("it does not start")
	}
	first := u.status.PID
	order := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	order(c.SetPaused("sleeper", true))
	if !run(c, u, func() bool { return u.status.Paused }) {
		t.Fatal("it does not pause")
	}
	// Stopping must work on what is paused.
	order(c.SetStopped("sleeper", true))
	if !run(c, u, func() bool { return u.status.PID == 0 }) {
		t.Fatal("it does not stop")
	}
	time.Sleep(restartDelay + 50*time.Millisecond)
	if run(c, u, func() bool { return u.status.PID != 0 }) {
		t.Fatal("it started although it is to be down")
	}
	order(c.SetPaused("sleeper", false))
	order(c.SetStopped("sleeper", false))
	if !run(c, u, func() bool { return u.status.PID != 0 && u.status.PID != first }) {
		t.Fatal("it does not start again")
	}
	told, err := c.UnitStatus("sleeper")
	if err != nil || told.PID != u.status.PID || told.Starts != 2 {
		t.Fatalf("it tells %+v, %v", told, err)
	}
	second := u.status.PID
	done := make(chan error, 1)
	go func() { done <- c.Restart("sleeper", 10*time.Second) }()
	if !run(c, u, func() bool { return u.status.PID != 0 && u.status.PID != second }) {
		t.Fatal("it does not restart")
	}
	order(<-done)
}

func TestUnitIsStartedAgainWhenItDies(t *testing.T) {
	c := newNode(t)
	u := &unit{name: "short", command: func() []string { return []string{"/bin/sh", "-c", "exit 3"} }}
	if !run(c, u, func() bool { return u.status.Starts >= 2 && u.status.LastExit != "" }) {
		t.Fatalf("got %+v", u.status)
	}
	if u.status.LastExit != "exit code 3" {
		t.Errorf("got %q", u.status.LastExit)
	}
	run(c, u, func() bool { return u.status.PID == 0 })
}

func TestFaultsAreListed(t *testing.T) {
	c := newNode(t)
	if got := c.Faults(); got == nil || len(got) != 0 {
		t.Errorf("got %#v, want an empty list", got)
	}
	for _, path := range []string{c.FaultPath("a"), c.FaultPath("b") + ".healing"} {
		if err := os.MkdirAll(c.path("faults"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Faults(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v", got)
	}
}
