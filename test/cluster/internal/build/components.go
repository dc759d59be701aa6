// Package build turns the component modules into binaries, once for each
// content: a binary's directory is named after a hash of everything that it is
// made from, so that every checkout of a machine shares it.
package build

// Component is a program of the cluster, built from a module of its own.
type Component struct {
	Name     string   // directory below components/
	Packages []string // what to build there; the last path element names the binary
	LDFlags  string
	// Links are further names for the first binary, which looks at the name it
	// is called under.
	Links []string
	// Manifest is upstream's own way to install it: a file of its module, kept as
	// NAME.yaml beside the programs.
	Manifest ModuleFile
}

// ModuleFile is a file of a module that a component requires: the component itself, or the one that Of names.
type ModuleFile struct{ Module, Path, Of string }

// Version is the Kubernetes version of every cluster.
const Version = "v1.36.3"

// versionFlags is what kubeadm wants to know of itself; without it, it refuses
// to set up a cluster of its own version.
const versionFlags = "-X k8s.io/component-base/version.gitVersion=" + Version +
	" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36" +
	" -X k8s.io/component-base/version.gitTreeState=clean"

// Names of the components.
const (
	Kube          = "kube"
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
	NodeCacheVersion = "1.26.7"
)

// Components lists every component, the slowest to build first.
func Components() []Component {
	return []Component{
		{Name: Kube, Packages: []string{"."}, LDFlags: versionFlags, Links: []string{
			"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubeadm", "kubectl", "etcd",
		}},
		{
			Name: MetricsServer, Packages: []string{"sigs.k8s.io/metrics-server/cmd/metrics-server"},
			LDFlags: "-X sigs.k8s.io/metrics-server/pkg/version.Version=" + MetricsServerVersion,
		},
		{
			Name: Containerd, Packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
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
		{Name: Kwok, Packages: []string{"sigs.k8s.io/kwok/cmd/kwok", "./kwok-stages"}},
	}
}

// ForNodes names what a cluster of real nodes needs.
func ForNodes() []string {
	return []string{Kube, MetricsServer, Containerd, CoreDNS, Etcdctl, TestApp, Pause}
}

// ForPlain names what a cluster of plain processes needs.
func ForPlain() []string { return []string{Kube, Kwok} }
