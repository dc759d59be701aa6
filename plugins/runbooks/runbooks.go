// Package runbooks is the command kubectl runbooks: what is wrong with a cluster, and where does it begin. It runs nodeinfo, dns
// and rollout-explain over one set of reads and joins what they found.
package runbooks

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
)

// New makes the command.
func New(env *cli.Env) *cobra.Command {
	root := newCommand(env, run)
	return cli.Explained(env, root, catalog())
}

// catalog is what all workflows may find.
func catalog() cli.Catalog {
	return cli.Catalog{
		Entries: union(nodeinfo.Catalog(), dns.Catalog(), rolloutexplain.Catalog()),
		Chinese: union(nodeinfo.ChineseCatalog(), dns.ChineseCatalog(), rolloutexplain.ChineseCatalog()),
	}
}

// Catalog is empty: each finding is one of another plugin, under its code.
func Catalog() []finding.Entry { return nil }

// ChineseCatalog is Catalog in Chinese.
func ChineseCatalog() []finding.Entry { return nil }

// union is the entries of several catalogs, of a code that two have the first: it means the same in both.
func union(catalogs ...[]finding.Entry) []finding.Entry {
	var list []finding.Entry
	for _, e := range slices.Concat(catalogs...) {
		if !slices.ContainsFunc(list, func(have finding.Entry) bool { return have.Code == e.Code }) {
			list = append(list, e)
		}
	}
	return list
}

const (
	long = `
			Report what is wrong with a cluster, and where it begins.

			The command runs kubectl nodeinfo (all nodes), kubectl dns check and kubectl rollout-explain at once, reads each
			list once, and joins what they found: a node that does not report explains a DNS replica that cannot be queried
			and rollouts whose pods cannot terminate; a webhook that cannot be called explains rollouts in ten namespaces;
			DNS that does not answer explains crash loops whose log says so. It prints the root causes, worst first, each with
			evidence, next steps and what it explains; then what is healthy, then what was not checked. Faults that have
			nothing in common stay apart.

			It reads, and queries the DNS pods over port-forward; it creates and changes nothing. Without -n, the rollouts of
			all namespaces are read; with it, what nodes report of pods in other namespaces is left out, unless it explains
			a problem in this one. Nodes and DNS are those of the cluster in any case.

			Verdicts: Healthy, Degraded (the worst cause is a warning), Unhealthy (a cause is critical), Unknown (no problem
			was found, but a part could not be read).

			Exit codes: 0 the report was printed, whatever the verdict; 1 an error; 3 a cause reached --fail-on; 4
			--require-complete is set and something could not be read; 5 the cluster did not respond in time.`
	examples = `
			# Find out what is wrong with the cluster
			PROGRAM

			# Only the rollouts of one namespace
			PROGRAM -n shop

			# List everything that each cause explains
			PROGRAM -o wide

			# Also list what changed within the last hour
			PROGRAM --since=1h

			# Exit with 3 if a cause is critical
			PROGRAM --fail-on=critical

			# Write the report for a ticket
			PROGRAM -o markdown

			# Write a page for a browser, of this report or of a saved one of another plugin
			PROGRAM -o html > cluster.html
			kubectl nodeinfo -o json | PROGRAM html - > nodes.html

			# Save what was read, and explain it elsewhere, without a cluster
			PROGRAM snapshot cluster.tar.gz
			PROGRAM --from-input cluster.tar.gz`
)

// runF runs options; a test gives one to read them without running.
type runF func(context.Context, *cli.Env, Options) error

func newCommand(env *cli.Env, run runF) *cobra.Command {
	var values flagValues
	var connection *kube.Flags
	command := &cobra.Command{
		Use:     "runbooks",
		Short:   "Report what is wrong with a cluster, and where it begins",
		Long:    cli.Long(long),
		Example: cli.Example(env, examples),
		Args:    noArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			options, err := values.toOptions(connection)
			if err != nil {
				return err
			}
			return run(command.Context(), env, options)
		},
	}
	values.register(command)
	connection = cli.AddConnectionFlags(env, command)
	command.AddCommand(snapshotCommand(env, connection, run), htmlCommand(env, run), mcpCommand(env, connection, run))
	return command
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return cli.Usage(fmt.Errorf("%q is not a command: see --help for the list", args[0]))
	}
	return nil
}

func (v *flagValues) register(command *cobra.Command) {
	set := command.Flags()
	set.StringVarP(&v.output, "output", "o", "",
		"Output format: table, wide, json, yaml, name, jsonpath=TEMPLATE, html, markdown, junit or prometheus.")
	set.StringVar(&v.outputFile, "output-file", "",
		"Write the report to this file instead of standard output. The file is replaced as a whole, and only by a report.")
	v.addScope(command)
	set.BoolVarP(&v.watch, "watch", "w", false, "Check every 15s and print again after a change.")
	set.StringVar(&v.failOn, "fail-on", string(finding.ThresholdNever),
		"Exit with 3 if a cause has at least this severity: "+strings.Join(finding.Thresholds(), ", ")+".")
	set.DurationVar(&v.since, "since", 0, "Also report what changed within this time, such as 1h, on one time line.")
	set.BoolVar(&v.requireComplete, "require-complete", false, "Exit with 4 if data could not be read.")
	set.StringVar(&v.fromInput, "from-input", "", "Report on a file written by the command snapshot, without a cluster.")
	cli.AddColorFlag(set, &v.color)
	offer(command, map[string]complete.Func{
		"output": complete.Words(append([]string{"table"}, output.FormatWords(formats...)...)...),
		"color":  complete.Words(output.ColorModes()...), "fail-on": complete.Words(finding.Thresholds()...),
		"since": complete.Words("10m", "1h", "24h"),
	})
}

// addScope registers what both commands read.
func (v *flagValues) addScope(command *cobra.Command) {
	set := command.Flags()
	set.BoolVarP(&v.allNamespaces, "all-namespaces", "A", false, "Read the rollouts of all namespaces, which is the default without -n.")
	set.StringVarP(&v.selector, "selector", "l", "", "Read only the rollouts with these labels, as in kubectl get -l.")
	set.DurationVar(&v.timeout, "timeout", readLimit, "Maximum time to wait for the cluster.")
	offer(command, map[string]complete.Func{"selector": cobra.NoFileCompletions, "timeout": cobra.NoFileCompletions})
}

func offer(command *cobra.Command, completions map[string]complete.Func) {
	for name, f := range completions {
		if err := command.RegisterFlagCompletionFunc(name, f); err != nil {
			panic(err) // a name that is no flag
		}
	}
}
