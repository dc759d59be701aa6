// Package report holds what nodeshell prints as JSON or YAML: the plan of a session, and the outcome of commands and
// captures. The types are public and only ever added to.
package report

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// APIVersion of every report.
const APIVersion = "kubectl-runbooks.github.io/v1alpha1"

// Verdict of a plan.
type Verdict string

// The verdicts of a plan.
const (
	Ready   Verdict = "Ready"   // the pod can be made
	Refused Verdict = "Refused" // it would not start, or not be what was asked for
)

// Plan is what nodeshell will do on one node, or why it will not.
type Plan struct {
	metav1.TypeMeta `json:",inline"`
	Verdict         Verdict           `json:"verdict"`
	Summary         string            `json:"summary"`
	Node            string            `json:"node"`
	Namespace       string            `json:"namespace,omitempty"`
	Pod             *corev1.Pod       `json:"pod,omitempty"`
	Container       string            `json:"container,omitempty"`
	Shell           string            `json:"shell,omitempty"`   // sh in the container
	Command         []string          `json:"command,omitempty"` // exec'd in the container
	InContainer     bool              `json:"inContainer,omitempty"`
	Findings        []finding.Finding `json:"findings,omitempty"`
	// Consequences are findings that another one explains.
	Consequences []finding.Consequence `json:"consequences,omitempty"`
	Sources      source.List           `json:"sources,omitempty"`
}

// Outcomes is the result of a command on one or more nodes.
type Outcomes struct {
	metav1.TypeMeta `json:",inline"`
	Summary         string    `json:"summary"`
	Items           []Outcome `json:"items"`
}

// Outcome is the result of a command on one node. Output that is not UTF-8 stands in the field that names its encoding,
// as a whole, and the other one is empty. Without an exit code the command's end is unknown or it never began;
// Error says which.
type Outcome struct {
	Node     string     `json:"node"`
	ExitCode *int       `json:"exitCode"`
	Error    string     `json:"error,omitempty"`
	Started  *time.Time `json:"started,omitempty"`
	Ended    *time.Time `json:"ended,omitempty"`
	Stdout   string     `json:"stdout"`
	Stderr   string     `json:"stderr"`

	StdoutBase64 []byte `json:"stdoutBase64,omitempty"`
	StderrBase64 []byte `json:"stderrBase64,omitempty"`

	Files    []string          `json:"files,omitempty"` // with --output-dir
	Findings []finding.Finding `json:"findings,omitempty"`
}

// Captures is the result of a packet capture.
type Captures struct {
	metav1.TypeMeta `json:",inline"`
	Summary         string            `json:"summary"`
	Items           []Capture         `json:"items"`
	Findings        []finding.Finding `json:"findings,omitempty"`
}

// Capture is what was captured of one target.
type Capture struct {
	Node      string            `json:"node"`
	Namespace string            `json:"namespace,omitempty"`
	Pod       string            `json:"pod,omitempty"`
	Mode      string            `json:"mode"` // node or ephemeral
	Tool      string            `json:"tool,omitempty"`
	Interface string            `json:"interface,omitempty"`
	File      string            `json:"file,omitempty"`
	Packets   int64             `json:"packets"` // written here
	Bytes     int64             `json:"bytes"`
	Captured  *int64            `json:"captured"` // as tcpdump counted; null where it did not say
	Received  *int64            `json:"received"`
	Dropped   *int64            `json:"dropped"`
	Complete  bool              `json:"complete"` // the stream ended in order
	Error     string            `json:"error,omitempty"`
	Findings  []finding.Finding `json:"findings,omitempty"`
}
