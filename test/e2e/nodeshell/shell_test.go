// Package nodeshell shows `kubectl nodeshell` on a real cluster, through the real kubectl.
package nodeshell

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

func cluster(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.Own(t, "nodeshell", 2)
}

// run calls nodeshell with the helper in its own namespace of the test.
func run(t *testing.T, c *harness.Cluster, args ...string) harness.Result {
	t.Helper()
	return c.Run(t, 3*time.Minute, nil, "kubectl", append([]string{"nodeshell"}, args...)...)
}

// left lists what nodeshell has made and not removed, in a namespace or ("") everywhere.
func left(t *testing.T, c *harness.Cluster, namespace string) string {
	t.Helper()
	where := []string{"-A"}
	if namespace != "" {
		where = []string{"-n", namespace}
	}
	args := append([]string{"get", "jobs,pods", "-l", "app.kubernetes.io/managed-by=kubectl-nodeshell", "--no-headers", "--ignore-not-found"}, where...)
	return strings.TrimSpace(c.MustKubectl(t, args...))
}

func nothingLeft(t *testing.T, c *harness.Cluster, namespace string) {
	t.Helper()
	harness.Eventually(t, time.Minute, func() (string, bool) {
		rest := left(t, c, namespace)
		return rest, rest == ""
	})
}

func TestCommandIsExact(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	tests := []struct {
		name           string
		args           []string
		stdout, stderr string
		code           int
	}{
		{"on the node itself", []string{"--", "hostname"}, "w1\n", "", 0},
		{"both streams and the code", []string{"--", "sh", "-c", "printf out; printf err >&2; exit 7"}, "out", "err", 7},
		{"words as they are", []string{"--", "printf", "%s|", "a b", "$HOME", "'"}, "a b|$HOME|'|", "", 0},
		{"a shell line", []string{"--eval", "echo b a | tr ' ' '\\n' | sort | head -1"}, "a\n", "", 0},
		{"not found", []string{"--", "no-such-command"}, "", "no-such-command", 127},
		{"not executable", []string{"--", "/etc/hostname"}, "", "/etc/hostname", 126},
		{"killed by a signal", []string{"--", "sh", "-c", "kill -9 $$"}, "", "", 137},
		{"255 is a code too", []string{"--", "sh", "-c", "exit 255"}, "", "", 255},
		{"the environment is the host's, not the pod's", []string{"--", "sh", "-c", "env | grep -c KUBERNETES"}, "0\n", "", 1},
		{"a child that keeps stdout open is waited for", []string{"--", "sh", "-c", "(sleep 2; echo late) & echo soon"}, "soon\nlate\n", "", 0},
		{"in the image", []string{"-x", "--", "ls", "/proc/1/root/etc/hostname"}, "/proc/1/root/etc/hostname\n", "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, c, append([]string{"w1", "-n", ns}, test.args...)...)
			if r.Code != test.code || r.Stdout != test.stdout || !strings.Contains(r.Stderr, test.stderr) || test.stderr == "" && r.Stderr != "" {
				t.Errorf("code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
	t.Cleanup(func() { nothingLeft(t, c, ns) })
}

// The image's busybox is built to prefer its own applets, as Debian's is: "sh" and "tar" must be the node's all the same.
func TestTheNodesProgramsRunAndNotTheImages(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	if r := run(t, c, "w1", "-x", "--", "env", "readlink", "/proc/self/exe"); !strings.Contains(r.Stdout, "busybox") {
		t.Fatalf("the image has no busybox that prefers its applets, and shows nothing: %q %s", r.Stdout, r.Stderr)
	}
	pod := c.Namespace(t)
	c.MustKubectl(t, "run", "web", "-n", pod, "--image=docker.io/library/testapp:1", "--restart=Never", "--image-pull-policy=IfNotPresent")
	c.MustKubectl(t, "wait", "pod/web", "-n", pod, "--for=condition=Ready", "--timeout=90s")
	script := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(script, []byte("readlink /proc/self/exe\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"a command":              {"w1", "--", "readlink", "/proc/self/exe"},
		"a shell's command":      {"w1", "--", "sh", "-c", "readlink /proc/self/exe"},
		"a line":                 {"w1", "--eval", "readlink /proc/self/exe"},
		"a script":               {"w1", "--script", script},
		"within a pod's network": {"pod/web", "--netns", "-n", pod, "--", "readlink", "/proc/self/exe"},
		"a terminal of the node": {"w1", "--host-tty", "--", "readlink", "/proc/self/exe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r := run(t, c, args...); r.Code != 0 || strings.TrimSpace(r.Stdout) != "/usr/bin/readlink" {
				t.Errorf("code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
}

// Without hostPID process 1 is the image's own: its root would be shown as the node's.
func TestAPodThatAdmissionChangedRunsNothing(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	bind(t, c, ns, mutating(`JSONPatch{op: "remove", path: "/spec/hostPID"}`)(ns))
	// A policy is compiled a moment after it was made.
	harness.Eventually(t, time.Minute, func() (string, bool) {
		r := run(t, c, "w1", "-n", ns, "--", "echo", "ran")
		return r.Stdout + r.Stderr, r.Code == 125 && r.Stdout == "" && strings.Contains(r.Stderr, "hostPID")
	})
	nothingLeft(t, c, ns)
}

// A helper that ends takes the command with it: the code of that kill is not the command's.
func TestAHelperThatEndsIsNoExitCodeOfTheCommand(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	line := harness.AwaitFile + `kubectl nodeshell w1 -n "$NS" -- sh -c 'echo up; sleep 1200' >"$OUT" & pid=$!; await up "$OUT"; kubectl delete pod -n "$NS" -l app.kubernetes.io/managed-by=kubectl-nodeshell --wait=false >/dev/null; wait $pid; echo $?`
	if r := c.Sh(t, line, harness.Env("NS="+ns, "OUT="+filepath.Join(t.TempDir(), "out"))); strings.TrimSpace(r.Stdout) != "125" || !strings.Contains(r.Stderr, "helper pod was lost") {
		t.Errorf("code %q: %s", r.Stdout, r.Stderr)
	}
	nothingLeft(t, c, ns)
}

func TestFiftyFastCommandsAreAllRight(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 5)
	for i := range 50 {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			code := i % 5
			r := run(t, c, "w1", "-n", ns, "--", "sh", "-c", fmt.Sprintf("echo mark-%d; echo error-%d >&2; exit %d", i, i, code))
			if r.Code != code || r.Stdout != fmt.Sprintf("mark-%d\n", i) || r.Stderr != fmt.Sprintf("error-%d\n", i) {
				t.Errorf("run %d: code %d, stdout %q, stderr %q", i, r.Code, r.Stdout, r.Stderr)
			}
		})
	}
	wg.Wait()
	nothingLeft(t, c, ns)
}

func TestStandardInputIsByteExactWithItsEnd(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	data := make([]byte, 20<<20)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(data)
	r := c.Run(t, 3*time.Minute, []harness.Option{harness.Stdin(bytes.NewReader(data))}, "kubectl", "nodeshell", "w1", "--", "sha256sum")
	if want := fmt.Sprintf("%x  -\n", sha256.Sum256(data)); r.Code != 0 || r.Stdout != want {
		t.Errorf("code %d, %q; want %q (%s)", r.Code, r.Stdout, want, r.Stderr)
	}
}

// 500 MB: the n-th block of a known sequence, hashed on both sides.
func TestLongOutputIsWhole(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	const blocks = 8000
	line := strings.Repeat("0123456789abcdef", 4095) + "0123456789abcde\n" // 65536 bytes
	want := sha256.New()
	for range blocks {
		io.WriteString(want, line)
	}
	script := fmt.Sprintf(`kubectl nodeshell w1 -- awk 'BEGIN{s="";for(i=0;i<4095;i++)s=s "0123456789abcdef";s=s "0123456789abcde";for(i=0;i<%d;i++)print s}' | sha256sum; echo "${PIPESTATUS[0]}"`, blocks)
	r := c.Run(t, 8*time.Minute, nil, "bash", "-c", script)
	if got := fmt.Sprintf("%x  -\n0\n", want.Sum(nil)); r.Stdout != got {
		t.Errorf("%q; want %q (%s)", r.Stdout, got, r.Stderr)
	}
}

// A reader that is slower than the command, and no room to put the output by: at the command's end much of it is still on its
// way. kubectl exec loses that: a ping that reaches an API server or a runtime which has closed the connection throws it away.
func TestASlowReaderLosesNothing(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	const slow = `n=0; while b=$(head -c 4000000 | wc -c) && [ "$b" -gt 0 ]; do n=$((n + b)); sleep 4; done; echo $n`
	r := c.Run(t, 4*time.Minute, []harness.Option{harness.Env("TMPDIR=" + filepath.Join(t.TempDir(), "none"))}, "bash", "-c",
		`kubectl nodeshell w1 -- sh -c 'head -c 40000000 /dev/zero; exit 3' | { `+slow+`; }; echo "${PIPESTATUS[0]}"`)
	if got := strings.Join(strings.Fields(r.Stdout), " "); got != "40000000 3" {
		t.Errorf("bytes and code: %q (%s)", got, r.Stderr)
	}
}

// A reader that pauses for 75 s outlives client-go's read deadline of 61 s: with kubectl exec the rest is lost.
func TestPausedReaderLosesNothing(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	r := c.Run(t, 4*time.Minute, nil, "bash", "-c",
		`kubectl nodeshell w1 -- sh -c 'head -c 20000000 /dev/zero; sleep 65; head -c 1000000 /dev/zero; exit 3' | (sleep 75; wc -c); echo "${PIPESTATUS[0]}"`)
	if got := strings.Join(strings.Fields(r.Stdout), " "); got != "21000000 3" {
		t.Errorf("bytes and code: %q (%s)", got, r.Stderr)
	}
}

func TestALoopKeepsItsList(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	for name, line := range map[string]string{
		"file":   `printf 'w1\nw2\ncp1\n' >"$LIST"; while read -r n; do kubectl nodeshell "$n" -- hostname; done <"$LIST"`,
		"pipe":   `printf 'w1\nw2\ncp1\n' | while read -r n; do kubectl nodeshell "$n" -- hostname; done`,
		"script": `printf 'w1\nw2\ncp1\n' >"$LIST"; printf '%s\n' '#!/bin/sh' 'while read -r n; do kubectl nodeshell "$n" -- hostname; done' >"$LIST.sh"; chmod +x "$LIST.sh"; "$LIST.sh" <"$LIST"`,
		"$( )":   `printf 'w1\nw2\ncp1\n' | while read -r n; do x=$(kubectl nodeshell "$n" -- hostname); echo "$x"; done`,
	} {
		r := c.Sh(t, line, harness.Env("LIST="+filepath.Join(t.TempDir(), "list")))
		if r.Stdout != "w1\nw2\ncp1\n" {
			t.Errorf("%s: %q (%s)", name, r.Stdout, r.Stderr)
		}
	}
	if r := c.Sh(t, `printf 'a\nb\n' | kubectl nodeshell w1 -- wc -l`); strings.TrimSpace(r.Stdout) != "2" {
		t.Errorf("a pipe that is meant: %q (%s)", r.Stdout, r.Stderr)
	}
	if r := c.Sh(t, `printf 'a\nb\n' >"$LIST"; kubectl nodeshell w1 -- wc -l <"$LIST"`, harness.Env("LIST="+filepath.Join(t.TempDir(), "list"))); strings.TrimSpace(r.Stdout) != "2" {
		t.Errorf("a file that is meant: %q (%s)", r.Stdout, r.Stderr)
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	file := filepath.Join(t.TempDir(), "x.sh")
	if err := os.WriteFile(file, []byte("#!/bin/bash\necho \"$BASH_VERSION\" | grep -c . ; echo \"$1-$2\"; exit 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, c, "w1", "--script", file, "--", "a b", "c"); r.Code != 4 || r.Stdout != "1\na b-c\n" {
		t.Errorf("code %d, %q, %q", r.Code, r.Stdout, r.Stderr)
	}
}

func TestTimeoutEndsBothSides(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	r := run(t, c, "w1", "--timeout", "3s", "--", "sleep", "765431")
	if r.Code != 124 || !strings.Contains(r.Stderr, "3s") {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
	processGone(t, c, "w1", "sleep 765431", 20*time.Second)
}

// processGone waits until no process of the node begins with these words.
func processGone(t *testing.T, c *harness.Cluster, node, words string, limit time.Duration) {
	t.Helper()
	harness.Eventually(t, limit, func() (string, bool) {
		found := processes(t, c, node, words)
		return "on " + node + ": " + found, found == ""
	})
}

func processes(t *testing.T, c *harness.Cluster, node, words string) string {
	t.Helper()
	const look = `for f in /proc/[0-9]*/cmdline; do line=$(tr '\000' ' ' <$f 2>/dev/null); case $line in "$1"*) echo "$line";; esac; done`
	return strings.TrimSpace(c.OnNode(t, node, "sh", "-c", look, "look", words).Stdout)
}

// A terminal made by script(1): typed keys, its size, the exit code, and nothing in the container's log.
func TestTerminal(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	log := filepath.Join(t.TempDir(), "typescript")
	line := harness.AwaitFile + fmt.Sprintf(`{ await '# ' %[2]s; printf 'tty; stty size; echo secret-$((1+1)); hostname\n'; await secret-2 %[2]s; kubectl -n %[1]s logs -l app.kubernetes.io/managed-by=kubectl-nodeshell >%[2]s.logs; printf 'exit 5\n'; sleep 3; } | script -qefc 'stty rows 31 cols 97; kubectl nodeshell w1 -n %[1]s' %[2]s >/dev/null; echo $?`, ns, log)
	r := c.Run(t, 2*time.Minute, nil, "bash", "-c", line)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"secret-2", "31 97", "w1"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the terminal lacks %q:\n%s", want, text)
		}
	}
	if strings.TrimSpace(r.Stdout) != "5" {
		t.Errorf("exit %q", r.Stdout)
	}
	if logs, err := os.ReadFile(log + ".logs"); err != nil || len(logs) > 0 {
		t.Errorf("the container's log holds %q, %v", logs, err)
	}
	nothingLeft(t, c, ns)
}

func TestEscapeLeavesAndEndsWhatRan(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	log := filepath.Join(t.TempDir(), "typescript")
	line := harness.AwaitFile + fmt.Sprintf(`{ await '# ' %[2]s; printf 'setsid nohup sleep 765432 & echo up-$((1+1))\n'; await up-2 %[2]s; printf '~.'; sleep 5; } | script -qefc 'kubectl nodeshell w1 -n %[1]s' %[2]s >/dev/null; echo $?`, ns, log)
	r := c.Run(t, 2*time.Minute, nil, "bash", "-c", line)
	if strings.TrimSpace(r.Stdout) != "125" {
		t.Errorf("exit %q", r.Stdout)
	}
	processGone(t, c, "w1", "sleep 765432", 30*time.Second)
	nothingLeft(t, c, ns)
}

func TestManyNodes(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ns := c.Namespace(t)
	t.Run("prefixed", func(t *testing.T) {
		r := run(t, c, "-n", ns, "w1", "w2", "--", "sh", "-c", "hostname; [ $(hostname) = w2 ] && exit 3; exit 0")
		if r.Code != 3 || !strings.Contains(r.Stdout, "[w1] w1\n") || !strings.Contains(r.Stdout, "[w2] w2\n") || !strings.Contains(r.Stderr, "node/w2: exit code 3") {
			t.Errorf("code %d, %q, %q", r.Code, r.Stdout, r.Stderr)
		}
	})
	t.Run("folded", func(t *testing.T) {
		if r := run(t, c, "-n", ns, "--all", "--group-identical", "--", "echo", "same"); r.Code != 0 || r.Stdout != "== cp1,w1,w2 (3 nodes) ==\nsame\n" {
			t.Errorf("code %d, %q, %q", r.Code, r.Stdout, r.Stderr)
		}
	})
	t.Run("as files", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "out")
		r := run(t, c, "-n", ns, "-l", "!node-role.kubernetes.io/control-plane", "--output-dir", dir, "--", "hostname")
		text, err := os.ReadFile(filepath.Join(dir, "w2.out"))
		if r.Code != 0 || err != nil || string(text) != "w2\n" {
			t.Errorf("code %d, %q, %v (%s)", r.Code, text, err, r.Stderr)
		}
	})
	t.Run("as a report", func(t *testing.T) {
		r := run(t, c, "-n", ns, "w1", "-o", "json", "--", "sh", "-c", "echo out; echo err >&2; exit 9")
		var doc struct {
			Items []struct {
				Node           string
				ExitCode       *int
				Stdout, Stderr string
			}
		}
		if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
			t.Fatal(err, r.Stdout)
		}
		if i := doc.Items[0]; r.Code != 9 || i.ExitCode == nil || *i.ExitCode != 9 || i.Stdout != "out\n" || i.Stderr != "err\n" || i.Node != "w1" {
			t.Errorf("code %d, %s", r.Code, r.Stdout)
		}
	})
	nothingLeft(t, c, ns)
}

// The picture in docs/nodeshell.md is of these commands; what differs from run to run are the names of pods.
func TestThePictureShowsARealSession(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	var b strings.Builder
	for _, line := range []string{
		"kubectl nodeshell --all --group-identical -- uname -sm",
		"kubectl nodeshell w1 w2 -- sh -c 'hostname; test $(hostname) != w2'",
		"kubectl nodeshell w1 --dry-run -- systemctl restart kubelet",
	} {
		r := c.Sh(t, strings.Replace(line, " -- ", " --color=always -- ", 1))
		out := strings.Replace(r.Stdout, "[w2] w2\n[w1] w1\n", "[w1] w1\n[w2] w2\n", 1) // whichever ends first
		fmt.Fprintf(&b, "$ %s\n%s%s\n", line, out, r.Stderr)
	}
	path, record := harness.Recording("nodeshell.txt")
	if record {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	generated := regexp.MustCompile(`nodeshell-[a-z0-9-]+`)
	if d := cmp.Diff(generated.ReplaceAllString(string(recorded), "POD"), generated.ReplaceAllString(b.String(), "POD")); d != "" {
		t.Errorf("%s (-recorded +now; E2E_RECORD=1 make e2e writes it):\n%s", path, d)
	}
}

func TestWhoEnteredAndWhyIsOnRecord(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	if r := run(t, c, "w2", "--reason", "INC-7 disk check", "--", "true"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	events := c.MustKubectl(t, "get", "events", "-n", "default", "--field-selector", "reason=NodeShell,involvedObject.name=w2", "-o", "jsonpath={.items[*].message}")
	if !strings.Contains(events, "kubernetes-admin entered") || !strings.Contains(events, "INC-7 disk check") {
		t.Errorf("events: %s", events)
	}
}

func TestDryRunPrintsWhatTheServerAccepts(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	if r := c.Sh(t, `kubectl nodeshell w1 --dry-run -o yaml -- true | kubectl create --dry-run=server -o name -f -`); r.Code != 0 || !strings.HasPrefix(r.Stdout, "job.batch/nodeshell-") {
		t.Errorf("code %d, %q, %s", r.Code, r.Stdout, r.Stderr)
	}
	if r := c.Sh(t, `kubectl nodeshell w1 --no-job --dry-run=server -o json -- true | kubectl create --dry-run=server -o name -f -`); r.Code != 0 || !strings.HasPrefix(r.Stdout, "pod/nodeshell-") {
		t.Errorf("code %d, %q, %s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestANodeIsFoundByItsAddressAndByItsPod(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	ip := c.MustKubectl(t, "get", "node", "w2", "-o", "jsonpath={.status.addresses[0].address}")
	if r := run(t, c, ip, "--", "hostname"); r.Stdout != "w2\n" {
		t.Errorf("%s: %q %s", ip, r.Stdout, r.Stderr)
	}
	pod := strings.Fields(c.MustKubectl(t, "get", "pods", "-n", "kube-system", "--field-selector", "spec.nodeName=cp1", "-o", "jsonpath={.items[*].metadata.name}"))[0]
	if r := run(t, c, "-n", "kube-system", "pod/"+pod, "--", "hostname"); r.Stdout != "cp1\n" {
		t.Errorf("%s: %q %s", pod, r.Stdout, r.Stderr)
	}
	if r := run(t, c, "no-such-node", "--", "true"); r.Code != 125 || !strings.Contains(r.Stderr, "no-such-node") {
		t.Errorf("code %d: %s", r.Code, r.Stderr)
	}
}
