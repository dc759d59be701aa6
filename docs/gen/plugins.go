package main

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
)

func plugins() []plugin {
	return []plugin{
		{"nodeinfo", nodeinfo.New, nodeinfo.Catalogue},
	}
}
