package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Status describes the cluster DNS, with the findings about what was collected.
func Status(in facts.Input, now time.Time, o facts.Options, kind string) report.Status {
	w := facts.New(in, now, o)
	s := report.Status{
		Header: header(w, kind), Provider: w.Provider(), Zone: strings.TrimSuffix(w.Zone, "."), Replicas: []report.Replica{},
		Routes: w.Routes(),
	}
	if w.Service != nil {
		s.Service = w.ServiceReport(w.Service)
	}
	for _, other := range w.Others {
		s.Others = append(s.Others, *w.ServiceReport(other))
	}
	for i := range w.Pods {
		s.Replicas = append(s.Replicas, replica(w, &w.Pods[i]))
	}
	s.NodeCache = w.NodeCache()
	if w.From != nil {
		s.From = fromReport(w)
	}
	all := rules.Book.Check(w)
	all = append(all, unexplained(w, all)...)
	finalizeFindings(w, &s.Header, all)
	s.PassedChecks = checked(w, all)
	if s.Verdict == report.Healthy {
		s.Summary = healthySummary(w, s)
	}
	return s
}

func replica(w *facts.Snapshot, pod *corev1.Pod) report.Replica {
	r := report.Replica{
		Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName, Zone: w.NodeZone[pod.Spec.NodeName],
		IP: pod.Status.PodIP, Ready: podfact.Serves(pod), State: podfact.Status(pod),
	}
	for _, s := range pod.Status.ContainerStatuses {
		r.Restarts += s.RestartCount
		if t := s.LastTerminationState.Terminated; t != nil {
			r.LastExit = fmt.Sprintf("%s (exit %d)", cmp.Or(t.Reason, "Terminated"), t.ExitCode)
		}
	}
	if len(pod.Spec.Containers) > 0 {
		r.Image = pod.Spec.Containers[0].Image
	}
	p := w.ProbeOf(pod.Name)
	switch {
	case p == nil && pod.DeletionTimestamp != nil:
		r.NotQueriedReason = "the pod is being deleted"
		return r
	case p == nil:
		r.NotQueriedReason = "the container is not running"
		return r
	case p.Error != "":
		r.NotQueriedReason = p.Error
		return r
	}
	r.Queried = slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" })
	if !r.Queried && len(p.Answers) > 0 {
		r.NotQueriedReason = p.Answers[0].Error
	}
	r.Answers = p.Answers
	replicaMetrics(w, &r, p)
	if serial, ok := ask.SoaSerial(p, w.Zone); ok {
		r.SOASerial = &serial
		if lag, known := ask.Lag(w, serial); known {
			seconds := lag.Seconds()
			r.LagSeconds = &seconds
		}
	}
	return r
}

func replicaMetrics(w *facts.Snapshot, r *report.Replica, p *facts.Probe) {
	m := p.Metrics
	r.Version = m.Label("coredns_build_info", "version")
	r.Config = m.Label("coredns_reload_version_info", "value")
	if h := w.ConfigHashFromLog(r.Name); h != "" && r.Config == "" {
		r.Config = h
	}
	r.Queries = m.Sum("coredns_dns_requests_total")
	r.P99 = facts.Times(m.Quantile(0.99, "coredns_dns_request_duration_seconds"), 1000)
	if r.Queries != nil {
		started := m.Sum("process_start_time_seconds")
		switch {
		case p.Seconds > 0:
			r.QPS = facts.Ratio(m.Since(p.Earlier).Sum("coredns_dns_requests_total"), p.Seconds)
		case started != nil:
			if up := float64(w.Now.Unix()) - *started; up > 0 {
				r.QPS = facts.Ratio(r.Queries, up)
			}
		}
	}
	r.Servfail = facts.Share(m.Sum("coredns_dns_responses_total", "rcode", "SERVFAIL"), m.Sum("coredns_dns_responses_total"))
}

func healthySummary(w *facts.Snapshot, s report.Status) string {
	live, nodes, ready, answering := w.Live(), map[string]bool{}, 0, 0
	if len(live) == 0 {
		return "no problem found; there are no DNS pods to query"
	}
	for _, pod := range live {
		if podfact.Serves(pod) {
			ready++
			nodes[pod.Spec.NodeName] = true
		}
		if p := w.ProbeOf(pod.Name); p != nil && w.Reached(*p) {
			answering++
		}
	}
	each := "each answers"
	if answering < len(live) {
		each = fmt.Sprintf("%d of them answer", answering)
	}
	return fmt.Sprintf("%d of %d replicas are ready on %d %s, and %s for %s", ready, len(live), len(nodes),
		facts.Plural(len(nodes), "node"), each, s.Zone)
}
