package nodeshell

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/cleanup"
)

type cleanupFunc func(context.Context, *cli.Env, *kube.Flags, cleanup.Options) error

func cleanupCommand(env *cli.Env, connection *kube.Flags, runF cleanupFunc) *cobra.Command {
	var (
		o     cleanup.Options
		color string
	)
	command := &cobra.Command{
		Use:   "cleanup",
		Short: "Delete what killed sessions have left",
		Long: cli.Long(`
			Delete what killed sessions have left: helper pods, Jobs and namespaces that are finished or past their own
			deadline. A session that runs is kept, except with --mine, which ends your own.

			Normally there is nothing to do: the cluster itself removes a session within a minute of its client's death.`),
		Example: cli.Example(env, `
			# What there is, in every namespace
			PROGRAM cleanup -A --dry-run

			# End my own sessions too, if they are older than an hour
			PROGRAM cleanup -A --mine --older-than 1h`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usage(fmt.Errorf("unexpected argument %q", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Color, err = output.ParseColorMode(color); err != nil {
				return cli.Usage(err)
			}
			if o.OlderThan < 0 {
				return cli.Usage(fmt.Errorf("--older-than %s: use a positive duration", o.OlderThan))
			}
			return runF(c.Context(), env, connection, o)
		},
	}
	set := command.Flags()
	set.BoolVarP(&o.All, "all-namespaces", "A", false, "In every namespace, and the namespaces of --create-namespace too.")
	set.DurationVar(&o.OlderThan, "older-than", 0, "Only what is older than this.")
	set.BoolVar(&o.Mine, "mine", false, "Also end sessions of yours that still run.")
	set.BoolVar(&o.DryRun, "dry-run", false, "Only show what would be deleted.")
	set.BoolVar(&o.NoHeaders, "no-headers", false, "No header line.")
	cli.AddColorFlag(set, &color)
	completeWords(command, map[string][]string{"color": output.ColorModes()})
	return command
}
