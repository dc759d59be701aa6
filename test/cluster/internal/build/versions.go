package build

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Release is a version of Kubernetes that a cluster or its workers' kubelets can have. Each has a module file of its own in
// components/kube, named after its minor version; the newest one's is go.mod.
type Release struct {
	Version string // as v1.37.2
	// Etcd is the version of etcd that it links, in the form of upstream's image tags. A release without it is built for its kubelet alone.
	Etcd string
}

// releases are there, the newest first.
var releases = []Release{
	{Version: "v1.37.2", Etcd: "3.7.0-0"},
	{Version: "v1.36.3", Etcd: "3.6.8-0"},
	{Version: "v1.35.4"},
	{Version: "v1.34.4"},
	{Version: "v1.33.13"},
}

// DefaultVersion is the version of a cluster that is not asked for another one.
var DefaultVersion = releases[0].Version

// kubeletSkew is how many minor versions older than the API server a kubelet may be
// (https://kubernetes.io/releases/version-skew-policy/#kubelet).
const kubeletSkew = 3

// Minor is the release without its patch: v1.37.
func (r Release) Minor() string { return r.Version[:strings.LastIndex(r.Version, ".")] }

func (r Release) minor() int {
	number, _ := strconv.Atoi(strings.TrimPrefix(r.Minor(), "v1.")) // the table above holds nothing else
	return number
}

// clusters are the releases that a control plane can have.
func clusters() []Release {
	return slices.DeleteFunc(slices.Clone(releases), func(r Release) bool { return r.Etcd == "" })
}

// kubelets are the older releases that workers of a cluster can have.
func kubelets(cluster Release) []Release {
	return slices.DeleteFunc(slices.Clone(releases), func(r Release) bool {
		return r.minor() >= cluster.minor() || r.minor() < cluster.minor()-kubeletSkew
	})
}

// find looks for a version as a person writes it: with the patch or without, with the v or without.
func find(among []Release, text string) (Release, bool) {
	text = "v" + strings.TrimPrefix(text, "v")
	i := slices.IndexFunc(among, func(r Release) bool { return text == r.Version || text == r.Minor() })
	if i < 0 {
		return Release{}, false
	}
	return among[i], true
}

func list(among []Release) string {
	var texts []string
	for _, r := range among {
		texts = append(texts, fmt.Sprintf("%s (%s)", r.Minor(), r.Version))
	}
	return strings.Join(texts, ", ")
}

// Versions lists what --version knows.
func Versions() string { return list(clusters()) }

// ParseVersion gives the full version of a cluster.
func ParseVersion(text string) (string, error) {
	r, found := find(clusters(), text)
	if !found {
		return "", fmt.Errorf("--version %q: no such version of Kubernetes here; there are %s", text, Versions())
	}
	return r.Version, nil
}

// ParseKubeletVersion gives the full version of the workers' kubelets; it is empty where they are the cluster's own.
func ParseKubeletVersion(text, clusterVersion string) (string, error) {
	cluster := Of(clusterVersion)
	if own, found := find([]Release{cluster}, text); text == "" || found && own == cluster {
		return "", nil
	}
	r, found := find(kubelets(cluster), text)
	if !found {
		return "", fmt.Errorf("--kubelet-version %q: workers of a cluster of %s can have that, or %s",
			text, clusterVersion, list(kubelets(cluster)))
	}
	return r.Version, nil
}

// Of is the release of a full version; the default one's where there is none.
func Of(version string) Release {
	if r, found := find(releases, version); found {
		return r
	}
	return releases[0]
}

// Kube is the component that a cluster of this release is made of.
func (r Release) Kube() string { return Kube + "-" + r.Minor() }

// Kubelet is the component with this release's kubelet alone.
func (r Release) Kubelet() string { return "kubelet-" + r.Minor() }

// modFile is the file beside components/kube's main.go that requires this release.
func (r Release) modFile() string {
	if r == releases[0] {
		return "go.mod"
	}
	return r.Minor() + ".mod"
}

// ldFlags is what kubeadm wants to know of itself; without it, it refuses to set up a cluster of its own version.
func (r Release) ldFlags() string {
	const prefix = "-X k8s.io/component-base/version."
	return fmt.Sprintf("%[1]sgitVersion=%[2]s %[1]sgitMajor=1 %[1]sgitMinor=%[3]d %[1]sgitTreeState=clean", prefix, r.Version, r.minor())
}

// kubeComponents are one component for each release that clusters have, and one for each that only workers have.
func kubeComponents() []Component {
	var all []Component
	for _, r := range clusters() {
		all = append(all, Component{
			Name: r.Kube(), Source: Kube, ModFile: r.modFile(), Packages: []string{".", "./kubectl"}, LDFlags: r.ldFlags(), Links: []string{
				"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubeadm", "etcd",
			},
		})
	}
	for _, r := range releases[1:] {
		all = append(all, Component{
			Name: r.Kubelet(), Source: Kube, ModFile: r.modFile(), Packages: []string{"k8s.io/kubernetes/cmd/kubelet"}, LDFlags: r.ldFlags(),
		})
	}
	return all
}
