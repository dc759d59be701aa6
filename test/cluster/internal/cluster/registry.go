package cluster

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/image"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/registry"
)

// RegistryCommand is the hidden command that serves a registry.
const RegistryCommand = "registry-serve"

const (
	registryPort   = 5000
	registryHelper = "registry"
)

// RegistryAddress is where the cluster's registry listens: on the bridge, where
// the nodes and this machine both reach it.
func (c *Cluster) RegistryAddress() string {
	return net.JoinHostPort(c.State.Plan.Gateway(), fmt.Sprint(registryPort))
}

func (c *Cluster) rulesPath() string { return c.path("helpers", "registry-rules.json") }

// StartRegistry starts the registry and tells every node of it.
func (c *Cluster) StartRegistry(ctx context.Context) error {
	release, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	address := c.RegistryAddress()
	for _, name := range c.State.NodeNames() {
		if _, err := c.Node(name); err != nil {
			return err
		}
		hosts := fmt.Sprintf("server = \"http://%[1]s\"\n[host.\"http://%[1]s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", address)
		if err := c.WriteInNode(name, "/etc/containerd/certs.d/"+address+"/hosts.toml", hosts); err != nil {
			return err
		}
	}
	self, err := host.Self()
	if err != nil {
		return err
	}
	if err := c.startHelper(registryHelper, self, RegistryCommand, address, c.rulesPath()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return poll(ctx, 50*time.Millisecond, func() error {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return fmt.Errorf("%w%s", err, logTail(c.HelperLog(registryHelper)))
		}
		return connection.Close()
	})
}

// StopRegistry ends the registry; its images go with it.
func (c *Cluster) StopRegistry(ctx context.Context) error {
	release, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	return c.stopHelper(registryHelper)
}

// SetRegistryRule changes how a repository answers.
func (c *Cluster) SetRegistryRule(repository string, rule registry.Rule) error {
	rules, err := registry.LoadRules(c.rulesPath())
	if err != nil {
		return err
	}
	rules[repository] = rule
	return rules.Save(c.rulesPath())
}

// PushArchive pushes the image of an archive.
func (c *Cluster) PushArchive(ctx context.Context, repository, path string) (string, error) {
	img, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		return "", fmt.Errorf("read %q: %w", path, err)
	}
	return registry.Push(ctx, c.RegistryAddress(), repository, img)
}

// PushSpec makes an image and pushes it.
func (c *Cluster) PushSpec(ctx context.Context, repository string, spec image.Spec) (string, error) {
	img, err := image.Build(spec, platform())
	if err != nil {
		return "", err
	}
	return registry.Push(ctx, c.RegistryAddress(), repository, img)
}

// TestImage finds one of the images that every node has, by its name.
func (c *Cluster) TestImage(ref string) (image.Spec, error) {
	specs, err := testImages(build.Binaries{Dir: c.State.Bin})
	if err != nil {
		return image.Spec{}, err
	}
	for _, spec := range specs {
		for _, known := range spec.Refs {
			if known == ref || known == "docker.io/library/"+ref {
				return spec, nil
			}
		}
	}
	return image.Spec{}, fmt.Errorf("no test image %q", ref)
}
