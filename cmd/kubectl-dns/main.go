// Command kubectl-dns says who answers DNS in a cluster, what a pod asks, what comes back, and whether it is right.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	_ "github.com/kubectl-runbooks/kubectl-runbooks/pkg/garbage/late" // first of all that is initialized
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
)

func main() { os.Exit(cli.Main(dns.New)) }
