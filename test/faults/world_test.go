package faults

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/apiserver"
)

// programs are those of the embedded cluster. Without them these tests say so.
func programs(t testing.TB) string {
	t.Helper()
	home, _ := os.UserHomeDir()
	found, _ := filepath.Glob(filepath.Join(home, ".cache/kubectl-runbooks/bin/*/kube-apiserver"))
	for _, path := range found {
		if _, err := exec.LookPath(path); err == nil {
			return filepath.Dir(path)
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no kube-apiserver: `make programs` makes it")
	}
	t.Skip("there is no kube-apiserver: `make programs` makes it")
	return ""
}

// realServer starts an API server and fills it with a small world.
func realServer(t testing.TB) *url.URL {
	t.Helper()
	bin := programs(t)
	server, err := apiserver.Start(t.Context(), bin, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if err := server.Serve(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: t.Context(), now: time.Now()}
	w.client, err = kubernetes.NewForConfig(&rest.Config{
		Host: server.API, BearerToken: apiserver.Token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.fill()
	address, err := url.Parse(server.API)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// world is what the API server holds: two nodes that are well and one without a network; cluster DNS; a rollout that is
// complete, and one whose image is not pulled.
type world struct {
	t      testing.TB
	ctx    context.Context
	client *kubernetes.Clientset
	now    time.Time
}

func made[T any](w *world, create func(context.Context, T, metav1.CreateOptions) (T, error), o T) T {
	w.t.Helper()
	out, err := create(w.ctx, o, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func stated[T any](w *world, update func(context.Context, T, metav1.UpdateOptions) (T, error), o T) {
	w.t.Helper()
	if _, err := update(w.ctx, o, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) fill() {
	w.t.Helper()
	for _, name := range []string{"kube-node-lease", "kube-system", "default"} { // some are made by the server itself, later
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := w.client.CoreV1().Namespaces().Create(w.ctx, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			w.t.Fatal(err)
		}
		if name != "kube-node-lease" {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
			made(w, w.client.CoreV1().ServiceAccounts(name).Create, account)
		}
	}
	for i, name := range []string{"w1", "w2", "w3"} {
		w.node(i, name, name == "w3")
	}
	w.dns()
	w.workload("default", "web", map[string]string{"app": "web"}, "", nil)
	w.workload("default", "broken", map[string]string{"app": "broken"}, "ImagePullBackOff", nil)
	web := intstr.FromInt32(1)
	budget := made(w, w.client.PolicyV1().PodDisruptionBudgets("default").Create, &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: &web, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	})
	budget.Status = policyv1.PodDisruptionBudgetStatus{
		ObservedGeneration: budget.Generation, DisruptionsAllowed: 1, CurrentHealthy: 2, DesiredHealthy: 1, ExpectedPods: 2,
	}
	stated(w, w.client.PolicyV1().PodDisruptionBudgets("default").UpdateStatus, budget)
}

func (w *world) node(i int, name string, broken bool) {
	ready, reason, message := corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"
	if broken {
		ready, reason = corev1.ConditionFalse, "KubeletNotReady"
		message = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized"
	}
	n := made(w, w.client.CoreV1().Nodes().Create, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		}},
		Spec: corev1.NodeSpec{ProviderID: "cloud:///a/" + name, PodCIDR: fmt.Sprintf("10.0.%d.0/24", i), PodCIDRs: []string{fmt.Sprintf("10.0.%d.0/24", i)}},
	})
	n.Spec.Taints = nil // the server's admission taints what is new
	if broken {
		n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoExecute}}
	}
	n, err := w.client.CoreV1().Nodes().Update(w.ctx, n, metav1.UpdateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	n.Status = corev1.NodeStatus{
		Capacity:        amounts("cpu", "4", "memory", "8Gi", "pods", "110", "ephemeral-storage", "100Gi"),
		Allocatable:     amounts("cpu", "4", "memory", "8Gi", "pods", "110", "ephemeral-storage", "100Gi"),
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("192.0.2.%d", i+1)}},
		VolumesAttached: []corev1.AttachedVolume{{Name: "kubernetes.io/csi/disk.example.com^v-" + corev1.UniqueVolumeName(name)}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: "v1.36.3", ContainerRuntimeVersion: "containerd://2.1.4", OSImage: "Linux", KernelVersion: "6.12.0",
			OperatingSystem: "linux", Architecture: "amd64",
		},
	}
	at := metav1.NewTime(w.now)
	for _, c := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady} {
		condition := corev1.NodeCondition{
			Type: c, Status: corev1.ConditionFalse, Reason: "KubeletHasEnough", Message: "enough", LastHeartbeatTime: at, LastTransitionTime: at,
		}
		if c == corev1.NodeReady {
			condition.Status, condition.Reason, condition.Message = ready, reason, message
		}
		n.Status.Conditions = append(n.Status.Conditions, condition)
	}
	stated(w, w.client.CoreV1().Nodes().UpdateStatus, n)
	made(w, w.client.StorageV1().CSINodes().Create, &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: name}})
	renewed, seconds := metav1.NewMicroTime(w.now), int32(3600) // it outlasts a slow run
	made(w, w.client.CoordinationV1().Leases("kube-node-lease").Create, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, RenewTime: &renewed, LeaseDurationSeconds: &seconds},
	})
}

func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

const corefile = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
`

func (w *world) dns() {
	set := map[string]string{"k8s-app": "kube-dns"}
	made(w, w.client.CoreV1().ConfigMaps("kube-system").Create, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "coredns"}, Data: map[string]string{"Corefile": corefile},
	})
	made(w, w.client.CoreV1().ConfigMaps("kube-system").Create, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "kubelet-config"},
		Data:       map[string]string{"kubelet": "clusterDNS: [10.96.0.10]\nclusterDomain: cluster.local\nresolvConf: /etc/resolv.conf\n"},
	})
	made(w, w.client.CoreV1().ConfigMaps("kube-system").Create, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-proxy"}, Data: map[string]string{"config.conf": "mode: iptables\n"},
	})
	w.workload("kube-system", "coredns", set, "", func(spec *corev1.PodSpec) {
		spec.DNSPolicy = corev1.DNSDefault
		c := &spec.Containers[0]
		c.Args = []string{"-conf", "/etc/coredns/Corefile"}
		c.Ports = []corev1.ContainerPort{
			{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP},
			{Name: "dns-tcp", ContainerPort: 53, Protocol: corev1.ProtocolTCP},
			{Name: "metrics", ContainerPort: 9153, Protocol: corev1.ProtocolTCP},
		}
		c.VolumeMounts = []corev1.VolumeMount{{Name: "config-volume", MountPath: "/etc/coredns"}}
		spec.Volumes = []corev1.Volume{{Name: "config-volume", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "coredns"},
		}}}}
	})
	w.service("kube-system", "kube-dns", "10.96.0.10", set, 53)
	w.service("default", "web", "10.96.0.20", map[string]string{"app": "web"}, 80)
}

func (w *world) service(namespace, name, ip string, selector map[string]string, port int32) {
	protocols := []corev1.Protocol{corev1.ProtocolTCP}
	if port == 53 {
		protocols = append(protocols, corev1.ProtocolUDP)
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: selector}, Spec: corev1.ServiceSpec{ClusterIP: ip, Selector: selector},
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range protocols {
		portName := strings.ToLower(fmt.Sprintf("p%d-%s", port, p))
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: portName, Port: port, Protocol: p, TargetPort: intstr.FromInt32(port)})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &portName, Port: &port, Protocol: &p})
	}
	pods, err := w.client.CoreV1().Pods(namespace).List(w.ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: selector})})
	if err != nil {
		w.t.Fatal(err)
	}
	yes := true
	for i := range pods.Items {
		p := &pods.Items[i]
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{p.Status.PodIP}, NodeName: &p.Spec.NodeName, Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: p.Name, UID: p.UID},
		})
	}
	made(w, w.client.CoreV1().Services(namespace).Create, service)
	made(w, w.client.DiscoveryV1().EndpointSlices(namespace).Create, slice)
}

// workload makes a Deployment of two pods, complete or waiting for a reason.
func (w *world) workload(namespace, name string, set map[string]string, waits string, change func(*corev1.PodSpec)) {
	w.t.Helper()
	two := int32(2)
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: set},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: name, Image: "registry.test/" + name + ":1",
			Resources: corev1.ResourceRequirements{Requests: amounts("cpu", "100m", "memory", "70Mi"), Limits: amounts("memory", "170Mi")},
		}}},
	}
	if change != nil {
		change(&template.Spec)
	}
	selector := &metav1.LabelSelector{MatchLabels: set}
	d := made(w, w.client.AppsV1().Deployments(namespace).Create, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: set, Annotations: map[string]string{"deployment.kubernetes.io/revision": "1"}},
		Spec:       appsv1.DeploymentSpec{Replicas: &two, Selector: selector, Template: template},
	})
	hash := map[string]string{"pod-template-hash": "5d4f"}
	for k, v := range set {
		hash[k] = v
	}
	template.Labels = hash
	rs := made(w, w.client.AppsV1().ReplicaSets(namespace).Create, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: name + "-5d4f", Labels: hash, Annotations: map[string]string{"deployment.kubernetes.io/revision": "1"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Replicas: &two, Selector: &metav1.LabelSelector{MatchLabels: hash}, Template: template},
	})
	for i, node := range []string{"w1", "w2"} {
		w.pod(rs, i, node, waits)
	}
	ready, available := two, corev1.ConditionTrue
	if waits != "" {
		ready, available = 0, corev1.ConditionFalse
	}
	at := metav1.NewTime(w.now)
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: ready, AvailableReplicas: ready, UnavailableReplicas: 2 - ready,
		Conditions: []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentAvailable, Status: available, LastUpdateTime: at, LastTransitionTime: at},
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable", LastUpdateTime: at, LastTransitionTime: at},
		},
	}
	if waits != "" {
		d.Status.Conditions[1].Reason = "ReplicaSetUpdated"
	}
	stated(w, w.client.AppsV1().Deployments(namespace).UpdateStatus, d)
	rs.Status = appsv1.ReplicaSetStatus{
		ObservedGeneration: rs.Generation, Replicas: 2, FullyLabeledReplicas: 2, ReadyReplicas: ready, AvailableReplicas: ready,
	}
	stated(w, w.client.AppsV1().ReplicaSets(namespace).UpdateStatus, rs)
}

func (w *world) pod(rs *appsv1.ReplicaSet, i int, node, waits string) {
	name := rs.Spec.Template.Spec.Containers[0].Name
	spec := *rs.Spec.Template.Spec.DeepCopy()
	spec.NodeName = node
	p := made(w, w.client.CoreV1().Pods(rs.Namespace).Create, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%d", rs.Name, i), Labels: rs.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: spec,
	})
	at := metav1.NewTime(w.now.Add(-5 * time.Minute))
	ready := corev1.ConditionTrue
	state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}}
	phase := corev1.PodRunning
	if waits != "" {
		ready, phase = corev1.ConditionFalse, corev1.PodPending
		state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: waits, Message: `Back-off pulling image "registry.test/broken:1"`}}
		made(w, w.client.CoreV1().Events(rs.Namespace).Create, &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: p.Name + ".1", Namespace: rs.Namespace},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: rs.Namespace, Name: p.Name, UID: p.UID},
			Type:           corev1.EventTypeWarning, Reason: "Failed", Message: `Failed to pull image "registry.test/broken:1": not found`,
			FirstTimestamp: at, LastTimestamp: at, Count: 3, Source: corev1.EventSource{Component: "kubelet", Host: node},
		})
	}
	p.Status = corev1.PodStatus{Phase: phase, StartTime: &at, HostIP: "192.0.2.1", PodIP: podIP(rs.UID, i), ContainerStatuses: []corev1.ContainerStatus{{
		Name: name, Ready: waits == "", State: state, Image: spec.Containers[0].Image, ContainerID: "containerd://" + strings.Repeat("a", 64),
	}}}
	p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
	for _, c := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		status := ready
		if c == corev1.PodScheduled || c == corev1.PodInitialized {
			status = corev1.ConditionTrue
		}
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: status, LastTransitionTime: at})
	}
	stated(w, w.client.CoreV1().Pods(rs.Namespace).UpdateStatus, p)
}

// podIP is another for each pod.
func podIP(uid types.UID, i int) string {
	sum := byte(0)
	for _, b := range []byte(uid) {
		sum = sum*31 + b
	}
	return fmt.Sprintf("10.0.%d.%d", i, 1+int(sum)%250)
}
