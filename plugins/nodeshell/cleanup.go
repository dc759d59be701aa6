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
		Short: "Delete the leftovers of killed sessions",
		Long: cli.Long(`
			Delete the leftovers of killed sessions: helper pods, Jobs and namespaces that are finished or past their own
			deadline. Running sessions are kept, except your own with --mine.

			Usually there is nothing to delete: the cluster itself removes a session within 1m after its client was killed.`),
		Example: cli.Example(env, `
			# List the leftovers in every namespace
			PROGRAM cleanup -A --dry-run

			# Delete your own sessions too, if they are older than 1h
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
				return cli.Usage(fmt.Errorf("--older-than %s must not be negative", o.OlderThan))
			}
			return runF(c.Context(), env, connection, o)
		},
	}
	set := command.Flags()
	set.BoolVarP(&o.All, "all-namespaces", "A", false, "Search every namespace, and include the namespaces of --create-namespace.")
	set.DurationVar(&o.OlderThan, "older-than", 0, "Delete only objects older than this duration. 0 means any age.")
	set.BoolVar(&o.Mine, "mine", false, "Delete your own running sessions too.")
	set.BoolVar(&o.DryRun, "dry-run", false, "Print what would be deleted, without deleting.")
	set.BoolVar(&o.NoHeaders, "no-headers", false, "Print no header line.")
	cli.AddColorFlag(set, &color)
	completeWords(command, map[string][]string{"color": output.ColorModes()})
	return command
}
