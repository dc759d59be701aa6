package collect

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
)

// packed keeps the pods of a fleet as they came, in protobuf, without what nobody judges: a tenth of the memory of the decoded
// objects, and nothing that the garbage collector has to follow. Those of a node are decoded when it is judged.
type packed struct {
	chunks  [][]byte
	byNode  map[string][]span
	scratch []byte
}

// span is where a pod is.
type span struct{ chunk, from, to uint32 }

// chunkSize is that of a chunk; a larger pod has one of its own.
const chunkSize = 1 << 20

// podCut leaves out what trimPods would; by the field numbers of
// https://github.com/kubernetes/api/blob/v0.37.2/core/v1/generated.proto.
func podCut(container *kube.Cut) *kube.Cut {
	status := &kube.Cut{Drop: []uint64{7, 8, 12, 13}} // imageID, containerID, volumeMounts, user
	return &kube.Cut{Into: map[uint64]*kube.Cut{
		1: {Drop: []uint64{2, 6, 17}, Into: map[uint64]*kube.Cut{12: {Keys: podAnnotations}}},
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

func (s *packed) Restart() { *s = packed{byNode: map[string][]span{}} }

// Add keeps a pod that is bound to a node; what is cut of one that is not as expected is cut when it is decoded.
func (s *packed) Add(encoded []byte) error {
	small, ok := cutOf(encoded).Apply(s.scratch[:0], encoded)
	if !ok {
		var pod corev1.Pod
		if err := pod.Unmarshal(encoded); err != nil {
			return err
		}
		small = append(small[:0], encoded...)
	}
	s.scratch = small
	node, err := nodeOf(small)
	if err != nil || node == "" {
		return err
	}
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < len(small) {
		s.chunks = append(s.chunks, make([]byte, 0, max(chunkSize, len(small))))
		last++
	}
	from := len(s.chunks[last])
	s.chunks[last] = append(s.chunks[last], small...)
	s.byNode[node] = append(s.byNode[node], span{uint32(last), uint32(from), uint32(from + len(small))})
	return nil
}

// nodeOf decodes the pod, so that one which cannot be is found while it can still be read otherwise.
func nodeOf(encoded []byte) (string, error) {
	var pod corev1.Pod
	err := pod.Unmarshal(encoded)
	return pod.Spec.NodeName, err
}

// On gives the pods of a node, by namespace and name.
func (s *packed) On(node string) []corev1.Pod {
	pods := make([]corev1.Pod, len(s.byNode[node]))
	for i, at := range s.byNode[node] {
		// Add has decoded it once.
		_ = pods[i].Unmarshal(s.chunks[at.chunk][at.from:at.to])
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return trimPods(pods)
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
