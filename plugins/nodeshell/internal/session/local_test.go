package session

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clistdin "github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli/stdin"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// given are the options of a command line without flags, changed.
func given(change func(*Options)) Options {
	o := Options{TTY: "auto", Stdin: "auto", DryRun: "none"}
	if change != nil {
		change(&o)
	}
	return o
}

func command(o *Options) { o.Command = []string{"x"} }

func TestInputThatIsLeftAloneIsSaid(t *testing.T) {
	env := testkit.NewEnv("kubectl nodeshell", now)
	env.Console.Stdin = func() clistdin.Purpose { return clistdin.Purpose{Holder: "dash"} }
	x, err := prepare(env.Env, given(command), 1)
	want := "standard input is left to the calling dash; pass -i to give standard input to the command\n"
	if err != nil || x.in != nil || env.Stderr.String() != want {
		t.Errorf("%v, %q", err, env.Stderr.String())
	}
}

func TestStandardInputIsTakenOnlyWhereItIsMeant(t *testing.T) {
	with := func(tty, stdin string) func(*Options) {
		return func(o *Options) { command(o); o.TTY, o.Stdin = tty, stdin }
	}
	json := func(o *Options) { command(o); o.Format.Kind = output.JSON }
	tests := []struct {
		name     string
		terminal bool
		given    bool
		options  func(*Options)
		nodes    int
		in, tty  bool
		err      string
	}{
		{"a command, and a list that belongs to the loop around it", false, false, command, 1, false, false, ""},
		{"a command, and data piped to it", false, true, command, 1, true, false, ""},
		{"several nodes never share it", false, true, command, 2, false, false, ""},
		{"asked for with several nodes", false, true, with("auto", "true"), 2, false, false, "a single node"},
		{"a terminal on both sides", true, false, command, 1, true, true, ""},
		{"a terminal, turned down", true, false, with("false", "auto"), 1, false, false, ""},
		{"a terminal, and a report", true, false, json, 1, false, false, ""},
		{"a terminal forced on a report", true, false, func(o *Options) { json(o); o.TTY = "true" }, 1, false, false, "without -o"},
		{"a shell on several nodes", true, false, nil, 2, false, false, "a single node"},
		{"a shell without a terminal", false, false, nil, 1, false, false, "needs a terminal"},
		{"a shell that reads commands from a pipe", false, true, nil, 1, true, false, ""},
		{"forced", false, false, with("auto", "true"), 1, true, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := testkit.NewEnv("kubectl nodeshell", now)
			if test.terminal {
				env = env.Terminal(80)
			}
			env.Console.Stdin = func() clistdin.Purpose { return clistdin.Purpose{Given: test.given} }
			x, err := prepare(env.Env, given(test.options), test.nodes)
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
		options  func(*Options)
		terminal bool
		answer   string
		err      string
	}{
		{"ten", 10, nil, false, "", ""},
		{"eleven in a script", 11, nil, false, "", "pass --yes"},
		{"eleven with --yes", 11, func(o *Options) { o.Yes = true }, false, "", ""},
		{"a person says yes", 11, nil, true, "y\n", ""},
		{"a person says nothing", 11, nil, true, "\n", "not confirmed"},
		{"nothing is made in a dry run", 11, func(o *Options) { o.DryRun = "client" }, false, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := testkit.NewEnv("kubectl nodeshell", now).Stdin(strings.NewReader(test.answer))
			if test.terminal {
				env = env.Terminal(80)
			}
			err := confirm(env.Env, given(test.options), test.nodes)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("err %v", err)
			}
		})
	}
}

// What a next command repeats is what was asked for, not only the node.
func TestCallIsRepeatedWithItsTargets(t *testing.T) {
	onNode := collect.Target{Node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}}
	onPod := collect.Target{Node: onNode.Node, Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}}
	tests := []struct {
		o    Options
		on   collect.Target
		want string
	}{
		{Options{}, onNode, "a"},
		{Options{Command: []string{"df", "-h"}}, onNode, "a -- df -h"},
		{Options{}, onPod, "pod/web"},
		{Options{Given: []string{"--netns"}, Eval: "ss"}, onPod, "pod/web --netns --eval ss"},
		{Options{Script: "f", Command: []string{"x"}}, onNode, "a --script f -- x"},
		{Options{Given: []string{"--stdin", "--timeout=30s"}, Command: []string{"df"}}, onNode, "a --stdin --timeout=30s -- df"},
	}
	for _, test := range tests {
		if got := strings.Join(append(test.o.call(test.on), test.o.callRest()...), " "); got != test.want {
			t.Errorf("%q; want %q", got, test.want)
		}
	}
}
