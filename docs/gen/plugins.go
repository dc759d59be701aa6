package main

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

func plugins() []plugin {
	return []plugin{
		{name: "nodeinfo", command: nodeinfo.New, catalogue: nodeinfo.Catalogue, chinese: nodeinfo.ChineseCatalogue, reports: []any{nodereport.List{}}},
	}
}
