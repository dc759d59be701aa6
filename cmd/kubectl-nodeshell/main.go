// Command kubectl-nodeshell is the kubectl plugin `kubectl nodeshell`.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	_ "github.com/kubectl-runbooks/kubectl-runbooks/pkg/garbage/late" // first of all that is initialized
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell"
)

func main() { os.Exit(cli.Main(nodeshell.New)) }
