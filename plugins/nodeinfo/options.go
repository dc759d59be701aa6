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
	output, selector, fieldSelector, sortBy, color, failOn, saveInput, fromInput, waitFor, rbacManifest, thresholds string
	labelColumns, sections, problemConditions, files                                                                []string
	noHeaders, onlyProblems, watch, requireComplete, kubelet, drain, remove, paths, join                            bool
	timeout, staleAfter                                                                                             time.Duration
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
	Drain             bool
	Remove            bool
	Paths             bool
	Join              bool
	FailOn            finding.Threshold
	RequireComplete   bool
	Timeout           time.Duration // of one reading
	WaitLimit         time.Duration // of --wait-for; 0: no wait
	Interval          time.Duration // between two looks of --watch and --wait-for
	StaleAfter        time.Duration
	ThresholdsFile    string
	Thresholds        evaluate.Thresholds // of the file
	RBACManifest      string
	SaveInput         string
	Whole             bool // what is read can be saved (Reading): it is not reduced to what is judged
	FromInput         string
	Files             []string // dumps

	Connection *kube.Flags
}

var formats = append([]output.FormatKind{
	output.Wide, output.JSON, output.YAML, output.Name, output.JSONPath, output.CustomColumns,
}, output.PublishedKinds()...)

func formatWords() []string { return output.FormatWords(formats...) }

var sortKeys = []string{"verdict", "name", "age", "heartbeat", "cpu", "memory", "cpu-requests", "memory-requests", "pods"}

func (v *flagValues) register(set *pflag.FlagSet) {
	set.StringVarP(&v.output, "output", "o", "",
		"Output format: wide, json, yaml, name, jsonpath=TEMPLATE, custom-columns=HEADER:PATH,..., markdown, junit or prometheus. "+
			"All but name also read pods, for requests and limits.")
	set.StringVarP(&v.selector, "selector", "l", "", "Select nodes by label, for example -l node-role.kubernetes.io/control-plane.")
	set.StringVar(&v.fieldSelector, "field-selector", "", "Select nodes by field, for example spec.unschedulable=true.")
	set.StringSliceVarP(&v.labelColumns, "label-columns", "L", nil, "Node labels to print as table columns.")
	set.StringVar(&v.sortBy, "sort-by", "verdict", "Sort nodes by one of "+strings.Join(sortKeys, ", ")+".")
	set.BoolVar(&v.noHeaders, "no-headers", false, "Print neither headers nor the summary.")
	set.BoolVar(&v.onlyProblems, "only-problems", false, "Print only nodes that are not Healthy.")
	set.StringSliceVar(&v.sections, "section", nil,
		"Sections of the report to print: "+strings.Join(render.Sections(), ", ")+". Default: all.")
	set.BoolVarP(&v.watch, "watch", "w", false, "Check every 5s and print again after a change.")
	set.StringVar(&v.waitFor, "wait-for", "",
		"Wait until the nodes are "+waitHealthy+" and, if named, exist: after a join, a reboot or an upgrade. Waits for --timeout, "+
			"which then is 10m by default.")
	set.BoolVar(&v.kubelet, "kubelet", false,
		"Also query the kubelets for their health, disk usage and certificates. Needs get nodes/proxy, which also allows running "+
			"commands in every pod of the node: grant it with care. Of named nodes, a TLS handshake from here with the kubelet's "+
			"port reads its certificate; no request and no credentials are sent.")
	set.BoolVar(&v.drain, "drain", false,
		"Preview the drain of the named nodes, all at once: what blocks it, what is lost, whether the other nodes have room, and the "+
			"kubectl drain command. Changes nothing.")
	set.BoolVar(&v.remove, "remove", false,
		"Preview the removal of the named node for good: what --drain tells, what the Node leaves behind (etcd member, control plane, "+
			"volumes, node groups that replace it), and the commands in their order. Changes nothing.")
	set.BoolVar(&v.paths, "paths", false,
		"Report who must reach whom, and whether that works: control plane, kubelets, kube-proxy, network plugin, DNS, metrics, webhooks "+
			"and aggregated APIs; of the named nodes, or of all. With --kubelet, kubelets and kube-proxy are queried, too.")
	set.BoolVar(&v.join, "join", false,
		"Report what the named machines, or all that have not joined yet, lack to be nodes that pods can use: client certificate, Node, "+
			"heartbeat, version, serving certificate, cloud, network plugin, DaemonSets, CSI drivers, taints, labels. Changes nothing.")
	set.StringSliceVar(&v.problemConditions, "problem-condition", nil,
		"Custom node condition and the status that means a problem: TYPE=STATUS, or TYPE= for none.")
	set.StringVar(&v.failOn, "fail-on", string(finding.ThresholdNever),
		"Exit with 3 if a finding has at least this severity: "+strings.Join(finding.Thresholds(), ", ")+".")
	set.BoolVar(&v.requireComplete, "require-complete", false, "Exit with 4 if requested data could not be read.")
	set.DurationVar(&v.timeout, "timeout", readLimit, "Maximum time to wait for the cluster, or for what --wait-for names.")
	set.DurationVar(&v.staleAfter, "stale-after", evaluate.DefaultStaleAfter,
		"Report Ready=True as out of date when the heartbeat is older than this: the grace period of the node controller plus 10s.")
	set.StringVar(&v.thresholds, "thresholds", "",
		"Change the numbers behind findings by this YAML file, or - for standard input: for example memoryUsagePercent: 90. Keys that "+
			"are left out keep their defaults; docs/nodeinfo.md lists them.")
	set.StringVar(&v.saveInput, "save-input", "",
		"Write the data that was read to this file (- for standard output), for use with --from-input. It contains no "+
			"environment variables, commands or secrets.")
	set.StringVar(&v.rbacManifest, "rbac-manifest", "", "Print a ClusterRole for this command and exit: minimal (the table alone), full "+
		"(all that is read without --kubelet, --drain, --remove, --paths and --join) or kubelet (full, and get nodes/proxy).")
	set.StringArrayVarP(&v.files, "filename", "f", nil,
		"Report on the nodes in a dump, without a cluster: the output of kubectl get nodes,leases,pods,events,daemonsets -A -o yaml "+
			"--show-managed-fields, or json; - is standard input. Repeatable. Without --show-managed-fields, heartbeats are unknown.")
	set.StringVar(&v.fromInput, "from-input", "", "Report on a file written by --save-input, without a cluster.")
	cli.AddColorFlag(set, &v.color)
}

// toOptions reads the flags and arguments, and reports everything that is wrong at once. timed says that --timeout was given.
func (v *flagValues) toOptions(args []string, connection *kube.Flags, timed bool) (Options, error) {
	o := Options{
		LabelColumns: v.labelColumns, SortBy: v.sortBy, NoHeaders: v.noHeaders, OnlyProblems: v.onlyProblems, Watch: v.watch, Kubelet: v.kubelet,
		Drain: v.drain, Remove: v.remove, Paths: v.paths, Join: v.join,
		RequireComplete: v.requireComplete, Timeout: v.timeout, StaleAfter: v.staleAfter, SaveInput: v.saveInput, FromInput: v.fromInput,
		Sections: v.sections, Connection: connection, Interval: watchInterval,
	}
	o.RBACManifest, o.Files, o.ThresholdsFile = v.rbacManifest, v.files, v.thresholds
	if v.waitFor != "" {
		o.WaitLimit = waitLimit
		if timed {
			o.WaitLimit = v.timeout
		}
		o.Timeout = min(o.WaitLimit, waitReadLimit)
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
	o.Format.NoHeaders = v.noHeaders
	check(err)
	o.Color, err = output.ParseColorMode(v.color)
	check(err)
	o.FailOn, err = finding.ParseThreshold(v.failOn)
	check(err)
	if o.LabelSelector, err = labels.Parse(v.selector); err != nil {
		check(fmt.Errorf("-l %q: invalid label selector: %w", v.selector, err))
	}
	if o.FieldSelector, err = fields.ParseSelector(v.fieldSelector); err != nil {
		check(fmt.Errorf("--field-selector %q: invalid field selector: %w", v.fieldSelector, err))
	}
	if !slices.Contains(sortKeys, v.sortBy) {
		check(fmt.Errorf("--sort-by %q: unknown key; use %s", v.sortBy, strings.Join(sortKeys, ", ")))
	}
	for _, s := range v.sections {
		if !slices.Contains(render.Sections(), s) {
			check(fmt.Errorf("--section %q: unknown section; use %s", s, strings.Join(render.Sections(), ", ")))
		}
	}
	o.ProblemConditions, err = problemConditions(v.problemConditions)
	check(err)
	check(v.conflicts(o))
	check(v.dumpConflicts())
	check(v.waitConflicts())
	if v.rbacManifest != "" && !slices.Contains(roleNames, v.rbacManifest) {
		check(fmt.Errorf("--rbac-manifest %q: unknown role; use %s", v.rbacManifest, strings.Join(roleNames, ", ")))
	}
	check(v.wholeConflicts(o))
	return o, cli.Usage(errors.Join(errs...))
}

func problemConditions(values []string) (map[string]string, error) {
	var out map[string]string
	for _, value := range values {
		kind, status, ok := strings.Cut(value, "=")
		if !ok || kind == "" || !slices.Contains([]string{"", "True", "False", "Unknown"}, status) {
			return nil, fmt.Errorf("--problem-condition %q: invalid value; use TYPE=True, TYPE=False, TYPE=Unknown or TYPE=", value)
		}
		if out == nil {
			out = map[string]string{}
		}
		out[kind] = status
	}
	return out, nil
}

// conflicts are flags that cannot be combined.
func (v *flagValues) conflicts(o Options) error {
	var errs []error
	selects := cmp.Or(v.selector, v.fieldSelector) != ""
	if len(o.Names) > 0 && selects {
		errs = append(errs, errors.New("node names and selectors cannot be combined"))
	}
	if v.fromInput != "" && (selects || v.watch || v.saveInput != "" || v.kubelet) {
		errs = append(errs, errors.New("--from-input cannot be combined with -l, --field-selector, -w, --kubelet or --save-input"))
	}
	if v.saveInput == "-" && o.Format.Kind == output.Table && v.watch {
		errs = append(errs, errors.New("--save-input=- cannot be combined with -w"))
	}
	if v.watch {
		errs = append(errs, o.Format.ForbidRepeated("--watch"))
	}
	if v.thresholds == "-" && (v.fromInput == "-" || slices.Contains(v.files, "-")) {
		errs = append(errs, errors.New("only one of --thresholds, --from-input and -f can be standard input"))
	}
	if v.timeout <= 0 || v.staleAfter <= 0 {
		errs = append(errs, errors.New("--timeout and --stale-after must be positive"))
	}
	return errors.Join(errs...)
}

// dumpConflicts are the flags that mean nothing to a dump.
func (v *flagValues) dumpConflicts() error {
	if len(v.files) == 0 {
		return nil
	}
	var given []string
	for _, other := range []struct {
		flag string
		is   bool
	}{
		{"--from-input", v.fromInput != ""},
		{"--save-input", v.saveInput != ""},
		{"-l", v.selector != ""},
		{"--field-selector", v.fieldSelector != ""},
		{"-w", v.watch},
		{"--wait-for", v.waitFor != ""},
		{"--kubelet", v.kubelet},
		{"--drain", v.drain},
		{"--remove", v.remove},
		{"--paths", v.paths},
	} {
		if other.is {
			given = append(given, other.flag)
		}
	}
	if at := slices.Index(v.files, "-"); at >= 0 && slices.Contains(v.files[at+1:], "-") {
		return errors.New("-f - can be given only once")
	}
	if len(given) > 0 {
		return fmt.Errorf("-f cannot be combined with %s", strings.Join(given, ", "))
	}
	return nil
}

func (v *flagValues) waitConflicts() error {
	switch {
	case v.waitFor == "":
		return nil
	case v.waitFor != waitHealthy:
		return fmt.Errorf("--wait-for %q: unknown state; use %s", v.waitFor, waitHealthy)
	case v.watch || v.drain || v.remove || v.paths || v.join || v.fromInput != "" || v.saveInput != "":
		return errors.New("--wait-for cannot be combined with -w, --drain, --remove, --paths, --join, --from-input or --save-input")
	}
	return nil
}

// depth is how much has to be read for what is printed.
func (o Options) depth() evaluate.Depth {
	switch {
	case len(o.Names) > 0:
		return evaluate.Full
	case o.Format.Kind == output.Wide || o.Format.Structured() || o.Format.Published(),
		strings.HasSuffix(o.SortBy, "-requests"), o.SortBy == "pods":
		return evaluate.Pods
	}
	return evaluate.Fleet
}
