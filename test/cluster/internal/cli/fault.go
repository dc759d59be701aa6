package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cluster"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/fault"
)

func (a *app) faultCommand() *cobra.Command {
	var (
		list    bool
		options fault.Options
	)
	c := a.nameFlag(&cobra.Command{
		Use:     "fault FAULT [NODE]",
		Short:   "Break a node, or list the ways to do it",
		Example: "  cluster fault --list\n  cluster fault stop-kubelet w1\n  cluster fault block-dns w1 --proto udp --dest vip\n  cluster heal --all",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return a.listFaults()
			}
			if len(args) == 0 {
				return errors.New("which fault? --list shows them")
			}
			return a.withFault(args, func(opened *cluster.Cluster, f fault.Fault, node string) error {
				return fault.Inject(cmd.Context(), opened, f, node, options)
			})
		},
	})
	c.Flags().BoolVar(&list, "list", false, "list the faults with what they do")
	c.Flags().StringVar(&options.Proto, "proto", "", "block-dns: udp, tcp or both")
	c.Flags().StringVar(&options.Dest, "dest", "", "block-dns: vip, pods or all")
	c.Flags().StringVar(&options.IP, "ip", "", "wrong-cluster-dns: the address to use instead")
	c.Flags().StringVar(&options.Family, "family", "", "cut-family: ipv4 or ipv6")
	c.Flags().StringVar(&options.Rate, "rate", "", "slow-link: the rate, as 64kbit")
	c.Flags().BoolVar(&options.Serving, "serving", false, "expire-kubelet-cert: the serving certificate")
	c.Flags().StringVar(&options.Left, "left", "", "expire-kubelet-cert: how long the certificate of a year is still valid, as 120h")
	c.Flags().BoolVar(&options.Evict, "evict", false, "memory-pressure, pid-pressure: evict pods too")
	c.Flags().StringVar(&options.Threshold, "threshold", "", "memory-pressure, pid-pressure: the threshold instead of one that nothing satisfies, as 10Gi")
	c.Flags().StringVar(&options.Device, "device", "", "break-dra-device: the device, as gpu-1")
	c.Flags().StringVar(&options.Effect, "effect", "", "break-dra-device: the effect of its taint, NoSchedule or NoExecute")
	return c
}

func (a *app) healCommand() *cobra.Command {
	var all bool
	c := a.nameFlag(&cobra.Command{
		Use:   "heal FAULT [NODE] | --all [NODE]",
		Short: "Put right what a fault broke",
		Args:  cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all {
				return a.healAll(cmd.Context(), args)
			}
			if len(args) == 0 {
				return errors.New("which fault? --all heals every one")
			}
			return a.withFault(args, func(opened *cluster.Cluster, f fault.Fault, node string) error {
				return fault.Heal(cmd.Context(), opened, f, node)
			})
		},
	})
	c.Flags().BoolVar(&all, "all", false, "every fault of the node, or of all nodes")
	return c
}

func (a *app) healAll(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return errors.New("--all takes a node at most")
	}
	opened, err := a.open()
	if err != nil {
		return err
	}
	return fault.HealAll(ctx, opened, append(args, "")[0])
}

// withFault resolves FAULT [NODE].
func (a *app) withFault(args []string, do func(*cluster.Cluster, fault.Fault, string) error) error {
	f, err := fault.Find(args[0])
	if err != nil {
		return err
	}
	opened, err := a.open()
	if err != nil {
		return err
	}
	if opened.State.Mode != cluster.ModeNodes {
		return fmt.Errorf("fault %q needs a real node, so Linux and root: cluster %q is a plain one, whose nodes kwok plays", f.Name, opened.State.Name)
	}
	return do(opened, f, append(args, "")[1])
}

func (a *app) listFaults() error {
	w := tabwriter.NewWriter(a.out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "FAULT\tWHAT IT DOES\tWHAT IT LOOKS LIKE")
	for _, f := range fault.All() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, f.Summary, f.Symptom)
	}
	return w.Flush()
}
