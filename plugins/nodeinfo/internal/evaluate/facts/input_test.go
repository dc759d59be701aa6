package facts

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a saved run did not find is missing once in a later look at it, and not at all where nobody asks for it.
func TestSelectTellsEachMissingNodeOnce(t *testing.T) {
	for _, tt := range []struct{ names, missing []string }{
		{nil, []string{"gone"}}, {[]string{"gone"}, []string{"gone"}}, {[]string{"w1"}, nil}, {[]string{"w1", "w9"}, []string{"w9"}},
	} {
		in := &Input{Nodes: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "w1"}}}, NotFound: []string{"gone"}}
		if in.Select(tt.names); !slices.Equal(in.NotFound, tt.missing) {
			t.Errorf("%v: missing %v, want %v", tt.names, in.NotFound, tt.missing)
		}
	}
}
