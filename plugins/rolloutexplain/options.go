package rolloutexplain

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/wait"
)

// flags are the words of the command line.
type flags struct {
	allNamespaces bool
	selector      string
	output        string
	noHeaders     bool
	color         string

	watch           bool
	wait            bool
	timeout         time.Duration
	stableFor       time.Duration
	failFast        string
	failAfter       time.Duration
	progressTimeout time.Duration
	allowOnHold     bool
	revision        int64

	diff            string
	history         bool
	tail            int
	failOn          string
	requireComplete bool

	file      string
	saveInput string
	fromInput string
}

// Options are what a run does; every string is parsed.
type Options struct {
	Targets       []target.Ref // Kind is empty for a bare name
	AllNamespaces bool
	Selector      string
	Format        output.Format
	NoHeaders     bool
	Color         output.ColorMode

	Watch    bool
	Wait     bool
	Timeout  time.Duration
	Patience wait.Patience

	Evaluate        model.Options
	FailOn          finding.Threshold
	RequireComplete bool

	File      string // explain a dump
	SaveInput string
	Whole     bool // what is read can be saved (Reading): it is not packed
	FromInput string
}

// offline says whether no cluster is read.
func (o *Options) offline() bool { return o.File != "" || o.FromInput != "" }

func kinds() target.Kinds {
	return target.Kinds{Words: map[string]string{
		"deploy": "Deployment", "deployment": "Deployment", "deployments": "Deployment",
		"deployment.apps": "Deployment", "deployments.apps": "Deployment",
		"sts": "StatefulSet", "statefulset": "StatefulSet", "statefulsets": "StatefulSet",
		"statefulset.apps": "StatefulSet", "statefulsets.apps": "StatefulSet",
		"ds": "DaemonSet", "daemonset": "DaemonSet", "daemonsets": "DaemonSet",
		"daemonset.apps": "DaemonSet", "daemonsets.apps": "DaemonSet",
		"rs": "ReplicaSet", "replicaset": "ReplicaSet", "replicasets": "ReplicaSet",
		"replicaset.apps": "ReplicaSet", "replicasets.apps": "ReplicaSet",
		"job": "Job", "jobs": "Job", "job.batch": "Job", "jobs.batch": "Job",
		"po": "Pod", "pod": "Pod", "pods": "Pod",
		"ro": "Rollout", "rollout": "Rollout", "rollouts": "Rollout",
		"rollout.argoproj.io": "Rollout", "rollouts.argoproj.io": "Rollout",
	}, Default: bareName}
}

// bareName stands for the kind of a name without a type until it has been searched.
const bareName = "?"

// toOptions reads the flags; all errors are reported at once.
func (f *flags) toOptions(args []string) (*Options, error) {
	o := &Options{
		AllNamespaces: f.allNamespaces, Selector: f.selector, NoHeaders: f.noHeaders, Watch: f.watch, Wait: f.wait, Timeout: f.timeout,
		RequireComplete: f.requireComplete, File: f.file, SaveInput: f.saveInput, FromInput: f.fromInput,
	}
	o.Patience = wait.Patience{FailAfter: f.failAfter, Stable: f.stableFor, ProgressTimeout: f.progressTimeout, AllowOnHold: f.allowOnHold}
	o.Evaluate = model.Options{LogLines: f.tail, History: f.history, Revision: f.revision}
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	o.Targets, err = f.targets(args)
	note(err)
	o.Format, err = output.ParseFormat(f.output, formats()...)
	o.Format.NoHeaders = f.noHeaders
	note(err)
	o.Color, err = output.ParseColorMode(f.color)
	note(err)
	o.FailOn, err = finding.ParseThreshold(f.failOn)
	note(err)
	o.Patience.FailFast, err = wait.ParseFailFast(f.failFast)
	note(err)
	if _, err := labels.Parse(f.selector); err != nil {
		note(fmt.Errorf("-l %q: invalid selector: %w", f.selector, err))
	}
	note(f.diffOptions(&o.Evaluate))
	note(f.conflicts(o))
	if len(errs) > 0 {
		return nil, cli.Usage(errors.Join(errs...))
	}
	return o, nil
}

func formats() []output.FormatKind {
	return append([]output.FormatKind{
		output.Wide, output.JSON, output.YAML, output.Name, output.JSONPath, output.CustomColumns,
	}, output.PublishedKinds()...)
}

func (f *flags) targets(args []string) ([]target.Ref, error) {
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		if _, isKind := kinds().Words[strings.ToLower(args[0])]; isKind {
			return nil, fmt.Errorf("%q: missing name; use %s/NAME or %s NAME", args[0], args[0], args[0])
		}
	}
	refs, err := kinds().Parse(args)
	for i := range refs {
		if refs[i].Kind == bareName {
			refs[i].Kind = ""
		}
		if refs[i].Name == "" {
			return nil, errors.New("a name is empty; use TYPE/NAME")
		}
	}
	return refs, err
}

// diffOptions reads --diff, --diff=N and --diff=A..B.
func (f *flags) diffOptions(o *model.Options) error {
	if f.diff == "" {
		return nil
	}
	o.Diff = true
	if f.diff == "previous" {
		return nil
	}
	from, to, ranged := strings.Cut(f.diff, "..")
	var err error
	if o.DiffFrom, err = strconv.ParseInt(from, 10, 64); err == nil && ranged {
		o.DiffTo, err = strconv.ParseInt(to, 10, 64)
	}
	if err != nil || o.DiffFrom < 1 || ranged && o.DiffTo < 1 {
		return fmt.Errorf("--diff %q: invalid revision; use --diff, --diff=REVISION or --diff=REVISION..REVISION", f.diff)
	}
	return nil
}

func (f *flags) conflicts(o *Options) error {
	var errs []error
	say := func(wrong bool, text string) {
		if wrong {
			errs = append(errs, errors.New(text))
		}
	}
	say(len(o.Targets) > 0 && (f.allNamespaces || f.selector != ""), "names cannot be combined with -A or -l")
	say(f.file != "" && f.fromInput != "", "-f cannot be combined with --from-input")
	say((f.watch || f.wait) && o.offline(), "--watch and --wait need a cluster and cannot be combined with -f or --from-input")
	say((f.watch || f.wait) && f.saveInput != "", "--save-input cannot be combined with --watch or --wait")
	say(f.watch && f.wait, "--watch cannot be combined with --wait")
	say(f.revision != 0 && len(o.Targets) != 1, "--revision needs the name of one rollout")
	once := o.Format.Kind == output.JSONPath || o.Format.Kind == output.CustomColumns
	say((f.watch || f.wait) && once, fmt.Sprintf("-o %s prints one report and cannot be combined with --watch or --wait", o.Format.Kind))
	if f.watch {
		errs = append(errs, o.Format.ForbidRepeated("--watch"))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"--timeout", f.timeout}, {"--stable-for", f.stableFor}, {"--fail-after", f.failAfter}, {"--progress-timeout", f.progressTimeout}} {
		say(d.value < 0, d.name+" must not be negative")
	}
	say(f.tail < 0 || f.tail > 500, "--tail must be between 0 and 500")
	return errors.Join(errs...)
}

func failFastWords() []string { return slices.Clone(wait.FailFastWords) }
