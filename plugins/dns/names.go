package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
)

var objectKinds = target.Kinds{Words: map[string]string{
	"service": "Service", "services": "Service", "svc": "Service",
	"statefulset": "StatefulSet", "statefulsets": "StatefulSet", "statefulsets.apps": "StatefulSet", "statefulset.apps": "StatefulSet", "sts": "StatefulSet",
	"pod": "Pod", "pods": "Pod", "po": "Pod",
}}

func parseObject(args []string, errs *[]error) target.Ref {
	if len(args) == 0 {
		return target.Ref{}
	}
	refs, err := objectKinds.Parse(args)
	switch {
	case err != nil:
		*errs = append(*errs, err)
	case len(refs) != 1:
		*errs = append(*errs, fmt.Errorf("one object at a time: %d were given", len(refs)))
	default:
		return refs[0]
	}
	return target.Ref{}
}

// NamesOptions are those of names.
type NamesOptions struct {
	Common
	Object        target.Ref
	FromNamespace string
}

func namesCommand(c *common) *cobra.Command {
	f := &flagSet{}
	var fromNamespace string
	command := &cobra.Command{
		Use:   "names TYPE/NAME",
		Short: "List every name that leads to a Service, StatefulSet or Pod, with the answer it must have",
		Example: cli.Example(c.env, `
			# What can I call this Service?
			PROGRAM names svc/api -n backend
			# What must a pod of another namespace type?
			PROGRAM names svc/api -n backend --from-namespace shop
			# The names of a StatefulSet's pods
			PROGRAM names sts/db -n backend`),
		ValidArgsFunction: complete.Words("svc/", "sts/", "pod/"),
	}
	f.add(command)
	command.Flags().StringVar(&fromNamespace, "from-namespace", "", "Namespace of the pod that asks, for the shortest name; default: the object's own.")
	register(command, "from-namespace", complete.Namespaces(c.flags))
	command.RunE = func(command *cobra.Command, args []string) error {
		var errs []error
		o := NamesOptions{Common: f.options(&errs), FromNamespace: fromNamespace, Object: parseObject(args, &errs)}
		if len(args) == 0 {
			errs = append(errs, errors.New("which object? Give svc/NAME, sts/NAME or pod/NAME"))
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.names(command.Context(), o) })
	}
	return command
}

func (c *common) names(ctx context.Context, o NamesOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	scope := evaluate.Scope{Namespace: s.namespace(), Kind: o.Object.Kind, Name: o.Object.Name}
	in, now, err := s.collect(ctx, collect.Wants{Servers: true, Namespaces: true, StatefulSets: true, Pods: true, Scope: scope.Namespace}, 0)
	if err != nil {
		return err
	}
	if err := evaluate.Exists(in, scope); err != nil {
		return err
	}
	r := evaluate.Names(in, now, s.judge(), scope, o.FromNamespace)
	return finish(s, r.Header, r, render.Names)
}

// VerifyOptions are those of verify.
type VerifyOptions struct {
	Common
	Object target.Ref
	All    bool
	At     string
	Full   bool
}

func verifyCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := VerifyOptions{}
	command := &cobra.Command{
		Use:   "verify [TYPE/NAME]",
		Short: "Compare what every server answers with what the API says it must",
		Long: cli.Long(`Compute every record that the Services and EndpointSlices of the API require, ask each server for each of them, and
			show what differs: missing, extra or wrong. What differs is asked again before it counts, and what changed within the
			time that DNS may need is called settling. At most 2,000 questions a second go to each server.`),
		Example: cli.Example(c.env, `
			# The whole cluster
			PROGRAM verify -A
			# One namespace, in CI
			PROGRAM verify -n shop --fail-on critical
			# One Service
			PROGRAM verify svc/api -n backend`),
		ValidArgsFunction: complete.Words("svc/", "sts/", "pod/"),
	}
	f.add(command)
	command.Flags().BoolVarP(&o.All, "all-namespaces", "A", false, "Look at all namespaces.")
	command.Flags().StringVar(&o.At, "at", "", "Only this DNS pod.")
	command.Flags().BoolVar(&o.Full, "full", false, "Ask for every endpoint of a headless Service, not for the first 50.")
	command.RunE = func(command *cobra.Command, args []string) error {
		var errs []error
		o.Common = f.options(&errs)
		o.Object = parseObject(args, &errs)
		if o.All && len(args) > 0 {
			errs = append(errs, errors.New("-A and an object exclude each other"))
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.verify(command.Context(), o) })
	}
	return command
}

// most endpoints of one headless Service that are asked for without --full.
const mostEndpoints = 50

func (c *common) verify(ctx context.Context, o VerifyOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	scope := evaluate.Scope{Namespace: s.namespace(), Kind: o.Object.Kind, Name: o.Object.Name, Most: mostEndpoints}
	if o.All {
		scope.Namespace = ""
	}
	if o.Full {
		scope.Most = 0
	}
	w := collect.Wants{
		Servers: true, Namespaces: true, StatefulSets: true, Pods: o.Object.Kind == "Pod", Scope: scope.Namespace, Only: o.At,
		Questions: func(in evaluate.Input, _ time.Time) []records.Question {
			return append(evaluate.VerifyQuestions(in, scope), evaluate.SOAQuestion(in))
		},
	}
	in, now, err := s.collect(ctx, w, 0)
	if err != nil {
		return err
	}
	if err := evaluate.Exists(in, scope); err != nil {
		return err
	}
	if o.At != "" && !evaluate.HasReplica(in, o.At) {
		return fmt.Errorf("there is no DNS pod %q", o.At)
	}
	if again := evaluate.Mismatched(in, now); len(again) > 0 && s.cluster != nil && o.SaveInput == "" {
		in, now, err = s.again(ctx, w, in, again)
		if err != nil {
			return err
		}
	}
	r := evaluate.Verify(in, now, s.judge(), scope)
	return finish(s, r.Header, r, render.Verify)
}

// again reads the API and asks what differed a second time: a change between the two readings is no difference.
func (s *session) again(ctx context.Context, w collect.Wants, first evaluate.Input, questions []records.Question) (evaluate.Input, time.Time, error) {
	w.Questions = func(in evaluate.Input, _ time.Time) []records.Question {
		return append(questions, evaluate.SOAQuestion(in))
	}
	second, now, err := s.collect(ctx, w, 0)
	if err != nil {
		return first, now, err
	}
	return evaluate.Replace(first, second), now, nil
}
