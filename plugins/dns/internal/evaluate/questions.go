package evaluate

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// WildcardLabel is the label that no domain has.
const WildcardLabel = ask.WildcardLabel

// ControlQuestions are what every replica is asked to see that it works: which DNS it is, when it last saw a change, a
// name that must exist, one that must not, and the records of the objects that changed last.
func ControlQuestions(in Input, now time.Time, newest int) []records.Question {
	return ask.ControlQuestions(in, now, newest)
}

// VerifyQuestions lists what verify asks every replica.
func VerifyQuestions(in Input, s Scope) []records.Question { return ask.VerifyQuestions(in, s) }

// ExplainQuestions lists every candidate of every library, those of the cluster first.
func ExplainQuestions(in Input, name string) []records.Question {
	return ask.ExplainQuestions(in, name)
}

// SOAQuestion asks a replica when it last saw a change.
func SOAQuestion(in Input) records.Question { return ask.SOAQuestion(in) }

// Mismatched lists the questions that some replica answers otherwise: what is asked again before it counts.
func Mismatched(in Input) []records.Question { return ask.Mismatched(in) }

// Replace puts second's objects and answers over first's: what was asked again counts as it was answered then.
func Replace(first, second Input) Input { return ask.Replace(first, second) }

// Exists fails for a named object that is not there, when the kind could be listed.
func Exists(in Input, s Scope) error { return ask.Exists(in, s) }

// HasReplica says whether a DNS pod of that name is known.
func HasReplica(in Input, name string) bool { return ask.HasReplica(in, name) }

// Qualify completes a name as the cluster's search list would.
func Qualify(in Input, name string) string { return ask.Qualify(in, name) }

// ForeignSearches gives the search domains outside the cluster that the suspect pod has, as far as they are known.
func ForeignSearches(in Input) []string { return ask.ForeignSearches(in) }

// PodServers gives the addresses that a pod asks: the one chosen by at, or an empty one for those of its own resolv.conf.
func PodServers(in Input, at string) []string { return ask.PodServers(in, at) }

// ServersOf gives the addresses that the suspect is asked to reach besides those of its resolv.conf, and the question.
func ServersOf(in Input) (servers []string, q records.Question) { return ask.ServersOf(in) }

// UpstreamsOf gives the addresses to which a server forwards on port 53.
func UpstreamsOf(in Input, pod string) []string { return ask.UpstreamsOf(in, pod) }

// Ports gives, for each DNS pod of an Input, where it answers DNS over TCP, and where its metrics are.
func Ports(in Input) func(corev1.Pod) (dns, metrics int32) { return ask.Ports(in) }

// Outside says whether a name lies outside the cluster, so that an upstream answers it.
func Outside(in Input, name string) bool { return ask.Outside(in, name) }
