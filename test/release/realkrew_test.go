package release

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// krewTools is a folder with krew itself (pinned in test/release/krew), as kubectl finds it, and krew-index's validator.
var krewTools struct {
	once   sync.Once
	folder string
	err    error
}

// withKrew gives a PATH with krew and its validator. Where kubectl is not installed, a stand-in hands "kubectl krew" on,
// which is what kubectl does with a plugin.
func withKrew(t *testing.T) string {
	t.Helper()
	krewTools.once.Do(func() {
		if krewTools.folder, krewTools.err = os.MkdirTemp("", "krew"); krewTools.err != nil { //nolint:usetesting // outlives the test that makes it
			return
		}
		c := exec.Command("go", "build", "-C", "krew", "-o", krewTools.folder+"/", "sigs.k8s.io/krew/cmd/krew", "sigs.k8s.io/krew/cmd/validate-krew-manifest")
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("krew does not build: %v\n%s", err, out)
			krewTools.err = err
			return
		}
		krewTools.err = os.Rename(krewTools.folder+"/krew", krewTools.folder+"/kubectl-krew")
		if _, err := exec.LookPath("kubectl"); err != nil && krewTools.err == nil {
			krewTools.err = os.WriteFile(krewTools.folder+"/kubectl", []byte("#!/bin/sh\n[ \"$1\" = krew ] && shift && exec kubectl-krew \"$@\"\n"), 0o755)
		}
		index(t, krewTools.folder+"/krew-index", nil)
	})
	if krewTools.err != nil {
		t.Fatal(krewTools.err)
	}
	return "PATH=" + krewTools.folder + string(os.PathListSeparator) + os.Getenv("PATH")
}

// index makes a krew index, which is a git repository with plugins/NAME.yaml, or changes one.
func index(t *testing.T, folder string, plugins map[string]string) {
	t.Helper()
	if err := os.MkdirAll(folder+"/plugins", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, manifest := range plugins {
		if err := os.WriteFile(folder+"/plugins/"+name+".yaml", []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-q", "--allow-empty", "-m", "plugins"}} {
		c := exec.Command("git", append([]string{"-C", folder}, args...)...)
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
}

// offline runs a program of krew's in a home of its own; what would leave the machine fails.
func offline(t *testing.T, root, pair, name string, args ...string) (string, error) {
	t.Helper()
	system, arch, _ := strings.Cut(pair, "/")
	path := withKrew(t)
	c := exec.Command("env", append([]string{name}, args...)...) // env looks name up in the PATH below
	c.Env = []string{
		path, "HOME=" + root, "KREW_ROOT=" + root, "KREW_OS=" + system, "KREW_ARCH=" + arch, "KREW_DEFAULT_INDEX_URI=" + krewTools.folder + "/krew-index",
		"KREW_NO_UPGRADE_CHECK=1", "HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9",
	}
	out, err := c.CombinedOutput()
	return string(out), err
}

func krew(t *testing.T, root, pair string, args ...string) string {
	t.Helper()
	out, err := offline(t, root, pair, "kubectl", append([]string{"krew"}, args...)...)
	if err != nil {
		t.Fatalf("%s: kubectl krew %s: %v\n%s", pair, strings.Join(args, " "), err, out)
	}
	return out
}

// loopback serves the archives, and under /NAME.yaml the manifests with their addresses turned to the server. It gives the
// address, and a folder with the same manifests.
func loopback(t *testing.T, b snapshot) (address, folder string) {
	t.Helper()
	folder = t.TempDir()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := b.dist
		if path.Ext(r.URL.Path) == ".yaml" {
			from = folder
		}
		http.ServeFile(w, r, filepath.Join(from, path.Base(r.URL.Path)))
	}))
	t.Cleanup(server.Close)
	for _, name := range plugins(t) {
		text, err := os.ReadFile(filepath.Join(b.manifests, name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		turned := strings.ReplaceAll(string(text), "uri: https://github.com/", "uri: "+server.URL+"/")
		if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(turned), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return server.URL, folder
}

func TestTheValidatorOfKrewIndexAcceptsTheManifestsInTheRepository(t *testing.T) {
	for name := range manifests(t, committed) {
		if out, err := offline(t, t.TempDir(), here, "validate-krew-manifest", "-skip-install", "-manifest", filepath.Join(committed, name+".yaml")); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// What krew-index's CI does with a submission: it installs every platform of the manifest and looks for the license.
func TestTheValidatorOfKrewIndexInstallsWhatIsBuilt(t *testing.T) {
	b := built(t)
	_, folder := loopback(t, b)
	for _, name := range plugins(t) {
		if out, err := offline(t, t.TempDir(), here, "validate-krew-manifest", "-manifest", filepath.Join(folder, name+".yaml")); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

func TestKrewInstallsWhatRunsAndUninstallsIt(t *testing.T) {
	b := built(t)
	address, _ := loopback(t, b)
	for name, m := range manifests(t, b.manifests) {
		for _, pair := range b.platforms {
			i := slices.IndexFunc(m.Spec.Platforms, func(p Platform) bool { return slices.Contains(p.pairs(), pair) })
			for way, args := range map[string][]string{
				"archive": {"--manifest=" + filepath.Join(b.manifests, name+".yaml"), "--archive=" + filepath.Join(b.dist, path.Base(m.Spec.Platforms[i].URI))},
				"url":     {"--manifest-url=" + address + "/" + name + ".yaml"},
			} {
				t.Run(name+"/"+pair+"/"+way, func(t *testing.T) {
					root := t.TempDir()
					link := filepath.Join(root, "bin", linkName(name, pair))
					krew(t, root, pair, "update") // gives it the default index, which is empty here
					krew(t, root, pair, append([]string{"install"}, args...)...)
					if _, err := os.Stat(link); err != nil {
						t.Error(err)
					}
					if pair == here {
						runs(t, link, name, m.Spec.Version)
					}
					krew(t, root, pair, "uninstall", name)
					if _, err := os.Lstat(link); err == nil {
						t.Errorf("%s is left after uninstall", link)
					}
				})
			}
		}
	}
}

// The archive is compared with the manifest also where the user gives it: another one is refused.
func TestKrewRefusesAnotherArchive(t *testing.T) {
	b := built(t)
	m := manifests(t, b.manifests)["dns"]
	i := slices.IndexFunc(m.Spec.Platforms, func(p Platform) bool { return slices.Contains(p.pairs(), here) })
	other := filepath.Join(b.dist, strings.Replace(path.Base(m.Spec.Platforms[i].URI), "kubectl-dns", "kubectl-nodeinfo", 1))
	root := t.TempDir()
	out, err := offline(t, root, here, "kubectl", "krew", "install", "--manifest="+filepath.Join(b.manifests, "dns.yaml"), "--archive="+other)
	if err == nil || !strings.Contains(out, "checksum does not match") {
		t.Errorf("%v\n%s", err, out)
	}
}

// This repository is an index: krew clones it, and reads the files plugins/*.yaml and nothing in the folders there.
func TestKrewInstallsAndUpgradesFromThisRepositoryAsAnIndex(t *testing.T) {
	b := built(t)
	_, folder := loopback(t, b)
	root, repository := t.TempDir(), t.TempDir()
	if err := os.CopyFS(repository+"/plugins", os.DirFS(committed)); err != nil {
		t.Fatal(err)
	}
	released := func(version string) {
		t.Helper()
		changed := map[string]string{}
		for name, m := range manifests(t, b.manifests) {
			text, err := os.ReadFile(filepath.Join(folder, name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			was := "\n  version: " + m.Spec.Version + "\n"
			if strings.Count(string(text), was) != 1 {
				t.Fatalf("no %q in\n%s", was, text)
			}
			changed[name] = strings.Replace(string(text), was, "\n  version: "+version+"\n", 1)
		}
		index(t, repository, changed)
	}
	installed := func(version string) {
		t.Helper()
		for _, name := range plugins(t) {
			link := filepath.Join(root, "bin", linkName(name, here))
			target, err := filepath.EvalSymlinks(link)
			if err != nil || filepath.Base(filepath.Dir(target)) != version {
				t.Errorf("%s: there is %s, not %s (%v)", name, target, version, err)
			}
			runs(t, link, name, manifests(t, b.manifests)[name].Spec.Version)
		}
	}
	var all []string
	for _, name := range plugins(t) {
		all = append(all, "runbooks/"+name)
	}
	released("v0.0.1")
	krew(t, root, here, "index", "add", "runbooks", repository)
	found := krew(t, root, here, "search")
	for _, name := range all {
		if !regexp.MustCompile(`(?m)^` + name + ` .* no *$`).MatchString(found) {
			t.Errorf("krew search does not list %s as one to install:\n%s", name, found)
		}
	}
	if n := strings.Count(found, "\nrunbooks/"); n != len(all) || strings.Contains(found, "failed") {
		t.Errorf("%d plugins, want %d, and no complaints:\n%s", n, len(all), found)
	}
	krew(t, root, here, append([]string{"install"}, all...)...)
	installed("v0.0.1")
	released("v0.0.2")
	if out := krew(t, root, here, "upgrade"); !strings.Contains(out, "runbooks") {
		t.Error(out)
	}
	installed("v0.0.2")
	krew(t, root, here, append([]string{"uninstall"}, plugins(t)...)...)
	krew(t, root, here, "index", "remove", "runbooks")
}
