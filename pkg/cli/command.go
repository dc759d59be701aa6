package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	goflag "flag"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// annotations on flags: the group under which help shows them.
const connectionGroup = "kubectl-runbooks/connection"

// AddConnectionFlags gives the command kubectl's connection flags and klog's -v, persistent for subcommands.
func AddConnectionFlags(env *Env, command *cobra.Command) *kube.Flags {
	flags := kube.NewFlags(env.UserAgent(), env.Now)
	set := flags.FlagSet()
	logging := goflag.NewFlagSet("klog", goflag.ContinueOnError)
	klog.InitFlags(logging)
	set.AddGoFlag(logging.Lookup("v"))
	set.VisitAll(func(f *pflag.Flag) {
		f.Annotations = map[string][]string{connectionGroup: nil}
	})
	command.PersistentFlags().AddFlagSet(set)
	offer := map[string]complete.Func{"namespace": complete.Namespaces(flags), "context": complete.Contexts(flags)}
	for name, complete := range offer {
		if err := command.RegisterFlagCompletionFunc(name, complete); err != nil {
			panic(err) // two completions for one flag: a mistake in this function
		}
	}
	return flags
}

// Dress gives a root command what every plugin has: its display name, quiet errors, plain help without text templates
// (executing one keeps every exported method in the binary), and the version and completion commands.
func Dress(env *Env, root *cobra.Command) {
	root.SetIn(env.Streams.In)
	root.SetOut(env.Streams.Out)
	root.SetErr(env.Streams.ErrOut)
	root.SilenceErrors, root.SilenceUsage = true, true
	if root.Annotations == nil {
		root.Annotations = map[string]string{}
	}
	root.Annotations[cobra.CommandDisplayNameAnnotation] = env.Program
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { printHelp(env, c) })
	root.SetUsageFunc(func(c *cobra.Command) error { printHelp(env, c); return nil })
	explained := root.FlagErrorFunc() // the plugin's own, where it has one
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return Usage(explained(c, err)) })
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true})
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentPreRun = func(*cobra.Command, []string) {
		if env.ownsProcess {
			klog.SetLogFilter(maskedLog{})
			quietLog()
		}
	}
	root.AddCommand(versionCommand(env), completionCommand(env, root))
}

// quietLog keeps client-go's log off standard error unless -v asks for it: it reports as errors what is tried again or
// given up, between the lines of progress or of a remote command. What a user has to know comes back as an error. The
// log is the process's: tests that run several commands in one leave it alone.
func quietLog() {
	if klog.V(1).Enabled() {
		return
	}
	set := goflag.NewFlagSet("klog", goflag.ContinueOnError)
	klog.InitFlags(set)
	for name, value := range map[string]string{"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := set.Set(name, value); err != nil {
			panic(err) // values that klog knows
		}
	}
	klog.SetOutput(io.Discard)
}

// AddColorFlag registers --color.
func AddColorFlag(set *pflag.FlagSet, value *string) {
	set.StringVar(value, "color", string(output.ColorAuto), "Color the verdicts: "+strings.Join(output.ColorModes(), ", ")+
		". auto colors on a terminal, unless NO_COLOR is set or TERM is dumb.")
}

func versionCommand(env *Env) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this plugin",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := output.ParseFormat(format, output.JSON, output.YAML)
			if err != nil {
				return Usage(err)
			}
			if f.Structured() {
				return f.Print(env.Streams.Out, env.Build)
			}
			_, err = fmt.Fprintf(env.Streams.Out, "%s %s (%s, %s)\n", env.Program, env.Build.Version, env.Build.Go, env.Build.Platform)
			return err
		},
	}
	command.Flags().StringVarP(&format, "output", "o", "", "Output format: json or yaml.")
	if err := command.RegisterFlagCompletionFunc("output", complete.Words(string(output.JSON), string(output.YAML))); err != nil {
		panic(err) // two completions for one flag: a mistake in this function
	}
	return command
}

func completionCommand(env *Env, root *cobra.Command) *cobra.Command {
	shells := map[string]func() error{
		"bash":       func() error { return root.GenBashCompletionV2(env.Streams.Out, true) },
		"zsh":        func() error { return root.GenZshCompletion(env.Streams.Out) },
		"fish":       func() error { return root.GenFishCompletion(env.Streams.Out, true) },
		"powershell": func() error { return root.GenPowerShellCompletionWithDesc(env.Streams.Out) },
	}
	words := []string{"bash", "fish", "powershell", "zsh"}
	file := fileName(env.Program)
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a completion script for " + strings.Join(words, ", "),
		Long: Long("Print a script that completes the command " + file + ". For the form with \"kubectl\", kubectl's own completion " +
			"runs the file " + strings.Replace(file, "kubectl-", "kubectl_complete-", 1) + ", which make install writes."),
		Example: Example(env, "\n# Load completion in this shell; add the line to ~/.bashrc for new shells\n"+
			"source <("+file+" completion bash)"),
		ValidArgs: words,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || shells[args[0]] == nil {
				return Usage(fmt.Errorf("completion takes one shell: %s", strings.Join(words, ", ")))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			root.Use = file // cobra's scripts are for the command of this name
			return shells[args[0]]()
		},
	}
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage(fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

// WriteFile saves data under path, or prints it for "-".
func (e *Env) WriteFile(path string, data []byte) error {
	if path == "-" {
		_, err := e.Streams.Out.Write(data)
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// WriteWhole saves data under path, so that who reads the file at any time finds what was there before or all of data: by a file
// beside it that takes its name. All may read it. What is no file, such as a pipe, is written to; "-" is standard output.
func (e *Env) WriteWhole(path string, data []byte) (err error) {
	if at, err := os.Stat(path); path == "-" || err == nil && !at.Mode().IsRegular() {
		return e.WriteFile(path, data)
	}
	if linked, err := filepath.EvalSymlinks(path); err == nil {
		path = linked
	}
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(beside.Name())
		}
	}()
	_, err = beside.Write(data)
	if err := errors.Join(err, beside.Chmod(0o644), beside.Close()); err != nil {
		return err
	}
	return os.Rename(beside.Name(), path)
}

// ReadFile reads path, or standard input for "-".
func (e *Env) ReadFile(path string) ([]byte, error) {
	if path == "-" {
		return readAll(e.Streams.In)
	}
	return os.ReadFile(path) //nolint:gosec // the file that the user names
}

// SaveInput writes a collected Input for --save-input: what --from-input replays.
func (e *Env) SaveInput(path string, input any) error {
	data, err := json.MarshalIndent(input, "", "  ")
	if err != nil {
		return err
	}
	return e.WriteFile(path, append(data, '\n'))
}

// LoadInput reads what SaveInput wrote.
func (e *Env) LoadInput(path string, input any) error {
	data, err := e.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, input); err != nil {
		return fmt.Errorf("--from-input %q: not a file that --save-input wrote: %w", path, err)
	}
	return nil
}
