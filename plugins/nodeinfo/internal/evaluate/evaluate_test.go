package evaluate

import (
	"encoding/json"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// fixtures are the folders of testdata. One named as a finding code holds a node "fires" that shows it, and a node
// "near-miss" that must not.
func fixtures(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob("testdata/*/input.yaml")
	if err != nil || len(folders) < 50 {
		t.Fatalf("%d fixtures: %v", len(folders), err)
	}
	for i, f := range folders {
		folders[i] = filepath.Base(filepath.Dir(f))
	}
	return folders
}

func load(t testing.TB, name string) Input {
	t.Helper()
	return loadFile(t, filepath.Join(name, "input.yaml"))
}

func loadFile(t testing.TB, name string) Input {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var in Input
	if err := yaml.UnmarshalStrict(data, &in); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return in
}

func judge(in Input) report.List { return Evaluate(in, in.Now, Options{}) }

func node(t testing.TB, list report.List, name string) report.Node {
	t.Helper()
	if at := slices.IndexFunc(list.Findings, func(f finding.Finding) bool { return f.Object.Name == name }); at >= 0 {
		return report.Node{Name: name, Findings: []finding.Finding{list.Findings[at]}} // of what should be a node
	}
	at := slices.IndexFunc(list.Items, func(n report.Node) bool { return n.Name == name })
	if at < 0 {
		t.Fatalf("no node %q", name)
	}
	return list.Items[at]
}

func codes(n report.Node) []finding.Code {
	var list []finding.Code
	for _, f := range n.Findings {
		list = append(list, f.Code)
	}
	return list
}

// golden holds a report against a golden file.
func golden(t *testing.T, file string, report any) {
	t.Helper()
	var b strings.Builder
	if err := (output.Format{Kind: output.YAML}).Print(&b, report); err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, file, b.String())
}

func TestReportsAreAsRecorded(t *testing.T) {
	for _, name := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			golden(t, name+"/report.yaml", judge(load(t, name)))
		})
	}
}

// Every code fires where its fixture shows it, alone (but for what that fixture is about besides), and not at the near miss.
func TestEveryCodeFiresAndItsNearMissDoesNot(t *testing.T) {
	besides := map[finding.Code][]finding.Code{
		machine.ReadyConditionStale: {machine.LeaderLeaseExpired},     // why nobody has marked the node
		workload.DeviceUnhealthy:    {workload.DevicesNotAllocatable}, // the kubelet counts it out
	}
	for _, entry := range rules.Catalog() {
		t.Run(string(entry.Code), func(t *testing.T) {
			list := judge(load(t, string(entry.Code)))
			fires := node(t, list, "fires")
			if !slices.Contains(codes(fires), entry.Code) {
				t.Errorf("%s does not fire: %v, folded %v", entry.Code, codes(fires), fires.Consequences)
			}
			for _, code := range codes(fires) {
				if code != entry.Code && !slices.Contains(besides[entry.Code], code) {
					t.Errorf("%s fires too", code)
				}
			}
			near := node(t, nearMiss(t, entry.Code, list), "near-miss")
			at := slices.IndexFunc(near.Findings, func(f finding.Finding) bool { return f.Code == entry.Code })
			if at >= 0 && (entry.Code != machine.LeaderLeaseExpired || near.Findings[at].Severity != finding.Info) {
				t.Errorf("the near miss fires: %s", near.Findings[at].Message)
			}
			for _, c := range near.Consequences {
				if c.Code == entry.Code {
					t.Errorf("the near miss has it as a consequence: %s", c.Message)
				}
			}
		})
	}
}

// nearMiss gives the reports that hold the node "near-miss": those of the fixture itself, or of near-miss.yaml beside it
// where the two need another cluster each.
func nearMiss(t *testing.T, code finding.Code, same report.List) report.List {
	t.Helper()
	name := filepath.Join(string(code), "near-miss.yaml")
	if _, err := os.Stat(filepath.Join("testdata", name)); err != nil {
		return same
	}
	return judge(loadFile(t, name))
}

// Moments of one crash loop: between two back-offs the container runs, and the pod loops all the same.
func TestACrashLoopIsOneBetweenItsBackOffsToo(t *testing.T) {
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	for _, c := range []struct {
		name     string
		restarts int32
		now      func(at metav1.Time) corev1.ContainerState
		lastRun  time.Duration
		since    time.Duration // the last end
		loops    bool
	}{
		{"runs again for the first time", 1, running, time.Second, time.Second, false},
		{"waits for its second start", 1, func(metav1.Time) corev1.ContainerState { return waiting }, time.Second, 5 * time.Second, true},
		{"in its second run after two short ones", 2, running, time.Second, 15 * time.Second, true},
		{"in its second run after a long one", 2, running, 3 * time.Hour, 15 * time.Second, false},
		{"restarted twice, an hour ago", 2, running, time.Second, time.Hour, false},
		{"runs for three minutes after short runs", 5, running, time.Second, 3 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := load(t, "healthy")
			end := metav1.NewTime(in.Now.Add(-c.since))
			p := &in.Pods[0]
			p.Spec.NodeName, p.Status.Phase = in.Nodes[0].Name, corev1.PodRunning
			p.Namespace, p.OwnerReferences, p.Labels, p.Annotations = "shop", nil, nil, nil
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "app", RestartCount: c.restarts, State: c.now(end),
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: 7, StartedAt: metav1.NewTime(end.Add(-c.lastRun)), FinishedAt: end,
				}},
			}}
			if got := slices.Contains(codes(node(t, judge(in), in.Nodes[0].Name)), workload.PodCrashLooping); got != c.loops {
				t.Errorf("crash loop: %t, want %t", got, c.loops)
			}
		})
	}
}

func running(since metav1.Time) corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}}
}

func TestVerdictFollowsTheWorstFinding(t *testing.T) {
	for _, entry := range rules.Catalog() {
		if entry.Code == rules.NodeClaimNotLaunched || entry.Code == rules.NodeClaimNotRegistered {
			continue // of no node
		}
		fires := node(t, judge(load(t, string(entry.Code))), "fires")
		want := map[finding.Severity]report.Verdict{finding.Critical: report.Unhealthy, finding.Warning: report.Degraded, finding.Info: report.Healthy}[entry.Severity]
		if fires.Verdict != want {
			t.Errorf("%s: got %s, want %s", entry.Code, fires.Verdict, want)
		}
	}
}

func TestCatalogIsWhole(t *testing.T) {
	seen := map[finding.Code]bool{}
	for _, e := range Catalog() {
		if e.Code == "" || e.Title == "" || e.Meaning == "" || e.Evidence == "" || e.Next == "" || seen[e.Code] {
			t.Errorf("%s: an entry lacks something, or stands twice", e.Code)
		}
		seen[e.Code] = true
	}
}

// Every finding that is not for information alone leads somewhere: evidence or a message of its own, and a next command.
func TestEveryTroubleHasANextCommand(t *testing.T) {
	for _, name := range fixtures(t) {
		for _, n := range judge(load(t, name)).Items {
			for _, f := range n.Findings {
				if f.Severity != finding.Info && len(f.Next) == 0 {
					t.Errorf("%s: %s has no next command", name, f.Code)
				}
				for _, next := range f.Next {
					if next.Command == "" || next.Why == "" || next.Risk == "" {
						t.Errorf("%s: %s: %+v", name, f.Code, next)
					}
				}
			}
		}
	}
}

func TestOrderOfTheInputDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, name := range fixtures(t) {
		in := load(t, name)
		want := judge(in)
		for range 5 {
			disorder(random, &in)
			if d := cmp.Diff(want, judge(in)); d != "" {
				t.Fatalf("%s (-want +got):\n%s", name, d)
			}
		}
	}
}

// disorder shuffles the lists of an input.
func disorder(random *rand.Rand, in *Input) {
	shuffle(random, in.Nodes)
	shuffle(random, in.Leases)
	shuffle(random, in.Metrics)
	shuffle(random, in.Pods)
	shuffle(random, in.Events)
	shuffle(random, in.DaemonSets)
	shuffle(random, in.CSINodes)
	shuffle(random, in.VolumeAttachments)
	shuffle(random, in.SystemLeases)
	shuffle(random, in.Sources)
	shuffle(random, in.APIs)
	shuffle(random, in.Services)
	shuffle(random, in.Endpoints)
	shuffle(random, in.Targets)
	for i := range in.Nodes {
		shuffle(random, in.Nodes[i].Status.Conditions)
		shuffle(random, in.Nodes[i].Status.Addresses)
		shuffle(random, in.Nodes[i].Spec.Taints)
	}
}

func shuffle[T any](random *rand.Rand, list []T) {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// A saved input gives the report that was printed when it was saved.
func TestSavedInputGivesTheSameReport(t *testing.T) {
	for _, name := range fixtures(t) {
		in := load(t, name)
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var again Input
		if err := json.Unmarshal(data, &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(judge(in), judge(again)); d != "" {
			t.Errorf("%s (-saved +read):\n%s", name, d)
		}
	}
}

// Whatever is missing, nothing falls over, and no verdict gets better by a source that could not be read.
func TestEverySourceMayBeMissing(t *testing.T) {
	for _, name := range fixtures(t) {
		whole := load(t, name)
		full := judge(whole)
		for i := range whole.Sources {
			in := whole
			in.Sources = slices.Clone(whole.Sources)
			in.Sources[i].State, in.Sources[i].Verb, in.Sources[i].Resource = "forbidden", "list", in.Sources[i].Name
			list := judge(in)
			for _, n := range list.Items {
				if n.Sources.Get(in.Sources[i].Name).Readable() {
					t.Fatalf("%s: %s counts as read", name, in.Sources[i].Name)
				}
				before := node(t, full, n.Name)
				for _, f := range n.Findings {
					known := slices.Contains(codes(before), f.Code) || slices.ContainsFunc(before.Consequences, func(c finding.Consequence) bool { return c.Code == f.Code })
					// Without the lease an Unknown or late node is judged by its conditions alone.
					if !known && in.Sources[i].Name != SourceLeases {
						t.Errorf("%s without %s: %s appears: %s", name, in.Sources[i].Name, f.Code, f.Message)
					}
				}
			}
		}
	}
}

func TestEmptyObjectsDoNotPanic(t *testing.T) {
	in := load(t, "healthy")
	in.Nodes = append(in.Nodes, in.Nodes[0])
	in.Nodes[1].Status.Conditions, in.Nodes[1].Status.Capacity, in.Nodes[1].Status.Allocatable = nil, nil, nil
	for i := range in.Pods {
		in.Pods[i].Status.ContainerStatuses, in.Pods[i].Spec.Containers, in.Pods[i].Status.Conditions = nil, nil, nil
	}
	in.Leases[0].Spec.RenewTime, in.Leases[0].Spec.LeaseDurationSeconds = nil, nil
	judge(in)
	judge(Input{})
}

func TestUnknownIsNeverZero(t *testing.T) {
	n := judge(load(t, "only-nodes")).Items[0]
	if n.Pods != nil || n.Storage != nil || n.Events != nil || n.Health.Heartbeat != nil {
		t.Error("a section that was not read is there")
	}
	for _, r := range n.Resources {
		if r.Requests != nil || r.Usage != nil || r.Free != nil || r.UsagePercent != nil {
			t.Errorf("%s: figures that were not read: %+v", r.Name, r)
		}
	}
	if n.Verdict != report.Healthy || !strings.Contains(n.Summary, "not checked: needs list leases") {
		t.Errorf("%s: %s", n.Verdict, n.Summary)
	}
	for _, r := range judge(load(t, "no-metrics")).Items[0].Resources {
		if r.Usage != nil || r.UsagePercent != nil {
			t.Errorf("%s has usage without metrics", r.Name)
		}
	}
}

func TestStaleAfterIsTheUsersChoice(t *testing.T) {
	in := load(t, string(machine.ReadyConditionStale))
	list := Evaluate(in, in.Now, Options{StaleAfter: 2 * time.Minute})
	if got := codes(node(t, list, "fires")); !slices.Equal(got, []finding.Code{machine.HeartbeatLate, machine.LeaderLeaseExpired}) {
		t.Errorf("95 s with a patience of 2 min: %v", got)
	}
}

func TestBadConditionIsTheUsersChoice(t *testing.T) {
	in := load(t, string(machine.ConditionProblem))
	list := Evaluate(in, in.Now, Options{ProblemConditions: map[string]string{"KernelDeadlock": "", "StorageReady": "", "FrobnicatorEngaged": "True"}})
	if got := node(t, list, "fires"); got.Verdict != report.Healthy {
		t.Errorf("conditions declared harmless: %v", codes(got))
	}
	if got := codes(node(t, list, "near-miss")); !slices.Equal(got, []finding.Code{machine.ConditionProblem}) {
		t.Errorf("a condition declared bad: %v", got)
	}
}

func BenchmarkEvaluate5000Nodes(b *testing.B) {
	base := load(b, "healthy")
	in := Input{Now: base.Now, Depth: Pods, Sources: base.Sources}
	for i := range 5000 {
		n, l, name := base.Nodes[0].DeepCopy(), base.Leases[0].DeepCopy(), "n"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+time.Duration(i).String()
		n.Name, l.Name = name, name
		in.Nodes, in.Leases = append(in.Nodes, *n), append(in.Leases, *l)
		for j := range 30 {
			p := base.Pods[0].DeepCopy()
			p.Spec.Containers[0].Resources.Requests["cpu"] = resource.MustParse("100m")
			p.Name, p.Spec.NodeName = "p"+time.Duration(j).String(), name
			in.Pods = append(in.Pods, *p)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if list := Evaluate(in, in.Now, Options{}); list.Counts.Healthy != 5000 {
			b.Fatal(list.Summary)
		}
	}
}
