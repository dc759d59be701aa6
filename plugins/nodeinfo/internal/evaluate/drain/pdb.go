package drain

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/eviction"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// DrainBlockedByPDB is the code of an eviction that the API server refuses.
const DrainBlockedByPDB finding.Code = "DrainBlockedByPDB"

var drainBlockedByPDB = rule{
	Entry: finding.Entry{
		Code: DrainBlockedByPDB, Severity: finding.Critical, Title: "PodDisruptionBudget blocks the drain",
		Meaning: "The API server refuses the eviction of a pod: its PodDisruptionBudget allows no disruption, or fewer than pods go without a " +
			"replacement, or more than one PodDisruptionBudget matches the pod. kubectl drain tries again until its timeout; in the last case " +
			"it ends with an error.",
		Evidence: "PodDisruptionBudget status (currentHealthy, desiredHealthy, disruptionsAllowed) and unhealthyPodEvictionPolicy, with the " +
			"pods on the node whose evictions it counts.",
		Next:   "Make the pods of the budget ready, scale the workload up, or change the budget.",
		Source: "https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/",
	},
	Check: checkBudgets,
}

func checkBudgets(p *Plan) []finding.Finding {
	var list []finding.Finding
	for _, b := range p.Budgets {
		switch allowed := int(b.Status.DisruptionsAllowed); {
		case !eviction.Current(b.PodDisruptionBudget):
			continue // its controller is about to say
		case allowed <= 0:
			list = append(list, p.blocked(b, noneAllowed(b)))
		case b.Unreplaced > allowed:
			list = append(list, p.blocked(b, fmt.Sprintf("PodDisruptionBudget %s allows %s, but %d of its pods go without a replacement: %s",
				budgetName(b), output.Plural(allowed, "disruption"), b.Unreplaced, named(b.Pods))))
		}
	}
	for _, pod := range p.Pods {
		if len(pod.Guards) < 2 {
			continue
		}
		var names []string
		for _, g := range pod.Guards {
			names = append(names, g.Name)
		}
		list = append(list, about(fmt.Sprintf("pod %s matches %d PodDisruptionBudgets (%s): the API server refuses its eviction", name(pod),
			len(names), strings.Join(names, ", ")), []*Pod{pod}, []finding.Evidence{{
			Source: "PodDisruptionBudgets in " + pod.Namespace, Path: "spec.selector",
			Value: strings.Join(names, ", ") + " match the labels of the pod",
		}}, p.look("Compare the selectors: one budget alone may match a pod", pod.Namespace, "get", "pdb",
			"-o", "custom-columns=NAME:.metadata.name,SELECTOR:.spec.selector")))
	}
	return list
}

func budgetName(b *Budget) string { return b.Namespace + "/" + b.Name }

// noneAllowed says why a budget allows no disruption.
func noneAllowed(b *Budget) string {
	s := &b.Status
	text := fmt.Sprintf("PodDisruptionBudget %s allows no disruption: ", budgetName(b))
	if s.CurrentHealthy < s.ExpectedPods && !eviction.Never(b.PodDisruptionBudget) {
		text += fmt.Sprintf("%d of %s healthy, %d required", s.CurrentHealthy, output.Plural(int(s.ExpectedPods), "pod is", "pods are"),
			s.DesiredHealthy)
	} else {
		text += fmt.Sprintf("%s requires %d of %d healthy", limit(b.PodDisruptionBudget), s.DesiredHealthy, s.ExpectedPods)
	}
	return text + fmt.Sprintf("; it guards %s", named(b.Pods))
}

// limit is what a budget asks of a budget, as "minAvailable 2".
func limit(b *policyv1.PodDisruptionBudget) string {
	switch {
	case b.Spec.MaxUnavailable != nil:
		return "maxUnavailable " + b.Spec.MaxUnavailable.String()
	case b.Spec.MinAvailable != nil:
		return "minAvailable " + b.Spec.MinAvailable.String()
	}
	return "minAvailable 1"
}

func (p *Plan) blocked(b *Budget, message string) finding.Finding {
	source, s := "PodDisruptionBudget "+budgetName(b), &b.Status
	field, value, _ := strings.Cut(limit(b.PodDisruptionBudget), " ")
	evidence := []finding.Evidence{
		{Source: source, Path: "spec." + field, Value: value},
		{Source: source, Path: "status", Value: fmt.Sprintf("currentHealthy %d, desiredHealthy %d, expectedPods %d, disruptionsAllowed %d",
			s.CurrentHealthy, s.DesiredHealthy, s.ExpectedPods, s.DisruptionsAllowed)},
	}
	unready := which(b.Pods, func(pod *Pod) bool { return !podfact.Ready(pod.Pod) })
	if len(unready) > 0 {
		policy := "IfHealthyBudget (default)"
		if b.Spec.UnhealthyPodEvictionPolicy != nil {
			policy = string(*b.Spec.UnhealthyPodEvictionPolicy)
		}
		evidence = append(evidence, finding.Evidence{
			Source: source, Path: "spec.unhealthyPodEvictionPolicy",
			Value: policy + ": guards pods that are not ready, too, while fewer are healthy than required (" + named(unready) + ")",
		})
	}
	next := []finding.Next{p.look("List the pods of the budget; those that are not ready use it up", b.Namespace,
		"get", "pods", "-l", metav1.FormatLabelSelector(b.Spec.Selector), "-o", "wide")}
	if step, ok := p.scaleUp(b); ok {
		next = append(next, step)
	}
	return finding.Finding{
		Message: message, Evidence: evidence, Next: next,
		Object: &finding.ObjectRef{Kind: "PodDisruptionBudget", Namespace: b.Namespace, Name: b.Name},
	}
}

// scaleUp is one pod more, where that gives the budget room: it wants a number, all its pods are there and are one workload's.
func (p *Plan) scaleUp(b *Budget) (finding.Next, bool) {
	wanted, s := b.Spec.MinAvailable, &b.Status
	if wanted == nil || wanted.Type != intstr.Int || s.ExpectedPods != s.CurrentHealthy || s.DesiredHealthy != s.ExpectedPods {
		return finding.Next{}, false
	}
	workload := ""
	for _, pod := range b.Pods {
		w := scaled(pod)
		if w == "" || workload != "" && w != workload {
			return finding.Next{}, false
		}
		workload = w
	}
	return finding.Next{
		Command: p.Kubectl.Command(b.Namespace, "scale", workload, fmt.Sprintf("--replicas=%d", b.Status.ExpectedPods+1)),
		Why:     "Scale the workload up by one, so that the budget lets one pod go at a time", Risk: finding.Change,
	}, true
}

// scaled is what scales the controller of a pod, as TYPE/NAME; empty where that is not known from the pod.
func scaled(p *Pod) string {
	owner := metav1.GetControllerOf(p.Pod)
	if owner == nil {
		return ""
	}
	hash := "-" + p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	switch {
	case owner.Kind == "StatefulSet":
		return "statefulset/" + owner.Name
	case owner.Kind == "ReplicaSet" && hash != "-" && strings.HasSuffix(owner.Name, hash):
		return "deployment/" + strings.TrimSuffix(owner.Name, hash)
	}
	return ""
}
