package reports

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// harmless are kinds of log lines that speak against nothing by themselves, each with why.
var harmless = map[string]string{
	"Log upstream":  "single queries to an upstream fail now and then; a name outside the cluster is queried at every check",
	"Log api":       "a watch that broke is opened again; a server that follows the API no longer is found by its answers",
	"Log forbidden": "the permissions of the ServiceAccount are queried at every check",
	"Log reload":    "a later reload may have succeeded; CorefileReloadFailed goes by their order",
	"Log corefile":  "as Log reload",
	"Log loop":      "the server exits at once; ForwardingLoop goes by the state of the container",
	"Log error":     "mostly the answer to one malformed query of a client; what servers answer is queried at every check",
}

// unexplained makes the finding of what speaks against health in the data of check and status, and that no finding accounts for.
func unexplained(w *facts.Snapshot, found []finding.Finding) []finding.Finding {
	l := finding.Ledger{Harmless: harmless}
	var servers []finding.ObjectRef // what all servers share: findings about it account for what one of them shows
	if ref := w.WorkloadRef(); ref != nil {
		servers = append(servers, *ref)
	}
	if w.ConfRef != nil {
		servers = append(servers, *w.ConfRef)
	}
	if w.Service != nil {
		servers = append(servers, *facts.Ref("Service", w.Service.Namespace, w.Service.Name))
	}
	for _, p := range w.Probes {
		noteProbe(w, &l, p, servers)
	}
	noteEvents(w, &l, servers)
	noteLogs(w, &l, servers)
	noteOwn(w, &l)
	if w.Service == nil {
		return nil
	}
	left := l.Unexplained(rules.Book.Fold(found))
	if f, ok := finding.Unexplained(left, *facts.Ref("Service", w.Service.Namespace, w.Service.Name),
		w.Read("Read the errors in the logs of the DNS servers", "", "dns", "logs", "--errors")); ok {
		return []finding.Finding{f}
	}
	return nil
}

// noteProbe registers what one server answered wrongly or not at all, and its panics.
func noteProbe(w *facts.Snapshot, l *finding.Ledger, p facts.Probe, beside []finding.ObjectRef) {
	note := func(kind, path, value string) {
		l.Note(finding.Contrary{
			Kind: kind, Object: *facts.Ref("Pod", p.Namespace, p.Pod), Beside: beside,
			Evidence: finding.Evidence{Path: path, Value: value},
		})
	}
	if n := p.Metrics.Sum("coredns_panics_total"); n != nil && *n > 0 {
		note("Metric", "coredns_panics_total", fmt.Sprintf("%.0f since the start of the server", *n))
	}
	for _, a := range ask.WrongAnswers(w, p, true) {
		note("Answer", a.Name+" "+a.Type, ask.AnswerText(a))
	}
	for _, a := range ask.Failures(w, p) {
		note("Answer", a.Name+" "+a.Type, a.Rcode)
	}
	for _, a := range p.Answers {
		if a.Error != "" && a.Name != w.External && w.Reached(p) {
			note("Answer", a.Name+" "+a.Type, a.Error)
		}
	}
}

// noteEvents registers warnings about DNS pods that are newer than their readiness. What keeps a pod from being ready is its
// state, which is judged; the event of one that is ready tells what its state does not.
func noteEvents(w *facts.Snapshot, l *finding.Ledger, beside []finding.ObjectRef) {
	for _, e := range event.ReadAll(w.Events) {
		i := podOf(w, e.About.Name)
		if _, harmless := event.Harmless(e.Reason); harmless || i < 0 || w.Pods[i].UID != e.About.UID {
			continue
		}
		ready := podfact.ReadyCondition(&w.Pods[i])
		if ready == nil || ready.Status != corev1.ConditionTrue || !e.Current(ready.LastTransitionTime.Time, w.Now) {
			continue
		}
		l.Note(finding.Contrary{
			Kind: "Event " + e.Reason, Object: *facts.Ref("Pod", w.Pods[i].Namespace, w.Pods[i].Name), Beside: beside,
			Evidence: finding.Evidence{Source: "Event", Path: e.Reason, Value: event.Innermost(e.Message)},
		})
	}
}

// noteLogs registers lines of known errors that a running server has logged lately.
func noteLogs(w *facts.Snapshot, l *finding.Ledger, beside []finding.ObjectRef) {
	for _, log := range w.Logs {
		i := podOf(w, log.Pod)
		if log.Previous || i < 0 {
			continue
		}
		for _, line := range linesOf(log) {
			at, err := time.Parse(time.RFC3339Nano, line.Last)
			if err != nil || w.Now.Sub(at) > event.Repeat || line.Severity == string(finding.Info) || line.Class == "other" {
				continue
			}
			l.Note(finding.Contrary{
				Kind: "Log " + line.Class, Object: *facts.Ref("Pod", w.Pods[i].Namespace, log.Pod), Beside: beside,
				Evidence: finding.Evidence{Value: line.Text},
			})
		}
	}
}

func podOf(w *facts.Snapshot, name string) int {
	for i := range w.Pods {
		if w.Pods[i].Name == name {
			return i
		}
	}
	return -1
}

// noteOwn registers nameservers of the suspect's own resolv.conf that gave no right answer for the name that every cluster has.
func noteOwn(w *facts.Snapshot, l *finding.Ledger) {
	if w.From == nil || w.IsServer(&w.From.Pod) {
		return
	}
	pod := &w.From.Pod
	for _, server := range w.OwnServers() {
		var last *report.Answer
		for _, a := range w.OwnAnswers(server, w.Control(), "A", "") {
			if a.Rcode != "" && ask.Right(w, a) {
				last = nil
				break
			}
			last = &a
		}
		if last != nil {
			l.Note(finding.Contrary{
				Kind: "Answer in the pod", Object: *facts.Ref("Pod", pod.Namespace, pod.Name),
				Beside:   []finding.ObjectRef{*facts.Ref("Node", "", pod.Spec.NodeName)},
				Evidence: finding.Evidence{Path: server + " " + last.Transport, Value: ask.AnswerText(*last)},
			})
		}
	}
}
