package autoscaler

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

func TestWhatAnAutoscalerSaysLastOfAPodThatWaits(t *testing.T) {
	event := func(reason, from, message string, ago time.Duration) eventfact.Event {
		return eventfact.Event{Reason: reason, From: from, Message: message, Last: now.Add(-ago)}
	}
	limits := event(FailedScheduling, "karpenter", refused+"all available instance types exceed limits for nodepool (NodePool=default)", time.Minute)
	scheduler := event(FailedScheduling, "default-scheduler", "0/3 nodes are available: 3 Insufficient cpu.", 0)
	made := func(ago time.Duration) eventfact.Event {
		return event(Nominated, "karpenter", "Pod should schedule on: nodeclaim/default-x7k2p", ago)
	}
	for _, tt := range []struct {
		name   string
		events []eventfact.Event
		known  bool
		want   Answer
	}{
		{"nothing", nil, false, Answer{}},
		{"the scheduler's own", []eventfact.Event{scheduler}, false, Answer{}},
		{"a NodePool is at its limits", []eventfact.Event{scheduler, limits}, true, Answer{
			Event: &limits, Karpenter: true, Why: "all available instance types exceed limits for nodepool (NodePool=default)",
		}},
		{"a node is made after all", []eventfact.Event{made(0), limits}, true, Answer{Karpenter: true, Adds: true, Claim: "default-x7k2p"}},
		{"the node joins", []eventfact.Event{event(Nominated, "karpenter", "Pod should schedule on: nodeclaim/default-x7k2p, node/w7", 0)}, true, Answer{
			Karpenter: true, Adds: true, Claim: "default-x7k2p",
		}},
		{"a name that is none", []eventfact.Event{event(Nominated, "karpenter", "Pod should schedule on: nodeclaim/--all", 0)}, true, Answer{Karpenter: true, Adds: true}},
		{"the node that was made did not help", []eventfact.Event{limits, made(2 * time.Minute)}, true, Answer{
			Karpenter: true, Why: "all available instance types exceed limits for nodepool (NodePool=default)",
		}},
		{"the node should have been there", []eventfact.Event{scheduler, made(16 * time.Minute)}, false, Answer{Karpenter: true, Adds: true, Claim: "default-x7k2p"}},
		{"a node that is there", []eventfact.Event{event(Nominated, "karpenter", "Pod should schedule on: node/w1", 0)}, true, Answer{Karpenter: true, Counts: "w1"}},
		{"the scheduler's nomination", []eventfact.Event{event(Nominated, "default-scheduler", "preempts", 0)}, false, Answer{}},
		{"Cluster Autoscaler adds one", []eventfact.Event{event(Triggered, "cluster-autoscaler", "1->2", 0), event(NotTriggered, "cluster-autoscaler", "", time.Minute)}, true, Answer{Adds: true}},
		{"and none", []eventfact.Event{event(NotTriggered, "cluster-autoscaler", "max node group size reached", 0), event(Triggered, "cluster-autoscaler", "", time.Minute)}, true, Answer{
			Why: "max node group size reached",
		}},
	} {
		got, known := AnswerTo(tt.events, now)
		if known != tt.known || got.Adds != tt.want.Adds || got.Karpenter != tt.want.Karpenter || got.Counts != tt.want.Counts || got.Claim != tt.want.Claim || got.Why != tt.want.Why {
			t.Errorf("%s: %t, %+v", tt.name, known, got)
		}
	}
}

func TestWhatKarpenterSaysOfANodeHoldsForAWhile(t *testing.T) {
	blocked := eventfact.Event{Reason: DisruptionBlocked, Message: "Pdb prevents pod evictions (PodDisruptionBudget=[shop/db])", Last: now.Add(-19 * time.Minute)}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1", UID: "uid-w1"}}
	blocked.About = corev1.ObjectReference{Kind: "Node", Name: "w1", UID: "uid-w1"}
	other := eventfact.Event{Reason: "NodeReady", Last: now}
	if got := Kept([]eventfact.Event{other, blocked}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1", UID: "uid-later"}}, now); got != nil {
		t.Errorf("of an earlier node of the name: %+v", got)
	}
	if got := Kept([]eventfact.Event{other, blocked}, n, now); got == nil || got.Reason != DisruptionBlocked {
		t.Errorf("%+v", got)
	}
	blocked.Last = now.Add(-21 * time.Minute)
	if got := Kept([]eventfact.Event{other, blocked}, n, now); got != nil {
		t.Errorf("%+v", got)
	}
}

// Both have the reason FailedScheduling.
func TestPodsThatNoNodePoolTakesAreNotThoseOfClusterAutoscaler(t *testing.T) {
	event := func(reason, name, message string) eventfact.Event {
		e := eventfact.Event{Reason: reason, Message: message, Last: now}
		e.About.Kind, e.About.Namespace, e.About.Name = "Pod", "shop", name
		return e
	}
	c := &Cluster{Events: []eventfact.Event{
		event(FailedScheduling, "a", refused+"no"), event(FailedScheduling, "b", "0/3 nodes are available"), event(NotTriggered, "c", "max"),
	}}
	if got := c.NoGroupFits(true, now); len(got) != 1 || got[0].About.Name != "a" || Refusal(&got[0]) != "no" {
		t.Errorf("Karpenter: %+v", got)
	}
	if got := c.NoGroupFits(false, now); len(got) != 1 || got[0].About.Name != "c" {
		t.Errorf("Cluster Autoscaler: %+v", got)
	}
}
