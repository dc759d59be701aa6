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
// labelled privileged.
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
			f.Evidence = append(f.Evidence, finding.Evidence{Source: "Namespace/" + try.Namespace, Path: "dry-run create", Value: try.Denied})
		}
		plan.Findings = append(plan.Findings, f)
	}
	finding.Sort(plan.Findings)
	setVerdict(&plan)
	return plan
}

// denial sorts a refusal by who refused.
func denial(try Try, usable []string, plan report.Plan, o Options) finding.Finding {
	var f finding.Finding
	text := strings.Join(strings.Fields(try.Denied), " ")
	switch refusal := admission.Parse(text); refusal.Kind {
	case admission.PodSecurity:
		message := fmt.Sprintf("namespace %q enforces Pod Security %q, which forbids a root shell", try.Namespace, refusal.Name)
		slices.Sort(usable)
		pods := "" // -n names the pods of the call, or else the namespace that has just refused
		if o.Free {
			pods = o.CallNamespace
		}
		command := rerunCommand(o, plan.Node, pods, "--create-namespace")
		why := "makes a privileged namespace for this session, deleted with it"
		if len(usable) > 0 && !o.Free {
			message += "; usable here: " + strings.Join(usable, ", ")
			command, why = rerunCommand(o, plan.Node, usable[0]), "uses a namespace that allows it"
		} else {
			message += "; --create-namespace makes one for this session"
		}
		f = book.New(PodSecurityViolated, message)
		f.Next = []finding.Next{{Command: command, Why: why, Risk: finding.Change}}
	case admission.WebhookDenied, admission.WebhookFailed, admission.WebhookNoDryRun, admission.ValidatingPolicy, admission.MutatingPolicy:
		f = book.New(AdmissionDenied, fmt.Sprintf("admission in namespace %q refuses the pod: %s", try.Namespace, text))
	case admission.QuotaExceeded, admission.QuotaUnspecified, admission.LimitRange:
		f = book.New(QuotaOrLimitRangeViolated, fmt.Sprintf("a quota in namespace %q refuses the pod: %s", try.Namespace, text))
	case admission.NotPermitted:
		f = book.New(PodCreationForbidden, fmt.Sprintf("not allowed: needs %s %s in namespace %q (%s)", refusal.Permission.Verb, refusal.Permission.Resource, try.Namespace, text))
		f.Next = []finding.Next{{Command: o.Kubectl.Command(try.Namespace, "auth", "can-i", "--list"), Why: "what is allowed there", Risk: finding.Read}}
	default:
		f = book.New(PodRejected, fmt.Sprintf("the API server refuses the pod in namespace %q: %s", try.Namespace, text))
	}
	f.Object = &finding.ObjectRef{Kind: "Namespace", Name: try.Namespace}
	f.Evidence = []finding.Evidence{{Source: "Namespace/" + try.Namespace, Path: "dry-run create", Value: text}}
	return f
}

// rerunCommand is the call itself once more, with more flags.
func rerunCommand(o Options, node, namespace string, more ...string) string {
	words := []string{o.Program}
	if len(o.Call) > 0 {
		words = append(words, o.Call...)
	} else {
		words = append(words, node)
	}
	words = append(words, more...)
	if slices.Contains(more, "--no-pull") { // it takes any image that is there
		words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--image=") })
	}
	return o.Kubectl.Command(namespace, append(words, o.CallRest...)...)
}
