// Package enter gets a run onto the nodes that are meant, and off them again: it plans, finds the namespace that admits
// the helpers, watches, starts and removes them, and leaves a trace of who entered. It knows nothing of what a helper is
// for.
package enter

import (
	"context"
	"fmt"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/target"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/cleanup"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/collect"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// Options shape every helper of a run.
type Options struct {
	Image           string // empty: auto
	NoPull          bool
	PullSecrets     []string
	Critical        bool
	Force           bool
	CreateNamespace bool
	Reason          string
	Labels          map[string]string
	Annotations     map[string]string
	MaxDuration     time.Duration
	StartTimeout    time.Duration
	NoJob           bool // bare pods, without a Job around them
	Quiet           bool
	Color           output.ColorMode
}

// Runner is one run: the cluster it speaks to, and what it has made there.
type Runner struct {
	env     *cli.Env
	cluster *kube.Cluster
	client  kube.Clients
	reader  collect.Reader
	options Options
	id      string

	group   *helperpod.Group
	watched <-chan error // of group's watch, once
	made    string       // the namespace made for this run
	free    bool         // -n does not bind the helper: it names pods
}

// New connects to the cluster, and makes nothing there.
func New(env *cli.Env, connection *kube.Flags, o Options) (*Runner, error) {
	cluster, reader, err := collect.Open(connection)
	if err != nil {
		return nil, err
	}
	return &Runner{env: env, cluster: cluster, client: reader.Client, reader: reader, options: o, id: helperpod.NewID()}, nil
}

// Now is the server's time.
func (r *Runner) Now() time.Time { return r.cluster.Clock.Now() }

// Targets finds the nodes that are meant, and their pods. Where helpers are to be made, the watch on them is opened
// beside these reads.
func (r *Runner) Targets(ctx context.Context, s collect.Selection, creates bool) ([]collect.Target, error) {
	s.Namespace = r.cluster.Namespace
	r.free = len(s.Pods) > 0
	r.reader = r.reader.Begin(ctx, s.Nodes)
	if creates && !r.options.CreateNamespace {
		r.openEarly(ctx)
	}
	found, err := r.reader.Targets(ctx, s)
	return found, kube.Explain(err)
}

// CaptureTargets finds the pods and nodes of a capture.
func (r *Runner) CaptureTargets(ctx context.Context, refs []target.Ref, selector string) ([]collect.Target, error) {
	r.free = true // -n names the pods; the helper may live elsewhere
	found, err := r.reader.CaptureTargets(ctx, r.cluster.Namespace, refs, selector)
	return found, kube.Explain(err)
}

// Visit is one target: what is planned for its node, and the wishes of which that came.
type Visit struct {
	report.Plan
	Options evaluate.Options
	Target  collect.Target
}

// Ready gives the first visit that can be made; nil is none.
func Ready(visits []Visit) *Visit {
	for i := range visits {
		if visits[i].Verdict == report.Ready {
			return &visits[i]
		}
	}
	return nil
}

// Plan decides for every target. Shape fills in what the run's own options wish of the i-th.
func (r *Runner) Plan(ctx context.Context, found []collect.Target, shape func(i int, o *evaluate.Options)) []Visit {
	visits := make([]Visit, len(found))
	for i, in := range r.reader.Inputs(ctx, found, r.options.NoPull) {
		o := r.base(i)
		shape(i, &o)
		visits[i] = Visit{Plan: evaluate.Evaluate(in, r.Now(), o), Options: o, Target: found[i]}
	}
	return visits
}

// base gives the wishes that every helper of this run shares.
func (r *Runner) base(i int) evaluate.Options {
	o := evaluate.Options{
		Name: fmt.Sprintf("nodeshell-%s-%d", r.id, i), RunID: r.id, Manager: cleanup.Manager, Namespace: r.cluster.Namespace,
		Kubectl: r.cluster.Kubectl, Program: "nodeshell", Free: r.free,
		Image: r.options.Image, NoPull: r.options.NoPull, PullSecrets: r.options.PullSecrets,
		Critical: r.options.Critical, Force: r.options.Force, MaxDuration: r.options.MaxDuration,
		Reason: r.options.Reason, Labels: r.options.Labels, Annotations: r.options.Annotations,
	}
	if r.cluster.NamespaceGiven {
		o.CallNamespace = r.cluster.Namespace
	}
	o.Term, _ = r.env.LookupEnv("TERM")
	if lang, ok := r.env.LookupEnv("LC_ALL"); ok && lang != "" {
		o.Lang = lang
	} else {
		o.Lang, _ = r.env.LookupEnv("LANG")
	}
	return o
}
