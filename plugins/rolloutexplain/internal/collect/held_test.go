package collect

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestKeysOf(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields []string // of each manager
		keys   []string
		last   int // which one has written keys last, by its place; 0: none
	}{
		{"created", []string{`{"f:data":{".":{},"f:b":{},"f:a":{}}}`}, []string{"a", "b"}, 1},
		{"applied beside", []string{`{"f:data":{"f:a":{},"f:c":{}},"f:metadata":{"f:labels":{"f:x":{}}}}`, `{"f:data":{"f:b":{}},"f:immutable":{}}`}, []string{"a", "b", "c"}, 2},
		{"bytes, and a Secret's text", []string{`{"f:binaryData":{"f:k.jks":{}},"f:stringData":{"f:pw":{}},"f:type":{}}`}, []string{"k.jks", "pw"}, 1},
		{"one that cannot be read hides some", []string{`{"f:data":{"f:a":{}}}`, `[]`}, nil, 0},
		{"only labels", []string{`{"f:metadata":{"f:labels":{"f:x":{}}}}`}, nil, 0},
		{"labels last", []string{`{"f:data":{"f:a":{}}}`, `{"f:metadata":{"f:labels":{"f:x":{}}}}`}, []string{"a"}, 1},
		{"emptied", nil, nil, 0},
	} {
		var entries []metav1.ManagedFieldsEntry
		for i, f := range tt.fields {
			at := metav1.Unix(int64(i+1), 0)
			entries = append(entries, metav1.ManagedFieldsEntry{FieldsV1: metav1.NewFieldsV1(f), Time: &at})
		}
		got, changed := keysOf(entries)
		if !slices.Equal(got, tt.keys) || (changed == nil) != (tt.last == 0) || changed != nil && changed.Unix() != int64(tt.last) {
			t.Errorf("%s: %v %v; want %v of %d", tt.name, got, changed, tt.keys, tt.last)
		}
	}
}
