// Package rules is the book of all rules of kubectl dns, in the order of the decision tree. The rules stand in three rooms
// below: servers judges what every pod shares (the Service, the servers, their configuration and upstreams), clients what
// one pod meets, names what one name or one object does. One room would be too large to hold in mind.
//
// Each file there is a topic, where a code, its catalog entry, what it explains and the check that finds it stand
// together. A check reads the facts and gives findings; their titles are the catalog's, their severities the check's
// own, since most codes have a milder form.
package rules

import (
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/clients"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/names"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
)

// Book holds all rules in the order of the decision tree: the first finding that is more than information is the headline.
// Server down; server wrong for everybody; one replica; upstream; path; pod; data; placement.
var Book = finding.NewBook(slices.Concat(
	servers.AbsentRules,
	servers.CrashRules,
	servers.SelectionRules,
	servers.AccessRules,
	servers.ProbeRules,
	servers.DownRules,
	servers.LeadingRules,
	servers.ZoneRules,
	servers.ClusterNameRules,
	servers.ReloadRules,
	servers.ReplicaRules,
	servers.UpstreamRules,
	clients.PolicyRules,
	clients.PathRules,
	clients.LossRules,
	clients.FileRules,
	clients.PodRules,
	clients.HostsRules,
	clients.NodeRules,
	clients.CacheRules,
	servers.AlteredRules,
	names.DataRules,
	servers.CorefileRules,
	servers.PlacementRules,
	names.NameRules,
	[]finding.Rule[facts.Snapshot]{{Entry: finding.UnexplainedEntry()}},
)...)
