// Package evaluate decides on a session before anything is created: whether the node can take it, which pod and which
// command it is, in which namespace, and afterwards why it did not start. It is pure: Input, the server's time and
// Options in, a Plan out.
package evaluate

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// Input is what was read of the cluster for one node.
type Input struct {
	Node    *corev1.Node          `json:"node"`
	Lease   *coordinationv1.Lease `json:"lease,omitempty"`
	User    string                `json:"user,omitempty"`
	Donor   string                `json:"donor,omitempty"` // for --no-pull: the image of a running pod without pull secrets
	Sources source.List           `json:"sources,omitempty"`
}

// Options are the user's wishes, already checked.
type Options struct {
	Name        string // of the pod and its Job
	RunID       string
	Manager     string // label app.kubernetes.io/managed-by
	Namespace   string
	Image       string // empty: auto
	Capture     bool   // auto prefers an image with tcpdump
	NoPull      bool
	PullSecrets []string
	InContainer bool // -x
	Critical    bool
	Force       bool
	MaxDuration time.Duration
	Reason      string
	Labels      map[string]string
	Annotations map[string]string
	MountPVC    string
	MountPath   string

	Command []string // empty: a shell
	Script  []string // interpreter and arguments of a script that comes by stdin
	Eval    string
	TTY     bool
	HostTTY bool
	Term    string
	Lang    string

	Kubectl       finding.Kubectl // for next commands
	Call          []string        // the words of this call that a next command repeats ("w1", or "capture", "web"); empty: the node
	CallRest      []string        // what stands behind the flags: "--", "uptime"
	CallNamespace string          // -n, where it was given
	Free          bool            // -n names pods, and the helper may live elsewhere
	Program       string          // "nodeshell"
}
