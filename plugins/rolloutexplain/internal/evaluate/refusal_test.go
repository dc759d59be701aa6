package evaluate

import (
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
)

// Ten pods of one state are one cause, though only some are asked for their events.
func TestManyPodsOfOneStateAreOneCause(t *testing.T) {
	const representatives = 3
	b := deploymentCase()
	b.d.Spec.Replicas, b.rs.Spec.Replicas = plain.Ptr(int32(10)), plain.Ptr(int32(10))
	b.in.Pods = b.in.Pods[:2]
	for i := range 10 {
		p := b.addPod("api-2-"+string(rune('a'+i)), "rs2", "api:2", "w1", time.Minute, crashed(137, 4, "Error"))
		if i < representatives {
			b.event(string(p.UID), "Killing", "Container api failed liveness probe, will be restarted", 4)
		}
	}
	list := Evaluate(b.in, now, model.Options{})
	got := findingOf(list, pods.LivenessProbeFailed)
	if got == nil || len(got.Pods) != 10 || findingOf(list, pods.ContainerCrashing) != nil {
		t.Errorf("%s", codesOf(list))
	}
	events := 0
	for _, n := range Needs(b.in, now, model.Options{LogLines: 5}) {
		if n.Kind == model.NeedEvents && strings.HasPrefix(n.UID, "pod-") {
			events++
		}
	}
	if events > representatives {
		t.Errorf("asks for the events of %d pods", events)
	}
}
