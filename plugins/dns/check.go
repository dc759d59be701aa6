package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/complete"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
)

// CheckOptions are those of check.
type CheckOptions struct {
	Common
	From      string
	Container string
	Profile   string
	Ignore    []string
	External  string
	Slow      time.Duration
	Probe     ProbeOptions
}

// ProbeOptions say what may be created to look from inside a pod.
type ProbeOptions struct {
	Kind  string
	Image string
	Wait  time.Duration
}

const defaultProbeImage = "busybox:1.36"

// The profiles of check.
const (
	profileQuick = "quick"
	profileFull  = "full"
	profileCI    = "ci"
)

var profiles = []string{profileQuick, profileFull, profileCI}

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

func completePods(f *kube.Flags) complete.Func { return complete.Names(f, pods, true, "") }

func (p *ProbeOptions) add(c *cobra.Command) {
	set := c.Flags()
	set.StringVar(&p.Kind, "probe", "", "Create this to query from the pod's network if the image has no tools: "+
		"ephemeral (a container in the pod; its entry remains) or pod (a pod on the same node, deleted at the end). Default: create nothing.")
	set.StringVar(&p.Image, "probe-image", defaultProbeImage, "Image of the probe; requires sh and python3, perl, bash or nc.")
	set.DurationVar(&p.Wait, "probe-timeout", 60*time.Second, "Time limit of the probe, including the image pull.")
	register(c, "probe", complete.Words(collect.ProbeEphemeral, collect.ProbePod))
}

func (p *ProbeOptions) check(from string, errs *[]error) {
	switch {
	case p.Kind != "" && p.Kind != collect.ProbeEphemeral && p.Kind != collect.ProbePod:
		*errs = append(*errs, fmt.Errorf("--probe %q: unknown value; use ephemeral or pod", p.Kind))
	case p.Kind != "" && from == "":
		*errs = append(*errs, fmt.Errorf("--probe %s requires --from POD", p.Kind))
	}
	if p.Wait <= 0 {
		*errs = append(*errs, fmt.Errorf("--probe-timeout %s: must be greater than 0", p.Wait))
	}
}

func (s *session) probe(p ProbeOptions) collect.Probe {
	return collect.Probe{
		Kind: p.Kind, Image: p.Image, Wait: p.Wait, Nonce: fmt.Sprintf("%x", s.c.env.Now().UnixNano()&0xffffff), Tell: s.c.env.Warn,
	}
}

func checkCommand(c *common) *cobra.Command {
	f := &flagSet{}
	o := CheckOptions{}
	command := &cobra.Command{
		Use:   "check",
		Short: "Find the cause of a DNS problem, with evidence and the next command",
		Long: cli.Long(`Run the checks of the Kubernetes page 'Debugging DNS Resolution' and more: the DNS pods, what each of them
			answers for cluster names, for the Services that changed last and for a name outside the cluster, their
			configuration, logs and permissions, and NetworkPolicies. With --from, it also checks the resolver settings of that
			pod and queries the DNS Service and each DNS pod over UDP and TCP from inside it. The cause is listed first.

			The profile quick is the default. full also reads the configuration of every kubelet (requires get nodes/proxy) and
			checks the Services, StatefulSets and pods of all namespaces. ci is quick with --fail-on critical.`),
		Example: cli.Example(c.env, `
			# Find out why DNS does not work
			PROGRAM check
			# Find out why DNS does not work in this pod
			PROGRAM check --from web-5d8f7 -n shop
			# Query from an ephemeral container because the image has no shell
			PROGRAM check --from web-5d8f7 -n shop --probe ephemeral
			# Run in CI
			PROGRAM check --profile ci -o json`),
		Args: noArgs,
	}
	f.add(command)
	o.Probe.add(command)
	set := command.Flags()
	set.StringVar(&o.From, "from", "", "Pod (in the namespace of -n) to check and to query from.")
	set.StringVarP(&o.Container, "container", "c", "", "Container of that pod. Default: the first that runs.")
	set.StringVar(&o.Profile, "profile", profileQuick, "Set of checks: quick, full or ci.")
	set.StringSliceVar(&o.Ignore, "ignore-findings", nil, "Finding codes to leave out of the report; the checks still run.")
	set.StringVar(&o.External, "external-domain", defaultExternal,
		"Domain outside the cluster in which a random name is queried; empty queries none.")
	set.DurationVar(&o.Slow, "slow-threshold", slowUpstream, "Report an upstream as slow above this latency.")
	register(command, "from", completePods(c.flags))
	register(command, "profile", complete.Words(profiles...))
	register(command, "ignore-findings", complete.Words(codes()...))
	command.RunE = func(command *cobra.Command, _ []string) error {
		var errs []error
		o.Common = f.options(&errs)
		o.check(&errs)
		if o.Profile == profileCI && !changed(set, "fail-on") {
			o.FailOn = "critical"
		}
		if len(errs) > 0 {
			return usage(errs)
		}
		return c.act(o, func() error { return c.check(command.Context(), o) })
	}
	return command
}

func codes() []string {
	var list []string
	for _, e := range evaluate.Catalog() {
		list = append(list, string(e.Code))
	}
	return list
}

func (o *CheckOptions) check(errs *[]error) {
	if !slices.Contains(profiles, o.Profile) {
		*errs = append(*errs, fmt.Errorf("--profile %q: unknown value; use %s", o.Profile, strings.Join(profiles, ", ")))
	}
	for _, code := range o.Ignore {
		if !slices.Contains(codes(), code) {
			*errs = append(*errs, fmt.Errorf("--ignore-findings %q: not a finding code", code))
		}
	}
	if o.Slow <= 0 {
		*errs = append(*errs, fmt.Errorf("--slow-threshold %s: must be greater than 0", o.Slow))
	}
	if o.Container != "" && o.From == "" {
		*errs = append(*errs, errors.New("--container requires --from POD"))
	}
	o.From = podName("--from", o.From, errs)
	o.External = externalDomain(o.External, errs)
	o.Probe.check(o.From, errs)
}

func (c *common) check(ctx context.Context, o CheckOptions) error {
	s, err := c.start(o.Common)
	if err != nil {
		return err
	}
	namespace := ""
	if o.From != "" || s.namespaceGiven() {
		namespace = s.namespace()
	}
	w, judge := o.plan(namespace, s.judge())
	if w.From != nil {
		w.From.Probe = s.probe(o.Probe)
	}
	in, now, err := s.collect(ctx, w, slowestExternal)
	if err != nil {
		return err
	}
	r := evaluate.Status(in, now, judge, checkKind)
	return finish(s, r.Header, r, render.Check)
}

func (s *session) namespaceGiven() bool {
	return s.cluster != nil && s.cluster.NamespaceGiven || s.cluster == nil && changed(s.c.flags.FlagSet(), "namespace")
}

func checkQuestions(in evaluate.Input, now time.Time) []records.Question {
	list := evaluate.ControlQuestions(in, now, 10)
	for _, domain := range evaluate.ForeignSearches(in) {
		list = append(list, records.Question{Name: evaluate.WildcardLabel + "." + domain + ".", Type: "A"})
	}
	return list
}

// pathQuestions queries one name at the pod's own nameservers, at the Service's addresses and at each server, over UDP and over
// TCP.
func pathQuestions(in evaluate.Input, _ time.Time) []collect.InPodQuestion {
	servers, q := evaluate.ServersOf(in)
	var list []collect.InPodQuestion
	for _, server := range append([]string{""}, servers...) {
		for _, transport := range []string{"UDP", "TCP"} {
			list = append(list, collect.InPodQuestion{Server: server, Transport: transport, Question: q})
		}
	}
	return list
}
