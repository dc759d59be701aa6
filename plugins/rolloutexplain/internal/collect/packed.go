package collect

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"io"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// packed keeps pods by their controller, compressed: those of one template are nearly the same, and lists are sorted by name, so
// that they come together. Those of a workload are decoded when it is judged.
type packed struct {
	byOwner map[types.UID][][]byte
	owner   types.UID
	pending []byte // pods of owner, each after its length
	writer  *flate.Writer
}

// largestBlock bounds what is compressed, and read again, at once.
const largestBlock = 1 << 20

// managedCut leaves managedFields out, which nobody looks at and which are half of a pod
// (field numbers: https://github.com/kubernetes/apimachinery/blob/v0.37.2/pkg/apis/meta/v1/generated.proto).
var managedCut = &kube.Cut{Into: map[uint64]*kube.Cut{1: {Drop: []uint64{17}}}}

func (c *Collector) packedPods(ctx context.Context, in *model.Input, mu *sync.Mutex, namespace string) error {
	core, pods := c.Typed.CoreV1(), &packed{}
	sink := &kube.Smaller{Sink: pods, Cut: managedCut}
	if err := kube.Each(ctx, core.RESTClient(), "pods", namespace, metav1.ListOptions{}, core.Pods(namespace).List, sink); err != nil {
		return err
	}
	if err := pods.flush(); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	in.Packed = pods
	return nil
}

func (s *packed) Restart() { *s = packed{byOwner: map[types.UID][][]byte{}, writer: s.writer} }

// Add keeps a pod that has a controller. It is decoded, so that one which cannot be is found while it can still be read otherwise.
func (s *packed) Add(encoded []byte) error {
	var pod corev1.Pod
	if err := pod.Unmarshal(encoded); err != nil {
		return err
	}
	owner := metav1.GetControllerOfNoCopy(&pod)
	if owner == nil {
		return nil
	}
	if owner.UID != s.owner || len(s.pending) > largestBlock {
		if err := s.flush(); err != nil {
			return err
		}
		s.owner = owner.UID
	}
	s.pending = append(binary.AppendUvarint(s.pending, uint64(len(encoded))), encoded...)
	return nil
}

func (s *packed) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	var out bytes.Buffer
	if s.writer == nil {
		var err error
		if s.writer, err = flate.NewWriter(&out, flate.BestSpeed); err != nil {
			return err
		}
	}
	s.writer.Reset(&out)
	if _, err := s.writer.Write(s.pending); err != nil {
		return err
	}
	if err := s.writer.Close(); err != nil {
		return err
	}
	s.byOwner[s.owner] = append(s.byOwner[s.owner], bytes.Clone(out.Bytes()))
	s.pending = s.pending[:0]
	return nil
}

// Of gives the pods of a controller.
func (s *packed) Of(owner types.UID) []corev1.Pod {
	var pods []corev1.Pod
	for _, block := range s.byOwner[owner] {
		data, err := io.ReadAll(flate.NewReader(bytes.NewReader(block)))
		for err == nil && len(data) > 0 {
			size, n := binary.Uvarint(data)
			if n <= 0 || size > uint64(len(data)-n) { //nolint:gosec // n is of the data
				break // flush writes no such length
			}
			var pod corev1.Pod
			if err = pod.Unmarshal(data[n : n+int(size)]); err == nil { //nolint:gosec // its length
				pods = append(pods, *slimPod(&pod))
			}
			data = data[n+int(size):] //nolint:gosec // as above
		}
		if err != nil {
			panic(err) // flush wrote it, and Add has decoded it
		}
	}
	return pods
}
