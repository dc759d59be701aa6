package nodeshell

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/session"
)

// defaultMax bounds a session that nobody ends.
const defaultMax = 4 * time.Hour

// podFlags shape the helper pod; shells and captures share them.
type podFlags struct {
	image        string
	noPull       bool
	pullSecrets  []string
	critical     bool
	force        bool
	createNS     bool
	reason       string
	labels       []string
	annotations  []string
	maxDuration  time.Duration
	startTimeout time.Duration
	noJob        bool
	quiet        bool
}

func (f *podFlags) add(set *pflag.FlagSet) {
	set.StringVar(&f.image, "image", "auto",
		"Image of the helper pod, with sh and nsenter. "+
			"auto uses a known image that is on the node, otherwise "+evaluate.DefaultImage+".")
	set.BoolVar(&f.noPull, "no-pull", false,
		"Pull nothing: run an image that is on the node, with the host's own tools mounted over it. Needs list pods in all namespaces.")
	set.StringSliceVar(&f.pullSecrets, "pull-secret", nil, "Use this Secret in the namespace of the helper pod as registry credentials.")
	set.BoolVar(&f.critical, "critical", false,
		"Run as a system-node-critical pod, which a full node or a node under pressure admits. May stop a workload.")
	set.BoolVar(&f.force, "force", false, "Try to start the pod even if the kubelet does not report or the node is under pressure.")
	set.BoolVar(&f.createNS, "create-namespace", false,
		"Create a privileged namespace for this session and delete it at the end. Needs create and delete namespaces.")
	set.StringVar(&f.reason, "reason", "", "Reason for the session, recorded on the pod and in an Event on the node.")
	set.StringSliceVar(&f.labels, "labels", nil, "Additional labels for the pod, KEY=VALUE, such as those that a policy requires.")
	set.StringSliceVar(&f.annotations, "annotations", nil, "Additional annotations for the pod, KEY=VALUE.")
	set.DurationVar(&f.maxDuration, "max-duration", defaultMax,
		"Terminate the pod after this duration at the latest, whatever happens to this process.")
	set.DurationVar(&f.startTimeout, "start-timeout", time.Minute,
		"Wait this long for the pod to start; while an image is being pulled, at least 10m.")
	set.BoolVar(&f.noJob, "no-job", false,
		"Create a bare pod without a Job. The Job makes the cluster delete the pod if this process is killed.")
	set.BoolVarP(&f.quiet, "quiet", "q", false, "Print no notices on standard error.")
}

// settable are flags that a site needs on every call, such as its mirror's image: KUBECTL_NODESHELL_IMAGE and so on give
// their defaults. Flags that may hurt others (--critical, --force) have none.
var settable = []string{"image", "no-pull", "pull-secret", "labels", "annotations", "max-duration", "start-timeout", "no-job"}

// fromEnvironment sets the flags that were not given.
func fromEnvironment(env *cli.Env, set *pflag.FlagSet) error {
	var errs []error
	for _, name := range settable {
		key := "KUBECTL_NODESHELL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		value, _ := env.LookupEnv(key)
		if value == "" || set.Changed(name) || name == "image" && set.Changed("no-pull") || name == "no-pull" && set.Changed("image") {
			continue
		}
		if err := set.Lookup(name).Value.Set(value); err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: %w", key, value, err))
		}
	}
	return cli.Usage(errors.Join(errs...))
}

func (f *podFlags) check() []error {
	var errs []error
	if f.noPull && f.image != "auto" {
		errs = append(errs, errors.New("--no-pull and --image exclude each other"))
	}
	if f.image == "" || strings.ContainsAny(f.image, " \t\n") {
		errs = append(errs, fmt.Errorf("--image %q: not an image name", f.image))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"max-duration", f.maxDuration}, {"start-timeout", f.startTimeout}} {
		if d.value < time.Second {
			errs = append(errs, fmt.Errorf("--%s %s must be at least 1s", d.name, d.value))
		}
	}
	for _, label := range f.labels {
		key, value, ok := strings.Cut(label, "=")
		if !ok || len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 {
			errs = append(errs, fmt.Errorf("--labels %q: not a valid label; use KEY=VALUE", label))
		}
	}
	for _, annotation := range f.annotations {
		if key, _, ok := strings.Cut(annotation, "="); !ok || len(validation.IsQualifiedName(key)) > 0 {
			errs = append(errs, fmt.Errorf("--annotations %q: not a valid annotation; use KEY=VALUE", annotation))
		}
	}
	return errs
}

// options are the checked flags.
func (f *podFlags) options() enter.Options {
	o := enter.Options{
		NoPull: f.noPull, PullSecrets: f.pullSecrets, Critical: f.critical, Force: f.force, CreateNamespace: f.createNS,
		Reason: f.reason, Labels: pairs(f.labels), Annotations: pairs(f.annotations),
		MaxDuration: f.maxDuration, StartTimeout: f.startTimeout, NoJob: f.noJob, Quiet: f.quiet,
	}
	if f.image != "auto" {
		o.Image = f.image
	}
	return o
}

func pairs(list []string) map[string]string {
	m := map[string]string{}
	for _, pair := range list {
		key, value, _ := strings.Cut(pair, "=")
		m[key] = value
	}
	return m
}

// flags are the command line of a shell or command.
type flags struct {
	connection *kube.Flags
	pod        podFlags

	selector    string
	all         bool
	tty         string
	stdin       string
	hostTTY     bool
	inContainer bool
	mountPVC    string
	netns       bool
	container   string
	script      string
	eval        string
	timeout     time.Duration
	dryRun      string
	output      string
	parallel    int
	group       bool
	outputDir   string
	yes         bool
	color       string
}

func (f *flags) add(set *pflag.FlagSet) {
	f.pod.add(set)
	set.StringVarP(&f.selector, "selector", "l", "", "Run on every node that matches this label selector.")
	set.BoolVar(&f.all, "all", false, "Run on every node.")
	set.StringVarP(&f.tty, "tty", "t", "auto",
		"Give the command a terminal: auto, true or false. auto gives one where standard input and output are terminals.")
	set.StringVarP(&f.stdin, "stdin", "i", "auto",
		"Pass standard input to the command: auto, true or false. "+
			"auto passes a pipe or file that was redirected for this command, and leaves the list of a surrounding loop alone.")
	set.Lookup("tty").NoOptDefVal, set.Lookup("stdin").NoOptDefVal = "true", "true"
	set.BoolVar(&f.hostTTY, "host-tty", false, "Open the terminal on the host, with its script(1), for tmux, screen and sudo.")
	set.BoolVarP(&f.inContainer, "in-container", "x", false,
		"Run in the container instead of on the host; the files of the node are at /host. For hosts without a shell.")
	set.StringVarP(&f.mountPVC, "mount-pvc", "m", "",
		"With -x: mount a PersistentVolumeClaim of the helper pod's namespace, NAME[:PATH], into the container. Default PATH: /mnt.")
	set.BoolVar(&f.netns, "netns", false, "With pod/NAME: enter only the network of the pod, with the tools of the node.")
	set.StringVarP(&f.container, "container", "c", "", "With --netns: find the network of the pod by this container.")
	set.StringVar(&f.script, "script", "", "Run this local script on the node (- reads standard input), with the words after -- as arguments.")
	set.StringVar(&f.eval, "eval", "", "Run this line in the shell of the node, such as 'a | b'.")
	set.DurationVar(&f.timeout, "timeout", 0, "Kill the command after this duration, with exit code 124. 0 means no limit.")
	set.StringVar(&f.dryRun, "dry-run", "none",
		"Create nothing: client prints the plan, server also checks admission. With -o yaml, print the exact object.")
	set.Lookup("dry-run").NoOptDefVal = "client"
	set.StringVarP(&f.output, "output", "o", "", "Output format: json or yaml, with the exit code, times and output of each node.")
	set.IntVar(&f.parallel, "parallel", 20, "Run on this many nodes at the same time.")
	set.BoolVar(&f.group, "group-identical", false, "With several nodes: print identical outputs once, with the names of their nodes.")
	set.StringVar(&f.outputDir, "output-dir", "", "With several nodes: write NODE.out and NODE.err into this directory.")
	set.BoolVarP(&f.yes, "yes", "y", false, "Run on more than ten nodes without confirmation.")
	cli.AddColorFlag(set, &f.color)
}

var kinds = target.Kinds{Default: "Node", Words: map[string]string{
	"node": "Node", "nodes": "Node", "no": "Node", "pod": "Pod", "pods": "Pod", "po": "Pod",
}}

// errTwoWays is also what a command without its "--" meets, one of whose options is taken for -l.
var errTwoWays = errors.New("names, -l and --all exclude each other")

func (f *flags) toOptions(args, command []string) (session.Options, error) {
	errs := f.pod.check()
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	o := session.Options{
		Pod: f.pod.options(), TTY: f.tty, Stdin: f.stdin, HostTTY: f.hostTTY, InContainer: f.inContainer, Netns: f.netns,
		Container: f.container, Script: f.script, Eval: f.eval, Command: command, Timeout: f.timeout, DryRun: f.dryRun,
		Parallel: f.parallel, Group: f.group, OutputDir: f.outputDir, Yes: f.yes,
	}
	o.PVC, o.PVCPath, _ = strings.Cut(f.mountPVC, ":")
	if o.PVC != "" && o.PVCPath == "" {
		o.PVCPath = "/mnt"
	}
	refs, err := parseTargets(args)
	if err != nil {
		errs = append(errs, err)
	}
	o.Nodes = collect.Selection{Selector: f.selector, All: f.all}
	for _, ref := range refs {
		if ref.Kind == "Pod" {
			o.Nodes.Pods = append(o.Nodes.Pods, ref.Name)
			continue
		}
		o.Nodes.Nodes = append(o.Nodes.Nodes, ref.Name)
	}
	ways := 0
	for _, given := range []bool{len(args) > 0, f.selector != "", f.all} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		fail("no node given; name a node, node/NAME, pod/NAME or an address, or use -l or --all")
	case ways > 1:
		errs = append(errs, errTwoWays)
	}
	if f.selector != "" {
		if _, err := labels.Parse(f.selector); err != nil {
			fail("-l %q: %w", f.selector, err)
		}
	}
	errs = append(errs, f.checkWords()...)
	errs = append(errs, checkCombinations(o)...)
	if o.Format, err = output.ParseFormat(f.output, output.JSON, output.YAML); err != nil {
		errs = append(errs, err)
	}
	if o.Color, err = output.ParseColorMode(f.color); err != nil {
		errs = append(errs, err)
	}
	o.Pod.Color = o.Color
	return o, cli.Usage(errors.Join(errs...))
}

// parseTargets reads names of nodes. Provider IDs (aws:///eu-1/i-1) have slashes of their own.
func parseTargets(args []string) ([]target.Ref, error) {
	var plain []string
	var refs []target.Ref
	for _, arg := range args {
		if strings.Contains(arg, "://") {
			refs = append(refs, target.Ref{Kind: "Node", Name: arg})
			continue
		}
		plain = append(plain, arg)
	}
	parsed, err := kinds.Parse(plain)
	return append(parsed, refs...), err
}

func (f *flags) checkWords() []error {
	var errs []error
	words := map[string][]string{
		"tty=" + f.tty: {"auto", "true", "false"}, "stdin=" + f.stdin: {"auto", "true", "false"},
		"dry-run=" + f.dryRun: {"none", "client", "server"},
	}
	for _, given := range slices.Sorted(maps.Keys(words)) {
		name, value, _ := strings.Cut(given, "=")
		if !slices.Contains(words[given], value) {
			errs = append(errs, fmt.Errorf("--%s %q: unknown value; use %s", name, value, strings.Join(words[given], ", ")))
		}
	}
	if f.parallel < 1 {
		errs = append(errs, fmt.Errorf("--parallel %d must be at least 1", f.parallel))
	}
	if f.timeout < 0 {
		errs = append(errs, fmt.Errorf("--timeout %s must not be negative", f.timeout))
	}
	return errs
}

func checkCombinations(o session.Options) []error {
	var errs []error
	fail := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if o.Eval != "" && (o.Script != "" || len(o.Command) > 0) {
		fail("--eval excludes --script and a command after --")
	}
	if o.Netns && len(o.Nodes.Pods) == 0 {
		fail("--netns needs a pod, as pod/NAME")
	}
	if o.Container != "" && !o.Netns {
		fail("-c needs --netns")
	}
	if o.PVC != "" && !o.InContainer {
		fail("--mount-pvc needs -x: the claim is mounted into the container")
	}
	if o.Netns && o.InContainer {
		fail("--netns and -x exclude each other: --netns uses the tools of the node")
	}
	if o.HostTTY && o.InContainer {
		fail("--host-tty and -x exclude each other: the terminal is opened on the host")
	}
	if o.Group && o.OutputDir != "" {
		fail("--group-identical and --output-dir exclude each other")
	}
	if o.Script == "-" && o.TTY == "true" {
		fail("--script - and --tty exclude each other: the script is read from standard input")
	}
	return errs
}

// given are the flags of a command line, without the connection's, in order of their names.
func given(c *cobra.Command, except ...string) []string {
	var words []string
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		switch {
		case !f.Changed || slices.Contains(except, f.Name):
		case f.NoOptDefVal != "" && f.Value.String() == f.NoOptDefVal:
			words = append(words, "--"+f.Name)
		default:
			for _, value := range values {
				words = append(words, "--"+f.Name+"="+value)
			}
		}
	})
	return words
}
