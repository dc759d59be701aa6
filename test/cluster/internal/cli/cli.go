// Package cli is the program's commands.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"os/signal"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/balancer"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cluster"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/registry"
)

// app is what the commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
	root     host.Root
	report   func(format string, args ...any)
	name     string
}

// Main runs one command line and gives its exit code.
func Main(args []string, in io.Reader, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	root, err := host.DefaultRoot()
	if err != nil {
		fmt.Fprintln(errOut, "error:", err)
		return 1
	}
	var mutex sync.Mutex
	log := cluster.NewLog(func(line string) {
		mutex.Lock()
		defer mutex.Unlock()
		fmt.Fprintln(errOut, line)
	})
	a := &app{in: in, out: out, err: errOut, root: root, report: log.Printf}
	command := a.command()
	command.SetArgs(args)
	command.SetOut(out)
	command.SetErr(errOut)
	err = command.ExecuteContext(ctx)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && errors.Is(err, errPassOn):
		return exitCode(exit)
	}
	fmt.Fprintln(errOut, "error:", err)
	return 1
}

// errPassOn marks the failure of a command that was run on someone's behalf:
// its exit code is the answer, and it has spoken for itself.
var errPassOn = errors.New("command failed")

func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(unix.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:           "cluster",
		Short:         "Real Kubernetes clusters on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		a.upCommand(), a.downCommand(), a.statusCommand(), a.listCommand(), a.tracesCommand(), a.kubeconfigCommand(),
		a.binCommand(), a.buildCommand(), a.installCommand(),
		a.execCommand(), a.logsCommand(), a.loadCommand(), a.imageCommand(),
		a.faultCommand(), a.healCommand(), a.registryCommand(),
		hidden(cluster.NodeInitCommand, func(args []string) error { return node.Run(args[0]) }),
		hidden(cluster.HelperCommand, cluster.RunHelper),
		hidden(cluster.BalancerCommand, func(args []string) error { return balancer.Serve(args[0], args[1:]) }),
		hidden(cluster.RegistryCommand, func(args []string) error { return registry.Serve(args[0], args[1]) }),
	)
	return root
}

func hidden(use string, run func([]string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return run(args) },
	}
}

// nameFlag adds --name.
func (a *app) nameFlag(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&a.name, "name", "runbooks", "name of the cluster")
	return c
}

func (a *app) open() (*cluster.Cluster, error) { return cluster.Open(a.root, a.name, a.report) }

func (a *app) build(ctx context.Context, components []string) (build.Binaries, error) {
	source, err := build.FindSource()
	if err != nil {
		return build.Binaries{}, err
	}
	b := build.Builder{Root: a.root, Source: source, Report: a.report}
	return b.Build(ctx, components)
}
