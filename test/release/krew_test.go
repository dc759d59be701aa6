package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// archive makes a .tar.gz of names; each file holds its own name.
func archive(t *testing.T, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(name))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// good is a manifest of one platform, and a server for its archive.
func good(t *testing.T, data []byte) (Manifest, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(data)
	m := Manifest{TypeMeta: metav1.TypeMeta{APIVersion: apiVersion, Kind: "Plugin"}}
	m.Metadata.Name = "roll-out"
	m.Spec.Version, m.Spec.ShortDescription, m.Spec.Homepage = "v0.1.0", "Explain", "https://example.com"
	m.Spec.Platforms = []Platform{{
		URI: server.URL + "/a.tar.gz", SHA256: hex.EncodeToString(sum[:]), Bin: "kubectl-roll_out",
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"os": "linux", "arch": "amd64"}},
	}}
	return m, server
}

func writeManifest(t *testing.T, m Manifest, name string) string {
	t.Helper()
	text, err := yaml.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAGoodManifestInstallsUnderTheNameThatKubectlLooksFor(t *testing.T) {
	m, server := good(t, archive(t, "LICENSE", "kubectl-roll_out"))
	if err := m.Validate("plugins/roll-out.yaml"); err != nil {
		t.Fatal(err)
	}
	if out, err := offline(t, t.TempDir(), "linux/amd64", "validate-krew-manifest", "-manifest", writeManifest(t, m, "roll-out.yaml")); err != nil {
		t.Errorf("krew-index's own validator: %v\n%s", err, out)
	}
	link, err := Install(t.Context(), server.Client(), m, "linux/amd64", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(link) != "kubectl-roll_out" {
		t.Errorf("linked as %s", link)
	}
	if text, err := os.ReadFile(link); err != nil || string(text) != "kubectl-roll_out" {
		t.Errorf("the link gives %q, %v", text, err)
	}
	if linkName("dns", "windows/arm64") != "kubectl-dns.exe" {
		t.Error("on Windows a program ends in .exe")
	}
}

func TestWhatKrewRefuses(t *testing.T) {
	data := archive(t, "LICENSE", "kubectl-roll_out")
	tests := []struct {
		name   string
		file   string
		data   []byte
		change func(*Manifest)
		want   string
	}{
		{"upper-case sha", "", data, func(m *Manifest) { m.Spec.Platforms[0].SHA256 = strings.ToUpper(m.Spec.Platforms[0].SHA256) }, "64 lower-case"},
		{"version without v", "", data, func(m *Manifest) { m.Spec.Version = "0.1.0" }, `version "0.1.0"`},
		{"version that is none", "", data, func(m *Manifest) { m.Spec.Version = "vnext" }, `version "vnext"`},
		{"file of another name", "rollout.yaml", data, func(*Manifest) {}, `in the file "rollout.yaml"`},
		{"two platforms for one system", "", data, func(m *Manifest) { m.Spec.Platforms = append(m.Spec.Platforms, m.Spec.Platforms[0]) }, "both match linux/amd64"},
		{"a system that krew does not know", "", data, func(m *Manifest) { m.Spec.Platforms[0].Selector.MatchLabels["os"] = "plan9" }, "matches no system"},
		{"a selector on something else", "", data, func(m *Manifest) { m.Spec.Platforms[0].Selector.MatchLabels["libc"] = "musl" }, `selector key "libc"`},
		{"a raw binary", "", []byte("#!/bin/sh\n"), func(m *Manifest) { m.Spec.Platforms[0].URI = strings.TrimSuffix(m.Spec.Platforms[0].URI, ".tar.gz") }, "uri"},
		{"two lines of short description", "", data, func(m *Manifest) { m.Spec.ShortDescription = "a\nb" }, "not one line"},
		{"no license", "", archive(t, "README.md", "kubectl-roll_out"), func(*Manifest) {}, "no license"},
		{"another archive than was summed", "", data, func(m *Manifest) { m.Spec.Platforms[0].SHA256 = strings.Repeat("0", 64) }, "checksum of"},
		{"bin that is not inside", "", data, func(m *Manifest) { m.Spec.Platforms[0].Bin = "kubectl-rollout-explain" }, "is not a program"},
		{"an entry that climbs out", "", archive(t, "LICENSE", "../kubectl-roll_out"), func(*Manifest) {}, "suspicious entry"},
		{"another system", "", data, func(m *Manifest) { m.Spec.Platforms[0].Selector.MatchLabels["arch"] = "arm64" }, "does not offer installation for linux/amd64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, server := good(t, tt.data)
			tt.change(&m)
			file := tt.file
			if file == "" {
				file = "roll-out.yaml"
			}
			err := m.Validate(file)
			if err == nil {
				_, err = Install(t.Context(), server.Client(), m, "linux/amd64", t.TempDir())
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if tt.name == "another system" {
				return // a good manifest, and not for this machine
			}
			path := writeManifest(t, m, file)
			if out, err := offline(t, t.TempDir(), "linux/amd64", "validate-krew-manifest", "-manifest", path); err == nil {
				t.Errorf("krew-index's own validator lets it through:\n%s", out)
			}
		})
	}
}
