package evaluate

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// refused is what an API server's refusal to create something means.
type refused struct {
	code        finding.Code
	what, heals string
	class       report.Class
	next        []finding.Next
	quota       string
}

// refusal reads a refusal. Every unknown text is passed on as it stands.
func (e *evaluator) refusal(text string, w *workload) refused {
	text = oneLine(text)
	a := admission.Parse(text)
	r := e.refusalByQuota(&a, w)
	if r.code == "" {
		r = e.refusalByPolicy(&a, w)
	}
	if r.code == "" {
		r = e.refusalByReference(&a, w)
	}
	if r.code == "" {
		r = e.refusalByState(&a, text, w)
	}
	if r.code == "" {
		r = refused{code: PodCreateRefused, class: report.Likely, heals: "maybe", what: afterPrefix(text)}
	}
	if len(r.next) == 0 {
		r.next = []finding.Next{e.next(w, finding.Read, "the refusals in full", "describe", w.slash())}
	}
	return r
}

// afterPrefix drops what the controllers put before the server's words.
func afterPrefix(text string) string {
	text = strings.TrimPrefix(text, "Error creating: ")
	if _, after, ok := strings.Cut(text, " failed error: "); ok {
		return after
	}
	return text
}

func (e *evaluator) refusalByQuota(a *admission.Refusal, w *workload) refused {
	switch a.Kind {
	case admission.QuotaExceeded:
		return refused{
			code: QuotaExceeded, class: report.Likely, heals: "maybe", quota: a.Name,
			what: fmt.Sprintf("quota %q is used up: requested %s, used %s, limited to %s", a.Name, a.Quota.Requested, a.Quota.Used, a.Quota.Limited),
			next: []finding.Next{e.next(w, finding.Read, "who may use how much", "describe", "quota", a.Name)},
		}
	case admission.QuotaUnspecified:
		return refused{
			code: QuotaMustSpecify, class: report.Fatal, heals: "no",
			what: fmt.Sprintf("quota %q demands that every pod says %s", a.Name, strings.TrimPrefix(a.Reason, "must specify ")),
			next: []finding.Next{
				e.next(w, finding.Read, "what the quota counts; then set it in the template, or a default by a LimitRange", "describe", "quota", a.Name),
			},
		}
	case admission.LimitRange:
		return refused{
			code: LimitRangeViolated, class: report.Fatal, heals: "no", what: "a LimitRange forbids it: " + a.Reason,
			next: []finding.Next{e.next(w, finding.Read, "the limits of the namespace; then change the template's resources", "describe", "limitrange")},
		}
	}
	return refused{}
}

func (e *evaluator) refusalByPolicy(a *admission.Refusal, w *workload) refused {
	switch a.Kind {
	case admission.PodSecurity:
		return refused{
			code: PodSecurityViolated, class: report.Fatal, heals: "no",
			what: fmt.Sprintf("the namespace enforces Pod Security %q: %s", a.Name, a.Reason),
			next: []finding.Next{
				e.cluster(finding.Read, "the level that the namespace enforces; then change the template's securityContext", "get", "namespace", w.meta.Namespace, "--show-labels"),
			},
		}
	case admission.ValidatingPolicy, admission.MutatingPolicy:
		kind, binding := "validatingadmissionpolicy", ""
		if a.Kind == admission.MutatingPolicy {
			kind = "mutatingadmissionpolicy"
		}
		if a.Binding != "" {
			binding = fmt.Sprintf(" (binding %q)", a.Binding)
		}
		return refused{
			code: AdmissionPolicyDenied, class: report.Fatal, heals: "no",
			what: fmt.Sprintf("admission policy %q%s denies it: %s", a.Name, binding, a.Reason),
			next: []finding.Next{e.cluster(finding.Read, "the policy's rules", "get", kind, a.Name, "-o", "yaml")},
		}
	case admission.WebhookDenied:
		return refused{
			code: WebhookDenied, class: report.Likely, heals: "no",
			what: fmt.Sprintf("admission webhook %q denies it: %s", a.Name, cmp.Or(a.Reason, "it gave no reason")),
			next: []finding.Next{e.webhooks("which webhook that is and what it looks at")},
		}
	case admission.WebhookFailed:
		return refused{
			code: WebhookUnreachable, class: report.Transient, heals: "maybe",
			what: fmt.Sprintf("admission webhook %q cannot be called: %s", a.Name, cmp.Or(a.Reason, "the API server says no more")),
			next: e.webhookService(a.Reason),
		}
	case admission.NotPermitted:
		may := a.Permission
		return refused{
			code: PodCreateRefused, class: report.Likely, heals: "no",
			what: fmt.Sprintf("the controller itself lacks a permission: %s cannot %s %s", may.User, may.Verb, cmp.Or(may.Resource, may.Path)),
			next: []finding.Next{e.cluster(finding.Read, "what it may do", "auth", "can-i", "--list", "--as="+may.User)},
		}
	}
	return refused{}
}

// webhookTarget is the URL of a webhook that names a Service.
var webhookTarget = regexp.MustCompile(`https://([a-z0-9-]+)\.([a-z0-9-]+)\.svc[:/]`)

// webhookService leads to what should answer the call: the Service's endpoints where the URL names a Service.
func (e *evaluator) webhookService(text string) []finding.Next {
	all := e.webhooks("the Service or URL that it calls, and its failurePolicy")
	m := webhookTarget.FindStringSubmatch(text)
	if m == nil {
		return []finding.Next{all}
	}
	return []finding.Next{{
		Command: e.kubectl.Command(m[2], "get", "endpointslices", "-l", "kubernetes.io/service-name="+m[1]),
		Why:     fmt.Sprintf("is there a pod behind the webhook's Service %s/%s", m[2], m[1]), Risk: finding.Read,
	}, all}
}

func (e *evaluator) webhooks(why string) finding.Next {
	return e.cluster(finding.Read, why, "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o", "custom-columns=KIND:.kind,NAME:.metadata.name,HOOKS:.webhooks[*].name,SERVICE:.webhooks[*].clientConfig.service.name,URL:.webhooks[*].clientConfig.url,POLICY:.webhooks[*].failurePolicy")
}

func (e *evaluator) refusalByReference(a *admission.Refusal, w *workload) refused {
	switch a.Kind {
	case admission.ServiceAccountMissing:
		return refused{
			code: ServiceAccountMissing, class: report.Likely, heals: "no", what: fmt.Sprintf("ServiceAccount %q does not exist", a.Name),
			next: []finding.Next{
				e.next(w, finding.Read, "the ServiceAccounts that exist", "get", "serviceaccounts"),
				e.next(w, finding.Change, "create it, if the name is right", "create", "serviceaccount", a.Name),
			},
		}
	case admission.PriorityClassMissing:
		return refused{
			code: PriorityClassMissing, class: report.Likely, heals: "maybe", what: fmt.Sprintf("PriorityClass %q does not exist", a.Name),
			next: []finding.Next{e.cluster(finding.Read, "the PriorityClasses that exist", "get", "priorityclasses")},
		}
	case admission.RuntimeClassMissing:
		return refused{
			code: RuntimeClassMissing, class: report.Likely, heals: "no", what: fmt.Sprintf("RuntimeClass %q does not exist", a.Name),
			next: []finding.Next{e.cluster(finding.Read, "the RuntimeClasses that exist", "get", "runtimeclasses")},
		}
	}
	return refused{}
}

// claimEnds is the StatefulSet controller's own word, without asking the API server.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/statefulset/stateful_pod_control.go (createPersistentVolumeClaims)
var claimEnds = regexp.MustCompile(`\bpvc \S+ is being deleted`)

// refusalByState is for what is there already, or is about to go.
func (e *evaluator) refusalByState(a *admission.Refusal, text string, w *workload) refused {
	switch {
	case a.Kind == admission.NamespaceTerminating:
		e.namespaceTerminating(w)
		return refused{code: NamespaceTerminating, class: report.Fatal, heals: "no", what: "the namespace is being deleted"}
	case a.Kind == admission.StillDeleting && a.Resource == "persistentvolumeclaims", a.Kind == admission.Unknown && claimEnds.MatchString(text):
		return refused{
			code: ClaimDeleting, class: report.Likely, heals: "maybe", what: "its volume claim is being deleted and not gone yet: " + afterPrefix(text),
			next: []finding.Next{e.next(w, finding.Read, "which claim ends, and which finalizer holds it", "get", "pvc", "-o", "custom-columns=NAME:.metadata.name,DELETED:.metadata.deletionTimestamp,FINALIZERS:.metadata.finalizers")},
		}
	case a.Kind == admission.Invalid:
		return refused{code: PodInvalid, class: report.Fatal, heals: "no", what: "the API server finds the template's pod invalid: " + a.Reason}
	case a.Kind == admission.Exists, a.Kind == admission.StillDeleting:
		return refused{code: NameConflict, class: report.Likely, heals: "no", what: "an object of that name exists and is not this workload's: " + afterPrefix(text)}
	}
	return refused{}
}

// missingPods explains pods that the controller wants and that do not exist. The newest event counts: the ReplicaFailure
// condition keeps the text of the first refusal for ever.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/controller/replicaset/replica_set_utils.go (calculateStatus)
func (e *evaluator) missingPods(w *workload) {
	if w.missing <= 0 || !e.in.Sources.Get(SourcePods).Readable() {
		return
	}
	owner, events := w.kind+" "+w.meta.Name, e.eventsOf(w.meta)
	if w.missingOf != w.meta.UID && w.target != nil {
		owner, events = "ReplicaSet "+w.target.name, e.eventsOfUID(w.meta.Namespace, string(w.missingOf))
	}
	ev := e.currentRefusal(w, events)
	var (
		text, path string
		at         time.Time
		attempts   int32
	)
	confidence := "high"
	switch c := failureCondition(w); {
	case ev != nil:
		text, at, path, attempts = ev.Message, ev.Last, ev.Reason, ev.Count
	case c != nil:
		text, at, path, confidence = c.text, c.at, "status.conditions[ReplicaFailure]", "medium"
	default:
		e.missingWithoutTrace(w, owner)
		return
	}
	r := e.refusal(text, w)
	if r.code == NamespaceTerminating && w.has(NamespaceTerminating) {
		return
	}
	f := e.finding(r.code, r.class, finding.Critical, "%s cannot create %s: %s", owner, plural(int(w.missing), "pod", "pods"), r.what)
	f.Heals, f.Confidence, f.Attempts, f.Next = r.heals, confidence, attempts, r.next
	f.FirstSeen = timePtr(at)
	if ev != nil {
		f.FirstSeen = timePtr(ev.First)
	}
	f.Evidence = []finding.Evidence{evidence(owner, path, text, at)}
	if r.code == QuotaExceeded {
		e.quotaOutlook(w, &f, text, r.quota)
	}
	w.add(f)
}

// currentRefusal is the newest refusal that no later success has answered.
func (e *evaluator) currentRefusal(w *workload, events []eventfact.Event) *eventfact.Event {
	for i := range events {
		ev := &events[i]
		if ev.Reason != "FailedCreate" || ev.Last.Before(w.meta.CreationTimestamp.Time) {
			continue
		}
		if named := podRefused.FindStringSubmatch(ev.Message); named != nil {
			if !slices.ContainsFunc(w.pods, func(p *pod) bool { return p.Name == named[1] && p.CreationTimestamp.After(ev.Last) }) {
				return ev
			}
			continue // of another pod an older one may still stand
		}
		if w.answered(ev) {
			return nil
		}
		return ev
	}
	return nil
}

// podRefused is a StatefulSet's refusal, which names its pod.
var podRefused = regexp.MustCompile(`(?i)^create Pod (\S+) in StatefulSet `)

// answered says whether a pod has been created since a refusal. Under a quota that is usual and no answer; nor is it one
// while the ReplicaSet itself says that its last attempt failed.
func (w *workload) answered(ev *eventfact.Event) bool {
	if admission.Parse(ev.Message).Kind == admission.QuotaExceeded || failureCondition(w) != nil {
		return false
	}
	return slices.ContainsFunc(w.pods, func(p *pod) bool {
		return (p.isNew || w.missingOf == w.meta.UID) && p.CreationTimestamp.After(ev.Last)
	})
}

type conditionText struct {
	text string
	at   time.Time
}

func failureCondition(w *workload) *conditionText {
	if w.target == nil || w.target.rs == nil {
		return nil
	}
	for _, c := range w.target.rs.Status.Conditions {
		if c.Type == "ReplicaFailure" && c.Status == corev1.ConditionTrue && c.Reason == "FailedCreate" {
			return &conditionText{c.Message, c.LastTransitionTime.Time}
		}
	}
	return nil
}

// missingWithoutTrace: a count that does not grow and no event. Young, it is only the controller's own delay.
func (e *evaluator) missingWithoutTrace(w *workload, owner string) {
	since := e.now.Sub(w.started)
	if since < 10*time.Second || len(selectPods(w.pods, func(p *pod) bool { return e.now.Sub(p.CreationTimestamp.Time) < 10*time.Second })) > 0 {
		w.moving = "pods are being created"
		return
	}
	if e.namespaceTerminating(w) {
		return
	}
	f := e.finding(PodsMissing, report.Transient, finding.Critical, "%s has not created %s that it wants, and %s", owner, plural(int(w.missing), "pod", "pods"), e.silence("left no event that says why"))
	f.Heals, f.Confidence, f.FirstSeen = "maybe", "low", timePtr(w.started)
	f.Evidence = []finding.Evidence{evidence(owner, "spec.replicas", fmt.Sprintf("%d pods missing; %s", w.missing, e.silence("no FailedCreate event within the hour that events live")), time.Time{})}
	if text, lease := e.controllerLease("kube-controller-manager"); text != "" {
		f.Message, f.Confidence = fmt.Sprintf("%s has not created %s: %s", owner, plural(int(w.missing), "pod", "pods"), text), "high"
		f.Evidence = append(f.Evidence, lease)
	}
	f.Next = []finding.Next{
		{Command: e.kubectl.Command("kube-system", "get", "lease", "kube-controller-manager", "-o", "jsonpath={.spec.renewTime}"), Why: "is the controller-manager alive", Risk: finding.Read},
		e.next(w, finding.Read, "the object's own events", "describe", w.slash()),
	}
	w.add(f)
}

// quotaOutlook says whether the rollout itself can free what the quota lacks.
func (e *evaluator) quotaOutlook(w *workload, f *report.Finding, text, name string) {
	b := w.rep.Budget
	ending := len(selectPods(w.pods, func(p *pod) bool { return p.terminating }))
	switch {
	case e.quotaHasRoom(w, text, name):
		f.Class, f.Heals = report.Transient, "yes"
		f.Message += "; it has room again by now, and the controller will retry, at worst after 16 minutes"
		f.Next = append(f.Next, e.nudge(w)...)
	case ending > 0:
		f.Class = report.Transient
		f.Message += fmt.Sprintf("; %s ending and will free some", plural(ending, "pod is", "pods are"))
	case b != nil && b.MayRemove != nil && *b.MayRemove > 0:
		f.Class = report.Transient
		f.Message += "; old pods may still go and free some"
	case b != nil && b.Floor != nil && b.Surge != nil && len(live(w.oldPods())) > 0:
		f.Heals = "no"
		f.Message += fmt.Sprintf("; the rollout cannot free it: %d available is the floor", *b.Floor)
		if b.Surge.Pods > 0 {
			f.Next = append(f.Next, e.next(w, finding.Change, "replace pods in place instead of surging: one old pod goes first, and makes room",
				"patch", w.slash(), "-p", `{"spec":{"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}}}`))
			f.Next = append(f.Next, e.nudge(w)...)
		}
	}
}

// nudge makes the ReplicaSet try again now: its back-off doubles from 5 ms up to 1000 s, and any change of it asks anew.
func (e *evaluator) nudge(w *workload) []finding.Next {
	if w.target == nil || w.target.rs == nil {
		return nil
	}
	return []finding.Next{e.next(w, finding.Change, "once there is room, make it retry now instead of after its back-off",
		"annotate", "replicaset", w.target.name, "kubectl-runbooks.github.io/retry="+fmt.Sprint(e.now.Unix()), "--overwrite")}
}

// quotaHasRoom compares the refused request with the quota as it is now.
func (e *evaluator) quotaHasRoom(w *workload, text, name string) bool {
	asked, ok := admission.Amounts(admission.Parse(text).Quota.Requested)
	if !ok || !e.need(Need{Kind: NeedQuotas, Namespace: w.meta.Namespace}) {
		return false
	}
	for i := range e.in.Quotas {
		q := &e.in.Quotas[i]
		if q.Name != name || q.Namespace != w.meta.Namespace {
			continue
		}
		for resourceName, amount := range asked {
			hard, known := q.Status.Hard[resourceName]
			used := q.Status.Used[resourceName]
			used.Add(amount)
			if !known || used.Cmp(hard) > 0 {
				return false
			}
		}
		return true
	}
	return false
}
