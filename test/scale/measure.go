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
	"sync"
	"syscall"
	"text/tabwriter"
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
}{
	{"nodeinfo", "kubectl-nodeinfo", nil, fewPaths},
	{"nodeinfo -o wide", "kubectl-nodeinfo", []string{"-o", "wide"}, podPaths},
	{"nodeinfo -o json", "kubectl-nodeinfo", []string{"-o", "json"}, podPaths},
	{"nodeinfo NODE", "kubectl-nodeinfo", []string{nodeName(0)}, []string{"/api/v1/nodes/" + nodeName(0)}},
	{"nodeinfo, 20 contexts", "kubectl-nodeinfo", []string{"--context=fleet-*"}, slices.Repeat(fewPaths, 20)},
	{"rollout-explain -A", "kubectl-rollout_explain", []string{"-A"}, setPaths},
	{"rollout-explain ONE", "kubectl-rollout_explain", []string{"deploy/" + appName(0), "-n", namespaceOf(0)}, appPaths},
	{"dns verify -A", "kubectl-dns", []string{"verify", "-A"}, dnsPaths},
	{"nodeinfo version", "kubectl-nodeinfo", []string{"version"}, nil},
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
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "COMMAND\tWALL\tFLOOR\tRATIO\tUSER\tFLOOR\tPEAK\tFLOOR\tCALLS\tBYTES")
	for _, m := range measured {
		program := filepath.Join(o.plugins, m.program)
		var ours, floors []usage
		for range o.runs + 1 {
			download := []string{"floor"}
			for _, path := range m.floor {
				download = append(download, s.api+path)
			}
			f, err := measure(exec.CommandContext(ctx, self, download...), "")
			if err != nil {
				return fmt.Errorf("the floor of %s: %w", m.name, err)
			}
			u, err := measure(exec.CommandContext(ctx, program, m.args...), direct)
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
		fmt.Fprintf(w, "%s\t%.2fs\t%.2fs\t%.2f\t%.2fs\t%.2fs\t%.0fMB\t%.0fMB\t%d\t%.1fMB\n", m.name, u.wall.Seconds(), f.wall.Seconds(),
			float64(u.wall)/float64(f.wall), u.user.Seconds(), f.user.Seconds(), mega(u.memory), mega(f.memory), calls, mega(bytes))
	}
	return w.Flush()
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
