package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sleeper is a real process to identify; it is collected when it dies.
func sleeper(t *testing.T) Process {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip("no sleep program:", err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }() //nolint:errcheck // it is killed
	t.Cleanup(func() { cmd.Process.Kill(); <-done })
	p, err := Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKillEndsTheProcess(t *testing.T) {
	p := sleeper(t)
	if !p.Alive() {
		t.Fatal("a running process is not alive")
	}
	if err := p.Kill(unix.SIGKILL, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if p.Alive() {
		t.Fatal("a killed process is alive")
	}
	if err := p.Kill(unix.SIGKILL, time.Second); err != nil {
		t.Fatal("killing what is gone:", err)
	}
}

func TestKillSparesAnotherWithTheSameNumber(t *testing.T) {
	p := sleeper(t)
	for name, other := range map[string]Process{
		"started at another time": {PID: p.PID, Start: p.Start + 1, Boot: p.Boot},
		"of another boot":         {PID: p.PID, Start: p.Start, Boot: "another"},
		"no process":              {},
	} {
		t.Run(name, func(t *testing.T) {
			if err := other.Kill(unix.SIGKILL, time.Second); err != nil {
				t.Fatal(err)
			}
			if other.Alive() || !p.Alive() {
				t.Fatal("the wrong process was taken for the recorded one")
			}
		})
	}
}

func TestProcessRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "p.json")
	if p, err := LoadProcess(path); err != nil || p.Alive() {
		t.Fatalf("no record: %+v, %v", p, err)
	}
	want := Process{PID: 7, Start: 8, Boot: "b"}
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadProcess(path); err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadProcess(path); err == nil {
		t.Fatal("half a record was believed")
	}
}
