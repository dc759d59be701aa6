package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bottled is an archive that the formula names.
type bottled struct{ url, sum string }

// formula reads it, and the archives that it names.
func formula(t *testing.T, b snapshot) (file string, archives []bottled) {
	t.Helper()
	file = filepath.Join(b.dist, "homebrew", "Formula", "kubectl-runbooks.rb")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`(?s)url "([^"]+)"\s+sha256 "([0-9a-f]{64})"`).FindAllStringSubmatch(string(text), -1) {
		archives = append(archives, bottled{match[1], match[2]})
	}
	return file, archives
}

// The formula names an archive for each platform of Homebrew, by its checksum, and each holds what all plugins need.
func TestTheFormulaNamesArchivesOfAllPlugins(t *testing.T) {
	b := built(t)
	version := manifests(t, b.manifests)["runbooks"].Spec.Version
	var want, got []string
	for _, pair := range b.platforms {
		if !strings.HasPrefix(pair, "windows/") {
			want = append(want, "kubectl-runbooks-all_"+version+"_"+strings.ReplaceAll(pair, "/", "_")+".tar.gz")
		}
	}
	_, archives := formula(t, b)
	for _, a := range archives {
		folder, name := path.Split(a.url)
		if folder != "https://github.com/kubectl-runbooks/kubectl-runbooks/releases/download/"+version+"/" {
			t.Errorf("%s is at no release", a.url)
		}
		got = append(got, name)
		data, err := os.ReadFile(filepath.Join(b.dist, name))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != a.sum {
			t.Errorf("the formula is wrong about the checksum of %s", name)
		}
		bundle(t, name, data)
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("archives of the formula (-want +got):\n%s", d)
	}
}

// bundle looks at an archive of all plugins.
func bundle(t *testing.T, name string, data []byte) {
	t.Helper()
	files, err := entries(data)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got, stamps := map[string]string{}, map[string]bool{}
	for _, f := range files {
		got[f.name] = f.mode.String()
		stamps[f.mtime] = true
		if f.owner != "root:root" {
			t.Errorf("%s: %s belongs to %s", name, f.name, f.owner)
		}
	}
	want := map[string]string{"LICENSE": "-rw-r--r--"}
	for file := range inPackage(t) {
		switch {
		case strings.HasPrefix(file, "usr/bin/"):
			want[path.Base(file)] = "-rwxr-xr-x"
		case strings.HasSuffix(file, ".1"):
			want["man/"+path.Base(file)] = "-rw-r--r--"
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
	if len(stamps) != 1 {
		t.Errorf("%s: files carry several times, so some are not the commit's: %v", name, stamps)
	}
}

// brew is as much of Homebrew as a formula needs: it runs the formula's install in the folder of an unpacked archive, for the platform of
// the environment, and its test. Names that it does not know are errors of Ruby.
const brew = `
require "pathname"
PREFIX = Pathname.new(ENV.fetch("PREFIX"))
OS_NAME, ARCH = ENV.fetch("PLATFORM").split("/")
class Formula
  class << self
    attr_reader :facts
    %w[desc homepage version license url sha256].each { |name| define_method(name) { |value| (@facts ||= {})[name] = value } }
    def depends_on(what) = (raise("wrong system") unless what == OS_NAME.sub("darwin", "macos").to_sym)
    def on_macos = (yield if OS_NAME == "darwin")
    def on_linux = (yield if OS_NAME == "linux")
    def test(&block) = define_method(:try, &block)
  end
  class Target < Pathname
    def install(*lists) = lists.flatten.each { |file| mkpath; File.rename(file, self + File.basename(file)) }
  end
  def bin = Target.new(PREFIX + "bin")
  def man1 = Target.new(PREFIX + "share/man/man1")
  def system(*words) = Kernel.system(*words.map(&:to_s)) || raise("failed: #{words}")
end
module Hardware
  class CPU
    def self.intel? = ARCH == "amd64"
    def self.arm? = ARCH == "arm64"
    def self.is_64_bit? = true
  end
end
load ENV.fetch("FORMULA")
formula = KubectlRunbooks.new
formula.install
formula.try if ENV["TRY"]
puts KubectlRunbooks.facts.values_at("url", "sha256", "license"), formula.caveats
`

func TestTheFormulaInstallsWhatKubectlFinds(t *testing.T) {
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no ruby: install the Debian package ruby (test/deps.sh ruby does, as root)")
		}
		t.Skip("needs ruby")
	}
	b := built(t)
	file, archives := formula(t, b)
	for _, pair := range b.platforms {
		if strings.HasPrefix(pair, "windows/") {
			continue
		}
		root := t.TempDir()
		prefix, unpacked := filepath.Join(root, "prefix"), filepath.Join(root, "unpacked")
		i := slices.IndexFunc(archives, func(a bottled) bool { return strings.Contains(a.url, strings.ReplaceAll(pair, "/", "_")) })
		if i < 0 {
			t.Fatalf("no archive for %s", pair)
		}
		if err := os.Mkdir(unpacked, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("tar", "-xzf", filepath.Join(b.dist, path.Base(archives[i].url)), "-C", unpacked).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		c := exec.Command(ruby, "-w", "-")
		c.Dir, c.Stdin = unpacked, strings.NewReader(brew)
		c.Env = append(os.Environ(), "PREFIX="+prefix, "PLATFORM="+pair, "FORMULA="+file)
		if pair == here {
			c.Env = append(c.Env, "TRY=1")
		}
		out, err := c.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(archives[i].url+"\n"+archives[i].sum+"\nApache-2.0\nkubectl finds the plugins")) {
			t.Fatalf("%s: %v\n%s", pair, err, out)
		}
		for want := range inPackage(t) {
			want = strings.TrimPrefix(want, "usr/")
			if !strings.HasPrefix(want, "share/doc/") {
				if _, err := os.Stat(filepath.Join(prefix, want)); err != nil {
					t.Errorf("%s: %v", pair, err)
				}
			}
		}
	}
}
