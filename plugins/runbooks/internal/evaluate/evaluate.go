// Package evaluate joins what nodeinfo, dns and rollout-explain found in one cluster into root causes and what each explains. It
// judges nothing else: severities, messages, evidence and next steps are those of the workflows. It is pure.
package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	dnsreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// Input is the reports of the workflows. One that is nil could not be read, for the reason in Unread.
type Input struct {
	Nodes    *nodereport.List
	DNS      *dnsreport.Status
	Rollouts *rolloutreport.List
	Unread   map[report.Workflow]source.Source
	Scope    report.Scope
	Kubectl  finding.Kubectl
	Lately   Lately
}

// Evaluate joins the reports.
func Evaluate(in *Input, now time.Time) report.Triage {
	causes, leftOut := in.causes(in.items())
	t := report.Triage{
		APIVersion: report.APIVersion, Kind: report.Kind, Time: now.UTC(), Scope: in.Scope, Causes: causes,
		Workflows: in.results(leftOut), Sources: in.sources(), Changes: in.changes(now),
	}
	t.NotChecked = in.gaps(t.Workflows)
	if in.Nodes != nil {
		t.Notes = slices.Clone(in.Nodes.CommonCauses)
		for i := range in.Nodes.Findings {
			t.Notes = append(t.Notes, in.Nodes.Findings[i].Message)
		}
	}
	t.Verdict, t.Summary = verdict(&t), summary(&t)
	return t
}

// causes are the roots, the worst first; of equal ones that which explains most. Left out are those outside the scope that explain
// nothing.
func (in *Input) causes(items []*item) (causes []report.Cause, leftOut []*item) {
	places := finding.Arrange(relations(items, in.context()))
	cause := make([]int, len(items))
	for i := range cause {
		cause[i] = -1
	}
	for _, p := range places {
		cause[p.At] = p.Of
	}
	effects := make([][]report.Effect, len(items))
	for i, by := range cause {
		if by < 0 {
			continue
		}
		root := by
		for steps := 0; cause[root] >= 0 && steps < len(items); steps++ {
			root = cause[root]
		}
		effects[root] = append(effects[root], items[i].effects(items[by].Code)...)
	}
	causes = []report.Cause{}
	for _, p := range places {
		if p.Of >= 0 {
			continue
		}
		i := items[p.At]
		if i.outside && len(effects[p.At]) == 0 {
			leftOut = append(leftOut, i)
			continue
		}
		c := report.Cause{
			Finding: i.Finding, Workflow: i.workflow, Subjects: i.subjects, Began: i.began(), Log: i.log, Explains: effects[p.At],
		}
		c.Next = append(slices.Clone(c.Next), in.own(i)...)
		c.ExplainsSummary = in.fold(&c)
		causes = append(causes, c)
	}
	sorting.Stable(causes, func(a, b report.Cause) int {
		return cmp.Or(
			cmp.Compare(severity(a.Severity), severity(b.Severity)),
			cmp.Compare(len(b.Explains)+len(b.Subjects), len(a.Explains)+len(a.Subjects)),
		)
	})
	return causes, leftOut
}

func severity(s finding.Severity) int {
	return slices.Index([]finding.Severity{finding.Critical, finding.Warning, finding.Info}, s)
}

func (in *Input) context() *context {
	c := &context{namespaces: map[string]bool{}}
	if in.DNS != nil {
		c.zone = in.DNS.Zone
	}
	if in.Rollouts != nil {
		for i := range in.Rollouts.Items {
			c.namespaces[in.Rollouts.Items[i].Object.Namespace] = true
		}
	}
	return c
}

// effects is an item as what a cause explains, once for each subject.
func (i *item) effects(by finding.Code) []report.Effect {
	var list []report.Effect
	for k, s := range i.subjects {
		f := i.found[k]
		list = append(list, report.Effect{
			Workflow: i.workflow, Subject: s, Object: *f.Object, Code: i.Code, CausedBy: by, Message: f.Message,
		})
	}
	return list
}

// own is the step to the report of the workflow on the subject, unless the finding has that step: it holds more than a list of all.
func (in *Input) own(i *item) []finding.Next {
	subject := i.subjects[0].Object
	var step finding.Next
	switch i.workflow {
	case report.Nodes:
		step = finding.Next{Why: "Read the full report on the node", Command: in.Kubectl.Command("", "nodeinfo", subject.Name)}
	case report.DNS:
		step = finding.Next{Why: "Read the full report on the cluster DNS", Command: in.Kubectl.Command("", "dns", "check")}
	case report.Rollouts:
		step = finding.Next{
			Why:     "Read the full report on the rollout",
			Command: in.Kubectl.Command(subject.Namespace, "rollout-explain", strings.ToLower(subject.Kind)+"/"+subject.Name),
		}
	}
	step.Risk = finding.Read
	if slices.ContainsFunc(i.Next, func(n finding.Next) bool { return n.Command == step.Command }) {
		return nil
	}
	return []finding.Next{step}
}

// fold counts what a cause explains: "3 rollouts in 2 namespaces, 1 DNS replica".
func (in *Input) fold(c *report.Cause) string {
	type set = map[string]bool
	rollouts, namespaces, replicas, pods, nodes := set{}, set{}, set{}, set{}, set{}
	dns := false
	rollout := func(o finding.ObjectRef) {
		rollouts[o.String()], namespaces[o.Namespace] = true, true
	}
	if c.Workflow == report.Rollouts && len(c.Subjects) > 1 {
		for _, s := range c.Subjects {
			rollout(s.Object)
		}
	}
	for _, e := range c.Explains {
		switch {
		case e.Workflow == report.Rollouts:
			rollout(e.Subject.Object)
		case e.Workflow == report.DNS && e.Object.Kind == "Pod":
			replicas[e.Object.String()] = true
		case e.Workflow == report.DNS:
			dns = true
		case e.Object.Kind == "Node":
			nodes[e.Object.String()] = true
		default:
			pods[e.Object.String()] = true
		}
	}
	var parts []string
	if n := len(rollouts); n > 0 {
		text := output.Plural(n, "rollout")
		if len(namespaces) > 1 {
			text += " in " + output.Plural(len(namespaces), "namespace")
		}
		parts = append(parts, text)
	}
	if dns {
		parts = append(parts, "cluster DNS")
	}
	for _, p := range []struct {
		set  map[string]bool
		word string
	}{{replicas, "DNS replica"}, {nodes, "node"}, {pods, "problem of pods on a node"}} {
		if len(p.set) > 0 {
			plural := p.word + "s"
			if p.word == "problem of pods on a node" {
				plural = "problems of pods on nodes"
			}
			parts = append(parts, output.Plural(len(p.set), p.word, plural))
		}
	}
	return strings.Join(parts, ", ")
}

func verdict(t *report.Triage) report.Verdict {
	worst := report.Healthy
	for _, r := range t.Workflows {
		switch {
		case r.Unread != "", r.Verdict == "Unknown":
			worst = report.Unknown
		}
	}
	for _, r := range t.Workflows {
		if slices.Contains([]string{"Failed", "Stuck", "Degraded", "Unhealthy"}, r.Verdict) {
			worst = report.Degraded
		}
	}
	for i := range t.Causes {
		switch t.Causes[i].Severity {
		case finding.Critical:
			return report.Unhealthy
		case finding.Warning:
			worst = report.Degraded
		case finding.Info:
		}
	}
	return worst
}

func summary(t *report.Triage) string {
	if len(t.Causes) > 0 {
		text := t.Causes[0].Message
		if more := len(t.Causes) - 1; more > 0 {
			text += fmt.Sprintf(" (and %s)", output.Plural(more, "more cause"))
		}
		return text
	}
	var unknown []string
	for _, r := range t.Workflows {
		if r.Unread != "" || r.Verdict == "Unknown" {
			unknown = append(unknown, what[r.Workflow])
		}
	}
	if len(unknown) > 0 {
		return "no problem was found in what could be read; unknown: " + strings.Join(unknown, ", ")
	}
	if slices.ContainsFunc(t.Workflows, func(r report.Result) bool { return r.LeftOut != "" }) {
		return "no workflow found a problem that concerns namespace " + t.Scope.Namespace
	}
	return "no workflow found a problem"
}

// what names the subject of a workflow.
var what = map[report.Workflow]string{report.Nodes: "nodes", report.DNS: "cluster DNS", report.Rollouts: "rollouts"}
