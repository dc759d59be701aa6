package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
)

// StatusOptions are those of status, config, and the other commands without a choice of their own.
type StatusOptions struct{ Common }

func statusCommand(c *common) *cobra.Command {
	command := &cobra.Command{
		Use:   "status",
		Short: "Show the DNS Service, its pods and where names are forwarded (default)",
		Example: cli.Example(c.env, `
			# Show the DNS Service, every DNS pod, and what is wrong
			PROGRAM status
			# Add zones, addresses and the configuration hash of each DNS pod
			PROGRAM status -o wide
			# Fail in CI if cluster DNS is unhealthy
			PROGRAM status --fail-on critical`),
	}
	statusInto(c, command)
	return command
}

// statusInto makes a command run the status: the root does without a word.
func statusInto(c *common, command *cobra.Command) {
	f := &flagSet{}
	f.add(command)
	command.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return cli.Usage(fmt.Errorf("%q is not a command: see --help for the list", args[0]))
		}
		return nil
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o := StatusOptions{f.options(&errs)}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.status(command.Context(), o) })
	}
}

func (c *common) status(ctx context.Context, o StatusOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	questions := func(in evaluate.Input, now time.Time) []records.Question {
		return evaluate.ControlQuestions(in, now, 4)
	}
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, KubeletMap: true, Metrics: true, Questions: questions}, 0)
	if err != nil {
		return err
	}
	r := evaluate.Status(in, now, s.judge(), "DNSStatus")
	return finish(s, r.Header, r, render.Status)
}

func configCommand(c *common) *cobra.Command {
	f := &flagSet{}
	command := &cobra.Command{
		Use:   "config",
		Short: "Explain the Corefile: the order in which plugins run, with line numbers, and unexpected lines",
		Long: cli.Long(`Explain the Corefile. CoreDNS runs plugins in an order that is fixed at build time, whatever their order in the
			file. This command shows that order, follows imports, and names lines that do not do what they seem to do.`),
		Example: cli.Example(c.env, `
			# Show the Corefile in the order in which plugins run
			PROGRAM config
			# Print the same as JSON
			PROGRAM config -o json`),
		Args: noArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			var errs []error
			o := StatusOptions{f.options(&errs)}
			if len(errs) > 0 {
				return usage(errs)
			}
			return c.act(o, func() error { return c.config(command.Context(), o) })
		},
	}
	f.add(command)
	return command
}

func (c *common) config(ctx context.Context, o StatusOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, KubeletMap: true, Logs: true, LogLines: 200}, 0)
	if err != nil {
		return err
	}
	r := evaluate.ConfigReport(in, now, s.judge())
	return finish(s, r.Header, r, render.Config)
}

func upstreamCommand(c *common) *cobra.Command {
	f := &flagSet{}
	var external string
	direct := DirectOptions{}
	command := &cobra.Command{
		Use:   "upstream",
		Short: "Show each upstream server as the DNS pods see it: answers, failures, latency",
		Example: cli.Example(c.env, `
			# Show which upstream fails or is slow
			PROGRAM upstream
			# Query a name in a domain that your upstream serves
			PROGRAM upstream --external-domain corp.example
			# Query each upstream directly, over UDP and TCP, from a pod on the node of each DNS pod
			PROGRAM upstream --direct`),
		Args: noArgs,
	}
	f.add(command)
	set := command.Flags()
	set.BoolVar(&direct.Ask, "direct", false, "Query each upstream directly, over UDP and TCP, from a pod on the node of each DNS pod. "+
		"This creates a Job per DNS pod in the namespace of the DNS pods and deletes it.")
	set.StringVar(&direct.Image, "probe-image", defaultProbeImage, "Image of the pods of --direct; requires sh and python3, perl, bash or nc.")
	set.DurationVar(&direct.Wait, "probe-timeout", 60*time.Second, "Time limit of each pod of --direct, including the image pull.")
	set.StringVar(&external, "external-domain", defaultExternal, "Domain outside the cluster in which a random name is queried.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o := UpstreamOptions{f.options(&errs), externalDomain(external, &errs), direct}
		if direct.Wait <= 0 {
			errs = append(errs, fmt.Errorf("--probe-timeout %s: must be greater than 0", direct.Wait))
		}
		if direct.Ask && external == "" {
			errs = append(errs, errors.New("--direct requires a domain: --external-domain"))
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.upstream(command.Context(), o) })
	}
	return command
}

const defaultExternal = "example.com"

// UpstreamOptions are those of upstream.
type UpstreamOptions struct {
	Common
	External string
	Direct   DirectOptions
}

// DirectOptions say whether pods on the nodes of the DNS pods may be created to query the upstreams, and how.
type DirectOptions struct {
	Ask   bool
	Image string
	Wait  time.Duration
}

func externalDomain(domain string, errs *[]error) string {
	if domain == "" {
		return ""
	}
	if err := collect.CheckQuestion(records.Question{Name: "kubectl-dns-0000000." + domain, Type: "A"}); err != nil {
		*errs = append(*errs, fmt.Errorf("--external-domain %q: %w", domain, err))
	}
	return domain
}

func (c *common) upstream(ctx context.Context, o UpstreamOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	questions := func(in evaluate.Input, now time.Time) []records.Question {
		return evaluate.ControlQuestions(in, now, 0)
	}
	w := collect.Wants{Servers: true, Metrics: true, External: o.External, Questions: questions}
	if o.Direct.Ask {
		probe := s.probe(ProbeOptions{Kind: collect.ProbePod, Image: o.Direct.Image, Wait: o.Direct.Wait})
		w.Direct = &probe
	}
	in, now, err := s.collect(ctx, w, 6*time.Second)
	if err != nil {
		return err
	}
	r := evaluate.Upstreams(in, now, s.judge())
	return finish(s, r.Header, r, render.Upstreams)
}

// TopOptions are those of top.
type TopOptions struct {
	Common
	Interval time.Duration
	Watch    bool
}

// watchInterval is how long top --watch counts for each table when no --interval is given.
const watchInterval = 5 * time.Second

func topCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := TopOptions{}
	command := &cobra.Command{
		Use:   "top",
		Short: "Show the traffic of each DNS pod: rate, rcodes, cache hits, latency, forwarded queries",
		Example: cli.Example(c.env, `
			# Show the traffic since each DNS pod started
			PROGRAM top
			# Show the traffic of the next ten seconds
			PROGRAM top --interval 10s
			# Repeat every five seconds
			PROGRAM top --watch`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().DurationVar(&o.Interval, "interval", 0,
		"Read twice with this interval and show the traffic between the two; 0 shows everything since the DNS pods started.")
	command.Flags().BoolVarP(&o.Watch, "watch", "w", false, "Print again after every --interval (5s if not set) until interrupted.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o.Common = f.options(&errs)
		if o.Interval < 0 {
			errs = append(errs, errors.New("--interval must not be negative"))
		}
		if o.Watch && (o.FromInput != "" || o.SaveInput != "") {
			errs = append(errs, errors.New("--watch cannot be used with --from-input or --save-input"))
		}
		if err := o.Format.ForbidRepeated("--watch"); o.Watch && err != nil {
			errs = append(errs, err)
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.top(command.Context(), o) })
	}
	return command
}

func (c *common) top(ctx context.Context, o TopOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	if o.Watch && o.Interval == 0 {
		o.Interval = watchInterval
	}
	complaints := c.env.Complaints()
	for shown := false; ; {
		in, now, err := s.collect(ctx, collect.Wants{Servers: true, Metrics: true, Interval: o.Interval}, 0)
		if err == nil {
			if shown && !o.Format.Structured() {
				fmt.Fprintln(c.env.Streams.Out)
			}
			r := evaluate.Top(in, now, s.judge())
			err := finish(s, r.Header, r, render.Top)
			if err != nil || !o.Watch {
				return err
			}
			shown = true
			complaints.Say("", nil)
			continue
		}
		if !shown || ctx.Err() != nil {
			return err
		}
		complaints.Say("", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.Interval):
		}
	}
}

// LogsOptions are those of logs.
type LogsOptions struct {
	Common
	Since  time.Duration
	Errors bool
	Follow bool
}

func logsCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := LogsOptions{}
	command := &cobra.Command{
		Use:   "logs",
		Short: "Show the merged logs of the DNS pods, with lines classified and repetitions counted",
		Example: cli.Example(c.env, `
			# Show the problems in the logs
			PROGRAM logs --errors
			# Show all lines of the last hour
			PROGRAM logs --since 1h
			# Follow new problems
			PROGRAM logs --errors -f`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().DurationVar(&o.Since, "since", 0, "Show only lines newer than this duration; 0 shows all retained lines.")
	command.Flags().BoolVar(&o.Errors, "errors", false, "Show only lines that report a problem.")
	command.Flags().BoolVarP(&o.Follow, "follow", "f", false,
		"Print new lines until interrupted, including those of DNS pods that start later.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o.Common = f.options(&errs)
		if o.Since < 0 {
			errs = append(errs, errors.New("--since must not be negative"))
		}
		report := o.Format.Structured() || o.Format.Published() || o.FromInput != "" || o.SaveInput != "" ||
			o.RequireComplete || o.FailOn != finding.ThresholdNever
		if o.Follow && report {
			errs = append(errs, errors.New("--follow prints lines, not a report: it cannot be used with "+
				"-o json, yaml, jsonpath, markdown, junit or prometheus, --from-input, --save-input, --fail-on or --require-complete"))
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.logs(command.Context(), o) })
	}
	return command
}

func (c *common) logs(ctx context.Context, o LogsOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	if o.Follow {
		return s.follow(ctx, o)
	}
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, Logs: true, LogLines: 2000, LogSince: o.Since}, 0)
	if err != nil {
		return err
	}
	r := evaluate.MergeLogs(in, now, s.judge(), o.Errors)
	return finish(s, r.Header, r, render.Logs)
}

func (s *session) follow(ctx context.Context, o LogsOptions) error {
	in, _, err := s.collect(ctx, collect.Wants{Servers: true}, 0)
	if err != nil {
		return err
	}
	options := render.Options{Terminal: s.c.env.Out(s.o.Color), Wide: s.o.Format.Kind == output.Wide}
	keys := map[string]*evaluate.KeyMask{}
	emit := func(pod, text string) error {
		if keys[pod] == nil {
			keys[pod] = &evaluate.KeyMask{}
		}
		line, ok := evaluate.ClassifyLine(pod, keys[pod].Line(text), o.Errors)
		if !ok {
			return nil
		}
		return render.LogLine(s.c.env.Streams.Out, mask.Copy(line), options)
	}
	return s.collector(0).Follow(ctx, in, collect.Tail{Since: o.Since, Complain: s.c.env.Complaints().Say, Emit: emit})
}
