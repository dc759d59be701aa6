// Package dns is kubectl dns: it shows which servers answer DNS in a cluster, what a pod queries, what is returned,
// whether it is correct, and if not, why.
package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/publish"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Catalog lists the finding codes, for the documentation.
func Catalog() []finding.Entry { return evaluate.Catalog() }

// New makes the command.
func New(env *cli.Env) *cobra.Command {
	return cli.Explained(env, newCommand(env, nil), cli.Catalog{Entries: Catalog(), Chinese: ChineseCatalog()})
}

// runF, where a test gives one, receives a command's options instead of running them.
type runF func(any) error

func newCommand(env *cli.Env, run runF) *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-dns",
		Short: "Check cluster DNS: its servers, what a pod queries, what is returned, and whether it is correct",
		Long: cli.Long(`Show what the cluster DNS is and whether it works.

			Without a command, it prints the status: the DNS Service, the DNS pods and what each of them answers over a
			port-forward, where names are forwarded, and what is wrong. It only reads; nothing is created unless you pass
			--probe or upstream --direct.`),
		Example: cli.Example(env, `
			# Show the cluster DNS and its health
			PROGRAM
			# Find out why a name does not resolve
			PROGRAM check
			# Do the same, also from inside the affected pod
			PROGRAM check --from web-5d8f7 -n shop
			# Show how this pod resolves a short name
			PROGRAM explain api.backend --from web-5d8f7 -n shop
			# Compare the answers of all DNS pods with the API
			PROGRAM verify -A`),
	}
	flags := cli.AddConnectionFlags(env, root)
	c := &common{env: env, flags: flags, run: run}
	statusInto(c, root)
	root.AddCommand(statusCommand(c), configCommand(c), checkCommand(c), podCommand(c), explainCommand(c), resolveCommand(c),
		namesCommand(c), verifyCommand(c), upstreamCommand(c), topCommand(c), logsCommand(c))
	return root
}

// common is what every command of the plugin shares.
type common struct {
	env   *cli.Env
	flags *kube.Flags
	run   runF
}

// flagSet are the flags of every command; the commands add their own.
type flagSet struct {
	output, color, failOn, saveInput, fromInput string
	noHeaders, requireComplete                  bool
	timeout                                     time.Duration
}

// Common are the choices that every command has.
type Common struct {
	Format          output.Format
	Color           output.ColorMode
	FailOn          finding.Threshold
	RequireComplete bool
	NoHeaders       bool
	SaveInput       string
	FromInput       string
	Timeout         time.Duration
}

func (f *flagSet) add(c *cobra.Command) {
	set := c.Flags()
	set.StringVarP(&f.output, "output", "o", "", "Output format: table, wide, json, yaml, jsonpath=TEMPLATE, markdown, junit or prometheus.")
	set.BoolVar(&f.noHeaders, "no-headers", false, "Print tables without headers.")
	cli.AddColorFlag(set, &f.color)
	set.StringVar(&f.failOn, "fail-on", string(finding.ThresholdNever),
		"Exit with code 3 if a finding has at least this severity: never, critical, warning or info.")
	set.BoolVar(&f.requireComplete, "require-complete", false, "Exit with code 4 if required data could not be read.")
	set.StringVar(&f.saveInput, "save-input", "", "Write the collected data to this file (- is standard output).")
	set.StringVar(&f.fromInput, "from-input", "", "Report on the data in this file of --save-input, without a cluster.")
	set.DurationVar(&f.timeout, "timeout", readLimit, "Time limit of each read.")
	register(c, "output", complete.Words(output.FormatWords(formats()...)...))
	register(c, "color", complete.Words(output.ColorModes()...))
	register(c, "fail-on", complete.Words(finding.Thresholds()...))
}

func formats() []output.FormatKind {
	return append([]output.FormatKind{output.Wide, output.JSON, output.YAML, output.JSONPath}, output.PublishedKinds()...)
}

func register(c *cobra.Command, flag string, f complete.Func) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // a flag that is not there, or two completions for one
	}
}

// options reads the shared flags; every error is appended to errs.
func (f *flagSet) options(errs *[]error) Common {
	o := Common{
		RequireComplete: f.requireComplete, NoHeaders: f.noHeaders, SaveInput: f.saveInput, FromInput: f.fromInput,
		Timeout: f.timeout,
	}
	var err error
	if o.Format, err = output.ParseFormat(f.output, formats()...); err != nil {
		*errs = append(*errs, err)
	}
	if o.Color, err = output.ParseColorMode(f.color); err != nil {
		*errs = append(*errs, err)
	}
	if o.FailOn, err = finding.ParseThreshold(f.failOn); err != nil {
		*errs = append(*errs, err)
	}
	if f.timeout <= 0 {
		*errs = append(*errs, fmt.Errorf("--timeout %s: must be greater than 0", f.timeout))
	}
	if f.saveInput != "" && f.fromInput != "" {
		*errs = append(*errs, errors.New("--save-input and --from-input cannot be used together"))
	}
	return o
}

// session is one run: the cluster, or a saved input in its place.
type session struct {
	c       *common
	o       Common
	cluster *kube.Cluster
}

func (c *common) start(o Common) (*session, error) {
	s := &session{c: c, o: o}
	if o.FromInput != "" {
		return s, nil
	}
	cluster, err := c.flags.Cluster()
	s.cluster = cluster
	return s, err
}

// namespace is that of -n or the context.
func (s *session) namespace() string {
	if s.cluster == nil {
		if flag := s.c.flags.FlagSet().Lookup("namespace"); flag != nil && flag.Changed {
			return flag.Value.String()
		}
		return "default"
	}
	return s.cluster.Namespace
}

// savedInput is what --save-input writes: the input and the moment by the server's clock.
type savedInput struct {
	Time  time.Time      `json:"time"`
	Input evaluate.Input `json:"input"`
}

// collect reads the cluster, or the file of --from-input.
func (s *session) collect(ctx context.Context, w collect.Wants, slow time.Duration) (evaluate.Input, time.Time, error) {
	var saved savedInput
	if s.o.FromInput != "" {
		err := s.c.env.LoadInput(s.o.FromInput, &saved)
		return saved.Input, saved.Time, err
	}
	stop := output.StartProgress(s.c.env.Streams.ErrOut, s.c.env.Err(s.o.Color), "querying the cluster")
	in, err := confirmed(ctx, func() *collect.Collector { return s.collector(slow) }, w)
	stop()
	if err != nil {
		return in, time.Time{}, err
	}
	saved = savedInput{Time: s.cluster.Clock.Now(), Input: in}
	if s.o.SaveInput != "" {
		if err := s.c.env.SaveInput(s.o.SaveInput, savedInput{saved.Time, evaluate.Masked(in)}); err != nil {
			return in, saved.Time, err
		}
	}
	return in, saved.Time, nil
}

func (s *session) collector(slow time.Duration) *collect.Collector {
	return newCollector(s.cluster, s.o.Timeout, slow, s.c.env.Now())
}

func (s *session) judge() evaluate.Options {
	o := evaluate.Options{Slow: slowUpstream}
	if s.cluster != nil {
		o.Kubectl = s.cluster.Kubectl
	}
	return o
}

// finish prints a report and decides the exit code from it. It is the door by which everything is printed, and so the
// last look for secrets: reports quote logs, Corefiles and what servers say.
func finish[R any](s *session, h report.Header, r R, text func(io.Writer, R, render.Options) error) error {
	env := s.c.env
	r = mask.Copy(r)
	switch {
	case s.o.SaveInput == "-": // the input is the output
	case s.o.Format.Structured():
		if err := s.o.Format.Print(env.Streams.Out, r); err != nil {
			return err
		}
	case s.o.Format.Published():
		var plain strings.Builder
		if err := text(&plain, r, render.Options{}); err != nil {
			return err
		}
		if err := s.publish(render.Published(mask.Copy(h), r, plain.String())); err != nil {
			return err
		}
	default:
		o := render.Options{Terminal: env.Out(s.o.Color), Wide: s.o.Format.Kind == output.Wide, NoHeaders: s.o.NoHeaders}
		if err := text(env.Streams.Out, r, o); err != nil {
			return err
		}
	}
	switch {
	case s.o.FailOn.Reached(h.Findings):
		return cli.Exit{Code: cli.ExitThreshold}
	case s.o.RequireComplete && h.Sources.Incomplete():
		return cli.Exit{Code: cli.ExitIncomplete}
	}
	return nil
}

// publish prints a report in a format that other tools read.
func (s *session) publish(r publish.Report) error {
	return publish.Print(s.c.env.Streams.Out, s.o.Format.Kind, r, publish.Options{FailOn: s.o.FailOn, RequireComplete: s.o.RequireComplete})
}

// act runs options, or hands them to the seam.
func (c *common) act(o any, run func() error) error {
	if c.run != nil {
		return c.run(o)
	}
	return run()
}

func usage(errs []error) error { return cli.Usage(errors.Join(errs...)) }

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return cli.Usage(fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

func changed(set *pflag.FlagSet, name string) bool {
	f := set.Lookup(name)
	return f != nil && f.Changed
}
