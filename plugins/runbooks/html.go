package runbooks

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/internal/webpage"
)

func htmlCommand(env *cli.Env, run runF) *cobra.Command {
	return &cobra.Command{
		Use:   "html FILE",
		Short: "Make a page for a browser of a saved report or snapshot",
		Long: cli.Long(`Make a page for a browser of a report that nodeinfo, dns, rollout-explain or runbooks printed with -o json or
			-o yaml, or of what the command snapshot wrote. - reads standard input. The page is one file, loads nothing, and is
			written to standard output. The JSON of runbooks holds the causes, and no tables of nodes and rollouts: for these,
			make the page of a snapshot, or use -o html.`),
		Example: cli.Example(env, `
			# A page of all nodes
			kubectl nodeinfo -o json | PROGRAM html - > nodes.html
			# A page of a rollout with its revisions
			kubectl rollout-explain deployment/api -n shop --history -o json > api.json
			PROGRAM html api.json > api.html
			# A page of a whole cluster that was saved
			PROGRAM snapshot cluster.tar.gz
			PROGRAM html cluster.tar.gz > cluster.html`),
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

// writePage makes the page of a saved report or snapshot.
func writePage(env *cli.Env, path string) error {
	text, err := pageOfFile(env, path)
	if err != nil {
		return err
	}
	_, err = io.WriteString(env.Streams.Out, text)
	return err
}

func pageOfFile(env *cli.Env, path string) (string, error) {
	if isDirectory(path) {
		r, err := readDirectory(path)
		if err != nil {
			return "", fmt.Errorf("%q is not a directory that the command snapshot wrote: %w", path, err)
		}
		return r.page(), nil
	}
	data, err := env.ReadFile(path)
	if err != nil {
		return "", err
	}
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) { // gzip: https://www.rfc-editor.org/rfc/rfc1952#page-6
		r, err := unpack(data)
		if err != nil {
			return "", fmt.Errorf("%q is not a file that the command snapshot wrote: %w", path, err)
		}
		return r.page(), nil
	}
	text, err := webpage.Saved(data)
	if err != nil {
		return "", fmt.Errorf("%q is not a report that -o json printed: %w", path, err)
	}
	return text, nil
}

// page is that of -o html.
func (r *reading) page() string {
	j := r.evaluate(finding.Kubectl{}, 0)
	return webpage.Triage(&j.triage, j.parts)
}
