package dns

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
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
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, Metrics: true, Questions: func(in evaluate.Input, now time.Time) []records.Question {
		return evaluate.ControlQuestions(in, now, 4)
	}}, 0)
	if err != nil {
		return err
	}
	r := evaluate.Status(in, now, s.judge(), "DNSStatus")
	return s.finish(r.Header, r, func(o render.Options) error { return render.Status(c.env.Streams.Out, r, o) })
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
	return s.finish(r.Header, r, func(o render.Options) error { return render.Config(c.env.Streams.Out, r, o) })
}

func upstreamCommand(c *common) *cobra.Command {
	f := &flagSet{}
	var external string
	command := &cobra.Command{
		Use:   "upstream",
		Short: "Show each upstream server as the DNS servers see it: answers, failures, latency",
		Example: cli.Example(c.env, `
			# Which upstream fails or is slow?
			PROGRAM upstream
			# Ask under a domain that your upstream knows
			PROGRAM upstream --external corp.example`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().StringVar(&external, "external", defaultExternal, "Domain outside the cluster under which a random name is asked.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o := UpstreamOptions{f.options(&errs), externalDomain(external, &errs)}
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
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, Metrics: true, External: o.External, Questions: func(in evaluate.Input, now time.Time) []records.Question {
		return evaluate.ControlQuestions(in, now, 0)
	}}, 6*time.Second)
	if err != nil {
		return err
	}
	r := evaluate.Upstreams(in, now, s.judge())
	return s.finish(r.Header, r, func(o render.Options) error { return render.Upstreams(c.env.Streams.Out, r, o) })
}

// TopOptions are those of top.
type TopOptions struct {
	Common
	Interval time.Duration
}

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
			PROGRAM top --interval 10s`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().DurationVar(&o.Interval, "interval", 0, "Read twice, this long apart, and show what happened between; 0 shows everything since the servers' start.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o.Common = f.options(&errs)
		if o.Interval < 0 {
			errs = append(errs, fmt.Errorf("--interval %s is less than nothing", o.Interval))
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
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, Metrics: true, Interval: o.Interval}, 0)
	if err != nil {
		return err
	}
	r := evaluate.Top(in, now, s.judge())
	return s.finish(r.Header, r, func(o render.Options) error { return render.Top(c.env.Streams.Out, r, o) })
}

// LogsOptions are those of logs.
type LogsOptions struct {
	Common
	Since  time.Duration
	Errors bool
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
			PROGRAM logs --since 1h`),
		Args: noArgs,
	}
	f.add(command)
	command.Flags().DurationVar(&o.Since, "since", 0, "Only lines younger than this; 0 is everything kept.")
	command.Flags().BoolVar(&o.Errors, "errors", false, "Only lines that tell of something wrong.")
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o.Common = f.options(&errs)
		if o.Since < 0 {
			errs = append(errs, fmt.Errorf("--since %s is less than nothing", o.Since))
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
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, Logs: true, LogLines: 2000, LogSince: o.Since}, 0)
	if err != nil {
		return err
	}
	r := evaluate.MergeLogs(in, now, s.judge(), o.Errors)
	return s.finish(r.Header, r, func(o render.Options) error { return render.Logs(c.env.Streams.Out, r, o) })
}
