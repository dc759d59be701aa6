package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/subject"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Events of the node in the last hour.
const (
	SystemOOM             finding.Code = "SystemOOM"
	KubeletError          finding.Code = "KubeletError"
	WarningEvents         finding.Code = "WarningEvents"
	Rebooted              finding.Code = "Rebooted"
	NodeReadinessFlapping finding.Code = "NodeReadinessFlapping"
	KubeletRestarting     finding.Code = "KubeletRestarting"
)

// ongoing is how long an error of the kubelet counts after its last event: it collects garbage every minute, and images
// every five (https://kubernetes.io/docs/concepts/architecture/garbage-collection/), and repeats the event while it fails.
const ongoing = 7 * time.Minute

// kubeletErrors are events by which the kubelet says that it cannot do its own work.
var kubeletErrors = map[string]string{
	"ImageGCFailed":                    "cannot clean up images",
	"FreeDiskSpaceFailed":              "cannot free disk space",
	"ContainerGCFailed":                "cannot clean up containers",
	"KubeletSetupFailed":               "cannot complete its setup",
	"FailedNodeAllocatableEnforcement": "cannot enforce allocatable limits",
	"NodeAllocatableEnforcementFailed": "cannot enforce allocatable limits",
	"FailedToRegisterNode":             "cannot register the node",
}

// warnings are the events that are no known noise, of the last hour.
func warnings(c *subject.Case) []report.Event {
	return slices.DeleteFunc(slices.Clone(c.Events.Folded), func(e report.Event) bool {
		return e.Type != corev1.EventTypeWarning || e.Harmless || c.Age(e.Last) > facts.Recently
	})
}

func eventEvidence(e report.Event) []finding.Evidence {
	return []finding.Evidence{{Source: "Event", Path: e.Reason, Value: e.Message, Time: &e.Last}}
}

// ofSystemOOM says whether the node as a whole ran out of memory: a container's own limit is the container's affair.
func ofSystemOOM(e report.Event) bool {
	return e.Reason == "SystemOOM" || e.Reason == "OOMKilling" && !OfOneContainer(e.Reason, e.Message)
}

// OfOneContainer says whether an event tells that a container reached a memory limit of its own.
func OfOneContainer(reason, message string) bool {
	return reason == "OOMKilling" && strings.HasPrefix(message, "Memory cgroup out of memory")
}

// ofKubelet says whether the kubelet has an error of its own that still lasts.
func ofKubelet(c *subject.Case, e report.Event) bool {
	over, judged := ErrorIsOver(c, e.Reason, e.Last)
	return judged && !over
}

// ErrorIsOver says whether an error of the kubelet's own work is over, by its last event; judged: the reason is one of those.
func ErrorIsOver(c *subject.Case, reason string, last time.Time) (over, judged bool) {
	return c.Age(last) >= ongoing || c.RecoveredSince(last), kubeletErrors[reason] != ""
}

var systemOOM = rule{
	Entry: finding.Entry{
		Code:     SystemOOM,
		Severity: finding.Warning,
		Title:    "Node ran out of memory and a process was killed",
		Meaning:  "The node as a whole ran out of memory in the last hour (not the memory limit of one container).",
		Evidence: "SystemOOM or OOMKilling events of the node within the last hour.",
		Next:     "Find the pods that use the most memory; set memory requests.",
	},
	CausedBy: append([]finding.Code{MemoryPressure}, NotReportingCodes...),
	Check:    checkSystemOOM,
}

func checkSystemOOM(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, e := range warnings(c) {
		if ofSystemOOM(e) {
			message := fmt.Sprintf("the node ran out of memory %s ago, process killed (%s): %s",
				c.Ago(e.Last), output.Plural(int(e.Count), "time"), e.Message)
			list = append(list, c.Found(message, eventEvidence(e), c.BiggestUsers()))
		}
	}
	return list
}

var kubeletError = rule{
	Entry: finding.Entry{
		Code:     KubeletError,
		Severity: finding.Warning,
		Title:    "Kubelet reports an error",
		Meaning:  "Within the last seven minutes the kubelet could not collect garbage, enforce limits, complete its setup or register the node.",
		Evidence: "Warning events of the kubelet about the node, such as ImageGCFailed or ContainerGCFailed.",
		Next:     "Read the kubelet log.",
	},
	CausedBy: append([]finding.Code{KubeletRestarting}, PressureCodes...),
	Check:    checkKubeletError,
}

func checkKubeletError(c *subject.Case) []finding.Finding {
	var list []finding.Finding
	for _, e := range warnings(c) {
		same := func(f finding.Finding) bool { return e.Message != "" && strings.HasSuffix(f.Message, e.Message) }
		if i := slices.IndexFunc(list, same); i >= 0 && ofKubelet(c, e) {
			list[i].Evidence = append(list[i].Evidence, eventEvidence(e)...) // one failure that two of its parts report
		} else if ofKubelet(c, e) {
			message := fmt.Sprintf("the kubelet %s (%s ago): %s", kubeletErrors[e.Reason], c.Ago(e.Last), e.Message)
			list = append(list, c.Found(message, eventEvidence(e), subject.KubeletLog()))
		}
	}
	return list
}

var warningEvents = rule{
	Entry: finding.Entry{
		Code:     WarningEvents,
		Severity: finding.Info,
		Title:    "Node had other Warning events",
		Meaning: "The node had events of type Warning that no other finding covers and that did not repeat for ten minutes. Those that may " +
			"still be so are UnexplainedEvidence.",
		Evidence: "Warning events within the last hour and older than ten minutes, grouped by reason.",
		Next:     "Read the events.",
	},
	CausedBy: PressureCodes,
	Check:    checkWarningEvents,
}

// checkWarningEvents raises what no other check judges: pressure, falls and reboots have codes of their own.
func checkWarningEvents(c *subject.Case) []finding.Finding {
	var rest []string
	for _, e := range warnings(c) {
		judged := c.Age(e.Last) <= event.Repeat || e.Reason == "EvictionThresholdMet" || e.Reason == facts.Rebooted ||
			e.Reason == facts.NodeNotReady
		if !judged && !ofSystemOOM(e) && !ofKubelet(c, e) {
			rest = append(rest, fmt.Sprintf("%s (%d)", e.Reason, e.Count))
		}
	}
	if len(rest) == 0 {
		return nil
	}
	slices.Sort(rest)
	return c.One("earlier Warning events in the last hour: "+strings.Join(rest, ", "), nil, subject.KubeletLog())
}

var rebooted = rule{
	Entry: finding.Entry{
		Code:     Rebooted,
		Severity: finding.Info,
		Title:    "Node rebooted",
		Meaning:  "The boot ID of the node changed within the last hour.",
		Evidence: "Rebooted event of the kubelet.",
		Next:     "Find the origin of the reboot if it was not intended.",
	},
	Check: checkRebooted,
}

func checkRebooted(c *subject.Case) []finding.Finding {
	reboots := c.Events.Reboots
	if len(reboots) == 0 || c.Age(reboots[len(reboots)-1]) >= facts.Recently {
		return nil
	}
	last := reboots[len(reboots)-1]
	return c.One("the node rebooted "+c.Ago(last)+" ago", []finding.Evidence{
		{Source: "Event", Path: facts.Rebooted, Value: "boot ID " + c.Object.Status.NodeInfo.BootID, Time: &last},
	}, subject.OnNode("journalctl -b -1 -n 100 --no-pager", "On the node, read the end of the log before the reboot"))
}

// manyStarts of a kubelet within facts.RestartsWithin are no upgrade and no operator's restart.
const manyStarts = 5

// cameThrough says whether the kubelet has run since its last start for three times as long as it used to, within bounds.
func cameThrough(c *subject.Case, last time.Time) bool {
	usual := last.Sub(c.Events.Started) / time.Duration(c.Events.Starts-1)
	return c.Age(last) >= min(max(3*usual, 30*time.Second), 2*time.Minute)
}

var kubeletRestarting = rule{
	Entry: finding.Entry{
		Code:     KubeletRestarting,
		Severity: finding.Critical,
		Title:    "Kubelet restarts repeatedly",
		Meaning: "The kubelet started at least five times within ten minutes, and has not run for longer since. Each start renews the " +
			"Lease, so the node still counts as Ready, but pods on it do not start, stop or get probed.",
		Evidence: "Starting events of the kubelet within the last ten minutes.",
		Next:     "Read the end of the kubelet log on the node.",
	},
	CausedBy: NotReportingCodes,
	Check:    checkKubeletRestarting,
}

func checkKubeletRestarting(c *subject.Case) []finding.Finding {
	newest := c.Events.Newest(facts.KubeletStarts)
	if c.Events.Starts < manyStarts || newest == nil || cameThrough(c, newest.Last) {
		return nil
	}
	return c.One(fmt.Sprintf("the kubelet started %d times within %s: it ends shortly after each start", c.Events.Starts,
		c.Ago(c.Events.Started)), []finding.Evidence{{
		Source: "Event", Path: facts.KubeletStarts, Value: fmt.Sprintf("%d times", c.Events.Starts), Time: facts.Time(newest.Last),
	}}, subject.KubeletLog())
}

var nodeReadinessFlapping = rule{
	Entry: finding.Entry{
		Code:     NodeReadinessFlapping,
		Severity: finding.Warning,
		Title:    "Node readiness is flapping",
		Meaning:  "The node changed to NotReady at least five times within the last hour.",
		Evidence: "NodeNotReady events within the last hour.",
		Next:     "Check the kubelet log and the network between the node and the API server.",
	},
	CausedBy: []finding.Code{KubeletRestarting},
	Check:    checkNodeReadinessFlapping,
}

func checkNodeReadinessFlapping(c *subject.Case) []finding.Finding {
	falls := c.Events.Falls
	if falls < int64(c.Limits.NotReadyPerHour) {
		return nil
	}
	last := c.Events.NotReady[len(c.Events.NotReady)-1]
	return c.One(fmt.Sprintf("the node changed to NotReady %d times within %s", falls, c.Ago(c.Events.Fell)), []finding.Evidence{
		{Source: "Event", Path: facts.NodeNotReady, Value: fmt.Sprintf("%d times", falls), Time: facts.Time(last)},
	}, subject.KubeletLog())
}
