// Package install tests what a user has after `make install`: the plugins as kubectl finds, completes and runs them,
// whatever they are called and however the user's shell is set up.
package install

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

const root = "../../.."

// reads gives, for each plugin, a command that changes nothing and has something to say on any cluster.
func reads(t *testing.T, c *harness.Cluster) map[string][]string {
	t.Helper()
	node := c.MustKubectl(t, "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	workload := strings.Fields(c.MustKubectl(t, "get", "daemonsets", "-n", "kube-system", "-o", "name"))
	if len(workload) == 0 {
		t.Fatal("no DaemonSet in kube-system")
	}
	all := map[string][]string{
		"nodeinfo":        {"nodeinfo"},
		"nodeshell":       {"nodeshell", node, "--dry-run=client"},
		"dns":             {"dns", "check"},
		"rollout-explain": {"rollout-explain", workload[0], "-n", "kube-system"},
		"runbooks":        {"runbooks"},
	}
	commands := map[string][]string{}
	for _, name := range plugins(t) {
		if all[name] == nil {
			t.Fatalf("no command known for %s: add one", name)
		}
		commands[name] = all[name]
	}
	return commands
}

// plugins lists cmd/kubectl-NAME as NAME.
func plugins(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(root + "/cmd/kubectl-*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("no plugins: %v", err)
	}
	for i := range folders {
		folders[i] = strings.TrimPrefix(filepath.Base(folders[i]), "kubectl-")
	}
	return folders
}

var (
	installOnce sync.Once
	prefix      string
)

func TestMain(m *testing.M) {
	code := m.Run()
	if prefix != "" {
		os.RemoveAll(prefix)
	}
	os.Exit(code)
}

// installed runs `make install` once, into a folder of these tests' own, and gives a PATH with it before the system's.
func installed(t *testing.T, c *harness.Cluster) (bin string, path harness.Option) {
	t.Helper()
	installOnce.Do(func() {
		dir, err := os.MkdirTemp("", "install") //nolint:usetesting // outlives the test that makes it
		if err != nil {
			t.Fatal(err)
		}
		prefix = dir
		run(t, c, "install", prefix)
	})
	bin = filepath.Join(prefix, "bin")
	return bin, onPath(bin)
}

// run runs a make target, with the PATH that has make and go.
func run(t *testing.T, c *harness.Cluster, target, prefix string) {
	t.Helper()
	own := []harness.Option{harness.Env("PATH=" + os.Getenv("PATH"))}
	if r := c.Run(t, 10*time.Minute, own, "make", "-C", root, target, "PREFIX="+prefix); r.Code != 0 {
		t.Fatalf("make %s: exit %d\n%s%s", target, r.Code, r.Stdout, r.Stderr)
	}
}

func onPath(dir string) harness.Option {
	return harness.Env("PATH=" + dir + ":" + os.Getenv("E2E_KUBECTL") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

func kubectl(t *testing.T, c *harness.Cluster, option harness.Option, args ...string) harness.Result {
	t.Helper()
	return c.Run(t, 2*time.Minute, []harness.Option{option}, "kubectl", args...)
}

func TestInstallIsListedWithoutAWarningAndUninstallLeavesNothing(t *testing.T) {
	c := harness.Shared(t)
	own := t.TempDir()
	run(t, c, "install", own)
	bin := filepath.Join(own, "bin")
	r := kubectl(t, c, onPath(bin), "plugin", "list")
	if r.Code != 0 || strings.Contains(r.Stdout+r.Stderr, "warning:") {
		t.Errorf("plugin list: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, name := range plugins(t) {
		if !strings.Contains(r.Stdout, filepath.Join(bin, "kubectl-"+strings.ReplaceAll(name, "-", "_"))+"\n") {
			t.Errorf("plugin list lacks %s:\n%s", name, r.Stdout)
		}
	}
	run(t, c, "uninstall", own)
	left, err := os.ReadDir(bin)
	if err != nil || len(left) != 0 {
		t.Errorf("uninstall leaves %v (%v)", left, err)
	}
}

// offers demands that kubectl completes the last of the words with each of these: kubectl finds kubectl_complete-NAME and
// asks it, so `kubectl __complete NAME …` is what a shell does.
func offers(t *testing.T, c *harness.Cluster, path harness.Option, want []string, words ...string) {
	t.Helper()
	r := kubectl(t, c, path, append([]string{"__complete"}, words...)...)
	var got []string
	for line := range strings.Lines(r.Stdout) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		got = append(got, word)
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("kubectl __complete %q lacks %q: %q\n%s", words, w, got, r.Stderr)
		}
	}
	if len(want) == 0 {
		t.Errorf("kubectl __complete %q: the cluster has nothing to offer, so the test shows nothing", words)
	}
}

// names lists what the cluster has, as a plugin should offer it.
func names(t *testing.T, c *harness.Cluster, prefix, kind string, args ...string) []string {
	t.Helper()
	found := strings.Fields(c.MustKubectl(t, append([]string{"get", kind, "-o", "jsonpath={.items[*].metadata.name}"}, args...)...))
	for i := range found {
		found[i] = prefix + found[i]
	}
	return found
}

func TestKubectlCompletesEveryPlugin(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	namespaces := []string{"default", "kube-system"} // others come and go with other tests
	context := strings.TrimSpace(c.MustKubectl(t, "config", "current-context"))
	for _, name := range plugins(t) {
		for _, tt := range []struct{ want, words []string }{
			{[]string{"--context", "--namespace", "--kubeconfig"}, []string{"--"}},
			{namespaces, []string{"--namespace", ""}},
			{namespaces, []string{"-n", ""}},
			{[]string{context}, []string{"--context", ""}},
			{[]string{"version", "completion"}, []string{""}},
			{[]string{"bash", "fish", "powershell", "zsh"}, []string{"completion", ""}},
			{[]string{"json", "yaml"}, []string{"version", "-o", ""}},
			{[]string{"json", "yaml"}, []string{"-o", ""}},
			{codes(t, name), []string{"--explain", ""}},
			{[]string{"en", "zh"}, []string{"--lang", ""}},
			{[]string{"auto", "always", "never"}, []string{"--color", ""}},
		} {
			offers(t, c, path, tt.want, append([]string{name}, tt.words...)...)
		}
	}
}

// codes are the finding codes that a plugin's page lists; runbooks has those of the workflows that it runs.
func codes(t *testing.T, plugin string) []string {
	t.Helper()
	if plugin == "runbooks" {
		list := slices.Concat(codes(t, "nodeinfo"), codes(t, "dns"), codes(t, "rollout-explain"))
		slices.Sort(list)
		return slices.Compact(list)
	}
	page, err := os.ReadFile(root + "/docs/findings/" + plugin + ".md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(string(page), -1) {
		found = append(found, match[1])
	}
	return found
}

func TestObjectsOfTheClusterAreOffered(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	system := []string{"-n", "kube-system"}
	nodes := names(t, c, "", "nodes")
	// DaemonSet pods do not come and go while the test looks.
	pods := func(prefix string) []string {
		return names(t, c, prefix, "pods", append(system, "-l", "k8s-app=kube-proxy")...)
	}
	for _, tt := range []struct{ want, words []string }{
		{nodes, []string{"nodeinfo", ""}},
		{nodes[1:], []string{"nodeinfo", nodes[0], ""}},
		{[]string{"health", "network"}, []string{"nodeinfo", "--section", ""}},
		{[]string{"wide", "json", "yaml", "name", "jsonpath="}, []string{"nodeinfo", "-o", ""}},
		{nodes, []string{"nodeshell", ""}},
		{pods("pod/"), append([]string{"nodeshell"}, append(system, "pod/")...)},
		{pods(""), append([]string{"nodeshell", "capture"}, append(system, "")...)},
		{names(t, c, "ds/", "daemonsets", system...), append([]string{"nodeshell", "capture"}, append(system, "ds/")...)},
		{pods(""), append([]string{"dns", "pod"}, append(system, "")...)},
		{pods(""), append([]string{"dns", "check"}, append(system, "--from", "")...)},
		{codes(t, "dns")[:1], []string{"dns", "check", "--ignore-findings", ""}},
		{[]string{"svc/", "sts/", "pod/"}, []string{"dns", "names", ""}},
		{names(t, c, "daemonset/", "daemonsets", system...), append([]string{"rollout-explain"}, append(system, "daemonset/")...)},
		{names(t, c, "deployment/", "deployments", system...), append([]string{"rollout-explain"}, append(system, "deployment/")...)},
		{names(t, c, "", "deployments", system...), append([]string{"rollout-explain"}, append(system, "deployment", "")...)},
	} {
		offers(t, c, path, tt.want, tt.words...)
	}
}

// What a user has in an interactive bash: the script that kubectl prints is loaded, and Tab is pressed.
func TestTabInBash(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	node := names(t, c, "", "nodes")[0]
	for _, name := range []string{"nodeinfo", "nodeshell"} {
		r := c.Sh(t, `bash -euc '
declare -F _get_comp_words_by_ref >/dev/null || _get_comp_words_by_ref() { # of the package bash-completion
  words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
}
eval "$(kubectl completion bash)"
COMP_WORDS=(kubectl `+name+" "+node[:len(node)-1]+`) COMP_CWORD=2 COMP_TYPE=9 COMP_KEY=9
COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE}
__start_kubectl 2>/dev/null || true
printf "%s\n" "${COMPREPLY[@]}"'`, path)
		if !strings.Contains("\n"+r.Stdout, "\n"+node) {
			t.Errorf("kubectl %s %s<Tab> lacks %s: %q\n%s", name, node[:len(node)-1], node, r.Stdout, r.Stderr)
		}
	}
}

func TestVersionSaysWhatIsInstalled(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	for _, name := range plugins(t) {
		r := kubectl(t, c, path, name, "version", "-o", "json")
		var build map[string]string
		if err := json.Unmarshal([]byte(r.Stdout), &build); err != nil {
			t.Fatalf("%s: %v\n%s%s", name, err, r.Stdout, r.Stderr)
		}
		for field, form := range map[string]string{
			"version": `^v\d+\.\d+\.\d+`, "commit": `^([0-9a-f]{40}|unknown)$`, "goVersion": `^go1\.`, "platform": `^\w+/\w+$`,
			"clientGo": `^v\d+\.\d+\.\d+$`, "cobra": `^v\d+\.\d+\.\d+$`,
		} {
			if !regexp.MustCompile(form).MatchString(build[field]) {
				t.Errorf("%s: %s is %q", name, field, build[field])
			}
		}
		if plain := kubectl(t, c, path, name, "version"); !strings.HasPrefix(plain.Stdout, "kubectl "+name+" "+build["version"]+" (") {
			t.Errorf("%s: %q", name, plain.Stdout)
		}
	}
}

func TestAPluginGoesByTheNameOfItsFile(t *testing.T) {
	c := harness.Shared(t)
	bin, _ := installed(t, c)
	for name, command := range reads(t, c) {
		file := filepath.Join(bin, "kubectl-"+strings.ReplaceAll(name, "-", "_"))
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		other := t.TempDir()
		if err := os.Symlink(file, filepath.Join(other, "kubectl-my_link")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(other, "kubectl-renamed"), data, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, called := range []string{"my-link", "renamed"} {
			r := kubectl(t, c, onPath(other), called, "--help")
			if r.Code != 0 || !strings.Contains(r.Stdout, "kubectl "+called) || strings.Contains(r.Stdout, "kubectl "+name) {
				t.Errorf("%s called %s: exit %d\n%s%s", name, called, r.Code, r.Stdout, r.Stderr)
			}
			if r := kubectl(t, c, onPath(other), append([]string{called}, command[1:]...)...); r.Code != 0 {
				t.Errorf("%s called %s: exit %d\n%s%s", name, called, r.Code, r.Stdout, r.Stderr)
			}
		}
	}
}

// The user is in one file, the cluster and the contexts in the other.
func TestTwoFilesInKubeconfig(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	config := c.MustKubectl(t, "config", "view", "--raw", "--flatten")
	for file, unset := range map[string][]string{one: {"users", "current-context"}, two: {"clusters", "contexts"}} {
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, key := range unset {
			c.MustKubectl(t, "config", "unset", key, "--kubeconfig", file)
		}
	}
	for name, command := range reads(t, c) {
		for _, files := range []string{one, two} {
			if r := c.Run(t, time.Minute, []harness.Option{path, harness.Env("KUBECONFIG=" + files)}, "kubectl", command...); r.Code == 0 {
				t.Errorf("%s works with half a kubeconfig: the test shows nothing", name)
			}
		}
		r := c.Run(t, time.Minute, []harness.Option{path, harness.Env("KUBECONFIG=" + one + ":" + two)}, "kubectl", command...)
		if r.Code != 0 || r.Stdout == "" {
			t.Errorf("%s: exit %d\n%s%s", name, r.Code, r.Stdout, r.Stderr)
		}
	}
}

// On a terminal (script makes one), as color is never used off it.
func TestNoColorHoldsEvenWhenEmpty(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	const escape = "\x1b["
	for name, command := range reads(t, c) {
		line := "script -qec 'kubectl " + strings.Join(command, " ") + "' /dev/null"
		plain := c.Sh(t, line, path, harness.Env("TERM=xterm-256color", "NO_COLOR="))
		if plain.Code != 0 || strings.Contains(plain.Stdout, escape) {
			t.Errorf("%s with NO_COLOR=: exit %d, escapes: %v\n%.500q", name, plain.Code, strings.Contains(plain.Stdout, escape), plain.Stdout)
		}
		if colored := c.Sh(t, "unset NO_COLOR; "+line, path, harness.Env("TERM=xterm-256color")); !strings.Contains(colored.Stdout, escape) {
			t.Errorf("%s has no color on a terminal, so the above shows nothing:\n%.500q", name, colored.Stdout)
		}
	}
}

func TestAClosedPipeIsQuiet(t *testing.T) {
	c := harness.Shared(t)
	_, path := installed(t, c)
	for name, command := range reads(t, c) {
		for _, reader := range []string{"head -1", "true"} {
			r := c.Sh(t, "set -o pipefail; kubectl "+strings.Join(command, " ")+" | "+reader, path)
			if r.Code != 0 || strings.Contains(r.Stderr, "pipe") {
				t.Errorf("%s | %s: exit %d\n%s", name, reader, r.Code, r.Stderr)
			}
			if reader == "head -1" && strings.Count(r.Stdout, "\n") != 1 {
				t.Errorf("%s | head -1: %q", name, r.Stdout)
			}
		}
	}
}
