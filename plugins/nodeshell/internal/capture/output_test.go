package capture

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
)

func TestRotatingKeepsTheNewestFiles(t *testing.T) {
	dir := t.TempDir()
	r := &rotating{base: filepath.Join(dir, "x.pcap"), header: make([]byte, 24), limit: 100, keep: 2}
	if err := r.next(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := r.write(record(30)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "x-0004.pcap" {
		t.Errorf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Size() > 100 || info.Size() < 24 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
	}
}

func TestMaxSizeStopsBeforeTheRecordThatWouldNotFit(t *testing.T) {
	var b strings.Builder
	p := &plain{w: &b, limit: 100}
	for range 3 {
		if err := p.write(record(30)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.write(record(30)); !errors.Is(err, errFull) || b.Len() != 90 {
		t.Errorf("%v with %d bytes", err, b.Len())
	}
}

// A merged file counts as it is written: its headers, and blocks that are larger than the records.
func TestMaxSizeHoldsForAMergedFile(t *testing.T) {
	var b strings.Builder
	m := newMerged(&b, "-", 500)
	to, err := m.open(collect.Target{Node: &corev1.Node{}}, pcap.Header{})
	if err != nil {
		t.Fatal(err)
	}
	before := b.Len()
	for n := 0; err == nil && n < 100; n++ {
		err = to.write(record(30))
	}
	if !errors.Is(err, errFull) || b.Len() > 500 || b.Len() < 440 || b.Len() == before || to.size() != int64(b.Len()-before) {
		t.Errorf("%v with %d bytes, %d of packets", err, b.Len(), to.size())
	}
	if err := to.write(record(16)); !errors.Is(err, errFull) {
		t.Errorf("a smaller packet after the end: %v", err)
	}
}

func record(size int) pcap.Record { return pcap.Record{Raw: make([]byte, size)} }

// The count stands in one line, which the next one takes away whole, without an escape sequence.
func TestACountTakesTheOneBeforeAway(t *testing.T) {
	var said strings.Builder
	p := &progress{say: func(text string) { said.WriteString(text) }}
	p.print("12 packets, 3 kB", true)
	p.print("9 packets, 1 kB", true)
	p.print("", false)
	p.print("w1: done\n", false)
	long, short := strings.Repeat(" ", len("12 packets, 3 kB")), strings.Repeat(" ", len("9 packets, 1 kB"))
	if want := "12 packets, 3 kB\r" + long + "\r9 packets, 1 kB\r" + short + "\rw1: done\n"; said.String() != want {
		t.Errorf("got %q, want %q", said.String(), want)
	}
}
