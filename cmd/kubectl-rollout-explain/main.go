// Command kubectl-rollout_explain is the plugin behind "kubectl rollout-explain".
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // exec, OIDC and cloud logins of the kubeconfig

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	_ "github.com/kubectl-runbooks/kubectl-runbooks/pkg/garbage/late" // first of all that is initialized
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
)

func main() { os.Exit(cli.Main(rolloutexplain.New)) }
