package capture

import (
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
)

// What a next command repeats is what was asked for, not only the node.
func TestCallIsRepeatedWithItsTargets(t *testing.T) {
	onNode := collect.Target{Node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}
	onPod := collect.Target{Node: onNode.Node, Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}}
	o := Options{Given: []string{"--duration=30s", "--write=d/"}, Filter: "port 80"}
	for _, test := range []struct {
		o    Options
		on   collect.Target
		want string
	}{
		{o, onPod, "capture web --duration=30s --write=d/ -- port 80"},
		{o, onNode, "capture node/a --duration=30s --write=d/ -- port 80"},
		{Options{}, onPod, "capture web"},
	} {
		words, rest := test.o.call(test.on)
		if got := strings.Join(append(words, rest...), " "); got != test.want {
			t.Errorf("%q; want %q", got, test.want)
		}
	}
}

func TestWriteIntoADirectory(t *testing.T) {
	dir := t.TempDir()
	for write, want := range map[string]bool{dir: true, "new/": true, filepath.Join(dir, "x.pcap"): false, "-": false, "": false} {
		if got := (Options{Write: write}).dir(); got != want {
			t.Errorf("%q: %v", write, got)
		}
	}
}
