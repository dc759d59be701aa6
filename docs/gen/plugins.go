package main

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
)

func plugins() []plugin {
	return []plugin{
		{"nodeinfo", nodeinfo.New, nodeinfo.Catalogue},
		{"rollout-explain", rolloutexplain.New, rolloutexplain.Catalogue},
	}
}
