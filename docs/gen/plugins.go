package main

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
)

func plugins() []plugin {
	return []plugin{
		{name: "nodeinfo", command: nodeinfo.New, catalogue: nodeinfo.Catalogue, chinese: nodeinfo.ChineseCatalogue, reports: []any{nodereport.List{}}},
		{name: "nodeshell", command: nodeshell.New, catalogue: nodeshell.Catalogue},
		{name: "rollout-explain", command: rolloutexplain.New, catalogue: rolloutexplain.Catalogue},
	}
}
