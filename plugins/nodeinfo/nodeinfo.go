// Package nodeinfo is the command kubectl nodeinfo, which reports whether nodes are healthy, why not, and what to do next.
package nodeinfo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// New makes the command.
func New(env *cli.Env) *cobra.Command {
	return cli.Explained(env, newCommand(env, run), cli.Catalog{Entries: Catalog(), Chinese: ChineseCatalog()})
}

// Catalog is every finding code of this plugin, sorted.
func Catalog() []finding.Entry { return evaluate.Catalog() }

const (
	long = `
			Report whether nodes are healthy, why not, and what to do next.

			Without node names, the command prints a table of all nodes, worst first, from three API calls whatever the
			number of nodes. The age of each heartbeat is measured with the API server clock, so that a node that no longer
			reports but still has Ready=True is found.

			With node names, the command prints a report on each node: the verdict, the causes with evidence and next steps,
			then health, components, resources, pods, network, storage, control plane, scheduling, events and lifecycle. The
			report lists what it is not allowed to read as "not checked"; nothing is guessed.

			With --drain, the command previews the drain of the named nodes and changes nothing: which PodDisruptionBudgets
			block it, which pods and data are lost, whether the other nodes have room for the pods that move, by the
			scheduler's rules, and the kubectl drain command with the flags that it needs. Verdicts: Drainable, Risky (pods
			are lost or find no room), Blocked (the drain would not end), Unknown (something that decides cannot be read).

			With --remove, the command previews the removal of the named node for good: all of the above, whether the control
			plane and etcd hold without it, what the Node object leaves behind (volumes, Lease, CSINode), who would bring the
			node back, and the commands in their order.

			With --paths, the command reports who must reach whom in the cluster and whether that works, each path with what was
			looked at and what was seen, and one cause where several break together. A path that was not measured is "unknown",
			with the reason.

			With --join, the command reports how far machines have come that become nodes: the named ones, or all nodes that are not
			Ready, wait for an agent, or are younger than an hour and lack something, and the machines that only a certificate
			request tells of. Verdicts: Joined, Joining (in progress), Incomplete (a step is missing, and does not come by
			waiting), Unknown.

			--context accepts several contexts or patterns; the clusters are read in parallel.

			Verdicts: Healthy, Degraded (the worst finding is a warning), Unhealthy (one finding is critical), Unknown. A
			cordon alone does not make a node unhealthy.

			Exit codes: 0 the report was printed, whatever the verdict; 1 an error, or a named node does not exist; 3 a
			finding reached --fail-on; 4 --require-complete is set and something could not be read; 5 the cluster did not
			respond in time, or --wait-for timed out.`
	examples = `
			# List all nodes, worst first
			PROGRAM

			# Report why a node is not healthy
			PROGRAM worker-1

			# List requests, limits, runtime, network plugin and more of the control plane nodes
			PROGRAM -l node-role.kubernetes.io/control-plane -o wide

			# Preview the drain of two nodes at once
			PROGRAM --drain worker-1 worker-2

			# Preview what is left behind when a node is removed for good, and list the commands
			PROGRAM --remove worker-1

			# Report who cannot reach whom: webhooks, aggregated APIs, kubelets, control plane
			PROGRAM --paths

			# Report what a machine lacks that joins
			PROGRAM --join worker-4

			# List the nodes of all contexts whose name begins with prod-
			PROGRAM --context='prod-*'

			# Exit with 3 if a node is Unhealthy
			PROGRAM --fail-on=critical

			# Wait until a node that joins or reboots is there and Healthy
			PROGRAM worker-4 --wait-for=healthy --timeout=5m

			# Write the report on a node for a ticket
			PROGRAM worker-1 -o markdown

			# Report on a dump, without a cluster
			kubectl get nodes,leases,pods,events,daemonsets -A -o yaml --show-managed-fields >dump.yaml
			PROGRAM -f dump.yaml worker-1

			# Report by the thresholds of a file
			PROGRAM --thresholds thresholds.yaml

			# Print the names of the nodes that are not Healthy
			PROGRAM --only-problems -o name`
)

func newCommand(env *cli.Env, runF func(context.Context, *cli.Env, Options) error) *cobra.Command {
	var values flagValues
	var connection *kube.Flags
	command := &cobra.Command{
		Use:     "nodeinfo [NODE...]",
		Short:   "Report whether nodes are healthy, why not, and what to do next",
		Long:    cli.Long(long),
		Example: cli.Example(env, examples),
		Args:    cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			options, err := values.toOptions(args, connection, command.Flags().Changed("timeout"))
			if err != nil {
				return err
			}
			if !command.Flags().Changed("stale-after") {
				options.StaleAfter = 0 // that of --thresholds, or the default
			}
			return runF(command.Context(), env, options)
		},
	}
	values.register(command.Flags())
	connection = cli.AddConnectionFlags(env, command)
	command.ValidArgsFunction = complete.Nodes(connection)
	completeFlags(command)
	return command
}

func completeFlags(command *cobra.Command) {
	for name, f := range map[string]complete.Func{
		"output": complete.Words(formatWords()...), "sort-by": complete.Words(sortKeys...), "section": complete.Words(render.Sections()...),
		"color": complete.Words(output.ColorModes()...), "fail-on": complete.Words(finding.Thresholds()...),
		"wait-for": complete.Words(waitHealthy), "rbac-manifest": complete.Words(roleNames...),
		"selector": cobra.NoFileCompletions, "field-selector": cobra.NoFileCompletions, "label-columns": cobra.NoFileCompletions,
		"problem-condition": cobra.NoFileCompletions, "timeout": cobra.NoFileCompletions, "stale-after": cobra.NoFileCompletions,
	} {
		if err := command.RegisterFlagCompletionFunc(name, f); err != nil {
			panic(err) // a name above that is no flag
		}
	}
}

func run(ctx context.Context, env *cli.Env, o Options) error {
	if err := o.readThresholds(env); err != nil {
		return err
	}
	if o.RBACManifest != "" {
		return printRole(env.Streams.Out, o.RBACManifest)
	}
	if report := o.whole(); report != nil {
		return report(ctx, o, env)
	}
	if len(o.Files) > 0 {
		return o.dump(env)
	}
	if o.FromInput != "" {
		var saved Reading
		if err := env.LoadInput(o.FromInput, &saved); err != nil {
			return err
		}
		switch flag := "--" + string(saved.input.Depth); saved.input.Depth {
		case evaluate.Drain, evaluate.Remove:
			return fmt.Errorf("the file was saved with %[1]s: pass %[1]s and the name of the node", flag)
		case evaluate.Paths, evaluate.JoinDepth:
			return fmt.Errorf("the file was saved with %[1]s: pass %[1]s", flag)
		}
		saved.input.Select(o.Names)
		list := o.Evaluate(saved, finding.Kubectl{})
		return errors.Join(o.print(env, list), o.decide(list))
	}
	clusters, err := o.Connection.Clusters()
	if err != nil {
		return err
	}
	if len(clusters) > 1 && o.SaveInput != "" {
		return cli.Usage(fmt.Errorf("--save-input requires a single cluster; --context matches %d", len(clusters)))
	}
	if o.WaitLimit > 0 {
		return o.waitFor(ctx, env, clusters)
	}
	if o.Watch {
		return o.watch(ctx, env, clusters)
	}
	list, err := o.collectReport(ctx, env, clusters)
	if len(list.Items)+len(list.NotFound) == 0 && err != nil {
		return err
	}
	if o.SaveInput != "-" {
		if err := o.print(env, list); err != nil {
			return err
		}
	}
	return cmp.Or(err, o.decide(list))
}

// whole is the report of the cluster as one that is asked for; nil: none is.
func (o Options) whole() func(context.Context, Options, *cli.Env) error {
	switch {
	case o.Drain:
		return drainReport.run
	case o.Remove:
		return removeReport.run
	case o.Paths:
		return pathsReport.run
	case o.Join:
		return joinReport.run
	}
	return nil
}

// print writes the list in the chosen format. The counts include what --only-problems leaves out.
func (o Options) print(env *cli.Env, list report.List) error {
	if o.OnlyProblems {
		list.Items = slices.DeleteFunc(slices.Clone(list.Items), func(n report.Node) bool { return n.Verdict == report.Healthy })
	}
	out, term := env.Streams.Out, env.Out(o.Color)
	switch {
	case o.Format.Structured():
		return o.Format.Print(out, o.cut(list))
	case o.Format.Published():
		published, err := render.Published(list, len(o.Names) > 0, render.ReportOptions{Sections: o.Sections})
		if err != nil {
			return err
		}
		return publish.Print(out, o.Format.Kind, published, publish.Options{FailOn: o.FailOn, RequireComplete: o.RequireComplete})
	case o.Format.Kind == output.Name:
		for _, n := range list.Items {
			fmt.Fprintln(out, "node/"+n.Name)
		}
		return nil
	case len(o.Names) > 0 && o.Format.Kind == output.Table:
		options := render.ReportOptions{Sections: o.Sections, Thresholds: list.Thresholds, Terminal: term}
		for i, n := range list.Items {
			if i > 0 {
				fmt.Fprintln(out)
			}
			if err := render.Report(out, n, list.Time, options); err != nil {
				return err
			}
		}
		return nil
	}
	if list.Counts.Nodes == 0 {
		env.Warn("no nodes found")
		return nil
	}
	options := render.TableOptions{
		Wide: o.Format.Kind == output.Wide, NoHeaders: o.NoHeaders, LabelColumns: o.LabelColumns, Terminal: term,
	}
	if err := render.Table(out, list, options); err != nil {
		return err
	}
	if o.NoHeaders {
		return nil
	}
	return render.Footer(out, list, term)
}

// cut leaves the sections out that --section did not ask for.
func (o Options) cut(list report.List) report.List {
	if len(o.Sections) == 0 {
		return list
	}
	list.Items = slices.Clone(list.Items)
	for i := range list.Items {
		n := &list.Items[i]
		for name, clear := range map[string]func(){
			"health": func() { n.Health = nil }, "components": func() { n.Components = nil },
			"resources": func() { n.Resources, n.Swap, n.PSI = nil, nil, nil },
			"devices":   func() { n.Devices, n.ResourcePools = nil, nil },
			"pods":      func() { n.Pods = nil }, "network": func() { n.Network = nil }, "storage": func() { n.Storage = nil },
			"controlplane": func() { n.ControlPlane = nil }, "scheduling": func() { n.Scheduling = nil }, "events": func() { n.Events = nil },
			"lifecycle": func() { n.Lifecycle = nil },
		} {
			if !slices.Contains(o.Sections, name) {
				clear()
			}
		}
	}
	return list
}

// decide turns the report into an exit code: a node that does not exist, then --fail-on, then --require-complete.
func (o Options) decide(list report.List) error {
	if len(list.NotFound) > 0 {
		var errs []error
		for _, name := range list.NotFound {
			errs = append(errs, fmt.Errorf("node %q not found", name))
		}
		return errors.Join(errs...)
	}
	if o.FailOn.Reached(list.Findings) {
		return cli.Exit{Code: cli.ExitThreshold}
	}
	for _, n := range list.Items {
		if o.FailOn.Reached(n.Findings) {
			return cli.Exit{Code: cli.ExitThreshold}
		}
	}
	if o.RequireComplete {
		for _, n := range list.Items {
			if n.Sources.Incomplete() {
				return cli.Exit{Code: cli.ExitIncomplete}
			}
		}
	}
	return nil
}
