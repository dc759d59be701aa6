// Command kubectl-runbooks reports what is wrong with a cluster, and where it begins.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	_ "github.com/kubectl-runbooks/kubectl-runbooks/pkg/garbage/late" // first of all that is initialized
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks"
)

func main() { os.Exit(cli.Main(runbooks.New)) }
