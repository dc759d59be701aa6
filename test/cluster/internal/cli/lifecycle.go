package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/build"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cluster"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/fault"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/netplan"
)

func (a *app) upCommand() *cobra.Command {
	var (
		spec     cluster.Spec
		with     []string
		patience time.Duration
	)
	c := a.nameFlag(&cobra.Command{
		Use:   "up",
		Short: "Make a cluster, or find it running; prints the path of its kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			spec.Name = a.name
			var err error
			if spec.With, err = cluster.ParseParts(with); err != nil {
				return err
			}
			if err := complete(&spec, a.report); err != nil {
				return err
			}
			components := build.ForPlain(spec.Version)
			if spec.Mode == cluster.ModeNodes {
				components = append(build.ForNodes(spec.Version), build.ForParts(spec.Parts())...)
				if err := host.InstallPackages(cmd.Context(), a.report); err != nil {
					return err
				}
			}
			bin, err := a.build(cmd.Context(), components)
			if err != nil {
				return err
			}
			if spec.KubeletVersion != "" {
				workers, err := a.build(cmd.Context(), append(components, build.Of(spec.KubeletVersion).Kubelet()))
				if err != nil {
					return err
				}
				bin.Workers = workers.Dir
			}
			a.healBefore(cmd.Context(), spec)
			made, err := cluster.Up(cmd.Context(), a.root, spec, bin, patience, a.report)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.out, made.Kubeconfig())
			return nil
		},
	})
	c.Flags().IntVar(&spec.ControlPlanes, "control-planes", 1,
		"number of nodes of the control plane: cp1, cp2, …, each with a member of etcd; with several a balancer stands in front of their API servers")
	c.Flags().IntVar(&spec.Workers, "workers", 2, "number of workers beside the control plane: w1, w2, …")
	c.Flags().StringVar(&spec.Version, "version", build.Of(build.DefaultVersion).Minor(), "version of Kubernetes: "+build.Versions())
	c.Flags().StringVar(&spec.KubeletVersion, "kubelet-version", "",
		"version of the workers' kubelets, up to three minor versions older: as v1.34; empty is the cluster's own")
	c.Flags().StringVar(&spec.ProxyMode, "proxy-mode", "iptables", "how kube-proxy does Services: iptables or nftables")
	c.Flags().StringVar(&spec.IPFamily, "ip-family", netplan.IPv4, "addresses of nodes, pods and Services: ipv4, ipv6, or dual, where IPv4 comes first")
	c.Flags().StringVar(&spec.ClusterDomain, "cluster-domain", cluster.DefaultDomain, "domain of the names that the cluster's DNS serves")
	c.Flags().StringSliceVar(&with, "with", nil, "parts that the cluster has besides, built on first use: "+strings.Join(cluster.PartNames(), ", "))
	c.Flags().StringVar(&spec.Mode, "mode", "", "nodes (real ones; Linux and root) or plain (kwok plays them); empty chooses")
	c.Flags().DurationVar(&patience, "wait", 3*time.Minute, "how long the cluster may take to get ready, once everything is built")
	return c
}

// healBefore heals a cluster that only lacks health because of faults. What does
// not heal is replaced by what follows.
func (a *app) healBefore(ctx context.Context, spec cluster.Spec) {
	opened, err := a.open()
	if err != nil || !opened.State.Ready || opened.State.Spec != spec || spec.Mode != cluster.ModeNodes {
		return // nothing there, or nothing to keep
	}
	broken := opened.FaultyNodes()
	if len(broken) == 0 {
		return
	}
	a.report("healing %s", strings.Join(broken, "; "))
	if err := fault.HealAll(ctx, opened, ""); err != nil {
		a.report("not healed: %v", err)
	}
}

// complete checks a specification and fills in the mode and the full versions.
func complete(spec *cluster.Spec, report func(string, ...any)) error {
	if err := cluster.CheckName(spec.Name); err != nil {
		return err
	}
	if err := completeVersions(spec); err != nil {
		return err
	}
	if spec.ProxyMode != "iptables" && spec.ProxyMode != "nftables" {
		return fmt.Errorf("--proxy-mode %q: iptables or nftables", spec.ProxyMode)
	}
	if err := completeNetwork(spec); err != nil {
		return err
	}
	if spec.ControlPlanes < 1 || spec.ControlPlanes > 7 {
		return fmt.Errorf("--control-planes %d: 1 to 7", spec.ControlPlanes)
	}
	if spec.Workers < 0 || spec.Workers > 50 {
		return fmt.Errorf("--workers %d: 0 to 50", spec.Workers)
	}
	switch spec.Mode {
	case "":
		spec.Mode = cluster.ModeNodes
		if !host.CanMakeNodes() {
			spec.Mode = cluster.ModePlain
			report("no real nodes without Linux and root: a plain control plane, its nodes played by kwok")
		}
	case cluster.ModeNodes:
		if !host.CanMakeNodes() {
			return errors.New("--mode nodes needs Linux and root")
		}
	case cluster.ModePlain:
	default:
		return fmt.Errorf("--mode %q: nodes or plain", spec.Mode)
	}
	if spec.Mode == cluster.ModePlain && (spec.IPFamily != "" || spec.ClusterDomain != "") {
		return errors.New("--ip-family and --cluster-domain: a plain cluster has neither addresses nor DNS of its own")
	}
	if spec.Mode == cluster.ModePlain && spec.ControlPlanes > 1 {
		return fmt.Errorf("--control-planes %d: a plain cluster has one", spec.ControlPlanes)
	}
	if spec.With != "" && spec.Mode == cluster.ModePlain {
		return fmt.Errorf("--with %s: a plain cluster runs no pods", spec.With)
	}
	if spec.With != "" && spec.Workers == 0 {
		return fmt.Errorf("--with %s: the parts need a worker to run on", spec.With)
	}
	if spec.KubeletVersion != "" && spec.Mode == cluster.ModePlain {
		return fmt.Errorf("--kubelet-version %s: a plain cluster runs no kubelets", spec.KubeletVersion)
	}
	if spec.KubeletVersion != "" && spec.Workers == 0 {
		return fmt.Errorf("--kubelet-version %s: there is no worker to have it", spec.KubeletVersion)
	}
	if spec.Mode == cluster.ModePlain {
		spec.ProxyMode = "" // nothing proxies there
	}
	return nil
}

// completeNetwork checks addresses and domain, and writes the usual ones as nothing: so do the states of clusters that know no others.
func completeNetwork(spec *cluster.Spec) error {
	switch spec.IPFamily {
	case netplan.IPv4:
		spec.IPFamily = ""
	case netplan.IPv6, netplan.Dual:
	default:
		return fmt.Errorf("--ip-family %q: ipv4, ipv6 or dual", spec.IPFamily)
	}
	if !validDomain.MatchString(spec.ClusterDomain) {
		return fmt.Errorf("--cluster-domain %q: labels of lower-case letters, digits and inner hyphens with dots between, as corp.example", spec.ClusterDomain)
	}
	if spec.ClusterDomain == cluster.DefaultDomain {
		spec.ClusterDomain = ""
	}
	if spec.IPFamily == netplan.IPv6 && spec.Has(build.NodeCache) {
		return errors.New("--with node-cache --ip-family ipv6: the cache's address is one of IPv4")
	}
	return nil
}

// validDomain is what kubeadm takes (RFC 1123).
var validDomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func completeVersions(spec *cluster.Spec) (err error) {
	if spec.Version, err = build.ParseVersion(spec.Version); err != nil {
		return err
	}
	spec.KubeletVersion, err = build.ParseKubeletVersion(spec.KubeletVersion, spec.Version)
	return err
}

func (a *app) downCommand() *cobra.Command {
	var all bool
	c := a.nameFlag(&cobra.Command{
		Use:   "down",
		Short: "Remove a cluster and every trace of it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			names := []string{a.name}
			if all {
				var err error
				if names, err = cluster.Names(a.root); err != nil {
					return err
				}
			}
			var fails []error
			for _, name := range names {
				fails = append(fails, cluster.Down(cmd.Context(), a.root, name, a.report))
			}
			return errors.Join(fails...)
		},
	})
	c.Flags().BoolVar(&all, "all", false, "every cluster of this machine")
	c.MarkFlagsMutuallyExclusive("all", "name")
	return c
}

func (a *app) binCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bin",
		Short: "Print the directory with kubectl and the rest, built if need be",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bin, err := a.build(cmd.Context(), buildable())
			if err == nil {
				fmt.Fprintln(a.out, bin.Dir)
			}
			return err
		},
	}
}

func (a *app) buildCommand() *cobra.Command {
	var (
		all     bool
		mode    string
		kubelet string
	)
	c := &cobra.Command{
		Use:   "build",
		Short: "Build what a cluster needs, and do no more",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			components := buildable()
			switch mode {
			case "":
			case cluster.ModeNodes:
				components = build.ForNodes(build.DefaultVersion)
			case cluster.ModePlain:
				components = build.ForPlain(build.DefaultVersion)
			default:
				return fmt.Errorf("--mode %q: nodes or plain", mode)
			}
			if all {
				components = slices.Concat(components, build.ForPlain(build.DefaultVersion), build.ForParts(cluster.PartNames()))
			}
			if kubelet != "" {
				version, err := build.ParseKubeletVersion(kubelet, build.DefaultVersion)
				if err != nil {
					return err
				}
				components = append(components, build.Of(version).Kubelet())
			}
			_, err := a.build(cmd.Context(), components)
			return err
		},
	}
	c.Flags().StringVar(&mode, "mode", "", "what nodes need (real ones) or a plain cluster; empty: what this machine can have")
	c.Flags().BoolVar(&all, "all", false, "also what the other mode needs, and every part that a cluster may have")
	c.Flags().StringVar(&kubelet, "kubelet-version", "", "also a kubelet of this version, as v1.34")
	return c
}

func buildable() []string {
	if host.CanMakeNodes() {
		return build.ForNodes(build.DefaultVersion)
	}
	return build.ForPlain(build.DefaultVersion)
}

func (a *app) installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install-deps",
		Short: "Install the Debian packages that real nodes need",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return host.InstallPackages(cmd.Context(), a.report)
		},
	}
}
