// Package harness runs the plugins as users do: through the real kubectl, against a real cluster. The cluster is the
// embedded one (test/cluster) or, where a test can run anywhere, the one of E2E_KUBECONFIG.
package harness

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Environment variables that test/e2e/run.sh sets.
const (
	envBin        = "E2E_BIN"        // directory of the plugins and the cluster program
	envKubectl    = "E2E_KUBECTL"    // directory of kubectl
	envKubeconfig = "E2E_KUBECONFIG" // a cluster of the user's; the embedded one where empty
	envCluster    = "E2E_CLUSTER"    // name of the embedded clusters: NAME-PACKAGE is a package's own
	envShared     = "E2E_SHARED"     // name of the one that packages share; E2E_CLUSTER where empty
	envKeep       = "E2E_KEEP"       // 1: clusters stay
	envAudit      = "E2E_AUDIT"      // file that gets what plugins asked of clusters that do not stay until their package ends
)

// Result is what one command printed and how it ended.
type Result struct {
	Stdout string
	Stderr string
	Code   int
}

// Cluster is a cluster to test on.
type Cluster struct {
	Name       string // of the embedded cluster; empty for the user's own
	Make       string // the flags of `cluster up` that tell it from others
	Kubeconfig string

	bin  string
	path string
}

var (
	upMu sync.Mutex
	ups  []*Cluster // the one that was asked for last comes last
)

// atMost is how many embedded clusters a package has at a time: one that nobody uses takes a sixth of a processor.
const atMost = 2

// Shared gives the cluster that packages without one of their own share: the user's (E2E_KUBECONFIG) or the embedded one, with two
// workers. Tests on it keep to namespaces of their own.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	if kubeconfig := os.Getenv(envKubeconfig); kubeconfig != "" {
		return &Cluster{Kubeconfig: kubeconfig, bin: bin(t), path: searchPath(t)}
	}
	return embedded(t, cmp.Or(os.Getenv(envShared), os.Getenv(envCluster)), 2)
}

// Own gives the embedded cluster of one package, whose tests may break its nodes; run.sh takes it down. flags are what
// `cluster up` is told besides.
func Own(t testing.TB, of string, workers int, flags ...string) *Cluster {
	t.Helper()
	return embedded(t, os.Getenv(envCluster)+"-"+of, workers, flags...)
}

// OwnOrGiven gives the user's cluster where there is one (E2E_KUBECONFIG), and that of the package otherwise: for tests that
// any cluster can show, in a package that has one of its own.
func OwnOrGiven(t testing.TB, of string, workers int, flags ...string) *Cluster {
	t.Helper()
	if os.Getenv(envKubeconfig) != "" {
		return Shared(t)
	}
	return Own(t, of, workers, flags...)
}

// embedded gives the embedded cluster of this name, and makes it if it is not there.
func embedded(t testing.TB, name string, workers int, flags ...string) *Cluster {
	t.Helper()
	if os.Getenv(envKubeconfig) != "" {
		Skip(t, "needs the embedded cluster: it breaks nodes")
	}
	upMu.Lock()
	defer upMu.Unlock()
	if i := slices.IndexFunc(ups, func(c *Cluster) bool { return c.Name == name }); i >= 0 {
		c := ups[i]
		ups = append(slices.Delete(ups, i, i+1), c)
		return c
	}
	if len(ups) >= atMost && os.Getenv(envKeep) != "1" {
		ups[0].end(t)
		ups = ups[1:]
	}
	c := &Cluster{Name: name, Make: strings.Join(flags, " "), bin: bin(t), path: searchPath(t)}
	// Three that are made at once wait for each other, and parts are built first: how long that takes is no test.
	up := []string{"up", "--name", name, "--workers", fmt.Sprint(workers), "--wait", "10m"}
	r := c.program(t, 40*time.Minute, nil, append(up, flags...)...)
	if r.Code != 0 {
		t.Fatalf("cluster up: exit %d\n%s", r.Code, tail(r.Stderr))
	}
	c.Kubeconfig = strings.TrimSpace(r.Stdout)
	ups = append(ups, c)
	return c
}

// end takes the cluster down, and keeps what plugins asked of it, as run.sh does for the others.
func (c *Cluster) end(t testing.TB) {
	t.Helper()
	if file := os.Getenv(envAudit); file != "" {
		asked := c.OnNode(t, "cp1", "sh", "-c", `grep -hF '"userAgent":"kubectl-' /etc/kubernetes/audit/*.log`)
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(asked.Stdout)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := c.program(t, time.Minute, nil, "down", "--name", c.Name); r.Code != 0 {
		t.Fatalf("cluster down: exit %d\n%s", r.Code, tail(r.Stderr))
	}
}

// Skip ends a test that cannot run here and says why. With CI=true on Linux as root nothing may be skipped.
func Skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Geteuid() == 0 && os.Getenv(envKubeconfig) == "" {
		t.Fatalf("would be skipped, and in CI nothing is: %s", reason)
	}
	t.Skip(reason)
}

func bin(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(envBin)
	if dir == "" {
		Skip(t, "needs built plugins: run it by `make e2e`")
	}
	return dir
}

// searchPath holds kubectl and the plugins first, then what the caller has (the cluster program calls go).
func searchPath(t testing.TB) string {
	t.Helper()
	return strings.Join([]string{bin(t), os.Getenv(envKubectl), os.Getenv("PATH")}, string(filepath.ListSeparator))
}

// Option changes how a command is run.
type Option func(*exec.Cmd)

// Stdin feeds the command.
func Stdin(r io.Reader) Option { return func(c *exec.Cmd) { c.Stdin = r } }

// Env adds KEY=VALUE pairs; a later one wins.
func Env(pairs ...string) Option { return func(c *exec.Cmd) { c.Env = append(c.Env, pairs...) } }

// OnSpeech calls f once, when the command first writes to stderr: then it is up and at work.
func OnSpeech(f func()) Option {
	once := sync.OnceFunc(f)
	return func(c *exec.Cmd) { c.Stderr = &listened{to: c.Stderr, heard: once} }
}

type listened struct {
	to    io.Writer
	heard func()
}

func (l *listened) Write(p []byte) (int, error) {
	l.heard()
	return l.to.Write(p)
}

// AwaitFile is a shell function for Sh: `await PATTERN FILE` returns when the file holds the pattern, or fails after five
// minutes. A machine that is busy needs more than the seconds that a sleep would guess.
const AwaitFile = `await() { local i; for i in $(seq 1500); do grep -qe "$1" "$2" 2>/dev/null && return; sleep 0.2; done; echo "no $1 in $2" >&2; return 1; }; `

// Command prepares a command with kubectl and the plugins on its PATH and the cluster as its KUBECONFIG, not started.
func (c *Cluster) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.lookup(name), args...)
	cmd.Env = append(os.Environ(), "PATH="+c.path, "KUBECONFIG="+c.Kubeconfig)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// lookup finds a program on the cluster's own PATH.
func (c *Cluster) lookup(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	for _, dir := range filepath.SplitList(c.path) {
		if file := filepath.Join(dir, name); executable(file) {
			return file
		}
	}
	return name
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}

// Kubectl runs kubectl (and through it a plugin) for at most two minutes.
func (c *Cluster) Kubectl(t testing.TB, args ...string) Result {
	t.Helper()
	return c.Run(t, 2*time.Minute, nil, "kubectl", args...)
}

// Plugin runs a plugin as kubectl does, by its program, for what is asked again and again: kubectl itself would take more time than the
// plugin, and did a third of all that two packages took.
func (c *Cluster) Plugin(t testing.TB, plugin string, args ...string) Result {
	t.Helper()
	return c.Run(t, 2*time.Minute, nil, "kubectl-"+strings.ReplaceAll(plugin, "-", "_"), args...)
}

// MustKubectl runs kubectl and fails the test when it does; it gives standard output.
func (c *Cluster) MustKubectl(t testing.TB, args ...string) string {
	t.Helper()
	r := c.Kubectl(t, args...)
	if r.Code != 0 {
		t.Fatalf("kubectl %s: exit %d\n%s", strings.Join(args, " "), r.Code, tail(r.Stderr))
	}
	return r.Stdout
}

// Apply creates or changes objects from a manifest.
func (c *Cluster) Apply(t testing.TB, manifest string, args ...string) {
	t.Helper()
	c.manifest(t, "apply", manifest, args)
}

// Create creates objects that are not there yet: half the calls of Apply, which counts for a hundred of them.
func (c *Cluster) Create(t testing.TB, manifest string, args ...string) {
	t.Helper()
	c.manifest(t, "create", manifest, args)
}

func (c *Cluster) manifest(t testing.TB, verb, manifest string, args []string) {
	t.Helper()
	r := c.Run(t, time.Minute, []Option{Stdin(strings.NewReader(manifest))}, "kubectl", append([]string{verb, "-f", "-"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("kubectl %s: exit %d\n%s", verb, r.Code, tail(r.Stderr))
	}
}

// Sh runs a shell line, for pipes.
func (c *Cluster) Sh(t testing.TB, line string, options ...Option) Result {
	t.Helper()
	return c.Run(t, 2*time.Minute, options, "bash", "-c", line)
}

// busy is how many times longer than on an idle machine a wait or a command may take before it counts as hung: two cores
// that run eight scenarios and the rest of the machine's work were seen to need half as long again and more.
const busy = 4

// Run runs any program with a limit, which is that of an idle machine; hanging fails the test.
func (c *Cluster) Run(t testing.TB, limit time.Duration, options []Option, name string, args ...string) Result {
	t.Helper()
	limit *= busy
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := c.Command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	for _, o := range options {
		o(cmd)
	}
	err := cmd.Run()
	r := Result{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s %s: not finished after %s\nstdout: %s\nstderr: %s", name, strings.Join(args, " "), limit, tail(r.Stdout), tail(r.Stderr))
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

func (c *Cluster) program(t testing.TB, limit time.Duration, options []Option, args ...string) Result {
	t.Helper()
	return c.Run(t, limit, options, filepath.Join(c.bin, "cluster"), args...)
}

// Fault breaks something (see `cluster fault --list`) and heals it when the test ends.
func (c *Cluster) Fault(t testing.TB, fault string, args ...string) (heal func()) {
	t.Helper()
	c.mustProgram(t, append([]string{"fault", "--name", c.Name, fault}, args...)...)
	var once sync.Once
	heal = func() {
		once.Do(func() { c.mustProgram(t, append([]string{"heal", "--name", c.Name, fault}, firstWord(args)...)...) })
	}
	t.Cleanup(heal)
	return heal
}

// firstWord keeps the node of a fault's arguments; its flags mean nothing to heal.
func firstWord(args []string) []string {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return args[:1]
	}
	return nil
}

// Registry runs a command of the registry that the nodes pull from ("up", "push", "respond", "down") and gives what it
// prints: the address, or the reference of what was pushed. The registry ends with its cluster.
func (c *Cluster) Registry(t testing.TB, command string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(c.mustProgram(t, append([]string{"registry", command, "--name", c.Name}, args...)...))
}

// LoadImage puts the images of an archive onto every node.
func (c *Cluster) LoadImage(t testing.TB, archive string) {
	t.Helper()
	c.mustProgram(t, "load-image", "--name", c.Name, archive)
}

func (c *Cluster) mustProgram(t testing.TB, args ...string) string {
	t.Helper()
	if c.Name == "" {
		Skip(t, "needs the embedded cluster: it breaks nodes, or serves them images")
	}
	r := c.program(t, 3*time.Minute, nil, args...)
	if r.Code != 0 {
		t.Fatalf("cluster %s: exit %d\n%s", strings.Join(args, " "), r.Code, tail(r.Stderr))
	}
	return r.Stdout
}

// OnNode runs a command in a node's namespaces.
func (c *Cluster) OnNode(t testing.TB, node string, args ...string) Result {
	t.Helper()
	if c.Name == "" {
		Skip(t, "needs the embedded cluster: it looks at nodes from outside")
	}
	return c.program(t, time.Minute, nil, append([]string{"exec", "--name", c.Name, node, "--"}, args...)...)
}

// Namespace makes a namespace of the test's own, removed when the test ends.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	if len(name) > 40 {
		name = name[:40]
	}
	name = fmt.Sprintf("e2e-%s-%d", strings.Trim(name, "-"), time.Now().UnixNano()%1_000_000)
	c.MustKubectl(t, "create", "namespace", name)
	t.Cleanup(func() {
		c.Kubectl(t, "delete", "namespace", name, "--wait=false")
	})
	return name
}

// Eventually polls until done says so, and fails the test with its last complaint when the limit, which is that of an idle
// machine, has passed several times.
func Eventually(t testing.TB, limit time.Duration, done func() (complaint string, ok bool)) {
	t.Helper()
	limit *= busy
	began := time.Now()
	deadline := began.Add(limit)
	for {
		asked := time.Now()
		complaint, ok := done()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, complaint)
		}
		// Asking is work too, and others share the cores: who waits long is asked less often. But what lasts for seconds only
		// must not be missed.
		time.Sleep(min(2*time.Second, max(500*time.Millisecond, time.Since(asked), time.Since(began)/10)))
	}
}

// Recording is where docs/gen finds what the pictures of the pages are made of, and whether this run (E2E_RECORD=1) writes it.
func Recording(name string) (path string, record bool) {
	return filepath.Join("..", "..", "..", "docs", "gen", "testdata", "pictures", name), os.Getenv("E2E_RECORD") != ""
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}
