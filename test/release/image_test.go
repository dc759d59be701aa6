package release

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// imageBudget is that of the image of one architecture, as it is downloaded.
const imageBudget = 55_000_000

// descriptor names a part of an OCI layout: https://github.com/opencontainers/image-spec/blob/main/descriptor.md
type descriptor struct {
	MediaType, Digest string
	Size              int64
	Platform          struct{ OS, Architecture string }
	Annotations       map[string]string
}

// imageArchive gives the files of an image's archive.
func imageArchive(t *testing.T, b snapshot) map[string][]byte {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dist, "*_image.tar"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%d archives of an image in %s: %v", len(found), b.dist, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	for header, data := range imageFiles(t, f) {
		files[header.Name] = data
	}
	return files
}

// imageFiles reads a tar.
func imageFiles(t *testing.T, from io.Reader) map[*tar.Header][]byte {
	t.Helper()
	found := map[*tar.Header][]byte{}
	r := tar.NewReader(from)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[header] = data
	}
}

// The archive is read by its specification, not by the library that wrote it.
func TestTheImageHoldsThePluginsThatRead(t *testing.T) {
	if !strings.HasPrefix(here, "linux/") && *dist == "" {
		t.Skip("images are built of programs for Linux")
	}
	b := built(t)
	files := imageArchive(t, b)
	blob := func(d descriptor, into any) []byte {
		data := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
		sum := sha256.Sum256(data)
		if d.Digest != "sha256:"+hex.EncodeToString(sum[:]) || d.Size != int64(len(data)) {
			t.Fatalf("%+v is not what is there: %d bytes", d, len(data))
		}
		if into != nil {
			if err := json.Unmarshal(data, into); err != nil {
				t.Fatal(err)
			}
		}
		return data
	}
	var top, index struct{ Manifests []descriptor }
	if err := json.Unmarshal(files["index.json"], &top); err != nil || len(top.Manifests) != 1 {
		t.Fatalf("%v: %s", err, files["index.json"])
	}
	if name := top.Manifests[0].Annotations["io.containerd.image.name"]; !strings.HasPrefix(name, "ghcr.io/kubectl-runbooks/kubectl-runbooks:v") {
		t.Errorf("it is called %q", name)
	}
	blob(top.Manifests[0], &index)
	var platforms []string
	for _, d := range index.Manifests {
		platforms = append(platforms, d.Platform.OS+"/"+d.Platform.Architecture)
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		blob(d, &manifest)
		checkConfig(t, blob(manifest.Config, nil))
		size := int64(0)
		got := map[string]string{}
		for _, l := range manifest.Layers {
			size += l.Size
			for header, data := range imageFiles(t, bytes.NewReader(gzipped(t, blob(l, nil)))) {
				if header.Uid != 0 || header.Gid != 0 || header.ModTime.IsZero() || time.Since(header.ModTime) < 0 {
					t.Errorf("%+v", header)
				}
				if header.Typeflag == tar.TypeDir {
					continue
				}
				got[header.Name] = header.FileInfo().Mode().String()
				if d.Platform.Architecture == runtime.GOARCH && header.Name == "usr/bin/kubectl-runbooks" {
					starts(t, data)
				}
			}
		}
		const program, text = "-rwxr-xr-x", "-rw-r--r--"
		if d := cmp.Diff(map[string]string{
			"usr/bin/kubectl-runbooks": program, "usr/bin/kubectl-nodeinfo": program, "usr/bin/kubectl-dns": program,
			"usr/bin/kubectl-rollout_explain": program, "usr/share/doc/kubectl-runbooks/copyright": text,
		}, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if size > imageBudget {
			t.Errorf("%v: %d bytes", d.Platform, size)
		}
	}
	var want []string
	for _, platform := range b.platforms {
		if strings.HasPrefix(platform, "linux/") {
			want = append(want, platform)
		}
	}
	if d := cmp.Diff(want, platforms); d != "" {
		t.Errorf("platforms (-want +got):\n%s", d)
	}
}

func checkConfig(t *testing.T, data []byte) {
	t.Helper()
	var c struct {
		Created time.Time
		Config  struct {
			User       string
			Entrypoint []string
			Labels     map[string]string
		}
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c.Config.User != "65532:65532" || strings.Join(c.Config.Entrypoint, " ") != "/usr/bin/kubectl-runbooks" || c.Created.Year() < 2020 && *dist != "" {
		t.Errorf("%+v", c)
	}
	for _, label := range []string{"version", "revision", "source", "licenses", "title"} {
		if c.Config.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("no label %s", label)
		}
	}
}

func starts(t *testing.T, program []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubectl-runbooks")
	if err := os.WriteFile(file, program, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(file, "version").CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("kubectl runbooks v")) {
		t.Errorf("%v: %s", err, out)
	}
}

// Two builds of the same programs are equal to the byte.
func TestTheImageIsReproducible(t *testing.T) {
	if !strings.HasPrefix(here, "linux/") {
		t.Skip("the tests build an image on Linux only")
	}
	b := built(t)
	found, err := filepath.Glob(filepath.Join(b.dist, "*_image.tar"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	first, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Created time.Time
		Config  struct{ Labels map[string]string }
	}
	for name, data := range imageArchive(t, b) {
		if strings.HasPrefix(name, "blobs/") && bytes.Contains(data, []byte(`"org.opencontainers.image.revision"`)) {
			if err := json.Unmarshal(data, &config); err != nil {
				t.Fatal(err)
			}
		}
	}
	again := filepath.Join(t.TempDir(), "again.tar")
	labels := config.Config.Labels
	c := exec.Command("go", "-C", "image", "run", ".", "-dist", b.dist, "-license", "../../../LICENSE", "-out", again, "-epoch", strconv.FormatInt(config.Created.Unix(), 10),
		"-version", labels["org.opencontainers.image.version"], "-commit", labels["org.opencontainers.image.revision"])
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	second, err := os.ReadFile(again)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%v: %d and %d bytes are not equal", err, len(first), len(second))
	}
}
