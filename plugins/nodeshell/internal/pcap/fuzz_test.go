package pcap

import (
	"bytes"
	"io"
	"testing"
)

// What tcpdump sends is a capture or an error, and what was read can be merged.
func FuzzReader(f *testing.F) {
	header := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0}
	f.Add(header)
	f.Add(append(bytes.Clone(header), 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 'a', 'b', 'c'))
	f.Add(append(bytes.Clone(header), 1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 'a'))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := NewReader(bytes.NewReader(data))
		if err != nil {
			return
		}
		write, err := NewMerged(io.Discard, "fuzz").Add(r.Header, "w1", "node w1")
		if err != nil {
			return
		}
		for {
			record, err := r.Next()
			if err != nil {
				return
			}
			if len(record.Data()) > len(data) {
				t.Fatalf("%d bytes of %d", len(record.Data()), len(data))
			}
			if _, err := write(record); err != nil {
				t.Fatal(err)
			}
		}
	})
}
