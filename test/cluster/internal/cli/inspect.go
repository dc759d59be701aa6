package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cluster"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/image"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/trace"
)

func (a *app) statusCommand() *cobra.Command {
	var format string
	c := a.nameFlag(&cobra.Command{
		Use:   "status",
		Short: "Show what runs of a cluster",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opened, err := a.open()
			if err != nil {
				return err
			}
			status := opened.Status(cmd.Context())
			if format == "json" {
				encoder := json.NewEncoder(a.out)
				encoder.SetIndent("", "  ")
				return encoder.Encode(status)
			}
			printStatus(a.out, status)
			return nil
		},
	})
	c.Flags().StringVarP(&format, "output", "o", "text", "text or json")
	return c
}

func printStatus(out io.Writer, s cluster.Status) {
	fmt.Fprintf(out, "cluster %s (%s): %s\nkubeconfig %s\n", s.Name, s.Mode, s.State, s.Kubeconfig)
	version := "Kubernetes " + s.Version
	if s.KubeletVersion != "" {
		version += ", the workers' kubelets " + s.KubeletVersion
	}
	fmt.Fprintln(out, version)
	if s.IPFamily != "" {
		fmt.Fprintf(out, "addresses: %s; domain %s\n", s.IPFamily, s.ClusterDomain)
	}
	if len(s.With) > 0 {
		fmt.Fprintln(out, "with", strings.Join(s.With, ", "))
	}
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "NODE\tRUNS\tREADY\tIP\tKUBELET\tCONTAINERD\tFAULTS")
	for _, n := range s.Nodes {
		fmt.Fprintf(w, "%s\t%t\t%s\t%s\t%s\t%s\t%v\n", n.Name, n.Runs, n.Ready, n.IP, n.Kubelet, n.Containerd, n.Faults)
	}
	w.Flush() //nolint:errcheck // to the caller's own output
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the clusters of this machine",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			names, err := cluster.Names(a.root)
			for _, name := range names {
				fmt.Fprintln(a.out, name)
			}
			return err
		},
	}
}

func (a *app) tracesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "traces",
		Short: "List what clusters have on this machine: mounts, links, routes, control groups, processes; nothing where there is none",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := trace.All(cmd.Context())
			for _, item := range all {
				fmt.Fprintln(a.out, item)
			}
			return err
		},
	}
}

func (a *app) kubeconfigCommand() *cobra.Command {
	return a.nameFlag(&cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of a cluster's kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			opened, err := a.open()
			if err == nil {
				fmt.Fprintln(a.out, opened.Kubeconfig())
			}
			return err
		},
	})
}

func (a *app) execCommand() *cobra.Command {
	c := a.nameFlag(&cobra.Command{
		Use:   "exec NODE -- COMMAND…",
		Short: "Run a command in all namespaces of a node; its exit code is passed on",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.open()
			if err != nil {
				return err
			}
			run, err := opened.Command(cmd.Context(), args[0], args[1:]...)
			if err != nil {
				return err
			}
			run.Stdin, run.Stdout, run.Stderr = a.in, a.out, a.err
			return passOn(run.Run())
		},
	})
	c.Flags().SetInterspersed(true)
	return c
}

func passOn(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.Join(errPassOn, err)
	}
	return err
}

func (a *app) logsCommand() *cobra.Command {
	return a.nameFlag(&cobra.Command{
		Use:       "logs NODE kubelet|containerd|init|kubeadm",
		Short:     "Print the log of a node's own process",
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"kubelet", "containerd", "init", "kubeadm"},
		RunE: func(_ *cobra.Command, args []string) error {
			opened, err := a.open()
			if err != nil {
				return err
			}
			n, err := opened.Node(args[0])
			if err != nil {
				return err
			}
			file, err := os.Open(n.LogPath(args[1]))
			if err != nil {
				return err
			}
			defer file.Close() //nolint:errcheck // read-only
			_, err = io.Copy(a.out, file)
			return err
		},
	})
}

func (a *app) loadCommand() *cobra.Command {
	return a.nameFlag(&cobra.Command{
		Use:   "load-image ARCHIVE…",
		Short: "Import image archives into every node",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opened, err := a.open()
			if err != nil {
				return err
			}
			return opened.LoadEverywhere(cmd.Context(), args...)
		},
	})
}

func (a *app) imageCommand() *cobra.Command {
	var (
		files, entrypoint, env []string
		out                    string
	)
	c := a.nameFlag(&cobra.Command{
		Use:   "image REF",
		Short: "Make an image of one layer from local files, and load it into every node",
		Example: "  cluster image docker.io/library/mine:1 --file ./server=/server --entrypoint /server --entrypoint=-v\n" +
			"  cluster image docker.io/library/mine:1 --file ./server=/server --output mine.tar",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := image.ParseSpec(args[0], files)
			if err != nil {
				return err
			}
			spec.Entrypoint, spec.Env = entrypoint, env
			if out != "" {
				return cluster.WriteImage(out, spec)
			}
			opened, err := a.open()
			if err != nil {
				return err
			}
			return opened.LoadSpec(cmd.Context(), spec)
		},
	})
	c.Flags().StringArrayVar(&files, "file", nil, "SOURCE=PATH: a local file and its place in the image; ->TARGET=PATH: a symbolic link")
	c.Flags().StringArrayVar(&entrypoint, "entrypoint", nil, "the image's entry point, one argument at a time")
	c.Flags().StringArrayVar(&env, "env", nil, "KEY=VALUE for the image's environment")
	c.Flags().StringVar(&out, "output", "", "write the archive here instead of loading it")
	return c
}
