// Package build turns the component modules into binaries, once for each
// content: a binary's directory is named after a hash of everything that it is
// made from, so that every checkout of a machine shares it.
package build

import (
	"cmp"
	"slices"
)

// Component is a program of the cluster, built from a module of its own.
type Component struct {
	Name     string
	Source   string   // directory below components/ where that is not its name
	ModFile  string   // in that directory, where it is not go.mod
	Packages []string // what to build there; the last path element names the binary
	Program  string   // the first binary's name where that would be another component's
	PartOf   string   // the part of a cluster that needs it, where that has another name
	LDFlags  string
	// Links are further names for the first binary, which looks at the name it
	// is called under.
	Links []string
	// Manifest is upstream's own way to install it: a file of its module, kept as
	// NAME.yaml beside the programs.
	Manifest ModuleFile
	// Definitions are files of modules that are kept in front of the manifest: kinds that upstream installs apart from it.
	Definitions []ModuleFile
}

// ModuleFile is a file of a module that a component requires: the component itself, or the one that Of names.
type ModuleFile struct{ Module, Path, Of string }

// Kube is the directory below components/ of Kubernetes itself, of which there is a component for each version.
const Kube = "kube"

// Names of the other components.
const (
	Containerd    = "containerd"
	Etcdctl       = "etcdctl"
	CoreDNS       = "coredns"
	MetricsServer = "metrics-server"
	Kwok          = "kwok"
	Pause         = "pause"
	TestApp       = "testapp"
	NetworkPolicy = "network-policy"
	ArgoRollouts  = "argo-rollouts"
	LocalPath     = "local-path"
	NodeCache     = "node-cache"
	Flannel       = "flannel"
	FlannelCNI    = "flannel-cni"
	CSI           = "csi"
	DRA           = "dra"
	Karpenter     = "karpenter"
)

// CoreDNSVersion is the version that components/coredns requires. The image
// carries it, because tools read the version off the image.
const CoreDNSVersion = "v1.15.0"

// MetricsServerVersion is the version that components/metrics-server requires.
const MetricsServerVersion = "v0.9.0"

// Versions of the parts that only some clusters have.
const (
	NetworkPolicyVersion = "v0.8.0"
	// v1.10.2 needs a Go that was not to be had when this was pinned.
	ArgoRolloutsVersion = "v1.10.1"
	LocalPathVersion    = "v0.0.30"
	// NodeCacheVersion is the version of NodeLocal DNSCache that Kubernetes' own manifest names.
	NodeCacheVersion = "1.26.8"
	FlannelVersion   = "v0.28.10"
	// FlannelCNIVersion is the version of flannel's CNI plugin that flannel's own manifest names.
	FlannelCNIVersion = "v1.9.1-flannel3"
	// CSIVersion is what the cluster's own CSI driver calls itself.
	CSIVersion = "v1.0.0"
	// DRAVersion is what the cluster's own driver of dynamic resource allocation calls itself.
	DRAVersion = "v1.0.0"
	// v1.14.3 and later need a Go that was not to be had when this was pinned.
	KarpenterVersion = "v1.14.1"
	// KwokVersion is the version that components/kwok requires.
	KwokVersion = "v0.8.0"
)

// Components lists every component, the slowest to build first.
func Components() []Component {
	return append(kubeComponents(), []Component{
		{
			Name: MetricsServer, Packages: []string{"sigs.k8s.io/metrics-server/cmd/metrics-server"},
			LDFlags: "-X sigs.k8s.io/metrics-server/pkg/version.Version=" + MetricsServerVersion,
		},
		{
			Name: Containerd, Packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"./containerd-shim-runc-v2",
				"github.com/containerd/containerd/v2/cmd/ctr",
			},
			LDFlags: "-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
		},
		{Name: CoreDNS, Packages: []string{"."}},
		{Name: Etcdctl, Packages: []string{"."}},
		{Name: TestApp, Packages: []string{"."}},
		{Name: Pause, Packages: []string{"."}},
		{
			Name: ArgoRollouts, Packages: []string{"github.com/argoproj/argo-rollouts/cmd/rollouts-controller"},
			LDFlags:  "-X github.com/argoproj/argo-rollouts/utils/version.version=" + ArgoRolloutsVersion,
			Manifest: ModuleFile{Module: "github.com/argoproj/argo-rollouts", Path: "manifests/install.yaml"},
		},
		{
			Name: NetworkPolicy, Packages: []string{"sigs.k8s.io/kube-network-policies/cmd", "./queue"},
			Manifest: ModuleFile{Module: "sigs.k8s.io/kube-network-policies", Path: "install.yaml"},
		},
		{
			Name: LocalPath, Packages: []string{"github.com/rancher/local-path-provisioner"},
			LDFlags:  "-X main.VERSION=" + LocalPathVersion,
			Manifest: ModuleFile{Module: "github.com/rancher/local-path-provisioner", Path: "deploy/local-path-storage.yaml"},
		},
		{
			Name: NodeCache, Packages: []string{"."},
			Manifest: ModuleFile{Module: "k8s.io/kubernetes", Path: "cluster/addons/dns/nodelocaldns/nodelocaldns.yaml", Of: Kube},
		},
		{
			Name: CSI, Packages: []string{
				".",
				"github.com/kubernetes-csi/external-attacher/v4/cmd/csi-attacher",
				"github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer",
			},
			LDFlags:  "-X main.version=" + CSIVersion,
			Manifest: ModuleFile{Module: "github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/components/csi", Path: "csi.yaml"},
		},
		{
			Name: DRA, Packages: []string{"."},
			Manifest: ModuleFile{Module: "github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/components/dra", Path: "dra.yaml"},
		},
		{
			Name: Flannel, Packages: []string{".", "github.com/flannel-io/flannel/cmd/install_conf"}, Program: "flanneld",
			Manifest: ModuleFile{Module: "github.com/flannel-io/flannel", Path: "Documentation/kube-flannel.yml"},
		},
		{Name: FlannelCNI, Packages: []string{"github.com/containernetworking/plugins/plugins/meta/flannel"}, PartOf: Flannel},
		{
			// Upstream calls the program after its provider, kwok.
			Name: Karpenter, Packages: []string{"sigs.k8s.io/karpenter/kwok"}, Program: "karpenter",
			LDFlags:     "-X sigs.k8s.io/karpenter/pkg/operator.Version=" + KarpenterVersion,
			Manifest:    ModuleFile{Module: "github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/components/karpenter", Path: "karpenter.yaml"},
			Definitions: karpenterKinds(),
		},
		{Name: Kwok, Packages: []string{"sigs.k8s.io/kwok/cmd/kwok", "./kwok-stages"}, PartOf: Karpenter},
	}...)
}

func karpenterKinds() []ModuleFile {
	var files []ModuleFile
	for _, path := range []string{
		"kwok/apis/crds/karpenter.kwok.sh_kwoknodeclasses.yaml", "pkg/apis/crds/karpenter.sh_nodeclaims.yaml",
		"pkg/apis/crds/karpenter.sh_nodeoverlays.yaml", "pkg/apis/crds/karpenter.sh_nodepools.yaml",
		"pkg/apis/crds/autoscaling.x-k8s.io_capacitybuffers.yaml",
	} {
		files = append(files, ModuleFile{Module: "sigs.k8s.io/karpenter", Path: path})
	}
	return files
}

func (c Component) source() string { return cmp.Or(c.Source, c.Name) }

func (c Component) modFile() string { return cmp.Or(c.ModFile, "go.mod") }

// ForNodes names what a cluster of real nodes needs.
func ForNodes(version string) []string {
	return []string{Of(version).Kube(), MetricsServer, Containerd, CoreDNS, Etcdctl, TestApp, Pause}
}

// ForParts names what parts of a cluster need.
func ForParts(parts []string) []string {
	var names []string
	for _, c := range Components() {
		if slices.Contains(parts, c.Name) || c.PartOf != "" && slices.Contains(parts, c.PartOf) {
			names = append(names, c.Name)
		}
	}
	return names
}

// ForPlain names what a cluster of plain processes needs.
func ForPlain(version string) []string { return []string{Of(version).Kube(), Kwok} }
