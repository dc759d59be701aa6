package evaluate

import (
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// rule says which findings of one workflow explain which of another. What both must have in common stands in the findings: the
// node, the pods, the Lease, the cluster DNS (finding.Relation).
type rule struct {
	name    string
	of      report.Workflow // whose findings are explained
	effects []finding.Code  // nil: each
	by      report.Workflow
	causes  []finding.Code // nil: each that says why a pod is as it is; nearest first
	// when is what the finding itself must say; nil: the code is enough.
	when func(i *item, c *context) bool
	// itself says that the finding states its cause, so that it need not have begun after it: "node w1 is not ready".
	itself bool
}

// context is what rules know of the whole cluster.
type context struct {
	zone       string
	namespaces map[string]bool
}

// The codes of a node on which nothing can be started, ended or reported.
var nodeDown = []finding.Code{
	"KubeletNotReporting", "ReadyConditionStale", "ContainerRuntimeDown", "NetworkPluginNotReady", "NetworkUnavailable",
	"KubeletNeverReported",
	"KubeletCertificateExpired", "NodeShuttingDown", "NodeNotReady", "NodeJoining", "NodeDeleted",
}

// onNode are the findings about pods that say that their node does not work.
var onNode = []finding.Code{"NodeNotReady", "TerminatingOnNotReadyNode", "UntoleratedTaint"}

// noAnswer are the findings after which pods get no answer from the cluster DNS, or an error.
var noAnswer = []finding.Code{
	"DNSScaledToZero", "DNSServiceNotFound", "DNSServicePortMissing", "DNSServiceTargetPortMismatch", "DNSServiceWithoutDNSPods",
	"CorefileInvalid", "ForwardingLoop", "ForwardsToItself", "DNSServerForbidden", "ProbePluginMissing", "DNSPodsNotReady",
	"NetworkPolicyBlocksDNS", "KubeletClusterDNSMismatch", "NodeLocalDNSCacheMissing", "ClusterNamesFailing", "ReplicaNotAnswering",
}

// wrongAnswer are the findings after which pods are told that names of the cluster do not exist.
var wrongAnswer = []finding.Code{
	"ZoneNotServed", "HostsWithoutFallthrough", "TemplateOverridesCluster", "AnswersOverridden", "ClusterNamesFailing", "DNSServerForbidden",
	"KubeletClusterDNSMismatch", "NamespacesFiltered", "ReplicaStale", "ReplicaWrongAnswer",
}

// crashes are the findings about a container whose log is read.
var crashes = []finding.Code{
	"ContainerCrashing", "InitContainerFailing", "ContainerCompleted", "StartupProbeFailed", "LivenessProbeFailed", "JobFailed",
}

// vague are findings of a rollout that say that pods are not well, and not why.
var vague = []finding.Code{
	"ReadinessProbeFailing", "DegradedAfterCompletion", "NoCauseFound", "UnexplainedEvidence", "PodReadinessFlapping",
}

// dnsPods are findings about the DNS pods themselves.
var dnsPods = []finding.Code{
	"CorefileInvalid", "ForwardingLoop", "DNSServerForbidden", "ProbePluginMissing", "DNSPodsNotReady", "ReplicaNotReady",
}

// rules are all joins.
var rules = []rule{
	{
		name: "a node that does not work explains pods that say so", of: report.Rollouts, effects: onNode, by: report.Nodes,
		causes: nodeDown, itself: true,
	},
	{
		name: "a node that does not work explains pods on it that do not start or end", of: report.Rollouts, by: report.Nodes,
		causes: nodeDown, effects: []finding.Code{"PodStuckTerminating", "PodStatusNotReported", "FailedCreatePodSandBox"},
	},
	{
		name: "a node without disk space explains pods evicted for that and images that find no room", of: report.Rollouts,
		effects: []finding.Code{"Evicted", "NoDiskSpaceForImage"}, by: report.Nodes, causes: []finding.Code{"DiskPressure"},
		when: func(i *item, _ *context) bool {
			return i.Code == "NoDiskSpaceForImage" || evictedFor(i, "ephemeral-storage", "inodes", "nodefs", "imagefs")
		},
	},
	{
		name: "a node without memory explains pods evicted for that", of: report.Rollouts, effects: []finding.Code{"Evicted"},
		by: report.Nodes, causes: []finding.Code{"MemoryPressure"},
		when: func(i *item, _ *context) bool { return evictedFor(i, "memory") },
	},
	{
		name: "a node without process IDs explains pods evicted for that", of: report.Rollouts, effects: []finding.Code{"Evicted"},
		by: report.Nodes, causes: []finding.Code{"PIDPressure"},
		when: func(i *item, _ *context) bool { return evictedFor(i, "pids") },
	},
	{
		name: "a node that does not work explains DNS pods on it", of: report.DNS, by: report.Nodes, causes: nodeDown,
		effects: []finding.Code{"ReplicaNotReady", "ReplicaNotAnswering", "DNSPodsNotReady"},
	},
	{
		name: "a node that does not work explains a DNS pod that could not be queried", of: report.DNS,
		effects: []finding.Code{"ReplicaPortForwardFailed"}, by: report.Nodes,
		causes: append(slices.Clone(nodeDown), "HeartbeatLate", "KubeletUnreachable"), itself: true,
	},
	{
		name: "a control plane component that does not act explains what waits for it", of: report.Rollouts, by: report.Nodes,
		effects: []finding.Code{"SpecUpdateNotObserved", "PodsNotCreated", "SchedulerNotActing", "ReplicaSetCreateError"},
		causes:  append([]finding.Code{"LeaderLeaseExpired", "ControlPlaneComponentNotReady", "APIWritesStopped"}, nodeDown...), itself: true,
	},
	{
		name: "a DNS that does not answer explains crashes whose log says so", of: report.Rollouts, effects: crashes, by: report.DNS,
		causes: noAnswer, when: func(i *item, _ *context) bool { return i.lookup.Unanswered || i.lookup.Unclear },
	},
	{
		name: "a DNS that answers wrong explains crashes whose log says that a name does not exist", of: report.Rollouts, effects: crashes,
		by: report.DNS, causes: wrongAnswer,
		when: func(i *item, c *context) bool {
			return (i.lookup.NotFound || i.lookup.Unclear) && !i.lookup.Outside(c.zone, c.namespaces)
		},
	},
	{
		name: "an upstream that fails explains crashes whose log names hosts outside the cluster", of: report.Rollouts, effects: crashes,
		by: report.DNS, causes: []finding.Code{"UpstreamFailing"},
		when: func(i *item, c *context) bool {
			return (i.lookup.Unanswered || i.lookup.Unclear) && i.lookup.Outside(c.zone, c.namespaces)
		},
	},
	{
		name: "a configuration that DNS pods do not start with explains their rollout", of: report.Rollouts, by: report.DNS,
		effects: crashes, causes: dnsPods[:4],
	},
	{
		name: "what is wrong with DNS pods explains a rollout that only says that they are not ready", of: report.Rollouts, by: report.DNS,
		effects: vague, causes: dnsPods,
	},
	{
		name: "what keeps DNS pods from running explains DNS", of: report.DNS, by: report.Rollouts,
		effects: []finding.Code{"ReplicaNotReady", "DNSPodsNotReady", "ReplicaRestarted"},
	},
	{
		name: "what keeps the pods of a rollout from running explains what their nodes say of them", of: report.Nodes, by: report.Rollouts,
		effects: podsOfNode,
	},
	{
		name: "what is wrong with DNS pods explains what their nodes say of them", of: report.Nodes, by: report.DNS,
		effects: podsOfNode, causes: dnsPods,
	},
}

// podsOfNode are the findings of nodeinfo about pods.
var podsOfNode = []finding.Code{
	"PodCrashLooping", "PodNotStarting", "PodStuckTerminating", "DaemonSetPodMissing", "KubeProxyNotReady", "NetworkPluginPodNotReady",
	"CSIDriverPodNotReady",
}

// evictedFor says whether the kubelet evicted a pod because the node was low on a resource, not for what the pod was allowed.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/eviction/helpers.go (nodeLowMessageFmt)
func evictedFor(i *item, resources ...string) bool {
	return slices.ContainsFunc(i.Evidence, func(e finding.Evidence) bool {
		_, rest, low := strings.Cut(e.Value, "The node was low on resource: ")
		return low && slices.ContainsFunc(resources, func(r string) bool { return strings.HasPrefix(rest, r) })
	})
}

// gravity is 0 for the worst.
func (i *item) gravity() int {
	return slices.Index([]finding.Severity{finding.Critical, finding.Warning, finding.Info}, i.Severity)
}

// explains says whether a rule is about a finding.
func (r *rule) explains(i *item, c *context) bool {
	return r.of == i.workflow && (r.effects == nil || slices.Contains(r.effects, i.Code)) && (r.when == nil || r.when(i, c))
}

// relations are the findings in the shape in which pkg/finding finds their causes.
func relations(items []*item, c *context) []finding.Relation {
	codes := map[report.Workflow][]finding.Code{}
	for _, i := range items {
		if !slices.Contains(codes[i.workflow], i.Code) {
			codes[i.workflow] = append(codes[i.workflow], i.Code)
		}
	}
	list := make([]finding.Relation, 0, len(items))
	for _, i := range items {
		r := finding.Relation{
			Code: i.name(), Began: i.Began, At: i.at, About: i.about, Depth: order(i.workflow), Rank: i.gravity(),
		}
		for k := range rules {
			if !rules[k].explains(i, c) {
				continue
			}
			if rules[k].itself {
				r.Began = time.Time{}
			}
			causes := rules[k].causes
			if causes == nil {
				causes = slices.DeleteFunc(slices.Clone(codes[rules[k].by]), func(c finding.Code) bool { return slices.Contains(vague, c) })
			}
			for _, code := range causes {
				r.Causes = append(r.Causes, named(rules[k].by, code))
			}
		}
		list = append(list, r)
	}
	return list
}
