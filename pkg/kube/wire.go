package kube

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Wire types of protobuf (https://protobuf.dev/programming-guides/encoding/#structure).
const (
	wireVarint = 0
	wireI64    = 1
	wireBytes  = 2
	wireI32    = 5
)

// Cut says which fields of an encoded message are left out, by their numbers in Kubernetes' generated.proto.
type Cut struct {
	Drop []uint64        // fields with a length that are left out
	Into map[uint64]*Cut // fields that are messages, of which a part is left out
	Keys []string        // not nil: the message is an entry of a map, and left out whole unless its key is one of these
	With string          // not empty: the message is left out whole unless these bytes are in it
}

// Apply appends the message to out without what is cut. Not ok: the message is not as expected, and nothing was appended.
func (c *Cut) Apply(out, message []byte) (result []byte, ok bool) {
	from := len(out)
	for rest := message; len(rest) > 0; {
		number, wire, head, size := field(rest)
		if size <= 0 {
			return out[:from], false
		}
		whole, value := rest[:size], rest[head:size]
		rest = rest[size:]
		inner := c.Into[number]
		switch {
		case wire == wireBytes && slices.Contains(c.Drop, number):
		case wire == wireBytes && inner != nil && inner.Keys != nil:
			if key, _ := Field(value, 1); slices.Contains(inner.Keys, string(key)) {
				out = append(out, whole...)
			}
		case wire == wireBytes && inner != nil && inner.With != "":
			if bytes.Contains(value, []byte(inner.With)) {
				out = append(out, whole...)
			}
		case wire == wireBytes && inner != nil:
			out = binary.AppendUvarint(out, number<<3|wireBytes)
			body := len(out)
			if out, ok = inner.Apply(out, value); !ok {
				return out[:from], false
			}
			// The length stands before what it counts: its own bytes are moved there.
			length := binary.AppendUvarint(nil, uint64(len(out)-body)) //nolint:gosec // out only grows
			out = slices.Insert(out, body, length...)
		default:
			out = append(out, whole...)
		}
	}
	return out, true
}

// Smaller is a Sink that cuts each item before another takes it. What is not as expected is handed on whole.
type Smaller struct {
	Sink

	Cut     *Cut
	scratch []byte
}

// Add cuts an item and hands it on.
func (s *Smaller) Add(encoded []byte) error {
	small, ok := s.Cut.Apply(s.scratch[:0], encoded)
	if !ok {
		return s.Sink.Add(encoded)
	}
	s.scratch = small
	return s.Sink.Add(small)
}

// Field gives the value of a field with a length, the last where there are several, as a decoder does.
func Field(message []byte, number uint64) (value []byte, ok bool) {
	for rest := message; len(rest) > 0; {
		n, wire, head, size := field(rest)
		if size <= 0 {
			return nil, false
		}
		if n == number && wire == wireBytes {
			value, ok = rest[head:size], true
		}
		rest = rest[size:]
	}
	return value, ok
}

// Only gives the value of a field with a length that the message has once; else a decoder would join several, or give nothing.
func Only(message []byte, number uint64) (value []byte, ok bool) {
	for rest := message; len(rest) > 0; {
		n, wire, head, size := field(rest)
		if size <= 0 || n == number && (ok || wire != wireBytes) {
			return nil, false
		}
		if n == number {
			value, ok = rest[head:size], true
		}
		rest = rest[size:]
	}
	return value, ok
}

// field measures the first field: where its value begins and where it ends; size 0: it is not whole, or of an unknown type.
func field(message []byte) (number, wire uint64, head, size int) {
	tag, n := binary.Uvarint(message)
	if n <= 0 || tag>>3 == 0 {
		return 0, 0, 0, 0
	}
	number, wire, head = tag>>3, tag&7, n
	switch wire {
	case wireVarint:
		_, m := binary.Uvarint(message[n:])
		if m <= 0 {
			return 0, 0, 0, 0
		}
		size = n + m
	case wireI64:
		size = n + 8
	case wireI32:
		size = n + 4
	case wireBytes:
		length, m := binary.Uvarint(message[n:])
		if m <= 0 || length > uint64(len(message)-n-m) { //nolint:gosec // n and m are of the message
			return 0, 0, 0, 0
		}
		head = n + m
		size = head + int(length) //nolint:gosec // less than the message
	}
	if size > len(message) {
		return 0, 0, 0, 0
	}
	return number, wire, head, size
}
