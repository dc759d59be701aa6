package evaluate

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// forbid takes the right for sources away, and with it what they gave.
func (b *builder) forbid(names ...string) *builder {
	for _, name := range names {
		for i := range b.in.Sources {
			if b.in.Sources[i].Name == name {
				b.in.Sources[i].State = source.Forbidden
			}
		}
		switch name {
		case model.SourcePods:
			b.in.Pods = nil
		case model.SourceRevisions:
			b.in.ReplicaSets, b.in.ControllerRevisions = nil, nil
		case model.SourceEvents:
			b.in.Events = nil
		}
	}
	return b
}

// words are everything that a report says.
func words(r report.Rollout) string {
	text := string(r.Verdict) + "\n" + r.Summary + "\n" + strings.Join(r.NextAction, "\n")
	for _, f := range r.Findings {
		text += "\n" + string(f.Code) + " " + f.Message
		for _, e := range f.Evidence {
			text += "\n" + e.Value
		}
	}
	for _, c := range r.Timers {
		text += "\n" + c.Message
	}
	if r.Rollback != nil {
		text += "\n" + r.Rollback.Why
	}
	return text
}

// What may not be read is not taken for what is not there.
func TestWhatIsNotReadIsNotClaimedToBeAbsent(t *testing.T) {
	recreate := func(b *builder) { b.recreate(); b.d.CreationTimestamp = ago(time.Hour) }
	for _, tt := range []struct {
		name    string
		b       *builder
		never   []string
		says    string
		verdict report.Verdict
	}{
		{"Recreate without pods", with(recreate)().forbid(model.SourcePods), []string{"no old pods are left", "create up to"}, "cannot be read", report.Unknown},
		{"Recreate without ReplicaSets", with(recreate)().forbid(model.SourceRevisions), []string{"no old pods are left", "no ReplicaSet exists", "create up to"}, "", report.Unknown},
		{"Recreate without both", with(recreate)().forbid(model.SourcePods, model.SourceRevisions), []string{"no old pods are left", "no ReplicaSet exists", "create up to"}, "cannot be read", report.Unknown},
		{"paused without ReplicaSets", with(func(b *builder) { b.d.Spec.Paused = true })().forbid(model.SourceRevisions), []string{"no ReplicaSet exists"}, "paused", report.OnHold},
		{"a rolling update without both", with(keepAsIs)().forbid(model.SourcePods, model.SourceRevisions), []string{"may create", "wants", "0 wanted", "before the new ReplicaSet exists"}, "cannot be read", report.Unknown},
		{"a rolling update without pods", with(keepAsIs)().forbid(model.SourcePods), []string{"may create", "more pod"}, "cannot be read", report.Unknown},
		{"a StatefulSet without pods", statefulCase(keepSet).forbid(model.SourcePods), []string{"create 2 pods"}, "cannot be read", report.Unknown},
		{"missing pods without events", with(func(b *builder) { b.missing("") })().forbid(model.SourceEvents), []string{"left no event", "no FailedCreate event"}, "cannot be read", report.Progressing},
		{"a silent kubelet without events", with(func(b *builder) { b.x().Status.ContainerStatuses = nil })().forbid(model.SourceEvents), []string{"left no event"}, "cannot be read", report.Progressing},
	} {
		got := Evaluate(tt.b.in, now, model.Options{}).Items[0]
		text := words(got)
		for _, never := range tt.never {
			if strings.Contains(text, never) {
				t.Errorf("%s: claims %q:\n%s", tt.name, never, text)
			}
		}
		if got.Verdict != tt.verdict || !strings.Contains(text, tt.says) {
			t.Errorf("%s: want %s and %q:\n%s", tt.name, tt.verdict, tt.says, text)
		}
		if b := got.UpdateStrategy; b != nil && b.MayCreate != nil && !tt.b.in.Sources.Get(model.SourceRevisions).Readable() {
			t.Errorf("%s: counts what it has not read: %+v", tt.name, b)
		}
	}
}

func keepAsIs(*builder) {}

// Only the revisions tell which pods of a DaemonSet are old.
func TestADaemonSetWithoutItsRevisionsHasNoOldPods(t *testing.T) {
	make := func() *builder {
		b := daemonCase(keepDaemon)
		b.status(crashed(1, 5, "Error"))
		return b
	}
	if got := Evaluate(make().in, now, model.Options{}).Items[0]; got.Rollback == nil || !strings.Contains(got.Summary, "new pod agent-b") {
		t.Fatalf("the fixture shows nothing: %s", words(got))
	}
	got := Evaluate(make().forbid(model.SourceRevisions).in, now, model.Options{}).Items[0]
	if got.Verdict != report.Stuck || got.Rollback != nil || strings.Contains(words(got), "old") || !strings.HasPrefix(got.Summary, "pod agent-b: ") {
		t.Errorf("%s\nundo %+v", words(got), got.Rollback)
	}
	if got.Counts.Old != nil || got.Counts.UpdatedReady != nil {
		t.Errorf("counts what nothing tells: %+v", got.Counts)
	}
	for _, g := range got.Pods {
		if g.Role != "" {
			t.Errorf("%+v", g)
		}
	}
}

// A refusal of the template before says nothing of this one: the controller-manager may be down since.
func TestARefusalOfAnOlderTemplateIsNotTheReason(t *testing.T) {
	make := func(written time.Duration) report.Rollout {
		b := deploymentCase()
		b.d.Generation = 3
		b.event("d", "ReplicaSetCreateError", `Failed to create new replica set "api-2": replicasets.apps "api-2" is forbidden: exceeded quota: sets, requested: count/replicasets.apps=1, used: count/replicasets.apps=1, limited: count/replicasets.apps=1`, 5)
		b.d.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:template":{}}}`), Time: plain.Ptr(ago(written))}}
		b.in.Events[0].FirstTimestamp, b.in.Events[0].LastTimestamp = ago(5*time.Minute), ago(5*time.Minute)
		return Evaluate(b.in, now, model.Options{}).Items[0]
	}
	if got := make(10 * time.Minute); got.Findings[0].Code != kinds.ReplicaSetCreateError {
		t.Errorf("refused after it was written: %s", words(got))
	}
	if got := make(time.Minute); got.Findings[0].Code != kinds.SpecUpdateNotObserved {
		t.Errorf("refused before it was written: %s", words(got))
	}
}

// A table reads ReplicaSets and ControllerRevisions under one name: the refusal of one takes nothing from the other.
func TestWhatWasReadOfRevisionsCounts(t *testing.T) {
	for name, make := range map[string]func() *builder{
		"Deployment": func() *builder { return deploymentCase().status(crashed(1, 5, "Error")) },
		"DaemonSet":  func() *builder { return daemonCase(keepDaemon).status(crashed(1, 5, "Error")) },
	} {
		whole := words(Evaluate(make().in, now, model.Options{}).Items[0])
		b := make()
		for i := range b.in.Sources {
			if b.in.Sources[i].Name == model.SourceRevisions {
				b.in.Sources[i].State = source.Forbidden
			}
		}
		if got := words(Evaluate(b.in, now, model.Options{}).Items[0]); got != whole {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, whole)
		}
	}
}
