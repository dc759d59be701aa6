package model

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// NewestMatching gives the newest event with the reason whose text holds one of the words.
func NewestMatching(events []eventfact.Event, reason string, words ...string) *eventfact.Event {
	for i := range events {
		if events[i].Reason == reason && plain.ContainsAny(events[i].Message, words...) {
			return &events[i]
		}
	}
	return nil
}

// PodEvents asks for a pod's events; only the evidence of this pod (by UID) counts: a StatefulSet's pod has the name of
// the one before it.
func (e *Evaluation) PodEvents(p *Pod) []eventfact.Event {
	e.Asks.Have(Need{Kind: NeedEvents, Namespace: p.Namespace, UID: string(p.UID)})
	return p.events
}

// MissingEventText gives the text for an event that is absent; where events cannot be read, its absence means nothing.
func (e *Evaluation) MissingEventText(absent string) string {
	if e.In.Sources.Get(SourceEvents).Readable() {
		return absent
	}
	return "unknown why: Events cannot be read"
}

// EventsOf gives the events of the workload itself and asks for them.
func (e *Evaluation) EventsOf(meta *metav1.ObjectMeta) []eventfact.Event {
	return e.EventsOfUID(meta.Namespace, string(meta.UID))
}

// EventsOfUID gives the events of one object, newest first, and asks for them.
func (e *Evaluation) EventsOfUID(namespace, uid string) []eventfact.Event {
	e.Asks.Have(Need{Kind: NeedEvents, Namespace: namespace, UID: uid})
	return e.events[types.UID(uid)]
}

// Warnings gives the Warning events of one object that may still be so: of the last minutes, and newer than when the object
// was last seen to be well. It asks once for those of all objects of the namespace; a table of many has them.
func (e *Evaluation) Warnings(namespace string, uid types.UID, wellSince time.Time) []eventfact.Event {
	if !e.Opts.Wide {
		e.Asks.Have(Need{Kind: NeedWarnings, Namespace: namespace})
	}
	return slices.DeleteFunc(slices.Clone(e.events[uid]), func(ev eventfact.Event) bool { return !ev.Current(wellSince, e.Now) })
}

// ControllerLease says so when a control-plane component has stopped renewing its lease.
func (e *Evaluation) ControllerLease(name string) (string, finding.Evidence) {
	e.Asks.Have(Need{Kind: NeedLease, Namespace: "kube-system", Name: name})
	for i := range e.In.Leases {
		l := &e.In.Leases[i]
		if !nodefact.LeaseOfComponent(l, name) {
			continue
		}
		if leader := nodefact.LeaderOf(l, e.Now); leader.Expired {
			return fmt.Sprintf("%s has not renewed its Lease for %s", name, plain.Age(leader.Age)),
				plain.Evidence("Lease kube-system/"+name, "spec.renewTime", leader.Renewed.UTC().Format(time.RFC3339), leader.Renewed)
		}
	}
	return "", finding.Evidence{}
}

// ControllerStep leads on to a component of the control plane: to its Lease, or where that has expired to its pods.
func (e *Evaluation) ControllerStep(name string, lease finding.Evidence) finding.Next {
	if lease.Source != "" {
		return finding.Next{
			Command: e.Kubectl.Command("kube-system", "get", "pods", "-l", "component="+name, "-o", "wide"),
			Why:     "List the static pods of " + name, Risk: finding.Read,
			Answers: []string{"no pods: the manifest in /etc/kubernetes/manifests is missing or invalid, or a provider runs the control plane"},
		}
	}
	return finding.Next{
		Command: e.Kubectl.Command("kube-system", "get", "lease", name, "-o", "jsonpath={.spec.renewTime}"),
		Why:     "Check whether " + name + " is running", Risk: finding.Read,
		Answers: []string{"renewTime more than a few seconds ago: " + name + " is not running"},
	}
}

// DeviceClaim gives a ResourceClaim, and asks for it. nil: it has not been read; absent says whether that is because it does not exist.
func (e *Evaluation) DeviceClaim(namespace, name string) (claim *device.Claim, absent bool) {
	if !e.Asks.Have(Need{Kind: NeedDeviceClaim, Namespace: namespace, Name: name}) {
		return nil, false
	}
	for i := range e.In.DeviceClaims {
		if c := &e.In.DeviceClaims[i]; c.Metadata.Namespace == namespace && c.Metadata.Name == name {
			return c, false
		}
	}
	state := e.In.Sources.Get(SourceDeviceClaims).State
	return nil, state == source.OK || state == source.Absent
}
