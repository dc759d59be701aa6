package load

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

// "kubectl get events.events.k8s.io" names the fields of an event otherwise than "kubectl get events".
func TestADumpTellsTheSameInBothEventAPIs(t *testing.T) {
	const meta = `"metadata": {"name": "e", "namespace": "shop"}, "eventTime": "2026-05-04T12:00:00.000000Z", "reason": "Nominated", "type": "Normal", ` +
		`"series": {"count": 3, "lastObservedTime": "2026-05-04T12:09:00.000000Z"}, `
	core, err := Dump([]byte(`{"apiVersion": "v1", "kind": "Event", ` + meta +
		`"reportingComponent": "karpenter", "involvedObject": {"kind": "Pod", "uid": "1"}, "message": "Pod should schedule on: nodeclaim/a"}`))
	if err != nil {
		t.Fatal(err)
	}
	recent, err := Dump([]byte(`{"apiVersion": "events.k8s.io/v1", "kind": "Event", ` + meta +
		`"reportingController": "karpenter", "regarding": {"kind": "Pod", "uid": "1"}, "note": "Pod should schedule on: nodeclaim/a"}`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := eventfact.ReadAll(core.Events), eventfact.ReadAll(recent.Events)
	if diff := cmp.Diff(a, b); diff != "" || a[0].From != "karpenter" || a[0].Count != 3 || !core.Collected.Equal(a[0].Last) || !recent.Collected.Equal(a[0].Last) {
		t.Errorf("%+v %s", a, diff)
	}
}
