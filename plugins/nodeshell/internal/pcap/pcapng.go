package pcap

import (
	"encoding/binary"
	"io"
	"sync"
)

// Merged writes several captures as one pcapng file: an interface for each, named after its pod and node.
// https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/
type Merged struct {
	mu         sync.Mutex
	w          io.Writer
	interfaces uint32
	begun      bool
	program    string
}

// NewMerged writes to w; program is named in the file.
func NewMerged(w io.Writer, program string) *Merged { return &Merged{w: w, program: program} }

const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6

	optionEnd         = 0
	optionComment     = 1
	optionName        = 2
	optionDescription = 3
	optionUserAppl    = 4
	optionResolution  = 9
)

var order = binary.LittleEndian

// Add makes an interface of a stream and gives a function that writes its packets.
func (m *Merged) Add(h Header, name, description string) (write func(Record) (int, error), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.begun {
		m.begun = true
		body := order.AppendUint32(nil, 0x1a2b3c4d)
		body = order.AppendUint16(body, 1)
		body = order.AppendUint16(body, 0)
		body = order.AppendUint64(body, ^uint64(0)) // length unknown
		body = options(body, option{optionUserAppl, []byte(m.program)})
		if _, err := m.block(blockSection, body); err != nil {
			return nil, err
		}
	}
	resolution := byte(6)
	if h.Nano {
		resolution = 9
	}
	body := order.AppendUint16(nil, uint16(h.LinkType&0xffff)) // the upper half is the length of checksums
	body = order.AppendUint16(body, 0)
	body = order.AppendUint32(body, h.SnapLen)
	body = options(body, option{optionName, []byte(name)}, option{optionDescription, []byte(description)},
		option{optionComment, []byte(description)}, option{optionResolution, []byte{resolution}})
	if _, err := m.block(blockInterface, body); err != nil {
		return nil, err
	}
	id := m.interfaces
	m.interfaces++
	unit := uint64(1_000_000)
	if h.Nano {
		unit = 1_000_000_000
	}
	return func(r Record) (int, error) { return m.packet(id, unit, r) }, nil
}

func (m *Merged) packet(id uint32, unit uint64, r Record) (int, error) {
	at := uint64(r.Seconds)*unit + uint64(r.Fraction)
	data := r.Data()
	body := make([]byte, 0, 20+len(data)+4)
	body = order.AppendUint32(body, id)
	body = order.AppendUint32(body, uint32(at>>32))
	body = order.AppendUint32(body, uint32(at))        //nolint:gosec // the lower half
	body = order.AppendUint32(body, uint32(len(data))) //nolint:gosec // at most a record
	body = order.AppendUint32(body, r.Original)
	body = pad(append(body, data...))
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.block(blockPacket, body)
}

// block writes a whole block at once, so that a file never ends inside one.
func (m *Merged) block(kind uint32, body []byte) (int, error) {
	total := uint32(12 + len(body)) //nolint:gosec // at most a record
	b := make([]byte, 0, total)
	b = order.AppendUint32(b, kind)
	b = order.AppendUint32(b, total)
	b = append(b, body...)
	b = order.AppendUint32(b, total)
	return m.w.Write(b)
}

type option struct {
	code  uint16
	value []byte
}

func options(body []byte, list ...option) []byte {
	for _, o := range list {
		body = order.AppendUint16(body, o.code)
		body = order.AppendUint16(body, uint16(len(o.value))) //nolint:gosec // names of Kubernetes
		body = pad(append(body, o.value...))
	}
	return order.AppendUint32(body, optionEnd)
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
