package main

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell"
	shellreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

func plugins() []plugin {
	return []plugin{
		{
			name: "dns", command: dns.New, catalogue: dns.Catalogue, chinese: dns.ChineseCatalogue,
			reports: []any{
				dnsreport.Status{},
				dnsreport.Config{},
				dnsreport.PodResolver{},
				dnsreport.Explanation{},
				dnsreport.Resolution{},
				dnsreport.Names{},
				dnsreport.Verification{},
				dnsreport.Upstreams{},
				dnsreport.Top{},
				dnsreport.Logs{},
			},
		},
		{
			name: "nodeinfo", command: nodeinfo.New, catalogue: nodeinfo.Catalogue, chinese: nodeinfo.ChineseCatalogue,
			reports: []any{nodereport.List{}},
		},
		{
			name: "nodeshell", command: nodeshell.New, catalogue: nodeshell.Catalogue, chinese: nodeshell.ChineseCatalogue,
			reports: []any{shellreport.Plan{}, shellreport.Outcomes{}, shellreport.Captures{}},
		},
		{
			name: "rollout-explain", command: rolloutexplain.New, catalogue: rolloutexplain.Catalogue, chinese: rolloutexplain.ChineseCatalogue,
			reports: []any{rolloutreport.Rollout{}, rolloutreport.List{}},
		},
	}
}
