package report

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// PathsKind is the type of a Paths.
const PathsKind = "PathReport"

// Paths is who must reach whom in a cluster, and whether that works, as far as it is measured.
type Paths struct {
	APIVersion   string                `json:"apiVersion"`
	Kind         string                `json:"kind"`
	Time         time.Time             `json:"time"` // the API server's clock
	Verdict      Verdict               `json:"verdict"`
	Summary      string                `json:"summary"`
	Nodes        []string              `json:"nodes,omitempty"`    // those that were named; none: all
	NotFound     []string              `json:"notFound,omitempty"` // named nodes that do not exist; then nothing else is judged
	Findings     []finding.Finding     `json:"findings"`
	Consequences []finding.Consequence `json:"consequences,omitempty"`
	Paths        []Path                `json:"paths"`
	Checks       []PathCheck           `json:"checks,omitempty"` // of named nodes: commands that try a path from the node itself
	Sources      source.List           `json:"sources"`
}

// PathState is what is known of a path: of a broken one, the severity of what was found.
type PathState string

// The states of paths.
const (
	PathOK       PathState = "ok"
	PathInfo     PathState = "info"
	PathWarning  PathState = "warning"
	PathCritical PathState = "critical"
	PathUnknown  PathState = "unknown" // not measured, or not conclusive; the evidence says why
)

// PathGroup is what paths are of one kind.
type PathGroup string

// The kinds of paths, in the order of the report.
const (
	PathEtcd       PathGroup = "etcd"
	PathLeader     PathGroup = "leader"
	PathHeartbeat  PathGroup = "heartbeat"
	PathKubelet    PathGroup = "kubelet"
	PathTunnel     PathGroup = "tunnel"
	PathProxy      PathGroup = "kube-proxy"
	PathNetwork    PathGroup = "network"
	PathDNS        PathGroup = "dns"
	PathMetrics    PathGroup = "metrics"
	PathAggregated PathGroup = "aggregated"
	PathWebhook    PathGroup = "webhook"
)

// Path is one part of the cluster that must reach another.
type Path struct {
	Group    PathGroup    `json:"group"`
	From     string       `json:"from"`
	To       string       `json:"to"`
	How      string       `json:"how"` // what was looked at
	State    PathState    `json:"state"`
	Evidence string       `json:"evidence"`
	Code     finding.Code `json:"code,omitempty"` // of the finding or consequence that tells of it
	Node     string       `json:"node,omitempty"`
}

// PathCheck is a command that tries a path from a node.
type PathCheck struct {
	Node string       `json:"node"`
	From string       `json:"from"`
	To   string       `json:"to"`
	Next finding.Next `json:"next"`
}
