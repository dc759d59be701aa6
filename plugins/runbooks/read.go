package runbooks

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/internal/webpage"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// reading is what the three workflows read. A part that could not be read is nil.
type reading struct {
	Time     time.Time
	Scope    report.Scope
	Unread   map[report.Workflow]source.Source
	Nodes    *nodeinfo.Reading
	DNS      *dns.Reading
	Rollouts *rolloutexplain.Reading
}

func nodeOptions() nodeinfo.Options {
	return nodeinfo.Options{Format: output.Format{Kind: output.Wide}, SortBy: "verdict"}
}

func rolloutOptions(scope report.Scope) rolloutexplain.Options {
	o := rolloutexplain.Options{AllNamespaces: scope.Namespace == "", Selector: scope.Selector}
	o.Evaluate.LogLines, o.Evaluate.WideLogs, o.Evaluate.History = 5, true, true
	return o
}

// scope is whose rollouts are read.
func (o Options) scope(cluster *kube.Cluster) report.Scope {
	s := report.Scope{Selector: o.Selector}
	if cluster.NamespaceGiven && !o.AllNamespaces {
		s.Namespace = cluster.Namespace
	}
	return s
}

// read runs the workflows at once over one set of reads. The error is the first one's where none could read anything.
func (o Options) read(ctx context.Context, cluster *kube.Cluster) (*reading, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	cluster.ShareReads(ctx)
	r := &reading{Scope: o.scope(cluster), Unread: map[report.Workflow]source.Source{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	errs := map[report.Workflow]error{}
	run := func(w report.Workflow, read func() error) {
		all.Go(func() {
			err := read()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs[w] = err
				r.Unread[w] = kube.SourceOf("the workflow", "list", needs[w], err)
			}
		})
	}
	run(report.Nodes, func() error {
		options := nodeOptions()
		options.Whole = o.Snapshot != ""
		nodes, err := nodeinfo.Read(ctx, cluster, options)
		if err == nil {
			r.Nodes = &nodes
		}
		return err
	})
	run(report.DNS, func() error {
		checked, err := dns.ReadCheck(ctx, cluster, dns.DefaultCheck())
		if err == nil {
			r.DNS = &checked
		}
		return err
	})
	run(report.Rollouts, func() error {
		options := rolloutOptions(r.Scope)
		options.Whole = o.Snapshot != ""
		rollouts, err := rolloutexplain.Read(ctx, cluster, options)
		if err == nil {
			r.Rollouts = &rollouts
		}
		return err
	})
	all.Wait()
	r.Time = cluster.Clock.Now().UTC()
	if len(errs) == len(report.Workflows()) {
		return nil, errs[report.Nodes]
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return nil, cause
	}
	return r, nil
}

// needs is the list without which a workflow reports nothing.
var needs = map[report.Workflow]string{report.Nodes: "nodes", report.DNS: "services", report.Rollouts: "deployments.apps"}

// judged is a triage and the reports that it was made of.
type judged struct {
	triage report.Triage
	parts  webpage.Parts
}

// evaluate judges each part by its own workflow, and joins the findings.
func (r *reading) evaluate(kubectl finding.Kubectl, since time.Duration) judged {
	in := &evaluate.Input{Unread: r.Unread, Scope: r.Scope, Kubectl: kubectl, Lately: evaluate.Lately{Since: since}}
	if r.Nodes != nil {
		list := nodeOptions().Evaluate(*r.Nodes, kubectl)
		in.Nodes = &list
	}
	if r.DNS != nil {
		status := dns.DefaultCheck().Evaluate(*r.DNS, kubectl)
		in.DNS = &status
		var written []dns.Written
		written, in.Lately.Configs = r.DNS.Corefiles()
		for _, w := range written {
			in.Lately.Corefiles = append(in.Lately.Corefiles, report.Change{
				Time: w.Time, Object: w.Object, Kind: report.ChangeCorefile, Message: "Corefile written by " + w.By,
			})
		}
	}
	if r.Rollouts != nil {
		list := rolloutOptions(r.Scope).Explain(*r.Rollouts, kubectl)
		in.Rollouts = &list
		in.Lately.Events, in.Lately.EventList = r.Rollouts.Events()
		for i := range in.Lately.Events {
			in.Lately.Events[i].Message = mask.Text(in.Lately.Events[i].Message)
		}
	}
	return judged{evaluate.Evaluate(in, r.Time), webpage.Parts{Nodes: in.Nodes, DNS: in.DNS, Rollouts: in.Rollouts}}
}
