// Command kubectl-dns says who answers DNS in a cluster, what a pod asks, what comes back, and whether it is right.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
)

func main() { os.Exit(cli.Main(dns.New)) }
