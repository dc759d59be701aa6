package main

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
)

func plugins() []plugin {
	return []plugin{
		{"dns", dns.New, dns.Catalogue},
		{"nodeinfo", nodeinfo.New, nodeinfo.Catalogue},
	}
}
