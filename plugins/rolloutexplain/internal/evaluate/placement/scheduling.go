// Package placement reports why no node can run a pod: the message of the scheduler, the check of each node, and whether
// waiting can help. The rules themselves are pkg/diagnose/schedule's.
package placement

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Rules are the findings about pods that no node takes.
var Rules = slices.Concat(schedulingRules, nodesRules, unhealthyNodesRules, podConflictsRules, spreadRules, claimsRules, devicesRules)

const (
	SchedulingGated         finding.Code = "SchedulingGated"
	NamedSchedulerNotActing finding.Code = "NamedSchedulerNotActing"
	SchedulerNotActing      finding.Code = "SchedulerNotActing"
	PreemptionInProgress    finding.Code = "PreemptionInProgress"
)

var schedulingRules = []rule.Rule{
	{Layer: rule.LayerPod, Bears: []string{"schedulingGates"}, Entry: finding.Entry{
		Code: SchedulingGated, Severity: finding.Warning, Title: "Pod has a scheduling gate",
		Meaning:  "A scheduling gate keeps the pod from being scheduled until the controller that set the gate removes it.",
		Evidence: "spec.schedulingGates.",
		Next:     "Check the controller that owns the gate.",
	}},
	{Layer: rule.LayerPod, Place: true, Bears: []string{"schedulerName"}, Entry: finding.Entry{
		Code: NamedSchedulerNotActing, Severity: finding.Critical, Title: "Scheduler named by the pod has not acted",
		Meaning: "The scheduler that spec.schedulerName names has not acted on the pod. The scheduler may not exist, " +
			"or may not be running.",
		Evidence: "No pod condition PodScheduled after 10s; spec.schedulerName other than default-scheduler.",
		Next:     "Correct spec.schedulerName, or start that scheduler.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: SchedulerNotActing, Severity: finding.Warning, Title: "Default scheduler has not acted",
		Meaning:  "The default scheduler has not acted on the pod. The scheduler may be down or delayed.",
		Evidence: "No pod condition PodScheduled after 10s; the Lease kube-scheduler in kube-system.",
		Next:     "Check whether kube-scheduler is running and renews its Lease.",
	}},
	{Layer: rule.LayerPod, Entry: finding.Entry{
		Code: PreemptionInProgress, Severity: finding.Critical, Title: "Scheduler is preempting other pods",
		Meaning:  "The scheduler is preempting pods of lower priority to free capacity on a node.",
		Evidence: "status.nominatedNodeName.",
		Next:     "Wait until the preempted pods have terminated.",
	}},
}

// Unscheduled explains a pod without a node.
func Unscheduled(e *model.Evaluation, w *model.Workload, p *model.Pod) *model.Cause {
	c := podfact.Condition(p.Pod, corev1.PodScheduled)
	waited := e.Now.Sub(p.CreationTimestamp.Time)
	switch {
	case c != nil && c.Reason == corev1.PodReasonSchedulingGated:
		return gated(e, w, p, c)
	case c == nil || c.Status == corev1.ConditionTrue || c.Message == "" && c.Reason != corev1.PodReasonUnschedulable:
		return notScheduled(e, w, p, waited)
	}
	return decodeScheduling(e, w, p, c)
}

func gated(e *model.Evaluation, w *model.Workload, p *model.Pod, c *corev1.PodCondition) *model.Cause {
	gates := make([]string, 0, len(p.Spec.SchedulingGates))
	for _, g := range p.Spec.SchedulingGates {
		gates = append(gates, g.Name)
	}
	found := e.Cause(p, model.StageSchedule, SchedulingGated, report.PausedClass,
		"scheduling gate %s blocks scheduling until the controller that set the gate removes it", plain.List(gates, 5))
	return found.WithKey(strings.Join(gates, ",")).Since(p.CreationTimestamp.Time).
		WithEvidence(plain.Evidence("Pod "+p.Name, "spec.schedulingGates", strings.Join(gates, ", "), c.LastTransitionTime.Time)).
		WithNext(e.Next(w, finding.Read, "Find in managedFields who set the scheduling gate",
			"get", "pod", p.Name, "-o", "yaml", "--show-managed-fields"))
}

// notScheduled reports a pod on which no scheduler has acted.
func notScheduled(e *model.Evaluation, w *model.Workload, p *model.Pod, waited time.Duration) *model.Cause {
	if waited < 10*time.Second {
		return nil
	}
	if c := awaitsVolume(e, w, p); c != nil {
		return c
	}
	if c := awaitsDeviceClaim(e, w, p, waited); c != nil {
		return c
	}
	seen := plain.Evidence("Pod "+p.Name, "status.conditions[PodScheduled]", "absent after "+plain.Age(waited), p.CreationTimestamp.Time)
	if name := p.Spec.SchedulerName; name != "" && name != corev1.DefaultSchedulerName {
		return e.Cause(p, model.StageSchedule, NamedSchedulerNotActing, report.LikelyFatal,
			"scheduler %q has not acted on the pod for %s", name,
			plain.Age(waited)).WithKey(name).Since(p.CreationTimestamp.Time).
			WithEvidence(seen).WithEvidence(plain.Evidence("Pod "+p.Name, "spec.schedulerName", name, plain.NoTime)).
			WithNext(e.NextCluster(finding.Read, "Check whether a scheduler of that name is running", "get", "pods,leases", "-A"))
	}
	c := e.Cause(p, model.StageSchedule, SchedulerNotActing, report.Transient,
		"the default scheduler has not acted on the pod for %s", plain.Age(waited)).
		Since(p.CreationTimestamp.Time).WithEvidence(seen)
	text, lease := e.ControllerLease("kube-scheduler")
	if text != "" {
		c.Message += ": " + text
		c.WithEvidence(lease)
	} else if claims, kinds := unreadClaims(e, p); len(claims) > 0 {
		c.Message += "; it may be waiting for " + plain.List(claims, 3) + ", which this report did not read"
		c.WithNext(e.Next(w, finding.Read, "List the claims of the namespace", "get", strings.Join(kinds, ",")))
	}
	return c.WithNext(e.ControllerStep("kube-scheduler", lease))
}

// unreadClaims are the claims that the scheduler may be waiting for without a word, and of which nothing is known: a table of many
// rollouts does not read them, and not everybody may. Kinds are those to list.
func unreadClaims(e *model.Evaluation, p *model.Pod) (names, kinds []string) {
	unread := func(n model.Need, source, word, kind string) {
		if e.Asks.Made(n) && e.In.Sources.Get(source).Readable() {
			return
		}
		names = append(names, word+" "+n.Name)
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	for _, n := range device.Required(p.Pod) {
		need := model.Need{Kind: model.NeedDeviceClaim, Namespace: p.Namespace, Name: n.Claim}
		unread(need, model.SourceDeviceClaims, "ResourceClaim", "resourceclaims")
	}
	for _, name := range claimNames(p) {
		need := model.Need{Kind: model.NeedClaim, Namespace: p.Namespace, Name: name}
		unread(need, model.SourceClaims, "PersistentVolumeClaim", "persistentvolumeclaims")
	}
	return names, kinds
}

// schedulingTerm is one reason of the scheduler and for how many nodes it holds.
type schedulingTerm struct {
	nodes int
	text  string
}

var (
	schedulingHead = regexp.MustCompile(`^0/(\d+) nodes are available: (.*)$`)
	schedulingItem = regexp.MustCompile(`^(\d+) (.+)$`)
)

// parseScheduling splits "0/3 nodes are available: 1 reason, 2 reason. no new claims …, preemption: …" into its terms.
// Whatever follows the first sentence is about preemption, not about why nodes are excluded.
func parseScheduling(message string) (total int, terms []schedulingTerm) {
	m := schedulingHead.FindStringSubmatch(plain.OneLine(message))
	if m == nil {
		return 0, nil
	}
	total, _ = strconv.Atoi(m[1])
	body := m[2]
	for _, tail := range []string{". no new claims", ". preemption:", ", preemption:", ". not found", " preemption: "} {
		if i := strings.Index(body, tail); i >= 0 {
			body = body[:i]
		}
	}
	for _, part := range strings.Split(strings.TrimSuffix(body, "."), ", ") {
		if item := schedulingItem.FindStringSubmatch(part); item != nil {
			n, _ := strconv.Atoi(item[1])
			terms = append(terms, schedulingTerm{n, item[2]})
		} else if len(terms) > 0 { // a comma inside a reason
			terms[len(terms)-1].text += ", " + part
		} else {
			terms = append(terms, schedulingTerm{total, part})
		}
	}
	sorting.Stable(terms, func(a, b schedulingTerm) int { return cmp.Or(b.nodes-a.nodes, cmp.Compare(a.text, b.text)) })
	return total, terms
}

// schedulingCode names a scheduler's reason.
func schedulingCode(text string) finding.Code {
	switch {
	case plain.ContainsAny(text, "didn't have free ports"):
		return HostPortConflict
	case plain.ContainsAny(text, "Insufficient "):
		return InsufficientResources
	case plain.ContainsAny(text, "Too many pods"):
		return TooManyPods
	case plain.ContainsAny(text, "untolerated taint", "that the pod didn't tolerate"):
		return UntoleratedTaint
	case plain.ContainsAny(text, "topology spread"):
		return TopologySpreadUnsatisfied
	case plain.ContainsAny(text, "pod anti-affinity", "anti-affinity rules", "pod affinity rules"):
		return PodAffinityUnsatisfied
	case plain.ContainsAny(text, "node affinity", "node selector", "node(s) didn't match the requested node name"):
		if plain.ContainsAny(text, "volume node affinity", "PersistentVolume's node affinity") {
			return VolumeNodeAffinityConflict
		}
		return NodeAffinityUnsatisfied
	case plain.ContainsAny(text, "were unschedulable"):
		return NodesCordoned
	case plain.ContainsAny(text, "exceed max volume count"):
		return VolumeLimitReached
	case plain.ContainsAny(text, "unbound immediate", "waiting for ephemeral volume controller", "binding volumes: "):
		return PVCNotBound
	case plain.ContainsAny(text, "persistentvolumeclaim") && plain.ContainsAny(text, "not found"):
		return PVCNotFound
	case plain.ContainsAny(text, "persistent volumes to bind"):
		return NoPersistentVolumeAvailable
	case plain.ContainsAny(text, "volume zone", "no available volume zone"):
		return VolumeNodeAffinityConflict
	case plain.ContainsAny(text, "ReadWriteOncePod"):
		return VolumeInUse
	case plain.ContainsAny(text, "resourceclaim", "resource claim", "cannot allocate all claims"), classAbsent.MatchString(text):
		return ResourceClaimUnsatisfied
	}
	return Unschedulable
}

// decodeScheduling turns the scheduler's sentence into a cause. The condition outlives the event.
func decodeScheduling(e *model.Evaluation, w *model.Workload, p *model.Pod, c *corev1.PodCondition) *model.Cause {
	message := plain.OneLine(c.Message)
	total, terms := parseScheduling(message)
	var code finding.Code
	why := ""
	what := "the scheduler reports: " + message
	pinned := model.TargetNode(p) // a DaemonSet's pod is for one node: what the others say is that they are not it
	if pinned != "" {
		terms = slices.DeleteFunc(terms, func(t schedulingTerm) bool {
			return len(terms) > 1 && plain.ContainsAny(t.text, "[NodeAffinity]", "node affinity/selector")
		})
	}
	switch {
	case len(terms) == 0:
		code = schedulingCode(message)
	default:
		chosen := decisive(terms)
		code = schedulingCode(chosen.text)
		if len(terms) > 1 && mixed(terms) {
			code = Unschedulable
		}
		what = describeTerms(terms)
		if pinned != "" {
			what, why = strings.TrimPrefix(chosen.text, "node(s) "), chosen.text
		}
	}
	found := e.Cause(p, model.StageSchedule, code, report.Transient, "%s", what)
	found.Severity = finding.Critical
	found.WithKey(string(code)).Since(c.LastTransitionTime.Time).
		WithEvidence(plain.Evidence("Pod "+p.Name, "status.conditions[PodScheduled]", message, c.LastTransitionTime.Time))
	found.Target = pinned
	if len(terms) > 0 {
		found.Considered = total
	}
	schedulingDetail(e, w, p, found, terms, message)
	autoscaling(e, p, found)
	if pinned != "" { // what holds for one node need not hold for another
		found.Key += why + string(found.Class)
	}
	if p.Status.NominatedNodeName != "" {
		found.Target, found.Class, found.SelfHealing = "", report.Transient, "yes"
		e.Recode(found, PreemptionInProgress)
		found.Says("the scheduler is preempting other pods on node %s", p.Status.NominatedNodeName)
	}
	return found.WithNext(e.Next(w, finding.Read, "Read the requests, the node selector and the tolerations of the pod",
		"describe", "pod", p.Name))
}

// decisive gives the term that counts: that some nodes are not for the pod is not the reason while others, which are, are
// excluded for another one.
func decisive(terms []schedulingTerm) schedulingTerm {
	for _, without := range [][]finding.Code{{UntoleratedTaint, NodeAffinityUnsatisfied}, {UntoleratedTaint}} {
		for _, t := range terms {
			if !slices.Contains(without, schedulingCode(t.text)) {
				return t
			}
		}
	}
	return terms[0]
}

// mixed reports whether the nodes that are for the pod are excluded for different reasons.
func mixed(terms []schedulingTerm) bool {
	reasons := map[finding.Code]bool{}
	for _, t := range terms {
		if code := schedulingCode(t.text); code != UntoleratedTaint && code != NodeAffinityUnsatisfied {
			reasons[code] = true
		}
	}
	return len(reasons) > 1
}

func describeTerms(terms []schedulingTerm) string {
	words := make([]string, 0, len(terms))
	for _, t := range terms {
		words = append(words, fmt.Sprintf("%d× %s", t.nodes, strings.TrimPrefix(t.text, "node(s) ")))
	}
	return strings.Join(words, ", ")
}

// poolNamed is how Karpenter names a NodePool in what it says of a pod.
var poolNamed = regexp.MustCompile(`NodePool=([a-z0-9][-a-z0-9.]*)`)

// autoscaling: when an autoscaler makes a node for the pod, waiting is right; when it refused last, it is not.
func autoscaling(e *model.Evaluation, p *model.Pod, c *model.Cause) {
	answer, known := autoscaler.AnswerTo(e.PodEvents(p), e.Now)
	if !known {
		return
	}
	c.WithEvidence(plain.Evidence("Event", answer.Event.Reason, answer.Event.Message, answer.Event.Last))
	who := "the autoscaler"
	if answer.Karpenter {
		who = "Karpenter"
	}
	switch {
	case answer.Adds:
		c.Class, c.SelfHealing = report.Transient, "yes"
		c.Message += "; " + who + " is adding a node"
		if answer.Claim != "" {
			c.WithNext(e.NextCluster(finding.Read, "Read how far the NodeClaim is: launched, registered, initialized",
				"describe", "nodeclaim", answer.Claim))
		}
		return
	case answer.Counts != "":
		c.Message += "; Karpenter adds no node: it expects the pod on node " + answer.Counts
		return
	}
	c.Message += "; " + who + " adds no node: " + plain.OneLine(answer.Why)
	c.Class, c.SelfHealing = report.LikelyFatal, "no"
	if answer.Karpenter {
		what := []string{"describe", "nodepools"}
		if named := poolNamed.FindAllStringSubmatch(answer.Why, -1); len(named) == 1 {
			what = []string{"describe", "nodepool", named[0][1]}
		}
		c.WithNext(e.NextCluster(finding.Read, "Read the limits, the requirements and the conditions of the NodePool", what...))
	}
}
