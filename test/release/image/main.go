// Command image puts the plugins that only read into a container image: an OCI archive
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md) with one image for each architecture of Linux that a
// snapshot was built for. Equal binaries give an equal archive.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// name is where a release publishes the image.
const name = "ghcr.io/kubectl-runbooks/kubectl-runbooks"

// plugins are the programs of the image, the first of which it runs. nodeshell is none of them: it makes privileged pods.
var plugins = []string{"kubectl-runbooks", "kubectl-nodeinfo", "kubectl-dns", "kubectl-rollout_explain"}

type options struct {
	dist, license, version, commit, out string
	made                                time.Time
}

func run(args []string) error {
	var o options
	var epoch int64
	set := flag.NewFlagSet("image", flag.ContinueOnError)
	set.StringVar(&o.dist, "dist", "dist", "the folder that goreleaser filled")
	set.StringVar(&o.license, "license", "LICENSE", "the license")
	set.StringVar(&o.version, "version", "", "of the release")
	set.StringVar(&o.commit, "commit", "", "that it is built from")
	set.Int64Var(&epoch, "epoch", 0, "every time stamp, in seconds since 1970")
	set.StringVar(&o.out, "out", "", "the archive to write")
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.out == "" || o.version == "" || o.commit == "" || epoch == 0 {
		return errors.New("-version, -commit, -epoch and -out are needed")
	}
	o.made = time.Unix(epoch, 0).UTC()
	index, err := o.index()
	if err != nil {
		return err
	}
	return o.write(index)
}

// index is one image for each architecture.
func (o options) index() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	found := false
	for _, arch := range []string{"amd64", "arm64"} {
		folders, err := filepath.Glob(filepath.Join(o.dist, "*_linux_"+arch+"_*"))
		if err != nil {
			return nil, err
		}
		if len(folders) == 0 {
			continue // a snapshot of one platform
		}
		found = true
		image, err := o.image(arch)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	if !found {
		return nil, fmt.Errorf("no programs for Linux in %s", o.dist)
	}
	return index, nil
}

func (o options) image(arch string) (v1.Image, error) {
	license, err := os.ReadFile(o.license)
	if err != nil {
		return nil, err
	}
	layers := make([]v1.Layer, 0, len(plugins)+1)
	add := func(path string, mode int64, data []byte) error {
		layer, err := o.layer(path, mode, data)
		layers = append(layers, layer)
		return err
	}
	if err := add("usr/share/doc/kubectl-runbooks/copyright", 0o644, license); err != nil {
		return nil, err
	}
	for _, plugin := range plugins {
		files, err := filepath.Glob(filepath.Join(o.dist, "*_linux_"+arch+"_*", plugin))
		if err != nil || len(files) != 1 {
			return nil, fmt.Errorf("%s for linux/%s: %d programs in %s (%w)", plugin, arch, len(files), o.dist, err)
		}
		data, err := os.ReadFile(files[0])
		if err != nil {
			return nil, err
		}
		if err := add("usr/bin/"+plugin, 0o755, data); err != nil {
			return nil, err
		}
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layers...); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: o.made}
	for i := range config.History {
		config.History[i] = v1.History{Created: v1.Time{Time: o.made}}
	}
	config.Config = v1.Config{
		Entrypoint: []string{"/usr/bin/" + plugins[0]}, Env: []string{"PATH=/usr/bin"}, WorkingDir: "/",
		User: "65532:65532", // nobody's, as in distroless images
		Labels: map[string]string{
			"org.opencontainers.image.title": "kubectl-runbooks", "org.opencontainers.image.version": o.version,
			"org.opencontainers.image.source":   "https://github.com/kubectl-runbooks/kubectl-runbooks",
			"org.opencontainers.image.revision": o.commit, "org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(image, config)
}

// layer holds one file and the folders above it.
func (o options) layer(file string, mode int64, data []byte) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	var folders []string
	for folder := path.Dir(file); folder != "."; folder = path.Dir(folder) {
		folders = append(folders, folder)
	}
	slices.Reverse(folders)
	for _, folder := range folders {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755, ModTime: o.made}); err != nil {
			return nil, err
		}
	}
	header := tar.Header{Typeflag: tar.TypeReg, Name: file, Mode: mode, Size: int64(len(data)), ModTime: o.made}
	if err := w.WriteHeader(&header); err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching,
		tarball.WithCompressionLevel(gzip.DefaultCompression))
}

// write makes the archive of a layout in which the index bears the name of the image.
func (o options) write(index v1.ImageIndex) (err error) {
	folder, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	at, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	tag := strings.ReplaceAll(o.version, "+", "-")
	if err := at.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag,
		"io.containerd.image.name":          name + ":" + tag, // what containerd calls it when it imports the archive
	})); err != nil {
		return err
	}
	out, err := os.Create(o.out)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		header := tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(inside), Mode: 0o644, Size: int64(len(data)), ModTime: o.made}
		if err := w.WriteHeader(&header); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, w.Close(), out.Close())
}
