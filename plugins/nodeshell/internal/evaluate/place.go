package evaluate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
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
		conclude(&plan)
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
	conclude(&plan)
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
		command := again(o, plan.Node, pods, "--create-namespace")
		why := "makes a privileged namespace for this session, deleted with it"
		if len(usable) > 0 && !o.Free {
			message += "; usable here: " + strings.Join(usable, ", ")
			command, why = again(o, plan.Node, usable[0]), "uses a namespace that allows it"
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

// again is the call itself once more, with more flags.
func again(o Options, node, namespace string, more ...string) string {
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

// Changed tells what admission has made of the pod that was asked for. Without hostPID process 1 is the image's own, and
// nsenter would show the image's root as the node's: with that, or with another image, nothing must run.
func Changed(asked, made *corev1.Pod, o Options) []finding.Finding {
	var fatal, lost []string
	check := func(to *[]string, text string, wrong bool) {
		if wrong {
			*to = append(*to, text)
		}
	}
	want, got := shellOf(asked), shellOf(made)
	check(&fatal, "took hostPID", asked.Spec.HostPID && !made.Spec.HostPID)
	check(&fatal, "took hostNetwork", asked.Spec.HostNetwork && !made.Spec.HostNetwork)
	check(&fatal, fmt.Sprintf("moved it to node %q", made.Spec.NodeName), made.Spec.NodeName != "" && made.Spec.NodeName != asked.Spec.NodeName)
	if got == nil {
		check(&fatal, fmt.Sprintf("took container %q", Container), want != nil)
	} else if want != nil {
		check(&fatal, "took privileged", privileged(want) && !privileged(got))
		check(&fatal, fmt.Sprintf("replaced image %q by %q", want.Image, got.Image), got.Image != want.Image)
		// The admission plugin AlwaysPullImages turns IfNotPresent into Always: a pull, and no other pod.
		policy := fmt.Sprintf("made the pull policy %s of %s", got.ImagePullPolicy, want.ImagePullPolicy)
		if got.ImagePullPolicy != want.ImagePullPolicy && got.ImagePullPolicy != "" {
			check(&fatal, policy, want.ImagePullPolicy == corev1.PullNever)
			check(&lost, policy, want.ImagePullPolicy != corev1.PullNever)
		}
	}
	check(&lost, "took hostIPC", asked.Spec.HostIPC && !made.Spec.HostIPC)
	if len(fatal)+len(lost) == 0 {
		return nil
	}
	what := "admission changed the pod: it " + strings.Join(append(slices.Clone(fatal), lost...), ", ")
	f := book.New(PodMutatedByAdmission, what)
	if len(fatal) == 0 {
		f.Severity = finding.Warning
	} else {
		f.Message += "; nothing was run: use -n with a namespace that it leaves alone"
	}
	if got != nil && want != nil && got.Image != want.Image && len(fatal) == 1 {
		f.Next = []finding.Next{{Command: again(o, asked.Spec.NodeName, o.CallNamespace, "--image="+got.Image), Why: "uses the image that admission puts there", Risk: finding.Change}}
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

// failures gives each reason for waiting its code, and its remedy.
var failures = map[string]struct {
	code   finding.Code
	remedy string
}{
	podspec.WaitSilent:      {PodStatusNotReported, "reach the node by its console or the cloud's session manager"},
	podspec.WaitPull:        {ImagePullTimeout, "--no-pull needs no registry; --start-timeout waits longer"},
	podspec.WaitPullFailed:  {ErrImagePull, "--no-pull needs no registry; or choose --image, --pull-secret"},
	podspec.WaitNeverPull:   {ErrImageNeverPull, "choose an image that is on the node with --image"},
	podspec.WaitImageName:   {UnusableImage, "correct --image"},
	podspec.WaitArch:        {UnusableImage, "choose a multi-platform --image"},
	podspec.WaitRuntime:     {ContainerStartError, "choose an --image with sh and nsenter, such as " + DefaultImage},
	podspec.WaitSandbox:     {FailedCreatePodSandBox, "the container runtime needs repair: reach the node by its console"},
	podspec.WaitVolume:      {ContainerStartError, "check the claim of --mount-pvc, or the host's /usr, /lib and /lib64 for --no-pull"},
	podspec.WaitPressure:    {NodePressure, "--critical enters all the same (it may stop a workload)"},
	podspec.WaitFull:        {NodeOutOfResources, "--critical makes room (it stops a workload)"},
	podspec.WaitAffinity:    {PlacementRejected, "use -n with a namespace that has no default node selector"},
	podspec.WaitTaint:       {PlacementRejected, "admission took the tolerations away: use -n with another namespace"},
	podspec.WaitRejected:    {PodRejected, "read the kubelet's reason"},
	podspec.WaitEnded:       {HelperPodEnded, "choose an --image with sh, such as " + DefaultImage},
	podspec.WaitDeleted:     {HelperPodEnded, "look for a policy controller that deletes privileged pods"},
	podspec.WaitOverdue:     {HelperPodEnded, "this machine or the API server is overloaded: try again, or with --no-job"},
	podspec.WaitNew:         {HelperPodStartTimeout, "wait longer with --start-timeout"},
	podspec.WaitUnscheduled: {HelperPodStartTimeout, "wait longer with --start-timeout"},
}

// NotStarted explains a pod that does not start.
func NotStarted(plan report.Plan, w podspec.Wait, o Options) finding.Finding {
	known, ok := failures[w.Code]
	if !ok {
		known.code, known.remedy = HelperPodStartTimeout, "look at the node"
	}
	image := plan.Pod.Spec.Containers[0].Image
	message := fmt.Sprintf("the pod does not start on node %q: %s; %s", plan.Node, w.Text, known.remedy)
	switch known.code {
	case ErrImagePull, ImagePullTimeout, ErrImageNeverPull, UnusableImage:
		message = fmt.Sprintf("node %q cannot use image %q: %s; %s", plan.Node, image, w.Text, known.remedy)
	}
	f := book.New(known.code, message)
	f.Object = &finding.ObjectRef{Kind: "Pod", Namespace: plan.Namespace, Name: plan.Pod.Name}
	f.Evidence = []finding.Evidence{{Source: "Pod", Path: "status", Value: w.Text}}
	switch known.code {
	case ErrImagePull, ImagePullTimeout:
		f.Next = []finding.Next{{Command: again(o, plan.Node, o.CallNamespace, "--no-pull"), Why: "runs an image that is on the node, with the host's own tools", Risk: finding.Read}}
	case NodePressure, NodeOutOfResources:
		f.Next = []finding.Next{{Command: again(o, plan.Node, o.CallNamespace, "--critical"), Why: "enters as a critical pod", Risk: finding.Destructive}}
	}
	return mask.Copy(f)
}
