package fault

import (
	"context"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

// unitPatience is how long a kubelet or runtime may take to end or to start.
const unitPatience = 30 * time.Second

// unitFaults are those of the node's own programs.
func unitFaults() []Fault {
	return []Fault{
		{
			Name:    "stop-kubelet",
			Summary: "the kubelet is down",
			Symptom: "the lease stops; after about 50 s Ready is Unknown (NodeStatusUnknown)",
			Inject:  stop(node.Kubelet), Heal: start(node.Kubelet),
		},
		{
			Name:    "pause-kubelet",
			Summary: "the kubelet hangs (SIGSTOP): its ports accept and never answer",
			Symptom: "as stop-kubelet, but connections to the kubelet hang instead of being refused",
			Inject:  freeze(node.Kubelet, true), Heal: freeze(node.Kubelet, false),
		},
		{
			Name:    "stop-runtime",
			Summary: "the container runtime is down; containers run on",
			Symptom: "after about 40 s Ready is False (KubeletNotReady: container runtime is down)",
			Inject:  stop(node.Containerd), Heal: start(node.Containerd),
		},
	}
}

type action = func(context.Context, Target, Options) error

func stop(unit string) action {
	return func(_ context.Context, t Target, _ Options) error {
		if err := t.Node.SetStopped(unit, true); err != nil {
			return err
		}
		return t.Node.Await(unit, unitPatience, func(s node.Status) bool { return s.PID == 0 })
	}
}

func start(unit string) action {
	return func(_ context.Context, t Target, _ Options) error {
		if err := t.Node.SetStopped(unit, false); err != nil {
			return err
		}
		return t.Node.Await(unit, unitPatience, func(s node.Status) bool { return s.PID != 0 })
	}
}

func freeze(unit string, on bool) action {
	return func(_ context.Context, t Target, _ Options) error {
		if err := t.Node.SetPaused(unit, on); err != nil {
			return err
		}
		return t.Node.Await(unit, unitPatience, func(s node.Status) bool { return s.Paused == on && s.PID != 0 })
	}
}
