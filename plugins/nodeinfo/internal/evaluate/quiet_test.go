package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/autoscaler"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// worst gives the verdict of the worst node and the findings of all.
func worst(list report.List) (string, []finding.Finding) {
	var all []finding.Finding
	for _, n := range list.Items {
		all = append(all, n.Findings...)
	}
	return string(list.Items[0].Verdict), all
}

// odd judges the healthy cluster of two nodes, w1 and w2, after a change. Its first pod is shop/web on w1, its third is
// kube-proxy there.
func odd(change func(in *Input)) func(testing.TB) (string, []finding.Finding) {
	return func(t testing.TB) (string, []finding.Finding) {
		in := load(t, "healthy")
		daemonSet(&in, "kube-proxy", corev1.Toleration{Operator: corev1.TolerationOpExists})
		change(&in)
		return worst(judge(in))
	}
}

// recorded judges a fixture as it is.
func recorded(fixture string) func(testing.TB) (string, []finding.Finding) {
	return func(t testing.TB) (string, []finding.Finding) { return worst(judge(load(t, fixture))) }
}

// before is a moment so long before the input was read.
func before(in *Input, d time.Duration) metav1.Time { return metav1.NewTime(in.Now.Add(-d)) }

func daemonSet(in *Input, name string, tolerations ...corev1.Toleration) {
	d := appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: name, UID: types.UID("ds-" + name), Generation: 1, CreationTimestamp: before(in, 480*time.Hour)},
		Spec:       appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Tolerations: tolerations}}},
		Status:     appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 2, CurrentNumberScheduled: 2, NumberReady: 2, NumberAvailable: 2},
	}
	in.DaemonSets = append(in.DaemonSets, d)
}

// nodeEvent adds an event about w1.
func nodeEvent(in *Input, kind, reason, from, message string, age time.Duration) {
	at := before(in, age)
	in.Events = append(in.Events, corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("w1.%d", len(in.Events)), CreationTimestamp: at},
		InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: "w1", UID: "w1"}, Type: kind, Reason: reason, Message: message, Count: 1,
		Source: corev1.EventSource{Component: from, Host: "w1"}, FirstTimestamp: at, LastTimestamp: at,
	})
}

// readySince dates the Ready condition of w1.
func readySince(in *Input, age time.Duration) {
	for i := range in.Nodes[0].Status.Conditions {
		if c := &in.Nodes[0].Status.Conditions[i]; c.Type == corev1.NodeReady {
			c.LastTransitionTime = before(in, age)
		}
	}
}

// add puts pods of a workload on w1, made by a change of shop/web.
func add(in *Input, count int, name, kind string, change func(p *corev1.Pod)) {
	for i := range count {
		p := in.Pods[0].DeepCopy()
		p.Name, p.UID = fmt.Sprintf("%s-%d", name, i), types.UID(fmt.Sprintf("pod-%s-%d", name, i))
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: kind, Name: name, UID: types.UID(name), Controller: yes()}}
		p.Status.PodIP, p.Status.PodIPs = "", nil
		change(p)
		in.Pods = append(in.Pods, *p)
	}
}

func yes() *bool { v := true; return &v }

// finished ends a pod whose container exited with a code.
func finished(in *Input, code int32, reason string) func(p *corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.RestartPolicy, p.Status.Phase = corev1.RestartPolicyNever, corev1.PodSucceeded
		if code != 0 {
			p.Status.Phase = corev1.PodFailed
		}
		p.CreationTimestamp = before(in, 3*time.Hour)
		p.Status.ContainerStatuses[0].Ready = false
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: ended(in, code, reason, 2*time.Hour)}
		for i := range p.Status.Conditions {
			if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady {
				c.Status, c.Reason = corev1.ConditionFalse, "PodCompleted"
			}
		}
	}
}

func ended(in *Input, code int32, reason string, age time.Duration) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: before(in, age+time.Minute), FinishedAt: before(in, age)}
}

func limits(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{"cpu": resource.MustParse(cpu), "memory": resource.MustParse(memory)}
}

func cordon(in *Input, age time.Duration) {
	at := before(in, age)
	n := &in.Nodes[0]
	n.Spec.Unschedulable = true
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule, TimeAdded: &at})
	n.ManagedFields = append(n.ManagedFields, metav1.ManagedFieldsEntry{
		Manager: "kubectl-drain", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &at, FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:unschedulable":{}}}`),
	})
	nodeEvent(in, corev1.EventTypeNormal, "NodeNotSchedulable", "kubelet", "Node w1 status is now: NodeNotSchedulable", age)
}

// joined adds node w3, whose kubelet started half a minute ago.
func joined(in *Input) {
	n := in.Nodes[0].DeepCopy()
	n.Name, n.UID, n.CreationTimestamp, n.Labels = "w3", "uid-w3", before(in, 30*time.Second), map[string]string{corev1.LabelHostname: "w3"}
	n.Spec.PodCIDR, n.Spec.PodCIDRs = "10.1.3.0/24", []string{"10.1.3.0/24"}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.7"}, {Type: corev1.NodeHostName, Address: "w3"}}
	for i := range n.Status.Conditions {
		n.Status.Conditions[i].LastTransitionTime, n.Status.Conditions[i].LastHeartbeatTime = before(in, 25*time.Second), before(in, 5*time.Second)
	}
	in.Nodes = append(in.Nodes, *n)
	lease := in.Leases[0].DeepCopy()
	lease.Name, lease.Spec.HolderIdentity = "w3", &n.Name
	in.Leases = append(in.Leases, *lease)
	for _, e := range []struct{ kind, reason, message string }{
		{corev1.EventTypeNormal, "Starting", "Starting kubelet."},
		{corev1.EventTypeWarning, "InvalidDiskCapacity", "invalid capacity 0 on image filesystem"},
		{corev1.EventTypeNormal, "NodeReady", "Node w3 status is now: NodeReady"},
	} {
		nodeEvent(in, e.kind, e.reason, "kubelet", e.message, 28*time.Second)
		in.Events[len(in.Events)-1].InvolvedObject = corev1.ObjectReference{Kind: "Node", Name: "w3", UID: "w3"}
	}
	p := in.Pods[2].DeepCopy()
	p.Name, p.UID, p.Spec.NodeName, p.CreationTimestamp = "kube-proxy-c", "pod-kube-proxy-c", "w3", before(in, 12*time.Second)
	p.Status.Phase = corev1.PodPending
	p.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: before(in, 12*time.Second)},
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: before(in, 10*time.Second)},
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}}
	in.Pods = append(in.Pods, *p)
	daemonSet(in, "node-exporter", corev1.Toleration{Operator: corev1.TolerationOpExists})
	for _, on := range []string{"w1", "w2"} { // its pod for w3 comes next
		q := in.Pods[2].DeepCopy()
		q.Name, q.UID, q.Spec.NodeName, q.Labels = "node-exporter-"+on, types.UID("pod-node-exporter-"+on), on, map[string]string{"app": "node-exporter"}
		q.OwnerReferences[0].Name, q.OwnerReferences[0].UID = "node-exporter", "ds-node-exporter"
		in.Pods = append(in.Pods, *q)
	}
}

// soleControlPlane makes w1 the only control plane node, whose scheduler and controller manager were told to elect no leader.
func soleControlPlane(in *Input) {
	for _, name := range []string{"kube-scheduler", "kube-controller-manager"} {
		p := in.Pods[2].DeepCopy()
		p.Name, p.UID, p.OwnerReferences = name+"-w1", types.UID("pod-"+name), []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "w1", UID: "uid-w1", Controller: yes()}}
		p.Labels = map[string]string{"component": name, "tier": "control-plane"}
		p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "c0ffee", "kubernetes.io/config.source": "file"}
		p.Spec.Containers[0].Image, p.Spec.Containers[0].Command = "registry.k8s.io/"+name+":v1.36.3", []string{name, "--leader-elect=false", "--kubeconfig=/etc/kubernetes/k.conf"}
		in.Pods = append(in.Pods, *p)
		old := metav1.NewMicroTime(in.Now.Add(-480 * time.Hour))
		l := in.SystemLeases[0].DeepCopy()
		l.Name, l.Spec.RenewTime, l.ManagedFields = name, &old, []metav1.ManagedFieldsEntry{{
			Manager: name, Operation: metav1.ManagedFieldsOperationUpdate, Time: &metav1.Time{Time: old.Time}, FieldsType: "FieldsV1",
			FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:renewTime":{}}}`),
		}}
		if name == "kube-scheduler" {
			in.SystemLeases = nil
		}
		in.SystemLeases = append(in.SystemLeases, *l)
	}
}

func TestQuiet(t *testing.T) {
	testkit.Quiet(t, "nodeinfo", slices.Concat(quietMaintenance(), quietPods(), quietSignals(), quietCertificates(), quietKinds(), quietJoins(), quietDrains(), quietPaths()))
}

func quietMaintenance() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A drain is in progress: the node is cordoned, and a pod has been terminating for five minutes",
			Why:       "The termination grace period of the pod is half an hour, and 25 minutes of it are left.",
			Link:      "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				cordon(in, 5*time.Minute)
				p, grace, due := &in.Pods[0], int64(1800), metav1.NewTime(in.Now.Add(25*time.Minute))
				p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-1", UID: "web-1", Controller: yes()}}
				p.DeletionTimestamp, p.DeletionGracePeriodSeconds, p.Spec.TerminationGracePeriodSeconds = &due, &grace, &grace
			}),
		},
		{
			Situation: "A node is 30 seconds old: InvalidDiskCapacity is reported, kube-proxy is in ContainerCreating, a DaemonSet has no pod there yet",
			Why:       "The kubelet reports the event at every start, and the pods of the node are being created.",
			Link:      "https://github.com/kubernetes/kubernetes/issues/106420", Verdict: "Healthy", Judge: odd(joined),
		},
		{
			Situation: "A node rebooted ten minutes ago for an update: it was NotReady once, and its pods have restarted",
			Why:       "The node is Ready again and the containers have run since then.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				nodeEvent(in, corev1.EventTypeNormal, "NodeNotReady", "node-controller", "Node w1 status is now: NodeNotReady", 11*time.Minute)
				nodeEvent(in, corev1.EventTypeWarning, "Rebooted", "kubelet", "Node w1 has been rebooted, boot id: b1", 10*time.Minute)
				nodeEvent(in, corev1.EventTypeNormal, "NodeReady", "kubelet", "Node w1 status is now: NodeReady", 9*time.Minute)
				readySince(in, 9*time.Minute)
				for _, i := range []int{0, 2} {
					s := &in.Pods[i].Status.ContainerStatuses[0]
					s.RestartCount, s.LastTerminationState.Terminated = 1, ended(in, 255, "Unknown", 10*time.Minute)
					s.State = running(before(in, 9*time.Minute))
				}
			}),
		},
		{
			Situation: "Karpenter has tainted a node and is moving its pods away",
			Why:       "Removing nodes is the work of Karpenter, and it began 90 seconds ago.",
			Link:      "https://karpenter.sh/docs/concepts/disruption/", Verdict: "Healthy", Judge: recorded("karpenter"),
		},
		{
			Situation: "Cluster Autoscaler does not remove a node, and another node group is in backoff",
			Why:       "The node is kept by its annotation, its group's minimum, and pods; the failed scale-up is of another group.",
			Link:      "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md", Verdict: "Healthy", Judge: recorded("autoscaler"),
		},
		{
			Situation: "Karpenter is removing a node, and a PodDisruptionBudget and an annotation hold it",
			Why:       "Budgets are there to be waited for; the removal began 12 minutes ago.",
			Link:      "https://karpenter.sh/docs/concepts/disruption/#pod-level-controls", Verdict: "Healthy", Judge: recorded("nodeclaim"),
		},
		{
			Situation: "A ConfigMap of Cluster Autoscaler was last written two days ago",
			Why:       "An autoscaler that was removed leaves its ConfigMap: a status that is older than a day is reported for information.",
			Verdict:   "Healthy",
			Judge: odd(func(in *Input) {
				in.Depth = Full
				in.ClusterAutoscaler = &autoscaler.Status{State: "Running", Time: before(in, 48*time.Hour).Time}
			}),
		},
		{
			Situation: "The kubelet and kube-proxy are three minor versions older than the API server",
			Why:       "The version skew policy supports three minor versions, so that a control plane can be upgraded first.",
			Link:      "https://kubernetes.io/releases/version-skew-policy/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				for i := range in.Nodes {
					in.Nodes[i].Status.NodeInfo.KubeletVersion = "v1.33.9"
				}
				for _, i := range []int{2, 3} {
					in.Pods[i].Spec.Containers[0].Image = "registry.k8s.io/kube-proxy:v1.33.9"
				}
			}),
		},
		{
			Situation: "A DaemonSet has no pod on a node",
			Why:       "The node has the taint dedicated=gpu:NoSchedule, which the DaemonSet does not tolerate.",
			Link:      "https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				for i := range in.Nodes {
					in.Nodes[i].Spec.Taints = []corev1.Taint{{Key: "dedicated", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}}
				}
				daemonSet(in, "log-agent", corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists})
			}),
		},
	}
}

func quietPods() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "The limits of the pods on a node add up to nine times its CPU",
			Why:       "The scheduler counts requests, and limits may exceed what a node has.",
			Link:      "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				add(in, 9, "batch", "ReplicaSet", func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Limits = limits("3800m", "15Gi") })
			}),
		},
		{
			Situation: "A node lists 141 pods and takes 110",
			Why:       "Succeeded and Failed pods of finished Jobs do not count against the maximum number of pods.",
			Link:      "https://github.com/kubernetes-sigs/kubernetes-mixin/issues/442", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				add(in, 119, "report", "Job", finished(in, 0, "Completed"))
				add(in, 20, "import", "Job", finished(in, 1, "Error"))
			}),
		},
		{
			Situation: "A node runs as many pods as it takes",
			Why:       "The pods on the node run, and the scheduler places the next ones on other nodes.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				add(in, 108, "tiny", "ReplicaSet", func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = limits("1m", "1Mi") })
			}),
		},
		{
			Situation: "An init container failed twice before it succeeded",
			Why:       "It waited for a database, has succeeded since, and the pod is ready.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				p := &in.Pods[0]
				p.Spec.InitContainers = []corev1.Container{{Name: "wait", Image: "registry.example/wait:v1"}}
				p.Status.InitContainerStatuses = []corev1.ContainerStatus{{
					Name: "wait", Ready: true, RestartCount: 2, State: corev1.ContainerState{Terminated: ended(in, 0, "Completed", time.Minute)},
					LastTerminationState: corev1.ContainerState{Terminated: ended(in, 1, "Error", 2*time.Minute)},
				}}
				p.Status.ContainerStatuses[0].State = running(before(in, 50*time.Second))
			}),
		},
		{
			Situation: "A container restarted twelve times last night",
			Why:       "It has been running for three hours without a restart.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				s := &in.Pods[0].Status.ContainerStatuses[0]
				s.RestartCount, s.State = 12, running(before(in, 3*time.Hour))
				s.LastTerminationState.Terminated = ended(in, 1, "Error", 3*time.Hour+5*time.Minute)
			}),
		},
		{
			Situation: "A running pod has FailedScheduling events",
			Why:       "They are older than its binding to the node, and the containers have run since then.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				p := &in.Pods[0]
				p.CreationTimestamp, p.Status.ContainerStatuses[0].State = before(in, 20*time.Minute), running(before(in, 9*time.Minute))
				for i := range p.Status.Conditions {
					p.Status.Conditions[i].LastTransitionTime = before(in, 10*time.Minute)
				}
				at := before(in, 11*time.Minute)
				in.Events = append(in.Events, corev1.Event{
					ObjectMeta:     metav1.ObjectMeta{Namespace: p.Namespace, Name: "web.1", CreationTimestamp: at},
					InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID}, Type: corev1.EventTypeWarning,
					Reason: "FailedScheduling", Message: "0/2 nodes are available: 2 Insufficient cpu.", Count: 4, FirstTimestamp: at, LastTimestamp: at,
				})
			}),
		},
		{
			Situation: "A container was OOM killed, and the kernel reported it on the node",
			Why:       "The container reached its own memory limit, while the node has free memory, and it runs again.",
			Link:      "https://github.com/kubernetes/node-problem-detector/issues/766", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				nodeEvent(in, corev1.EventTypeWarning, "OOMKilling", "kernel-monitor",
					"Memory cgroup out of memory: Killed process 4711 (java) total-vm:753508kB, anon-rss:58776kB, UID:0 oom_score_adj:999", 25*time.Minute)
				p := &in.Pods[0]
				p.Spec.Containers[0].Resources.Limits = limits("1", "128Mi")
				s := &p.Status.ContainerStatuses[0]
				s.RestartCount, s.State = 1, running(before(in, 25*time.Minute))
				s.LastTerminationState.Terminated = ended(in, 137, "OOMKilled", 25*time.Minute)
			}),
		},
		{
			Situation: "Pods that were evicted hours ago are still listed as Failed",
			Why:       "The disk pressure is over, their replacements run, and the garbage collector deletes them only in large numbers.",
			Link:      "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				add(in, 3, "cache", "ReplicaSet", func(p *corev1.Pod) {
					p.CreationTimestamp = before(in, 8*time.Hour)
					p.Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "The node was low on resource: ephemeral-storage."}
				})
			}),
		},
	}
}

func quietCertificates() []testkit.Odd {
	serving := func(life, left time.Duration, selfSigned bool) func(testing.TB) (string, []finding.Finding) {
		return odd(func(in *Input) {
			end := in.Now.Add(left)
			in.Kubelets = map[string]Kubelet{"w1": {Healthy: true, Served: &certificate.Served{
				Subject: "system:node:w1", SelfSigned: selfSigned, Names: []string{"w1"}, NotBefore: end.Add(-life), NotAfter: end,
			}}}
		})
	}
	const day = 24 * time.Hour
	return []testkit.Odd{
		{
			Situation: "The serving certificate of a kubelet expires in 20 days, and is one of 45 days",
			Why:       "The kubelet renews it when 70% to 90% of its time has passed, and 56% has.",
			Link:      "https://kubernetes.io/docs/tasks/tls/certificate-rotation/", Verdict: "Healthy", Judge: serving(45*day, 20*day, false),
		},
		{
			Situation: "The serving certificate of a kubelet has expired, and lacks the IP address of the node",
			Why:       "It is self-signed: no client can verify it, and those that there are do not try.",
			Link:      "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#kubelet-serving-certs", Verdict: "Healthy",
			Judge: serving(365*day, -day, true),
		},
		{
			Situation: "A kubelet requested a serving certificate a minute ago, and the request is not approved",
			Why:       "An approver is a controller, and takes seconds to a minute.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				in.Requests = []certificatesv1.CertificateSigningRequest{{
					ObjectMeta: metav1.ObjectMeta{Name: "csr-1", CreationTimestamp: before(in, time.Minute)},
					Spec:       certificatesv1.CertificateSigningRequestSpec{SignerName: certificatesv1.KubeletServingSignerName, Username: "system:node:w1"},
				}}
			}),
		},
	}
}

func quietSignals() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A node has the conditions KernelDeadlock, ReadonlyFilesystem and FrequentKubeletRestart",
			Why:       "All three are False, which means that node-problem-detector found no problem.",
			Link:      "https://github.com/kubernetes/node-problem-detector", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				for kind, reason := range map[corev1.NodeConditionType]string{
					"KernelDeadlock": "KernelHasNoDeadlock", "ReadonlyFilesystem": "FilesystemIsNotReadOnly", "FrequentKubeletRestart": "NoFrequentKubeletRestart",
				} {
					in.Nodes[0].Status.Conditions = append(in.Nodes[0].Status.Conditions, corev1.NodeCondition{
						Type: kind, Status: corev1.ConditionFalse, Reason: reason,
						LastTransitionTime: before(in, 240*time.Hour), LastHeartbeatTime: before(in, 2*time.Minute),
					})
				}
			}),
		},
		{
			Situation: "The last heartbeat of a node is two seconds in the future",
			Why:       "The kubelet writes the time of its own clock, and clocks differ by a few seconds.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				ahead := metav1.NewMicroTime(in.Now.Add(2 * time.Second))
				in.Leases[0].Spec.RenewTime = &ahead
				written := metav1.NewTime(in.Now)
				in.Leases[0].ManagedFields[0].Time = &written
			}),
		},
		{
			Situation: "A node has Warning events of the last hour: NodeNotReady, ImageGCFailed, ContainerGCFailed",
			Why:       "The kubelet was restarted, and the node has been Ready since after the last of them.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				nodeEvent(in, corev1.EventTypeWarning, "ImageGCFailed", "kubelet", "failed to get imageFs info: non-existent label \"docker-images\"", 5*time.Minute)
				nodeEvent(in, corev1.EventTypeWarning, "ContainerGCFailed", "kubelet", "rpc error: code = DeadlineExceeded", 4*time.Minute)
				nodeEvent(in, corev1.EventTypeNormal, "NodeNotReady", "kubelet", "Node w1 status is now: NodeNotReady", 4*time.Minute)
				nodeEvent(in, corev1.EventTypeNormal, "NodeReady", "kubelet", "Node w1 status is now: NodeReady", 3*time.Minute)
				readySince(in, 3*time.Minute)
			}),
		},
		{
			Situation: "The leases of kube-scheduler and kube-controller-manager expired weeks ago",
			Why:       "Both run on the only control plane node with --leader-elect=false, and renew no lease.",
			Link:      "https://github.com/kubernetes/minikube/issues/8431", Verdict: "Healthy", Judge: odd(soleControlPlane),
		},
		{
			Situation: "metrics-server is not installed", Why: "Usage figures are missing, and no verdict depends on them.", Verdict: "Healthy", Judge: recorded("no-metrics"),
		},
		{
			Situation: "kubectl may read nodes and nothing else", Why: "Ready is known, and the report names what was not checked.", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				only := Input{Now: in.Now, Depth: in.Depth, Nodes: in.Nodes, Sources: slices.Clone(in.Sources)}
				for i := range only.Sources {
					if s := &only.Sources[i]; s.Name != SourceNodes && s.Name != SourceKubelet {
						s.State, s.Verb, s.Resource = "forbidden", "list", s.Name
					}
				}
				*in = only
			}),
		},
	}
}

func quietKinds() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "The host name of a node differs from the name of the node",
			Why:       "The name is free to choose, and leases and events are matched by it.",
			Link:      "https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesiohostname", Verdict: "Healthy", Judge: recorded("hostname-differs"),
		},
		{
			Situation: "A virtual node has no Lease, no kube-proxy pod and no metrics", Why: "Its provider runs the pods outside the cluster and reports only the conditions.",
			Link: "https://virtual-kubelet.io/docs/", Verdict: "Healthy", Judge: recorded("virtual-kubelet"),
		},
		{
			Situation: "A node has no pod of DaemonSet kube-proxy, and its kube-proxy mode is unknown", Why: "It is a Windows node, whose kube-proxy is a DaemonSet of its own and is ready.",
			Link: "https://kubernetes.io/docs/concepts/windows/intro/", Verdict: "Healthy", Judge: recorded("windows"),
		},
		{
			Situation: "A node has no pod CIDR", Why: "The network plugin gives the addresses of pods from its own pool.",
			Link: "https://github.com/aws/amazon-vpc-cni-k8s", Verdict: "Healthy",
			Judge: odd(func(in *Input) {
				for i := range in.Nodes {
					in.Nodes[i].Spec.PodCIDR, in.Nodes[i].Spec.PodCIDRs = "", nil
				}
				for i := range in.Pods {
					in.Pods[i].Status.PodIP = strings.Replace(in.Pods[i].Status.PodIP, "10.1.", "10.0.", 1)
				}
			}),
		},
	}
}

// undrained previews the drain of w2 after a change.
func undrained(change func(in *Input)) func(testing.TB) (string, []finding.Finding) {
	return func(t testing.TB) (string, []finding.Finding) {
		in := shop(t)
		change(&in)
		d := preview(in)
		return string(d.Verdict), d.Findings
	}
}

func quietDrains() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A drain is previewed, and a PodDisruptionBudget allows one of two pods on the node to go",
			Why:       "The second pod follows when the replacement of the first is ready, and another node has room for both.",
			Link:      "https://kubernetes.io/docs/concepts/workloads/pods/disruptions/", Verdict: "Drainable", Judge: undrained(func(*Input) {}),
		},
		{
			Situation: "A drain is previewed, and a PodDisruptionBudget allows nothing because its pods are not ready",
			Why:       "Its policy for unhealthy pods is AlwaysAllow: they are evicted whatever the budget has left.",
			Link:      "https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy", Verdict: "Drainable",
			Judge: undrained(func(in *Input) {
				in.Budgets[0].Status.CurrentHealthy, in.Budgets[0].Status.DisruptionsAllowed = 0, 0
				in.Budgets[0].Spec.UnhealthyPodEvictionPolicy = new(policyv1.AlwaysAllow)
				for _, p := range web(in) {
					setReady(p, corev1.ConditionFalse)
				}
			}),
		},
		{
			Situation: "A drain is previewed, and a pod without a controller and with an emptyDir has completed",
			Why:       "It runs no more and asks no node for room; kubectl drain needs no flag to delete it.",
			Link:      "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/", Verdict: "Drainable",
			Judge: undrained(func(in *Input) {
				p := web(in)[0]
				p.Status.Phase, p.OwnerReferences, p.Spec.Volumes = corev1.PodSucceeded, nil, emptyDir("")
				request(p, "64")
			}),
		},
	}
}

// quietly reports on the paths of a cluster after a change.
func quietly(change func(in *Input)) func(testing.TB) (string, []finding.Finding) {
	return func(t testing.TB) (string, []finding.Finding) {
		in := ways(t)
		change(&in)
		r := reportPaths(in)
		return string(r.Verdict), r.Findings
	}
}

func quietPaths() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "The only endpoint of a webhook is terminating and still serves",
			Why:       "While no endpoint is ready, kube-proxy sends connections to endpoints that terminate and still serve.",
			Link:      "https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions", Verdict: "Healthy",
			Judge: quietly(func(in *Input) {
				unready(in, "w1", "w2")
				c := &in.Endpoints[len(in.Endpoints)-1].Endpoints[0].Conditions
				c.Serving, c.Terminating = new(true), new(true)
			}),
		},
		{
			Situation: "The Service of a webhook has no endpoint, and the webhook has no rules",
			Why:       "A webhook without rules is never called: controllers that write their rules at start leave it so.",
			Link:      "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-rules", Verdict: "Healthy",
			Judge: quietly(func(in *Input) {
				in.Webhooks[0].Rules = nil
				unready(in, "w1", "w2")
			}),
		},
		{
			Situation: "The pod of an aggregated API is replaced, and the API is not available for some seconds",
			Why:       "The API server looks every 30 seconds, and the new pod takes over within a minute.", Verdict: "Healthy",
			Judge: quietly(unavailable(20 * time.Second)),
		},
	}
}

// joins reports how far w3 has come, in a cluster in which all is well, after a change.
func joins(changes ...func(in *Input)) func(testing.TB) (string, []finding.Finding) {
	return func(t testing.TB) (string, []finding.Finding) {
		in := grown(t)
		all(changes...)(&in)
		m := reportJoin(in).Machines[0]
		return string(m.Verdict), m.Findings
	}
}

func quietJoins() []testkit.Odd {
	return []testkit.Odd{
		{
			Situation: "A node joined a minute ago, and the pods of its DaemonSets start",
			Why:       "The runtime has no network until the pod of the network plugin has written its configuration.", Verdict: "Joining",
			Judge: joins(arrives(time.Minute), func(in *Input) { starting(in, "kube-proxy-w3", "kube-flannel-w3") }),
		},
		{
			Situation: "A node that joined a minute ago has the taint of an agent that is not ready yet",
			Why:       "The taint keeps pods off until the agent has set up the network.", Link: "https://docs.cilium.io/en/stable/installation/taints/",
			Verdict: "Joining", Judge: joins(newborn(time.Minute), taint("node.cilium.io/agent-not-ready")),
		},
		{
			Situation: "No node of the cluster has a pod CIDR",
			Why:       "Network plugins with pools of their own, such as Cilium's and Calico's, assign addresses without it.", Verdict: "Joined",
			Judge: joins(func(in *Input) {
				for i := range in.Nodes {
					in.Nodes[i].Spec.PodCIDR, in.Nodes[i].Spec.PodCIDRs = "", nil
				}
			}),
		},
		{
			Situation: "A machine requested its certificate ten seconds ago, and the request waits",
			Why:       "kube-controller-manager approves and signs within seconds.", Verdict: "Joining",
			Link:  "https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/",
			Judge: joins(machineOf("w9", asks("w9", client, "system:bootstrap:abcdef", 10*time.Second))),
		},
	}
}
