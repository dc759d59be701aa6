package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func capture(bo binary.AppendByteOrder, magic uint32, packets ...string) []byte {
	b := bo.AppendUint32(nil, magic)
	b = bo.AppendUint16(b, 2)
	b = bo.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = bo.AppendUint32(b, 262144)
	b = bo.AppendUint32(b, 1)
	for i, p := range packets {
		b = bo.AppendUint32(b, uint32(1_700_000_000+i))
		b = bo.AppendUint32(b, 5)
		b = bo.AppendUint32(b, uint32(len(p)))
		b = bo.AppendUint32(b, uint32(len(p)+1))
		b = append(b, p...)
	}
	return b
}

func TestReaderGivesWholeRecords(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for name, data := range map[string][]byte{
		"little": capture(binary.LittleEndian, 0xa1b2c3d4, "one", "", big),
		"big":    capture(binary.BigEndian, 0xa1b2c3d4, "one", "", big),
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if r.Header.Nano || r.Header.LinkType != 1 || r.Header.SnapLen != 262144 {
				t.Errorf("%+v", r.Header)
			}
			var copied bytes.Buffer
			copied.Write(r.Header.Raw)
			n := 0
			for {
				record, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if record.Seconds != uint32(1_700_000_000+n) || record.Original != uint32(len(record.Data())+1) {
					t.Errorf("%+v", record)
				}
				copied.Write(record.Raw)
				n++
			}
			if n != 3 || !bytes.Equal(copied.Bytes(), data) {
				t.Errorf("%d records; equal %v", n, bytes.Equal(copied.Bytes(), data))
			}
		})
	}
}

// Cut anywhere, the reader gives whole records only, and tells the cut from an end in order.
func TestTruncatedStream(t *testing.T) {
	data := capture(binary.LittleEndian, 0xa1b2c3d4, "one", "two")
	record := 16 + 3
	for cut := headerSize; cut <= len(data); cut++ {
		r, err := NewReader(bytes.NewReader(data[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		whole := 0
		for err == nil {
			if _, err = r.Next(); err == nil {
				whole++
			}
		}
		inOrder := (cut-headerSize)%record == 0
		if whole != (cut-headerSize)/record || errors.Is(err, io.EOF) != inOrder || errors.Is(err, ErrTruncated) == inOrder {
			t.Errorf("cut at %d: %d records, %v", cut, whole, err)
		}
	}
}

func TestWhatIsNoCapture(t *testing.T) {
	if _, err := NewReader(strings.NewReader("tcpdump: permission denied, really")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("err %v", err)
	}
	if _, err := NewReader(strings.NewReader("")); !errors.Is(err, io.EOF) {
		t.Errorf("err %v", err)
	}
	broken := append(capture(binary.LittleEndian, 0xa1b2c3d4), bytes.Repeat([]byte{0xff}, 32)...)
	r, err := NewReader(bytes.NewReader(broken))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a packet of 4 GB: %v", err)
	}
}

func TestMergedNamesEveryInterface(t *testing.T) {
	var out bytes.Buffer
	m := NewMerged(&out, "test")
	for i, magic := range []uint32{0xa1b2c3d4, 0xa1b23c4d} {
		r, err := NewReader(bytes.NewReader(capture(binary.LittleEndian, magic, strings.Repeat("\x00", 60), strings.Repeat("\x00", 61))))
		if err != nil {
			t.Fatal(err)
		}
		write, err := m.Add(r.Header, []string{"ns/web-0", "ns/web-1"}[i], []string{"ns/web-0 on node a", "ns/web-1 on node b"}[i])
		if err != nil {
			t.Fatal(err)
		}
		for {
			record, err := r.Next()
			if err != nil {
				break
			}
			if _, err := write(record); err != nil {
				t.Fatal(err)
			}
		}
	}
	kinds := map[uint32]int{}
	for b := out.Bytes(); len(b) > 0; {
		length := binary.LittleEndian.Uint32(b[4:])
		if length%4 != 0 || binary.LittleEndian.Uint32(b[length-4:]) != length {
			t.Fatalf("a broken block of %d bytes", length)
		}
		kinds[binary.LittleEndian.Uint32(b)]++
		b = b[length:]
	}
	if kinds[blockSection] != 1 || kinds[blockInterface] != 2 || kinds[blockPacket] != 4 {
		t.Errorf("blocks %v", kinds)
	}
	for _, name := range []string{"ns/web-0 on node a", "ns/web-1 on node b"} {
		if !bytes.Contains(out.Bytes(), []byte(name)) {
			t.Errorf("%q is not named", name)
		}
	}
	readByTcpdump(t, out.Bytes())
}

// tcpdump reads what it can; where it is not here, the block structure above has to do.
func readByTcpdump(t *testing.T, data []byte) {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Log("no tcpdump here")
		return
	}
	file := filepath.Join(t.TempDir(), "x.pcapng")
	if err := os.WriteFile(file, data[:lastMicro(data)], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "tcpdump", "-nn", "-tt", "-r", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1700000000.000005") {
		t.Errorf("%v: %s", err, out)
	}
}

// lastMicro cuts before the second interface: libpcap refuses a file whose interfaces differ in resolution.
func lastMicro(data []byte) int {
	at, interfaces := 0, 0
	for at < len(data) {
		if binary.LittleEndian.Uint32(data[at:]) == blockInterface {
			if interfaces++; interfaces == 2 {
				return at
			}
		}
		at += int(binary.LittleEndian.Uint32(data[at+4:]))
	}
	return at
}
