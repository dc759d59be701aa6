// Package sections gives the facts about a node the shape that is printed: the sections of report.Node, without what is
// concluded from them.
package sections

import (
	"time"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Of is the report on a node but for findings, verdict, summary, and the pods with a problem.
func Of(n *facts.Node) report.Node {
	return report.Node{
		Name: n.Object.Name, Status: n.Status, Roles: n.Roles, Labels: n.Object.Labels,
		CreatedAt: facts.Time(n.Object.CreationTimestamp.Time),
		Health:    health(n), Components: components(n), Resources: n.Resources,
		Swap: swap(n), PSI: psi(n), Devices: devices(n), ResourcePools: pools(n), Pods: pods(n),
		Network: network(n), Storage: storage(n),
		ControlPlane: controlPlane(n), Scheduling: scheduling(n), Autoscaler: scaler(n), Events: events(n),
		Lifecycle: lifecycle(n), Sources: n.Sources,
	}
}

func health(n *facts.Node) *report.Health {
	h := &report.Health{Heartbeat: heartbeat(n)}
	for _, c := range n.Conditions {
		h.Conditions = append(h.Conditions, report.Condition{
			Type: string(c.Type), Status: string(c.Status), Problem: c.Problem, Reason: c.Reason, Message: c.Message,
			Since: facts.Time(c.LastTransitionTime.Time), Posted: facts.Time(c.LastHeartbeatTime.Time),
		})
	}
	switch k := n.Kubelet; {
	case k == nil:
	case k.Healthy:
		h.Kubelet = "answers"
	case k.MachineAnswers && !k.Refused:
		h.Kubelet = "does not answer, but kube-proxy on the same machine does: " + k.Message
	default:
		h.Kubelet = "does not answer: " + k.Message
	}
	for _, c := range n.Certificates {
		r := report.Certificate{Use: string(c.Use), NotAfter: c.Ends.UTC().Truncate(time.Second)}
		if s := c.Served; s != nil {
			r.Subject, r.Names, r.SelfSigned, r.Address = s.Subject, s.Names, &s.SelfSigned, s.Address
		}
		h.Certificates = append(h.Certificates, r)
	}
	return h
}

// heartbeat reports the lease; nil where leases could not be read.
func heartbeat(n *facts.Node) *report.Heartbeat {
	if !n.Read(facts.SourceLeases) {
		return nil
	}
	beat := n.Readiness.Heartbeat
	h := &report.Heartbeat{State: report.HeartbeatState(beat.Beat)}
	if c := n.Readiness.Condition; c != nil {
		h.StatusPostedAt = facts.Time(c.LastHeartbeatTime.Time)
	}
	if beat.Beat == nodefact.NoBeat {
		return h
	}
	h.RenewTime, h.ReceivedAt = facts.Time(beat.Renewed), facts.Time(beat.Received)
	if beat.Skew != nil {
		h.ClockSkew = ptr(float64(beat.Skew.Milliseconds()/100) / 10)
		h.ClockOff = n.ClockSkew() != 0
	}
	h.AgeSeconds, h.DurationSeconds = ptr(int64(beat.Age.Seconds())), ptr(int64(beat.Duration.Seconds()))
	return h
}

func events(n *facts.Node) *report.Events {
	if n.Events.Folded == nil {
		return nil
	}
	return &report.Events{Items: n.Events.Folded}
}

func ptr[T any](v T) *T { return &v }
