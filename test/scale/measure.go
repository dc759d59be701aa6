package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// usage is what a process took.
type usage struct {
	wall, user time.Duration
	memory     int64 // its peak, in bytes
}

// Paths of what the table of a fleet takes, what -o wide adds to it, and what the other commands read.
var (
	fewPaths = []string{"/api/v1/nodes?resourceVersion=0", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases?resourceVersion=0"}
	podPaths = append(slices.Clone(fewPaths), "/api/v1/pods?resourceVersion=0")
	setPaths = []string{"/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/api/v1/pods"}
	dnsPaths = []string{
		"/api/v1/services?resourceVersion=0", "/apis/discovery.k8s.io/v1/endpointslices?resourceVersion=0", "/api/v1/nodes?resourceVersion=0",
		"/api/v1/namespaces?resourceVersion=0", "/apis/apps/v1/statefulsets?resourceVersion=0",
	}
	// appPaths are those of one Deployment, one after the other as it must be asked: its pods follow from it.
	appPaths = []string{"/apis/apps/v1/namespaces/" + namespaceOf(0) + "/deployments/" + appName(0)}
)

// measured are the commands, each with what its floor downloads. Without contexts the one of the fleet is meant.
var measured = []struct {
	name, program string
	args, floor   []string
	silent        time.Duration // the Leases are that old
}{
	{name: "nodeinfo", program: "kubectl-nodeinfo", floor: fewPaths},
	{name: "nodeinfo, all nodes silent", program: "kubectl-nodeinfo", floor: fewPaths, silent: 10 * time.Minute},
	{name: "nodeinfo -o wide", program: "kubectl-nodeinfo", args: []string{"-o", "wide"}, floor: podPaths},
	{name: "nodeinfo -o json", program: "kubectl-nodeinfo", args: []string{"-o", "json"}, floor: podPaths},
	{name: "nodeinfo NODE", program: "kubectl-nodeinfo", args: []string{nodeName(0)}, floor: []string{"/api/v1/nodes/" + nodeName(0)}},
	{name: "nodeinfo, 20 contexts", program: "kubectl-nodeinfo", args: []string{"--context=fleet-*"}, floor: slices.Repeat(fewPaths, 20)},
	{name: "rollout-explain -A", program: "kubectl-rollout_explain", args: []string{"-A"}, floor: setPaths},
	{name: "rollout-explain ONE", program: "kubectl-rollout_explain", args: []string{"deploy/" + appName(0), "-n", namespaceOf(0)}, floor: appPaths},
	{name: "dns verify -A", program: "kubectl-dns", args: []string{"verify", "-A"}, floor: dnsPaths},
	{name: "nodeinfo version", program: "kubectl-nodeinfo", args: []string{"version"}},
}

// table measures every command and its floor in turns.
func table(ctx context.Context, out io.Writer, s *server, o options) error {
	direct, err := s.Kubeconfig("kubeconfig", s.api, contexts()...)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	const columns = "%-28s%-8s%-8s%-8s%-8s%-8s%-8s%-8s%-7s%s\n"
	fmt.Fprintf(out, columns, "COMMAND", "WALL", "FLOOR", "RATIO", "USER", "FLOOR", "PEAK", "FLOOR", "CALLS", "BYTES")
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.2fs", d.Seconds()) }
	megabytes := func(bytes int64) string { return fmt.Sprintf("%.0fMB", mega(bytes)) }
	for _, m := range measured {
		program := filepath.Join(o.plugins, m.program)
		var ours, floors []usage
		for i := range o.runs + 1 {
			if err := renew(ctx, s.etcd, o.nodes, time.Now().Add(-m.silent)); err != nil {
				return err
			}
			download := []string{"floor"}
			for _, path := range m.floor {
				download = append(download, s.api+path)
			}
			u, f, err := both(i%2 == 0, func() (usage, error) { return measure(exec.CommandContext(ctx, program, m.args...), direct) },
				func() (usage, error) { return measure(exec.CommandContext(ctx, self, download...), "") })
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			ours, floors = append(ours, u), append(floors, f)
		}
		calls, bytes, err := counted(ctx, s, program, m.args)
		if err != nil {
			return err
		}
		u, f := median(ours[1:]), median(floors[1:]) // the first warms up
		fmt.Fprintf(out, columns, m.name, seconds(u.wall), seconds(f.wall), fmt.Sprintf("%.2f", float64(u.wall)/float64(f.wall)),
			seconds(u.user), seconds(f.user), megabytes(u.memory), megabytes(f.memory), strconv.Itoa(calls), fmt.Sprintf("%.1fMB", mega(bytes)))
	}
	return nil
}

// both measures a command and its floor, each the first every other time: the second pays for what the first left to the server's
// garbage collector.
func both(first bool, command, floor func() (usage, error)) (u, f usage, err error) {
	if first {
		if u, err = command(); err != nil {
			return u, f, err
		}
	}
	if f, err = floor(); err != nil {
		return u, f, fmt.Errorf("the floor: %w", err)
	}
	if !first {
		u, err = command()
	}
	return u, f, err
}

func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

func measure(command *exec.Cmd, kubeconfig string) (usage, error) {
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	from := time.Now()
	if text, err := run1(command); err != nil {
		return usage{}, fmt.Errorf("%w: %s", err, text)
	}
	took := command.ProcessState.SysUsage().(*syscall.Rusage)
	return usage{wall: time.Since(from), user: command.ProcessState.UserTime(), memory: took.Maxrss * 1024}, nil
}

// run1 runs a command and gives what it wrote to stderr; what it printed is thrown away.
func run1(command *exec.Cmd) (string, error) {
	var text limited
	command.Stdout, command.Stderr = nil, &text
	err := command.Run()
	return string(text), err
}

// limited keeps the beginning of what is written.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	if room := 2000 - len(*l); room > 0 {
		*l = append(*l, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// median is that of each figure for itself.
func median(list []usage) usage {
	pick := func(figure func(usage) int64) int64 {
		values := make([]int64, len(list))
		for i, u := range list {
			values[i] = figure(u)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return usage{
		wall:   time.Duration(pick(func(u usage) int64 { return int64(u.wall) })),
		user:   time.Duration(pick(func(u usage) int64 { return int64(u.user) })),
		memory: pick(func(u usage) int64 { return u.memory }),
	}
}

// counted runs a command once more through a proxy that counts its requests and the bytes of the answers as they are sent.
func counted(ctx context.Context, s *server, program string, args []string) (calls int, bytes int64, err error) {
	target, err := url.Parse(s.api)
	if err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		// What is compressed is passed on as it is.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true},
		ModifyResponse: func(r *http.Response) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			r.Body = counting{ReadCloser: r.Body, mu: &mu, bytes: &bytes}
			return nil
		},
	}
	front := httptest.NewTLSServer(proxy)
	defer front.Close()
	path, err := s.Kubeconfig("counted", front.URL, contexts()...)
	if err != nil {
		return 0, 0, err
	}
	_, err = measure(exec.CommandContext(ctx, program, args...), path)
	mu.Lock()
	defer mu.Unlock()
	return calls, bytes, err
}

type counting struct {
	io.ReadCloser
	mu    *sync.Mutex
	bytes *int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	*c.bytes += int64(n)
	return n, err
}
