package runbooks

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/internal/webpage"
)

func htmlCommand(env *cli.Env, run runF) *cobra.Command {
	return &cobra.Command{
		Use:   "html FILE",
		Short: "Make a page for a browser of a report that a plugin saved with -o json",
		Long: cli.Long(`Make a page for a browser of a report that nodeinfo, dns, rollout-explain or runbooks printed with -o json or
			-o yaml. - reads standard input. The page is one file, loads nothing, and is written to standard output; for a page
			of the whole cluster use -o html.`),
		Example: cli.Example(env, `
			# A page of all nodes
			kubectl nodeinfo -o json | PROGRAM html - > nodes.html
			# A page of a rollout with its revisions
			kubectl rollout-explain deployment/api -n shop --history -o json > api.json
			PROGRAM html api.json > api.html`),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return cli.Usage(errors.New("html takes the name of one file, or - for standard input"))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			return run(command.Context(), env, Options{Page: args[0]})
		},
	}
}

// writePage makes the page of a saved report.
func writePage(env *cli.Env, path string) error {
	data, err := env.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := webpage.Saved(data)
	if err != nil {
		return fmt.Errorf("%q is not a report that -o json printed: %w", path, err)
	}
	_, err = io.WriteString(env.Streams.Out, text)
	return err
}
