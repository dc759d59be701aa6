package evaluate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// results are what each workflow came to, and the command that shows its own report.
func (in *Input) results(leftOut []*item) []report.Result {
	list := []report.Result{in.nodes(leftOut), in.dns(), in.rollouts()}
	for i := range list {
		if s, unread := in.Unread[list[i].Workflow]; unread {
			list[i].Verdict, list[i].Unread = "Unknown", s.Reason()
		}
	}
	return list
}

func (in *Input) nodes(leftOut []*item) report.Result {
	r := report.Result{
		Workflow: report.Nodes, Verdict: "Unknown", Command: in.Kubectl.Command("", "nodeinfo"),
		LeftOut: leftOutText(leftOut, in.Scope.Namespace),
	}
	if in.Nodes == nil {
		return r
	}
	for _, v := range nodereport.Verdicts() {
		if slices.ContainsFunc(in.Nodes.Items, func(n nodereport.Node) bool { return scoped(&n, leftOut) == v }) {
			r.Verdict = string(v)
			break
		}
	}
	if n := in.Nodes.Counts; n.Healthy > 0 {
		r.Healthy = fmt.Sprintf("%d of %s Healthy", n.Healthy, output.Plural(n.Nodes, "node"))
		if n.Cordoned > 0 {
			r.Healthy += fmt.Sprintf("; %d cordoned", n.Cordoned)
		}
	}
	return r
}

func (in *Input) dns() report.Result {
	r := report.Result{Workflow: report.DNS, Verdict: "Unknown", Command: in.Kubectl.Command("", "dns", "check")}
	if in.DNS == nil {
		return r
	}
	r.Verdict = string(in.DNS.Verdict)
	answered, replicas := 0, len(in.DNS.Replicas)
	for _, p := range in.DNS.Replicas {
		if p.Queried {
			answered++
		}
	}
	if answered > 0 {
		r.Healthy = fmt.Sprintf("cluster DNS: %d of %s answered; %s passed", answered, output.Plural(replicas, "replica"),
			output.Plural(len(in.DNS.PassedChecks), "check"))
	}
	return r
}

func (in *Input) rollouts() report.Result {
	args, namespace := []string{"rollout-explain"}, in.Scope.Namespace
	if namespace == "" {
		args = append(args, "-A")
	}
	if in.Scope.Selector != "" {
		args = append(args, "-l", in.Scope.Selector)
	}
	r := report.Result{Workflow: report.Rollouts, Verdict: "Unknown", Command: in.Kubectl.Command(namespace, args...)}
	if in.Rollouts == nil {
		return r
	}
	c := countRollouts(in.Rollouts.Items)
	r.Verdict = string(rolloutreport.Complete)
	for _, v := range rolloutreport.Verdicts() {
		if c.verdicts[v] > 0 {
			r.Verdict = string(v)
			break
		}
	}
	r.Healthy = c.healthy()
	return r
}

// rolloutCounts are how many rollouts there are, by verdict. Jobs that run are counted apart: to run is what a Job is for, and one of
// them may be that which reads the cluster.
type rolloutCounts struct {
	all, jobs, progressing int // progressing: without a problem
	verdicts               map[rolloutreport.Verdict]int
}

func countRollouts(items []rolloutreport.Rollout) rolloutCounts {
	c := rolloutCounts{verdicts: map[rolloutreport.Verdict]int{}}
	for i := range items {
		r := &items[i]
		progressing := r.Verdict == rolloutreport.Progressing && len(rolloutItems(r)) == 0
		if progressing && r.Object.Kind == "Job" {
			c.jobs++
			continue
		}
		c.all++
		c.verdicts[r.Verdict]++
		if progressing {
			c.progressing++
		}
	}
	return c
}

// healthy is what is well, in one sentence; empty: nothing is.
func (c rolloutCounts) healthy() string {
	var parts []string
	complete := c.verdicts[rolloutreport.Complete]
	switch {
	case c.all == 0 && c.jobs == 0:
		return "no rollouts"
	case complete > 0:
		parts = append(parts, fmt.Sprintf("%d of %s Complete", complete, output.Plural(c.all, "rollout")))
		if c.progressing > 0 {
			parts = append(parts, fmt.Sprintf("%d Progressing", c.progressing))
		}
	case c.progressing > 0:
		parts = append(parts, fmt.Sprintf("%d of %s Progressing", c.progressing, output.Plural(c.all, "rollout")))
	}
	if c.jobs > 0 {
		parts = append(parts, output.Plural(c.jobs, "Job")+" running")
	}
	return strings.Join(parts, "; ")
}

// lists are the sources of the workflows, by workflow.
func (in *Input) lists() map[report.Workflow]source.List {
	lists := map[report.Workflow]source.List{}
	if in.Nodes != nil {
		lists[report.Nodes] = slices.Clone(in.Nodes.Sources)
		for i := range in.Nodes.Items { // what was read for one node alone
			for _, s := range in.Nodes.Items[i].Sources {
				if !slices.ContainsFunc(lists[report.Nodes], func(have source.Source) bool { return have.Name == s.Name }) {
					lists[report.Nodes] = append(lists[report.Nodes], s)
				}
			}
		}
	}
	if in.DNS != nil {
		lists[report.DNS] = in.DNS.Sources
	}
	if in.Rollouts != nil {
		lists[report.Rollouts] = in.Rollouts.Sources
	}
	return lists
}

func (in *Input) sources() source.List {
	list := source.List{}
	lists := in.lists()
	for _, w := range report.Workflows() {
		if s, unread := in.Unread[w]; unread {
			lists[w] = append(lists[w], s)
		}
		for _, s := range lists[w] {
			s.Name = string(w) + ": " + s.Name
			list = append(list, s)
		}
	}
	list.Sort()
	return list
}

// gaps are what was not checked, those with one reason on one line, and what is left out. What a cluster does not have is no gap, and
// a workflow that could not be read is stated as such.
func (in *Input) gaps(results []report.Result) []string {
	var list []string
	lists := in.lists()
	for k, w := range report.Workflows() {
		if out := results[k].LeftOut; out != "" {
			list = append(list, what[w]+": "+out)
		}
		var reasons []string
		names := map[string][]string{}
		for _, s := range lists[w] {
			if s.Readable() || s.State == source.Absent {
				continue
			}
			reason := s.Reason()
			if names[reason] == nil {
				reasons = append(reasons, reason)
			}
			names[reason] = append(names[reason], s.Name)
		}
		slices.Sort(reasons)
		for _, reason := range reasons {
			slices.Sort(names[reason])
			list = append(list, what[w]+": "+strings.Join(names[reason], ", ")+": "+reason)
		}
	}
	return list
}
