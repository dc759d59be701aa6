package session

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// Shared lets several nodes write whole lines to one stream.
type Shared struct {
	mu sync.Mutex
	w  io.Writer
}

// NewShared shares w.
func NewShared(w io.Writer) *Shared { return &Shared{w: w} }

// Prefixed gives a writer whose lines begin with prefix. Flush it at the end: the last line may lack its newline.
func (s *Shared) Prefixed(prefix string) *Prefixed { return &Prefixed{shared: s, prefix: prefix} }

// Prefixed writes whole lines with a prefix.
type Prefixed struct {
	shared *Shared
	prefix string
	rest   []byte
}

func (p *Prefixed) Write(data []byte) (int, error) {
	p.rest = append(p.rest, data...)
	end := bytes.LastIndexByte(p.rest, '\n')
	if end < 0 {
		return len(data), nil
	}
	var b bytes.Buffer
	for line := range bytes.Lines(p.rest[:end+1]) {
		b.WriteString(p.prefix)
		b.Write(line)
	}
	p.rest = append([]byte(nil), p.rest[end+1:]...)
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	_, err := p.shared.w.Write(b.Bytes())
	return len(data), err
}

// Flush writes a last line without its newline, as a line.
func (p *Prefixed) Flush() error {
	if len(p.rest) == 0 {
		return nil
	}
	_, err := p.Write([]byte("\n"))
	return err
}

// Output is what one node printed, for folding.
type Output struct {
	Node string
	Text string
	Code string // shown when it is not 0
}

// Fold groups nodes with identical output, as dshbak -c does: the largest group first, then by name.
func Fold(outputs []Output) string {
	groups := map[[2]string][]string{}
	for _, o := range outputs {
		key := [2]string{o.Text, o.Code}
		groups[key] = append(groups[key], o.Node)
	}
	keys := make([][2]string, 0, len(groups))
	for key := range groups {
		slices.Sort(groups[key])
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(len(groups[b]), len(groups[a])), cmp.Compare(groups[a][0], groups[b][0]))
	})
	var b strings.Builder
	for _, key := range keys {
		nodes := groups[key]
		title := strings.Join(nodes, ",")
		if len(nodes) > 1 {
			title = fmt.Sprintf("%s (%d nodes)", title, len(nodes))
		}
		if key[1] != "" && key[1] != "0" {
			title += ", exit code " + key[1]
		}
		fmt.Fprintf(&b, "== %s ==\n%s", title, key[0])
		if key[0] != "" && !strings.HasSuffix(key[0], "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
