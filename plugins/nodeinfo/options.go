package nodeinfo

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/render"
)

// flagValues are the flags as typed.
type flagValues struct {
	output, selector, fieldSelector, sortBy, color, failOn, saveInput, fromInput string
	labelColumns, sections, problemConditions                                    []string
	noHeaders, onlyProblems, watch, requireComplete, kubelet                     bool
	timeout, staleAfter                                                          time.Duration
}

// Options are the flags understood: no string is left to be parsed.
type Options struct {
	Names             []string
	LabelSelector     labels.Selector
	FieldSelector     fields.Selector
	Format            output.Format
	Color             output.ColorMode
	SortBy            string
	LabelColumns      []string
	Sections          []string
	ProblemConditions map[string]string
	NoHeaders         bool
	OnlyProblems      bool
	Watch             bool
	Kubelet           bool
	FailOn            finding.Threshold
	RequireComplete   bool
	Timeout           time.Duration
	StaleAfter        time.Duration
	SaveInput         string
	FromInput         string

	Connection *kube.Flags
}

var formats = []output.FormatKind{output.Wide, output.JSON, output.YAML, output.Name, output.JSONPath}

func formatWords() []string { return []string{"wide", "json", "yaml", "name", "jsonpath="} }

var sortKeys = []string{"verdict", "name", "age", "heartbeat", "cpu", "memory", "cpu-requests", "memory-requests", "pods"}

func (v *flagValues) register(set *pflag.FlagSet) {
	set.StringVarP(&v.output, "output", "o", "", "Output format: wide, json, yaml, name or jsonpath=TEMPLATE. wide, json, yaml and jsonpath also read pods, for requests and limits.")
	set.StringVarP(&v.selector, "selector", "l", "", "Only nodes whose labels fit, e.g. -l node-role.kubernetes.io/control-plane.")
	set.StringVar(&v.fieldSelector, "field-selector", "", "Only nodes whose fields fit, e.g. spec.unschedulable=true.")
	set.StringSliceVarP(&v.labelColumns, "label-columns", "L", nil, "Labels to show as columns of the table.")
	set.StringVar(&v.sortBy, "sort-by", "verdict", "Order of the nodes: "+strings.Join(sortKeys, ", ")+".")
	set.BoolVar(&v.noHeaders, "no-headers", false, "Print neither headers nor the summary.")
	set.BoolVar(&v.onlyProblems, "only-problems", false, "Leave out healthy nodes.")
	set.StringSliceVar(&v.sections, "section", nil, "Sections of the report: "+strings.Join(render.Sections(), ", ")+".")
	set.BoolVarP(&v.watch, "watch", "w", false, "Look again every five seconds and print again on change.")
	set.BoolVar(&v.kubelet, "kubelet", false, "Also ask the kubelets themselves: alive, and how full their disks are. Needs get nodes/proxy, with which commands can be run in every pod of the node: grant it with care.")
	set.StringSliceVar(&v.problemConditions, "problem-condition", nil, "How to read a custom condition: TYPE=STATUS is trouble in that status, TYPE= never is.")
	set.StringVar(&v.failOn, "fail-on", string(finding.ThresholdNever), "Exit with 3 if a finding is at least this severe: "+strings.Join(finding.Thresholds(), ", ")+".")
	set.BoolVar(&v.requireComplete, "require-complete", false, "Exit with 4 if something that was asked for could not be read.")
	set.DurationVar(&v.timeout, "timeout", 15*time.Second, "How long to wait for the cluster.")
	set.DurationVar(&v.staleAfter, "stale-after", evaluate.DefaultStaleAfter, "Age of a heartbeat from which Ready=True is not believed: the node controller's grace period and 10s.")
	set.StringVar(&v.saveInput, "save-input", "", "Write what was read to this file (- is standard output), to be explained elsewhere. It holds no environment, commands or secrets.")
	set.StringVar(&v.fromInput, "from-input", "", "Explain a file that --save-input wrote, without a cluster.")
	cli.AddColorFlag(set, &v.color)
}

// toOptions reads the flags and arguments, and reports everything that is wrong at once.
func (v *flagValues) toOptions(args []string, connection *kube.Flags) (Options, error) {
	o := Options{
		LabelColumns: v.labelColumns, SortBy: v.sortBy, NoHeaders: v.noHeaders, OnlyProblems: v.onlyProblems, Watch: v.watch, Kubelet: v.kubelet,
		RequireComplete: v.requireComplete, Timeout: v.timeout, StaleAfter: v.staleAfter, SaveInput: v.saveInput, FromInput: v.fromInput,
		Sections: v.sections, Connection: connection,
	}
	var errs []error
	check := func(err error) { errs = append(errs, err) }
	var err error
	refs, err := target.Kinds{Words: map[string]string{"node": "Node", "nodes": "Node", "no": "Node"}, Default: "Node"}.Parse(args)
	check(err)
	for _, r := range refs {
		o.Names = append(o.Names, r.Name)
	}
	o.Format, err = output.ParseFormat(v.output, formats...)
	check(err)
	o.Color, err = output.ParseColorMode(v.color)
	check(err)
	o.FailOn, err = finding.ParseThreshold(v.failOn)
	check(err)
	if o.LabelSelector, err = labels.Parse(v.selector); err != nil {
		check(fmt.Errorf("-l %q is not a label selector: %w", v.selector, err))
	}
	if o.FieldSelector, err = fields.ParseSelector(v.fieldSelector); err != nil {
		check(fmt.Errorf("--field-selector %q is not a field selector: %w", v.fieldSelector, err))
	}
	if !slices.Contains(sortKeys, v.sortBy) {
		check(fmt.Errorf("--sort-by %q is not known: use %s", v.sortBy, strings.Join(sortKeys, ", ")))
	}
	for _, s := range v.sections {
		if !slices.Contains(render.Sections(), s) {
			check(fmt.Errorf("--section %q is not known: use %s", s, strings.Join(render.Sections(), ", ")))
		}
	}
	o.ProblemConditions, err = problemConditions(v.problemConditions)
	check(err)
	check(v.conflicts(o))
	return o, cli.Usage(errors.Join(errs...))
}

func problemConditions(values []string) (map[string]string, error) {
	var out map[string]string
	for _, value := range values {
		kind, status, ok := strings.Cut(value, "=")
		if !ok || kind == "" || !slices.Contains([]string{"", "True", "False", "Unknown"}, status) {
			return nil, fmt.Errorf("--problem-condition %q is not TYPE=True, TYPE=False, TYPE=Unknown or TYPE=", value)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[kind] = status
	}
	return out, nil
}

// conflicts are flags that make no sense together.
func (v *flagValues) conflicts(o Options) error {
	var errs []error
	selects := cmp.Or(v.selector, v.fieldSelector) != ""
	if len(o.Names) > 0 && selects {
		errs = append(errs, errors.New("give either names of nodes or a selector, not both"))
	}
	if v.fromInput != "" && (selects || v.watch || v.saveInput != "" || v.kubelet) {
		errs = append(errs, errors.New("--from-input reads no cluster: -l, --field-selector, -w, --kubelet and --save-input do not go with it"))
	}
	if v.saveInput == "-" && o.Format.Kind == output.Table && v.watch {
		errs = append(errs, errors.New("--save-input=- does not go with -w"))
	}
	if v.timeout <= 0 || v.staleAfter <= 0 {
		errs = append(errs, errors.New("--timeout and --stale-after must be positive"))
	}
	return errors.Join(errs...)
}

// depth is how much has to be read for what is printed.
func (o Options) depth() evaluate.Depth {
	switch {
	case len(o.Names) > 0:
		return evaluate.Full
	case o.Format.Kind == output.Wide || o.Format.Structured() || strings.HasSuffix(o.SortBy, "-requests") || o.SortBy == "pods":
		return evaluate.Pods
	}
	return evaluate.Fleet
}
