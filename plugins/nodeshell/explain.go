package nodeshell

import (
	_ "embed"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

//go:embed catalogue.zh.txt
var chinese string

// ChineseCatalogue is Catalogue in Chinese.
func ChineseCatalogue() []finding.Entry { return finding.Translation(chinese) }

// explained gives the command --explain CODE.
func explained(env *cli.Env, command *cobra.Command) *cobra.Command {
	cli.AddExplainFlag(env, command, cli.Catalogue{
		Entries: Catalogue(), Translated: map[string][]finding.Entry{"zh": ChineseCatalogue()},
	})
	return command
}
