package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/image"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
)

// part is a program of the field that a cluster has if it is asked for. Its component bears its name, and it is
// installed by upstream's own manifest.
type part struct {
	name      string
	namespace string
	workloads []string // that have to become ready
	pods      string   // label of its pods, if there is one on each node
	csi, dra  string   // the driver of volumes or devices that these register at their kubelets
	partImage
	second partImage // of a container that runs before the others, or of another workload
	edits  []edit
}

// partImage is an image of a part.
type partImage struct {
	ref      string
	user     string // that it names
	programs []program
	tools    func() ([]image.File, error) // a layer besides
}

// program is one of the component's, at its place in the image; the first one is the entry point.
type program struct{ name, path string }

// edit is what a manifest says otherwise here.
type edit struct{ old, now string }

// nodeCacheIP is the address that NodeLocal DNSCache recommends; pods get it as their only nameserver.
const nodeCacheIP = "169.254.20.10"

// csiDriver is the name under which the cluster's own CSI driver registers.
const csiDriver = "disk.csi.example.test"

// draDriver is the name under which the cluster's own driver of dynamic resource allocation registers.
const draDriver = "gpu.dra.example.test"

// knownParts lists the parts in the order of their installation, as a cluster has them.
func (s State) knownParts() []part {
	policies := "registry.k8s.io/networking/kube-network-policies:"
	rollouts := "quay.io/argoproj/argo-rollouts:"
	return []part{
		s.flannel(),
		{
			name: build.NetworkPolicy, namespace: "kube-system", workloads: []string{"daemonset/kube-network-policies"},
			partImage: partImage{
				ref:      policies + build.NetworkPolicyVersion,
				programs: []program{{"queue", "/bin/queue"}, {build.NetworkPolicy, "/bin/netpol"}},
			},
			// The manifest of a release names the image of the one before it.
			edits: []edit{{policies + "v0.7.0", policies + build.NetworkPolicyVersion}},
		},
		{
			name: build.ArgoRollouts, namespace: "argo-rollouts", workloads: []string{"deployment/argo-rollouts"},
			partImage: partImage{
				ref: rollouts + build.ArgoRolloutsVersion, user: "999", programs: []program{{"rollouts-controller", "/bin/rollouts-controller"}},
			},
			edits: []edit{{
				"image: " + rollouts + "latest\n        imagePullPolicy: Always",
				"image: " + rollouts + build.ArgoRolloutsVersion,
			}},
		},
		{
			name: build.LocalPath, namespace: "local-path-storage", workloads: []string{"deployment/local-path-provisioner"},
			partImage: partImage{
				ref:      "docker.io/rancher/local-path-provisioner:" + build.LocalPathVersion,
				programs: []program{{"local-path-provisioner", "/usr/bin/local-path-provisioner"}},
			},
		},
		{
			name: build.NodeCache, namespace: "kube-system", workloads: []string{"daemonset/node-local-dns"}, pods: "k8s-app=node-local-dns",
			partImage: partImage{
				ref: "registry.k8s.io/dns/k8s-dns-node-cache:" + build.NodeCacheVersion, programs: []program{{build.NodeCache, "/node-cache"}},
			},
			// As for IPVS: pods ask the link-local address, since the kubelets say so, and the Service's address stays the servers'
			// (https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/).
			edits: []edit{
				{" __PILLAR__DNS__SERVER__", ""},
				{",__PILLAR__DNS__SERVER__", ""},
				{"__PILLAR__LOCAL__DNS__", nodeCacheIP},
				{"__PILLAR__DNS__DOMAIN__", s.Domain()},
			},
		},
		{
			name: build.CSI, namespace: "kube-system", workloads: []string{"deployment/disk-csi-controller", "daemonset/disk-csi-node"},
			pods: "app=disk-csi-node", csi: csiDriver,
			partImage: partImage{
				ref:      "registry.example.test/disk-csi:" + build.CSIVersion,
				programs: []program{{build.CSI, "/bin/csi"}, {"csi-attacher", "/bin/csi-attacher"}, {"csi-resizer", "/bin/csi-resizer"}},
			},
		},
		{
			name: build.DRA, namespace: "kube-system", workloads: []string{"daemonset/gpu-dra"}, pods: "app=gpu-dra", dra: draDriver,
			partImage: partImage{ref: "registry.example.test/gpu-dra:" + build.DRAVersion, programs: []program{{build.DRA, "/bin/dra"}}},
		},
		{
			name: build.Karpenter, namespace: "kube-system", workloads: []string{"deployment/karpenter", "deployment/kwok-controller"},
			partImage: partImage{
				ref: "registry.example.test/karpenter-kwok:" + build.KarpenterVersion, programs: []program{{"karpenter", "/bin/karpenter"}},
			},
			second: partImage{
				ref:      "registry.k8s.io/kwok/kwok:" + build.KwokVersion,
				programs: []program{{"kwok", "/bin/kwok"}, {"kwok-stages", "/bin/kwok-stages"}}, tools: busyboxLayer,
			},
		},
	}
}

// flannel is the network between pods of different nodes, and takes the place of this program's own.
func (s State) flannel() part {
	return part{
		name: build.Flannel, namespace: "kube-flannel", workloads: []string{"daemonset/kube-flannel-ds"}, pods: "app=flannel",
		partImage: partImage{
			ref:      "ghcr.io/flannel-io/flannel:" + build.FlannelVersion,
			programs: []program{{"flanneld", "/opt/bin/flanneld"}, {"install_conf", "/opt/bin/install-conf"}}, tools: packetFilters,
		},
		second: partImage{
			ref:      "ghcr.io/flannel-io/flannel-cni-plugin:" + build.FlannelCNIVersion,
			programs: []program{{"flannel", "/flannel"}}, tools: busyboxLayer,
		},
		edits: []edit{
			{`"Network": "10.244.0.0/16",`, s.overlay()},
			// The plugin that is here is older than this version of the specification.
			{`"cniVersion": "1.0.0"`, `"cniVersion": "0.4.0"`},
		},
	}
}

// overlay tells flannel the pods' ranges
// (https://github.com/flannel-io/flannel/blob/master/Documentation/configuration.md#dual-stack).
func (s State) overlay() string {
	text := ""
	for ranges := range strings.SplitSeq(s.Plan.PodRanges(), ",") {
		if strings.Contains(ranges, ":") {
			text += fmt.Sprintf(`"EnableIPv6": true, "IPv6Network": %q, `, ranges)
		} else {
			text += fmt.Sprintf(`"Network": %q, `, ranges)
		}
	}
	if s.IPFamily == netplan.IPv6 {
		text += `"EnableIPv4": false, `
	}
	return strings.TrimSuffix(text, " ")
}

// PartNames lists what --with knows.
func PartNames() []string {
	var names []string
	for _, p := range (State{}).knownParts() {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// ParseParts checks the names of parts and writes them in one form, whatever their order.
func ParseParts(names []string) (string, error) {
	for _, name := range names {
		if !slices.Contains(PartNames(), name) {
			return "", fmt.Errorf("--with %q: no such part; there are %s", name, strings.Join(PartNames(), ", "))
		}
	}
	sorted := slices.Sorted(slices.Values(names))
	return strings.Join(slices.Compact(sorted), ","), nil
}

// Has says whether the cluster has a part.
func (s Spec) Has(part string) bool { return slices.Contains(s.Parts(), part) }

// Parts lists the names of the parts that the cluster has.
func (s Spec) Parts() []string {
	if s.With == "" {
		return nil
	}
	return strings.Split(s.With, ",")
}

func (s State) parts() []part {
	return slices.DeleteFunc(s.knownParts(), func(p part) bool { return !s.Has(p.name) })
}

// packParts writes the archives with the images of the parts.
func (c *Cluster) packParts(ctx context.Context, bin build.Binaries) ([]string, error) {
	var paths []string
	for _, p := range c.State.parts() {
		path, err := c.packPart(ctx, p, bin)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (c *Cluster) packPart(ctx context.Context, p part, bin build.Binaries) (string, error) {
	var specs []image.Spec
	for _, i := range p.images() {
		spec := image.Spec{Refs: []string{i.ref}, User: i.user, Entrypoint: []string{i.programs[0].path}}
		for _, program := range i.programs {
			spec.Layers = append(spec.Layers, []image.File{{Path: program.path, Source: bin.Path(program.name)}, {Path: "/tmp/"}, {Path: "/etc/"}})
		}
		if i.tools != nil {
			layer, err := i.tools()
			if err != nil {
				return "", err
			}
			spec.Layers = append(spec.Layers, layer)
		}
		specs = append(specs, spec)
	}
	return c.pack(ctx, archive{name: p.name, specs: specs})
}

func (p part) images() []partImage {
	if p.second.ref == "" {
		return []partImage{p.partImage}
	}
	return []partImage{p.partImage, p.second}
}

// StopPart ends a part that runs on each node on one of them: its image is gone from there, and cannot be pulled. The pods are replaced.
func (c *Cluster) StopPart(ctx context.Context, name, node string) error {
	p, err := c.part(name)
	if err != nil {
		return err
	}
	if _, err := c.inNode(ctx, node, "", "ctr", "--namespace", "k8s.io", "images", "remove", "--sync", p.ref); err != nil {
		return err
	}
	return c.replacePod(ctx, p, node)
}

// StartPart undoes StopPart.
func (c *Cluster) StartPart(ctx context.Context, name, node string) error {
	p, err := c.part(name)
	if err != nil {
		return err
	}
	path, err := c.packPart(ctx, p, build.Binaries{Dir: c.State.Bin})
	if err != nil {
		return err
	}
	if err := c.LoadImages(ctx, node, path); err != nil {
		return err
	}
	return c.replacePod(ctx, p, node) // the next try of the present one may be minutes away
}

func (c *Cluster) part(name string) (part, error) {
	for _, p := range c.State.parts() {
		if p.name == name {
			return p, nil
		}
	}
	return part{}, fmt.Errorf("cluster %q was made without --with %s", c.State.Name, name)
}

// replacePod deletes the part's pod on a node, and waits until it is gone; the DaemonSet makes another one.
func (c *Cluster) replacePod(ctx context.Context, p part, node string) error {
	_, err := c.Kubectl(ctx, "", "-n", p.namespace, "delete", "pod", "-l", p.pods, "--field-selector", "spec.nodeName="+node)
	return err
}

// PartReady says whether the part's pod on a node is ready.
func (c *Cluster) PartReady(ctx context.Context, name, node string) bool {
	p, err := c.part(name)
	if err != nil {
		return false
	}
	out, err := c.Kubectl(ctx, "", "-n", p.namespace, "get", "pods", "-l", p.pods, "--field-selector", "spec.nodeName="+node,
		"-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
	return err == nil && out == "True"
}

// PartGone says whether the part does not run on a node, and its driver is forgotten there. The kubelet removes what a driver of devices
// published 30 seconds after that.
func (c *Cluster) PartGone(ctx context.Context, name, node string) bool {
	p, err := c.part(name)
	if err != nil || c.PartReady(ctx, name, node) {
		return false
	}
	switch {
	case p.csi != "":
		out, err := c.Kubectl(ctx, "", "get", "csinode", node, "-o", "jsonpath={.spec.drivers[*].name}")
		return err == nil && !slices.Contains(strings.Fields(out), p.csi)
	case p.dra != "":
		out, err := c.Kubectl(ctx, "", "get", "resourceslices", "--field-selector", "spec.nodeName="+node+",spec.driver="+p.dra, "-o", "name")
		return err == nil && out == ""
	}
	return true
}

// manifest is upstream's, with the edits.
func (p part) manifest(upstream string) (string, error) {
	for _, e := range p.edits {
		if !strings.Contains(upstream, e.old) {
			return "", fmt.Errorf("the manifest of %q has no longer %q", p.name, e.old)
		}
		upstream = strings.ReplaceAll(upstream, e.old, e.now)
	}
	for _, i := range p.images() {
		if !strings.Contains(upstream, strings.TrimPrefix(i.ref, "docker.io/")) { // the registry that is meant where none is named
			return "", fmt.Errorf("the manifest of %q does not run %q", p.name, i.ref)
		}
	}
	return upstream, nil
}

// installParts applies the manifests.
func (c *Cluster) installParts(ctx context.Context) error {
	for _, p := range c.State.parts() {
		if p.name == build.Flannel {
			continue // there already: the others need a network
		}
		if err := c.installPart(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) installPart(ctx context.Context, p part) error {
	upstream, err := os.ReadFile(c.Bin(p.name + ".yaml"))
	if err != nil {
		return err
	}
	manifest, err := p.manifest(string(upstream))
	if err != nil {
		return err
	}
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + p.namespace + "}\n"
	if _, err := c.Kubectl(ctx, namespace, "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	// On the server's side: some definitions are too long for the annotation of the other way. Some manifests have the namespace as well.
	if _, err := c.Kubectl(ctx, manifest, "apply", "--server-side", "-n", p.namespace, "-f", "-"); err != nil {
		return fmt.Errorf("install %q: %w", p.name, err)
	}
	return nil
}

// awaitParts waits until the parts are ready.
func (c *Cluster) awaitParts(ctx context.Context) error {
	for _, p := range c.State.parts() {
		for _, workload := range p.workloads {
			if _, err := c.Kubectl(ctx, "", "-n", p.namespace, "rollout", "status", workload, "--timeout=120s"); err != nil {
				return fmt.Errorf("part %q: %w", p.name, err)
			}
		}
		c.Report("%s ready", p.name)
	}
	return nil
}
