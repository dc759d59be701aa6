package lines

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrefixedKeepsLinesWhole(t *testing.T) {
	var out bytes.Buffer
	shared := NewShared(&out)
	a, b := shared.Prefixed("[a] "), shared.Prefixed("[b] ")
	for _, w := range []struct {
		p    *Prefixed
		text string
	}{{a, "one\ntw"}, {b, "x"}, {a, "o\n"}, {b, "y\nz"}} {
		if _, err := io.WriteString(w.p, w.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Flush(), b.Flush()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("[a] one\n[a] two\n[b] xy\n[b] z\n", out.String()); d != "" {
		t.Error(d)
	}
}
