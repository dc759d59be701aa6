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
		Short: "Show the DNS Service, its servers and where names are sent on (default)",
		Example: cli.Example(c.env, `
			# The DNS Service, every server, and what is wrong
			PROGRAM status
			# With zones, addresses and the hash of each server's configuration
			PROGRAM status -o wide
			# In CI: fail when DNS is failing
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
			return cli.Usage(fmt.Errorf("%q is not a command: see the list in --help", args[0]))
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
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, KubeletMap: true, Metrics: true, Questions: func(in evaluate.Input, now time.Time) []records.Question {
		return evaluate.ControlQuestions(in, now, 4)
	}}, 0)
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
		Short: "Explain the Corefile: the order in which plugins run, with line numbers, and what is odd in it",
		Long:  cli.Long(`Explain the Corefile. CoreDNS runs plugins in an order that is fixed when it is built, whatever order the file has; this command shows that order, follows imports, and names lines that do not do what they seem to.`),
		Example: cli.Example(c.env, `
			# The Corefile in the order in which it works
			PROGRAM config
			# As data
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
	deep := DeepOptions{}
	command := &cobra.Command{
		Use:   "upstream",
		Short: "Show each upstream server as the DNS servers see it: answers, failures, latency",
		Example: cli.Example(c.env, `
			# Which upstream fails or is slow?
			PROGRAM upstream
			# Ask under a domain that your upstream knows
			PROGRAM upstream --external corp.example
			# Ask each upstream itself, by UDP and by TCP, from a pod beside each server
			PROGRAM upstream --deep`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().BoolVar(&deep.Ask, "deep", false, "Ask each upstream directly, by UDP and by TCP, from a pod beside each DNS server: it makes a Job in the servers' namespace for each, and deletes it.")
	command.Flags().StringVar(&deep.Image, "probe-image", defaultProbeImage, "Image of those pods; it needs sh, and python3, perl, bash or nc.")
	command.Flags().DurationVar(&deep.Wait, "probe-timeout", 60*time.Second, "How long each may take, with pulling its image.")
	command.Flags().StringVar(&external, "external", defaultExternal, "Domain outside the cluster under which a random name is asked.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o := UpstreamOptions{f.options(&errs), externalDomain(external, &errs), deep}
		if deep.Wait <= 0 {
			errs = append(errs, fmt.Errorf("--probe-timeout %s is not a time to wait: give more than 0", deep.Wait))
		}
		if deep.Ask && external == "" {
			errs = append(errs, errors.New("--deep needs a domain to ask for: --external"))
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
	Deep     DeepOptions
}

// DeepOptions say whether pods beside the servers may be made to ask the upstreams, and how.
type DeepOptions struct {
	Ask   bool
	Image string
	Wait  time.Duration
}

func externalDomain(domain string, errs *[]error) string {
	if domain == "" {
		return ""
	}
	if err := collect.CheckQuestion(records.Question{Name: "kubectl-dns-0000000." + domain, Type: "A"}); err != nil {
		*errs = append(*errs, fmt.Errorf("--external %q: %w", domain, err))
	}
	return domain
}

func (c *common) upstream(ctx context.Context, o UpstreamOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	w := collect.Wants{Servers: true, Metrics: true, External: o.External, Questions: func(in evaluate.Input, now time.Time) []records.Question {
		return evaluate.ControlQuestions(in, now, 0)
	}}
	if o.Deep.Ask {
		probe := s.probe(ProbeOptions{Kind: collect.ProbePod, Image: o.Deep.Image, Wait: o.Deep.Wait})
		w.Deep = &probe
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
		Short: "Show the traffic of each server: rate, rcodes, cache hits, latency, what is forwarded",
		Example: cli.Example(c.env, `
			# Since each server's start
			PROGRAM top
			# Over the next ten seconds
			PROGRAM top --interval 10s
			# Again and again, every five seconds
			PROGRAM top --watch`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().DurationVar(&o.Interval, "interval", 0, "Read twice, this long apart, and show what happened between; 0 shows everything since the servers' start.")
	command.Flags().BoolVarP(&o.Watch, "watch", "w", false, "Print again after every --interval (5 s by default), until interrupted.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o.Common = f.options(&errs)
		if o.Interval < 0 {
			errs = append(errs, fmt.Errorf("--interval %s is less than nothing", o.Interval))
		}
		if o.Watch && (o.FromInput != "" || o.SaveInput != "") {
			errs = append(errs, errors.New("--watch excludes --from-input and --save-input: it looks again and again"))
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
		Short: "Show the servers' logs merged, classified, and with repetitions counted",
		Example: cli.Example(c.env, `
			# What do the servers complain about?
			PROGRAM logs --errors
			# Everything of the last hour
			PROGRAM logs --since 1h
			# What goes wrong from now on
			PROGRAM logs --errors -f`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().DurationVar(&o.Since, "since", 0, "Only lines younger than this; 0 is everything kept.")
	command.Flags().BoolVar(&o.Errors, "errors", false, "Only lines that tell of something wrong.")
	command.Flags().BoolVarP(&o.Follow, "follow", "f", false, "Print each line as it comes, also those of servers that start later, until interrupted.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o.Common = f.options(&errs)
		if o.Since < 0 {
			errs = append(errs, fmt.Errorf("--since %s is less than nothing", o.Since))
		}
		if o.Follow && (o.Format.Structured() || o.FromInput != "" || o.SaveInput != "" || o.RequireComplete || o.FailOn != finding.ThresholdNever) {
			errs = append(errs, errors.New("--follow prints lines, not a report: it excludes -o json, yaml and jsonpath, --from-input, --save-input, --fail-on and --require-complete"))
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
	return s.collector(0).Follow(ctx, in, collect.Tail{Since: o.Since, Complain: s.c.env.Complaints().Say, Emit: func(pod, text string) error {
		line, ok := evaluate.ClassifyLine(pod, text, o.Errors)
		if !ok {
			return nil
		}
		return render.LogLine(s.c.env.Streams.Out, mask.Copy(line), options)
	}})
}
