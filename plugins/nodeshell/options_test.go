package nodeshell

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/capture"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// parse runs a command line up to its Options.
func parse(t *testing.T, args ...string) (session.Options, int, string) {
	t.Helper()
	var got session.Options
	env := testkit.NewEnv("kubectl nodeshell", now)
	code := env.Run(t, func(e *cli.Env) *cobra.Command {
		return newCommand(e, func(_ context.Context, _ *cli.Env, _ *kube.Flags, o session.Options) error { got = o; return nil })
	}, args...)
	return got, code, env.Stderr.String()
}

func parseCapture(t *testing.T, args ...string) (capture.Options, int, string) {
	t.Helper()
	var got capture.Options
	env := testkit.NewEnv("kubectl nodeshell", now)
	code := env.Run(t, func(e *cli.Env) *cobra.Command {
		e.FailureCode = ownFailure
		keep := func(_ context.Context, _ *cli.Env, _ *kube.Flags, o capture.Options) error { got = o; return nil }
		return captureCommand(e, cli.AddConnectionFlags(e, &cobra.Command{}), keep)
	}, args...)
	return got, code, env.Stderr.String()
}

// Without "--" the words of a command are taken for nodes: one line gives the right call.
func TestACommandWithoutItsDash(t *testing.T) {
	for _, test := range []struct {
		args, unknown, want string
	}{
		{"w1 ls /", "", `error: "/" is not a node; a command needs "--" before it: kubectl nodeshell w1 -- ls /` + "\n"},
		{"w1 uptime --timeout 5s", "uptime", `error: "uptime" is not a node; a command needs "--" before it: kubectl nodeshell w1 --timeout=5s -- uptime` + "\n"},
		{"w1 w2 df -- x", "df", `error: no node has the name, address or provider ID "df"` + "\n"},
		{"w1 w2 df", "df", `error: "df" is not a node; a command needs "--" before it: kubectl nodeshell w1 w2 -- df` + "\n"},
		{"w1 deploy/x", "nosuch", `error: "deploy": unknown type; valid types: node, pod` + "\nSee 'kubectl nodeshell --help'.\n"},
		{"nosuch", "nosuch", `error: no node has the name, address or provider ID "nosuch"` + "\n"},
		{"w1 nosuch -- df", "nosuch", `error: no node has the name, address or provider ID "nosuch"` + "\n"},
		{"web-0 --timeout 5s -- df -h", "pod:web-0", `error: "web-0" is a pod, not a node; to run on the node of the pod: kubectl nodeshell pod/web-0 --timeout=5s -- df -h` + "\n"},
		{"web-0", "pod:web-0", `error: "web-0" is a pod, not a node; to run on the node of the pod: kubectl nodeshell pod/web-0` + "\n"},
		{"web-0 uname", "pod:web-0", `error: "web-0" is a pod, not a node; to run on the node of the pod: kubectl nodeshell pod/web-0 -- uname` + "\n"},
		{"w1 ls -la", "", `error: names, -l and --all exclude each other; a command and its options come after "--": kubectl nodeshell w1 -- ls …` + "\nSee 'kubectl nodeshell --help'.\n"},
		{"w1 -l a", "", "error: names, -l and --all exclude each other\nSee 'kubectl nodeshell --help'.\n"},
		{"w1 nosuch --eval df", "nosuch", `error: no node has the name, address or provider ID "nosuch"` + "\n"},
	} {
		env := testkit.NewEnv("kubectl nodeshell", now)
		code := env.Run(t, func(e *cli.Env) *cobra.Command {
			return newCommand(e, func(context.Context, *cli.Env, *kube.Flags, session.Options) error {
				name, pod := strings.CutPrefix(test.unknown, "pod:")
				return collect.UnknownNode{Name: name, Pod: pod}
			})
		}, strings.Fields(test.args)...)
		if code != ownFailure || env.Stderr.String() != test.want {
			t.Errorf("%s: code %d\n got %swant %s", test.args, code, env.Stderr, test.want)
		}
	}
}

// A filter stands after "--", and nothing else does: one line gives the right call.
func TestAFilterAndItsDash(t *testing.T) {
	notFound := func(name string) error { return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name) }
	for _, test := range []struct {
		args string
		err  error
		want string
	}{
		{"web port 80", notFound("port"), `error: "port" is not a pod; a filter needs "--" before it: kubectl nodeshell capture web -- port 80` + "\n"},
		{"web -w x tcp and net 10.0.0.0/8", nil, `error: "tcp" is not a pod; a filter needs "--" before it: kubectl nodeshell capture web --write=x -- tcp and net 10.0.0.0/8` + "\n"},
		{"web db", notFound("db"), `error: pods "db" not found` + "\n"},
		{"nosuch port 80", notFound("nosuch"), `error: pods "nosuch" not found` + "\n"},
		{"web -- port 80", notFound("web"), `error: pods "web" not found` + "\n"},
		{"web -- -nni eth0 -c5 -s 96 -vv port 80", nil, `error: "-nni" is an option; only a filter comes after "--": kubectl nodeshell capture web --interface=eth0 --count=5 --snaplen=96 -- port 80` + "\nSee 'kubectl nodeshell --help'.\n"},
		{"web -- -w /tmp/x", nil, `error: "-w" is an option; only a filter comes after "--": kubectl nodeshell capture web --write=/tmp/x` + "\nSee 'kubectl nodeshell --help'.\n"},
		{"web -- tcp[13] - 1 = 2", nil, ""},
		{"w1 --count 5 -- port 80", collect.NodeForPod{Name: "w1"}, `error: "w1" is a node, not a pod; to capture on the node: kubectl nodeshell capture node/w1 --count=5 -- port 80` + "\n"},
	} {
		env := testkit.NewEnv("kubectl nodeshell", now)
		code := env.Run(t, func(e *cli.Env) *cobra.Command {
			e.FailureCode = ownFailure
			fails := func(context.Context, *cli.Env, *kube.Flags, capture.Options) error { return test.err }
			return captureCommand(e, cli.AddConnectionFlags(e, &cobra.Command{}), fails)
		}, strings.Fields(test.args)...)
		if (code == ownFailure) != (test.want != "") || env.Stderr.String() != test.want {
			t.Errorf("%s: code %d\n got %swant %s", test.args, code, env.Stderr, test.want)
		}
	}
}

func TestTargetsAndCommand(t *testing.T) {
	o, code, stderr := parse(t, "node/a", "b", "pod/web-0", "aws:///eu-1/i-1", "--", "ls", "-l", "--", "x")
	if code != 0 {
		t.Fatal(stderr)
	}
	if !slices.Equal(o.Nodes.Nodes, []string{"a", "b", "aws:///eu-1/i-1"}) || !slices.Equal(o.Nodes.Pods, []string{"web-0"}) {
		t.Errorf("%+v", o.Nodes)
	}
	if !slices.Equal(o.Command, []string{"ls", "-l", "--", "x"}) {
		t.Errorf("%q", o.Command)
	}
}

// Wrong usage is nodeshell's own failure: 125, so that it is not taken for the remote command's code.
func TestUsageErrors(t *testing.T) {
	tests := []struct {
		args string
		want []string
	}{
		{"", []string{"no node given"}},
		{"w1 uname -a", []string{`unknown shorthand flag: 'a' in -a; a command and its options come after "--": kubectl nodeshell w1 -- uname …`}},
		{"w1 df -h", []string{`error: the option -h after a command is the command's own; a command and its options come after "--": kubectl nodeshell w1 -- df …` + "\n"}},
		{"w1 grep --help", []string{"kubectl nodeshell w1 -- grep …\n"}},
		{"w1 $(id) -a", []string{"kubectl nodeshell w1 -- '$(id)' …"}},
		{"w1 -a", []string{"unknown shorthand flag: 'a' in -a\n"}},
		{"a --all", []string{"exclude each other"}},
		{"a -l x=y", []string{"exclude each other"}},
		{"a --tty=maybe", []string{`--tty "maybe"`}},
		{"a --eval x --script y", []string{"--eval excludes --script"}},
		{"a --netns", []string{"--netns needs a pod"}},
		{"a -c x", []string{"-c needs --netns"}},
		{"a --mount-pvc data", []string{"--mount-pvc needs -x"}},
		{"a --group-identical --output-dir d", []string{"exclude each other"}},
		{"a --image auto --no-pull --parallel 0 --timeout -1s", []string{"--parallel 0", "--timeout -1s"}},
		{"a --image busybox --no-pull", []string{"exclude each other"}},
		{"a --labels x", []string{`--labels "x": not a valid label`}},
		{"a --dry-run=yes", []string{`--dry-run "yes"`}},
		{"a -o table2", []string{`-o "table2"`}},
		{"a --max-duration 1ms", []string{"--max-duration 1ms must be at least 1s"}},
		{"-l =", []string{`-l "="`}},
		{"a --nosuch", []string{"unknown flag"}},
		{"deploy/x", []string{`"deploy": unknown type`}},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			_, code, stderr := parse(t, strings.Fields(test.args)...)
			if code != ownFailure || !strings.Contains(stderr, "--help") {
				t.Errorf("code %d: %s", code, stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%s lacks %q", stderr, want)
				}
			}
		})
	}
}

func TestCaptureUsageErrors(t *testing.T) {
	tests := []struct{ args, want string }{
		{"", "no target given"},
		{"web --mode x", `--mode "x"`},
		{"node/a --mode ephemeral", "--mode ephemeral needs pods"},
		{"web --max-size 10", "not a size"},
		{"web --max-size 1Mi", "--max-size needs -w"},
		{"web --rotate 3 -w x", "--rotate needs --max-size"},
		{"web --wireshark -w x", "exclude each other"},
		{"web -w - -o json", "both use standard output"},
		{"job/x", "unknown type"},
		{"web --count -1", "--count"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			_, code, stderr := parseCapture(t, strings.Fields(test.args)...)
			if code != ownFailure || !strings.Contains(stderr, test.want) {
				t.Errorf("code %d: %s", code, stderr)
			}
		})
	}
}

func TestCaptureFilterIsEverythingBehindTheDashes(t *testing.T) {
	o, code, stderr := parseCapture(t, "web", "deploy/api", "-w", "x.pcap", "--", "tcp", "port", "80 or port 81")
	if code != 0 || o.Filter != "tcp port 80 or port 81" || len(o.Targets) != 2 || o.Targets[1].Kind != "Deployment" {
		t.Errorf("code %d, %+v: %s", code, o, stderr)
	}
}

// Every flag changes Options: a flag without effect is a promise that is not kept.
func TestNoDeadFlag(t *testing.T) {
	values := map[string]string{
		"image": "x:1", "pull-secret": "s", "reason": "why", "labels": "a=b", "annotations": "a=b", "max-duration": "1h", "start-timeout": "5s",
		"selector": "a=b", "tty": "true", "stdin": "true", "mount-pvc": "data", "container": "c", "script": "f", "eval": "x", "timeout": "5s",
		"dry-run": "server", "output": "json", "parallel": "3", "output-dir": "d", "color": "always",
		"interface": "eth0", "write": "f", "duration": "5s", "count": "3", "max-size": "1Mi", "rotate": "2", "snaplen": "96", "mode": "node", "tcpdump": "f",
	}
	also := map[string][]string{
		"mount-pvc": {"-x"}, "netns": {"pod/p"}, "container": {"pod/p", "--netns"}, "max-size": {"-w", "x"}, "rotate": {"--max-size", "1Mi", "-w", "x"},
	}
	env := testkit.NewEnv("kubectl nodeshell", now)
	plain, _, _ := parse(t, "n")
	newCommand(env.Env, nil).Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return // its test is of its own
		}
		args := []string{"--" + f.Name + "=" + valueOf(f, values)}
		if f.Name != "selector" && f.Name != "all" && f.Name != "netns" && (f.Name != "container") {
			args = append(args, "n")
		}
		args = append(args, also[f.Name]...)
		if o, code, stderr := parse(t, args...); code != 0 || reflect.DeepEqual(o, plain) {
			t.Errorf("%q: code %d, changed %v %s", args, code, !reflect.DeepEqual(o, plain), stderr)
		}
	})
	plainCapture, _, _ := parseCapture(t, "p")
	captureCommand(env.Env, cli.AddConnectionFlags(env.Env, &cobra.Command{}), nil).Flags().VisitAll(func(f *pflag.Flag) {
		args := append([]string{"p", "--" + f.Name + "=" + valueOf(f, values)}, also[f.Name]...)
		if f.Name == "container" {
			args = args[:2]
		}
		if o, code, stderr := parseCapture(t, args...); code != 0 || reflect.DeepEqual(o, plainCapture) {
			t.Errorf("capture %q: code %d, changed %v %s", args, code, !reflect.DeepEqual(o, plainCapture), stderr)
		}
	})
}

// A site's own image is set once, in the environment; a flag is stronger.
func TestEnvironmentGivesDefaults(t *testing.T) {
	tests := []struct {
		name   string
		env    map[string]string
		args   []string
		image  string
		noPull bool
		labels string
		err    string
	}{
		{"nothing", nil, nil, "", false, "map[]", ""},
		{"an image", map[string]string{"IMAGE": "mirror/x:1", "LABELS": "team=a,b=c"}, nil, "mirror/x:1", false, "map[b:c team:a]", ""},
		{"a flag is stronger", map[string]string{"IMAGE": "mirror/x:1"}, []string{"--image", "y:2"}, "y:2", false, "map[]", ""},
		{"--no-pull needs none", map[string]string{"IMAGE": "mirror/x:1"}, []string{"--no-pull"}, "", true, "map[]", ""},
		{"an image needs no --no-pull", map[string]string{"NO_PULL": "true"}, []string{"--image", "y:2"}, "y:2", false, "map[]", ""},
		{"never pull", map[string]string{"NO_PULL": "true"}, nil, "", true, "map[]", ""},
		{"nonsense", map[string]string{"MAX_DURATION": "long"}, nil, "", false, "", `KUBECTL_NODESHELL_MAX_DURATION="long"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := testkit.NewEnv("kubectl nodeshell", now)
			env.LookupEnv = func(key string) (string, bool) {
				value, ok := test.env[strings.TrimPrefix(key, "KUBECTL_NODESHELL_")]
				return value, ok
			}
			var shell session.Options
			var captured capture.Options
			for _, sub := range [][]string{{"n"}, {"capture", "p"}} {
				code := env.Run(t, func(e *cli.Env) *cobra.Command {
					command := newCommand(e, func(_ context.Context, _ *cli.Env, _ *kube.Flags, o session.Options) error { shell = o; return nil })
					kept, _, _ := command.Find([]string{"capture"})
					command.RemoveCommand(kept)
					keep := func(_ context.Context, _ *cli.Env, _ *kube.Flags, o capture.Options) error { captured = o; return nil }
					command.AddCommand(captureCommand(e, cli.AddConnectionFlags(e, &cobra.Command{}), keep))
					return command
				}, append(sub, test.args...)...)
				if (code == 0) != (test.err == "") || !strings.Contains(env.Stderr.String(), test.err) {
					t.Fatalf("%q: code %d: %s", sub, code, env.Stderr)
				}
			}
			for _, pod := range []enter.Options{shell.Pod, captured.Pod} {
				if test.err == "" && (pod.Image != test.image || pod.NoPull != test.noPull || fmt.Sprint(pod.Labels) != test.labels) {
					t.Errorf("%+v", pod)
				}
			}
		})
	}
}

// A next command repeats the flags that were given, but not those that choose nodes or say what to run.
func TestFlagsAreRepeatedAsTheyWereGiven(t *testing.T) {
	tests := map[string]string{
		"a":                         "",
		"--all -- df -h":            "",
		"pod/web --netns --eval ss": "--netns",
		"a --script f -- x":         "",
		"-l pool=x --yes --timeout 30s -i --image r.example/a:1 --labels team=a --labels cost=1 -n ops -- df -h": "--image=r.example/a:1 " +
			"--labels=team=a --labels=cost=1 --stdin --timeout=30s",
	}
	for args, want := range tests {
		o, _, _ := parse(t, strings.Fields(args)...)
		if got := strings.Join(o.Given, " "); got != want {
			t.Errorf("%s: %q; want %q", args, got, want)
		}
	}
	o, _, _ := parseCapture(t, "deploy/web", "-l", "app=x", "-w", "d/", "--duration", "30s", "--", "port", "80")
	if got := strings.Join(o.Given, " "); got != "--duration=30s --write=d/" {
		t.Errorf("capture: %q", got)
	}
}

func valueOf(f *pflag.Flag, values map[string]string) string {
	if value, ok := values[f.Name]; ok {
		return value
	}
	return "true"
}

func TestHelpRunsWithoutACluster(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"w1", "-h"}, {"-h", "w1", "df"}, {"--help=false", "--help"}, {"capture", "--help"}, {"capture", "web", "db", "-h"}, {"cleanup", "--help"}} {
		env := testkit.NewEnv("kubectl nodeshell", now)
		if code := env.Run(t, New, args...); code != 0 || !strings.Contains(env.Stdout.String(), "kubectl nodeshell") {
			t.Errorf("%q: code %d\n%s", args, code, env.Stdout)
		}
		testkit.CheckText(t, strings.Join(args, " "), env.Stdout.String())
	}
}
