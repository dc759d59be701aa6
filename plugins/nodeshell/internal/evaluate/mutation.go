package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

const (
	PodMutatedByAdmission finding.Code = "PodMutatedByAdmission"
	MemoryLimitReached    finding.Code = "MemoryLimitReached"
)

var mutationRules = []finding.Rule[Input]{
	{Entry: finding.Entry{
		Code: PodMutatedByAdmission, Severity: finding.Critical, Title: "Admission removed required pod settings",
		Meaning: "A mutating webhook or admission plugin changed the pod that was sent. nodeshell runs nothing in a pod that would show the " +
			"image or another node as the node; a removed hostIPC or an additional image pull is only a warning.",
		Evidence: "A difference between the sent and the created pod in hostPID, hostNetwork, hostIPC, nodeName, " +
			"container, image, pull policy or privileged.",
		Next: "Use a namespace that the webhook does not change, or the image that admission sets.",
	}},
	{Entry: finding.Entry{
		Code: MemoryLimitReached, Severity: finding.Critical, Title: "Memory limit of the helper pod was reached",
		Meaning: "nodeshell sets no memory limit. A LimitRange or a webhook of the namespace added one, and what runs in the session counts " +
			"against the limit: the kernel kills the command with exit code 137, or the whole helper pod.",
		Evidence: "Exit code 137, the memory limit in the created pod, and the kernel's count of killed processes.",
		Next:     "Use a namespace without a default memory limit, or --create-namespace.",
		Source:   "https://kubernetes.io/docs/concepts/policy/limit-range/",
	}},
}

// Changed reports what admission changed in the pod that was sent. Without hostPID process 1 is the image's own, and
// nsenter would show the image's root as the node's: with that, or with another image, nothing must run.
// Usable are other namespaces that admit the pod as it is.
func Changed(asked, made *corev1.Pod, usable []string, o Options) []finding.Finding {
	fatal, lost := changes(asked, made)
	if len(fatal)+len(lost) == 0 {
		return nil
	}
	message := "admission changed the pod: " + strings.Join(append(slices.Clone(fatal), lost...), ", ")
	if len(fatal) > 0 {
		message += "; nothing was run"
	}
	f := book.New(PodMutatedByAdmission, message)
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: made.Namespace, Name: made.Name}
	if len(fatal) == 0 {
		f.Severity = finding.Warning
		return []finding.Finding{mask.Copy(f)}
	}
	f.Next = elsewhere(usable, asked.Spec.NodeName, o)
	if want, got := shellOf(asked), shellOf(made); got != nil && want != nil && got.Image != want.Image && len(fatal) == 1 {
		f.Next = append(f.Next, rerunStep(o, asked.Spec.NodeName, o.CallNamespace,
			"Use the image that admission sets, if it has sh and nsenter", finding.Change, "--image="+got.Image))
	}
	f.Next = append(f.Next, finding.Next{
		Command: o.Kubectl.Command("", "get", "mutatingwebhookconfigurations"),
		Why:     "Find the webhook; on Kubernetes 1.36 and later, a mutatingadmissionpolicy can change the pod, too", Risk: finding.Read,
	})
	return []finding.Finding{mask.Copy(f)}
}

// changes are those that make the pod another one, and those that are only to be told.
func changes(asked, made *corev1.Pod) (fatal, lost []string) {
	check := func(to *[]string, text string, wrong bool) {
		if wrong {
			*to = append(*to, text)
		}
	}
	want, got := shellOf(asked), shellOf(made)
	check(&fatal, "removed hostPID", asked.Spec.HostPID && !made.Spec.HostPID)
	check(&fatal, "removed hostNetwork", asked.Spec.HostNetwork && !made.Spec.HostNetwork)
	check(&fatal, "set node "+made.Spec.NodeName, made.Spec.NodeName != "" && made.Spec.NodeName != asked.Spec.NodeName)
	if got == nil {
		check(&fatal, fmt.Sprintf("removed container %q", Container), want != nil)
	} else if want != nil {
		check(&fatal, "removed privileged", privileged(want) && !privileged(got))
		check(&fatal, fmt.Sprintf("replaced image %q with %q", want.Image, got.Image), got.Image != want.Image)
		// The admission plugin AlwaysPullImages turns IfNotPresent into Always: a pull, and no other pod.
		policy := fmt.Sprintf("changed the pull policy from %s to %s", want.ImagePullPolicy, got.ImagePullPolicy)
		if got.ImagePullPolicy != want.ImagePullPolicy && got.ImagePullPolicy != "" {
			check(&fatal, policy, want.ImagePullPolicy == corev1.PullNever)
			check(&lost, policy, want.ImagePullPolicy != corev1.PullNever)
		}
	}
	check(&lost, "removed hostIPC", asked.Spec.HostIPC && !made.Spec.HostIPC)
	return fatal, lost
}

// MemoryLimit is what admission has bounded the memory of the helper with; nil is nothing.
func MemoryLimit(asked, made *corev1.Pod) *resource.Quantity {
	want, got := shellOf(asked), shellOf(made)
	if want == nil || got == nil {
		return nil
	}
	limit := got.Resources.Limits.Memory()
	if limit.IsZero() || limit.Equal(*want.Resources.Limits.Memory()) {
		return nil
	}
	return limit
}

// OutOfMemory explains a command, or a helper, that was killed for its memory. Sure says that the kernel has counted it.
func OutOfMemory(plan report.Plan, limit *resource.Quantity, sure bool, o Options) finding.Finding {
	message := fmt.Sprintf("the command was killed on node %s: the helper pod has a memory limit of %s, which a LimitRange or webhook "+
		"of namespace %q set", plan.Node, limit, plan.Namespace)
	if !sure {
		message = fmt.Sprintf("the command was killed on node %s, perhaps by the memory limit of %s that a LimitRange or webhook "+
			"of namespace %q set on the helper pod", plan.Node, limit, plan.Namespace)
	}
	f := book.New(MemoryLimitReached, message)
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: plan.Namespace, Name: plan.Pod.Name}
	f.Evidence = []finding.Evidence{{Source: "Pod", Path: "spec.containers[" + Container + "].resources.limits.memory", Value: limit.String()}}
	f.Next = append(f.Next, ownNamespace(plan.Node, o), finding.Next{
		Command: o.Kubectl.Command(plan.Namespace, "describe", "limitranges"),
		Why:     "Read the default limits of the namespace", Risk: finding.Read,
	})
	return mask.Copy(f)
}

func shellOf(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == Container {
			return &pod.Spec.Containers[i]
		}
	}
	return nil
}

func privileged(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}
