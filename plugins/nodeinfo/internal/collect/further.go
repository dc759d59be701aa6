package collect

import (
	"context"
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// further reads what concerns only some nodes, once it is known what the named ones are.
func (c *collector) further(ctx context.Context) {
	if slices.ContainsFunc(c.in.Pods, func(p corev1.Pod) bool { return evaluate.IsProxy(&p) }) {
		c.spawn(func() { c.proxyMode(ctx) })
	}
	if slices.ContainsFunc(c.in.Nodes, c.concernedByReadyz) {
		c.spawn(func() { c.readyz(ctx) })
	}
	if slices.ContainsFunc(c.in.Nodes, func(n corev1.Node) bool { return autoscaler.MayManage(&n) }) {
		c.spawn(func() { c.clusterAutoscaler(ctx) })
	}
	if slices.ContainsFunc(c.in.Nodes, func(n corev1.Node) bool { return c.mayAttach(n.Name) }) {
		c.spawn(func() { c.attachments(ctx) })
	} else {
		c.put(source.Source{Name: evaluate.SourceAttachments, State: source.OK}, nil) // known: there is none
	}
	c.wg.Wait()
}

// concernedByReadyz says whether the API server's own checks may tell why a node is not well: it has a part of the control plane, or is
// not Ready, as all nodes are when nothing can be written.
func (c *collector) concernedByReadyz(n corev1.Node) bool {
	return !nodefact.PostedReady(&n) || nodefact.ControlPlane(&n) || slices.ContainsFunc(c.in.Pods, func(p corev1.Pod) bool {
		return p.Spec.NodeName == n.Name && component.ControlPlane(&p) != ""
	})
}

// proxyMode reads kube-proxy's configuration where kubeadm keeps it. Only the mode and the health port are kept.
func (c *collector) proxyMode(ctx context.Context) {
	config, err := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "kube-proxy", metav1.GetOptions{})
	s := kube.SourceOf(evaluate.SourceProxyConfig, "get", "configmaps/kube-proxy in kube-system", err)
	var file struct {
		Mode    string `json:"mode"`
		Healthz string `json:"healthzBindAddress"`
	}
	if s.Readable() {
		if err := yaml.Unmarshal([]byte(config.Data["config.conf"]), &file); err != nil || config.Data["config.conf"] == "" {
			s = source.Source{Name: s.Name, State: source.Absent, Message: "ConfigMap kube-system/kube-proxy has no readable config.conf"}
		}
	}
	c.put(s, func(in *evaluate.Input) { in.ProxyMode, in.ProxyHealthz = file.Mode, file.Healthz })
}

// mayAttach says whether a node may have volumes that were attached, or wait for that.
func (c *collector) mayAttach(name string) bool {
	return c.attached[name] || !c.in.NodeSources[name].Get(evaluate.SourcePods).Readable()
}

// attaches says whether a pod has a volume that may have to be attached: any but those that the kubelet makes by itself.
func attaches(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
		return v.HostPath == nil && v.EmptyDir == nil && v.ConfigMap == nil && v.Secret == nil && v.Projected == nil && v.DownwardAPI == nil &&
			v.Image == nil
	})
}

// attachments lists those of the cluster where a named node may have one: by its status, which the attach-detach controller keeps until
// a volume is detached, or by a pod with a volume that is attached before it is mounted.
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/#NodeStatus
func (c *collector) attachments(ctx context.Context) {
	list, err := c.client.StorageV1().VolumeAttachments().List(ctx, cached())
	c.put(kube.SourceOf(evaluate.SourceAttachments, "list", "volumeattachments.storage.k8s.io", err), func(in *evaluate.Input) {
		in.VolumeAttachments = list.Items
	})
}

// readyzEnd stands in the last line of each answer of /readyz?verbose: "readyz check passed" or failed. Without it, the answer is
// cut, or somebody else's.
const readyzEnd = "readyz check "

// readyz keeps the text also when the API server says that it is not ready (500).
func (c *collector) readyz(ctx context.Context) {
	result := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").Do(ctx)
	body, err := result.Raw()
	text := textOf(body, err)
	switch {
	case err != nil && strings.Contains(text, "[-]"): // of an error the end may be cut
		err = nil
	case err == nil && !strings.Contains(text, readyzEnd):
		err = errors.New("the answer of /readyz is cut, or not the API server's")
	}
	c.put(kube.SourceOf(evaluate.SourceReadyz, "get", "/readyz", err), func(in *evaluate.Input) { in.Readyz = text })
}
