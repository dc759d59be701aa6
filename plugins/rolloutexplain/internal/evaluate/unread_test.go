package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/kinds"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/placement"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/verdict"
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

// unreadable makes a source unread in one state, with what it gave.
func (b *builder) unreadable(name string, state source.State) *builder {
	b.forbid(name)
	b.in.Sources = slices.DeleteFunc(b.in.Sources, func(s source.Source) bool { return s.Name == name })
	b.in.Sources = append(b.in.Sources, source.Source{Name: name, State: state})
	switch name {
	case model.SourceNodes:
		b.in.Nodes = nil
	case model.SourceNodePods:
		b.in.NodePods = nil
	case model.SourceLeases:
		b.in.Leases = nil
	case model.SourceClaims:
		b.in.Claims = nil
	case model.SourceVolumes:
		b.in.Volumes = nil
	case model.SourceStorageClasses:
		b.in.StorageClasses = nil
	case model.SourceDeviceClaims:
		b.in.DeviceClaims = nil
	case model.SourceQuotas:
		b.in.Quotas = nil
	case model.SourceNamespace:
		b.in.Namespaces = nil
	case model.SourceLogs:
		b.in.Logs = nil
	}
	return b
}

var (
	lists   = []string{model.SourcePods, model.SourceRevisions, model.SourceEvents}
	lookups = []string{
		model.SourceNamespace, model.SourceNodes, model.SourceNodePods, model.SourceQuotas, model.SourceLeases,
		model.SourceClaims, model.SourceVolumes, model.SourceStorageClasses, model.SourceDeviceClaims, model.SourceLogs,
	}
)

// still are rollouts of each kind that stand still, and no check finds why.
func still() map[string]func() *builder {
	old := func(b *builder) *builder {
		b.status(notReadyYet(10 * time.Minute))
		for i := range b.in.Pods {
			b.in.Pods[i].CreationTimestamp = ago(10 * time.Minute)
		}
		if b.rs != nil {
			b.rs.CreationTimestamp = ago(10 * time.Minute)
		}
		return b
	}
	alone := func(kind, name string, object any) *builder {
		b := old(deploymentCase())
		b.in.Deployments = nil
		b.in.Targets = []finding.ObjectRef{{Kind: kind, Namespace: "shop", Name: name}}
		switch o := object.(type) {
		case string: // the new ReplicaSet, without an owner
			b.rs.OwnerReferences, b.in.ReplicaSets = nil, b.in.ReplicaSets[1:]
			b.in.ReplicaSets[0].OwnerReferences = nil
		case map[string]any:
			b.in.ReplicaSets, b.in.Pods, b.in.Rollouts = nil, nil, []map[string]any{o}
		default:
			b.in.Pods[2].OwnerReferences = nil
		}
		return b
	}
	return map[string]func() *builder{
		"Deployment":  func() *builder { return old(deploymentCase()) },
		"StatefulSet": func() *builder { return old(statefulCase(keepSet)) },
		"DaemonSet":   func() *builder { return old(daemonCase(keepDaemon)) },
		"Job": func() *builder {
			b := jobCase(func(*batchv1.Job) {})
			b.in.Pods = nil
			b.jobPod("once-2", 9*time.Minute, notReadyYet(9*time.Minute))
			return b
		},
		"ReplicaSet": func() *builder { return alone("ReplicaSet", "api-2", "set") },
		"Pod":        func() *builder { return alone("Pod", "api-2-x", nil) },
		model.KindArgo: func() *builder {
			return alone(model.KindArgo, "web", map[string]any{
				"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
				"metadata": map[string]any{"name": "web", "namespace": "shop", "uid": "ro", "creationTimestamp": "2026-03-01T10:00:00Z"},
				"spec":     map[string]any{"replicas": int64(1)}, "status": map[string]any{"phase": "Progressing", "observedGeneration": "1"},
			})
		},
	}
}

// That no check explains a rollout is said only where the checks had all that they look at.
func TestNoCauseIsFoundOnlyInWhatWasRead(t *testing.T) {
	for kind, make := range still() {
		whole := Evaluate(make().in, now, model.Options{}).Items[0]
		if len(whole.Findings) == 0 || whole.Findings[0].Code != verdict.NoCauseFound {
			t.Errorf("%s shows nothing: %s", kind, words(whole))
		}
		for _, name := range slices.Concat(lists, lookups) {
			for _, state := range []source.State{source.Forbidden, source.Unreachable, source.Skipped, source.Absent} {
				if slices.Contains(lookups, name) && (state == source.Skipped || state == source.Absent) {
					continue // not asked for, or it is not there
				}
				got := Evaluate(make().unreadable(name, state).in, now, model.Options{}).Items
				switch {
				case (kind == "Job" || kind == "Pod") && name == model.SourceRevisions: // have none, and lists of them are not asked for
					if words(got[0]) != words(whole) {
						t.Errorf("%s without %s:\n%s", kind, name, words(got[0]))
					}
					continue
				case kind == "Pod" && name == model.SourcePods, kind == "ReplicaSet" && name == model.SourceRevisions:
					continue // the object itself: without it the command fails
				}
				text := words(got[0])
				if strings.Contains(text, string(verdict.NoCauseFound)) || strings.Contains(text, "no check explains") {
					t.Errorf("%s, %s %s:\n%s", kind, name, state, text)
				}
				if got[0].Verdict != report.Unknown || !strings.Contains(got[0].Summary, name+" cannot be read ("+string(state)+")") {
					t.Errorf("%s, %s %s: %s: %s", kind, name, state, got[0].Verdict, got[0].Summary)
				}
			}
		}
	}
}

// No fixture gets a verdict that only the lack of a source gives: what is missing may hide a cause, and makes none.
func TestNothingUnreadMakesAVerdict(t *testing.T) {
	all := fixtures()
	for kind, make := range still() {
		all = append(all, fixture{code: finding.Code(kind), hit: make})
	}
	for _, f := range all {
		whole := Evaluate(f.hit().in, now, model.Options{}).Items
		for _, name := range slices.Concat(lists, lookups) {
			for _, state := range []source.State{source.Forbidden, source.Unreachable} {
				got := Evaluate(f.hit().unreadable(name, state).in, now, model.Options{}).Items
				for i := range min(len(got), len(whole)) {
					before, after := whole[i].Verdict, got[i].Verdict
					switch {
					case !slices.Contains(got[i].NotChecked, name+": "+string(state)):
						t.Errorf("%s: %s is %s and not in the gaps %q", f.code, name, state, got[i].NotChecked)
					case before == after, after == report.Unknown, after == report.Progressing, after == report.Stuck && before == report.Failed:
					case after == report.Complete && strings.HasSuffix(got[i].Summary, "; not checked: "+name):
					case f.code == placement.NodeAffinityUnsatisfied && name == model.SourceNodes: // the scheduler says so itself
					case after == report.Stuck && strings.HasSuffix(got[i].Summary, "unknown why: Events cannot be read"):
					default:
						t.Errorf("%s, %s %s: %s becomes %s: %s", f.code, name, state, before, after, got[i].Summary)
					}
				}
			}
		}
	}
}

// The signal that ended a container may be the kubelet's, after a probe: only events tell.
func TestWithoutEventsNobodySaysWhoEndedAContainer(t *testing.T) {
	for _, f := range fixtures() {
		if f.code != pods.LivenessProbeFailed && f.code != pods.StartupProbeFailed {
			continue
		}
		got := Evaluate(f.hit().forbid(model.SourceEvents).in, now, model.Options{}).Items[0]
		if strings.Contains(words(got), "crashes") || !strings.Contains(got.Summary, "unknown whether a probe fails: Events cannot be read") {
			t.Errorf("%s: %s", f.code, words(got))
		}
	}
}
