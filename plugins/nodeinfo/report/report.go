// Package report holds the types that kubectl nodeinfo prints with -o json and -o yaml: version v1alpha1, additive only.
// What is unknown is absent, never 0; text and JSON come from the same values.
package report

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// The type of a List.
const (
	APIVersion = "kubectl-runbooks.github.io/v1alpha1"
	Kind       = "NodeReportList"
)

// Verdict is the judgement of a node. A cordoned node is not unhealthy for that: see Scheduling.
type Verdict string

// The verdicts.
const (
	Healthy   Verdict = "Healthy"   // nothing critical or warning was found in what could be read
	Degraded  Verdict = "Degraded"  // the worst finding is a warning
	Unhealthy Verdict = "Unhealthy" // a finding is critical
	Unknown   Verdict = "Unknown"   // nothing that decides could be read
)

// Verdicts lists the words, worst first.
func Verdicts() []Verdict { return []Verdict{Unhealthy, Degraded, Unknown, Healthy} }

// NotFound is the Status of a named node that does not exist, of which something is left; its sections are empty.
const NotFound = "NotFound"

// List is the report on a fleet or on named nodes, worst first.
type List struct {
	APIVersion   string            `json:"apiVersion"`
	Kind         string            `json:"kind"`
	Time         time.Time         `json:"time"` // the API server's clock, by which ages are judged
	Summary      string            `json:"summary"`
	Counts       Counts            `json:"counts"`
	CommonCauses []string          `json:"commonCauses,omitempty"` // what the problems of several nodes have in common
	Findings     []finding.Finding `json:"findings,omitempty"`     // about what is no node, and should be: NodeClaims of Karpenter
	NotFound     []string          `json:"notFound,omitempty"`     // named nodes that do not exist
	Thresholds   []Threshold       `json:"thresholds,omitempty"`   // those that differ from the defaults
	Items        []Node            `json:"items"`
	Sources      source.List       `json:"sources"` // reads that concern every node
}

// Threshold is a number behind findings that the user changed (--thresholds, --stale-after).
type Threshold struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default string `json:"default"`
}

// Counts counts the nodes by verdict; cordoned ones are counted in their verdict too.
type Counts struct {
	Nodes     int `json:"nodes"`
	Healthy   int `json:"healthy"`
	Degraded  int `json:"degraded"`
	Unhealthy int `json:"unhealthy"`
	Unknown   int `json:"unknown"`
	Cordoned  int `json:"cordoned"`
}

// Node is the report on one node. A section that was not read is absent; Sources says why.
type Node struct {
	Context       string                `json:"context,omitempty"` // of the kubeconfig, where --context names several clusters
	Name          string                `json:"name"`
	Verdict       Verdict               `json:"verdict"`
	Summary       string                `json:"summary"`
	Findings      []finding.Finding     `json:"findings"`
	Consequences  []finding.Consequence `json:"consequences,omitempty"`
	Status        string                `json:"status"` // as kubectl get nodes prints it
	Roles         []string              `json:"roles,omitempty"`
	Labels        map[string]string     `json:"labels,omitempty"`
	CreatedAt     *time.Time            `json:"createdAt,omitempty"`
	Health        *Health               `json:"health,omitempty"`
	Components    *Components           `json:"components,omitempty"`
	Resources     []Resource            `json:"resources,omitempty"`
	Swap          *Swap                 `json:"swap,omitempty"`
	PSI           *PSI                  `json:"psi,omitempty"`
	Devices       []Device              `json:"devices,omitempty"`
	ResourcePools []ResourcePool        `json:"resourcePools,omitempty"`
	Pods          *Pods                 `json:"pods,omitempty"`
	Network       *Network              `json:"network,omitempty"`
	Storage       *Storage              `json:"storage,omitempty"`
	ControlPlane  *ControlPlane         `json:"controlPlane,omitempty"`
	Scheduling    *Scheduling           `json:"scheduling,omitempty"`
	Autoscaler    *Autoscaler           `json:"autoscaler,omitempty"` // absent: nobody is known to add and remove the machine
	Events        *Events               `json:"events,omitempty"`
	Lifecycle     *Lifecycle            `json:"lifecycle,omitempty"`
	Sources       source.List           `json:"sources"`
}

// Complete is the node with its pods, where these are left for later; output.Deferred.
func (n Node) Complete() any {
	if n.Pods != nil && n.Pods.Later != nil {
		pods := *n.Pods
		pods.Items = pods.Later()
		n.Pods = &pods
	}
	return n
}
