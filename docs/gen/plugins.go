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
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks"
	runbooksreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

func plugins() []plugin {
	return []plugin{
		{
			name: "dns", command: dns.New, catalog: dns.Catalog, chinese: dns.ChineseCatalog,
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
			name: "nodeinfo", command: nodeinfo.New, catalog: nodeinfo.Catalog, chinese: nodeinfo.ChineseCatalog,
			reports: []any{nodereport.List{}, nodereport.Drain{}, nodereport.Paths{}, nodereport.Join{}},
		},
		{
			name: "nodeshell", command: nodeshell.New, catalog: nodeshell.Catalog, chinese: nodeshell.ChineseCatalog,
			reports: []any{shellreport.Plan{}, shellreport.Outcomes{}, shellreport.Captures{}},
		},
		{
			name: "rollout-explain", command: rolloutexplain.New, catalog: rolloutexplain.Catalog, chinese: rolloutexplain.ChineseCatalog,
			reports: []any{rolloutreport.Rollout{}, rolloutreport.List{}},
		},
		{
			name: "runbooks", command: runbooks.New, catalog: runbooks.Catalog, chinese: runbooks.ChineseCatalog,
			reports: []any{runbooksreport.Triage{}},
		},
	}
}
