// Package facts says what is true of each node, from what was read: typed, built in one pass, and not changed afterwards. It
// knows no codes, severities or sentences.
package facts

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/kubelet"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/thresholds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Node is what is true of one node. What was not read is nil: Read says which source lacks.
type Node struct {
	Now     time.Time // the API server's clock
	Limits  thresholds.Values
	Object  *corev1.Node
	Sources source.List // the node's own and those of all nodes

	Status        string // as kubectl get nodes prints it
	Roles         []string
	Readiness     nodefact.Readiness
	Conditions    []Condition     // Ready first
	Cause         Cause           // of a Ready that is False
	Scarce        []Scarcity      // what the disk is short of, while it has pressure
	Kubelet       *kubelet.Answer // nil: not asked
	KubeletsAsked bool            // any was
	Scheduling    Scheduling
	Components    Components
	Resources     []report.Resource
	Devices       []device.Resource
	Pools         []device.Pool       // of which pods have devices by claims, and the others that were read; nil: not read
	Needs         []device.Need       // the claims of pods, in the namespaces that were read
	Scaler        *autoscaler.Scaler  // who adds and removes the machine; nil: nobody that is known
	Scaling       *autoscaler.Cluster // what was read of the cluster's autoscalers
	Pods          []*Pod              // by namespace and name
	Missing       []MissingDaemon
	Network       Network
	Storage       Storage
	ControlPlane  ControlPlane
	Events        Events
	ProxyHealth   *ProxyHealth          // nil: not asked, or it did not answer
	Unsampled     bool                  // metrics-server has no current figures of the node, though it could be read
	Certificates  []kubelet.Certificate // of the kubelet, as far as they are known

	// Requests of the kubelet that were not answered with a certificate; nil: not read, or there is none.
	ServingRequest, ClientRequest *certificate.Request
}

// Read says whether a source could be read.
func (n *Node) Read(name string) bool { return n.Sources.Get(name).Readable() }

// Age is how long ago something was.
func (n *Node) Age(t time.Time) time.Duration { return n.Now.Sub(t) }

// Node gathers what is true of one node of the input.
func (c *Cluster) Node(object *corev1.Node) *Node {
	n := &Node{
		Now: c.now, Limits: c.limits, Object: object, Status: status(object), Roles: roles(object),
		Sources: append(slices.Clone(c.in.NodeSources[object.Name]), c.in.Sources...),
	}
	n.Unsampled = c.unsampled(n) // before what lacks a sample is called unread
	c.health(n)
	n.Scheduling = scheduling(object)
	n.Pods = c.podsOf(n)
	n.Components = c.components(n)
	n.Resources = c.resources(n)
	n.Devices = device.Of(object.Status.Capacity, schedule.Allocatable(object), n.charged())
	c.claims(n)
	c.scaler(n)
	n.Missing = c.missingDaemons(n)
	n.Network = network(n)
	n.Storage = c.storage(n)
	n.ControlPlane = c.controlPlane(n)
	n.Events = c.eventsOf(n)
	n.Scarce = c.scarcity(n)
	n.ServingRequest = certificate.Newest(c.requests[object.Name], object.Name, certificate.Serving, c.now)
	n.ClientRequest = certificate.Newest(c.requests[object.Name], object.Name, certificate.Client, c.now)
	n.Certificates = n.Kubelet.Certificates(c.now, c.limits.Certificates())
	if h, asked := c.in.ProxyHealth[object.Name]; asked {
		n.ProxyHealth = &h
	}
	n.Sources.Sort()
	return n
}

// status is the STATUS column of kubectl get nodes
// (https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go, printNode).
func status(n *corev1.Node) string {
	text := "Unknown"
	if nodefact.ReadyCondition(n) != nil {
		text = "NotReady"
		if nodefact.PostedReady(n) {
			text = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		text += ",SchedulingDisabled"
	}
	return text
}

// roles are those of kubectl get nodes: node-role.kubernetes.io/ROLE labels, and kubernetes.io/role=ROLE.
func roles(n *corev1.Node) []string {
	var found []string
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/"); ok && role != "" {
			found = append(found, role)
		} else if key == "kubernetes.io/role" && value != "" {
			found = append(found, value)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func hostname(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeHostName {
			return a.Address
		}
	}
	return n.Name
}

// Time gives a moment in UTC; nil for none.
func Time(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
