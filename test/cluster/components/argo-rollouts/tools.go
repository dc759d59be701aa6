//go:build tools

// Package argorollouts pins the controller of Argo Rollouts.
package argorollouts

import _ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
