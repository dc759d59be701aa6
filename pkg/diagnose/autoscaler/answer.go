package autoscaler

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

// The reasons of events about pods that wait for a node. The third one is Karpenter's and the scheduler's.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.14.1/pkg/controllers/provisioning/scheduling/events.go
const (
	Triggered        = "TriggeredScaleUp"
	Nominated        = "Nominated"
	FailedScheduling = "FailedScheduling"
)

// refused begins what Karpenter says of a pod for which it makes no node; reported by whom differs (EKS Auto Mode has another name).
const refused = "Failed to schedule pod, "

// newClaim is in what Karpenter says of a pod that it expects on a node, if the node is one that it makes.
const newClaim = "nodeclaim/"

// provisioning is how long an autoscaler's promise of a node holds: both give a machine up that has not joined within this.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.14.1/pkg/controllers/nodeclaim/lifecycle/liveness.go (registrationTimeout)
// https://github.com/kubernetes/autoscaler/blob/cluster-autoscaler-1.34.0/cluster-autoscaler/FAQ.md (--max-node-provision-time)
const provisioning = 15 * time.Minute

// Answer is what an autoscaler says of a pod that waits for a node.
type Answer struct {
	Event     *eventfact.Event
	Karpenter bool
	Adds      bool   // it adds a node for the pod
	Claim     string // the NodeClaim that Karpenter makes for it; empty: unknown
	Counts    string // the node that Karpenter expects the pod on, without making one; empty: none
	Why       string // why it adds none, in its own words
}

// AnswerTo is the last of the events of a pod that says whether a node is added for it, newest first; false: none of them does, or a node
// that was promised should have been there long ago.
func AnswerTo(events []eventfact.Event, now time.Time) (Answer, bool) {
	for i := range events {
		e := &events[i]
		switch {
		case e.Reason == NotTriggered:
			return Answer{Event: e, Why: Refusal(e)}, true
		case RefusedByKarpenter(e):
			return Answer{Event: e, Karpenter: true, Why: Refusal(e)}, true
		case e.Reason == Triggered:
			return Answer{Event: e, Adds: true}, now.Sub(e.Last) <= provisioning
		case e.Reason == Nominated && e.From != corev1.DefaultSchedulerName:
			a := Answer{Event: e, Karpenter: true, Adds: strings.Contains(e.Message, newClaim)}
			if a.Adds {
				_, claim, _ := strings.Cut(e.Message, newClaim)
				a.Claim, _, _ = strings.Cut(claim, ",")
				if len(validation.IsDNS1123Subdomain(a.Claim)) > 0 {
					a.Claim = "" // no name, and not for a command
				}
			} else {
				_, a.Counts, _ = strings.Cut(e.Message, "node/")
			}
			return a, now.Sub(e.Last) <= provisioning
		}
	}
	return Answer{}, false
}

// RefusedByKarpenter says whether an event is Karpenter's about a pod for which it makes no node, and not the scheduler's.
func RefusedByKarpenter(e *eventfact.Event) bool {
	return e.Reason == FailedScheduling && strings.HasPrefix(e.Message, refused)
}

// Refusal is why no node is added for a pod, in the autoscaler's own words.
func Refusal(e *eventfact.Event) string { return strings.TrimPrefix(e.Message, refused) }

// Protected says whether the annotation of a pod keeps Karpenter from disrupting it: "true" always does, a duration for so long after
// the start of the pod, and anything else is ignored.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.14.1/pkg/utils/pod/scheduling.go (IsDoNotDisruptActive)
func Protected(p *corev1.Pod, now time.Time) bool {
	value := p.Annotations[DoNotDisrupt]
	if value == "true" {
		return true
	}
	lasts, err := time.ParseDuration(value)
	if err != nil || lasts <= 0 {
		return false
	}
	return p.Status.StartTime == nil || now.Sub(p.Status.StartTime.Time) < lasts
}

// The reasons of Karpenter's events about a node that it does not remove.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.14.1/pkg/controllers/disruption/events/events.go
const (
	DisruptionBlocked = "DisruptionBlocked"
	Unconsolidatable  = "Unconsolidatable"
)

// The reasons of its warnings about a node that it drains: pods are still to be evicted, and from when on they are deleted all the same.
// https://github.com/kubernetes-sigs/karpenter/blob/v1.14.1/pkg/controllers/node/termination/terminator/events/events.go
const (
	FailedDraining = "FailedDraining"
	GraceExpiring  = "TerminationGracePeriodExpiring"
)

// stillKept is how old the last such event can be: while it holds, it is said again after 2 minutes, or after 15.
const stillKept = 20 * time.Minute

// Kept is what Karpenter says last of a node that it does not remove, of events that are ordered newest first; nil: nothing lately.
func Kept(events []eventfact.Event, n *corev1.Node, now time.Time) *eventfact.Event {
	for i := range events {
		e := &events[i]
		if e.About.Kind == "Node" && e.About.UID == n.UID && (e.Reason == DisruptionBlocked || e.Reason == Unconsolidatable) {
			if now.Sub(e.Last) > stillKept {
				return nil
			}
			return e
		}
	}
	return nil
}

// Heeds says whether an event is one of those that Cluster has.
func Heeds(e *eventfact.Event) bool {
	return e.Reason == NotTriggered || e.Reason == DisruptionBlocked || e.Reason == Unconsolidatable || RefusedByKarpenter(e) ||
		e.About.Kind == "ConfigMap"
}
