package joining

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/component"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Steps are the steps of the machine in their order. Without a Node there are two: the others follow it.
func (m *Machine) Steps() []report.JoinStep {
	if !m.Registered {
		return []report.JoinStep{m.clientCertificate(), m.node()}
	}
	return []report.JoinStep{
		m.clientCertificate(), m.node(), m.reports(), m.version(), m.servingCertificate(), m.cloud(), m.network(), m.podCIDR(),
		m.daemonSets(), m.csi(), m.taints(), m.labels(), m.ready(),
	}
}

func step(name report.JoinStepName, state report.JoinState, format string, values ...any) report.JoinStep {
	return report.JoinStep{Step: name, State: state, Evidence: fmt.Sprintf(format, values...)}
}

// judged is the step that a finding with one of these codes, which is more than information, is about.
func (m *Machine) judged(name report.JoinStepName, codes ...finding.Code) (report.JoinStep, bool) {
	f, ok := m.found(codes...)
	if !ok || f.Severity == finding.Info && f.Code != workload.Cordoned {
		return report.JoinStep{}, false
	}
	return report.JoinStep{Step: name, State: report.JoinMissing, Evidence: f.Message, Code: f.Code}, true
}

// unread is the step that a source which could not be read leaves unknown.
func (m *Machine) unread(name report.JoinStepName, sources ...string) (report.JoinStep, bool) {
	for _, s := range sources {
		if !m.Read(s) {
			return step(name, report.JoinUnknown, "%s", m.Sources.Get(s).Gap()), true
		}
	}
	return report.JoinStep{}, false
}

// silent says whether what the Node says is out of date, because nothing is heard of the kubelet.
func (m *Machine) silent() bool {
	_, ok := m.found(machine.NotReportingCodes...)
	return ok
}

// young says whether the node joined so lately that it may still be at it.
func (m *Machine) young() bool { return m.age() < m.Limits.NodeJoin }

func (m *Machine) age() time.Duration { return m.Age(m.Object.CreationTimestamp.Time) }

func (m *Machine) clientCertificate() report.JoinStep {
	const name = report.JoinClientCertificate
	if m.Registered {
		return m.clientOfNode()
	}
	if s, ok := m.judged(name, machine.KubeletCertificateNotIssued, JoinRequestMissing); ok {
		return s
	}
	if m.client == nil {
		if s, ok := m.unread(name, facts.SourceRequests); ok {
			return s
		}
		return step(name, report.JoinUnknown, "no request is kept; answered ones are deleted after an hour")
	}
	if m.client.State == certificate.Issued {
		return step(name, report.JoinDone, "issued: CertificateSigningRequest %s, created %s ago", m.client.Name, m.Ago(m.client.Made))
	}
	text, _, _ := machine.Requested(m.Case, m.client)
	return step(name, report.JoinWaiting, "%s", text)
}

// clientOfNode is the same of a node that is registered: who reports has a certificate, whatever becomes of the request for the
// next one.
func (m *Machine) clientOfNode() report.JoinStep {
	const name = report.JoinClientCertificate
	if m.reports().State == report.JoinDone {
		return step(name, report.JoinDone, "the kubelet reports with it")
	}
	if !m.silent() {
		return step(name, report.JoinDone, "the kubelet registered with it")
	}
	if r := m.ClientRequest; r != nil && certificate.Unanswered(r, m.Now, m.Limits.CertificateRequestWait) {
		text, _, _ := machine.Requested(m.Case, r)
		s := step(name, report.JoinMissing, "%s", text)
		s.Code = machine.KubeletCertificateNotIssued
		return s
	}
	return step(name, report.JoinDone, "the kubelet registered with it; unknown whether it is still valid: the kubelet does not report")
}

func (m *Machine) node() report.JoinStep {
	const name = report.JoinNode
	switch s, ok := m.judged(name, nodeDeleted, NodeNotRegistered); {
	case m.Registered && m.Object.DeletionTimestamp != nil:
		return step(name, report.JoinMissing, "the Node is being deleted since %s", m.Ago(m.Object.DeletionTimestamp.Time))
	case m.Registered:
		return step(name, report.JoinDone, "registered %s ago", m.Ago(m.Object.CreationTimestamp.Time))
	case ok:
		return s
	case m.client != nil && m.client.State == certificate.Issued:
		return step(name, report.JoinWaiting, "the kubelet registers the Node after it has received its certificate")
	}
	if m.client == nil && !m.Read(facts.SourceRequests) {
		return step(name, report.JoinUnknown, "there is none; unknown whether the machine requests to join")
	}
	return step(name, report.JoinWaiting, "follows the client certificate")
}

func (m *Machine) reports() report.JoinStep {
	const name = report.JoinReports
	if s, ok := m.judged(name, heartbeat...); ok {
		return s
	}
	h := m.Readiness.Heartbeat
	switch {
	case m.Readiness.Condition == nil:
		return step(name, report.JoinWaiting, "the kubelet has reported no status yet")
	case h.Beat != nodefact.NoBeat && !h.Received.IsZero():
		return step(name, report.JoinDone, "Lease renewed %s ago", output.Age(h.Age))
	}
	if s, ok := m.unread(name, facts.SourceLeases); ok {
		return s
	}
	return step(name, report.JoinWaiting, "the kubelet has not renewed its Lease yet")
}

func (m *Machine) version() report.JoinStep {
	const name = report.JoinVersion
	if s, ok := m.judged(name, workload.KubeletNewerThanAPIServer, workload.KubeletTooOld); ok {
		return s
	}
	if s, ok := m.unread(name, facts.SourceServerVersion); ok {
		return s
	}
	v := &m.Components
	if _, known := v.Behind(v.Kubelet); !known {
		return step(name, report.JoinUnknown, "kubelet %q, API server %q", v.Kubelet.Text, v.Server.Text)
	}
	return step(name, report.JoinDone, "kubelet %s, API server %s", v.Kubelet.Text, v.Server.Text)
}

// servingCertificate is none of the join's where the kubelet signs its own, which is the default.
// https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#kubelet-serving-certs
func (m *Machine) servingCertificate() report.JoinStep {
	const name = report.JoinServingCertificate
	if s, ok := m.judged(name, machine.KubeletServingCertificateMissing, machine.KubeletCertificateNotIssued); ok {
		if r := m.ServingRequest; r != nil || s.Code == machine.KubeletServingCertificateMissing {
			return s
		}
	}
	if s, ok := m.unread(name, facts.SourceRequests); ok {
		return s
	}
	switch r := m.ServingRequest; {
	case r != nil:
		text, _, _ := machine.Requested(m.Case, r)
		return step(name, report.JoinWaiting, "%s", text)
	case m.serving != nil && m.serving.State == certificate.Issued:
		return step(name, report.JoinDone, "issued: CertificateSigningRequest %s, created %s ago", m.serving.Name, m.Ago(m.serving.Made))
	case m.age() < Young:
		return step(name, report.JoinNotNeeded, "the kubelet has requested none: it signs its own (no serverTLSBootstrap)")
	}
	return step(name, report.JoinNotNeeded, "no request waits; answered ones are deleted after an hour")
}

func (m *Machine) cloud() report.JoinStep {
	const name = report.JoinCloud
	if s, ok := m.judged(name, workload.NodeNotInitialized, ProviderIDMissing); ok {
		if s.Code == workload.NodeNotInitialized {
			s.Evidence += "; " + m.controllers()
		}
		return s
	}
	id := m.Object.Spec.ProviderID
	switch {
	case m.tainted(facts.TaintUninitialized):
		return step(name, report.JoinWaiting, "taint %s is set until the cloud-controller-manager removes it; %s", facts.TaintUninitialized,
			m.controllers())
	case id != "":
		return step(name, report.JoinDone, "spec.providerID: %s", id)
	case m.providers().have == 0:
		return step(name, report.JoinNotNeeded, "no taint of a cloud provider, and no other node has a providerID")
	}
	return step(name, report.JoinNotNeeded, "no taint of a cloud provider; %d of %d other nodes have a providerID",
		m.providers().have, m.providers().of)
}

// controllers says which pods of a cloud-controller-manager were found.
func (m *Machine) controllers() string {
	var ready, names []string
	for _, list := range [][]corev1.Pod{m.book.in.CloudControllers, m.book.in.Pods} {
		for i := range list {
			p := &list[i]
			name := p.Namespace + "/" + p.Name
			if !component.CloudController(p) || slices.Contains(names, name) {
				continue
			}
			names = append(names, name)
			if podfact.Ready(p) {
				ready = append(ready, name)
			}
		}
	}
	if len(names) == 0 {
		all := m.book.in.Sources.Get(facts.SourcePods)
		if s := m.book.in.Sources.Get(facts.SourceCloudControllers); !s.Readable() && !all.Readable() {
			return "its pods are unknown: " + s.Reason()
		}
		return "no pod of one was found: it runs outside of the cluster, or is not installed"
	}
	return fmt.Sprintf("%d of %d pods of it are ready: %s", len(ready), len(names), named(names))
}

// named lists at most three names and counts the others.
func named(names []string) string {
	const most = 3
	if len(names) > most+1 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
