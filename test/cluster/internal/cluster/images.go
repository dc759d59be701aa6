package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/image"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

// archive is a set of images that nodes get together.
type archive struct {
	name  string
	specs []image.Spec
}

// platform is this machine's: images hold programs that were built for it.
func platform() v1.Platform { return v1.Platform{OS: "linux", Architecture: runtime.GOARCH} }

// archives lists the images of a cluster in the order of their urgency.
func archives(bin build.Binaries, release build.Release) (controlPlane, worker, common, test archive, err error) {
	proxy, err := kubeProxyImage(bin, release)
	if err != nil {
		return
	}
	controlPlane = archive{name: "control-plane", specs: []image.Spec{proxy}}
	for _, component := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		controlPlane.specs = append(controlPlane.specs, kubeImage(bin, component, "registry.k8s.io/"+component+":"+release.Version))
	}
	etcd := kubeImage(bin, "etcd", "registry.k8s.io/etcd:"+release.Etcd)
	etcd.Layers = append(etcd.Layers, []image.File{{Path: "/usr/local/bin/etcdctl", Source: bin.Path("etcdctl")}})
	controlPlane.specs = append(controlPlane.specs, etcd)
	worker = archive{name: "worker", specs: []image.Spec{proxy}}
	common = archive{name: "common", specs: []image.Spec{
		single(node.PauseImage, bin.Path("pause"), "/pause"),
		single("registry.k8s.io/coredns/coredns:"+build.CoreDNSVersion, bin.Path("coredns"), "/coredns"),
		single(metricsServerImage, bin.Path("metrics-server"), "/metrics-server"),
	}}
	testSpecs, err := testImages(bin)
	test = archive{name: "test", specs: testSpecs}
	return
}

// kubeLayer is the layer that every image with a part of Kubernetes shares.
func kubeLayer(bin build.Binaries) []image.File {
	return []image.File{{Path: "/usr/local/bin/kube", Source: bin.Path("kube")}, {Path: "/tmp/"}, {Path: "/etc/"}}
}

func kubeImage(bin build.Binaries, component, ref string) image.Spec {
	return image.Spec{Refs: []string{ref}, Layers: [][]image.File{
		kubeLayer(bin),
		{{Path: "/usr/local/bin/" + component, Target: "kube"}},
	}}
}

// single is an image of one static program.
func single(ref, program, path string) image.Spec {
	return image.Spec{
		Refs:       []string{ref},
		Layers:     [][]image.File{{{Path: path, Source: program}, {Path: "/tmp/"}, {Path: "/etc/"}}},
		Entrypoint: []string{path},
	}
}

// packetFilters are the programs that set rules. The extensions of iptables are
// loaded by name, so nothing but a listing finds them; one of them needs libm,
// and without it every sync of kube-proxy fails.
func packetFilters() ([]image.File, error) {
	paths := []string{"xtables-nft-multi", "nft", "ipset", "conntrack"}
	for i, name := range paths {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		paths[i] = path
	}
	extensions, err := filepath.Glob("/usr/lib/*-linux-gnu/xtables/*.so")
	if err != nil {
		return nil, err
	}
	tools, err := image.WithLibraries(append(paths, extensions...)...)
	if err != nil {
		return nil, err
	}
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			tools = append(tools, image.File{Path: "/usr/sbin/" + family + suffix, Target: paths[0]})
		}
	}
	return tools, nil
}

// kubeProxyImage also holds the programs that kube-proxy runs.
func kubeProxyImage(bin build.Binaries, release build.Release) (image.Spec, error) {
	tools, err := packetFilters()
	if err != nil {
		return image.Spec{}, err
	}
	spec := kubeImage(bin, "kube-proxy", "registry.k8s.io/kube-proxy:"+release.Version)
	spec.Layers = append(spec.Layers, tools)
	return spec, nil
}

// accounts is what programs look users up in; tcpdump gives up root for its own.
func accounts() []image.File {
	return []image.File{
		{Path: "/etc/passwd", Data: []byte("root:x:0:0:root:/root:/bin/sh\ntcpdump:x:100:100::/nonexistent:/bin/false\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")},
		{Path: "/etc/group", Data: []byte("root:x:0:\ntcpdump:x:100:\nnogroup:x:65534:\n")},
		{Path: "/root/"},
		{Path: "/tmp/"},
		{Path: "/var/run/"},
	}
}

// testImages are what pods of tests run.
func testImages(bin build.Binaries) ([]image.Spec, error) {
	shell, err := busyboxLayer()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range []string{"tcpdump", "dig", "ip", "ss", "nft", "conntrack"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, err
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	tools, err := image.WithLibraries(paths...)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		tools = append(tools, image.File{Path: "/usr/local/bin/" + filepath.Base(path), Target: path})
	}
	specs := []image.Spec{
		{Refs: []string{"docker.io/library/busybox:1.36", "docker.io/library/busybox:latest"}, Layers: [][]image.File{shell}, Cmd: []string{"sh"}},
		{Refs: []string{"docker.io/library/toolbox:1"}, Layers: [][]image.File{shell, tools}, Cmd: []string{"sh"}},
	}
	for _, version := range []string{"1", "2"} {
		// One file and nothing else: no shell, no /tmp, no accounts.
		specs = append(specs, image.Spec{
			Refs:       []string{"docker.io/library/testapp:" + version},
			Layers:     [][]image.File{{{Path: "/testapp", Source: bin.Path("testapp")}}},
			Entrypoint: []string{"/testapp"},
			Env:        []string{"TESTAPP_VERSION=" + version},
		})
	}
	return specs, nil
}

func busyboxLayer() ([]image.File, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	applets, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list busybox's applets: %w", err)
	}
	files := append(accounts(), image.File{Path: "/bin/busybox", Source: path})
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			files = append(files, image.File{Path: "/bin/" + applet, Target: "busybox"})
		}
	}
	return files, nil
}

// archiveKey names an archive after what it holds: names, layout, and each
// file's place, size and time of change (a built program's place holds the hash
// of its content).
func archiveKey(specs []image.Spec) (string, error) {
	parts := []string{"1"} // the format of the archives themselves
	for _, s := range specs {
		parts = append(parts, fmt.Sprint(s.Refs, s.Entrypoint, s.Cmd, s.Env, s.User))
		for _, layer := range s.Layers {
			parts = append(parts, "layer")
			for _, f := range layer {
				parts = append(parts, f.Path, f.Target, string(f.Data))
				if f.Source == "" {
					continue
				}
				real, err := filepath.EvalSymlinks(f.Source)
				if err != nil {
					return "", err
				}
				info, err := os.Stat(real)
				if err != nil {
					return "", err
				}
				parts = append(parts, real, fmt.Sprint(info.Size(), info.ModTime().UnixNano()))
			}
		}
	}
	return build.KeyOf(parts...), nil
}
