package nodeshell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// stage is a moment in a session's life at which its client dies.
type stage struct {
	name    string
	args    func(cell *cell) []string
	tty     bool
	reached func(cell *cell, s snapshot) bool
}

// cell is one stage with one way to die, in a namespace and with a mark of its own.
type cell struct {
	stage     stage
	way       string
	mark      int
	namespace string
	registry  *silentRegistry
}

func (x *cell) port() string  { return fmt.Sprintf("tcp port %d", x.mark%60000) }
func (x *cell) child() string { return fmt.Sprintf("sleep %d", x.mark) }

func stages() []stage {
	pending := func(c *cell, s snapshot) bool { return strings.Contains(s.objects[c.namespace], "Pod Pending") }
	// A child that does everything to outlive its session, and output, so that a closed pipe shows.
	endless := func(c *cell) []string {
		return []string{"w1", "-n", c.namespace, "--eval", "setsid nohup " + c.child() + " >/dev/null 2>&1 & while :; do echo x; sleep 1; done"}
	}
	runs := func(c *cell, s snapshot) bool { return strings.Contains(s.processes, c.child()) }
	return []stage{
		{"pending", func(c *cell) []string { // the kubelet waits for a claim that does not exist
			// It is seen in time on a busy machine, too; with its pipe closed the client ends only when it gives up.
			patience := map[bool]string{true: "30s", false: "90s"}[c.way == "PIPE"]
			return []string{"w1", "-n", c.namespace, "-x", "-m", "no-such-claim", "--start-timeout", patience, "--", "true"}
		}, false, pending},
		{"pulling", func(c *cell) []string { // kubelets pull one image at a time: who waits for the pull to end is alone
			node := map[bool]string{true: "cp1", false: "w1"}[c.way == "PIPE"]
			return []string{node, "-n", c.namespace, "--image", c.registry.image(), "--", "true"}
		}, false, pending},
		{"command", endless, false, runs},
		{"terminal", endless, true, runs},
		{"capture", func(c *cell) []string {
			return []string{"capture", "node/w1", "-n", c.namespace, "-w", "-", "--", "ip or " + c.port()}
		}, false, func(c *cell, s snapshot) bool { return strings.Contains(s.processes, c.port()) }},
	}
}

// However its client dies, and whenever: nothing is left a minute later, neither object nor process; and a client that
// can still act ends by itself.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	o := observe(t, c)
	slots := make(chan struct{}, 3) // for the start; to wait costs nothing
	var wg sync.WaitGroup
	mark := 700_000
	for _, way := range []string{"CUT", "KILL", "PIPE", "HUP", "INT", "TERM"} { // the slow ones first
		for _, s := range stages() {
			mark++
			one := &cell{stage: s, way: way, mark: mark}
			wg.Go(func() {
				t.Run(s.name+"/"+way, func(t *testing.T) { one.run(t, c, o, slots) })
			})
		}
	}
	wg.Wait()
}

func (x *cell) run(t *testing.T, c *harness.Cluster, o *observer, slots chan struct{}) {
	x.namespace = c.Namespace(t)
	x.registry = newSilentRegistry(t, c)
	slots <- struct{}{}
	free := sync.OnceFunc(func() { <-slots })
	defer free()
	client := x.start(t, c)
	harness.Eventually(t, 90*time.Second, func() (string, bool) {
		s := o.snapshot()
		return "the stage is not reached: " + s.objects[x.namespace] + client.said(), x.stage.reached(x, s)
	})
	client.die(t)
	died := time.Now()
	free()
	harness.Eventually(t, time.Minute, func() (string, bool) {
		s := o.snapshot()
		objects := s.objects[x.namespace]
		clean := s.at.After(died) && objects == "" && !strings.Contains(s.processes, x.child()) && !strings.Contains(s.processes, x.port())
		return fmt.Sprintf("after %s: %q, of %s; its processes: %v\n%s", time.Since(died).Round(time.Second), objects, s.at.Format(time.TimeOnly),
			strings.Contains(s.processes, x.child()) || strings.Contains(s.processes, x.port()), client.said()), clean
	})
	t.Logf("clean %s after %s", time.Since(died).Round(100*time.Millisecond), x.way)
	client.ends(t, died)
}

// dying is a session's client.
type dying struct {
	cell   *cell
	cmd    *exec.Cmd
	line   *line
	stdout *os.File
	stderr *os.File
	done   chan error

	mu   sync.Mutex
	text bytes.Buffer
}

func (x *cell) start(t *testing.T, c *harness.Cluster) *dying {
	t.Helper()
	d := &dying{cell: x, done: make(chan error, 1)}
	args := append([]string{"nodeshell"}, x.stage.args(x)...)
	d.cmd = c.Command(t.Context(), "kubectl", args...)
	if x.stage.tty {
		quoted := "exec kubectl"
		for _, a := range args {
			quoted += " '" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		d.cmd = c.Command(t.Context(), "script", "-qefc", quoted, "/dev/null")
		in, err := d.cmd.StdinPipe() // stays open: an end of input would end the terminal
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close() })
	}
	if x.way == "CUT" {
		d.line = newLine(t, c)
		d.cmd.Env = append(d.cmd.Env, "KUBECONFIG="+d.line.kubeconfig)
	}
	var outEnd, errEnd *os.File
	d.stdout, outEnd = pipe(t)
	d.stderr, errEnd = pipe(t)
	d.cmd.Stdout, d.cmd.Stderr = outEnd, errEnd
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	outEnd.Close()
	errEnd.Close()
	for _, from := range []*os.File{d.stdout, d.stderr} {
		go d.read(from)
	}
	go func() { d.done <- d.cmd.Wait() }()
	return d
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, w
}

// read keeps the first part, for the complaint.
func (d *dying) read(from *os.File) {
	block := make([]byte, 4096)
	for {
		n, err := from.Read(block)
		d.mu.Lock()
		if d.text.Len() < 2000 && (from == d.stderr || d.cell.stage.tty) {
			d.text.Write(block[:n])
		}
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (d *dying) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return "\n" + d.text.String()
}

var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}

// die ends the client. A pipe that closes is, for a terminal, its window: script is killed, and the terminal hangs up.
// A session that has not begun to write sees its closed pipe only when it gives up waiting.
func (d *dying) die(t *testing.T) {
	t.Helper()
	pid := d.cmd.Process.Pid
	switch {
	case d.way("CUT"):
		d.line.cut()
		return
	case d.way("PIPE") && d.cell.stage.tty:
		d.signal(t, pid, syscall.SIGKILL)
		return
	case d.way("PIPE"):
		d.stdout.Close()
		d.stderr.Close()
		if d.cell.stage.name == "pulling" {
			d.cell.registry.close()
		}
		return
	case d.cell.stage.tty:
		pid = child(t, pid)
	}
	d.signal(t, pid, signals[d.cell.way])
}

func (d *dying) way(way string) bool { return d.cell.way == way }

func (d *dying) signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the client itself: cut off, it must neither hang nor call it success.
func (d *dying) ends(t *testing.T, died time.Time) {
	t.Helper()
	select {
	case err := <-d.done:
		var exit *exec.ExitError
		if d.way("CUT") && (!errors.As(err, &exit) || exit.ExitCode() != 125) {
			t.Errorf("cut off, it ended with %v, not 125%s", err, d.said())
		}
	case <-time.After(time.Until(died.Add(150 * time.Second))):
		t.Errorf("the client has not ended %s after %s%s", time.Since(died).Round(time.Second), d.cell.way, d.said())
	}
}

// child finds the client below script(1).
func child(t *testing.T, pid int) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "pid=", "--ppid", fmt.Sprint(pid)).Output()
	var found int
	if _, scanErr := fmt.Sscan(string(out), &found); err != nil || scanErr != nil {
		t.Fatalf("no client below script: %v %v", err, scanErr)
	}
	return found
}

// snapshot is what there was at a moment: nodeshell's objects by namespace, and the command lines on node w1.
type snapshot struct {
	at        time.Time
	objects   map[string]string
	processes string
}

// observer looks for all cells at once: a look for each would be the heaviest load of the test.
type observer struct {
	mu   sync.Mutex
	last snapshot
}

func (o *observer) snapshot() snapshot {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

func observe(t *testing.T, c *harness.Cluster) *observer {
	t.Helper()
	o := &observer{}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-stopped
	})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			if s, err := look(ctx, c); err == nil { // after an error the old one stays, and its age is in the complaint
				o.mu.Lock()
				o.last = s
				o.mu.Unlock()
			}
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
			}
		}
	}()
	return o
}

func look(ctx context.Context, c *harness.Cluster) (snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // a look that hangs must not be the last one
	defer cancel()
	s := snapshot{at: time.Now(), objects: map[string]string{}}
	out, err := c.Command(ctx, "kubectl", "get", "jobs,pods", "-A", "-l", "app.kubernetes.io/managed-by=kubectl-nodeshell", "--no-headers",
		"-o", "custom-columns=N:.metadata.namespace,K:.kind,P:.status.phase,D:.metadata.deletionTimestamp,M:.metadata.name").Output()
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		s.objects[fields[0]] += strings.Join(fields[1:], " ") + "; "
	}
	out, err = c.Command(ctx, "cluster", "exec", "--name", c.Name, "w1", "--", "sh", "-c", `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\000' ' '`).Output()
	s.processes = string(out)
	return s, err
}

// silentRegistry accepts connections and never answers: a pull from it goes on and on.
type silentRegistry struct {
	listener net.Listener
	gateway  string

	mu    sync.Mutex
	conns []net.Conn
}

func newSilentRegistry(t *testing.T, c *harness.Cluster) *silentRegistry {
	t.Helper()
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	route := strings.Fields(c.OnNode(t, "w1", "ip", "-4", "route", "show", "default").Stdout)
	if len(route) < 3 {
		t.Fatalf("no default route on w1: %q", route)
	}
	r := &silentRegistry{listener: listener, gateway: route[2]}
	t.Cleanup(r.close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, conn)
			r.mu.Unlock()
		}
	}()
	return r
}

func (r *silentRegistry) image() string {
	return fmt.Sprintf("%s:%d/x:1", r.gateway, r.listener.Addr().(*net.TCPAddr).Port)
}

// close lets the pull fail at once: the node's next one waits for it.
func (r *silentRegistry) close() {
	r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
}

// line is the network between a client and the API server. Once cut, no byte passes and neither side is told.
type line struct {
	kubeconfig string
	server     string
	severed    chan struct{}
	done       <-chan struct{}
}

func newLine(t *testing.T, c *harness.Cluster) *line {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "server: https://")
	server, _, ok := strings.Cut(rest, "\n")
	host, _, err := net.SplitHostPort(server)
	if !ok || err != nil {
		t.Fatalf("no server in %s: %v", c.Kubeconfig, err)
	}
	through := strings.Replace(string(text), "https://"+server, "https://"+listener.Addr().String()+"\n    tls-server-name: "+host, 1)
	done := make(chan struct{})
	t.Cleanup(func() {
		listener.Close()
		close(done)
	})
	l := &line{kubeconfig: t.TempDir() + "/kubeconfig", server: server, severed: make(chan struct{}), done: done}
	if err := os.WriteFile(l.kubeconfig, []byte(through), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.join(conn)
		}
	}()
	return l
}

func (l *line) cut() { close(l.severed) }

func (l *line) join(client net.Conn) {
	defer client.Close()
	select {
	case <-l.severed:
		<-l.done
		return
	default:
	}
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			l.pump(pair[0], pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
	<-ended
}

// pump passes bytes on until an end, which it passes on too, or the cut, after which it holds everything back.
func (l *line) pump(to, from net.Conn) {
	block := make([]byte, 32<<10)
	for {
		n, err := from.Read(block)
		select {
		case <-l.severed:
			<-l.done
			return
		default:
		}
		if n > 0 {
			if _, err := to.Write(block[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if half, ok := to.(interface{ CloseWrite() error }); ok && errors.Is(err, io.EOF) {
				half.CloseWrite()
			}
			return
		}
	}
}
