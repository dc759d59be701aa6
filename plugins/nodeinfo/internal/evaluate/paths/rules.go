package paths

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/backend"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
)

// What breaks between two parts of a cluster and is no node's own.
const (
	WebhookUnavailable       finding.Code = "WebhookUnavailable"
	AggregatedAPIUnavailable finding.Code = "AggregatedAPIUnavailable"
	DNSPodsNotReady          finding.Code = "DNSPodsNotReady"
	NodeMetricsMissing       finding.Code = "NodeMetricsMissing"
)

// The codes of nodes that bear on paths: those of the whole cluster, those after which nothing works on a node, and the others.
var (
	shared   = []finding.Code{machine.APIWritesStopped, machine.LeaderLeaseExpired, machine.APIServerNotReady}
	stopping = slices.Concat(machine.NotReportingCodes, []finding.Code{
		machine.ContainerRuntimeDown, machine.NodeShuttingDown, machine.NetworkPluginNotReady, machine.NetworkUnavailable, machine.NodeNotReady,
	})
	servers      = []finding.Code{machine.LocalAPIServerNotReady, machine.LocalAPIServerNotReporting}
	heartbeat    = slices.Concat(machine.NotReportingCodes, []finding.Code{machine.LeaseNotRenewed, machine.HeartbeatLate})
	certificates = []finding.Code{
		machine.KubeletServingCertificateMissing, machine.KubeletCertificateExpired, machine.KubeletServingCertificateMismatch,
	}
	kubelet = slices.Concat([]finding.Code{machine.KubeletUnreachable}, certificates)
	network = []finding.Code{
		workload.NetworkPluginPodNotReady, machine.NetworkPluginNotReady, machine.NetworkUnavailable, machine.ContainerRuntimeDown,
	}
	borrowed = slices.Concat(shared, servers, stopping, heartbeat, kubelet, network, []finding.Code{
		machine.ControlPlaneComponentNotReady, workload.KubeProxyNotReady, workload.DaemonSetPodMissing, machine.NodeJoining,
	})
)

// onPath says whether a finding of a node bears on a path: of DaemonSets, those of kube-proxy and of network plugins alone were read.
func onPath(f *finding.Finding) bool { return slices.Contains(borrowed, f.Code) }

type rule = finding.Rule[Map]

// own are the rules of paths; those of nodes have their own book, and stand here as what they explain.
var own = []rule{aggregatedAPIUnavailable, webhookUnavailable, dnsPodsNotReady, nodeMetricsMissing}

// book has the codes of nodes that bear on paths, then the others, which stand here where they explain one.
var book = rules.Lend(own, slices.Concat(borrowed, codesOf(rules.Catalog()))...)

func codesOf(list []finding.Entry) []finding.Code {
	var codes []finding.Code
	for _, e := range list {
		codes = append(codes, e.Code)
	}
	return codes
}

// Catalog is the codes that paths alone have, sorted.
func Catalog() []finding.Entry { return finding.NewBook(own...).Catalog() }

func (m *Map) look(why, namespace string, args ...string) finding.Next {
	return finding.Next{Command: m.Kubectl.Command(namespace, args...), Why: why, Risk: finding.Read}
}

// apiLong is how long an aggregated API may be unavailable without a finding: its pod is replaced, and the API server looks
// every 30 s.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go
const apiLong = facts.Terminating

var aggregatedAPIUnavailable = rule{
	Entry: finding.Entry{
		Code: AggregatedAPIUnavailable, Severity: finding.Warning, Title: "Aggregated API is not available",
		Meaning: "The API server cannot reach the Service behind an APIService for a minute or more. Requests to that API fail, clients that " +
			"list all APIs are slow or fail, and deleted namespaces stay in Terminating until it is back.",
		Evidence: "APIService condition Available=False; the Service that the APIService names and the endpoints of that Service.",
		Next:     "Check the pods behind the Service. If what served the API was removed, remove the APIService, too.",
		Source:   "https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/",
	},
	Check: func(m *Map) []finding.Finding {
		var list []finding.Finding
		for _, s := range m.services {
			for _, api := range s.API {
				if m.apiFails(api) {
					list = append(list, m.unavailable(s, api))
				}
			}
		}
		return list
	},
}

func (m *Map) apiFails(api *backend.API) bool {
	return api.Available == "False" && (api.Since == nil || m.now.Sub(api.Since.Time) >= apiLong)
}

func (m *Map) unavailable(s *Service, api *backend.API) finding.Finding {
	evidence := finding.Evidence{
		Source: "APIService " + api.Name, Path: "status.conditions[Available]", Value: "False (" + api.Reason + "): " + api.Message,
	}
	if api.Since != nil {
		evidence.Time = facts.Time(api.Since.Time)
	}
	why := api.Reason
	if s.Unread == "" && s.State.Fails() {
		why = s.trouble()
	}
	return finding.Finding{
		Message: fmt.Sprintf("aggregated API %s is not available: %s; requests to it fail, and deleted namespaces wait for it", api.Name, why),
		Object:  &finding.ObjectRef{Kind: "APIService", Name: api.Name}, Causes: m.causesOf(s),
		Evidence: append([]finding.Evidence{evidence}, s.evidence()...), Next: m.behind(s),
	}
}

// causesOf explains a Service without an endpoint by the nodes of its pods.
func (m *Map) causesOf(s *Service) []finding.Code {
	if s.Unread != "" || s.State != backend.NoneReady {
		return []finding.Code{}
	}
	var nodes []string
	for _, e := range s.Unready {
		nodes = append(nodes, e.Node)
	}
	return m.causes(nodes)
}

func (s *Service) name() string { return s.Namespace + "/" + s.Name }

// trouble is why nothing behind the Service takes a call.
func (s *Service) trouble() string {
	switch s.State {
	case backend.NoService:
		return "Service " + s.name() + " does not exist"
	case backend.NoPort:
		return fmt.Sprintf("Service %s has no port %d", s.name(), s.Port)
	case backend.NoEndpoints:
		return "Service " + s.name() + " has no endpoints"
	}
	if len(s.Unready) == 1 {
		return "the only endpoint of Service " + s.name() + " is not ready"
	}
	return fmt.Sprintf("none of %d endpoints of Service %s is ready", len(s.Unready), s.name())
}

func (s *Service) evidence() []finding.Evidence {
	if s.Unread != "" || !s.State.Fails() {
		return nil
	}
	list := []finding.Evidence{{Source: "Service " + s.name(), Path: "port " + strconv.Itoa(int(s.Port)), Value: string(s.State)}}
	for i, e := range s.Unready {
		if i == 3 {
			more := fmt.Sprintf("%d more are not ready", len(s.Unready)-i)
			return append(list, finding.Evidence{Source: "EndpointSlices of the Service", Value: more})
		}
		list = append(list, finding.Evidence{
			Source: "EndpointSlice", Path: "endpoints[" + cmp.Or(e.Pod, "no pod") + "].conditions.ready",
			Value: "false, on node " + cmp.Or(e.Node, "unknown"),
		})
	}
	return list
}

// behind looks at what should take the calls.
func (m *Map) behind(s *Service) []finding.Next {
	if s.Unread == "" && s.State == backend.NoService {
		return []finding.Next{m.look("List what is left in the namespace of the Service", s.Namespace, "get", "deployments,services,pods")}
	}
	list := []finding.Next{m.look("Check which pods the Service selects", s.Namespace, "describe", "service", s.Name)}
	at := slices.IndexFunc(s.Unready, func(e backend.Endpoint) bool { return e.Pod != "" })
	if at >= 0 {
		return append(list, m.look("Check why the pod is not ready", s.Namespace, "describe", "pod", s.Unready[at].Pod))
	}
	return append(list,
		m.look("List the workloads that should run the pods", s.Namespace, "get", "deployments,daemonsets,statefulsets", "-o", "wide"))
}

var webhookUnavailable = rule{
	Entry: finding.Entry{
		Code: WebhookUnavailable, Severity: finding.Critical, Title: "Admission webhook cannot be called",
		Meaning: "A webhook names a Service that does not exist or has no endpoint that takes calls, or controllers report that calls of it " +
			"fail. With failurePolicy Fail the API server rejects every request that the webhook is called for; with Ignore (a warning) such " +
			"requests pass unchecked, after a timeout.",
		Evidence: "Webhook configuration, the Service that it names, the endpoints of that Service; events with reason FailedCreate.",
		Next:     "Check the pods behind the Service. If what served the webhook was removed, remove its configuration, too.",
		Source:   "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy",
	},
	Check: func(m *Map) []finding.Finding {
		var list []finding.Finding
		for _, s := range m.services {
			if s.Unread != "" || !s.State.Fails() {
				if failing := m.failing(s); len(failing) > 0 {
					list = append(list, m.callsFail(s, failing))
				}
				continue
			}
			called := slices.DeleteFunc(slices.Clone(s.Webhooks), func(w *backend.Webhook) bool { return len(w.Rules) == 0 })
			sorting.Stable(called, func(a, b *backend.Webhook) int { return order(a.Ignored, b.Ignored) })
			if len(called) > 0 {
				list = append(list, m.uncallable(s, called))
			}
		}
		return list
	},
}

// order puts what is false first.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// whose names the first of webhooks and counts the others.
func whose(called []*backend.Webhook) string {
	text := "webhook " + called[0].Name
	if len(called) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(called)-1)
	}
	return text
}

// ofWebhooks is a finding of webhooks, with what each is called for.
func (m *Map) ofWebhooks(called []*backend.Webhook) finding.Finding {
	f := finding.Finding{Object: &finding.ObjectRef{Kind: called[0].Kind, Name: called[0].Configuration}, Causes: []finding.Code{}}
	for i, w := range called {
		if i > 0 {
			f.Covers = append(f.Covers, finding.ObjectRef{Kind: w.Kind, Name: w.Configuration})
		}
		if i < 5 {
			f.Evidence = append(f.Evidence, finding.Evidence{
				Source: w.Kind + " " + w.Configuration, Path: fmt.Sprintf("webhooks[%d]", w.Index), Value: scope(w),
			})
		}
	}
	return f
}

func (m *Map) uncallable(s *Service, called []*backend.Webhook) finding.Finding {
	first := called[0]
	f := m.ofWebhooks(called)
	f.Message = fmt.Sprintf("%s cannot be called: %s; %s", whose(called), s.trouble(), effect(first))
	f.Causes, f.Next, f.Evidence = m.causesOf(s), m.behind(s), append(f.Evidence, s.evidence()...)
	if first.Ignored {
		f.Severity = finding.Warning
		return f
	}
	f.Next = append(f.Next, m.letPass(first, called))
	return f
}

// letPass lets pass what the webhooks of the first one's configuration reject. The names are tested: the configuration may have been
// written anew since it was read.
func (m *Map) letPass(first *backend.Webhook, called []*backend.Webhook) finding.Next {
	var patch []string
	for _, w := range called {
		if w.Kind == first.Kind && w.Configuration == first.Configuration && !w.Ignored {
			patch = append(patch, fmt.Sprintf(`{"op":"test","path":"/webhooks/%[1]d/name","value":%[2]q},`+
				`{"op":"replace","path":"/webhooks/%[1]d/failurePolicy","value":"Ignore"}`, w.Index, w.Name))
		}
	}
	return finding.Next{
		Command: m.Kubectl.Command("", "patch", strings.ToLower(first.Kind), first.Configuration, "--type=json", "-p",
			"["+strings.Join(patch, ",")+"]"),
		Why: "Let the requests pass until the webhook is back", Risk: finding.Change,
		Answers: []string{"patched: what the webhook checks or sets is not checked or set; set failurePolicy to Fail again afterwards"},
	}
}

// unreadyLong is how long pods may be not ready without a finding: they start.
const unreadyLong = facts.Starting

var dnsPodsNotReady = rule{
	Entry: finding.Entry{
		Code: DNSPodsNotReady, Severity: finding.Critical, Title: "No DNS pod is ready",
		Meaning: "No pod of the cluster DNS is ready: Service names do not resolve in any pod. The pods of CoreDNS become ready when they have " +
			"read Services and endpoints from the API server.",
		Evidence: "Status of the pods with label k8s-app=kube-dns in kube-system.",
		Next:     "Read the logs of the pods; kubectl dns also queries each of them.",
	},
	Check: func(m *Map) []finding.Finding {
		pods := m.pods("k8s-app", "kube-dns")
		var nodes []string
		f := finding.Finding{Next: []finding.Next{
			m.look("Read the logs of the DNS pods", "kube-system", "logs", "-l", "k8s-app=kube-dns", "--tail=20"),
			m.look("Check the containers, conditions and events of the DNS pods", "kube-system", "describe", "pods", "-l", "k8s-app=kube-dns"),
		}}
		for _, p := range pods {
			if podfact.Ready(p) || m.now.Sub(p.CreationTimestamp.Time) < unreadyLong {
				return nil
			}
			nodes = append(nodes, p.Spec.NodeName)
			ref := finding.ObjectRef{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
			if f.Covers = append(f.Covers, ref); f.Object == nil {
				f.Object = &ref
			}
			f.Evidence = append(f.Evidence, finding.Evidence{
				Source: "Pod " + p.Namespace + "/" + p.Name, Path: "status.conditions[Ready]",
				Value: readiness(p) + ", on node " + cmp.Or(p.Spec.NodeName, "none"),
			})
		}
		if len(pods) == 0 {
			return nil
		}
		f.Message = fmt.Sprintf("0 of %s ready: Service names do not resolve", output.Plural(len(pods), "DNS pod is", "DNS pods are"))
		f.Causes = m.causes(nodes)
		return []finding.Finding{f}
	},
}

// readiness is condition Ready as it is posted.
func readiness(p *corev1.Pod) string {
	if c := podfact.ReadyCondition(p); c != nil {
		return string(c.Status)
	}
	return "absent, phase " + string(p.Status.Phase)
}

var nodeMetricsMissing = rule{
	Entry: finding.Entry{
		Code: NodeMetricsMissing, Severity: finding.Warning, Title: "Node metrics are missing",
		Meaning: "The metrics API works, but has had no figures of a node for three minutes: metrics-server cannot reach that kubelet, or " +
			"rejects its certificate. kubectl top and HorizontalPodAutoscalers lack the pods of the node.",
		Evidence: "Age of the sample in nodes.metrics.k8s.io.",
		Next:     "Read the log of metrics-server, and query the kubelet.",
	},
	Check: func(m *Map) []finding.Finding {
		var all, unexplained []string
		causes := []finding.Code{}
		for _, n := range m.shown {
			if !n.Unsampled {
				continue
			}
			all = append(all, n.Object.Name)
			found := n.stopped()
			for _, f := range n.roots {
				if slices.Contains(kubelet, f.Code) {
					found = append(found, f.Code)
				}
			}
			if len(found) == 0 {
				unexplained = append(unexplained, n.Object.Name)
			}
			causes = append(causes, found...)
		}
		if len(unexplained) > 0 {
			all, causes = unexplained, []finding.Code{}
		}
		if len(all) == 0 {
			return nil
		}
		return []finding.Finding{{
			Message: fmt.Sprintf("metrics-server has no current figures of %s: %s", output.Plural(len(all), "node"), named(all)),
			Object:  &finding.ObjectRef{Kind: "Node", Name: all[0]}, Causes: causes,
			Evidence: []finding.Evidence{{Source: "nodes.metrics.k8s.io", Value: "no sample within the last 3m of " + named(all)}},
			Next: []finding.Next{
				m.look("Read the log of metrics-server", "kube-system", "logs", "-l", "k8s-app=metrics-server", "--tail=20"),
				m.look("Query the kubelet through the API server (needs get nodes/proxy)", "", "nodeinfo", "--paths", all[0], "--kubelet"),
			},
		}}
	},
}
