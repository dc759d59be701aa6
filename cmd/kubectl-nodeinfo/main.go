// Command kubectl-nodeinfo says whether a node, or the whole fleet, is healthy; if not, why, and what to do next.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	_ "github.com/kubectl-runbooks/kubectl-runbooks/pkg/garbage/late" // first of all that is initialized
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
)

func main() { os.Exit(cli.Main(nodeinfo.New)) }
