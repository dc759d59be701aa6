// Package rolloutexplain is the command "kubectl rollout-explain": the state of a rollout, why it is not complete,
// and what to do next.
package rolloutexplain

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// New makes the command.
func New(env *cli.Env) *cobra.Command {
	return cli.Explained(env, newCommand(env, nil), cli.Catalog{Entries: Catalog(), Chinese: ChineseCatalog()})
}

// newCommand makes the command; a test gives runF to read the Options without running.
func newCommand(env *cli.Env, runF func(*Options) error) *cobra.Command {
	f := &flags{}
	var connection *kube.Flags
	c := &cobra.Command{
		Use:   "rollout-explain [TYPE NAME | TYPE/NAME | NAME]...",
		Short: "Explain the state of a rollout, why it is not complete, and what to do next",
		Long: cli.Long(`
			Explain rollouts: the verdict with its cause, the evidence, and the next steps.

			Types are deployment, statefulset, daemonset, job and rollout (Argo). A pod or replicaset selects the workload
			that controls it. A name without a type is searched in all types. Without a name, all rollouts of the
			namespace are listed, worst first.

			With --wait, the exit code gives the result: 0 complete, 3 failed, 5 timed out, 6 on hold until a user acts
			(spec.paused, partition, OnDelete, a gate), 7 superseded by a newer change. The wait fails early only for a
			cause that does not recover without a change and that has lasted and repeated. An image that is pushed later,
			a registry that becomes available again or a node that is being added does not fail the wait.

			The command only reads. Commands that change something are printed, never run.`),
		Example: cli.Example(env, `
			# Explain why a Deployment is not complete
			PROGRAM deployment/api

			# List the rollouts of the namespace, worst first; then of all namespaces
			PROGRAM
			PROGRAM -A

			# In CI: apply, then wait until the rollout is complete and stable for 10s, or has failed
			kubectl apply -f app.yaml && PROGRAM deployment/api --wait --timeout=10m

			# Show what changed, and list the revisions
			PROGRAM deployment/api --diff
			PROGRAM deployment/api --history

			# Explain a dump, without a cluster
			kubectl get deployments,replicasets,pods,events -o yaml >dump.yaml
			PROGRAM -f dump.yaml`),
		Args: cobra.ArbitraryArgs, // names; cobra would take them for subcommands
		RunE: func(c *cobra.Command, args []string) error {
			o, err := f.toOptions(args)
			if err != nil {
				return err
			}
			if runF != nil {
				return runF(o)
			}
			return (&runner{env: env, o: o, flags: connection}).run(c.Context())
		},
	}
	f.register(c)
	connection = cli.AddConnectionFlags(env, c)
	c.ValidArgsFunction = completeTargets(connection)
	f.completions(c)
	return c
}

func (f *flags) register(c *cobra.Command) {
	s := c.Flags()
	s.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "List the rollouts of all namespaces.")
	s.StringVarP(&f.selector, "selector", "l", "", "List only the rollouts with these labels, as in kubectl get -l.")
	s.StringVarP(&f.output, "output", "o", "", "Output format: table, wide, json, yaml, name, jsonpath=TEMPLATE, "+
		"custom-columns=HEADER:PATH,..., markdown, junit or prometheus. With -w or --wait, json and yaml print one document per change.")
	s.BoolVar(&f.noHeaders, "no-headers", false, "Omit table headers.")
	cli.AddColorFlag(s, &f.color)

	s.BoolVarP(&f.watch, "watch", "w", false, "Show each change until interrupted.")
	s.BoolVar(&f.wait, "wait", false, "Wait until the rollout is complete, has failed or is on hold; the exit code says which.")
	s.DurationVar(&f.timeout, "timeout", 15*time.Minute, "With --wait: maximum time to wait; 0 waits indefinitely.")
	s.DurationVar(&f.stableFor, "stable-for", 10*time.Second, "With --wait: time for which the rollout must stay complete without a restart.")
	s.StringVar(&f.failFast, "fail-fast", "auto", "With --wait: when a cause that does not recover without a change fails the wait. "+
		"auto: after --fail-after and repeated attempts; strict: at once; never: only when the controller reports failure.")
	s.DurationVar(&f.failAfter, "fail-after", 2*time.Minute,
		"With --wait: minimum age of a cause that probably does not recover without a change.")
	s.DurationVar(&f.progressTimeout, "progress-timeout", 0, "With --wait: fail after this duration without progress. "+
		"Default: progressDeadlineSeconds of a Deployment, none for a Job, otherwise 10m.")
	s.BoolVar(&f.allowOnHold, "allow-on-hold", false, "With --wait: continue to wait while the rollout is on hold.")
	s.Int64Var(&f.revision, "revision", 0, "Report Superseded unless this is the updated revision.")

	s.StringVar(&f.diff, "diff", "",
		"Show the pod template changes since the previous revision, since REVISION, or between REVISION..REVISION.")
	s.Lookup("diff").NoOptDefVal = "previous"
	s.BoolVar(&f.history, "history", false, "List the revisions with their images and change-causes.")
	s.IntVar(&f.tail, "tail", 5, "Number of last log lines of a failing container; 0 reads no logs.")
	s.StringVar(&f.failOn, "fail-on", string(finding.ThresholdNever),
		"Exit with 3 when a finding is at least this severe: "+strings.Join(finding.Thresholds(), ", ")+".")
	s.BoolVar(&f.requireComplete, "require-complete", false, "Exit with 4 when a source could not be read.")

	s.StringVarP(&f.file, "filename", "f", "",
		"Explain the objects in a file (output of kubectl get -o yaml; - is standard input), without a cluster.")
	s.StringVar(&f.saveInput, "save-input", "", "Save the collected data to FILE, for --from-input; values that look secret are masked.")
	s.StringVar(&f.fromInput, "from-input", "", "Explain data saved by --save-input, without a cluster.")
}

func (f *flags) completions(c *cobra.Command) {
	offer := map[string]complete.Func{
		"output":    complete.Words(append([]string{"table"}, output.FormatWords(formats()...)...)...),
		"color":     complete.Words(output.ColorModes()...),
		"fail-fast": complete.Words(failFastWords()...),
		"fail-on":   complete.Words(finding.Thresholds()...),
	}
	for name, words := range offer {
		if err := c.RegisterFlagCompletionFunc(name, words); err != nil {
			panic(err) // a flag that does not exist: a mistake in this function
		}
	}
}

// typeWords are the types that completion offers, with the resource that holds their names.
var typeWords = []struct {
	word     string
	resource schema.GroupVersionResource
}{
	{"deployment", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
	{"statefulset", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}},
	{"daemonset", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}},
	{"job", schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}},
	{"replicaset", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}},
	{"pod", schema.GroupVersionResource{Version: "v1", Resource: "pods"}},
	{"rollout", schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}},
}

// completeTargets offers types, then names of a type, both as TYPE/NAME and as TYPE NAME.
func completeTargets(flags *kube.Flags) complete.Func {
	return func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		typed, _, slash := strings.Cut(word, "/")
		prefix := ""
		switch {
		case slash:
			prefix = typed + "/"
		case len(args) > 0 && !strings.Contains(args[0], "/"):
			typed = args[0]
		case len(args) == 0:
			var offered []string
			for _, t := range typeWords {
				if strings.HasPrefix(t.word, word) {
					offered = append(offered, t.word+"/")
				}
			}
			return offered, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		default:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		kind := strings.ToLower(kinds().Words[strings.ToLower(typed)])
		i := slices.IndexFunc(typeWords, func(t struct {
			word     string
			resource schema.GroupVersionResource
		},
		) bool {
			return t.word == kind
		})
		if i < 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete.Names(flags, typeWords[i].resource, true, prefix)(c, args, word)
	}
}

// contextOr keeps a nil context out of tests.
func contextOr(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background() //nolint:forbidigo // only where no command gave one
	}
	return ctx
}
