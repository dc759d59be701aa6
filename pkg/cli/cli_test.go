package cli_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func plugin(run func(*cobra.Command) error) func(*cli.Env) *cobra.Command {
	return func(env *cli.Env) *cobra.Command {
		command := &cobra.Command{
			Use: "demo [NAME]", Long: cli.Long("Demonstrate."), Example: cli.Example(env, "\n# Run it\nPROGRAM x"),
			Args: cobra.ArbitraryArgs,
			RunE: func(c *cobra.Command, _ []string) error { return run(c) },
		}
		cli.AddConnectionFlags(env, command)
		return command
	}
}

func TestErrorsBecomeExitCodes(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		code   int
		stderr string
	}{
		{"nothing", nil, 0, ""},
		{"plain", errors.New("no such node"), 1, "error: no such node\n"},
		{"hostile text", errors.New("bad \x1b[2J name"), 1, "error: bad \\x1b[2J name\n"},
		{"a secret in it", errors.New("pull https://u:hunter2@registry: denied"), 1, "error: pull https://u:***@registry: denied\n"},
		{"usage", cli.Usage(errors.New("bad flag")), 1, "error: bad flag\nSee 'kubectl demo --help'.\n"},
		{"several", cli.Usage(errors.Join(errors.New("one"), errors.New("two"))), 1, "error: one\nerror: two\nSee 'kubectl demo --help'.\n"},
		{"threshold", cli.Exit{Code: cli.ExitThreshold}, 3, ""},
		{"wrapped exit", fmt.Errorf("outer: %w", cli.Exit{Code: cli.ExitIncomplete, Err: errors.New("inner")}), 4, "error: inner\n"},
		{"deadline", context.DeadlineExceeded, 5, "error: the API server did not respond in time\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := testkit.NewEnv("kubectl demo", time.Time{})
			code := env.Run(t, plugin(func(*cobra.Command) error { return tt.err }))
			if code != tt.code || env.Stderr.String() != tt.stderr {
				t.Errorf("got %d %q, want %d %q", code, env.Stderr, tt.code, tt.stderr)
			}
		})
	}
}

func TestUnknownFlagIsOneLineAndAHint(t *testing.T) {
	env := testkit.NewEnv("kubectl demo", time.Time{})
	code := env.Run(t, plugin(nil), "--nonsense")
	want := "error: unknown flag: --nonsense\nSee 'kubectl demo --help'.\n"
	if code != 1 || env.Stderr.String() != want || env.Stdout.Len() > 0 {
		t.Errorf("got %d %q %q", code, env.Stderr, env.Stdout)
	}
}

func TestHelpSpeaksTheNameItWasCalledBy(t *testing.T) {
	env := testkit.NewEnv("kubectl my-demo", time.Time{})
	if code := env.Run(t, plugin(nil), "--help"); code != 0 {
		t.Fatal(env.Stderr)
	}
	out := env.Stdout.String()
	for _, want := range []string{
		"Demonstrate.\n\nUsage:\n  kubectl my-demo [NAME] [flags]\n", "  kubectl my-demo x\n", "Connection flags, as in kubectl:\n", "--context string", "completion   Print",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("help lacks %q:\n%s", want, out)
		}
	}
}

func TestVersionAndCompletion(t *testing.T) {
	tests := []struct {
		args string
		code int
		want string
	}{
		{"version", 0, "kubectl my-demo v0.0.0-test"},
		{"version -o json", 0, `"version": "v0.0.0-test"`},
		{"version -o xml", 1, ""},
		{"version extra", 1, ""},
		{"completion bash", 0, "complete -o default -F __start_kubectl-my_demo kubectl-my_demo\n"},
		{"completion zsh", 0, "#compdef kubectl-my_demo\n"},
		{"completion fish", 0, "complete -c kubectl-my_demo "},
		{"completion powershell", 0, "Register-ArgumentCompleter -CommandName 'kubectl-my_demo'"},
		{"completion tcsh", 1, ""},
		{"__complete completion ", 0, "bash\nfish\npowershell\nzsh\n"},
	}
	for _, tt := range tests {
		env := testkit.NewEnv("kubectl my-demo", time.Time{})
		args := strings.Split(tt.args, " ")
		if code := env.Run(t, plugin(nil), args...); code != tt.code || !strings.Contains(env.Stdout.String(), tt.want) {
			t.Errorf("%s: got %d\n%.300s\n%s", tt.args, code, env.Stdout, env.Stderr)
		}
	}
}

func TestSaveAndLoadInput(t *testing.T) {
	env := testkit.NewEnv("kubectl demo", time.Time{})
	path := t.TempDir() + "/input.json"
	want := map[string]string{"node": "w1"}
	if err := env.SaveInput(path, want); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := env.LoadInput(path, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := env.Stdin(strings.NewReader("not json")).LoadInput("-", &got); err == nil || !strings.Contains(err.Error(), `--from-input "-": not a file that --save-input wrote`) {
		t.Error(err)
	}
}
