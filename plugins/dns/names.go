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
	"statefulset": "StatefulSet", "statefulsets": "StatefulSet", "statefulsets.apps": "StatefulSet",
	"statefulset.apps": "StatefulSet", "sts": "StatefulSet",
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
		*errs = append(*errs, fmt.Errorf("expected one object, got %d", len(refs)))
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
		Short: "List the DNS names of a Service, StatefulSet or Pod, with the expected answers",
		Example: cli.Example(c.env, `
			# List the names of a Service
			PROGRAM names svc/api -n backend
			# Show the shortest names for pods of another namespace
			PROGRAM names svc/api -n backend --from-namespace shop
			# List the names of the pods of a StatefulSet
			PROGRAM names sts/db -n backend`),
		ValidArgsFunction: complete.Words("svc/", "sts/", "pod/"),
	}
	f.add(command)
	command.Flags().StringVar(&fromNamespace, "from-namespace", "",
		"Namespace of the querying pod, for the shortest name. Default: the namespace of the object.")
	register(command, "from-namespace", complete.Namespaces(c.flags))
	command.RunE = func(command *cobra.Command, args []string) error {
		var errs []error
		o := NamesOptions{Common: f.options(&errs), FromNamespace: fromNamespace, Object: parseObject(args, &errs)}
		if len(args) == 0 {
			errs = append(errs, errors.New("an object is required: svc/NAME, sts/NAME or pod/NAME"))
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
	w := collect.Wants{Servers: true, Namespaces: true, StatefulSets: true, Pods: true, Scope: scope.Namespace}
	in, now, err := s.collect(ctx, w, 0)
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
	Object       target.Ref
	All          bool
	At           string
	AllEndpoints bool
}

func verifyCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := VerifyOptions{}
	command := &cobra.Command{
		Use:   "verify [TYPE/NAME]",
		Short: "Compare the answers of every DNS pod with the API",
		Long: cli.Long(`Compute every record that the Services and EndpointSlices of the API require, query each DNS pod for each of them,
			and show what differs: missing, extra or incorrect. A difference is queried again before it is reported, and a record
			that changed within the time that DNS may need is reported as settling. Each DNS pod receives at most 2,000 queries per
			second.`),
		Example: cli.Example(c.env, `
			# Verify the whole cluster
			PROGRAM verify -A
			# Verify one namespace in CI
			PROGRAM verify -n shop --fail-on critical
			# Verify one Service
			PROGRAM verify svc/api -n backend`),
		ValidArgsFunction: complete.Words("svc/", "sts/", "pod/"),
	}
	f.add(command)
	command.Flags().BoolVarP(&o.All, "all-namespaces", "A", false, "Verify all namespaces.")
	command.Flags().StringVar(&o.At, "at", "", "Query only this DNS pod.")
	command.Flags().BoolVar(&o.AllEndpoints, "all-endpoints", false, "Query all endpoints of a headless Service, not only the first 50.")
	command.RunE = func(command *cobra.Command, args []string) error {
		var errs []error
		o.Common = f.options(&errs)
		o.Object = parseObject(args, &errs)
		if o.All && len(args) > 0 {
			errs = append(errs, errors.New("-A cannot be used with an object"))
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.verify(command.Context(), o) })
	}
	return command
}

// most endpoints of one headless Service that are asked for without --all-endpoints.
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
	if o.AllEndpoints {
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
	r := evaluate.Verify(in, now, s.judge(), scope)
	return finish(s, r.Header, r, render.Verify)
}
