// Command kubectl-nodeinfo says whether a node, or the whole fleet, is healthy; if not, why, and what to do next.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
)

func main() { os.Exit(cli.Main(nodeinfo.New)) }
