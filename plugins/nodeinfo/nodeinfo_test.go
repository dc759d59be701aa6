package nodeinfo

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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// parse runs the command up to its options.
func parse(t *testing.T, args ...string) (Options, int, string) {
	t.Helper()
	var got Options
	env := testkit.NewEnv("kubectl nodeinfo", now)
	code := env.Run(t, func(e *cli.Env) *cobra.Command {
		return newCommand(e, func(_ context.Context, _ *cli.Env, o Options) error { got = o; return nil })
	}, args...)
	return got, code, env.Stderr.String()
}

// A flag that changes no option is a promise that nobody keeps.
func TestEveryFlagChangesTheOptions(t *testing.T) {
	plain, _, _ := parse(t)
	plain.Connection = nil
	values := map[string]string{
		"output": "wide", "selector": "a=b", "field-selector": "spec.unschedulable=true", "label-columns": "zone", "sort-by": "age",
		"section": "health", "problem-condition": "A=True", "fail-on": "warning", "timeout": "3s", "stale-after": "3m", "save-input": "f", "from-input": "f", "filename": "f", "color": "always", "wait-for": "healthy", "rbac-manifest": "full", "thresholds": "f",
	}
	command := newCommand(testkit.NewEnv("kubectl nodeinfo", now).Env, nil) // without --explain, which answers by itself
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
		plain, args := plain, []string{"--" + f.Name + "=" + value}
		if f.Name == "drain" || f.Name == "remove" { // needs a node
			plain.Names, args = []string{"w1"}, append(args, "w1")
		}
		got, code, stderr := parse(t, args...)
		got.Connection = nil
		if code != 0 {
			t.Errorf("--%s=%s: exit %d: %s", f.Name, value, code, stderr)
		}
		if reflect.DeepEqual(plain, got) {
			t.Errorf("--%s changes nothing", f.Name)
		}
		if complete, found := command.GetFlagCompletionFunc(f.Name); !found && f.Value.Type() != "bool" && !strings.Contains(f.Name, "input") && f.Name != "filename" && f.Name != "thresholds" {
			t.Errorf("--%s has no completion (%v)", f.Name, complete)
		}
	})
}

func TestUsageErrorsComeAllAtOnce(t *testing.T) {
	_, code, stderr := parse(t, "-o", "xml", "-l", "a b c", "--sort-by=size", "--fail-on=fatal", "--section=all", "--color=blue", "--problem-condition=X", "--timeout=0s")
	if code != cli.ExitError {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{`-o "xml"`, `-l "a b c"`, `--sort-by "size"`, `--fail-on "fatal"`, `--section "all"`, `--color "blue"`, `--problem-condition "X"`, "--timeout", "See 'kubectl nodeinfo --help'"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not reported:\n%s", want, stderr)
		}
	}
}

func TestNamesMayBeWrittenAsKubectlTakesThem(t *testing.T) {
	for _, args := range [][]string{{"w1", "w2"}, {"node/w1", "node/w2"}, {"nodes", "w1", "w2"}, {"no/w1", "w2", "w1"}} {
		if o, code, stderr := parse(t, args...); code != 0 || !slices.Equal(o.Names, []string{"w1", "w2"}) {
			t.Errorf("%v: %v, exit %d: %s", args, o.Names, code, stderr)
		}
	}
	if _, code, stderr := parse(t, "pod/x"); code != cli.ExitError || !strings.Contains(stderr, `"pod": unknown type`) {
		t.Errorf("pod/x: exit %d: %s", code, stderr)
	}
	if _, code, _ := parse(t, "w1", "-l", "a=b"); code != cli.ExitError {
		t.Error("names and a selector together are accepted")
	}
}

// server has one healthy node by its conditions, and a cordoned one that is NotReady.
func server(t *testing.T) *testkit.Server {
	t.Helper()
	s := testkit.NewServer(t)
	good := corev1.Node{TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "good", CreationTimestamp: metav1.Time{Time: time.Now().Add(-time.Hour)}}}
	good.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	bad := *good.DeepCopy()
	bad.Name, bad.Spec.Unschedulable = "bad", true
	bad.Status.Conditions[0].Status, bad.Status.Conditions[0].Message = corev1.ConditionFalse, "container runtime is down"
	s.Answer("/api/v1/nodes", corev1.NodeList{TypeMeta: metav1.TypeMeta{Kind: "NodeList", APIVersion: "v1"}, Items: []corev1.Node{good, bad}})
	s.Answer("/api/v1/nodes/good", good)
	s.Answer("/api/v1/nodes/bad", bad)
	s.Refuse("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", http.StatusForbidden)
	return s
}

func runOn(t *testing.T, s *testkit.Server, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	env := testkit.NewEnv("kubectl nodeinfo", time.Now())
	env.Now = time.Now
	code = env.Run(t, New, append([]string{"--kubeconfig", s.Kubeconfig(t)}, args...)...)
	testkit.CheckText(t, strings.Join(args, " "), env.Stdout.String())
	return env.Stdout.String(), env.Stderr.String(), code
}

func TestExitCodes(t *testing.T) {
	s := server(t)
	tests := []struct {
		args string
		want int
	}{
		{"", 0},
		{"--fail-on=critical", cli.ExitThreshold},
		{"good --fail-on=warning", 0},
		{"bad --fail-on=warning", cli.ExitThreshold},
		{"--require-complete", cli.ExitIncomplete},
		{"--require-complete --fail-on=critical", cli.ExitThreshold},
		{"good nope", cli.ExitError},
		{"--only-problems --fail-on=critical", cli.ExitThreshold},
	}
	for _, tt := range tests {
		if _, stderr, code := runOn(t, s, strings.Fields(tt.args)...); code != tt.want {
			t.Errorf("%q: exit %d, want %d: %s", tt.args, code, tt.want, stderr)
		}
	}
}

func TestAnUnknownNodeDoesNotHideTheOthers(t *testing.T) {
	stdout, stderr, code := runOn(t, server(t), "nope", "good")
	if code != cli.ExitError || !strings.HasPrefix(stdout, "Healthy: node/good: ") || !strings.Contains(stderr, `error: node "nope" not found`) {
		t.Errorf("exit %d\nstdout %s\nstderr %s", code, stdout, stderr)
	}
}

func TestFormats(t *testing.T) {
	s := server(t)
	if out, _, _ := runOn(t, s, "-o", "name"); out != "node/bad\nnode/good\n" {
		t.Errorf("name: %q", out)
	}
	if out, _, _ := runOn(t, s, "-o", "name", "--only-problems"); out != "node/bad\n" {
		t.Errorf("only problems: %q", out)
	}
	if out, _, _ := runOn(t, s, "-o", "name", "--sort-by=name"); out != "node/bad\nnode/good\n" {
		t.Errorf("by name: %q", out)
	}
	if out, _, _ := runOn(t, s, "-o", `jsonpath={range .items[*]}{.name}={.verdict},{end}`); strings.TrimSpace(out) != "bad=Unhealthy,good=Healthy," {
		t.Errorf("jsonpath: %q", out)
	}
	out, _, _ := runOn(t, s, "-o", "json")
	var list report.List
	if err := json.Unmarshal([]byte(out), &list); err != nil || list.APIVersion != report.APIVersion || list.Kind != report.Kind || len(list.Items) != 2 {
		t.Errorf("json: %v\n%s", err, out)
	}
	if out, _, _ := runOn(t, s, "-o", "json", "--section=health"); strings.Contains(out, `"resources"`) || !strings.Contains(out, `"conditions"`) {
		t.Error("--section does not choose in JSON")
	}
	if out, _, _ := runOn(t, s, "--no-headers"); strings.Contains(out, "NAME") || strings.Contains(out, "2 nodes") {
		t.Errorf("no headers: %s", out)
	}
}

func TestASavedInputIsExplainedWithoutACluster(t *testing.T) {
	s := server(t)
	file := filepath.Join(t.TempDir(), "input.json")
	live, _, _ := runOn(t, s, "bad", "--save-input", file)
	asked := len(s.Requests())
	again, stderr, code := runOn(t, s, "bad", "--from-input", file)
	if code != 0 || len(s.Requests()) != asked {
		t.Errorf("exit %d, %d requests: %s", code, len(s.Requests())-asked, stderr)
	}
	strip := func(text string) string { return strings.ReplaceAll(text, " --kubeconfig="+s.Kubeconfig(t), "") }
	firstLine := func(text string) string { line, _, _ := strings.Cut(strip(text), "\n"); return line }
	if firstLine(live) != firstLine(again) {
		t.Errorf("live %q, replayed %q", firstLine(live), firstLine(again))
	}
	if data, err := os.ReadFile(file); err != nil || !json.Valid(data) {
		t.Errorf("%v", err)
	}
	if _, stderr, code := runOn(t, s, "--from-input", "/no/such/file"); code != cli.ExitError || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	s := server(t)
	s.Refuse("/api/v1/nodes", http.StatusForbidden)
	if _, stderr, code := runOn(t, s); code != cli.ExitError || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "error: not allowed") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	s.Refuse("/api/v1/nodes", http.StatusUnauthorized)
	if _, stderr, code := runOn(t, s); code != cli.ExitError || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "credentials") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	s.Close()
	if _, stderr, code := runOn(t, s); code != cli.ExitError || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "refuses connections") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// contexts writes a kubeconfig with a context for each server.
func contexts(t *testing.T, servers map[string]*testkit.Server) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	for name, s := range servers {
		one, err := clientcmd.LoadFromFile(s.Kubeconfig(t))
		if err != nil {
			t.Fatal(err)
		}
		context := one.Contexts[one.CurrentContext]
		config.Clusters[name], config.AuthInfos[name] = one.Clusters[context.Cluster], one.AuthInfos[context.AuthInfo]
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSeveralClustersInOneTable(t *testing.T) {
	east, west, other := server(t), server(t), server(t)
	config := contexts(t, map[string]*testkit.Server{"prod-east": east, "prod-west": west, "test": other})
	ask := func(args ...string) (string, string, int) {
		env := testkit.NewEnv("kubectl nodeinfo", time.Now())
		env.Now = time.Now
		code := env.Run(t, New, append([]string{"--kubeconfig", config, "--context", "prod-*"}, args...)...)
		return env.Stdout.String(), env.Stderr.String(), code
	}
	out, stderr, code := ask()
	if lines := strings.Split(out, "\n"); code != 0 || stderr != "" || !strings.HasPrefix(lines[0], "CONTEXT     NAME") || !strings.HasPrefix(lines[1], "prod-east   bad ") ||
		!strings.HasPrefix(lines[2], "prod-west   bad ") || !strings.Contains(out, "4 nodes in 2 clusters: 2 Unhealthy, 2 Healthy; 2 cordoned\n") {
		t.Errorf("exit %d, %s\n%s", code, stderr, out)
	}
	if len(other.Requests()) != 0 {
		t.Errorf("a cluster that was not named is asked: %v", other.Requests())
	}
	// One that is named everywhere is found in both, and its next command goes to its own cluster.
	if out, _, code := ask("bad"); code != 0 || !strings.Contains(out, "Unhealthy: node/bad (prod-west): ") || !strings.Contains(out, "--context=prod-west") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if _, stderr, code := ask("nope"); code != cli.ExitError || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, stderr, code := ask("--save-input", filepath.Join(t.TempDir(), "f")); code != cli.ExitError || !strings.Contains(stderr, "--save-input requires a single cluster") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	west.Close()
	out, stderr, code = ask()
	if code != cli.ExitError || !strings.Contains(out, "prod-east   bad ") || !strings.Contains(out, "2 nodes in 1 cluster: 1 Unhealthy, 1 Healthy; 1 cordoned; 1 cluster not read") || !strings.Contains(stderr, `error: context "prod-west": `) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d, %s\n%s", code, stderr, out)
	}
	east.Close()
	if out, stderr, code = ask(); code != cli.ExitError || out != "" || strings.Count(stderr, "\n") != 2 {
		t.Errorf("exit %d, %s\n%s", code, stderr, out)
	}
}

func TestSortKeysPutTheUnknownLast(t *testing.T) {
	p := func(f float64) *float64 { return &f }
	at := func(s int) *time.Time { v := now.Add(time.Duration(s) * time.Second); return &v }
	node := func(name string, cpu *float64, heard *time.Time) report.Node {
		n := report.Node{Name: name, CreatedAt: heard, Resources: []report.Resource{{Name: "cpu", UsagePercent: cpu, RequestsPercent: cpu}, {Name: "memory", UsagePercent: cpu, RequestsPercent: cpu}, {Name: "pods", RequestsPercent: cpu}}}
		if heard != nil {
			n.Health = &report.Health{Heartbeat: &report.Heartbeat{ReceivedAt: heard}}
		}
		return n
	}
	for _, key := range sortKeys {
		list := []report.Node{node("unknown", nil, nil), node("low", p(1), at(5)), node("high", p(90), at(-500))}
		slices.SortStableFunc(list, order(key))
		var got []string
		for _, n := range list {
			got = append(got, n.Name)
		}
		want := []string{"high", "low", "unknown"}
		if !slices.Equal(got, want) {
			t.Errorf("--sort-by=%s: %v", key, got)
		}
	}
}

func TestOnlyAChangeIsPrintedAgain(t *testing.T) {
	a := report.List{Time: now, Items: []report.Node{{Name: "w1", Verdict: report.Healthy, Status: "Ready", Summary: "heartbeat 3s ago"}}}
	b := a
	b.Time, b.Items = now.Add(time.Minute), []report.Node{{Name: "w1", Verdict: report.Healthy, Status: "Ready", Summary: "heartbeat 7s ago"}}
	if fingerprint(a) != fingerprint(b) {
		t.Error("an age counts as a change")
	}
	b.Items[0].Verdict = report.Unhealthy
	if fingerprint(a) == fingerprint(b) {
		t.Error("a verdict does not count as a change")
	}
}

func TestFormatWordsAreThoseThatParse(t *testing.T) {
	arguments := map[string]string{"jsonpath=": "{.items}", "custom-columns=": "NAME:.name"}
	for _, word := range formatWords() {
		if _, err := output.ParseFormat(word+arguments[word], formats...); err != nil {
			t.Error(err)
		}
	}
}

// refused are flags and arguments that are wrong, with the line that says so.
func refused(t *testing.T, lines map[string]string) {
	t.Helper()
	for args, want := range lines {
		if _, code, stderr := parse(t, strings.Fields(args)...); code != cli.ExitError || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
}

func TestDrainTakesNamesAndNothingThatItDoesNotHeed(t *testing.T) {
	refused(t, map[string]string{
		"--drain":                           "--drain requires the name of a node",
		"--drain -l a=b":                    "--drain cannot be combined with -l\n",
		"--drain w1 -w --kubelet":           "--drain cannot be combined with --kubelet\n",
		"--drain w1 -o wide":                "--drain cannot be combined with -o wide\n",
		"--drain w1 -o name":                "--drain cannot be combined with -o name\n",
		"--drain w1 -o junit":               "--drain cannot be combined with -o junit\n",
		"--drain w1 --section=pods -L zone": "--drain cannot be combined with --section\n",
		"--remove":                          "--remove requires the name of one node",
		"--remove w1 w2":                    "--remove requires the name of one node",
		"--remove w1 --drain":               "--remove cannot be combined with --drain\n",
		"--remove w1 --paths":               "--paths cannot be combined with --remove\n",
		"--remove w1 -o wide":               "--remove cannot be combined with -o wide\n",
	})
	if o, code, stderr := parse(t, "--drain", "node/w1", "w2", "-o", "json"); code != 0 || !o.Drain || !slices.Equal(o.Names, []string{"w1", "w2"}) {
		t.Errorf("%+v, exit %d: %s", o, code, stderr)
	}
}

// drainServer has what a drain asks for: a bare pod on good, and budgets that may not be read.
func drainServer(t *testing.T) *testkit.Server {
	t.Helper()
	s := server(t)
	s.Answer("/api/v1/pods", corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "alone"}, Spec: corev1.PodSpec{NodeName: "good"}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}}})
	s.Answer("/apis/apps/v1/daemonsets", map[string]any{"kind": "DaemonSetList", "apiVersion": "apps/v1"})
	s.Answer("/apis/policy/v1/poddisruptionbudgets", map[string]any{"kind": "PodDisruptionBudgetList", "apiVersion": "policy/v1"})
	return s
}

// exits runs a report of the whole cluster. Where a node is missing it prints nothing.
func exits(t *testing.T, s *testkit.Server, flag string, codes map[string]int) {
	t.Helper()
	for args, want := range codes {
		stdout, stderr, code := runOn(t, s, append([]string{flag}, strings.Fields(args)...)...)
		if code != want || (code == cli.ExitError) != (stdout == "") {
			t.Errorf("%q: exit %d, want %d: %s%s", args, code, want, stdout, stderr)
		}
	}
}

func onlyReads(t *testing.T, s *testkit.Server) {
	t.Helper()
	for _, r := range s.Requests() {
		if !strings.HasPrefix(r, "GET ") {
			t.Errorf("a report changes something: %s", r)
		}
	}
}

// saves runs a report of the whole cluster that saves its input, and again without the cluster; then it is refused what the file was
// not saved for.
func saves(t *testing.T, s *testkit.Server, report []string, refused map[string]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "input.json")
	live, _, _ := runOn(t, s, append(report, "--save-input", file)...)
	asked := len(s.Requests())
	again, stderr, code := runOn(t, s, append(report, "--from-input", file)...)
	strip := strings.ReplaceAll(live, " --kubeconfig="+s.Kubeconfig(t), "")
	if code != 0 || len(s.Requests()) != asked || !strings.HasPrefix(strip, strings.SplitAfter(again, "\n")[0]) {
		t.Errorf("exit %d: %s\nlive %s\nagain %s", code, stderr, live, again)
	}
	for args, want := range refused {
		if _, stderr, code := runOn(t, s, append(strings.Fields(args), "--from-input", file)...); code != cli.ExitError || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
}

func TestExitCodesOfADrain(t *testing.T) {
	s := drainServer(t)
	exits(t, s, "--drain", map[string]int{
		"good": 0, "bad": 0, "good --fail-on=warning": cli.ExitThreshold, "good --fail-on=critical": 0, "good nope": cli.ExitError, "good --require-complete": 0,
	})
	s.Refuse("/apis/policy/v1/poddisruptionbudgets", http.StatusForbidden)
	stdout, stderr, code := runOn(t, s, "--drain", "good", "--require-complete")
	if code != cli.ExitIncomplete || !strings.HasPrefix(stdout, "Unknown: node/good: ") || !strings.Contains(stdout, "poddisruptionbudgets: needs list poddisruptionbudgets.policy") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	onlyReads(t, s)
}

func TestASavedDrainIsPreviewedWithoutACluster(t *testing.T) {
	saves(t, drainServer(t), []string{"--drain", "good"}, map[string]string{
		"good":          "was saved with --drain: pass --drain",
		"--remove good": "not saved with --remove",
		"--drain bad":   "saved for the drain of good",
		"--drain nope":  `node "nope" not found`,
	})
}
