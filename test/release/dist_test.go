package release

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	dist = flag.String("dist", "", "folder that `make snapshot` filled")
	krew = flag.String("krew", "", "the real krew, to install with it as well")
)

// What a user downloads and keeps, from the project's own promise.
const (
	archiveBudget = 13_000_000
	binaryBudget  = 34_000_000
)

var platforms = strings.Fields("darwin/amd64 darwin/arm64 linux/amd64 linux/arm64 windows/amd64 windows/arm64")

func distFolder(t *testing.T) string {
	t.Helper()
	if *dist == "" {
		t.Skip("looks at what `make snapshot` built: run `make snapshot release-test`")
	}
	return *dist
}

// plugins lists cmd/kubectl-NAME as NAME.
func plugins(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("../../cmd/kubectl-*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no plugins: %v", err)
	}
	for i := range folders {
		folders[i] = strings.TrimPrefix(filepath.Base(folders[i]), "kubectl-")
	}
	return folders
}

func manifests(t *testing.T) map[string]Manifest {
	t.Helper()
	files, err := filepath.Glob("../../krew-manifests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Manifest{}
	for _, file := range files {
		m, err := ReadManifest(file)
		if err == nil {
			err = m.Validate(file)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		found[m.Metadata.Name] = m
	}
	return found
}

func TestManifestsInTheRepositoryAreValid(t *testing.T) {
	manifests(t)
}

func TestEveryPluginHasAManifestForEveryPlatform(t *testing.T) {
	distFolder(t)
	found := manifests(t)
	for _, name := range plugins(t) {
		m, ok := found[name]
		if !ok {
			t.Errorf("no krew-manifests/%s.yaml: run `make snapshot`", name)
			continue
		}
		var covered []string
		for _, p := range m.Spec.Platforms {
			covered = append(covered, p.pairs()...)
		}
		slices.Sort(covered)
		if d := cmp.Diff(platforms, covered); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		delete(found, name)
	}
	for name := range found {
		t.Errorf("krew-manifests/%s.yaml is of no plugin", name)
	}
}

// serve answers the addresses that the manifests name, and no others, from dist/.
func serve(t *testing.T, m Manifest) *httptest.Server {
	t.Helper()
	folder := distFolder(t)
	release := "/kubectl-runbooks/kubectl-runbooks/releases/download/" + m.Spec.Version
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Dir(r.URL.Path) != release {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, filepath.Join(folder, path.Base(r.URL.Path)))
	}))
	t.Cleanup(server.Close)
	return server
}

// at turns a manifest's addresses to the server.
func at(t *testing.T, m Manifest, server *httptest.Server) Manifest {
	t.Helper()
	m.Spec.Platforms = slices.Clone(m.Spec.Platforms)
	for i := range m.Spec.Platforms {
		address, err := url.Parse(m.Spec.Platforms[i].URI)
		if err != nil || address.Scheme != "https" || address.Host != "github.com" {
			t.Fatalf("uri %q", m.Spec.Platforms[i].URI)
		}
		m.Spec.Platforms[i].URI = server.URL + address.Path
	}
	return m
}

func TestEveryPlatformInstallsFromDist(t *testing.T) {
	distFolder(t)
	for name, m := range manifests(t) {
		for _, pair := range platforms {
			t.Run(name+"/"+pair, func(t *testing.T) {
				server := serve(t, m)
				root := t.TempDir()
				link, err := Install(t.Context(), server.Client(), at(t, m, server), pair, root)
				if err != nil {
					t.Fatal(err)
				}
				if want := filepath.Join(root, "bin", linkName(name, pair)); link != want {
					t.Errorf("linked as %s, want %s", link, want)
				}
				info, err := os.Stat(link)
				if err != nil {
					t.Fatal(err)
				}
				if pair == "linux/amd64" && info.Size() > binaryBudget {
					t.Errorf("the binary has %.1f MB", float64(info.Size())/1e6)
				}
				if pair == runtime.GOOS+"/"+runtime.GOARCH {
					runs(t, link, name, m.Spec.Version)
				}
			})
		}
	}
}

// runs shows that what was installed starts, knows its version, and calls itself what the user types.
func runs(t *testing.T, program, name, version string) {
	t.Helper()
	out, err := exec.Command(program, "version", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var build struct{ Version, Commit, Platform, ClientGo string }
	if err := json.Unmarshal(out, &build); err != nil {
		t.Fatal(err)
	}
	if build.Version != version || !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(build.Commit) || build.Platform != runtime.GOOS+"/"+runtime.GOARCH || build.ClientGo == "" {
		t.Errorf("version says %s", out)
	}
	out, err = exec.Command(program, "--help").Output()
	if err != nil || !strings.Contains(string(out), "kubectl "+name) {
		t.Errorf("--help does not speak of kubectl %s: %v\n%.300s", name, err, out)
	}
}

func TestArchivesHoldTheProgramAndTheLicenceAndNoTraceOfTheBuilder(t *testing.T) {
	folder := distFolder(t)
	licence, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	stamps := map[string]bool{}
	for name, m := range manifests(t) {
		for _, p := range m.Spec.Platforms {
			file := path.Base(p.URI)
			data, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Error(err)
				continue
			}
			if len(data) > archiveBudget {
				t.Errorf("%s has %.1f MB", file, float64(len(data))/1e6)
			}
			files, err := entries(data)
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			got := map[string]string{}
			for _, f := range files {
				got[f.name] = f.mode.String()
				stamps[f.mtime] = true
				if f.owner != "" && f.owner != "root:root" {
					t.Errorf("%s: %s belongs to %s", file, f.name, f.owner)
				}
				if f.name == "LICENSE" && string(f.data) != string(licence) {
					t.Errorf("%s holds another LICENSE", file)
				}
			}
			want := map[string]string{"LICENSE": "-rw-r--r--", linkName(name, p.pairs()[0]): "-rwxr-xr-x"}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
		}
	}
	if len(stamps) != 1 {
		t.Errorf("files carry several times, so some are not the commit's: %v", stamps)
	}
}

func TestChecksumsCoverEveryArchiveAndBillOfMaterial(t *testing.T) {
	folder := distFolder(t)
	file, err := os.Open(filepath.Join(folder, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listed := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
			t.Errorf("checksums.txt is wrong about %s", name)
		}
		listed[name] = true
	}
	for name, m := range manifests(t) {
		for _, p := range m.Spec.Platforms {
			archive := path.Base(p.URI)
			bom := strings.TrimSuffix(strings.TrimSuffix(archive, ".zip"), ".tar.gz") + ".cdx.json"
			if !listed[archive] || !listed[bom] {
				t.Errorf("%s: checksums.txt lacks %s or %s", name, archive, bom)
			}
			checkBill(t, filepath.Join(folder, bom), name, m.Spec.Version)
		}
	}
}

func checkBill(t *testing.T, file, plugin, version string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	var bill struct {
		BomFormat, SpecVersion string
		Metadata               struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(data, &bill); err != nil {
		t.Fatal(err)
	}
	if bill.BomFormat != "CycloneDX" || bill.Metadata.Component.Name != "kubectl-"+plugin || bill.Metadata.Component.Version != version {
		t.Errorf("%s is of %+v", file, bill.Metadata.Component)
	}
	var names []string
	for _, c := range bill.Components {
		names = append(names, c.Name)
		if c.Version == "" || !strings.HasSuffix(c.PURL, "@"+c.Version) {
			t.Errorf("%s: %+v has no version", file, c)
		}
	}
	for _, want := range []string{"std", "k8s.io/client-go", "github.com/spf13/cobra"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s lacks %s", file, want)
		}
	}
}

// With the real krew (-krew PATH): install each plugin for every platform from its archive, then uninstall it.
func TestTheRealKrewInstallsAndUninstalls(t *testing.T) {
	folder := distFolder(t)
	if *krew == "" {
		t.Skip("no -krew given: the same steps are done by this package's Install")
	}
	for name, m := range manifests(t) {
		for _, pair := range platforms {
			i := slices.IndexFunc(m.Spec.Platforms, func(p Platform) bool { return slices.Contains(p.pairs(), pair) })
			root := t.TempDir()
			system, arch, _ := strings.Cut(pair, "/")
			call := func(args ...string) {
				c := exec.Command(*krew, args...)
				c.Env = append(os.Environ(), "KREW_ROOT="+root, "KREW_OS="+system, "KREW_ARCH="+arch)
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%s %s: krew %v: %v\n%s", name, pair, args, err, out)
				}
			}
			link := filepath.Join(root, "bin", linkName(name, pair))
			call("install", "--manifest=../../krew-manifests/"+name+".yaml", "--archive="+filepath.Join(folder, path.Base(m.Spec.Platforms[i].URI)))
			if _, err := os.Stat(link); err != nil {
				t.Error(err)
			}
			call("uninstall", name)
			if _, err := os.Lstat(link); err == nil {
				t.Errorf("%s is left after uninstall", link)
			}
		}
	}
}
