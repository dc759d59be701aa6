package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
)

// PodOptions are those of pod.
type PodOptions struct {
	Common
	Pod       string
	Container string
	Kubelet   bool
}

func podCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := PodOptions{}
	command := &cobra.Command{
		Use:   "pod POD",
		Short: "Show the resolver settings of a pod, their sources, and problems with them",
		Example: cli.Example(c.env, `
			# Show the nameservers and search domains of this pod and their sources
			PROGRAM pod web-5d8f7 -n shop
			# Read the kubelet configuration too (requires get nodes/proxy)
			PROGRAM pod web-5d8f7 -n shop --kubelet-config`),
		ValidArgsFunction: completePods(c.flags),
	}
	f.add(command)
	command.Flags().StringVarP(&o.Container, "container", "c", "", "Container whose resolv.conf is read. Default: the first that runs.")
	command.Flags().BoolVar(&o.Kubelet, "kubelet-config", false,
		"Read the kubelet configuration through the API server. Requires get nodes/proxy, a permission that can also run commands in pods.")
	command.RunE = func(command *cobra.Command, args []string) error {
		var errs []error
		o.Common = f.options(&errs)
		if len(args) != 1 {
			errs = append(errs, fmt.Errorf("expected one pod name, got %d", len(args)))
		} else {
			o.Pod = podName("pod", args[0], &errs)
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.pod(command.Context(), o) })
	}
	return command
}

// podKinds are what --from and the argument of `pod` take.
var podKinds = target.Kinds{Default: "Pod", Words: map[string]string{"pod": "Pod", "pods": "Pod", "po": "Pod"}}

// podName reads NAME or pod/NAME; flag is what stands before it, for the error.
func podName(flag, text string, errs *[]error) string {
	if text == "" {
		return ""
	}
	pod, err := podKinds.One(text)
	if err != nil {
		*errs = append(*errs, fmt.Errorf("%s: %w", flag, err))
	} else if _, err := netip.ParseAddr(pod.Name); err == nil {
		*errs = append(*errs, fmt.Errorf("%s: %q is an IP address; use the name of the pod ('kubectl get pods -A -o wide "+
			"--field-selector status.podIP=%s' finds it)", flag, pod.Name, pod.Name))
	}
	return pod.Name
}

func (c *common) pod(ctx context.Context, o PodOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	in, now, err := s.collect(ctx, collect.Wants{
		Servers: true, Namespaces: true, Policies: true, KubeletMap: true, Kubelets: o.Kubelet,
		From: &collect.From{Namespace: s.namespace(), Pod: o.Pod, Container: o.Container, Files: true},
	}, 0)
	if err != nil {
		return err
	}
	r := evaluate.Pod(in, now, s.judge())
	return finish(s, r.Header, r, render.Pod)
}

// ExplainOptions are those of explain.
type ExplainOptions struct {
	Common
	Name      string
	From      string
	Container string
	Libcs     []resolver.Libc
}

func explainCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := ExplainOptions{}
	var libc string
	words := []string{"auto", "all"}
	for _, l := range resolver.All() {
		words = append(words, string(l))
	}
	command := &cobra.Command{
		Use:   "explain NAME --from POD",
		Short: "Show how the C library of a pod resolves a name through its search list, and count the queries",
		Long: cli.Long(`Show which names the resolver of a pod derives from a name, in which order, the answer to each, and which step ends
			the lookup. glibc, musl (Alpine), Go and Windows differ in this; the library is detected in the image where it can be
			read. The DNS pods are queried over port-forward; an answer that is not queried is computed from the API and marked as
			computed.`),
		Example: cli.Example(c.env, `
			# Show how this pod resolves a short name
			PROGRAM explain api.backend --from web-5d8f7 -n shop
			# Compare all C libraries, such as musl of an Alpine image
			PROGRAM explain api.backend --from web-5d8f7 -n shop --libc all`),
	}
	f.add(command)
	command.Flags().StringVar(&o.From, "from", "", "Pod (in the namespace of -n) whose search list is used.")
	command.Flags().StringVarP(&o.Container, "container", "c", "", "Container whose resolv.conf is read. Default: the first that runs.")
	command.Flags().StringVar(&libc, "libc", "auto", "C library whose rules apply: "+strings.Join(words, ", ")+".")
	register(command, "from", completePods(c.flags))
	register(command, "libc", complete.Words(words...))
	command.RunE = func(command *cobra.Command, args []string) error {
		var errs []error
		o.Common = f.options(&errs)
		o.Libcs = libcs(libc, words, &errs)
		if o.From == "" {
			errs = append(errs, errors.New("--from POD is required: the search list is that of the pod"))
		}
		o.From = podName("--from", o.From, &errs)
		if name := oneName(args, &errs); name != "" {
			o.Name = name
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.explain(command.Context(), o) })
	}
	return command
}

func libcs(word string, words []string, errs *[]error) []resolver.Libc {
	switch l, ok := resolver.Lookup(word); {
	case ok:
		return []resolver.Libc{l}
	case word == "all":
		return resolver.All()
	case word != "auto":
		*errs = append(*errs, fmt.Errorf("--libc %q: unknown value; use %s", word, strings.Join(words, ", ")))
	}
	return nil
}

func oneName(args []string, errs *[]error) string {
	if len(args) != 1 {
		*errs = append(*errs, fmt.Errorf("expected one name, got %d", len(args)))
		return ""
	}
	if err := collect.CheckQuestion(records.Question{Name: args[0], Type: "A"}); err != nil {
		*errs = append(*errs, err)
	}
	return args[0]
}

func (c *common) explain(ctx context.Context, o ExplainOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	in, now, err := s.collect(ctx, collect.Wants{
		Servers: true, Namespaces: true, KubeletMap: true,
		From: &collect.From{
			Namespace: s.namespace(), Pod: o.From, Container: o.Container, Files: true, Ask: true, Lookup: true, Questions: o.inPod,
		},
		Questions: func(in evaluate.Input, _ time.Time) []records.Question { return evaluate.ExplainQuestions(in, o.Name) },
	}, 0)
	if err != nil {
		return err
	}
	r := evaluate.Explain(in, now, s.judge(), o.Name, o.Libcs)
	return finish(s, r.Header, r, render.Explain)
}

// inPod asks every step of the lookup at the pod's own nameservers, over UDP as the libraries do.
func (o ExplainOptions) inPod(in evaluate.Input, _ time.Time) []collect.InPodQuestion {
	var list []collect.InPodQuestion
	for _, q := range evaluate.ExplainQuestions(in, o.Name) {
		list = append(list, collect.InPodQuestion{Transport: "UDP", Question: q})
	}
	return list
}

// ResolveOptions are those of resolve.
type ResolveOptions struct {
	Common
	Name      string
	Types     []string
	From      string
	Container string
	At        string
	Expect    string
	Transport string
	Probe     ProbeOptions
}

func resolveCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := ResolveOptions{}
	command := &cobra.Command{
		Use:   "resolve NAME",
		Short: "Query a name at every DNS pod, or from inside a pod",
		Long: cli.Long(`Query a name and show every answer with its viewpoint. Without --from, each DNS pod is queried over port-forward
			(--at all); that shows what the DNS pods answer, not whether a pod can reach them. With --from, the pod itself queries
			the servers of its resolv.conf, or the server of --at, over its own network.

			A name that ends in a dot or is in the cluster domain is used as it is. Other names, such as api.backend, are completed
			to SERVICE.NAMESPACE.svc.ZONE if such a namespace exists. 'explain' follows the search list.`),
		Example: cli.Example(c.env, `
			# Show the answer of each DNS pod
			PROGRAM resolve api.backend
			# Show the answer that a pod gets
			PROGRAM resolve api.backend --from web-5d8f7 -n shop
			# Require in CI that the name has this address at every DNS pod
			PROGRAM resolve kubernetes.default --expect A=10.96.0.1`),
	}
	f.add(command)
	o.Probe.add(command)
	set := command.Flags()
	set.StringSliceVar(&o.Types, "type", []string{"A", "AAAA"}, "Record types to query.")
	set.StringVar(&o.From, "from", "", "Pod (in the namespace of -n) to query from.")
	set.StringVarP(&o.Container, "container", "c", "", "Container of that pod. Default: the first that runs.")
	set.StringVar(&o.At, "at", "all", "Server to query: all, the name of a DNS pod, or, with --from, an IP address.")
	set.StringVar(&o.Expect, "expect", "",
		"Exit with code 3 unless every answer is this: nxdomain, nodata, any, or TYPE=VALUE[,VALUE].")
	set.StringVar(&o.Transport, "transport", "udp", "Protocol of queries from the pod of --from: udp, tcp or both.")
	register(command, "type", complete.Words(collect.Types()...))
	register(command, "from", completePods(c.flags))
	register(command, "expect", complete.Words("any", "nxdomain", "nodata", "A="))
	register(command, "transport", complete.Words("udp", "tcp", "both"))
	register(command, "at", complete.Words("all"))
	command.RunE = func(command *cobra.Command, args []string) error {
		var errs []error
		o.Common = f.options(&errs)
		o.Name = oneName(args, &errs)
		o.check(&errs)
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.resolve(command.Context(), o) })
	}
	return command
}

func (o *ResolveOptions) check(errs *[]error) {
	for i, typ := range o.Types {
		o.Types[i] = strings.ToUpper(typ)
		if err := collect.CheckQuestion(records.Question{Name: "x.", Type: o.Types[i]}); err != nil {
			*errs = append(*errs, fmt.Errorf("--type: %w", err))
		}
	}
	kind, value, data := strings.Cut(o.Expect, "=")
	switch {
	case o.Expect == "", slices.Contains([]string{"nxdomain", "nodata", "any"}, strings.ToLower(o.Expect)):
	case !data || value == "":
		*errs = append(*errs, fmt.Errorf("--expect %q: unknown value; use nxdomain, nodata, any or TYPE=VALUE[,VALUE]", o.Expect))
	case !slices.ContainsFunc(o.Types, func(t string) bool { return strings.EqualFold(t, kind) }):
		*errs = append(*errs, fmt.Errorf("--expect %s: the type is not queried; --type is %s", o.Expect, strings.Join(o.Types, ",")))
	}
	if !slices.Contains([]string{"udp", "tcp", "both"}, o.Transport) {
		*errs = append(*errs, fmt.Errorf("--transport %q: unknown value; use udp, tcp or both", o.Transport))
	}
	if _, err := netip.ParseAddr(o.At); err == nil && o.From == "" {
		*errs = append(*errs, fmt.Errorf("--at %s: only a pod can query an IP address; add --from POD", o.At))
	}
	if o.Container != "" && o.From == "" {
		*errs = append(*errs, errors.New("--container requires --from POD"))
	}
	o.From = podName("--from", o.From, errs)
	o.Probe.check(o.From, errs)
}

func (c *common) resolve(ctx context.Context, o ResolveOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	w := collect.Wants{Servers: true, Namespaces: true, KubeletMap: true}
	if o.From == "" {
		w = o.atServers()
	} else {
		w.From = &collect.From{
			Namespace: s.namespace(), Pod: o.From, Container: o.Container, Ask: true, Files: true, Probe: s.probe(o.Probe),
			Questions: o.inPod,
		}
	}
	in, now, err := s.collect(ctx, w, 0)
	if err != nil {
		return err
	}
	if w.Only != "" && !evaluate.HasReplica(in, w.Only) {
		return fmt.Errorf("there is no DNS pod %q", w.Only)
	}
	judge := s.judge()
	judge.Typed = o.Name
	r := evaluate.Resolve(in, now, judge, evaluate.Qualify(in, o.Name), o.Types, o.Expect)
	err = finish(s, r.Header, r, render.Resolve)
	if err == nil && r.Met != nil && !*r.Met {
		return cli.Exit{Code: cli.ExitThreshold}
	}
	return err
}

// atServers is what resolve reads without --from: the answer of each DNS pod.
func (o ResolveOptions) atServers() collect.Wants {
	w := collect.Wants{Servers: true, Namespaces: true, KubeletMap: true}
	if o.At != "all" {
		w.Only = o.At
	}
	w.Questions = func(in evaluate.Input, _ time.Time) []records.Question {
		return questionsFor(evaluate.Qualify(in, o.Name), o.Types)
	}
	w.Outside = func(in evaluate.Input) bool { return evaluate.Outside(in, evaluate.Qualify(in, o.Name)) }
	return w
}

func questionsFor(name string, types []string) []records.Question {
	var list []records.Question
	for _, t := range types {
		list = append(list, records.Question{Name: name, Type: t})
	}
	return list
}

// inPod asks the servers that the pod is set up with, or the one that was named.
func (o ResolveOptions) inPod(in evaluate.Input, _ time.Time) []collect.InPodQuestion {
	servers := evaluate.PodServers(in, o.At)
	transports := []string{strings.ToUpper(o.Transport)}
	if o.Transport == "both" {
		transports = []string{"UDP", "TCP"}
	}
	var list []collect.InPodQuestion
	for _, server := range servers {
		for _, transport := range transports {
			for _, q := range questionsFor(evaluate.Qualify(in, o.Name), o.Types) {
				list = append(list, collect.InPodQuestion{Server: server, Transport: transport, Question: q})
			}
		}
	}
	return list
}
