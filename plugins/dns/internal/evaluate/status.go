package evaluate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Status says what the cluster DNS is, with the findings of what was collected.
func Status(in Input, now time.Time, o Options, kind string) report.Status {
	w := newWorld(in, now, o)
	s := report.Status{Header: w.header(kind), Provider: w.provider(), Zone: strings.TrimSuffix(w.zone, "."), Replicas: []report.Replica{}, Routes: w.routes()}
	if w.service != nil {
		s.Service = w.serviceReport(w.service)
	}
	for _, other := range w.others {
		s.Others = append(s.Others, *w.serviceReport(other))
	}
	for i := range w.Pods {
		s.Replicas = append(s.Replicas, w.replica(&w.Pods[i]))
	}
	s.NodeCache = w.nodeCache()
	if w.From != nil {
		s.From = w.fromReport()
	}
	s.Checked = w.checked(w.conclude(&s.Header, w.allRules()))
	if s.Verdict == report.Healthy {
		s.Summary = w.healthySummary(s)
	}
	return s
}

func (w *world) header(kind string) report.Header {
	return report.Header{APIVersion: report.APIVersion, Kind: kind, Sources: w.Sources, Time: w.now}
}

func (w *world) provider() string {
	for i := range w.Pods {
		if p := providerOf(w.Pods[i].Spec); p != "" {
			return p
		}
	}
	switch {
	case len(w.Pods) > 0:
		return "unknown"
	case w.service != nil && w.workload != nil:
		return cmp.Or(providerOf(w.workload.Template.Spec), "CoreDNS")
	case w.service != nil:
		return "managed"
	}
	return ""
}

func (w *world) serviceReport(svc *corev1.Service) *report.Service {
	r := &report.Service{Namespace: svc.Namespace, Name: svc.Name, ClusterIPs: clusterIPsOf(svc), Ports: []string{}, Ready: w.readyEndpoints(svc)}
	for _, p := range svc.Spec.Ports {
		r.Ports = append(r.Ports, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return r
}

// readyEndpoints counts the addresses that the Service sends queries to.
func (w *world) readyEndpoints(svc *corev1.Service) int {
	seen := map[string]bool{}
	for i := range w.Slices {
		slice := &w.Slices[i]
		if slice.Namespace != svc.Namespace || slice.Labels[discoveryv1.LabelServiceName] != svc.Name {
			continue
		}
		for _, e := range slice.Endpoints {
			if records.Ready(e) {
				for _, a := range e.Addresses {
					seen[a] = true
				}
			}
		}
	}
	return len(seen)
}

func (w *world) probeOf(pod string) *Probe {
	for i := range w.Probes {
		if w.Probes[i].Pod == pod {
			return &w.Probes[i]
		}
	}
	return nil
}

func (w *world) replica(pod *corev1.Pod) report.Replica {
	r := report.Replica{Namespace: pod.Namespace, Name: pod.Name, Node: pod.Spec.NodeName, Zone: w.nodeZone[pod.Spec.NodeName], IP: pod.Status.PodIP, Ready: podfact.Serves(pod), State: podfact.Status(pod)}
	for _, s := range pod.Status.ContainerStatuses {
		r.Restarts += s.RestartCount
		if t := s.LastTerminationState.Terminated; t != nil {
			r.LastExit = fmt.Sprintf("%s (exit %d)", cmp.Or(t.Reason, "ended"), t.ExitCode)
		}
	}
	if len(pod.Spec.Containers) > 0 {
		r.Image = pod.Spec.Containers[0].Image
	}
	p := w.probeOf(pod.Name)
	switch {
	case p == nil && pod.DeletionTimestamp != nil:
		r.Unreachable = "not asked: it is being deleted"
		return r
	case p == nil:
		r.Unreachable = "not asked: the container is not running"
		return r
	case p.Error != "":
		r.Unreachable = p.Error
		return r
	}
	r.Reached = slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" })
	if !r.Reached && len(p.Answers) > 0 {
		r.Unreachable = p.Answers[0].Error
	}
	r.Answers = p.Answers
	w.replicaMetrics(&r, p)
	if serial, ok := soaSerial(p, w.zone); ok {
		r.SOASerial = &serial
		if lag, known := w.lag(serial); known {
			seconds := lag.Seconds()
			r.LagSeconds = &seconds
		}
	}
	return r
}

func (w *world) replicaMetrics(r *report.Replica, p *Probe) {
	m := p.Metrics
	r.Version = m.Label("coredns_build_info", "version")
	r.Config = m.Label("coredns_reload_version_info", "value")
	if h := w.configHashFromLog(r.Name); h != "" && r.Config == "" {
		r.Config = h
	}
	r.Queries = m.Sum("coredns_dns_requests_total")
	r.P99 = times(m.Quantile(0.99, "coredns_dns_request_duration_seconds"), 1000)
	if r.Queries != nil {
		started := m.Sum("process_start_time_seconds")
		switch {
		case p.Seconds > 0:
			r.QPS = ratio(m.Since(p.Earlier).Sum("coredns_dns_requests_total"), p.Seconds)
		case started != nil:
			if up := float64(w.now.Unix()) - *started; up > 0 {
				r.QPS = ratio(r.Queries, up)
			}
		}
	}
	r.Servfail = share(m.Sum("coredns_dns_responses_total", "rcode", "SERVFAIL"), m.Sum("coredns_dns_responses_total"))
}

func times(v *float64, factor float64) *float64 {
	if v == nil {
		return nil
	}
	product := *v * factor
	return &product
}

func ratio(v *float64, by float64) *float64 {
	if v == nil || by <= 0 {
		return nil
	}
	quotient := *v / by
	return &quotient
}

func share(part, whole *float64) *float64 {
	if part == nil || whole == nil || *whole <= 0 {
		return nil
	}
	percent := *part / *whole * 100
	return &percent
}

// soaSerial reads the serial of the zone: CoreDNS fills it with the second of the last change that it saw, or of its
// start (https://github.com/coredns/coredns/blob/master/plugin/kubernetes/controller.go, updateModified).
func soaSerial(p *Probe, zone string) (uint32, bool) {
	for _, a := range p.Answers {
		if a.Type != "SOA" || !strings.EqualFold(a.Name, zone) {
			continue
		}
		for _, r := range a.Records {
			if words := strings.Fields(r.Data); r.Type == "SOA" && len(words) == 3 {
				n, err := strconv.ParseUint(words[2], 10, 32)
				return uint32(n), err == nil && n > 1_000_000_000
			}
		}
	}
	return 0, false
}

// lag is how long a replica with this serial has missed something that the API holds. Only creations count: they bump
// the serial for certain, whereas an update may change nothing that DNS shows.
func (w *world) lag(serial uint32) (time.Duration, bool) {
	if !w.Sources.Get("services").Readable() || !w.Sources.Get("endpointslices").Readable() {
		return 0, false
	}
	seen := time.Unix(int64(serial), 0)
	var oldest time.Time
	missed := func(at time.Time) {
		if at.After(seen.Add(clockTolerance)) && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	for i := range w.Services {
		if w.engine.Service(w.Services[i].Namespace, w.Services[i].Name) != nil {
			missed(w.Services[i].CreationTimestamp.Time)
		}
	}
	if oldest.IsZero() {
		return 0, true
	}
	return w.now.Sub(oldest), true
}

// The serial comes from the node's clock and the creation from the API server's; and a replica may take a while to see
// a change.
const (
	clockTolerance = 5 * time.Second
	lagTolerance   = 60 * time.Second
)

func (w *world) routes() []report.Route {
	routes := []report.Route{}
	for _, b := range w.conf.Blocks {
		port := ""
		if len(b.Zones) > 0 {
			port = b.Zones[0].Port
		}
		for _, d := range b.Effective() {
			r := report.Route{Port: port, Via: d.Name, Line: d.Line}
			switch d.Name {
			case "kubernetes":
				r.Zones = d.Args
			case "forward":
				if len(d.Args) == 0 {
					continue
				}
				r.Zones, r.To = []string{d.Args[0]}, d.Args[1:]
				if d.Args[0] == "." {
					r.Zones = b.ZoneNames()
				}
			case "hosts", "template", "file", "auto", "etcd", "k8s_external", "route53", "clouddns", "azure", "rewrite", "grpc":
				r.Zones = slices.DeleteFunc(slices.Clone(d.Args), func(a string) bool {
					return strings.HasPrefix(a, "/") || a == "IN" || a == "ANY" || records.CommonType(a)
				})
			default:
				continue
			}
			if len(r.Zones) == 0 {
				r.Zones = b.ZoneNames()
			}
			routes = append(routes, r)
		}
	}
	return routes
}

// nodeCache finds NodeLocal DNSCache: a DaemonSet whose container has -localip.
func (w *world) nodeCache() *report.NodeCache {
	for i := range w.DaemonSets {
		d := &w.DaemonSets[i]
		ips := localIPs(d.Spec.Template.Spec)
		if len(ips) == 0 {
			continue
		}
		return &report.NodeCache{Name: d.Namespace + "/" + d.Name, IPs: ips, Nodes: int(d.Status.DesiredNumberScheduled), Ready: int(d.Status.NumberReady)}
	}
	return nil
}

func localIPs(spec corev1.PodSpec) []string {
	for _, c := range spec.Containers {
		args := append(slices.Clone(c.Command), c.Args...)
		for i, a := range args {
			if strings.TrimLeft(a, "-") == "localip" && i+1 < len(args) {
				return strings.Split(args[i+1], ",")
			}
			if value, ok := strings.CutPrefix(strings.TrimLeft(a, "-"), "localip="); ok {
				return strings.Split(value, ",")
			}
		}
	}
	return nil
}

func (w *world) fromReport() *report.From {
	f := &report.From{Namespace: w.From.Pod.Namespace, Name: w.From.Pod.Name, Node: w.From.Pod.Spec.NodeName, Method: w.From.Method, Answers: w.From.Answers}
	if f.Answers == nil {
		f.Answers = []report.Answer{}
	}
	return f
}

func (w *world) healthySummary(s report.Status) string {
	live, nodes, ready, answering := w.live(), map[string]bool{}, 0, 0
	if len(live) == 0 {
		return "nothing wrong was found; there are no DNS pods to ask"
	}
	for _, pod := range live {
		if podfact.Serves(pod) {
			ready++
			nodes[pod.Spec.NodeName] = true
		}
		if p := w.probeOf(pod.Name); p != nil && w.reached(*p) {
			answering++
		}
	}
	each := "each answers"
	if answering < len(live) {
		each = fmt.Sprintf("%d of them answer", answering)
	}
	return fmt.Sprintf("%d of %d replicas are ready on %d %s, and %s for %s", ready, len(live), len(nodes), plural(len(nodes), "node"), each, s.Zone)
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// Zone gives the cluster's zone as far as the Input says.
func Zone(in Input) string { return newWorld(in, time.Time{}, Options{}).zone }

// Corefile gives the parsed Corefile of the Input.
func Corefile(in Input) (corefile.File, bool) {
	w := newWorld(in, time.Time{}, Options{})
	return w.conf, w.confRead
}

// ControlQuestions are what every replica is asked to see that it works: which DNS it is, when it last saw a change, a
// name that must exist, one that must not, and the records of the objects that changed last.
func ControlQuestions(in Input, now time.Time, newest int) []records.Question {
	w := newWorld(in, now, Options{})
	list := []records.Question{{Name: "dns-version." + w.zone, Type: "TXT"}, {Name: w.zone, Type: "SOA"}}
	if w.provider() == "kube-dns" { // which has no such name
		list = list[1:]
	}
	if name := w.control(); name != "" {
		list = append(list, records.Question{Name: name, Type: "A"}, records.Question{Name: name, Type: "AAAA"})
	}
	list = append(list, records.Question{Name: absent + w.zone, Type: "A"})
	for _, svc := range w.newest(newest) {
		for _, q := range w.engine.Questions(svc, 3) {
			if !slices.Contains(list, q) {
				list = append(list, q)
			}
		}
	}
	return list
}

// absent is a name that nobody has: wildcards answer it.
const absent = "no-such-service-of-kubectl-dns.default.svc."

// control is the name of the Service that every cluster has.
func (w *world) control() string {
	if svc := w.engine.Service("default", "kubernetes"); svc != nil || !w.Sources.Get("services").Readable() {
		return "kubernetes.default.svc." + w.zone
	}
	return ""
}

// newest gives the Services whose records changed last, of those that had the time to settle: a change of this moment
// proves nothing yet.
func (w *world) newest(n int) []*corev1.Service {
	changed := w.changes()
	at := func(s *corev1.Service) time.Time { return changed[s.Namespace+"/"+s.Name] }
	var list []*corev1.Service
	for i := range w.Services {
		if w.now.Sub(at(&w.Services[i])) >= w.settleTime() {
			list = append(list, &w.Services[i])
		}
	}
	slices.SortStableFunc(list, func(a, b *corev1.Service) int { return at(b).Compare(at(a)) })
	return list[:min(n, len(list))]
}

// changes gives, for every Service, when it or one of its slices last changed. Endpoints that DNS does not show (behind
// a virtual address) do not count: they change with every restart of a pod.
func (w *world) changes() map[string]time.Time {
	out := map[string]time.Time{}
	later := func(key string, o metav1.Object) {
		for _, f := range o.GetManagedFields() {
			if f.Time != nil && f.Time.After(out[key]) {
				out[key] = f.Time.Time
			}
		}
		if made := o.GetCreationTimestamp(); made.After(out[key]) {
			out[key] = made.Time
		}
	}
	hidden := map[string]bool{}
	for i := range w.Services {
		s := &w.Services[i]
		later(s.Namespace+"/"+s.Name, s)
		hidden[s.Namespace+"/"+s.Name] = !records.Headless(s) && !w.records.IgnoreEmpty
	}
	for i := range w.Slices {
		s := &w.Slices[i]
		if key := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]; !hidden[key] {
			later(key, s)
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
