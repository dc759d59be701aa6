// Package pcap reads the stream that tcpdump writes record by record, so that no file ends inside a record, and joins
// several streams into one pcapng file in which every packet names its pod and node.
package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Header is the start of a stream. https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/
type Header struct {
	Raw      []byte
	Order    binary.ByteOrder
	Nano     bool
	SnapLen  uint32
	LinkType uint32
}

const (
	headerSize = 24
	recordSize = 16
	// largest is more than any snapshot length; a larger record means a broken stream.
	largest = 1 << 24
)

// ErrTruncated says that the stream ended inside a record: what came before it is whole.
var ErrTruncated = errors.New("the stream ended inside a packet")

// Reader reads records.
type Reader struct {
	Header Header
	in     *bufio.Reader
	buffer []byte
}

// NewReader reads the header. Something else than a capture, such as a message, is an error that shows it.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 256<<10)}
	raw := make([]byte, headerSize)
	if n, err := io.ReadFull(r.in, raw); err != nil {
		if n == 0 {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("not a packet capture: %q", raw[:n])
	}
	h := Header{Raw: raw}
	switch magic := binary.LittleEndian.Uint32(raw); magic {
	case 0xa1b2c3d4, 0xa1b23c4d:
		h.Order, h.Nano = binary.LittleEndian, magic == 0xa1b23c4d
	case 0xd4c3b2a1, 0x4d3cb2a1:
		h.Order, h.Nano = binary.BigEndian, magic == 0x4d3cb2a1
	default:
		rest, _ := r.in.Peek(min(r.in.Buffered(), 200)) // a message goes on: what there is of it
		return nil, fmt.Errorf("not a packet capture: %q", append(raw, rest...))
	}
	h.SnapLen, h.LinkType = h.Order.Uint32(raw[16:]), h.Order.Uint32(raw[20:])
	r.Header = h
	return r, nil
}

// Record is one packet. Raw holds header and data, and is valid until the next one is read.
type Record struct {
	Seconds  uint32
	Fraction uint32 // micro- or nanoseconds
	Original uint32
	Raw      []byte
}

// Data is the packet itself.
func (r Record) Data() []byte { return r.Raw[recordSize:] }

// Next reads a record; io.EOF is an end in order.
func (r *Reader) Next() (Record, error) {
	if cap(r.buffer) < recordSize {
		r.buffer = make([]byte, 64<<10)
	}
	head := r.buffer[:recordSize]
	if _, err := io.ReadFull(r.in, head); err != nil {
		if errors.Is(err, io.EOF) {
			return Record{}, io.EOF
		}
		return Record{}, ErrTruncated
	}
	length := r.Header.Order.Uint32(head[8:])
	if length > largest {
		return Record{}, fmt.Errorf("the stream is corrupt: packet of %d bytes", length)
	}
	if need := recordSize + int(length); cap(r.buffer) < need {
		grown := make([]byte, need)
		copy(grown, head)
		r.buffer = grown
	}
	whole := r.buffer[:recordSize+int(length)]
	if _, err := io.ReadFull(r.in, whole[recordSize:]); err != nil {
		return Record{}, ErrTruncated
	}
	order := r.Header.Order
	return Record{Seconds: order.Uint32(whole), Fraction: order.Uint32(whole[4:]), Original: order.Uint32(whole[12:]), Raw: whole}, nil
}
