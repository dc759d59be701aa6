package subject

import (
	"fmt"
	"slices"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
)

// CrashText puts into words how a container keeps exiting.
func (c *Case) CrashText(crash *facts.Crash) string {
	text := fmt.Sprintf("container %q keeps exiting, %s", crash.Container, output.Plural(int(crash.Restarts), "restart"))
	end := crash.End
	if end == nil {
		return text
	}
	text += fmt.Sprintf(", last %s ago with exit code %d", c.Ago(end.FinishedAt.Time), end.ExitCode)
	if end.Reason != "" && end.Reason != "Error" && end.Reason != "Completed" {
		text += " (" + end.Reason + ")"
	}
	return text
}

// Name is a pod's namespace and name.
func Name(p *facts.Pod) string { return p.Namespace + "/" + p.Name }

// PodEvidence is the state of a pod, and the newest Warning event about it.
func PodEvidence(p *facts.Pod) []finding.Evidence {
	evidence := []finding.Evidence{{
		Source: "Pod " + Name(p), Path: "status.containerStatuses", Value: p.State + ", " + output.Plural(int(p.Restarts), "restart"),
	}}
	if e := p.Warning; e != nil {
		evidence = append(evidence, finding.Evidence{Source: "Event", Path: e.Reason, Value: e.Message, Time: facts.Time(e.Last)})
	}
	return evidence
}

// DescribePod reads a pod as kubectl describes it.
func (c *Case) DescribePod(p *facts.Pod) finding.Next {
	return c.Look("Check the containers, conditions and events of the pod", p.Namespace, "describe", "pod", p.Name)
}

// PodNext looks into a pod: its log first, unless no container of it, or not the one that crashes, has one.
func (c *Case) PodNext(p *facts.Pod) []finding.Next {
	logged, all := podfact.Logged(p.Pod)
	if len(logged) == 0 || p.Crash != nil && !slices.Contains(logged, p.Crash.Container) {
		return []finding.Next{c.DescribePod(p)}
	}
	args, why := []string{"logs", p.Name}, "Read the log of the pod"
	switch {
	case p.Crash != nil:
		args = append(args, "-c", p.Crash.Container)
		if p.Crash.Restarts > 0 {
			why = "Read the log of the previous run"
		}
		if podfact.PreviousLog(p.Pod, p.Crash.Container) {
			args = append(args, "--previous")
		}
	case !all:
		args = append(args, "-c", logged[len(logged)-1])
	}
	return []finding.Next{c.Look(why, p.Namespace, append(args, "--tail=50")...), c.DescribePod(p)}
}

// BiggestUsers lists who uses the memory.
func (c *Case) BiggestUsers() finding.Next {
	return c.Look("List the pods of the cluster by memory usage", "", "top", "pods", "-A", "--sort-by=memory")
}
