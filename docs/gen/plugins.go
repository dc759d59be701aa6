package main

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
)

func plugins() []plugin {
	return []plugin{
		{name: "nodeinfo", command: nodeinfo.New, catalogue: nodeinfo.Catalogue, chinese: nodeinfo.ChineseCatalogue, reports: []any{nodereport.List{}}},
		{name: "rollout-explain", command: rolloutexplain.New, catalogue: rolloutexplain.Catalogue},
	}
}
