// Command cluster builds and runs real Kubernetes clusters on this machine, for
// the tests and the demo. It is no part of the product.
package main

import (
	"os"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
