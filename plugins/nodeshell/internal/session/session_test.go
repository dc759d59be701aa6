package session

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEscape(t *testing.T) {
	tests := []struct {
		name, typed, sent string
		dropped, help     bool
	}{
		{"at the very start", "~.", "", true, false},
		{"after a return", "ls\r~.", "ls\r", true, false},
		{"within a line it is text", "ls ~.\r", "ls ~.\r", false, false},
		{"a home directory at the start of a line", "~/bin/x\r", "~/bin/x\r", false, false},
		{"doubled, it is sent once", "\r~~.\r", "\r~.\r", false, false},
		{"help", "\r~?x", "\rx", false, true},
		{"held back at the end of input", "~", "~", false, false},
		{"bytes of every kind", "\x00\xff\x1b[A~\r", "\x00\xff\x1b[A~\r", false, false},
	}
	for _, test := range tests {
		for _, slow := range []bool{false, true} {
			t.Run(test.name, func(t *testing.T) {
				var in io.Reader = strings.NewReader(test.typed)
				if slow {
					in = iotest.OneByteReader(in)
				}
				var help bytes.Buffer
				var dropped error
				e := &Escape{In: in, Say: &help, Drop: func(err error) { dropped = err }}
				sent, err := io.ReadAll(e)
				if err != nil || string(sent) != test.sent {
					t.Errorf("sent %q, %v; want %q", sent, err, test.sent)
				}
				if errors.Is(dropped, ErrDropped) != test.dropped || (help.Len() > 0) != test.help {
					t.Errorf("dropped %v, help %q", dropped, help.String())
				}
			})
		}
	}
}

func TestFoldGroupsWhatIsEqual(t *testing.T) {
	outputs := []Output{{"w3", "b", "0"}, {"w2", "a\n", "0"}, {"w1", "a\n", "0"}, {"w0", "a\n", "2"}}
	want := "== w1,w2 (2 nodes) ==\na\n== w0, exit code 2 ==\na\n== w3 ==\nb\n"
	if d := cmp.Diff(want, Fold(outputs)); d != "" {
		t.Error(d)
	}
	outputs[0], outputs[3] = outputs[3], outputs[0]
	if d := cmp.Diff(want, Fold(outputs)); d != "" {
		t.Errorf("in another order: %s", d)
	}
}

func TestInterpreter(t *testing.T) {
	tests := []struct {
		script, want, err string
	}{
		{"echo hi\n", "sh -s -- a b", ""},
		{"#!/bin/bash -eu\nx\n", "/bin/bash -eu -s -- a b", ""},
		{"#!/usr/bin/env python3\nx\n", "python3 - a b", ""},
		{"#!/usr/bin/perl -w\n", "/usr/bin/perl -w - a b", ""},
		{"#!/usr/bin/node\n", "", "not known"},
		{"#!\n", "", "names no interpreter"},
		{"", "sh -s -- a b", ""},
	}
	for _, test := range tests {
		argv, err := Interpreter([]byte(test.script), []string{"a", "b"})
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v", test.script, err)
			}
			continue
		}
		if got := strings.Join(argv, " "); err != nil || got != test.want {
			t.Errorf("%q: %q, %v; want %q", test.script, got, err, test.want)
		}
	}
}

func TestTcpdumpLog(t *testing.T) {
	var heard []string
	l := &TcpdumpLog{Listening: func(tool, device string) { heard = append(heard, tool+" "+device) }}
	io.WriteString(l, "capture tool=node interface=eth0\n")
	if len(heard) != 0 {
		t.Error("said to capture before tcpdump listens")
	}
	io.WriteString(l, "tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n")
	if captured, received, dropped := l.Counts(); captured != nil || received != nil || dropped != nil {
		t.Error("counters before there are any: unknown is not 0")
	}
	io.WriteString(l, "1 packet captured\n24 packets received by filter\n3 packets dropped by kernel\n")
	captured, received, dropped := l.Counts()
	if *captured != 1 || *received != 24 || *dropped != 3 {
		t.Errorf("%d %d %d", *captured, *received, *dropped)
	}
	if tool, device := l.Setup(); tool != "node" || device != "eth0" {
		t.Errorf("%s %s", tool, device)
	}
	if len(heard) != 1 || heard[0] != "node eth0" {
		t.Errorf("heard %q", heard)
	}
	if c := l.Complaint(); c != "" {
		t.Errorf("complaint %q", c)
	}
	io.WriteString(l, "tcpdump: can't parse filter expression: syntax error\n")
	if c := l.Complaint(); c != "can't parse filter expression: syntax error" {
		t.Errorf("complaint %q", c)
	}
}

// The script with a tcpdump that only waits: it must be ended by the end of input, and by itself after its time.
func TestCaptureScriptEndsTcpdump(t *testing.T) {
	dir := t.TempDir()
	fake := "#!/bin/sh\n[ \"$1\" = --help ] && exit\ntrap 'echo 5 packets captured >&2; exit 0' TERM\necho \"$@\"\nsleep 60 >/dev/null 2>&1 & wait\n"
	if err := os.WriteFile(filepath.Join(dir, "tcpdump"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	// Before its time, it must not wait for the time: busybox keeps copies of redirected descriptors in a subshell.
	tests := map[string]struct{ seconds, stop string }{"end of input": {"0", "300ms"}, "time": {"1", "1h"}, "end of input before the time": {"40", "300ms"}}
	for _, shell := range [][]string{{"sh"}, {"bash"}, {"busybox", "sh"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			t.Logf("%s is not here", shell[0])
			continue
		}
		for name, test := range tests {
			captureEnds(t, dir, shell, name, test.seconds, test.stop)
		}
	}
}

func captureEnds(t *testing.T, dir string, shell []string, name, seconds, stopAfter string) {
	t.Run(strings.Join(shell, " ")+": "+name, func(t *testing.T) {
		t.Parallel()
		after, err := time.ParseDuration(stopAfter)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-c", CaptureScript, "capture", "here", "eth9", seconds, "-w", "-", "port 53")...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		stop := make(chan struct{})
		time.AfterFunc(after, func() { close(stop) })
		reader, writer := io.Pipe()
		go func() { io.Copy(writer, UntilClosed(stop)); writer.Close() }()
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() { io.Copy(stdin, reader); stdin.Close() }()
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.WaitDelay = 20 * time.Second
		began := time.Now()
		if err := cmd.Run(); err != nil || time.Since(began) > 15*time.Second {
			t.Errorf("%v after %s: %s", err, time.Since(began), stderr.String())
		}
		if stdout.String() != "-i eth9 -w - port 53\n" || !strings.Contains(stderr.String(), "5 packets captured") {
			t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
		}
	})
}
