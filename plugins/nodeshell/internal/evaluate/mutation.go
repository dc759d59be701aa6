package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
)

// Changed reports what admission changed in the pod that was sent. Without hostPID process 1 is the image's own, and
// nsenter would show the image's root as the node's: with that, or with another image, nothing must run.
func Changed(asked, made *corev1.Pod, o Options) []finding.Finding {
	var fatal, lost []string
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
	if len(fatal)+len(lost) == 0 {
		return nil
	}
	message := "admission changed the pod: " + strings.Join(append(slices.Clone(fatal), lost...), ", ")
	if len(fatal) > 0 {
		message += "; nothing was run"
	}
	f := book.New(PodMutatedByAdmission, message)
	switch {
	case len(fatal) == 0:
		f.Severity = finding.Warning
	case got != nil && want != nil && got.Image != want.Image && len(fatal) == 1:
		f.Next = []finding.Next{{
			Command: rerunCommand(o, asked.Spec.NodeName, o.CallNamespace, "--image="+got.Image),
			Why:     "Use the image that admission sets", Risk: finding.Change,
		}}
	default:
		f.Next = []finding.Next{{
			Command: o.Kubectl.Command("", "get", "mutatingwebhookconfigurations"),
			Why:     "Find the webhook, and use -n with a namespace that it does not change", Risk: finding.Read,
		}}
	}
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: made.Namespace, Name: made.Name}
	return []finding.Finding{mask.Copy(f)}
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
