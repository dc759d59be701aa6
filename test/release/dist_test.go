package release

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
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
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Without -dist these tests build a snapshot of their own, for this machine's platform only: the same configuration, the
// same steps. `make release-test` looks at all that `make snapshot` built.
var dist = flag.String("dist", "", "folder that `make snapshot` filled")

// What a user downloads and keeps, from the project's own promise.
const (
	archiveBudget = 13_000_000
	binaryBudget  = 34_000_000
	// Those of runbooks, which holds three of the others.
	suiteArchiveBudget = 19_000_000
	suiteBudget        = 50_000_000
)

const committed = "../../plugins"

var (
	platforms = strings.Fields("darwin/amd64 darwin/arm64 linux/amd64 linux/arm64 windows/amd64 windows/arm64")
	here      = runtime.GOOS + "/" + runtime.GOARCH
)

// snapshot is what goreleaser wrote.
type snapshot struct {
	dist      string // archives, bills of material, checksums
	manifests string
	platforms []string
}

var own struct {
	once   sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, folder := range []string{own.folder, krewTools.folder} {
		if folder != "" {
			os.RemoveAll(folder)
		}
	}
	os.Exit(code)
}

// built gives what -dist names, or builds it. It never skips: what cannot be built cannot be released.
func built(t *testing.T) snapshot {
	t.Helper()
	if *dist != "" {
		return snapshot{dist: *dist, manifests: committed, platforms: platforms}
	}
	own.once.Do(func() {
		if own.folder, own.err = os.MkdirTemp("", "snapshot"); own.err != nil { //nolint:usetesting // outlives the test that makes it
			return
		}
		c := exec.Command("make", "-s", "-C", "../..", "snapshot", "SNAPSHOT_DIR="+own.folder, "SNAPSHOT_PLATFORM="+here)
		c.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=")
		if exec.Command("git", "-C", "../..", "rev-parse", "HEAD").Run() != nil { // a source archive
			c.Env = append(c.Env, "RELEASE_VERSION=v0.0.0", "RELEASE_EPOCH=1", "RELEASE_COMMIT="+strings.Repeat("0", 40))
		}
		if out, err := c.CombinedOutput(); err != nil {
			own.err = fmt.Errorf("make snapshot: %w\n%s", err, out)
		}
	})
	if own.err != nil {
		t.Fatal(own.err)
	}
	return snapshot{dist: filepath.Join(own.folder, "dist"), manifests: filepath.Join(own.folder, "plugins"), platforms: []string{here}}
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

// manifests reads a folder of them, one for each plugin, and holds each against krew's rules.
func manifests(t *testing.T, folder string) map[string]Manifest {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
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
	names := slices.Sorted(maps.Keys(found))
	if d := cmp.Diff(plugins(t), names); d != "" {
		t.Fatalf("manifests in %s, `make snapshot` writes them (-plugins +manifests):\n%s", folder, d)
	}
	return found
}

func covered(m Manifest) []string {
	var list []string
	for _, p := range m.Spec.Platforms {
		list = append(list, p.pairs()...)
	}
	slices.Sort(list)
	return list
}

func TestManifestsInTheRepositoryAreOfOneReleaseForEveryPlatform(t *testing.T) {
	origins := map[string]bool{}
	for name, m := range manifests(t, committed) {
		if d := cmp.Diff(platforms, covered(m)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		for _, p := range m.Spec.Platforms {
			pair := strings.ReplaceAll(p.pairs()[0], "/", "_")
			want := "https://github.com/kubectl-runbooks/kubectl-runbooks/releases/download/" + m.Spec.Version + "/" +
				strings.TrimSuffix(linkName(name, ""), ".exe") + "_" + m.Spec.Version + "_" + pair
			if got, _, _ := strings.Cut(p.URI, ".tar.gz"); strings.TrimSuffix(got, ".zip") != want {
				t.Errorf("%s: %s is not %s", name, p.URI, want)
			}
		}
		origins[m.Spec.Version+" "+origin(t, committed, name)] = true
	}
	if len(origins) != 1 {
		t.Errorf("the manifests come from several builds: %v", origins)
	}
	for o := range origins {
		if !regexp.MustCompile(`^v\d+\.\d+\.\d+ # Checksums of what .* from commit [0-9a-f]{40} with go1\.\S+\. See docs/releasing.md\.$`).MatchString(o) {
			t.Errorf("the manifests do not say what they are of, or are of a tree with changes: %q", o)
		}
	}
}

// origin is a manifest's first line: the commit and the Go that its checksums come from.
func origin(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// Where the tree is what the manifests in the repository were made from, its archives have the checksums that stand there,
// whoever builds them and where.
func TestManifestsInTheRepositoryHoldTheChecksumsOfWhatIsBuilt(t *testing.T) {
	b := built(t)
	inGit := manifests(t, committed)
	for name, m := range manifests(t, b.manifests) {
		if d := cmp.Diff(b.platforms, covered(m)); d != "" {
			t.Errorf("%s is built for other platforms (-want +got):\n%s", name, d)
		}
		if from, now := origin(t, committed, name), origin(t, b.manifests, name); from != now || m.Spec.Version != inGit[name].Spec.Version {
			t.Logf("%s is not compared: this tree has changed since\n%s\nand is\n%s (%s)", name, from, now, m.Spec.Version)
			continue
		}
		for _, p := range m.Spec.Platforms {
			i := slices.IndexFunc(inGit[name].Spec.Platforms, func(other Platform) bool { return other.URI == p.URI })
			if i < 0 || inGit[name].Spec.Platforms[i].SHA256 != p.SHA256 {
				t.Errorf("%s has the checksum %s, and plugins/%s.yaml does not say so: run `make snapshot` and commit plugins/*.yaml", p.URI, p.SHA256, name)
			}
		}
	}
}

// serve answers the addresses that the manifests name, and no others, from dist/.
func serve(t *testing.T, folder string, m Manifest) *httptest.Server {
	t.Helper()
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

func TestEveryPlatformInstalls(t *testing.T) {
	b := built(t)
	for name, m := range manifests(t, b.manifests) {
		for _, pair := range b.platforms {
			t.Run(name+"/"+pair, func(t *testing.T) {
				server := serve(t, b.dist, m)
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
				budget := int64(binaryBudget)
				if name == "runbooks" {
					budget = suiteBudget
				}
				if pair == "linux/amd64" && info.Size() > budget {
					t.Errorf("the binary has %.1f MB", float64(info.Size())/1e6)
				}
				if pair == here {
					runs(t, link, name, m.Spec.Version)
					completes(t, link)
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
	if build.Version != version || !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(build.Commit) || build.Platform != here || build.ClientGo == "" {
		t.Errorf("version says %s", out)
	}
	out, err = exec.Command(program, "--help").Output()
	if err != nil || !strings.Contains(string(out), "kubectl "+name) {
		t.Errorf("--help does not speak of kubectl %s: %v\n%.300s", name, err, out)
	}
}

// shellCompletion loads a plugin's own script into a bash and completes WORDS. Without the package bash-completion the one
// helper that cobra's script takes from it stands in.
const shellCompletion = `
[ -r /usr/share/bash-completion/bash_completion ] && . /usr/share/bash-completion/bash_completion
declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref() {
  words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
}
script=$("$PROGRAM" completion bash)
bash -n <<<"$script"
eval "$script"
function=$(complete -p "$PROGRAM" | sed 's/.*-F \([^ ]*\).*/\1/')
COMP_WORDS=("$PROGRAM" $WORDS) COMP_LINE="$PROGRAM $WORDS" COMP_TYPE=9 COMP_KEY=9
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_POINT=${#COMP_LINE}
"$function" 2>/dev/null || true
printf '%s\n' "${COMPREPLY[@]}"
`

// completes shows that the script which a plugin prints completes that plugin in a real shell.
func completes(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Errorf("no bash: %v", err)
		return
	}
	for words, want := range map[string]string{"vers": "version", "completion powe": "powershell", "--lang z": "zh", "--kubecon": "--kubeconfig"} {
		c := exec.Command("bash", "-euc", shellCompletion)
		c.Env = append(os.Environ(), "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"), "PROGRAM="+filepath.Base(program), "WORDS="+words)
		out, err := c.CombinedOutput()
		if err != nil || !strings.HasPrefix(strings.TrimSpace(string(out)), want) {
			t.Errorf("%s %s<Tab> gives %q (%v), want %s", filepath.Base(program), words, out, err, want)
		}
	}
}

func TestArchivesHoldTheProgramAndTheLicenceAndNoTraceOfTheBuilder(t *testing.T) {
	b := built(t)
	license, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	stamps := map[string]bool{}
	for name, m := range manifests(t, b.manifests) {
		for _, p := range m.Spec.Platforms {
			file := path.Base(p.URI)
			data, err := os.ReadFile(filepath.Join(b.dist, file))
			if err != nil {
				t.Error(err)
				continue
			}
			budget := archiveBudget
			if name == "runbooks" {
				budget = suiteArchiveBudget
			}
			if len(data) > budget {
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
				if f.name == "LICENSE" && string(f.data) != string(license) {
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
	b := built(t)
	file, err := os.Open(filepath.Join(b.dist, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listed := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		data, err := os.ReadFile(filepath.Join(b.dist, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
			t.Errorf("checksums.txt is wrong about %s", name)
		}
		listed[name] = true
	}
	for name, m := range manifests(t, b.manifests) {
		for _, p := range m.Spec.Platforms {
			archive := path.Base(p.URI)
			bom := strings.TrimSuffix(strings.TrimSuffix(archive, ".zip"), ".tar.gz") + ".cdx.json"
			if !listed[archive] || !listed[bom] {
				t.Errorf("%s: checksums.txt lacks %s or %s", name, archive, bom)
			}
			checkBill(t, filepath.Join(b.dist, bom), name, m.Spec.Version)
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
