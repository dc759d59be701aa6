package paths

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// failure is a failed call of a webhook that an event of a controller tells of.
type failure struct {
	*admission.Call

	event eventfact.Event
}

// failedLong is how long calls must have failed: a webhook whose pod is replaced misses a few.
const failedLong = 30 * time.Second

// failuresOf are the failed calls, newest first.
func failuresOf(in *facts.Input) []failure {
	var list []failure
	for _, e := range eventfact.ReadAll(in.Refused) {
		if call := admission.Parse(e.Message).FailedCall(); call != nil {
			list = append(list, failure{call, e})
		}
	}
	return list
}

// failure is the newest failed call of a webhook; nil: no event tells of one. One that may fail rejects nothing, and no controller
// tells of it.
func (m *Map) failure(w *backend.Webhook) *failure {
	if w.Ignored || len(w.Rules) == 0 {
		return nil
	}
	for i := range m.failures {
		if f := &m.failures[i]; f.Webhook == w.Name && f.of(w.Service) {
			return f
		}
	}
	return nil
}

// of says whether the call may have been to this Service; nil: to a URL.
func (f *failure) of(service *backend.Ref) bool {
	if service == nil {
		return f.Service == ""
	}
	return f.Service == "" && !f.URL || *service == backend.Ref{Namespace: f.Namespace, Name: f.Service, Port: f.Port}
}

// fails says whether calls of a webhook fail now, as far as the events tell: they have failed for a while, the controller has not been
// due to try again since, and neither the configuration nor what stands behind the Service has changed since.
func (m *Map) fails(w *backend.Webhook) bool {
	f := m.failure(w)
	if f == nil || m.now.Sub(f.event.First) < failedLong || !m.now.Before(f.event.Due()) {
		return false
	}
	if w.Changed != nil && w.Changed.After(f.event.Last) {
		return false
	}
	return w.Service == nil || !backend.Changed(*w.Service, m.in.Endpoints).After(f.event.Last)
}

// why is what failed and when, for a row.
func (f *failure) why(now time.Time) string {
	text := "the last call that an event tells of failed " + output.Age(max(0, now.Sub(f.event.Last))) + " ago"
	if f.Why != "" {
		text += ": " + f.Why
	}
	return text
}

// failing are the webhooks behind a Service whose calls fail, although the Service looks as if it took them.
func (m *Map) failing(s *Service) (list []*backend.Webhook) {
	for _, w := range s.Webhooks {
		if m.fails(w) {
			list = append(list, w)
		}
	}
	return list
}

// callsFail is the finding of webhooks that a Service stands behind, or a URL, and whose calls fail.
func (m *Map) callsFail(s *Service, called []*backend.Webhook) finding.Finding {
	first := called[0]
	last := m.failure(first)
	why := cmp.Or(last.Why, "the API server tells no more")
	if age := m.now.Sub(last.event.Last); age >= time.Minute {
		why += ", last " + output.Age(age) + " ago"
	}
	f := m.ofWebhooks(called)
	f.Message = fmt.Sprintf("%s cannot be called: %s; %s", whose(called), why, effect(first))
	about := finding.ObjectRef{Kind: last.event.About.Kind, Namespace: last.event.About.Namespace, Name: last.event.About.Name}
	f.Evidence = append([]finding.Evidence{{
		Source: "Event of " + about.String(), Path: last.event.Reason, Value: last.event.Message, Time: facts.Time(last.event.Last),
	}}, f.Evidence...)
	if s.Name == "" {
		f.Next = []finding.Next{m.look("Read the address and the certificate authority with which the webhook is called", "",
			"get", strings.ToLower(first.Kind), first.Configuration, "-o", "yaml")}
	} else {
		f.Next = []finding.Next{
			m.look("Check the ports, the endpoints and the pods of the Service", s.Namespace, "describe", "service", s.Ref.Name),
		}
		if last.Reached {
			f.Next = append(f.Next, m.look("Read the log of what answered", s.Namespace, "logs", "service/"+s.Ref.Name, "--tail=20"))
		}
	}
	f.Next = append(f.Next, m.letPass(first, called))
	return f
}
