// Command kubectl is a program of its own: those who ask a cluster start it thousands of times, and the program that holds all of
// Kubernetes takes twice the time to start (0.17 s of processor time instead of 0.085).
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) //nolint:errcheck // as upstream's own main
	// CheckErr prints the error as kubectl does and exits with its code.
	kubectlutil.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
}
