package evaluate_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// a case overlays a healthy node and the default options.
type fixture struct {
	Input   evaluate.Input   `json:"input"`
	Options evaluate.Options `json:"options"`
	Tries   []evaluate.Try   `json:"tries"`
	Usable  []string         `json:"usable"`
	Wait    *podspec.Wait    `json:"wait"`
	Pod     *corev1.Pod      `json:"pod"`
	Dropped int64            `json:"dropped"`
	Killed  *string          `json:"killed"` // with code 137; the memory limit that admission has set, or nothing
	Gone    string           `json:"gone"`   // how the pod of a capture ended
}

func healthy() fixture {
	renewed := metav1.NewMicroTime(now.Add(-5 * time.Second))
	return fixture{
		Input: evaluate.Input{
			Node: &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "worker-1"},
				Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", OSImage: "Debian GNU/Linux 12"}},
			},
			Lease: &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &renewed}},
			User:  "jane@example.test",
		},
		Options: evaluate.Options{
			Name: "nodeshell-1-0", RunID: "1", Manager: "kubectl-nodeshell", Namespace: "default", MaxDuration: 4 * time.Hour,
			Command: []string{"uname", "-r"}, Kubectl: finding.Kubectl{Flags: []string{"--context=prod"}}, Program: "nodeshell",
		},
	}
}

// TestAWrongClockMakesNoNodeSilent: the lease has the node's clock, its managedFields the server's.
func TestAWrongClockMakesNoNodeSilent(t *testing.T) {
	for _, tt := range []struct {
		clock, heard time.Duration
		refused      bool
	}{
		{-45 * time.Second, 5 * time.Second, false},
		{10 * time.Minute, 50 * time.Second, true},
	} {
		f := healthy()
		renewed, at := metav1.NewMicroTime(now.Add(tt.clock-tt.heard)), metav1.NewTime(now.Add(-tt.heard))
		f.Input.Lease.Spec.RenewTime = &renewed
		f.Input.Lease.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:renewTime":{}}}`)}}
		if p := f.plan(); (p.Verdict == report.Refused) != tt.refused {
			t.Errorf("a clock wrong by %s, heard of %s ago: %s, %s", tt.clock, tt.heard, p.Verdict, p.Summary)
		}
	}
}

func load(t *testing.T, name string) fixture {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name, "input.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f := healthy()
	if err := yaml.UnmarshalStrict(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f fixture) plan() report.Plan {
	plan := evaluate.Evaluate(f.Input, now, f.Options)
	if f.Tries != nil {
		for i := range f.Tries {
			f.Tries[i].Asked = plan.Pod
		}
		plan = evaluate.Place(plan, f.Tries, slices.Clone(f.Usable), f.Options)
	}
	if f.Wait != nil {
		plan.Findings = append(plan.Findings, evaluate.NotStarted(plan, *f.Wait, f.Options))
	}
	if f.Pod != nil && f.Pod.Spec.HostNetwork {
		plan.Findings = append(plan.Findings, evaluate.HostNetwork(f.Pod)...)
	}
	if f.Killed != nil {
		made := plan.Pod.DeepCopy()
		if *f.Killed != "" {
			made.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(*f.Killed)}
		}
		if limit := evaluate.MemoryLimit(plan.Pod, made); limit != nil {
			plan.Findings = append(plan.Findings, evaluate.OutOfMemory(plan, limit, true, f.Options))
		}
	}
	if f.Gone != "" {
		plan.Findings = append(plan.Findings, evaluate.Gone(f.Pod, f.Gone, f.Options))
	}
	if f.Dropped > 0 {
		plan.Findings = append(plan.Findings, evaluate.Dropped(f.Input.Node.Name, f.Dropped, f.Options))
	}
	return plan
}

// Each folder of testdata is a case: CODE[-variant] must report the code, CODE-not must not.
func TestFixtures(t *testing.T) {
	folders, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	fired, missed := map[finding.Code]bool{}, map[finding.Code]bool{}
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		name := folder.Name()
		word, variant, _ := strings.Cut(name, "-")
		code := finding.Code(word)
		t.Run(name, func(t *testing.T) {
			plan := load(t, name).plan()
			has := slices.ContainsFunc(plan.Findings, func(f finding.Finding) bool { return f.Code == code })
			if near := variant == "not"; near == has {
				t.Errorf("%s reported: %v", code, has)
			} else if near {
				missed[code] = true
			} else {
				fired[code] = true
			}
			plan.Pod = nil // its own test
			text, err := yaml.Marshal(plan)
			if err != nil {
				t.Fatal(err)
			}
			testkit.Golden(t, name+"/plan.yaml", string(text))
		})
	}
	for _, entry := range evaluate.Catalog() {
		if !fired[entry.Code] || !missed[entry.Code] {
			t.Errorf("%s: positive fixture %v, near miss %v; both are needed", entry.Code, fired[entry.Code], missed[entry.Code])
		}
	}
}

func TestCatalogIsSortedAndWhole(t *testing.T) {
	var codes []finding.Code
	for _, e := range evaluate.Catalog() {
		codes = append(codes, e.Code)
		if e.Title == "" || e.Meaning == "" || e.Evidence == "" || e.Next == "" || e.Severity == "" {
			t.Errorf("%s is not whole", e.Code)
		}
	}
	if !slices.IsSorted(codes) || len(slices.Compact(slices.Clone(codes))) != len(codes) {
		t.Errorf("not sorted, or twice: %v", codes)
	}
}

func TestARefusalIsTheSummary(t *testing.T) {
	if p := load(t, "KubeletNotReporting").plan(); p.Verdict != report.Refused || !strings.Contains(p.Summary, "has not reported for 2m5s") {
		t.Errorf("%s: %s", p.Verdict, p.Summary)
	}
	if p := load(t, "KubeletNotReporting-forced").plan(); p.Verdict != report.Ready {
		t.Errorf("forced, and still %s", p.Verdict)
	}
	if p := load(t, "NodeNotReady").plan(); p.Verdict != report.Ready {
		t.Errorf("a node that is not ready can be entered: %s", p.Summary)
	}
}

// The pod, field by field: what is not here is not set.
func TestPod(t *testing.T) {
	tests := map[string]func(*fixture){
		"plain":    func(*fixture) {},
		"critical": func(f *fixture) { f.Options.Critical = true },
		"no-pull":  func(f *fixture) { f.Options.NoPull, f.Input.Donor = true, "example.test/app:1" },
		"windows":  func(f *fixture) { f.Input.Node.Status.NodeInfo.OperatingSystem = "windows" },
		"everything": func(f *fixture) {
			f.Options.Image, f.Options.PullSecrets, f.Options.Reason = "example.test/tools:2", []string{"registry"}, "INC-12"
			f.Options.Labels, f.Options.Annotations = map[string]string{"team": "sre"}, map[string]string{"policy/why": "debug"}
			f.Options.MountPVC, f.Options.MountPath, f.Options.InContainer = "data", "/mnt", true
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			f := healthy()
			change(&f)
			text, err := yaml.Marshal(evaluate.Evaluate(f.Input, now, f.Options).Pod)
			if err != nil {
				t.Fatal(err)
			}
			testkit.Golden(t, "pod-"+name+".yaml", string(text))
		})
	}
}

func TestCommand(t *testing.T) {
	env := []string{"env", "-i", "HOME=/root", "USER=root", "LOGNAME=root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SHELL=/bin/sh"}
	host := append(slices.Clone(env), "nsenter", "-t", "1", "-m", "-u", "-i", "-n", "--")
	// A bare word is looked up by the node's shell, never taken for an applet of the image's busybox.
	named := append(slices.Clone(host), "/bin/sh", "-c", `exec "$@"`, "sh")
	tests := []struct {
		name   string
		change func(*fixture)
		want   []string
	}{
		{"argv word for word", func(f *fixture) { f.Options.Command = []string{"sh", "-c", "echo 'a b' | wc"} }, append(slices.Clone(host), "/bin/sh", "-c", "echo 'a b' | wc")},
		{"a shell line", func(f *fixture) { f.Options.Command, f.Options.Eval = nil, "a | b" }, append(slices.Clone(host), "/bin/sh", "-c", "a | b")},
		{"a script by stdin", func(f *fixture) { f.Options.Script = []string{"bash", "-s", "--", "x"} }, append(slices.Clone(named), "bash", "-s", "--", "x")},
		{"commands by a pipe", func(f *fixture) { f.Options.Command = nil }, append(slices.Clone(host), "/bin/sh")},
		{"a path needs no shell", func(f *fixture) { f.Options.Command = []string{"/opt/bin/x", "a b"} }, append(slices.Clone(host), "/opt/bin/x", "a b")},
		{"in the image", func(f *fixture) { f.Options.InContainer = true }, append(slices.Clone(env), "uname", "-r")},
		{"the terminal's name only with a terminal", func(f *fixture) { f.Options.Term = "xterm" }, append(slices.Clone(named), "uname", "-r")},
		{"a terminal of the host", func(f *fixture) {
			f.Options.HostTTY, f.Options.TTY, f.Options.Command = true, true, []string{"echo", "it's"}
		}, append(slices.Clone(named), "script", "-qec", `exec echo 'it'\''s'`, "/dev/null")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := healthy()
			test.change(&f)
			if d := cmp.Diff(test.want, evaluate.Evaluate(f.Input, now, f.Options).Command); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestImageIsOneThatTheNodeHas(t *testing.T) {
	node := healthy().Input.Node
	o := evaluate.Options{}
	if got := evaluate.Image(node, o); got != evaluate.DefaultImage {
		t.Errorf("nothing known: %s", got)
	}
	node.Status.Images = []corev1.ContainerImage{
		{Names: []string{"docker.io/library/alpine@sha256:0", "docker.io/library/alpine:3.20"}}, {Names: []string{"docker.io/library/busybox:latest"}},
	}
	if got := evaluate.Image(node, o); got != "docker.io/library/alpine:3.20" {
		t.Errorf("alpine is there, and pinned: %s", got)
	}
	o.Image = "mine:1"
	if got := evaluate.Image(node, o); got != "mine:1" {
		t.Errorf("the user's: %s", got)
	}
}

func TestOrderOfListsDoesNotMatter(t *testing.T) {
	f := load(t, "NodePressure")
	f.Usable = []string{"a", "b"}
	f.Tries = []evaluate.Try{{Namespace: "default", Denied: `violates PodSecurity "restricted:latest": x`}}
	f.Input.Node.Status.Images = []corev1.ContainerImage{{Names: []string{"docker.io/library/busybox:1.36", "docker.io/library/busybox:1.37"}}, {Names: []string{"docker.io/library/busybox:1.35"}}}
	f.Input.Sources = source.List{{Name: "leases", State: source.OK}}
	want := f.plan()
	slices.Reverse(f.Usable)
	slices.Reverse(f.Input.Node.Status.Conditions)
	slices.Reverse(f.Input.Node.Status.Images)
	slices.Reverse(f.Input.Node.Status.Images[1].Names)
	if d := cmp.Diff(want, f.plan()); d != "" {
		t.Error(d)
	}
}
