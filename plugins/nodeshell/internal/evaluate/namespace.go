package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

const (
	PodSecurityViolated       finding.Code = "PodSecurityViolated"
	PodCreationForbidden      finding.Code = "PodCreationForbidden"
	QuotaOrLimitRangeViolated finding.Code = "QuotaOrLimitRangeViolated"
	AdmissionDenied           finding.Code = "AdmissionDenied"
	PodRejected               finding.Code = "PodRejected"
)

var namespaceRules = []finding.Rule[Input]{
	{Entry: finding.Entry{
		Code: PodSecurityViolated, Severity: finding.Critical, Title: "Pod violates the enforced Pod Security Standard",
		Meaning: "The namespace enforces a Pod Security Standard that forbids privileged pods. nodeshell never " +
			"changes the labels of a namespace.",
		Evidence: "Response 403 to a dry-run create that names PodSecurity.",
		Next:     "Use -n with a namespace that allows privileged pods, or --create-namespace.",
		Source:   "https://kubernetes.io/docs/concepts/security/pod-security-admission/",
	}},
	{Entry: finding.Entry{
		Code: PodCreationForbidden, Severity: finding.Critical, Title: "User is not allowed to create the pod",
		Meaning:  "RBAC does not allow this user to create pods in the namespace.",
		Evidence: "Response 403 to a dry-run create, with the text of the API server.",
		Next:     "Request the permissions in docs/nodeshell.md, which equal root on every node.",
	}},
	{Entry: finding.Entry{
		Code: QuotaOrLimitRangeViolated, Severity: finding.Critical, Title: "ResourceQuota or LimitRange rejects the pod",
		Meaning:  "A ResourceQuota of the namespace is exhausted or requires requests and limits, or a LimitRange does not allow the pod.",
		Evidence: "Response 403 to a dry-run create that names the quota or the limit.",
		Next:     "Use another namespace with -n.",
	}},
	{Entry: finding.Entry{
		Code: AdmissionDenied, Severity: finding.Critical, Title: "Admission webhook or policy denies the pod",
		Meaning:  "An admission webhook or an admission policy denies the pod, or the webhook cannot be called.",
		Evidence: "Name of the webhook or policy and its message, from the response to a dry-run create.",
		Next:     "Request an exception for one namespace.",
	}},
	{Entry: finding.Entry{
		Code: PodRejected, Severity: finding.Critical, Title: "Pod was rejected",
		Meaning: "The API server rejected the pod for a reason other than Pod Security, an admission webhook or policy, a quota " +
			"or a missing permission, " +
			"or the kubelet rejected it for a reason other than resources, pressure, affinity or a taint.",
		Evidence: "Text of the response to a dry-run create, or pod status reason and message.",
		Next:     "Read the reason; --critical helps only against limits on pods, CPU and memory.",
	}},
}

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

// Admits says that a pod made in the namespace is the one that was asked for, in all that matters.
func (t Try) Admits() bool {
	if t.Denied != "" {
		return false
	}
	return t.Pod == nil || t.Asked == nil || !slices.ContainsFunc(Changed(t.Asked, t.Pod, nil, Options{}), critical)
}

func critical(f finding.Finding) bool { return f.Severity == finding.Critical }

// Place puts the plan into the first namespace that admits it, or says why none does. Usable are other namespaces that
// admit it, for the advice.
func Place(plan report.Plan, tries []Try, usable []string, o Options) report.Plan {
	for _, try := range tries {
		if !try.Admits() {
			continue
		}
		plan.Namespace = try.Namespace
		plan.Pod.Namespace = try.Namespace
		if try.Pod != nil && try.Asked != nil {
			plan.Findings = append(plan.Findings, Changed(try.Asked, try.Pod, usable, o)...)
			finding.Sort(plan.Findings)
		}
		setVerdict(&plan)
		return plan
	}
	if len(tries) > 0 {
		f := refusal(tries[0], usable, plan, o)
		for _, try := range tries[1:] {
			f.Evidence = append(f.Evidence, finding.Evidence{Source: "Namespace " + try.Namespace, Path: dryRun, Value: try.answer()})
		}
		plan.Findings = append(plan.Findings, f)
	}
	finding.Sort(plan.Findings)
	setVerdict(&plan)
	return plan
}

// answer is what admission in the namespace does to the pod, in words.
func (t Try) answer() string {
	if t.Denied != "" {
		return t.Denied
	}
	fatal, _ := changes(t.Asked, t.Pod)
	return "the pod is changed: " + strings.Join(fatal, ", ")
}

// refusal is the finding of a namespace that does not admit the pod.
func refusal(try Try, usable []string, plan report.Plan, o Options) finding.Finding {
	if try.Denied != "" {
		return denial(try, usable, plan, o)
	}
	f := Changed(try.Asked, try.Pod, usable, o)[0]
	f.Object = &finding.ObjectRef{Kind: "Namespace", Name: try.Namespace}
	return f
}

// Denied is the finding of a request on the pod of a plan that the API server refuses after all, or nil where the text
// names neither a quota, a limit nor a policy: what is created, and a stream, have their own admission.
func Denied(plan report.Plan, text string, o Options) []finding.Finding {
	switch kind := admission.Parse(text).Kind; kind {
	case admission.Unknown, admission.NotPermitted:
		return nil
	}
	return mask.Copy([]finding.Finding{denial(Try{Namespace: plan.Namespace, Denied: text}, nil, plan, o)})
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
		f.Next = append(elsewhere(usable, plan.Node, o), admissionSteps(refusal, o)...)
	case admission.QuotaExceeded, admission.QuotaUnspecified:
		f = book.New(QuotaOrLimitRangeViolated,
			fmt.Sprintf("ResourceQuota %q in namespace %q rejects the pod: %s", refusal.Name, try.Namespace, text))
		f.Next = quotaSteps(try.Namespace, usable, plan, o)
	case admission.LimitRange:
		f = book.New(QuotaOrLimitRangeViolated,
			fmt.Sprintf("a LimitRange in namespace %q rejects the pod: %s", try.Namespace, text))
		f.Next = quotaSteps(try.Namespace, usable, plan, o)
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
	usable = notSystem(usable)
	slices.Sort(usable)
	if len(usable) > 0 && !o.Free {
		f := book.New(PodSecurityViolated, message+"; namespaces that allow it: "+strings.Join(usable, ", "))
		f.Next = elsewhere(usable, plan.Node, o)
		return f
	}
	f := book.New(PodSecurityViolated, message)
	f.Next = []finding.Next{ownNamespace(plan.Node, o)}
	return f
}

// elsewhere is the call in another namespace that admits the pod; nothing where none is known, or where -n names the
// pods of the call.
func elsewhere(usable []string, node string, o Options) []finding.Next {
	if len(usable) == 0 || o.Free {
		return nil
	}
	return []finding.Next{rerunStep(o, node, usable[0], "Use a namespace that admits the pod as it is", finding.Change)}
}

// notSystem leaves out kube-system where a namespace of the session's own is the better advice.
func notSystem(usable []string) []string {
	return slices.DeleteFunc(slices.Clone(usable), func(name string) bool { return name == metav1.NamespaceSystem })
}

// ownNamespace is the call with a namespace that has no quota, no limits and no Pod Security Standard in the way.
func ownNamespace(node string, o Options) finding.Next {
	pods := "" // -n names the pods of the call, or else the namespace that is in the way
	if o.Free {
		pods = o.CallNamespace
	}
	why := "Create a privileged namespace for this session, deleted with the session"
	return rerunStep(o, node, pods, why, finding.Change, "--create-namespace")
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

func quotaSteps(namespace string, usable []string, plan report.Plan, o Options) []finding.Next {
	way := elsewhere(notSystem(usable), plan.Node, o)
	if way == nil {
		way = []finding.Next{ownNamespace(plan.Node, o)}
	}
	return append(way, finding.Next{
		Command: o.Kubectl.Command(namespace, "describe", "resourcequotas,limitranges"),
		Why:     "Read the used and hard quota and the limits of the namespace", Risk: finding.Read,
	})
}

// rerunStep is the call itself once more as a step. A call that holds a secret is not printed: with the secret it must not
// be, and without it it would run something else.
func rerunStep(o Options, node, namespace, why string, risk finding.Risk, more ...string) finding.Next {
	command := rerunCommand(o, node, namespace, more...)
	if mask.Text(command) == command {
		return finding.Next{Command: command, Why: why, Risk: risk}
	}
	with := strings.Join(more, " ")
	if namespace != o.CallNamespace {
		with = strings.TrimSpace("-n " + finding.Quote(namespace) + " " + with)
	}
	return finding.Next{Why: why + "; the call holds a secret and is not printed: repeat it with " + with, Risk: risk}
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
