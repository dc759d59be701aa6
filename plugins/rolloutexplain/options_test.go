package rolloutexplain

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
)

func testEnv() (env *cli.Env, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return &cli.Env{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: errOut}, Program: "kubectl rollout-explain",
		Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }, LookupEnv: func(string) (string, bool) { return "", false },
	}, out, errOut
}

func parse(t *testing.T, args ...string) (*Options, string) {
	t.Helper()
	env, _, errOut := testEnv()
	var got *Options
	cli.Run(context.Background(), env, newCommand(env, func(o *Options) error { got = o; return nil }), args)
	return got, errOut.String()
}

func TestTargetsAreReadAsKubectlReadsThem(t *testing.T) {
	tests := []struct {
		args []string
		want []target.Ref
	}{
		{nil, nil},
		{[]string{"deployment/api"}, []target.Ref{{Kind: "Deployment", Name: "api"}}},
		{[]string{"deploy", "api", "web"}, []target.Ref{{Kind: "Deployment", Name: "api"}, {Kind: "Deployment", Name: "web"}}},
		{[]string{"sts/db", "ds/agent", "job.batch/x", "po/y", "rollouts.argoproj.io/z"}, []target.Ref{{Kind: "StatefulSet", Name: "db"}, {Kind: "DaemonSet", Name: "agent"}, {Kind: "Job", Name: "x"}, {Kind: "Pod", Name: "y"}, {Kind: "Rollout", Name: "z"}}},
		{[]string{"api"}, []target.Ref{{Name: "api"}}},
	}
	for _, tt := range tests {
		o, stderr := parse(t, tt.args...)
		if o == nil {
			t.Fatalf("%v: %s", tt.args, stderr)
		}
		if d := cmp.Diff(tt.want, o.Targets); d != "" {
			t.Errorf("%v:\n%s", tt.args, d)
		}
	}
}

func TestUsageErrorsComeAllAtOnce(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"-o", "xml", "--color", "red", "--fail-on", "bad", "--fail-fast", "soon", "--logs", "-1"}, []string{`-o "xml": unknown format`, `--color "red"`, `--fail-on "bad"`, `--fail-fast "soon"`, "--logs must be"}},
		{[]string{"deployment"}, []string{`"deployment": missing name`}},
		{[]string{"cronjob/x"}, []string{`"cronjob": unknown type`}},
		{[]string{"deploy/x", "-A"}, []string{"names and -A or -l exclude each other"}},
		{[]string{"deploy/x", "-w", "--wait"}, []string{"give one of them"}},
		{[]string{"--wait", "-f", "x"}, []string{"need a cluster"}},
		{[]string{"--diff=a..b", "deploy/x"}, []string{`--diff "a..b" is not known`}},
		{[]string{"--revision=3"}, []string{"name it"}},
		{[]string{"-l", "a in b"}, []string{"is not a selector"}},
		{[]string{"deploy/x", "--timeout=-1s"}, []string{"--timeout cannot be negative"}},
		{[]string{"deploy/x", "--wait", "-o", "jsonpath={.a}"}, []string{"jsonpath prints one report"}},
	}
	for _, tt := range tests {
		o, stderr := parse(t, tt.args...)
		if o != nil {
			t.Errorf("%v: accepted", tt.args)
		}
		for _, w := range tt.want {
			if !strings.Contains(stderr, w) {
				t.Errorf("%v: %q is not in\n%s", tt.args, w, stderr)
			}
		}
	}
}

// A flag that changes nothing is a lie in the help.
func TestEveryFlagChangesTheOptions(t *testing.T) {
	base, _ := parse(t, "deploy/x")
	values := map[string]string{
		"selector": "a=b", "output": "json", "color": "never", "timeout": "1m", "stable": "1s", "fail-fast": "strict", "fail-after": "1s", "progress-timeout": "1s",
		"revision": "3", "diff": "2", "logs": "9", "fail-on": "warning", "filename": "x", "save-input": "x", "from-input": "x",
	}
	env, _, _ := testEnv()
	command := newCommand(env, func(*Options) error { return nil })
	command.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		value, ok := values[f.Name]
		if !ok {
			if f.Value.Type() != "bool" {
				t.Errorf("--%s has no value in this test", f.Name)
				return
			}
			value = "true"
		}
		args := []string{"--" + f.Name + "=" + value}
		if f.Name != "selector" && f.Name != "all-namespaces" {
			args = append(args, "deploy/x")
		}
		got, stderr := parse(t, args...)
		if got == nil {
			t.Errorf("--%s=%s is refused: %s", f.Name, value, stderr)
			return
		}
		if f.Name == "selector" || f.Name == "all-namespaces" {
			got.Targets = base.Targets
		}
		if reflect.DeepEqual(got, base) {
			t.Errorf("--%s changes nothing", f.Name)
		}
	})
}

func TestDiffNamesItsRevisions(t *testing.T) {
	for in, want := range map[string][2]int64{"--diff": {0, 0}, "--diff=3": {3, 0}, "--diff=3..5": {3, 5}} {
		o, stderr := parse(t, "deploy/x", in)
		if o == nil || !o.Evaluate.Diff || o.Evaluate.DiffFrom != want[0] || o.Evaluate.DiffTo != want[1] {
			t.Errorf("%s: got %+v %s", in, o, stderr)
		}
	}
}

func TestHelpHasWhatItTakesToBegin(t *testing.T) {
	env, out, _ := testEnv()
	if code := cli.Run(context.Background(), env, New(env), []string{"--help"}); code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, w := range []string{"kubectl rollout-explain deployment/api", "--wait", "3 failed, 5 timed out, 6 waits for a person", "--save-input", "never run"} {
		if !strings.Contains(out.String(), w) {
			t.Errorf("help lacks %q:\n%s", w, out.String())
		}
	}
}
