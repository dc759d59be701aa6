package evaluate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/config"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Situations that users reported in public, with the answer that would have helped them.
func TestPublicReports(t *testing.T) {
	wanted := []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 54323}}
	for _, tt := range []struct {
		link    string
		verdict report.Verdict
		root    finding.Code
		says    string
		not     string
		next    string // in the first next command
		make    func() *builder
	}{
		{"https://github.com/kubernetes/kubernetes/issues/116891", report.Stuck, placement.PodAffinityUnsatisfied, "deadlock with old pod", "", "maxSurge", with(func(b *builder) {
			b.unscheduled("0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.")
			for i := range b.in.Pods {
				b.in.Pods[i].Labels = map[string]string{"app": "api"}
				b.in.Pods[i].Spec.Affinity = antiAffinityTo("api")
			}
		})},
		{"https://github.com/kubernetes/kubernetes/issues/106417", report.Stuck, placement.HostPortConflict, "deadlock with the node's old pod", "", "maxSurge", func() *builder {
			none, two := intstr.FromInt32(0), intstr.FromInt32(2)
			b := daemonCase(func(d *appsv1.DaemonSet) {
				d.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &none, MaxSurge: &two}
				d.Spec.Template.Spec.Containers[0].Ports = wanted
				d.Status.NumberAvailable, d.Status.NumberReady = 2, 2
			})
			b.in.Pods = b.in.Pods[:1]
			b.in.Pods[0].Spec.Containers[0].Ports = wanted
			b.ownedPod("agent-old", "DaemonSet", "ds", "r1", running(time.Hour), time.Hour).Spec.NodeName = "w2"
			b.in.Pods[1].Spec.Containers[0].Ports = wanted
			b.ownedPod("agent-new", "DaemonSet", "ds", "r2", waiting("", ""), time.Minute)
			b.pod = 2
			b.unscheduled("0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't satisfy plugin(s) [NodeAffinity].")
			b.c().Ports = wanted
			b.x().Spec.Affinity = daemonAffinity("w1")
			for i := range b.in.ControllerRevisions {
				patch, _ := json.Marshal(map[string]any{"spec": map[string]any{"template": b.in.DaemonSets[0].Spec.Template}})
				b.in.ControllerRevisions[i].Data.Raw = bytes.Replace(patch, []byte("agent:2"), fmt.Appendf(nil, "agent:%d", i+1), 1)
			}
			return b
		}},
		{"https://github.com/JiRaska/open-bank-oss/issues/3545", report.Stuck, placement.InsufficientResources, "deadlock with old pod", "", "maxSurge", with(func(b *builder) {
			b.d.Spec.Replicas, b.d.Status = ptr32(1), appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1, UnavailableReplicas: 1, Conditions: b.d.Status.Conditions}
			b.in.ReplicaSets[0].Spec.Replicas, b.in.ReplicaSets[0].Status = ptr32(1), appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
			b.in.Pods = append(b.in.Pods[:1], b.in.Pods[2])
			b.pod = 1
			b.unscheduled("0/2 nodes are available: 2 Insufficient cpu.")
			for i := range b.in.Pods {
				b.in.Pods[i].Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": quantity("1")}
			}
			b.old.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": quantity("1")}
			b.in.NodePods = []model.NodePod{
				{Node: "w1", Namespace: "shop", Name: "api-1-a", Requests: corev1.ResourceList{"cpu": quantity("1")}},
				{Node: "w1", Namespace: "other", Name: "o1", Requests: corev1.ResourceList{"cpu": quantity("500m")}},
				{Node: "w2", Namespace: "other", Name: "o2", Requests: corev1.ResourceList{"cpu": quantity("1500m")}},
			}
		})},
		{"https://github.com/Shopify/krane/pull/886", report.Progressing, pods.CreateContainerConfigError, "waits for the cache of the kubelet", "does not exist", "", with(func(b *builder) {
			b.status(waiting("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"))
			b.podEvent("Failed", "Error: failed to sync secret cache: timed out waiting for the condition", 2)
		})},
		{"https://github.com/moby/moby/issues/39505", report.Stuck, pods.RegistryUnavailable, "makes no TLS connection to registry docker.io for image \"api:2\" of container \"api\": tls: failed to verify certificate: x509", "", "", with(func(b *builder) {
			pulled(b, `failed to pull and unpack image "docker.io/tutum/hello-world:latest": failed to resolve reference "docker.io/tutum/hello-world:latest": failed to do request: Head "https://registry-1.docker.io/v2/tutum/hello-world/manifests/latest": tls: failed to verify certificate: x509: certificate is valid for gateway.example.com, not registry-1.docker.io`)
		})},
		{"https://github.com/moby/moby/issues/14486", report.Progressing, pods.RegistryUnavailable, "node w1 cannot resolve the host of registry", "certificate", "nodeinfo w1", with(func(b *builder) {
			pulled(b, `failed to pull and unpack image "quay.io/user/image:1": failed to resolve reference "quay.io/user/image:1": failed to do request: Head "https://quay.io/v2/user/image/manifests/1": dial tcp: lookup quay.io: no such host`)
		})},
		{"https://github.com/kubernetes/registry.k8s.io/issues/154", report.Progressing, pods.RegistryUnavailable, "gets no answer from registry", "cdn.example.com", "nodeinfo w1", with(func(b *builder) {
			pulled(b, `failed to pull and unpack image "registry.k8s.io/pause:3.8": failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://cdn.example.com/blob": remote error: tls: handshake failure`)
		})},
		{"https://github.com/aws/amazon-vpc-cni-k8s/issues/668", report.Progressing, pods.FailedCreatePodSandBox, "on node w1: failed to assign an IP address to container", "9234234234", "nodeinfo w1", with(func(b *builder) {
			b.podEvent("FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to set up sandbox container "9234234234de67e8234cdc5c23423dce7e20842b8334208a6bff3a8" network for pod "api-2-x": networkPlugin cni failed to set up pod "api-2-x_shop" network: add cmd: failed to assign an IP address to container`, 4)
		})},
		{"https://github.com/testground/testground/issues/569", report.Progressing, pods.FailedCreatePodSandBox, "on node w1: no IP addresses available in range set: 100.96.17.1-100.96.17.254", "7e3551dabf", "nodeinfo w1", with(func(b *builder) {
			b.podEvent("FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to set up sandbox container "7e3551dabf1a0249b0912ad4efaf9f8a028d19e7038dc50ad0894457c6e041d4" network for pod "api-2-x": networkPlugin cni failed to set up pod "api-2-x_shop" network: CNI Genie Add IP internal error: Error from cni: failed to allocate for range 0: no IP addresses available in range set: 100.96.17.1-100.96.17.254, result: %!!(MISSING)s(<nil>)`, 4)
		})},
		{"https://github.com/kubernetes/kubernetes/issues/97227", report.Progressing, placement.HostPortConflict, "host port 54323 on node w1 is in use by pod shop/api-1-a, which is terminating", "deadlock", "", with(func(b *builder) {
			none, one := intstr.FromInt32(0), intstr.FromInt32(1)
			b.d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: &none, MaxUnavailable: &one}
			b.unscheduled("0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.")
			for i := range b.in.Pods {
				b.in.Pods[i].Spec.Containers[0].Ports = wanted
			}
			b.ending(20 * time.Second)
			b.in.ReplicaSets[0].Spec.Replicas, b.in.ReplicaSets[0].Status = ptr32(1), appsv1.ReplicaSetStatus{Replicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
			b.d.Status.Replicas, b.d.Status.ReadyReplicas, b.d.Status.AvailableReplicas = 2, 1, 1
			b.in.NodePods = []model.NodePod{{Node: "w1", Namespace: "shop", Name: "api-1-a", HostPorts: []int32{54323}, Terminating: true}}
		})},
		{"https://github.com/curie-eng/curie/issues/2296", report.Stuck, pods.InitContainerFailing, "init container \"first\" crashes", "", "logs api-2-x -c first", with(func(b *builder) {
			initContainer(b, crashed(1, 5, "Error"), false)
		})},
		{"https://github.com/kubernetes/kubernetes/issues/90725", report.Progressing, config.ConfigMapNotFound, "the kubelet does not find ConfigMap \"kube-apiserver\", which exists now", "does not exist", "", with(func(b *builder) {
			b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "config" : configmap "kube-apiserver" not found`, 21)
			b.fetch(model.Need{Kind: model.NeedNames, Namespace: "shop", Name: "configmaps"})
			b.in.Held = append(b.in.Held, model.Held{ObjectRef: finding.ObjectRef{Kind: "ConfigMap", Namespace: "shop", Name: "kube-apiserver"}})
		})},
		{"https://github.com/wireapp/wire-server-deploy/issues/143", report.Stuck, pods.ContainerCrashing, "exit code 3", "", "logs", with(func(b *builder) {
			b.status(crashed(3, 5, "Error"))
			s := crashed(3, 2, "Error")
			s.Name = "api"
			b.in.Pods[0].Status.ContainerStatuses[0], b.in.Pods[0].Status.Conditions[2].Status = s, corev1.ConditionFalse
		})},
		{"https://github.com/vmware-archive/octant/issues/929", report.Stuck, config.SecretNotFound, `Secret "octant-kubeconfig" does not exist`, "", "get secrets", with(func(b *builder) {
			b.podEvent("FailedMount", `MountVolume.SetUp failed for volume "kubeconfig" : secret "octant-kubeconfig" not found`, 9)
		})},
		{"https://github.com/k3s-io/helm-controller/issues/250", report.Progressing, pods.ContainerStartError, `exec: "entry": executable file not found in $PATH`, "shim task", "", with(func(b *builder) {
			b.status(waiting("RunContainerError", `failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "entry": executable file not found in $PATH: unknown`))
		})},
		{"https://github.com/delimitrou/DeathStarBench/issues/358", report.Stuck, pods.ContainerStartError, `exec: "./user": stat ./user: no such file or directory`, "shim task", "", with(func(b *builder) {
			b.status(waiting("RunContainerError", `failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "./user": stat ./user: no such file or directory: unknown`))
			b.s().RestartCount = 6
		})},
		{"https://github.com/kubernetes/kubernetes/issues/88896", report.Stuck, kinds.StatefulSetPodNotReplaced, "db-1", "", "", func() *builder {
			b := statefulCase(func(s *appsv1.StatefulSet) {
				s.Status.CurrentRevision, s.Status.UpdateRevision, s.Generation, s.Status.ObservedGeneration = "db-r2", "db-r3", 3, 3
				s.Spec.Template = template("db:3")
				s.Status.UpdatedReplicas = 0
			})
			b.in.ControllerRevisions = append(b.in.ControllerRevisions, controllerRevision("db-r3", "StatefulSet", "db", "sts", 3, time.Minute, "db:3"))
			b.status(waiting("ImagePullBackOff", `Back-off pulling image "db:2"`))
			return b
		}},
	} {
		t.Run(tt.link, func(t *testing.T) {
			got := Evaluate(tt.make().in, now, model.Options{}).Items[0]
			root := finding.Code("")
			if r := wait.RootOf(&got); r != nil {
				root = r.Code
			}
			if got.Verdict != tt.verdict || root != tt.root || !strings.Contains(got.Summary, tt.says) || tt.not != "" && strings.Contains(got.Summary, tt.not) {
				t.Errorf("%s %s: %s\nwant %s %s: …%s… without %q", got.Verdict, root, got.Summary, tt.verdict, tt.root, tt.says, tt.not)
			}
			if tt.next != "" && (len(got.Findings[0].Next) == 0 || !strings.Contains(got.Findings[0].Next[0].Command, tt.next)) {
				t.Errorf("the first step is no %s: %+v", tt.next, got.Findings[0].Next)
			}
		})
	}
}

func ptr32(n int32) *int32 { return &n }

func pulled(b *builder, text string) {
	b.status(waiting("ErrImagePull", text))
	b.podEvent("Failed", "Failed to pull image: "+text, 2)
}

func daemonAffinity(node string) *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
	}}}}}
}
