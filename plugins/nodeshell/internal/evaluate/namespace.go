package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// Try is the answer of the API server to a dry-run create of the very pod in one namespace. Denied is its text; empty
// means admitted.
type Try struct {
	Namespace string      `json:"namespace"`
	Denied    string      `json:"denied,omitempty"`
	Asked     *corev1.Pod `json:"asked,omitempty"` // what was sent: of several nodes, the pod of the first
	Pod       *corev1.Pod `json:"pod,omitempty"`   // as admission would make it
}

// EnforceLabel is Pod Security's: https://kubernetes.io/docs/concepts/security/pod-security-standards/
const EnforceLabel = "pod-security.kubernetes.io/enforce"

// Place puts the plan into the first namespace that admitted it, or says why none did. Usable are namespaces that are
// labeled privileged.
func Place(plan report.Plan, tries []Try, usable []string, o Options) report.Plan {
	for _, try := range tries {
		if try.Denied != "" {
			continue
		}
		plan.Namespace = try.Namespace
		plan.Pod.Namespace = try.Namespace
		if try.Pod != nil && try.Asked != nil {
			plan.Findings = append(plan.Findings, Changed(try.Asked, try.Pod, o)...)
			finding.Sort(plan.Findings)
		}
		setVerdict(&plan)
		return plan
	}
	if len(tries) > 0 {
		f := denial(tries[0], usable, plan, o)
		for _, try := range tries[1:] {
			f.Evidence = append(f.Evidence, finding.Evidence{Source: "Namespace " + try.Namespace, Path: dryRun, Value: try.Denied})
		}
		plan.Findings = append(plan.Findings, f)
	}
	finding.Sort(plan.Findings)
	setVerdict(&plan)
	return plan
}

// denial sorts a denied dry-run create by what denied it.
func denial(try Try, usable []string, plan report.Plan, o Options) finding.Finding {
	text := strings.Join(strings.Fields(try.Denied), " ")
	refusal := admission.Parse(text)
	var f finding.Finding
	switch refusal.Kind {
	case admission.PodSecurity:
		f = podSecurity(refusal.Name, try.Namespace, usable, plan, o)
	case admission.WebhookDenied, admission.WebhookFailed, admission.WebhookNoDryRun,
		admission.ValidatingPolicy, admission.MutatingPolicy:
		f = book.New(AdmissionDenied, fmt.Sprintf("admission in namespace %q denies the pod: %s", try.Namespace, text))
		f.Next = admissionSteps(refusal, o)
	case admission.QuotaExceeded, admission.QuotaUnspecified:
		f = book.New(QuotaOrLimitRangeViolated,
			fmt.Sprintf("ResourceQuota %q in namespace %q rejects the pod: %s", refusal.Name, try.Namespace, text))
		f.Next = quotaSteps(try.Namespace, o)
	case admission.LimitRange:
		f = book.New(QuotaOrLimitRangeViolated,
			fmt.Sprintf("a LimitRange in namespace %q rejects the pod: %s", try.Namespace, text))
		f.Next = quotaSteps(try.Namespace, o)
	case admission.NotPermitted:
		f = book.New(PodCreationForbidden,
			fmt.Sprintf("not allowed: needs %s %s in namespace %q", refusal.Permission.Verb, refusal.Permission.Resource, try.Namespace))
		f.Next = []finding.Next{{
			Command: o.Kubectl.Command(try.Namespace, "auth", "can-i", "--list"),
			Why:     "List what you are allowed to do in the namespace", Risk: finding.Read,
		}}
	default:
		f = book.New(PodRejected, fmt.Sprintf("the API server rejects the pod in namespace %q: %s", try.Namespace, text))
	}
	f.Object = &finding.ObjectRef{Kind: "Namespace", Name: try.Namespace}
	f.Evidence = []finding.Evidence{{Source: "Namespace " + try.Namespace, Path: dryRun, Value: text}}
	return f
}

// dryRun is the path of evidence that admission gave.
const dryRun = "dry-run create"

// podSecurity is the finding of a namespace that enforces a level, and the way to one that does not.
func podSecurity(level, namespace string, usable []string, plan report.Plan, o Options) finding.Finding {
	message := fmt.Sprintf("namespace %q enforces Pod Security Standard %q, which forbids a root shell", namespace, level)
	slices.Sort(usable)
	if len(usable) > 0 && !o.Free {
		f := book.New(PodSecurityViolated, message+"; namespaces that allow it: "+strings.Join(usable, ", "))
		f.Next = []finding.Next{{
			Command: rerunCommand(o, plan.Node, usable[0]), Why: "Use a namespace that allows privileged pods", Risk: finding.Change,
		}}
		return f
	}
	pods := "" // -n names the pods of the call, or else the namespace that has just denied the pod
	if o.Free {
		pods = o.CallNamespace
	}
	f := book.New(PodSecurityViolated, message)
	f.Next = []finding.Next{{
		Command: rerunCommand(o, plan.Node, pods, "--create-namespace"),
		Why:     "Create a privileged namespace for this session, deleted with the session", Risk: finding.Change,
	}}
	return f
}

// admissionSteps show the policy or webhook that denied the pod.
func admissionSteps(refusal admission.Refusal, o Options) []finding.Next {
	show := func(why string, args ...string) finding.Next {
		return finding.Next{Command: o.Kubectl.Command("", append([]string{"get"}, args...)...), Why: why, Risk: finding.Read}
	}
	var kind string
	switch refusal.Kind {
	case admission.ValidatingPolicy:
		kind = "validatingadmissionpolicy"
	case admission.MutatingPolicy:
		kind = "mutatingadmissionpolicy"
	default:
		return []finding.Next{show(fmt.Sprintf("Find the configuration of webhook %q", refusal.Name),
			"validatingwebhookconfigurations,mutatingwebhookconfigurations",
			"-o", "custom-columns=KIND:.kind,NAME:.metadata.name,WEBHOOKS:.webhooks[*].name")}
	}
	var steps []finding.Next
	if refusal.Binding != "" {
		steps = append(steps, show("Read which namespaces the policy binding covers", kind+"binding", refusal.Binding, "-o", "yaml"))
	}
	return append(steps, show("Read the rules of the policy", kind, refusal.Name, "-o", "yaml"))
}

func quotaSteps(namespace string, o Options) []finding.Next {
	return []finding.Next{{
		Command: o.Kubectl.Command(namespace, "describe", "resourcequotas,limitranges"),
		Why:     "Read the used and hard quota and the limits of the namespace", Risk: finding.Read,
	}}
}

// rerunCommand is the call itself once more, with more flags. They replace flags of the call that they exclude.
func rerunCommand(o Options, node, namespace string, more ...string) string {
	words := []string{o.Program}
	if len(o.Call) > 0 {
		words = append(words, o.Call...)
	} else {
		words = append(words, node)
	}
	for _, flag := range more {
		name, _, _ := strings.Cut(flag, "=")
		words = slices.DeleteFunc(words, func(word string) bool {
			given, _, _ := strings.Cut(word, "=")
			return given == name || name == "--no-pull" && given == "--image" || name == "--image" && given == "--no-pull"
		})
	}
	words = append(words, more...)
	return o.Kubectl.Command(namespace, append(words, o.CallRest...)...)
}
