// Package nodeshell implements `kubectl nodeshell`: a root shell, a command or a packet capture on any node, with exact results
// and nothing left behind.
package nodeshell

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/capture"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/cleanup"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
)

// ownFailure is the exit code for everything that is not the remote command's, as in docker run and timeout.
const ownFailure = 125

const long = `
	Open a root shell on a node, or run one command there, with its exact output and exit code. Nothing is left behind,
	even after Ctrl-C, a closed terminal or kill -9.

	nodeshell creates a privileged pod on the node and deletes it at the end. A user who may create such a pod is
	root on every node.

	Exit code: that of the remote command; 124 after --timeout; 125 when nodeshell itself failed, or the exit status of
	the command is unknown.

	KUBECTL_NODESHELL_IMAGE sets the default of --image. Variables named in the same way set the defaults of --no-pull,
	--pull-secret, --labels, --annotations, --max-duration, --start-timeout and --no-job.`

const example = `
	# Open a root shell on node worker-1; ~. at the start of a line leaves the session
	PROGRAM worker-1

	# Run one command and return its output and exit code
	PROGRAM worker-1 -- journalctl -u kubelet -n 50

	# Run on every node with a label, and print identical outputs once
	PROGRAM -l node-role.kubernetes.io/worker --group-identical -- uname -r

	# Run a local script, and a shell line
	PROGRAM worker-1 --script ./collect.sh
	PROGRAM worker-1 --eval 'dmesg | tail -5'

	# Open a shell on the node of a pod, or run a command in only the pod's network
	PROGRAM pod/web-0
	PROGRAM pod/web-0 --netns -- ss -tnp

	# Print the object that would be created
	PROGRAM worker-1 --dry-run -o yaml`

// New makes the command.
func New(env *cli.Env) *cobra.Command {
	return cli.Explained(env, newCommand(env, session.Run), cli.Catalog{Entries: Catalog(), Chinese: ChineseCatalog()})
}

// Catalog describes every finding code.
func Catalog() []finding.Entry { return evaluate.Catalog() }

type runFunc func(context.Context, *cli.Env, *kube.Flags, session.Options) error

func newCommand(env *cli.Env, runF runFunc) *cobra.Command {
	env.FailureCode = ownFailure
	f := &flags{}
	command := &cobra.Command{
		Use:     "nodeshell NODE… [-- COMMAND ARGS…]",
		Short:   "Open a shell, run a command or capture packets on any node",
		Long:    cli.Long(long),
		Example: cli.Example(env, example),
		Args:    func(*cobra.Command, []string) error { return nil },
		RunE: func(c *cobra.Command, args []string) error {
			names, remote := split(c, args)
			if err := fromEnvironment(env, c.Flags()); err != nil {
				return err
			}
			o, err := f.toOptions(names, remote)
			o.Given = given(c, "selector", "all", "yes", "script", "eval")
			if err == nil {
				err = runF(c.Context(), env, f.connection, o)
			}
			if hint := podForNode(f, names, o.Given, remote, err); hint != nil {
				return hint
			}
			if err != nil && remote == nil && f.script == "" && f.eval == "" {
				if hint := missingDash(f.connection, names, o.Given, err); hint != nil {
					return hint
				}
			}
			return err
		},
	}
	command.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c != command {
			return err
		}
		if errors.Is(err, errHelpOfCommand) {
			err = errHelpOfCommand // without pflag's words about a value
		}
		return optionOfCommand(f.connection, c.Flags().Args(), err)
	})
	f.connection = cli.AddConnectionFlags(env, command)
	f.add(command.Flags())
	helpIsFirst(command.Flags(), env.Program)
	command.ValidArgsFunction = targets(f.connection)
	completeWords(command, map[string][]string{
		"tty": {"auto", "true", "false"}, "stdin": {"auto", "true", "false"}, "dry-run": {"none", "client", "server"},
		"output": {"json", "yaml"}, "color": output.ColorModes(), "image": {"auto", evaluate.DefaultImage},
	})
	command.AddCommand(captureCommand(env, f.connection, capture.Run), cleanupCommand(env, f.connection, cleanup.Run))
	return command
}

// split gives the words before and after "--".
func split(c *cobra.Command, args []string) (names, remote []string) {
	if at := c.ArgsLenAtDash(); at >= 0 {
		return args[:at], args[at:]
	}
	return args, nil
}

// targets offers nodes, and pods after "pod/".
func targets(connection *kube.Flags) complete.Func {
	pods := complete.Names(connection, schema.GroupVersionResource{Version: "v1", Resource: "pods"}, true, "pod/")
	nodes := complete.Nodes(connection)
	return func(c *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(toComplete) >= 4 && toComplete[:4] == "pod/" {
			return pods(c, args, toComplete)
		}
		return nodes(c, args, toComplete)
	}
}

// captureTargets offers pods, and other kinds after "KIND/".
func captureTargets(connection *kube.Flags) complete.Func {
	pods := complete.Names(connection, schema.GroupVersionResource{Version: "v1", Resource: "pods"}, true, "")
	offers := map[string]complete.Func{"": pods}
	for word, resource := range map[string]schema.GroupVersionResource{
		"pod": {Version: "v1", Resource: "pods"}, "svc": {Version: "v1", Resource: "services"},
		"deploy": {Group: "apps", Version: "v1", Resource: "deployments"}, "sts": {Group: "apps", Version: "v1", Resource: "statefulsets"},
		"ds": {Group: "apps", Version: "v1", Resource: "daemonsets"}, "node": {Version: "v1", Resource: "nodes"},
	} {
		offers[word] = complete.Names(connection, resource, word != "node", word+"/")
	}
	return func(c *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		word, _, slash := strings.Cut(toComplete, "/")
		if offer := offers[word]; slash && offer != nil {
			return offer(c, args, toComplete)
		}
		return pods(c, args, toComplete)
	}
}

func completeWords(command *cobra.Command, words map[string][]string) {
	for flag, list := range words {
		if err := command.RegisterFlagCompletionFunc(flag, complete.Words(list...)); err != nil {
			panic(err) // a flag that does not exist: a mistake in this file
		}
	}
}
