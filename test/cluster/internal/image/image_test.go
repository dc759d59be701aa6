package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

var linux = v1.Platform{OS: "linux", Architecture: "amd64"}

func entries(t *testing.T, layer v1.Layer) map[string]*tar.Header {
	t.Helper()
	stream, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*tar.Header{}
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name] != nil {
			t.Errorf("%q is in the layer twice", header.Name)
		}
		found[header.Name] = header
	}
}

func TestLayer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(program, []byte("#!"), 0o700); err != nil {
		t.Fatal(err)
	}
	layer, err := Layer([]File{
		{Path: "/usr/bin/p", Source: program},
		{Path: "/usr/bin/q", Target: "p"},
		{Path: "/etc/data", Data: []byte("x")},
		{Path: "/tmp/"},
		{Path: "/usr/bin/p", Data: []byte("second")},
	})
	if err != nil {
		t.Fatal(err)
	}
	found := entries(t, layer)
	for name, want := range map[string]tar.Header{
		"usr/": {Typeflag: tar.TypeDir, Mode: 0o755}, "usr/bin/": {Typeflag: tar.TypeDir, Mode: 0o755},
		"usr/bin/p": {Typeflag: tar.TypeReg, Mode: 0o755, Size: 2},
		"usr/bin/q": {Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: "p"},
		"etc/data":  {Typeflag: tar.TypeReg, Mode: 0o644, Size: 1},
		"tmp/":      {Typeflag: tar.TypeDir, Mode: 0o1777},
	} {
		got := found[name]
		if got == nil || got.Typeflag != want.Typeflag || got.Mode != want.Mode || got.Size != want.Size || got.Linkname != want.Linkname {
			t.Errorf("%q: got %+v, want %+v", name, got, want)
		}
	}
	if found["/"] != nil || found[""] != nil {
		t.Error("the layer has an entry for the root")
	}
}

func TestEqualFilesMakeAnEqualLayer(t *testing.T) {
	digest := func(files ...File) v1.Hash {
		layer, err := Layer(files)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := layer.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	a, b := File{Path: "/a", Data: []byte("1")}, File{Path: "/b", Data: []byte("2")}
	if digest(a, b) != digest(b, a) {
		t.Error("the order of files changes the layer")
	}
	if digest(a) == digest(b) {
		t.Error("different files make one layer")
	}
}

func TestArchiveHoldsImagesAndTheirSharedLayerOnce(t *testing.T) {
	shared := []File{{Path: "/shared", Data: []byte("s")}}
	out := filepath.Join(t.TempDir(), "a.tar")
	err := WriteArchive(out, []Spec{
		{Refs: []string{"docker.io/library/one:1", "docker.io/library/one:2"}, Layers: [][]File{shared}, Entrypoint: []string{"/shared"}, Env: []string{"A=b"}},
		{Refs: []string{"registry.k8s.io/two:1"}, Layers: [][]File{shared, {{Path: "/two", Target: "shared"}}}, Cmd: []string{"x"}},
	}, linux)
	if err != nil {
		t.Fatal(err)
	}
	for ref, layers := range map[string]int{"docker.io/library/one:1": 1, "docker.io/library/one:2": 1, "registry.k8s.io/two:1": 2} {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		img, err := tarball.ImageFromPath(out, &tag)
		if err != nil {
			t.Fatalf("%q: %v", ref, err)
		}
		got, err := img.Layers()
		if err != nil || len(got) != layers {
			t.Errorf("%q: %d layers, %v, want %d", ref, len(got), err, layers)
		}
		config, err := img.ConfigFile()
		if err != nil || config.OS != "linux" || config.Architecture != "amd64" || !slices.Contains(config.Config.Env, searchPath) {
			t.Errorf("%q: configuration %+v, %v", ref, config, err)
		}
	}
	file, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // read-only
	blobs := 0
	for reader := tar.NewReader(file); ; {
		header, err := reader.Next()
		if err != nil {
			break
		}
		if filepath.Ext(header.Name) == ".gz" || filepath.Ext(header.Name) == ".tar" {
			blobs++
		}
	}
	if blobs != 2 {
		t.Errorf("the archive holds %d layers, want 2", blobs)
	}
}

func TestParseSpec(t *testing.T) {
	spec, err := ParseSpec("docker.io/library/mine:1", []string{"./server=/bin/server", "->server=/bin/alias"})
	if err != nil {
		t.Fatal(err)
	}
	want := []File{{Path: "/bin/server", Source: "./server"}, {Path: "/bin/alias", Target: "server"}}
	if len(spec.Layers) != 1 || !slices.EqualFunc(spec.Layers[0], want, func(a, b File) bool {
		return a.Path == b.Path && a.Source == b.Source && a.Target == b.Target
	}) {
		t.Errorf("got %+v", spec.Layers)
	}
	for name, files := range map[string][]string{
		"no place": {"./server"}, "no source": {"=/x"}, "a place that is not absolute": {"a=b"},
	} {
		if _, err := ParseSpec("x:1", files); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := ParseSpec("UPPER CASE", nil); err == nil {
		t.Error("a reference that is none was taken")
	}
}

func TestWithLibrariesFindsWhatAProgramNeeds(t *testing.T) {
	program, err := exec.LookPath("ip")
	if err != nil {
		t.Skip("no dynamic program to look at")
	}
	files, err := WithLibraries(program)
	if err != nil {
		t.Fatal(err)
	}
	has := func(part string) bool {
		return slices.ContainsFunc(files, func(f File) bool { return filepath.Base(f.Path) == part })
	}
	if !has(filepath.Base(program)) || !has("libc.so.6") {
		t.Errorf("got %+v", files)
	}
	if _, err := WithLibraries("/etc/hostname"); err == nil {
		t.Error("a file that is no program was taken")
	}
}
