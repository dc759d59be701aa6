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
	}{
		{"created", []string{`{"f:data":{".":{},"f:b":{},"f:a":{}}}`}, []string{"a", "b"}},
		{"applied beside", []string{`{"f:data":{"f:a":{},"f:c":{}},"f:metadata":{"f:labels":{"f:x":{}}}}`, `{"f:data":{"f:b":{}},"f:immutable":{}}`}, []string{"a", "b", "c"}},
		{"bytes, and a Secret's text", []string{`{"f:binaryData":{"f:k.jks":{}},"f:stringData":{"f:pw":{}},"f:type":{}}`}, []string{"k.jks", "pw"}},
		{"one that cannot be read hides some", []string{`{"f:data":{"f:a":{}}}`, `[]`}, nil},
		{"only labels", []string{`{"f:metadata":{"f:labels":{"f:x":{}}}}`}, nil},
		{"emptied", nil, nil},
	} {
		var entries []metav1.ManagedFieldsEntry
		for _, f := range tt.fields {
			entries = append(entries, metav1.ManagedFieldsEntry{FieldsV1: metav1.NewFieldsV1(f)})
		}
		if got := keysOf(entries); !slices.Equal(got, tt.keys) {
			t.Errorf("%s: %v; want %v", tt.name, got, tt.keys)
		}
	}
}
