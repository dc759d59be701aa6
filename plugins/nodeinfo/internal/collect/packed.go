package collect

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect/trim"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// packed keeps the pods of a fleet in a form that the garbage collector need not follow. Most are settled: what they take of their
// node is equal for all pods of a workload, and kept once; beside it stand name and address. The others are kept as they came, in
// protobuf, without what nobody judges, and decoded when their node is judged.
type packed struct {
	whole   bool // none is reduced
	chunks  [][]byte
	byNode  map[string]*onNode
	shapes  []corev1.Pod   // of settled pods
	seen    map[string]int // what is judged of a pod, encoded: the number of its shape, or unsettled
	known   map[string]int // shapes, encoded
	spaces  []string       // namespaces
	scratch []byte
}

// unsettled is no shape. Of more than mostShapes, the others are kept whole: a fleet has few.
const (
	unsettled  = -1
	mostShapes = 1 << 13
)

// onNode are the pods of a node.
type onNode struct {
	whole   []span
	settled []byte // of each the number of its shape and of its namespace, its name and its address
	count   int
}

// span is where a pod is.
type span struct{ chunk, from, to uint32 }

// chunkSize is that of a chunk; a larger pod has one of its own.
const chunkSize = 1 << 18

// podCut leaves out what trim.Pods would; by the field numbers of
// https://github.com/kubernetes/api/blob/v0.37.2/core/v1/generated.proto.
func podCut(container *kube.Cut) *kube.Cut {
	status := &kube.Cut{Drop: []uint64{7, 8, 12, 13}} // imageID, containerID, volumeMounts, user
	return &kube.Cut{Into: map[uint64]*kube.Cut{
		1: {Drop: []uint64{2, 6, 17}, Into: map[uint64]*kube.Cut{12: {Keys: trim.PodAnnotations}}},
		2: {
			Drop: []uint64{1, 8, 9, 14, 15, 18, 19, 22, 23, 26, 33, 34},
			Into: map[uint64]*kube.Cut{2: container, 20: container},
		},
		3: {Into: map[uint64]*kube.Cut{8: status, 10: status}},
	}}
}

// Of containers are kept name, image, resources and restartPolicy; of those whose arguments are judged also command and args.
var (
	withArguments    = podCut(&kube.Cut{Drop: []uint64{5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 25}})
	withoutArguments = podCut(&kube.Cut{Drop: []uint64{3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 25}})
)

// cutOf chooses by the metadata, of which there may be several parts: then the arguments are kept.
func cutOf(encoded []byte) *kube.Cut {
	meta, _ := kube.Field(encoded, 1)
	name, _ := kube.Field(meta, 1)
	namespace, _ := kube.Field(meta, 3)
	if strings.Contains(string(name), "kube-proxy") || string(namespace) == metav1.NamespaceSystem || len(name) == 0 || len(namespace) == 0 {
		return withArguments
	}
	return withoutArguments
}

func (s *packed) Restart() {
	*s = packed{whole: s.whole, byNode: map[string]*onNode{}, seen: map[string]int{}, known: map[string]int{}}
}

// settledCut leaves of a pod what says whether it is settled, and what it takes: not its names, its times, or what it runs.
var settledCut = func() *kube.Cut {
	container := &kube.Cut{Drop: []uint64{2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21, 22, 23, 25}}
	status := &kube.Cut{
		// image, imageID, containerID, volumeMounts, user; of the state its times
		Drop: []uint64{6, 7, 8, 12, 13},
		Into: map[uint64]*kube.Cut{2: {Into: map[uint64]*kube.Cut{2: {Drop: []uint64{1}}, 3: {Drop: []uint64{4, 5, 6, 7}}}}},
	}
	return &kube.Cut{Into: map[uint64]*kube.Cut{
		1: {
			Drop: []uint64{1, 2, 3, 4, 5, 6, 8, 11, 14, 17},
			Into: map[uint64]*kube.Cut{12: {Keys: trim.PodAnnotations}, 13: {Drop: []uint64{3, 4, 5}}}, // of owners the kind
		},
		2: {
			Drop: []uint64{1, 7, 8, 9, 10, 14, 15, 16, 17, 18, 19, 22, 23, 24, 26, 27, 28, 33, 34},
			Into: map[uint64]*kube.Cut{2: container, 20: container},
		},
		3: {
			Drop: []uint64{5, 6, 7, 12, 16}, // addresses, startTime
			Into: map[uint64]*kube.Cut{2: {Drop: []uint64{3, 4}}, 8: status, 10: status},
		},
	}}
}()

// Add keeps a pod that is bound to a node. What is judged of it is decoded, so that one which cannot be is found while it can still be
// read otherwise; what is cut of one that is not as expected is cut when it is decoded again.
func (s *packed) Add(encoded []byte) error {
	if !s.whole && s.settle(encoded) {
		return nil
	}
	small, ok := cutOf(encoded).Apply(s.scratch[:0], encoded)
	if !ok {
		small = append(small[:0], encoded...)
	}
	s.scratch = small
	var pod corev1.Pod
	if err := pod.Unmarshal(small); err != nil || pod.Spec.NodeName == "" {
		return err
	}
	on := s.on(pod.Spec.NodeName)
	on.count++
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < len(small) {
		s.chunks = append(s.chunks, make([]byte, 0, max(chunkSize, len(small))))
		last++
	}
	from := len(s.chunks[last])
	s.chunks[last] = append(s.chunks[last], small...)
	on.whole = append(on.whole, span{uint32(last), uint32(from), uint32(from + len(small))}) //nolint:gosec // within a chunk
	return nil
}

func (s *packed) on(node string) *onNode {
	on := s.byNode[node]
	if on == nil {
		on = &onNode{}
		s.byNode[node] = on
	}
	return on
}

// settle keeps a pod if it is settled: of those of which the same is judged, the first is decoded.
func (s *packed) settle(encoded []byte) bool {
	meta, ok1 := kube.Only(encoded, 1)
	spec, ok2 := kube.Only(encoded, 2)
	status, ok3 := kube.Only(encoded, 3)
	name, ok4 := kube.Only(meta, 1)
	namespace, ok5 := kube.Only(meta, 3)
	node, ok6 := kube.Only(spec, 10)
	address, ok7 := kube.Only(status, 6)
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) || len(node) == 0 {
		return false
	}
	judged, ok := settledCut.Apply(s.scratch[:0], encoded)
	if !ok {
		return false
	}
	s.scratch = judged
	number, known := s.seen[string(judged)]
	if !known && len(s.seen) < mostShapes {
		number, known = s.shape(judged), true
		s.seen[string(judged)] = number
	}
	if !known || number == unsettled {
		return false
	}
	if last := len(s.spaces) - 1; last < 0 || s.spaces[last] != string(namespace) { // they come by namespace
		s.spaces = append(s.spaces, string(namespace))
	}
	on := s.on(string(node))
	on.count++
	on.settled = binary.AppendUvarint(on.settled, uint64(number))          //nolint:gosec // an index
	on.settled = binary.AppendUvarint(on.settled, uint64(len(s.spaces)-1)) //nolint:gosec // an index
	for _, text := range [][]byte{name, address} {
		on.settled = append(binary.AppendUvarint(on.settled, uint64(len(text))), text...)
	}
	return true
}

// shape gives the number of the shape of a pod, of which that is encoded what is judged.
func (s *packed) shape(judged []byte) int {
	var pod corev1.Pod
	if pod.Unmarshal(judged) != nil {
		return unsettled
	}
	shape, ok := evaluate.Settled(&pod)
	if !ok {
		return unsettled
	}
	key, err := shape.Marshal()
	if err != nil {
		return unsettled
	}
	number, known := s.known[string(key)]
	if !known {
		number = len(s.shapes)
		s.known[string(key)] = number
		s.shapes = append(s.shapes, shape)
	}
	return number
}

// On gives the pods of a node, by namespace and name. What they share is to be read only.
func (s *packed) On(node string) []evaluate.Bound {
	on := s.byNode[node]
	if on == nil {
		return nil
	}
	pods := make([]evaluate.Bound, len(on.whole), on.count)
	for i, at := range on.whole {
		_ = pods[i].Unmarshal(s.chunks[at.chunk][at.from:at.to]) // Add has decoded it once
		trim.Pod(&pods[i].Pod)
	}
	rest := on.settled
	number := func() uint64 {
		n, size := binary.Uvarint(rest)
		rest = rest[size:]
		return n
	}
	text := func() string {
		size := number()
		value := string(rest[:size])
		rest = rest[size:]
		return value
	}
	for len(rest) > 0 {
		shape := number()
		pod := evaluate.Bound{Pod: s.shapes[shape], Shape: int(shape) + 1} //nolint:gosec // an index
		pod.Namespace, pod.Name, pod.Status.PodIP = s.spaces[number()], text(), text()
		pod.Spec.NodeName = node
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b evaluate.Bound) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return pods
}

// drainList keeps of each pod what a drain asks.
type drainList struct {
	trim func([]corev1.Pod) []corev1.Pod
	pods []corev1.Pod
}

func (s *drainList) Restart() { s.pods = nil }

func (s *drainList) Add(encoded []byte) error {
	var pod corev1.Pod
	if err := pod.Unmarshal(encoded); err != nil {
		return err
	}
	s.pods = append(s.pods, s.trim([]corev1.Pod{pod})...)
	return nil
}
