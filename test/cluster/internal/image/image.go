// Package image makes container images out of local files, without a registry
// or a container engine.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one entry of a layer: a copy of Source, or a symbolic link to Target,
// or Data.
type File struct {
	Path   string
	Source string
	Target string
	Data   []byte
}

// Spec describes an image.
type Spec struct {
	Refs       []string
	Layers     [][]File // images with an equal layer share it, on the node too
	Entrypoint []string
	Cmd        []string
	Env        []string
	User       string
}

// searchPath is the PATH that every image sets, as common base images do.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Build makes the image in memory.
func Build(spec Spec, platform v1.Platform) (v1.Image, error) {
	img := empty.Image
	for _, files := range spec.Layers {
		layer, err := Layer(files)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Config.Env = append([]string{searchPath}, spec.Env...)
	config.Config.Entrypoint, config.Config.Cmd, config.Config.User = spec.Entrypoint, spec.Cmd, spec.User
	return mutate.ConfigFile(img, config)
}

// Layer packs files. It is not compressed: it is read once, on this machine.
// Owner and times are fixed, so that equal files give an equal layer.
func Layer(files []File) (v1.Layer, error) {
	var buffer bytes.Buffer
	w := &layerWriter{tar: tar.NewWriter(&buffer), made: map[string]bool{}}
	sorted := slices.Clone(files)
	slices.SortStableFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range sorted {
		if err := w.add(f); err != nil {
			return nil, fmt.Errorf("pack %q: %w", f.Path, err)
		}
	}
	if err := w.tar.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(buffer.Bytes(), types.DockerUncompressedLayer), nil
}

type layerWriter struct {
	tar  *tar.Writer
	made map[string]bool
}

// directory writes an entry for a directory and those above it, once.
func (w *layerWriter) directory(dir string) error {
	dir = path.Clean("/" + dir)
	if dir == "/" || w.made[dir] {
		return nil
	}
	if err := w.directory(path.Dir(dir)); err != nil {
		return err
	}
	w.made[dir] = true
	mode := int64(0o755)
	if dir == "/tmp" {
		mode = 0o1777
	}
	return w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: mode})
}

func (w *layerWriter) add(f File) error {
	clean := path.Clean("/" + f.Path)
	if strings.HasSuffix(f.Path, "/") {
		return w.directory(clean)
	}
	if err := w.directory(path.Dir(clean)); err != nil || w.made[clean] {
		return err
	}
	w.made[clean] = true
	header := &tar.Header{Typeflag: tar.TypeReg, Name: clean[1:], Mode: 0o644}
	switch {
	case f.Target != "":
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Target, 0o777
		return w.tar.WriteHeader(header)
	case f.Source == "":
		header.Size = int64(len(f.Data))
		if err := w.tar.WriteHeader(header); err != nil {
			return err
		}
		_, err := w.tar.Write(f.Data)
		return err
	}
	return w.copy(header, f.Source)
}

func (w *layerWriter) copy(header *tar.Header, source string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // read-only
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is not a regular file", source)
	}
	header.Size = info.Size()
	if info.Mode()&0o111 != 0 {
		header.Mode = 0o755
	}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w.tar, file)
	return err
}

// WriteArchive writes images with all their names into one archive; a layer
// that several of them hold is in it once.
func WriteArchive(out string, specs []Spec, platform v1.Platform) error {
	images := map[name.Reference]v1.Image{}
	for _, spec := range specs {
		img, err := Build(spec, platform)
		if err != nil {
			return fmt.Errorf("image %q: %w", spec.Refs, err)
		}
		for _, ref := range spec.Refs {
			tag, err := name.NewTag(ref)
			if err != nil {
				return err
			}
			images[tag] = img
		}
	}
	return tarball.MultiRefWriteToFile(out, images)
}

// ParseSpec reads SOURCE=PATH pairs; a source of the form ->TARGET is a
// symbolic link.
func ParseSpec(ref string, files []string) (Spec, error) {
	if _, err := name.NewTag(ref); err != nil {
		return Spec{}, err
	}
	var layer []File
	for _, pair := range files {
		source, target, ok := strings.Cut(pair, "=")
		if !ok || source == "" || !path.IsAbs(target) {
			return Spec{}, fmt.Errorf("file %q: want SOURCE=/PATH", pair)
		}
		if link, ok := strings.CutPrefix(source, "->"); ok {
			layer = append(layer, File{Path: target, Target: link})
			continue
		}
		layer = append(layer, File{Path: target, Source: source})
	}
	return Spec{Refs: []string{ref}, Layers: [][]File{layer}}, nil
}
