// Package nodeinfo is the command kubectl nodeinfo: is this node, or the whole fleet, healthy? If not: why, and what next?
package nodeinfo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// watchInterval is how often -w looks: half a heartbeat.
const watchInterval = 5 * time.Second

// New makes the command.
func New(env *cli.Env) *cobra.Command { return explained(env, newCommand(env, run)) }

// Catalogue is every finding code of this plugin, sorted.
func Catalogue() []finding.Entry { return evaluate.Catalogue() }

func newCommand(env *cli.Env, runF func(context.Context, *cli.Env, Options) error) *cobra.Command {
	var values flagValues
	var connection *kube.Flags
	command := &cobra.Command{
		Use:   "nodeinfo [NODE...]",
		Short: "Say whether nodes are healthy; if not, why, and what to do next",
		Long: cli.Long(`
			Say whether nodes are healthy; if not, why, and what to do next.

			Without names: a table of every node, worst first, from three API calls whatever the fleet's size. A node's
			heartbeat is compared with the API server's clock, so that a dead node which still says Ready is seen.

			With names: a report on each: the verdict, its causes with evidence and the next command, then health,
			components, resources, pods, network, storage, control plane, scheduling, events and lifecycle. What may not be
			read is said to be not checked; nothing is guessed.

			Verdicts: Healthy, Degraded (the worst finding is a warning), Unhealthy (one is critical), Unknown. A cordoned
			node is not unhealthy for that.

			Exit codes: 0 the report was made, whatever it says; 1 an error, or a named node is not there; 3 --fail-on was
			reached; 4 --require-complete and something could not be read; 5 the cluster did not answer in time.`),
		Example: cli.Example(env, `
			# every node, worst first
			PROGRAM

			# why is this node not well?
			PROGRAM worker-1

			# requests, limits, runtime, network plugin and more of the control plane's nodes
			PROGRAM -l node-role.kubernetes.io/control-plane -o wide

			# in a script: fail if any node is Unhealthy
			PROGRAM --fail-on=critical

			# the names of the nodes that are not healthy
			PROGRAM --only-problems -o name`),
		Args: cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			options, err := values.toOptions(args, connection)
			if err != nil {
				return err
			}
			return runF(command.Context(), env, options)
		},
	}
	values.register(command.Flags())
	connection = cli.AddConnectionFlags(env, command)
	command.ValidArgsFunction = complete.Nodes(connection)
	for name, f := range map[string]complete.Func{
		"output": complete.Words(formatWords()...), "sort-by": complete.Words(sortKeys...), "section": complete.Words(render.Sections()...),
		"color": complete.Words(output.ColorModes()...), "fail-on": complete.Words(finding.Thresholds()...),
		"selector": cobra.NoFileCompletions, "field-selector": cobra.NoFileCompletions, "label-columns": cobra.NoFileCompletions,
		"bad-condition": cobra.NoFileCompletions, "timeout": cobra.NoFileCompletions, "stale-after": cobra.NoFileCompletions,
	} {
		if err := command.RegisterFlagCompletionFunc(name, f); err != nil {
			panic(err) // a name above that is no flag
		}
	}
	return command
}

func run(ctx context.Context, env *cli.Env, o Options) error {
	if o.FromInput != "" {
		var input evaluate.Input
		if err := env.LoadInput(o.FromInput, &input); err != nil {
			return err
		}
		input.Select(o.Names)
		list := o.evaluate(input, finding.Kubectl{})
		return errors.Join(o.print(env, list), o.decide(list))
	}
	cluster, err := o.Connection.Cluster()
	if err != nil {
		return err
	}
	if o.Watch {
		return o.watch(ctx, env, cluster)
	}
	list, err := o.look(ctx, env, cluster)
	if err != nil {
		return err
	}
	if o.SaveInput == "-" {
		return o.decide(list)
	}
	if err := o.print(env, list); err != nil {
		return err
	}
	return o.decide(list)
}

// look reads the cluster once and judges it.
func (o Options) look(ctx context.Context, env *cli.Env, cluster *kube.Cluster) (report.List, error) {
	stop := output.StartProgress(env.Streams.ErrOut, env.Err(o.Color), "reading the cluster")
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	result, err := collect.Collect(ctx, cluster, collect.Request{
		Names: o.Names, LabelSelector: o.LabelSelector.String(), FieldSelector: o.FieldSelector.String(), Depth: o.depth(), Kubelet: o.Kubelet,
	})
	stop()
	if err != nil {
		return report.List{}, err
	}
	for _, note := range result.Notes {
		env.Warn("note: %s", output.Sanitize(note))
	}
	if o.SaveInput != "" {
		if err := env.SaveInput(o.SaveInput, result.Input); err != nil {
			return report.List{}, err
		}
	}
	return o.evaluate(result.Input, cluster.Kubectl), nil
}

func (o Options) evaluate(input evaluate.Input, kubectl finding.Kubectl) report.List {
	list := evaluate.Evaluate(input, input.Now, evaluate.Options{StaleAfter: o.StaleAfter, BadConditions: o.BadConditions, Kubectl: kubectl})
	slices.SortStableFunc(list.Items, order(o.SortBy))
	return list
}

// watch looks again and again, and prints when what matters has changed: not on every second of an age.
func (o Options) watch(ctx context.Context, env *cli.Env, cluster *kube.Cluster) error {
	last := ""
	for {
		list, err := o.look(ctx, env, cluster)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && last == "":
			return err
		case err != nil:
			env.Warn("error: %s", output.Sanitize(kube.OneLine(kube.Explain(err))))
		default:
			if now := fingerprint(list); now != last {
				if last != "" && !o.Format.Structured() && o.Format.Kind != output.Name {
					fmt.Fprintf(env.Streams.Out, "\n%s\n", list.Time.Format(time.RFC3339))
				}
				last = now
				if err := o.print(env, list); err != nil {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(watchInterval):
		}
	}
}

// fingerprint is what a change in is worth printing.
func fingerprint(list report.List) string {
	var b strings.Builder
	for _, n := range list.Items {
		fmt.Fprintf(&b, "%s %s %s", n.Name, n.Verdict, n.Status)
		for _, f := range n.Findings {
			fmt.Fprintf(&b, " %s/%s", f.Code, f.Object)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// order compares nodes by a --sort-by key: figures largest first, unknown ones last, names within.
func order(key string) func(a, b report.Node) int {
	figure := func(name string, pick func(report.Resource) *float64) func(a, b report.Node) int {
		value := func(n report.Node) float64 {
			for _, r := range n.Resources {
				if p := pick(r); r.Name == name && p != nil {
					return *p
				}
			}
			return -1
		}
		return func(a, b report.Node) int {
			return cmp.Or(cmp.Compare(value(b), value(a)), cmp.Compare(a.Name, b.Name))
		}
	}
	usage := func(r report.Resource) *float64 { return r.UsagePercent }
	requests := func(r report.Resource) *float64 { return r.RequestsPercent }
	switch key {
	case "name":
		return func(a, b report.Node) int { return cmp.Compare(a.Name, b.Name) }
	case "age":
		return func(a, b report.Node) int {
			return cmp.Or(compareTimes(a.CreatedAt, b.CreatedAt), cmp.Compare(a.Name, b.Name))
		}
	case "heartbeat":
		return func(a, b report.Node) int {
			return cmp.Or(compareTimes(heard(a), heard(b)), cmp.Compare(a.Name, b.Name))
		}
	case "cpu":
		return figure("cpu", usage)
	case "memory":
		return figure("memory", usage)
	case "cpu-requests":
		return figure("cpu", requests)
	case "memory-requests":
		return figure("memory", requests)
	case "pods":
		return figure("pods", requests)
	}
	return evaluate.WorstFirst
}

func heard(n report.Node) *time.Time {
	if n.Health == nil || n.Health.Heartbeat == nil {
		return nil
	}
	return n.Health.Heartbeat.ReceivedAt
}

// compareTimes puts the oldest first and the unknown last.
func compareTimes(a, b *time.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return a.Compare(*b)
}

// print writes the list in the chosen format. What --only-problems leaves out is still counted.
func (o Options) print(env *cli.Env, list report.List) error {
	if o.OnlyProblems {
		list.Items = slices.DeleteFunc(slices.Clone(list.Items), func(n report.Node) bool { return n.Verdict == report.Healthy })
	}
	out, term := env.Streams.Out, env.Out(o.Color)
	switch {
	case o.Format.Structured():
		return o.Format.Print(out, o.cut(list))
	case o.Format.Kind == output.Name:
		for _, n := range list.Items {
			fmt.Fprintln(out, "node/"+n.Name)
		}
		return nil
	case len(o.Names) > 0 && o.Format.Kind == output.Table:
		for i, n := range list.Items {
			if i > 0 {
				fmt.Fprintln(out)
			}
			if err := render.Report(out, n, list.Time, render.ReportOptions{Sections: o.Sections, Terminal: term}); err != nil {
				return err
			}
		}
		return nil
	}
	if list.Counts.Nodes == 0 {
		env.Warn("no nodes found")
		return nil
	}
	if err := render.Table(out, list, render.TableOptions{Wide: o.Format.Kind == output.Wide, NoHeaders: o.NoHeaders, LabelColumns: o.LabelColumns, Terminal: term}); err != nil {
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
			"health": func() { n.Health = nil }, "components": func() { n.Components = nil }, "resources": func() { n.Resources = nil },
			"pods": func() { n.Pods = nil }, "network": func() { n.Network = nil }, "storage": func() { n.Storage = nil },
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

// decide turns the report into an exit code: a missing node, then --fail-on, then --require-complete.
func (o Options) decide(list report.List) error {
	if len(list.Missing) > 0 {
		var errs []error
		for _, name := range list.Missing {
			errs = append(errs, fmt.Errorf("node %q is not in the cluster", name))
		}
		return errors.Join(errs...)
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
