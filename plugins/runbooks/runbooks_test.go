package runbooks

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// parse runs the command up to its options.
func parse(t *testing.T, args ...string) (Options, int, string) {
	t.Helper()
	var got Options
	env := testkit.NewEnv("kubectl runbooks", now)
	code := env.Run(t, func(e *cli.Env) *cobra.Command {
		return newCommand(e, func(_ context.Context, _ *cli.Env, o Options) error { got = o; return nil })
	}, args...)
	got.Connection = nil
	return got, code, env.Stderr.String()
}

// A flag that changes no option is a promise that nobody keeps.
func TestEveryFlagChangesTheOptions(t *testing.T) {
	values := map[string]string{"output": "wide", "selector": "a=b", "fail-on": "warning", "timeout": "3s", "since": "1h", "from-input": "f", "color": "always", "namespaces": "a,b", "output-file": "f"}
	root := newCommand(testkit.NewEnv("kubectl runbooks", now).Env, nil)
	for _, command := range append([]*cobra.Command{root}, root.Commands()...) {
		var words []string
		if command != root {
			words = []string{command.Name()}
		}
		if command.Name() == "snapshot" || command.Name() == "html" {
			words = append(words, "file")
		}
		plain, _, _ := parse(t, words...)
		command.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			value, ok := values[f.Name]
			if f.Value.Type() == "bool" {
				value, ok = "true", true
			}
			if !ok {
				t.Errorf("--%s: give this test a value for it", f.Name)
				return
			}
			got, code, stderr := parse(t, append(slices.Clone(words), "--"+f.Name+"="+value)...)
			if code != 0 || reflect.DeepEqual(plain, got) {
				t.Errorf("%v --%s=%s changes nothing, or fails: exit %d: %s", words, f.Name, value, code, stderr)
			}
			if complete, found := command.GetFlagCompletionFunc(f.Name); !found && f.Value.Type() != "bool" && f.Name != "from-input" && f.Name != "output-file" {
				t.Errorf("--%s has no completion (%v)", f.Name, complete)
			}
		})
	}
}

func TestUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"extra": `"extra" is not a command`, "-o nonsense": `-o "nonsense": unknown format`, "-l a==b==c": "invalid selector", "--timeout=0s": "must be positive", "--since=-1h": "must be positive",
		"--fail-on=bad": "unknown severity", "-w -o junit": "prints one report", "--from-input=f -A": "cannot be combined", "-w --output-file=f": "holds one report", "snapshot": "the name of one file or directory",
		"snapshot a b": "the name of one file", "snapshot a --timeout=-1s": "must be positive", "snapshot a -l ,=": "invalid selector",
		"html": "the name of one file", "html a b": "the name of one file", "-w -o html": "prints one report",
		"mcp extra": "is not a command", "mcp --timeout=0s": "must be positive", "mcp --namespaces=a,,b": "a name is empty",
	} {
		if _, code, stderr := parse(t, strings.Fields(args)...); code != cli.ExitError || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
}

func list[T any](kind, version string, items ...T) map[string]any {
	return map[string]any{"kind": kind, "apiVersion": version, "metadata": map[string]any{"resourceVersion": "1"}, "items": append([]T{}, items...)}
}

// server is a small cluster: a node that stopped reporting, and a Deployment with a pod on it.
func server(t *testing.T) *testkit.Server {
	s := testkit.NewServer(t)
	at := func(ago time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(-ago).Truncate(time.Second)) }
	renewed := metav1.NewMicroTime(at(5 * time.Minute).Time)
	seconds, holder := int32(40), "w1"
	s.Answer("/api/v1/nodes", list("NodeList", "v1", corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "w1", CreationTimestamp: at(time.Hour)},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status.",
			LastHeartbeatTime: at(5 * time.Minute), LastTransitionTime: at(4 * time.Minute),
		}}},
	}))
	s.Answer("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", list("LeaseList", "coordination.k8s.io/v1", coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "w1", Namespace: "kube-node-lease"},
		Spec:       coordinationv1.LeaseSpec{RenewTime: &renewed, LeaseDurationSeconds: &seconds, HolderIdentity: &holder},
	}))
	replicas, app := int32(1), map[string]string{"app": "api"}
	controller := true
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: app},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x", Env: []corev1.EnvVar{{Name: "API_TOKEN", Value: "hunter2"}}}}},
	}
	deployment := appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "shop", UID: "d", Generation: 1, CreationTimestamp: at(time.Hour), Annotations: map[string]string{"deployment.kubernetes.io/revision": "1"}},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: app}, Template: template},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 1, Replicas: 1, UpdatedReplicas: 1, UnavailableReplicas: 1,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"}},
		},
	}
	set := appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "api-1", Namespace: "shop", UID: "r", Labels: app, CreationTimestamp: at(time.Hour), Annotations: map[string]string{"deployment.kubernetes.io/revision": "1"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "api", UID: "d", Controller: &controller, APIVersion: "apps/v1"}},
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: deployment.Spec.Selector, Template: template},
		Status: appsv1.ReplicaSetStatus{Replicas: 1},
	}
	started := at(time.Hour)
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "api-1-x", Namespace: "shop", UID: "p", Labels: app, CreationTimestamp: at(time.Hour),
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "api-1", UID: "r", Controller: &controller, APIVersion: "apps/v1"}},
		},
		Spec: template.Spec,
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &started, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: at(4 * time.Minute)}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "c", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}}}},
		},
	}
	pod.Spec.NodeName = "w1"
	s.Answer("/apis/apps/v1/deployments", list("DeploymentList", "apps/v1", deployment))
	s.Answer("/apis/apps/v1/replicasets", list("ReplicaSetList", "apps/v1", set))
	s.Answer("/api/v1/pods", list("PodList", "v1", pod))
	for path, kind := range map[string]string{
		"/apis/apps/v1/statefulsets": "StatefulSetList", "/apis/apps/v1/daemonsets": "DaemonSetList", "/apis/apps/v1/controllerrevisions": "ControllerRevisionList",
	} {
		s.Answer(path, list[string](kind, "apps/v1"))
	}
	s.Answer("/apis/batch/v1/jobs", list[string]("JobList", "batch/v1"))
	for path, kind := range map[string]string{"/api/v1/events": "EventList", "/api/v1/services": "ServiceList", "/api/v1/namespaces": "NamespaceList"} {
		s.Answer(path, list[string](kind, "v1"))
	}
	s.Answer("/apis/discovery.k8s.io/v1/endpointslices", list[string]("EndpointSliceList", "discovery.k8s.io/v1"))
	s.Answer("/apis/networking.k8s.io/v1/networkpolicies", list[string]("NetworkPolicyList", "networking.k8s.io/v1"))
	return s
}

func run0(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env := testkit.NewEnv("kubectl runbooks", now)
	env.Now = time.Now
	code = env.Run(t, New, args...)
	return code, env.Stdout.String(), env.Stderr.String()
}

func TestEachListIsAskedOnce(t *testing.T) {
	s := server(t)
	code, stdout, stderr := run0(t, "--kubeconfig", s.Kubeconfig(t), "-o", "json")
	var got report.Triage
	if err := json.Unmarshal([]byte(stdout), &got); code != 0 || err != nil {
		t.Fatalf("exit %d: %v\n%s%s", code, err, stdout, stderr)
	}
	asked := map[string]int{}
	for _, r := range s.Requests() {
		path, _, _ := strings.Cut(r, "?")
		asked[path]++
	}
	for _, path := range []string{"/api/v1/nodes", "/api/v1/pods", "/apis/apps/v1/daemonsets", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", "/api/v1/events"} {
		if asked["GET "+path] != 1 {
			t.Errorf("%s is asked %d times", path, asked["GET "+path])
		}
	}
	for path, n := range asked {
		if n > 1 {
			t.Errorf("%s is asked %d times", path, n)
		}
	}
	i := slices.IndexFunc(got.Causes, func(c report.Cause) bool { return c.Code == "KubeletNotReporting" })
	if i < 0 || !strings.Contains(got.Causes[i].ExplainsSummary, "1 rollout") {
		t.Errorf("%+v", got.Causes)
	}
}

func TestAPartThatCannotBeReadIsStatedAndTheOthersAnswer(t *testing.T) {
	s := server(t)
	s.Refuse("/api/v1/nodes", http.StatusForbidden)
	code, stdout, stderr := run0(t, "--kubeconfig", s.Kubeconfig(t))
	if code != 0 || !strings.Contains(stdout, "\nNot read:\n  nodeinfo: needs list nodes\n") || !strings.Contains(stdout, "DNSServiceNotFound") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if code, _, _ := run0(t, "--kubeconfig", s.Kubeconfig(t), "--require-complete"); code != cli.ExitIncomplete {
		t.Errorf("--require-complete: exit %d", code)
	}
	if code, _, _ := run0(t, "--kubeconfig", s.Kubeconfig(t), "--fail-on=critical"); code != cli.ExitThreshold {
		t.Errorf("--fail-on: exit %d", code)
	}
}

func TestASnapshotIsExplainedAsTheClusterWas(t *testing.T) {
	s := server(t)
	file := filepath.Join(t.TempDir(), "s.tar.gz")
	if code, stdout, stderr := run0(t, "snapshot", file, "--kubeconfig", s.Kubeconfig(t)); code != 0 || stdout+stderr != "" {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	_, live, _ := run0(t, "--kubeconfig", s.Kubeconfig(t), "-o", "name")
	code, saved, stderr := run0(t, "--from-input", file, "-o", "name")
	if code != 0 || saved != live || !strings.Contains(live, "node/w1") {
		t.Errorf("exit %d: %q, live %q\n%s", code, saved, live, stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := unpack(data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r.Rollouts)
	if err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("a secret is saved, or %v", err)
	}
	for name, bad := range map[string][]byte{"no archive": []byte("{}"), "cut": data[:len(data)/2], "empty": nil} {
		path := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := run0(t, "--from-input", path); code != cli.ExitError || !strings.Contains(stderr, "not a file that the command snapshot wrote") {
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
		if code, stdout, stderr := run0(t, "html", path); code != cli.ExitError || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("html of %s: exit %d: %s%s", name, code, stdout, stderr)
		}
	}
	testkit.ReadPublished(t, "", func(format string) string {
		_, stdout, _ := run0(t, "--from-input", file, "-o", format)
		return stdout
	})
	_, page, _ := run0(t, "--from-input", file, "-o", "html")
	if code, got, stderr := run0(t, "html", file); code != 0 || got != page || !strings.Contains(got, "<table") {
		t.Errorf("html of a snapshot: exit %d, %d bytes, of -o html %d: %s", code, len(got), len(page), stderr)
	}
	for _, format := range []string{"table", "wide", "yaml", "json"} {
		if _, stdout, _ := run0(t, "--from-input", file, "-o", format); testkit.Unsafe(stdout) != "" || stdout == "" {
			t.Errorf("-o %s: %s", format, stdout)
		}
	}
}

// A directory holds the same as an archive, as files that each plugin takes for itself.
func TestASnapshotMayBeADirectory(t *testing.T) {
	s := server(t)
	dir := filepath.Join(t.TempDir(), "cluster") + string(filepath.Separator)
	if code, stdout, stderr := run0(t, "snapshot", dir, "--kubeconfig", s.Kubeconfig(t)); code != 0 || stdout+stderr != "" {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	_, live, _ := run0(t, "--kubeconfig", s.Kubeconfig(t), "-o", "name")
	dir = filepath.Clean(dir) // which exists by now
	if code, saved, stderr := run0(t, "--from-input", dir, "-o", "name"); code != 0 || saved != live {
		t.Errorf("exit %d: %q, live %q\n%s", code, saved, live, stderr)
	}
	_, page, _ := run0(t, "--from-input", dir, "-o", "html")
	if code, got, stderr := run0(t, "html", dir); code != 0 || got != page || !strings.Contains(got, "<table") {
		t.Errorf("html: exit %d, %d bytes, of -o html %d: %s", code, len(got), len(page), stderr)
	}
	env := testkit.NewEnv("kubectl nodeinfo", now)
	if code := env.Run(t, nodeinfo.New, "--from-input", filepath.Join(dir, fileNodes), "-o", "name"); code != 0 || env.Stdout.String() != "node/w1\n" {
		t.Errorf("nodeinfo: exit %d: %s%s", code, env.Stdout, env.Stderr)
	}
	s.Refuse("/api/v1/nodes", http.StatusForbidden) // a workflow that can no longer be read leaves no file of before
	if code, _, stderr := run0(t, "snapshot", dir, "--kubeconfig", s.Kubeconfig(t)); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if _, text, _ := run0(t, "--from-input", dir); !strings.Contains(text, "nodeinfo: needs list nodes") {
		t.Error(text)
	}
	if err := os.Remove(filepath.Join(dir, fileAbout)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--from-input", dir}, {"html", dir}} {
		if code, _, stderr := run0(t, args...); code != cli.ExitError || !strings.Contains(stderr, "not a directory that the command snapshot wrote: runbooks.json is missing") {
			t.Errorf("%q: exit %d: %s", args, code, stderr)
		}
	}
}

// A file of a report is that of the last report as a whole, whatever comes after.
func TestAReportIsWrittenWhole(t *testing.T) {
	s := server(t)
	dir := t.TempDir()
	file, link := filepath.Join(dir, "runbooks.prom"), filepath.Join(dir, "link")
	if err := os.Symlink("runbooks.prom", link); err != nil {
		t.Fatal(err)
	}
	ask := func(path string, args ...string) (int, string) {
		code, stdout, stderr := run0(t, append([]string{"--kubeconfig", s.Kubeconfig(t), "-o", "prometheus", "--output-file", path}, args...)...)
		if stdout != "" {
			t.Errorf("it is printed, too: %s", stdout)
		}
		return code, stderr
	}
	if code, stderr := ask(file, "--fail-on=critical"); code != cli.ExitThreshold {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	first, err := os.ReadFile(file)
	if err != nil || len(testkit.ReadPrometheus(t, string(first))) == 0 {
		t.Fatalf("%v: %s", err, first)
	}
	if at, err := os.Stat(file); err != nil || at.Mode() != 0o644 {
		t.Errorf("%v, %v: the collector runs as another user", at.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stderr := ask(link); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if again, err := os.ReadFile(file); err != nil || len(again) != len(first) {
		t.Errorf("%v: %s", err, again)
	}
	// What fails leaves the report of before, and nothing beside it.
	if code, _ := ask(file, "--kubeconfig", filepath.Join(dir, "none")); code != cli.ExitError {
		t.Errorf("exit %d", code)
	}
	if code, stderr := ask(filepath.Join(dir, "no", "file")); code != cli.ExitError || !strings.Contains(stderr, "no such file or directory") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestExplainKnowsTheCodesOfAllWorkflows(t *testing.T) {
	for _, code := range []string{"KubeletNotReporting", "CorefileInvalid", "QuotaExceeded", "NodeNotReady"} {
		for _, language := range []string{"en", "zh"} {
			if exit, stdout, stderr := run0(t, "--explain", code, "--lang", language); exit != 0 || !strings.HasPrefix(stdout, code+" (") {
				t.Errorf("%s %s: exit %d: %s%s", code, language, exit, stdout, stderr)
			}
		}
	}
}

func TestPages(t *testing.T) {
	s := server(t)
	code, stdout, stderr := run0(t, "--kubeconfig", s.Kubeconfig(t), "-o", "html", "--fail-on=critical")
	if code != cli.ExitThreshold || stderr != "" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{"<!DOCTYPE html>\n", "KubeletNotReporting", `<a href="#o1">w1</a>`, `<a href="#o2">deployment/api</a>`, "DNSServiceNotFound"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %s:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "hunter2") {
		t.Error("a secret is on the page")
	}
	for _, format := range []string{"json", "yaml"} {
		_, report, _ := run0(t, "--kubeconfig", s.Kubeconfig(t), "-o", format)
		env := testkit.NewEnv("kubectl runbooks", now).Stdin(strings.NewReader(report))
		if code := env.Run(t, New, "html", "-"); code != 0 || !strings.Contains(env.Stdout.String(), "KubeletNotReporting") {
			t.Errorf("%s: exit %d: %s", format, code, env.Stderr)
		}
	}
	for file, want := range map[string]string{"nope.json": "no such file", "options.go": "is not a report that -o json printed"} {
		if code, stdout, stderr := run0(t, "html", file); code != cli.ExitError || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s%s", file, code, stdout, stderr)
		}
	}
}

// The recorded cluster of `make demo` is explained by this version, and begins with the node that is the cause of all.
func TestTheDemosRecordedClusterIsExplained(t *testing.T) {
	code, stdout, stderr := run0(t, "--from-input", "../../test/demo/cluster.tar.gz")
	for _, want := range []string{"Unhealthy: node/w1: the kubelet has not reported", "Causes:   1 critical; it explains 5 more problems\n", "  Explains: 4 rollouts in 2 namespaces, 1 DNS replica\n"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, no %q: %s%s", code, want, stdout, stderr)
		}
	}
}
