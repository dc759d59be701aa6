// Package release tests what a release publishes: the krew manifests and archives, as krew reads and installs them, and
// the checksums and bills of material beside them.
package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

// Manifest is krew's plugin manifest, https://github.com/kubernetes-sigs/krew/blob/master/pkg/index/types.go. krew's own
// packages are not imported: its rules are internal to it.
type Manifest struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string     `json:"version"`
		ShortDescription string     `json:"shortDescription"`
		Description      string     `json:"description"`
		Caveats          string     `json:"caveats"`
		Homepage         string     `json:"homepage"`
		Platforms        []Platform `json:"platforms"`
	} `json:"spec"`
}

// Platform is one archive of a plugin.
type Platform struct {
	URI      string                `json:"uri"`
	SHA256   string                `json:"sha256"`
	Bin      string                `json:"bin"`
	Selector *metav1.LabelSelector `json:"selector"`
}

// pairs are the systems that krew runs on: cmd/validate-krew-manifest/main.go, allPlatforms.
var pairs = strings.Fields("windows/386 windows/amd64 windows/arm64 linux/386 linux/amd64 linux/arm linux/arm64 linux/ppc64le darwin/386 darwin/amd64 darwin/arm64")

var (
	safeName   = regexp.MustCompile(`^[\w-]+$`)
	lowerSHA   = regexp.MustCompile(`^[a-f0-9]{64}$`)
	license    = regexp.MustCompile(`(?i)^(licenses?(\.txt|\.md)?|copying(\.txt)?)$`)
	apiVersion = "krew.googlecontainertools.github.com/v1alpha2"
)

// ReadManifest reads a manifest; a field that krew does not know is an error here.
func ReadManifest(path string) (Manifest, error) {
	var m Manifest
	data, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	return m, yaml.UnmarshalStrict(data, &m)
}

// Validate holds a manifest, read from the file of this name, against the rules of krew and of krew-index.
func (m Manifest) Validate(file string) error {
	var wrong []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	refuse(m.APIVersion != apiVersion || m.Kind != "Plugin", "apiVersion %q kind %q", m.APIVersion, m.Kind)
	refuse(!safeName.MatchString(m.Metadata.Name), "name %q", m.Metadata.Name)
	refuse(m.Metadata.Name+".yaml" != filepath.Base(file), "name %q in the file %q", m.Metadata.Name, filepath.Base(file))
	_, err := version.ParseSemantic(m.Spec.Version)
	refuse(err != nil || !strings.HasPrefix(m.Spec.Version, "v"), "version %q is not v and a semantic version", m.Spec.Version)
	refuse(m.Spec.ShortDescription == "" || strings.ContainsAny(m.Spec.ShortDescription, "\r\n"), "shortDescription is not one line")
	refuse(len(m.Spec.ShortDescription) > 50, "shortDescription is longer than the 50 characters that reviewers of krew-index ask for")
	refuse(m.Spec.Homepage == "", "no homepage")
	refuse(len(m.Spec.Platforms) == 0, "no platforms")
	for line := range strings.Lines(m.Spec.Description + "\n" + m.Spec.Caveats) {
		refuse(len(line) > 81, "a line of the description is longer than 80 characters: %q", line)
	}
	taken := map[string]int{}
	for i, p := range m.Spec.Platforms {
		if err := p.validate(); err != nil {
			wrong = append(wrong, fmt.Errorf("platform %d: %w", i, err))
			continue
		}
		matched := p.pairs()
		refuse(len(matched) == 0, "platform %d matches no system that krew runs on", i)
		for _, pair := range matched {
			other, both := taken[pair]
			refuse(both, "platforms %d and %d both match %s", other, i, pair)
			taken[pair] = i
		}
	}
	return errors.Join(wrong...)
}

func (p Platform) validate() error {
	switch {
	case !strings.HasSuffix(p.URI, ".tar.gz") && !strings.HasSuffix(p.URI, ".zip"):
		return fmt.Errorf("uri %q", p.URI)
	case !lowerSHA.MatchString(p.SHA256):
		return fmt.Errorf("sha256 %q is not 64 lower-case hexadecimal digits", p.SHA256)
	case p.Bin == "":
		return errors.New("no bin")
	case p.Selector == nil || len(p.Selector.MatchLabels)+len(p.Selector.MatchExpressions) == 0:
		return errors.New("no selector")
	}
	keys := []string{}
	for key := range p.Selector.MatchLabels {
		keys = append(keys, key)
	}
	for _, e := range p.Selector.MatchExpressions {
		keys = append(keys, e.Key)
	}
	for _, key := range keys {
		if key != "os" && key != "arch" {
			return fmt.Errorf("selector key %q", key)
		}
	}
	_, err := metav1.LabelSelectorAsSelector(p.Selector)
	return err
}

func (p Platform) pairs() []string {
	selector, err := metav1.LabelSelectorAsSelector(p.Selector)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool {
		system, arch, _ := strings.Cut(pair, "/")
		return !selector.Matches(labels.Set{"os": system, "arch": arch})
	})
}

// Install does what `kubectl krew install` does for a platform ("linux/amd64"): it picks the archive, downloads it,
// compares its checksum, unpacks it below root, demands a license as krew-index does, and links the program into
// root/bin under the name that kubectl looks for. It gives the link.
func Install(ctx context.Context, client *http.Client, m Manifest, pair, root string) (link string, err error) {
	i := slices.IndexFunc(m.Spec.Platforms, func(p Platform) bool { return slices.Contains(p.pairs(), pair) })
	if i < 0 {
		return "", fmt.Errorf("%s does not offer installation for %s", m.Metadata.Name, pair)
	}
	p := m.Spec.Platforms[i]
	data, err := download(ctx, client, p.URI)
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.SHA256 {
		return "", fmt.Errorf("checksum of %s is %x, not %s", p.URI, sum, p.SHA256)
	}
	files, err := entries(data)
	if err != nil {
		return "", err
	}
	store := filepath.Join(root, "store", m.Metadata.Name, m.Spec.Version)
	for _, f := range files {
		if err := f.write(store); err != nil {
			return "", err
		}
	}
	if !slices.ContainsFunc(files, func(f entry) bool { return license.MatchString(filepath.Base(f.name)) }) {
		return "", fmt.Errorf("no license in %s", p.URI)
	}
	program := filepath.Join(store, filepath.FromSlash(p.Bin))
	if info, err := os.Stat(program); err != nil || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("bin %q is not a program in %s (%w)", p.Bin, p.URI, err)
	}
	link = filepath.Join(root, "bin", linkName(m.Metadata.Name, pair))
	if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
		return "", err
	}
	return link, os.Symlink(program, link)
}

func linkName(plugin, pair string) string {
	name := "kubectl-" + strings.ReplaceAll(plugin, "-", "_")
	if strings.HasPrefix(pair, "windows/") {
		name += ".exe"
	}
	return name
}

func download(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	return io.ReadAll(response.Body)
}

// entry is a file of an archive. Owner is empty in a zip, which has none.
type entry struct {
	name  string
	mode  os.FileMode
	mtime string
	owner string
	data  []byte
}

func (f entry) write(dir string) error {
	path := filepath.Join(dir, filepath.FromSlash(f.name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, f.data, f.mode.Perm())
}

// entries unpacks an archive by its content, as krew does, and refuses what krew refuses.
func entries(data []byte) ([]entry, error) {
	var (
		list []entry
		err  error
	)
	switch kind := http.DetectContentType(data); kind {
	case "application/zip":
		list, err = zipEntries(data)
	case "application/x-gzip":
		list, err = tarEntries(data)
	default:
		return nil, fmt.Errorf("archive of type %s", kind)
	}
	for _, f := range list {
		if strings.Contains(f.name, "..") || strings.HasPrefix(f.name, "/") || strings.HasPrefix(f.name, `\`) {
			return nil, fmt.Errorf("suspicious entry %q", f.name)
		}
	}
	return list, err
}

const stamp = "2006-01-02T15:04:05Z"

func zipEntries(data []byte) ([]entry, error) {
	reader, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	var list []entry
	for _, f := range reader.File {
		content, err := f.Open()
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(content)
		if err != nil {
			return nil, err
		}
		list = append(list, entry{name: f.Name, mode: f.Mode(), mtime: f.Modified.UTC().Format(stamp), data: text})
	}
	return list, nil
}

func tarEntries(data []byte) ([]entry, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var list []entry
	for reader := tar.NewReader(unzipped); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%q is not a plain file", header.Name)
		}
		text, err := io.ReadAll(reader)
		if err != nil {
			return nil, err
		}
		list = append(list, entry{
			name: header.Name, mode: header.FileInfo().Mode(), mtime: header.ModTime.UTC().Format(stamp), owner: header.Uname + ":" + header.Gname, data: text,
		})
	}
}
