package capture

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTcpdumpLog(t *testing.T) {
	var heard []string
	l := &tcpdumpLog{listening: func(tool, device string) { heard = append(heard, tool+" "+device) }}
	io.WriteString(l, "capture tool=node interface=eth0\n")
	if len(heard) != 0 {
		t.Error("said to capture before tcpdump listens")
	}
	io.WriteString(l, "tcpdump: listening on eth0, link-type EN10MB (Ethernet), snapshot length 262144 bytes\n")
	if captured, received, dropped := l.counts(); captured != nil || received != nil || dropped != nil {
		t.Error("counters before there are any: unknown is not 0")
	}
	io.WriteString(l, "1 packet captured\n24 packets received by filter\n3 packets dropped by kernel\n")
	captured, received, dropped := l.counts()
	if *captured != 1 || *received != 24 || *dropped != 3 {
		t.Errorf("%d %d %d", *captured, *received, *dropped)
	}
	if tool, device := l.setup(); tool != "node" || device != "eth0" {
		t.Errorf("%s %s", tool, device)
	}
	if len(heard) != 1 || heard[0] != "node eth0" {
		t.Errorf("heard %q", heard)
	}
	if c := l.complaint(); c != "" {
		t.Errorf("complaint %q", c)
	}
	io.WriteString(l, "tcpdump: can't parse filter expression: syntax error\n")
	if c := l.complaint(); c != "can't parse filter expression: syntax error" {
		t.Errorf("complaint %q", c)
	}
}

// The script with a tcpdump that only waits: it must be ended by the end of input, and by itself after its time.
func TestCaptureScriptEndsTcpdump(t *testing.T) {
	dir := t.TempDir()
	fake := "#!/bin/sh\n[ \"$1\" = --help ] && exit\n" +
		"trap 'echo 5 packets captured >&2; exit 0' TERM\n" +
		"echo \"$@\"\nsleep 60 >/dev/null 2>&1 & wait\n"
	if err := os.WriteFile(filepath.Join(dir, "tcpdump"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	// Before its time, it must not wait for the time: busybox keeps copies of redirected descriptors in a subshell.
	tests := map[string]struct{ seconds, stop string }{
		"end of input": {"0", "300ms"}, "time": {"1", "1h"}, "end of input before the time": {"40", "300ms"},
	}
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
		argv := append(slices.Clone(shell[1:]), "-c", captureScript, "capture", "here", "eth9", seconds, "-w", "-", "port 53")
		cmd := exec.CommandContext(t.Context(), shell[0], argv...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		stop := make(chan struct{})
		time.AfterFunc(after, func() { close(stop) })
		reader, writer := io.Pipe()
		go func() { io.Copy(writer, untilClosed(stop)); writer.Close() }()
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
