package facts

import (
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// Changes gives, for every Service, when it or one of its slices last changed. Endpoints that DNS does not show (behind
// a virtual address) do not count: they change with every restart of a pod.
func (w *Snapshot) Changes() map[string]time.Time {
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
		hidden[s.Namespace+"/"+s.Name] = !records.Headless(s) && !w.Records.IgnoreEmpty
	}
	for i := range w.Slices {
		s := &w.Slices[i]
		if key := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]; !hidden[key] {
			later(key, s)
		}
	}
	return out
}

// SettleTime is how long a change may take to show: the ttl of a cached answer (30 s in kubeadm's Corefile) and a few
// seconds for the watch.
func (w *Snapshot) SettleTime() time.Duration {
	return time.Duration(w.Records.TTL)*time.Second + 5*time.Second
}

// CacheLine is the line of the cache plugin that keeps answers for cluster names; 0: none does
// (https://coredns.io/plugins/cache/).
func (w *Snapshot) CacheLine() int {
	for _, b := range w.Conf.Blocks {
		if len(b.Find("kubernetes")) == 0 {
			continue
		}
		for _, d := range b.Find("cache") {
			zones := d.Args
			if len(zones) > 0 && strings.Trim(zones[0], "0123456789") == "" {
				zones = zones[1:]
			}
			covers := len(zones) == 0 || slices.ContainsFunc(zones, func(z string) bool { return corefile.InZone(w.Zone, corefile.Fqdn(z)) })
			disabled := slices.ContainsFunc(d.Find("disable"), func(o corefile.Directive) bool {
				return len(o.Args) > 0 && o.Args[0] == "success" && (len(o.Args) == 1 ||
					slices.ContainsFunc(o.Args[1:], func(z string) bool { return corefile.InZone(w.Zone, corefile.Fqdn(z)) }))
			})
			if covers && !disabled {
				return d.Line
			}
		}
	}
	return 0
}

// Settling says whether the object behind a name changed so lately that a wrong answer proves nothing.
func (w *Snapshot) Settling(name string, changed map[string]time.Time) bool {
	key, ok := w.serviceKey(name)
	if !ok {
		return w.addressSettling(name, changed)
	}
	at, ok := changed[key]
	return ok && w.Now.Sub(at) < w.SettleTime()
}

// serviceKey gives NAMESPACE/NAME of the Service that a name is of.
func (w *Snapshot) serviceKey(name string) (string, bool) {
	base, ok := strings.CutSuffix(corefile.Fqdn(name), ".svc."+w.Zone)
	labels := strings.Split(base, ".")
	if !ok || len(labels) < 2 {
		return "", false
	}
	return labels[len(labels)-1] + "/" + labels[len(labels)-2], true
}

// ChangedAt is when the Service behind a name changed last; zero for other names.
func (w *Snapshot) ChangedAt(name string) time.Time {
	key, _ := w.serviceKey(name)
	return w.Changes()[key]
}

// addressSettling: a reverse name belongs to any Service that changed lately.
func (w *Snapshot) addressSettling(name string, changed map[string]time.Time) bool {
	for _, data := range w.Engine.Lookup(name, "PTR").Data {
		if strings.HasSuffix(data, ".svc."+w.Zone) && w.Settling(data, changed) {
			return true
		}
	}
	return false
}

// Scope chooses what verify and names look at: a namespace ("" is all), and within it a kind and name.
type Scope struct {
	Namespace string
	Kind      string // Service, StatefulSet, Pod; empty: every Service
	Name      string
	Most      int // endpoints of one headless Service; 0: all
}

// ServicesOf gives the Services of a scope.
func (w *Snapshot) ServicesOf(s Scope) []*corev1.Service {
	var list []*corev1.Service
	for i := range w.Services {
		svc := &w.Services[i]
		if s.Namespace != "" && svc.Namespace != s.Namespace {
			continue
		}
		switch s.Kind {
		case "Service":
			if svc.Name != s.Name {
				continue
			}
		case "StatefulSet":
			if !slices.ContainsFunc(w.StatefulSet, func(sts appsv1.StatefulSet) bool {
				return sts.Name == s.Name &&
					sts.Spec.ServiceName == svc.Name
			}) {
				continue
			}
		case "Pod":
			if !w.holdsPod(svc, s.Name) {
				continue
			}
		}
		list = append(list, svc)
	}
	return list
}

func (w *Snapshot) holdsPod(svc *corev1.Service, pod string) bool {
	for i := range w.Slices {
		sl := &w.Slices[i]
		if sl.Namespace != svc.Namespace || sl.Labels["kubernetes.io/service-name"] != svc.Name {
			continue
		}
		for _, e := range sl.Endpoints {
			if e.TargetRef != nil && e.TargetRef.Kind == "Pod" && e.TargetRef.Name == pod {
				return true
			}
		}
	}
	return false
}
