// Command scale measures the plugins on a fleet of thousands: an etcd that holds it, an API server that serves it, and beside each
// figure that of a plain HTTP client which downloads the same answers and throws them away, measured in the same run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/apiserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for stop to do
	}
}

type options struct {
	size
	runs    int
	plugins string
	hold    bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "floor" {
		return floor(ctx, args[1:])
	}
	var o options
	set := flag.NewFlagSet("scale", flag.ContinueOnError)
	set.IntVar(&o.nodes, "nodes", 1000, "how many nodes")
	set.IntVar(&o.pods, "pods", 30000, "how many pods")
	set.IntVar(&o.services, "services", 5000, "how many Services")
	set.BoolVar(&o.hold, "hold", false, "serve the fleet until interrupted, and measure nothing")
	set.IntVar(&o.runs, "runs", 5, "how many runs a median is of")
	set.StringVar(&o.plugins, "bin", "bin", "where the plugins and the program cluster are")
	if err := set.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of no use to anybody
	text, err := exec.CommandContext(ctx, filepath.Join(o.plugins, "cluster"), "bin").Output()
	if err != nil {
		return fmt.Errorf("cluster bin: %w", err)
	}
	bin := strings.TrimSpace(string(text))
	s, err := start(ctx, bin, dir)
	if err != nil {
		return err
	}
	defer s.Stop()
	from := time.Now()
	if err := write(ctx, s.etcd, o.size, from); err != nil {
		return err
	}
	if err := s.Serve(ctx, bin); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d nodes, %d pods and %d Services are served after %.1f s; medians of %d runs\n\n",
		o.nodes, o.pods, o.services, time.Since(from).Seconds(), o.runs)
	if o.hold {
		path, err := s.Kubeconfig("kubeconfig", s.api, contexts()...)
		fmt.Fprintln(out, "export KUBECONFIG="+path)
		<-ctx.Done()
		return err
	}
	return table(ctx, out, s, o)
}

// floor downloads addresses at once and throws them away.
func floor(ctx context.Context, urls []string) error {
	errs := make(chan error, len(urls))
	for _, url := range urls {
		go func() {
			response, err := apiserver.Request(ctx, url)
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				err = errors.Join(err, response.Body.Close())
			}
			errs <- err
		}()
	}
	var all error
	for range urls {
		all = errors.Join(all, <-errs)
	}
	return all
}
