// Package ask knows what is asked of DNS servers, and what their answers mean: held against the API's records, the age of
// a change, and each other.
package ask

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
)

// SOAQuestion asks a replica when it last saw a change.
func SOAQuestion(in facts.Input) records.Question {
	return records.Question{Name: Zone(in), Type: "SOA"}
}

// HasReplica says whether a DNS pod of that name is known.
func HasReplica(in facts.Input, name string) bool {
	return slices.ContainsFunc(in.Pods, func(p corev1.Pod) bool { return p.Name == name })
}

// Exists fails for a named object that is not there, when the kind could be listed.
func Exists(in facts.Input, s facts.Scope) error {
	found, source := true, ""
	switch s.Kind {
	case "Service":
		source = "services"
		found = slices.ContainsFunc(in.Services, func(x corev1.Service) bool { return x.Namespace == s.Namespace && x.Name == s.Name })
	case "StatefulSet":
		source = "statefulsets"
		found = slices.ContainsFunc(in.StatefulSet, func(x appsv1.StatefulSet) bool { return x.Namespace == s.Namespace && x.Name == s.Name })
	case "Pod":
		source = "targets"
		found = slices.ContainsFunc(in.Targets, func(x corev1.Pod) bool { return x.Namespace == s.Namespace && x.Name == s.Name })
	}
	switch {
	case found:
		return nil
	case !in.Sources.Get(source).Readable():
		return fmt.Errorf("%s %q in namespace %q cannot be read: %s", s.Kind, s.Name, s.Namespace, in.Sources.Get(source).Gap())
	}
	return fmt.Errorf("there is no %s %q in namespace %q", s.Kind, s.Name, s.Namespace)
}

// Replace puts second's objects and answers over first's: what was asked again counts as it was answered then. What is read once is
// first's.
func Replace(first, second facts.Input) facts.Input {
	for i := range second.Probes {
		p := &second.Probes[i]
		again := map[records.Question]bool{}
		for _, a := range p.Answers {
			again[records.Question{Name: a.Name, Type: a.Type}] = true
		}
		for _, old := range first.Probes {
			if old.Pod != p.Pod {
				continue
			}
			for _, a := range old.Answers {
				if !again[records.Question{Name: a.Name, Type: a.Type}] {
					p.Answers = append(p.Answers, a)
				}
			}
			p.Metrics, p.MetricsError, p.After, p.Earlier, p.Seconds = old.Metrics, old.MetricsError, old.After, old.Earlier, old.Seconds
		}
	}
	for _, s := range first.Sources {
		if !slices.ContainsFunc(second.Sources, func(o source.Source) bool { return o.Name == s.Name }) {
			second.Sources = append(second.Sources, s)
		}
	}
	second.Sources.Sort()
	second.Policies, second.Account, second.Access, second.Events = first.Policies, first.Account, first.Access, first.Events
	second.Kubelets, second.Logs, second.External = first.Kubelets, first.Logs, first.External
	second.From, second.Beside = first.From, first.Beside
	return second
}

// ExplainQuestions lists every candidate of every library. Those of the cluster come first: a server answers one
// connection in order, and a dead upstream would hold up what stands behind a name outside.
func ExplainQuestions(in facts.Input, name string) []records.Question {
	w := facts.New(in, in.Timeless(), facts.Options{})
	var list []records.Question
	for _, l := range resolver.All() {
		for _, step := range resolver.Candidates(name, w.ResolvConf(), l) {
			list = append(list, records.Question{Name: step.Name, Type: "A"}, records.Question{Name: step.Name, Type: "AAAA"})
		}
	}
	sorting.Stable(list, func(a, b records.Question) int {
		return facts.BoolOrder(!corefile.InZone(corefile.Fqdn(a.Name), w.Zone), !corefile.InZone(corefile.Fqdn(b.Name), w.Zone))
	})
	return unique(list)
}

// WildcardLabel is the label that no domain has.
const WildcardLabel = "kubectl-dns-wildcard-test"

// ForeignSearches gives the search domains outside the cluster that the suspect pod has, as far as they are known.
func ForeignSearches(in facts.Input) []string {
	w := facts.New(in, in.Timeless(), facts.Options{})
	if w.From == nil {
		return nil
	}
	searches := resolver.Compute(w.From.Pod.Namespace, w.From.Pod.Spec, w.KubeletFor(w.From.Pod.Spec.NodeName)).Searches
	if actual, ok := w.ActualConf(); ok {
		searches = actual.Searches
	}
	zone := strings.TrimSuffix(w.Zone, ".")
	var list []string
	for _, s := range searches {
		s = strings.Trim(s, ".")
		if s != "" && s != zone && !strings.HasSuffix(s, "."+zone) {
			list = append(list, s)
		}
	}
	return list
}

// ControlQuestions are what every replica is asked to see that it works: which DNS it is, when it last saw a change, a
// name that must exist, one that must not, and the records of the objects that changed last.
func ControlQuestions(in facts.Input, now time.Time, newest int) []records.Question {
	w := facts.New(in, now, facts.Options{})
	list := []records.Question{{Name: "dns-version." + w.Zone, Type: "TXT"}, {Name: w.Zone, Type: "SOA"}}
	if w.Provider() == "kube-dns" { // which has no such name
		list = list[1:]
	}
	if name := w.Control(); name != "" {
		list = append(list, records.Question{Name: name, Type: "A"}, records.Question{Name: name, Type: "AAAA"})
	}
	list = append(list, records.Question{Name: absent + w.Zone, Type: "A"})
	for _, svc := range Newest(w, newest) {
		for _, q := range w.Engine.Questions(svc, 3) {
			if !slices.Contains(list, q) {
				list = append(list, q)
			}
		}
	}
	return list
}

// absent is a name that nobody has: wildcards answer it.
const absent = "no-such-service-of-kubectl-dns.default.svc."

// Newest gives the Services whose records changed last, of those that had the time to settle: a change of this moment
// proves nothing yet.
func Newest(w *facts.Snapshot, n int) []*corev1.Service {
	changed := w.Changes()
	at := func(s *corev1.Service) time.Time { return changed[s.Namespace+"/"+s.Name] }
	var list []*corev1.Service
	for i := range w.Services {
		if w.Now.Sub(at(&w.Services[i])) >= w.SettleTime() {
			list = append(list, &w.Services[i])
		}
	}
	sorting.Stable(list, func(a, b *corev1.Service) int { return at(b).Compare(at(a)) })
	return list[:min(n, len(list))]
}

// VerifyQuestions lists what verify asks every replica.
func VerifyQuestions(in facts.Input, s facts.Scope) []records.Question {
	w := facts.New(in, in.Timeless(), facts.Options{})
	list := []records.Question{{Name: absent + w.Zone, Type: "A"}}
	for _, svc := range w.ServicesOf(s) {
		list = append(list, w.Engine.Questions(svc, s.Most)...)
	}
	return unique(list)
}

func unique(list []records.Question) []records.Question {
	seen := map[records.Question]bool{}
	return slices.DeleteFunc(list, func(q records.Question) bool {
		drop := seen[q]
		seen[q] = true
		return drop
	})
}

// Mismatched lists the questions that some replica answers otherwise: what is asked again before it counts.
func Mismatched(in facts.Input) []records.Question {
	w := facts.New(in, in.Timeless(), facts.Options{})
	var list []records.Question
	for _, p := range w.Probes {
		for _, a := range WrongAnswers(w, p, false) {
			list = append(list, records.Question{Name: a.Name, Type: a.Type})
		}
	}
	return unique(list)
}
