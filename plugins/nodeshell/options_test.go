package nodeshell

import (
	"context"
	"errors"
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

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/pcap"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// parse runs a command line up to its Options.
func parse(t *testing.T, args ...string) (Options, int, string) {
	t.Helper()
	var got Options
	env := testkit.NewEnv("kubectl nodeshell", now)
	code := env.Run(t, func(e *cli.Env) *cobra.Command {
		return newCommand(e, func(_ context.Context, _ *cli.Env, _ *kube.Flags, o Options) error { got = o; return nil })
	}, args...)
	return got, code, env.Stderr.String()
}

func parseCapture(t *testing.T, args ...string) (captureOptions, int, string) {
	t.Helper()
	var got captureOptions
	env := testkit.NewEnv("kubectl nodeshell", now)
	code := env.Run(t, func(e *cli.Env) *cobra.Command {
		e.FailureCode = ownFailure
		return captureCommand(e, cli.AddConnectionFlags(e, &cobra.Command{}), func(_ context.Context, _ *cli.Env, _ *kube.Flags, o captureOptions) error { got = o; return nil })
	}, args...)
	return got, code, env.Stderr.String()
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
		{"", []string{"name a node"}},
		{"a --all", []string{"not several of them"}},
		{"a -l x=y", []string{"not several of them"}},
		{"a --tty=maybe", []string{`--tty "maybe"`}},
		{"a --eval x --script y", []string{"--eval is the whole command"}},
		{"a --netns", []string{"--netns needs a pod"}},
		{"a -c x", []string{"-c chooses a container for --netns"}},
		{"a --mount-pvc data", []string{"give -x too"}},
		{"a --group --output-dir d", []string{"not both"}},
		{"a --image auto --no-pull --parallel 0 --timeout -1s", []string{"--parallel 0", "--timeout -1s"}},
		{"a --image busybox --no-pull", []string{"leave --image out"}},
		{"a --labels x", []string{`--labels "x" is not KEY=VALUE`}},
		{"a --dry-run=yes", []string{`--dry-run "yes"`}},
		{"a -o table2", []string{`-o "table2"`}},
		{"a --max-duration 1ms", []string{"--max-duration 1ms is too short"}},
		{"-l =", []string{`-l "="`}},
		{"a --nosuch", []string{"unknown flag"}},
		{"deploy/x", []string{`"deploy" is not a type`}},
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
		{"", "name a pod"},
		{"web --mode x", `--mode "x"`},
		{"node/a --mode ephemeral", "is for pods"},
		{"web --max-size 10", "is not a size"},
		{"web --max-size 1Mi", "--max-size needs -w"},
		{"web --rotate 3 -w x", "--rotate needs --max-size"},
		{"web --wireshark -w x", "not both"},
		{"web -w - -o json", "both use standard output"},
		{"job/x", "is not a type"},
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

func TestWriteIntoADirectory(t *testing.T) {
	dir := t.TempDir()
	for write, want := range map[string]bool{dir: true, "new/": true, filepath.Join(dir, "x.pcap"): false, "-": false, "": false} {
		if got := (captureOptions{Write: write}).dir(); got != want {
			t.Errorf("%q: %v", write, got)
		}
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
		{"nothing", nil, nil, "auto", false, "", ""},
		{"an image", map[string]string{"IMAGE": "mirror/x:1", "LABELS": "team=a,b=c"}, nil, "mirror/x:1", false, "team=a b=c", ""},
		{"a flag is stronger", map[string]string{"IMAGE": "mirror/x:1"}, []string{"--image", "y:2"}, "y:2", false, "", ""},
		{"--no-pull needs none", map[string]string{"IMAGE": "mirror/x:1"}, []string{"--no-pull"}, "auto", true, "", ""},
		{"an image needs no --no-pull", map[string]string{"NO_PULL": "true"}, []string{"--image", "y:2"}, "y:2", false, "", ""},
		{"never pull", map[string]string{"NO_PULL": "true"}, nil, "auto", true, "", ""},
		{"nonsense", map[string]string{"MAX_DURATION": "long"}, nil, "", false, "", `KUBECTL_NODESHELL_MAX_DURATION="long"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := testkit.NewEnv("kubectl nodeshell", now)
			env.LookupEnv = func(key string) (string, bool) {
				value, ok := test.env[strings.TrimPrefix(key, "KUBECTL_NODESHELL_")]
				return value, ok
			}
			var shell Options
			var captured captureOptions
			for _, sub := range [][]string{{"n"}, {"capture", "p"}} {
				code := env.Run(t, func(e *cli.Env) *cobra.Command {
					command := newCommand(e, func(_ context.Context, _ *cli.Env, _ *kube.Flags, o Options) error { shell = o; return nil })
					kept, _, _ := command.Find([]string{"capture"})
					command.RemoveCommand(kept)
					command.AddCommand(captureCommand(e, cli.AddConnectionFlags(e, &cobra.Command{}), func(_ context.Context, _ *cli.Env, _ *kube.Flags, o captureOptions) error { captured = o; return nil }))
					return command
				}, append(sub, test.args...)...)
				if (code == 0) != (test.err == "") || !strings.Contains(env.Stderr.String(), test.err) {
					t.Fatalf("%q: code %d: %s", sub, code, env.Stderr)
				}
			}
			for _, pod := range []podFlags{shell.Pod, captured.Pod} {
				if test.err == "" && (pod.image != test.image || pod.noPull != test.noPull || strings.Join(pod.labels, " ") != test.labels) {
					t.Errorf("%+v", pod)
				}
			}
		})
	}
}

// What a next command repeats is what was asked for, not only the node.
func TestCallIsRepeatedWithItsTargets(t *testing.T) {
	onPod := collect.Target{Node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}}
	onNode := collect.Target{Node: onPod.Node}
	tests := []struct {
		args string
		on   collect.Target
		want string
	}{
		{"a", onNode, "a"},
		{"--all -- df -h", onNode, "a -- df -h"},
		{"pod/web", onPod, "pod/web"},
		{"pod/web --netns --eval ss", onPod, "pod/web --netns --eval ss"},
		{"a --script f -- x", onNode, "a --script f -- x"},
		{"-l pool=x --yes --timeout 30s -i --image r.example/a:1 --labels team=a --labels cost=1 -n ops -- df -h", onNode, "a --image=r.example/a:1 --labels=team=a --labels=cost=1 --stdin --timeout=30s -- df -h"},
	}
	for _, test := range tests {
		o, _, _ := parse(t, strings.Fields(test.args)...)
		if got := strings.Join(append(o.call(test.on), o.callRest()...), " "); got != test.want {
			t.Errorf("%s: %q; want %q", test.args, got, test.want)
		}
	}
	o, _, _ := parseCapture(t, "deploy/web", "-w", "d/", "--duration", "30s", "--", "port", "80")
	for on, want := range map[*collect.Target]string{&onPod: "capture web --duration=30s --write=d/ -- port 80", &onNode: "capture node/a --duration=30s --write=d/ -- port 80"} {
		words, rest := o.call(*on)
		if got := strings.Join(append(words, rest...), " "); got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}

func valueOf(f *pflag.Flag, values map[string]string) string {
	if value, ok := values[f.Name]; ok {
		return value
	}
	return "true"
}

func TestInputThatIsLeftAloneIsSaid(t *testing.T) {
	o, _, _ := parse(t, "n", "--", "x")
	env := testkit.NewEnv("kubectl nodeshell", now)
	env.Console.Stdin = func() cli.Stdin { return cli.Stdin{Holder: "dash"} }
	x, err := (&runner{env: env.Env}).prepare(o, 1)
	if want := "standard input is left to the calling dash; -i passes it to the command\n"; err != nil || x.in != nil || !strings.HasSuffix(env.Stderr.String(), want) {
		t.Errorf("%v, %q", err, env.Stderr.String())
	}
}

func TestStandardInputIsTakenOnlyWhereItIsMeant(t *testing.T) {
	tests := []struct {
		name     string
		terminal bool
		given    bool
		args     []string
		nodes    int
		in, tty  bool
		err      string
	}{
		{"a command, and a list that belongs to the loop around it", false, false, []string{"n", "--", "x"}, 1, false, false, ""},
		{"a command, and data piped to it", false, true, []string{"n", "--", "x"}, 1, true, false, ""},
		{"several nodes never share it", false, true, []string{"a", "b", "--", "x"}, 2, false, false, ""},
		{"asked for with several nodes", false, true, []string{"a", "b", "-i", "--", "x"}, 2, false, false, "one node"},
		{"a terminal on both sides", true, false, []string{"n", "--", "x"}, 1, true, true, ""},
		{"a terminal, turned down", true, false, []string{"n", "--tty=false", "--", "x"}, 1, false, false, ""},
		{"a terminal, and a report", true, false, []string{"n", "-o", "json", "--", "x"}, 1, false, false, ""},
		{"a shell on several nodes", true, false, []string{"a", "b"}, 2, false, false, "for one node"},
		{"a shell without a terminal", false, false, []string{"n"}, 1, false, false, "needs a terminal"},
		{"a shell that reads commands from a pipe", false, true, []string{"n"}, 1, true, false, ""},
		{"forced", false, false, []string{"n", "-i", "--", "x"}, 1, true, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, code, stderr := parse(t, test.args...)
			if code != 0 {
				t.Fatal(stderr)
			}
			env := testkit.NewEnv("kubectl nodeshell", now)
			if test.terminal {
				env = env.Terminal(80)
			}
			env.Console.Stdin = func() cli.Stdin { return cli.Stdin{Given: test.given} }
			x, err := (&runner{env: env.Env}).prepare(o, test.nodes)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("err %v", err)
				}
				return
			}
			if err != nil || (x.in != nil) != test.in || x.tty != test.tty {
				t.Errorf("in %v, tty %v, %v", x != nil && x.in != nil, x != nil && x.tty, err)
			}
		})
	}
}

func TestManyNodesAreConfirmed(t *testing.T) {
	tests := []struct {
		name     string
		nodes    int
		args     []string
		terminal bool
		answer   string
		err      string
	}{
		{"ten", 10, nil, false, "", ""},
		{"eleven in a script", 11, nil, false, "", "say --yes"},
		{"eleven with --yes", 11, []string{"--yes"}, false, "", ""},
		{"a person says yes", 11, nil, true, "y\n", ""},
		{"a person says nothing", 11, nil, true, "\n", "not confirmed"},
		{"nothing is made in a dry run", 11, []string{"--dry-run"}, false, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, _, _ := parse(t, append([]string{"--all"}, test.args...)...)
			env := testkit.NewEnv("kubectl nodeshell", now).Stdin(strings.NewReader(test.answer))
			if test.terminal {
				env = env.Terminal(80)
			}
			err := (&runner{env: env.Env}).confirm(o, test.nodes)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("err %v", err)
			}
		})
	}
}

func TestHelpRunsWithoutACluster(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"capture", "--help"}, {"cleanup", "--help"}} {
		env := testkit.NewEnv("kubectl nodeshell", now)
		if code := env.Run(t, New, args...); code != 0 || !strings.Contains(env.Stdout.String(), "kubectl nodeshell") {
			t.Errorf("%q: code %d\n%s", args, code, env.Stdout)
		}
		testkit.CheckText(t, strings.Join(args, " "), env.Stdout.String())
	}
}

func TestRotatingKeepsTheNewestFiles(t *testing.T) {
	dir := t.TempDir()
	r := &rotating{base: filepath.Join(dir, "x.pcap"), header: make([]byte, 24), limit: 100, keep: 2}
	if err := r.next(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := r.write(record(30)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || entries[0].Name() != "x-0004.pcap" {
		t.Errorf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Size() > 100 || info.Size() < 24 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", e.Name(), info, err)
		}
	}
}

func TestMaxSizeStopsBeforeTheRecordThatWouldNotFit(t *testing.T) {
	var b strings.Builder
	p := &plain{w: &b, limit: 100}
	for range 3 {
		if err := p.write(record(30)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.write(record(30)); !errors.Is(err, errFull) || b.Len() != 90 {
		t.Errorf("%v with %d bytes", err, b.Len())
	}
}

// A merged file counts as it is written: its headers, and blocks that are larger than the records.
func TestMaxSizeHoldsForAMergedFile(t *testing.T) {
	var b strings.Builder
	m := newMerged(&b, "-", 500)
	to, err := m.open(collect.Target{Node: &corev1.Node{}}, pcap.Header{})
	if err != nil {
		t.Fatal(err)
	}
	before := b.Len()
	for n := 0; err == nil && n < 100; n++ {
		err = to.write(record(30))
	}
	if !errors.Is(err, errFull) || b.Len() > 500 || b.Len() < 440 || b.Len() == before || to.size() != int64(b.Len()-before) {
		t.Errorf("%v with %d bytes, %d of packets", err, b.Len(), to.size())
	}
	if err := to.write(record(16)); !errors.Is(err, errFull) {
		t.Errorf("a smaller packet after the end: %v", err)
	}
}

func record(size int) pcap.Record { return pcap.Record{Raw: make([]byte, size)} }
