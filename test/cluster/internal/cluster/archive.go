package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/image"
)

// pack writes an archive into the cache, or finds it there.
func (c *Cluster) pack(ctx context.Context, a archive) (string, error) {
	key, err := archiveKey(a.specs)
	if err != nil {
		return "", err
	}
	final := c.Root.Join("images", a.name+"-"+key+".tar")
	if host.Exists(final) {
		return final, nil
	}
	release, err := host.Lock(ctx, c.Root.Join("locks", "images-"+a.name), nil)
	if err != nil {
		return "", err
	}
	defer release()
	if host.Exists(final) {
		return final, nil
	}
	c.Report("packing images: %s", a.name)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", err
	}
	temp := final + ".part" // the lock makes it ours alone
	if err := image.WriteArchive(temp, a.specs, platform()); err != nil {
		return "", fmt.Errorf("pack images %q: %w", a.name, err)
	}
	return final, os.Rename(temp, final)
}

// LoadImages imports archives into a node's runtime. The images are pinned: the
// kubelet must not remove, under disk pressure, what cannot be pulled again.
func (c *Cluster) LoadImages(ctx context.Context, name string, paths ...string) error {
	root, err := c.NodeRoot(name)
	if err != nil {
		return err
	}
	n, err := c.Node(name)
	if err != nil {
		return err
	}
	for _, path := range paths {
		// The socket is reached through process 1's view of the file system,
		// which keeps its path short and needs no program inside of the node.
		_, err := host.Run(ctx, "", c.Bin("ctr"), "--address", root+socketPath, "--namespace", "k8s.io",
			"images", "import", "--local", "--label", "io.cri-containerd.pinned=pinned", path)
		if err != nil {
			return fmt.Errorf("load %q into node %q: %w%s", path, name, err, logTail(n.LogPath("containerd")))
		}
	}
	return nil
}

// logTail is the end of a log, for an error that it explains.
func logTail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "\n" + path + ":\n" + strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// LoadEverywhere imports archives into every node.
func (c *Cluster) LoadEverywhere(ctx context.Context, paths ...string) error {
	return inParallel(c.State.NodeNames(), func(name string) error { return c.LoadImages(ctx, name, paths...) })
}

// WriteImage makes an archive with one image.
func WriteImage(out string, spec image.Spec) error {
	return image.WriteArchive(out, []image.Spec{spec}, platform())
}

// LoadSpec makes an image and imports it into every node.
func (c *Cluster) LoadSpec(ctx context.Context, spec image.Spec) error {
	temp, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) //nolint:errcheck // only a copy
	path := filepath.Join(temp, "image.tar")
	if err := WriteImage(path, spec); err != nil {
		return err
	}
	return c.LoadEverywhere(ctx, path)
}
