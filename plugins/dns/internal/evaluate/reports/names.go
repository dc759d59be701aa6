package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/names"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Names lists every name that leads to an object, with what it must answer.
func Names(in facts.Input, now time.Time, o facts.Options, s facts.Scope, fromNamespace string) report.Names {
	o.Standalone = true
	w := facts.New(in, now, o)
	out := report.Names{Header: header(w, "DNSNames"), Object: s.Kind + "/" + s.Namespace + "/" + s.Name, Records: []report.NameRecord{}}
	for _, svc := range w.ServicesOf(s) {
		for _, q := range w.Engine.Questions(svc, 0) {
			if s.Kind == "Pod" && !aboutPod(w, q, svc, s.Name) {
				continue
			}
			x := w.Engine.Lookup(q.Name, q.Type)
			r := report.NameRecord{Name: q.Name, Type: q.Type, Expected: cmp.Or(x.Outcome, "NOERROR"), Data: x.Data, Why: x.Open}
			if q.Type != "PTR" {
				r.Shortest = shortest(w, q.Name, cmp.Or(fromNamespace, s.Namespace))
			}
			out.Records = append(out.Records, r)
		}
	}
	if s.Kind == "Pod" {
		out.Records = append(out.Records, podNames(w, s)...)
	}
	namesVerdict(w, &out, s)
	return out
}

// aboutPod keeps of a Service's questions those that lead to one pod.
func aboutPod(w *facts.Snapshot, q records.Question, svc *corev1.Service, pod string) bool {
	var ips []string
	for i := range w.Targets {
		if w.Targets[i].Name == pod && w.Targets[i].Namespace == svc.Namespace {
			for _, ip := range w.Targets[i].Status.PodIPs {
				ips = append(ips, ip.IP)
			}
		}
	}
	switch q.Type {
	case "PTR":
		return slices.ContainsFunc(ips, func(ip string) bool { return records.ReverseName(ip) == q.Name })
	case "A", "AAAA":
		data := w.Engine.Lookup(q.Name, q.Type).Data
		return slices.ContainsFunc(data, func(d string) bool { return slices.Contains(ips, d) }) || q.Name == w.Engine.ServiceName(svc)
	}
	return false
}

// podNames: the name made of the address, where the pods option allows it.
func podNames(w *facts.Snapshot, s facts.Scope) []report.NameRecord {
	var list []report.NameRecord
	for i := range w.Targets {
		pod := &w.Targets[i]
		if pod.Name != s.Name || pod.Namespace != s.Namespace {
			continue
		}
		for _, ip := range pod.Status.PodIPs {
			typ := "A"
			if strings.Contains(ip.IP, ":") {
				typ = "AAAA"
			}
			name := strings.NewReplacer(".", "-", ":", "-").Replace(ip.IP) + "." + pod.Namespace + ".pod." + w.Zone
			x := w.Engine.Lookup(name, typ)
			list = append(list, report.NameRecord{
				Name: name, Type: typ, Expected: x.Outcome, Data: x.Data,
				Shortest: strings.TrimSuffix(name, "."+w.Zone), Why: "pods " + w.Records.Pods,
			})
		}
	}
	return list
}

// shortest is what a pod of a namespace with the usual search list may type.
func shortest(w *facts.Snapshot, name, namespace string) string {
	for _, suffix := range []string{"." + namespace + ".svc." + w.Zone, ".svc." + w.Zone, "." + w.Zone} {
		if base, ok := strings.CutSuffix(name, suffix); ok && base != "" {
			return base
		}
	}
	return strings.TrimSuffix(name, ".")
}

func namesVerdict(w *facts.Snapshot, out *report.Names, s facts.Scope) {
	var all []finding.Finding
	switch s.Kind {
	case "Service":
		for _, svc := range w.ServicesOf(s) {
			all = append(all, names.ServiceRules(w, svc)...)
		}
	case "StatefulSet":
		for i := range w.StatefulSet {
			if w.StatefulSet[i].Name == s.Name {
				all = append(all, names.StatefulSetRules(w, &w.StatefulSet[i])...)
			}
		}
		for _, svc := range w.ServicesOf(s) {
			all = append(all, names.ServiceRules(w, svc)...)
		}
	case "Pod":
		for i := range w.Targets {
			if pod := &w.Targets[i]; pod.Name == s.Name && pod.Namespace == s.Namespace && pod.Spec.Subdomain != "" {
				all = append(all, names.SubdomainRules(w, pod)...)
			}
		}
	}
	finalizeFindings(w, &out.Header, all)
	if len(out.Findings) == 0 {
		out.Summary = fmt.Sprintf("%d DNS %s in namespace %s", len(out.Records),
			map[bool]string{true: "record", false: "records"}[len(out.Records) == 1], s.Namespace)
		if len(out.Records) == 0 {
			out.Summary = "no DNS record in namespace " + s.Namespace
		}
	}
}
