package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/apiserver"
)

// batch is how many objects are written at once: etcd takes 128 operations in a transaction.
const batch = 100

// write puts a fleet into etcd, as the API server stores it.
func write(ctx context.Context, etcd string, size size, now time.Time) error {
	nodes, pods := size.nodes, size.pods
	w := &writer{ctx: ctx, etcd: etcd}
	for i := range nodes {
		name := nodeName(i)
		w.put("/registry/minions/"+name, "v1", "Node", node(i, now))
		w.put("/registry/leases/kube-node-lease/"+name, "coordination.k8s.io/v1", "Lease", lease(name, now))
	}
	for i := range pods {
		p := pod(i, nodeName(i%nodes), now)
		w.put("/registry/pods/"+p.Namespace+"/"+p.Name, "v1", "Pod", p)
	}
	w.workloads(pods, size.services, now)
	w.flush()
	return w.err
}

// size is that of a fleet.
type size struct{ nodes, pods, services int }

type message interface{ Marshal() ([]byte, error) }

// operation is one of a transaction of etcd's JSON gateway.
type operation struct {
	RequestPut struct {
		Key   []byte `json:"key"`
		Value []byte `json:"value"`
	} `json:"requestPut"`
}

type writer struct {
	ctx  context.Context
	etcd string
	ops  []operation
	err  error
}

func (w *writer) put(key, version, kind string, object message) {
	if w.err != nil {
		return
	}
	raw, err := object.Marshal()
	if err != nil {
		w.err = err
		return
	}
	envelope := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: version, Kind: kind}, Raw: raw}
	data, err := envelope.Marshal()
	if err != nil {
		w.err = err
		return
	}
	var op operation
	op.RequestPut.Key, op.RequestPut.Value = []byte(key), append([]byte("k8s\x00"), data...)
	if w.ops = append(w.ops, op); len(w.ops) == batch {
		w.flush()
	}
}

func (w *writer) flush() {
	if w.err != nil || len(w.ops) == 0 {
		return
	}
	body, err := json.Marshal(map[string]any{"success": w.ops})
	if err != nil {
		w.err = err
		return
	}
	w.ops = w.ops[:0]
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.etcd+"/v3/kv/txn", bytes.NewReader(body))
	if err != nil {
		w.err = err
		return
	}
	response, err := apiserver.Client.Do(r)
	if err != nil {
		w.err = err
		return
	}
	defer response.Body.Close() //nolint:errcheck // only the status matters
	if response.StatusCode != http.StatusOK {
		w.err = fmt.Errorf("etcd: %s", response.Status)
	}
}

func nodeName(i int) string { return fmt.Sprintf("node-%05d.pool-%d.example.internal", i, i%7) }

func uid(kind, i int) types.UID {
	return types.UID(fmt.Sprintf("%08x-0000-4000-8000-%012x", kind, i))
}

func times(now time.Time) (created, changed metav1.Time) {
	return metav1.NewTime(now.Add(-240 * time.Hour).Truncate(time.Second)), metav1.NewTime(now.Add(-time.Hour).Truncate(time.Second))
}

func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func node(i int, now time.Time) *corev1.Node {
	created, changed := times(now)
	name := nodeName(i)
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: uid(1, i), CreationTimestamp: created,
			Labels: map[string]string{
				"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
				"topology.kubernetes.io/zone": "zone-" + string(rune('a'+i%3)), "node.kubernetes.io/instance-type": "large-16",
			},
			ManagedFields: managed("kubelet", nodeFields, created, changed),
		},
		Spec: corev1.NodeSpec{PodCIDR: fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)},
		Status: corev1.NodeStatus{
			Capacity:    amounts("cpu", "16", "memory", "64Gi", "pods", "110", "ephemeral-storage", "200Gi"),
			Allocatable: amounts("cpu", "15800m", "memory", "61Gi", "pods", "110", "ephemeral-storage", "180Gi"),
			// A kubelet that is asked for a log refuses at once there.
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("127.200.%d.%d", i/250, i%250+1)}},
			NodeInfo: corev1.NodeSystemInfo{
				KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "containerd://2.1.4", OSImage: "Debian GNU/Linux 13",
				KernelVersion: "6.12.0", OperatingSystem: "linux", Architecture: "amd64", MachineID: string(uid(2, i)), BootID: string(uid(3, i)),
			},
		},
	}
	for _, c := range []struct {
		kind   corev1.NodeConditionType
		status corev1.ConditionStatus
		reason string
	}{
		{corev1.NodeMemoryPressure, "False", "KubeletHasSufficientMemory"},
		{corev1.NodeDiskPressure, "False", "KubeletHasNoDiskPressure"},
		{corev1.NodePIDPressure, "False", "KubeletHasSufficientPID"},
		{corev1.NodeReady, "True", "KubeletReady"},
	} {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: c.kind, Status: c.status, Reason: c.reason, Message: "kubelet reports " + c.reason,
			LastHeartbeatTime: metav1.NewTime(now), LastTransitionTime: created,
		})
	}
	for k := range 40 {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{
			Names: []string{
				fmt.Sprintf("registry.example.internal/team-%d/service@sha256:%064x", k, k*7919),
				fmt.Sprintf("registry.example.internal/team-%d/service:v1.%d.0", k, k),
			},
			SizeBytes: int64(k+1) << 24,
		})
	}
	return n
}

// renew writes the Leases anew, as kubelets do every ten seconds: nodes that stopped reporting take more to judge.
func renew(ctx context.Context, etcd string, nodes int, now time.Time) error {
	w := &writer{ctx: ctx, etcd: etcd}
	for i := range nodes {
		name := nodeName(i)
		w.put("/registry/leases/kube-node-lease/"+name, "coordination.k8s.io/v1", "Lease", lease(name, now))
	}
	w.flush()
	return w.err
}

func lease(name string, now time.Time) *coordinationv1.Lease {
	renewed, seconds := metav1.NewMicroTime(now), int32(40)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-node-lease", CreationTimestamp: metav1.NewTime(now)},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, RenewTime: &renewed, LeaseDurationSeconds: &seconds},
	}
}
