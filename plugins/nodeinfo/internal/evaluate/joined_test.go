package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// one is the fixture of a healthy cluster cut to its first node, with what is added.
func one(t *testing.T, change func(in *Input, n *corev1.Node)) report.Node {
	t.Helper()
	in := load(t, "healthy")
	n := &in.Nodes[0]
	n.CreationTimestamp = metav1.NewTime(in.Now.Add(-24 * time.Hour))
	in.Sources = append(in.Sources, source.Source{Name: SourceEvents, State: source.OK}, source.Source{Name: SourceSystemLeases, State: source.OK})
	change(&in, n)
	return node(t, judge(in), n.Name)
}

func warning(n *corev1.Node, reason, message string, at time.Time) corev1.Event {
	return corev1.Event{
		InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: n.Name, UID: n.UID}, Type: corev1.EventTypeWarning, Reason: reason, Message: message,
		LastTimestamp: metav1.NewTime(at), Count: 1,
	}
}

func TestAComponentThatElectsNoLeaderWorksWithoutALease(t *testing.T) {
	for argument, works := range map[string]bool{"--leader-elect=false": true, "--leader-elect=true": false} {
		n := one(t, func(in *Input, n *corev1.Node) {
			long, holder := metav1.NewMicroTime(in.Now.Add(-time.Hour)), ""
			in.SystemLeases = []coordinationv1.Lease{{
				ObjectMeta: metav1.ObjectMeta{Name: facts.Scheduler, Namespace: "kube-system"}, Spec: coordinationv1.LeaseSpec{RenewTime: &long, HolderIdentity: &holder},
			}}
			in.Components = []corev1.Pod{{
				ObjectMeta: metav1.ObjectMeta{
					Name: "kube-scheduler-cp1", Namespace: "kube-system", Labels: map[string]string{"component": facts.Scheduler},
					Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"},
				},
				Spec:   corev1.PodSpec{NodeName: "cp1", Containers: []corev1.Container{{Name: "s", Args: []string{argument}}}},
				Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: "Ready", Status: corev1.ConditionTrue}}},
			}}
		})
		if got := !slices.Contains(codes(n), machine.LeaderLeaseExpired); got != works {
			t.Errorf("%s: works %t, want %t: %v", argument, got, works, codes(n))
		}
	}
}

func TestWhatNoFindingAccountsForIsUnexplained(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(in *Input, n *corev1.Node)
		want   bool
	}{
		"a warning of a minute ago": {func(in *Input, n *corev1.Node) {
			in.Events = append(in.Events, warning(n, "TaskHung", "task blocked for more than 120 seconds", in.Now.Add(-time.Minute)))
		}, true},
		"one that did not repeat": {func(in *Input, n *corev1.Node) {
			in.Events = append(in.Events, warning(n, "TaskHung", "task blocked", in.Now.Add(-11*time.Minute)))
		}, false},
		"what every start brings": {func(in *Input, n *corev1.Node) {
			in.Events = append(in.Events, warning(n, "InvalidDiskCapacity", "invalid capacity 0 on image filesystem", in.Now.Add(-time.Minute)))
		}, false},
		"a notice of a setting": {func(in *Input, n *corev1.Node) {
			in.Events = append(in.Events, warning(n, "NodeSysctlChange", "changed", in.Now.Add(-time.Minute)))
		}, false},
		"a reboot, which is told": {func(in *Input, n *corev1.Node) {
			in.Events = append(in.Events, warning(n, "Rebooted", "Node has been rebooted, boot id: x", in.Now.Add(-time.Minute)))
		}, false},
		"a pressure that is over": {func(in *Input, n *corev1.Node) {
			in.Events = append(in.Events, warning(n, "EvictionThresholdMet", "Attempting to reclaim inodes", in.Now.Add(-5*time.Minute)))
			for i := range n.Status.Conditions {
				if n.Status.Conditions[i].Type == corev1.NodeDiskPressure {
					n.Status.Conditions[i].LastTransitionTime = metav1.NewTime(in.Now.Add(-2 * time.Minute))
				}
			}
		}, false},
		"a container's own memory limit": {func(in *Input, n *corev1.Node) {
			in.Events = append(in.Events, warning(n, "OOMKilling", "Memory cgroup out of memory: Killed process 1", in.Now.Add(-time.Minute)))
		}, false},
		"a pod that the kubelet failed to admit": {func(in *Input, n *corev1.Node) {
			in.Pods = append(in.Pods, failed(n, "UnexpectedAdmissionError", in.Now.Add(-time.Minute)))
		}, true},
		"one of yesterday": {func(in *Input, n *corev1.Node) {
			in.Pods = append(in.Pods, failed(n, "UnexpectedAdmissionError", in.Now.Add(-24*time.Hour)))
		}, false},
		"a pod that ended by itself": {func(in *Input, n *corev1.Node) {
			in.Pods = append(in.Pods, failed(n, "", in.Now.Add(-time.Minute)))
		}, false},
		"a pod that was bound to a full node": {func(in *Input, n *corev1.Node) {
			in.Pods = append(in.Pods, failed(n, "OutOfpods", in.Now.Add(-time.Minute)))
		}, false},
		"one that asks for more storage than is left": {func(in *Input, n *corev1.Node) {
			in.Pods = append(in.Pods, failed(n, "OutOfephemeral-storage", in.Now.Add(-time.Minute)))
		}, false},
		"an evicted pod": {func(in *Input, n *corev1.Node) {
			in.Pods = append(in.Pods, failed(n, "Evicted", in.Now.Add(-time.Minute)))
		}, false},
	} {
		n := one(t, tt.change)
		if got := slices.Contains(codes(n), finding.UnexplainedEvidence); got != tt.want || (n.Verdict == report.Healthy) == tt.want {
			t.Errorf("%s: %s, %v", name, n.Verdict, codes(n))
		}
	}
}

func failed(n *corev1.Node, reason string, at time.Time) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "failed", Namespace: "shop", UID: "failed", CreationTimestamp: metav1.NewTime(at)},
		Spec:       corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: "c"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodFailed, Reason: reason, Message: "it failed"},
	}
}

func TestPodsWithOneCauseAreOneFinding(t *testing.T) {
	n := one(t, func(in *Input, n *corev1.Node) {
		for i := range 4 {
			text := fmt.Sprintf(`Back-off pulling image "reg/a:%d": ErrImagePull: failed to pull and unpack image: failed to do request: Head "https://reg/v2/a/%d": dial tcp: lookup reg on 10.0.0.2:53: no such host`, i, i)
			if i == 3 {
				text = `Back-off pulling image "other/b:1": ErrImagePull: failed to resolve reference "other/b:1": other/b:1: not found`
			}
			name := fmt.Sprintf("web-%d", i)
			in.Pods = append(in.Pods, corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID(name), CreationTimestamp: metav1.NewTime(in.Now.Add(-20 * time.Second))},
				Spec:       corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: "c"}}},
				Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
					Name: "c", Image: fmt.Sprintf("reg/a:%d", i), State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: text}},
				}}},
			})
		}
	})
	if len(n.Findings) != 2 || n.Findings[0].Message != "3 pods do not start (ImagePullBackOff): lookup reg on 10.0.0.2:53: no such host (shop/web-0, shop/web-1, shop/web-2)" {
		t.Errorf("%d: %+v", len(n.Findings), n.Findings)
	}
}

func TestAConditionWhoseReporterIsGoneIsOldNews(t *testing.T) {
	for name, tt := range map[string]struct {
		kind          corev1.NodeConditionType
		changed, post time.Duration
		want          report.Verdict
	}{
		"posted a minute ago":                     {"KernelDeadlock", 72 * time.Hour, time.Minute, report.Degraded},
		"posted for the last time a day ago":      {"KernelDeadlock", 72 * time.Hour, 24 * time.Hour, report.Healthy},
		"another's, which it posted again":        {"GPUUnhealthy", 72 * time.Hour, 24 * time.Hour, report.Healthy},
		"another's, which may post changes alone": {"GPUUnhealthy", 24 * time.Hour, 24 * time.Hour, report.Degraded},
	} {
		n := one(t, func(in *Input, n *corev1.Node) {
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
				Type: tt.kind, Status: corev1.ConditionTrue, Reason: "R", Message: "m",
				LastTransitionTime: metav1.NewTime(in.Now.Add(-tt.changed)), LastHeartbeatTime: metav1.NewTime(in.Now.Add(-tt.post)),
			})
		})
		if n.Verdict != tt.want {
			t.Errorf("%s: %s, %v", name, n.Verdict, codes(n))
		}
	}
}

func TestAFailedMountIsToldAtOnceWhenItStatesItsReason(t *testing.T) {
	for message, want := range map[string]bool{
		`MountVolume.SetUp failed for volume "c" : configmap "nope" not found`:                                    true,
		`MountVolume.SetUp failed for volume "c" : failed to sync configmap cache: timed out waiting`:             false,
		`MountVolume.SetUp failed for volume "kube-api-access" : object "shop"/"kube-root-ca.crt" not registered`: false,
	} {
		n := one(t, func(in *Input, n *corev1.Node) {
			in.Pods = append(in.Pods, corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "web", CreationTimestamp: metav1.NewTime(in.Now.Add(-20 * time.Second))},
				Spec:       corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: "c"}}},
				Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
					Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
				}}},
			})
			in.Events = append(in.Events, corev1.Event{
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "web", UID: "web"}, Type: corev1.EventTypeWarning,
				Reason: "FailedMount", Message: message, Count: 4, LastTimestamp: metav1.NewTime(in.Now.Add(-2 * time.Second)),
			})
		})
		if got := slices.Contains(codes(n), workload.PodNotStarting); got != want {
			t.Errorf("%s: %t", message, got)
		}
	}
}

func TestADiskThatLacksInodesIsOutOfInodes(t *testing.T) {
	for resource, want := range map[string]string{"inodes": "out of inodes", "ephemeral-storage": "low on disk space", "memory": "has disk pressure"} {
		in := load(t, "DiskPressure")
		for i := range in.Nodes {
			if n := &in.Nodes[i]; n.Name == "fires" {
				in.Events = append(in.Events, warning(n, "EvictionThresholdMet", "Attempting to reclaim "+resource, in.Now.Add(-30*time.Second)))
			}
		}
		if got := node(t, judge(in), "fires").Findings[0].Message; !strings.Contains(got, want) {
			t.Errorf("%s: %s", resource, got)
		}
	}
}

func TestKubeProxyIsHeldAgainstItsHealthPort(t *testing.T) {
	for name, tt := range map[string]struct {
		health  facts.ProxyHealth
		running time.Duration
		want    bool
	}{
		"nothing listens":               {facts.ProxyHealth{Port: 10256, Refused: true, Message: "connection refused"}, time.Hour, true},
		"nothing listens yet":           {facts.ProxyHealth{Port: 10256, Refused: true, Message: "connection refused"}, time.Minute, false},
		"it says that it does not sync": {facts.ProxyHealth{Port: 10256, Message: `{"lastUpdated":"x","healthy":false}`}, time.Hour, true},
		"it is well":                    {facts.ProxyHealth{Port: 10256, Healthy: true}, time.Hour, false},
	} {
		n := one(t, func(in *Input, n *corev1.Node) {
			controller, began := true, metav1.NewTime(in.Now.Add(-tt.running))
			in.Pods = []corev1.Pod{{
				ObjectMeta: metav1.ObjectMeta{
					Name: "kube-proxy-x", Namespace: "kube-system", UID: "kp", Labels: map[string]string{"k8s-app": "kube-proxy"}, CreationTimestamp: began,
					OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: "kube-proxy", UID: "d", Controller: &controller}},
				},
				Spec: corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: "kube-proxy", Image: "kube-proxy:v1.36.3"}}},
				Status: corev1.PodStatus{
					Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: "Ready", Status: corev1.ConditionTrue, LastTransitionTime: began}},
					ContainerStatuses: []corev1.ContainerStatus{{Name: "kube-proxy", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}}},
				},
			}}
			in.ProxyHealth = map[string]facts.ProxyHealth{n.Name: tt.health}
		})
		if got := slices.Contains(codes(n), workload.KubeProxyNotReady); got != tt.want {
			t.Errorf("%s: %v", name, codes(n))
		}
	}
}

// A control plane node whose kubelet and API server fell silent together: only what its API server answers tells whether the
// machine is gone, or the API server that the kubelet uses.
func TestALocalAPIServerExplainsAKubeletThatIsSilent(t *testing.T) {
	const silent = 2 * time.Minute
	for name, tt := range map[string]struct {
		answer *APIAnswer
		others time.Duration // since the other API server renewed
		root   finding.Code
		folded []finding.Code
		says   string
	}{
		"it answers that it lost etcd": {
			&APIAnswer{Readyz: "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n"}, 3 * time.Second,
			machine.LocalAPIServerNotReady,
			[]finding.Code{machine.KubeletNotReporting, machine.LocalAPIServerNotReporting},
			"has lost its etcd (etcd failed); the API server of cp9 works",
		},
		"nothing listens": {
			&APIAnswer{Refused: true}, 3 * time.Second,
			machine.LocalAPIServerNotReady,
			[]finding.Code{machine.KubeletNotReporting, machine.LocalAPIServerNotReporting},
			"does not run (connection refused)",
		},
		"it was stopped in order, and its Lease removed": {
			&APIAnswer{Refused: true}, 3 * time.Second,
			machine.LocalAPIServerNotReady,
			[]finding.Code{machine.KubeletNotReporting},
			"does not run (connection refused)",
		},
		"it does not answer": {
			nil, 3 * time.Second, machine.KubeletNotReporting, []finding.Code{machine.LocalAPIServerNotReporting}, "has not reported for 2m",
		},
		"it answers that it is ready": {
			&APIAnswer{Readyz: "[+]ping ok\nreadyz check passed\n"}, 3 * time.Second,
			machine.KubeletNotReporting,
			[]finding.Code{machine.LocalAPIServerNotReporting},
			"has not reported for 2m",
		},
		"no API server stores anything": {nil, silent, machine.KubeletNotReporting, nil, "has not reported for 2m"},
	} {
		n := one(t, func(in *Input, n *corev1.Node) {
			identity := func(host string, age time.Duration) coordinationv1.Lease {
				renewed := metav1.NewMicroTime(in.Now.Add(-age))
				return coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
					Name: "apiserver-" + host, Namespace: "kube-system",
					Labels: map[string]string{"apiserver.kubernetes.io/identity": "kube-apiserver", corev1.LabelHostname: host},
				}, Spec: coordinationv1.LeaseSpec{RenewTime: &renewed}}
			}
			in.SystemLeases = []coordinationv1.Lease{identity(n.Name, silent), identity("cp9", tt.others)}
			if strings.Contains(name, "Lease removed") {
				in.SystemLeases = in.SystemLeases[1:]
				in.Pods = append(in.Pods, corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{
						Name: "kube-apiserver-x", Namespace: "kube-system", CreationTimestamp: metav1.NewTime(in.Now.Add(-time.Hour)),
						Labels: map[string]string{"component": "kube-apiserver"}, Annotations: map[string]string{corev1.MirrorPodAnnotationKey: "x"},
					},
					Spec:   corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: "kube-apiserver"}}},
					Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
				})
			}
			for i := range in.Leases {
				if in.Leases[i].Name == n.Name {
					in.Leases[i].Spec.RenewTime, in.Leases[i].ManagedFields = &metav1.MicroTime{Time: in.Now.Add(-silent)}, nil
				}
			}
			for i := range n.Status.Conditions {
				if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
					c.Status, c.Reason = corev1.ConditionUnknown, "NodeStatusUnknown"
					c.LastHeartbeatTime, c.LastTransitionTime = metav1.NewTime(in.Now.Add(-silent)), metav1.NewTime(in.Now.Add(-time.Minute))
				}
			}
			if tt.answer != nil {
				in.APIServers = map[string]APIAnswer{n.Name: *tt.answer}
			}
		})
		if len(n.Findings) != 1 || n.Findings[0].Code != tt.root || !strings.Contains(n.Summary, tt.says) {
			t.Errorf("%s: %v, %s", name, codes(n), n.Summary)
		}
		var folded []finding.Code
		for _, c := range n.Consequences {
			folded = append(folded, c.Code)
		}
		slices.Sort(folded)
		if !slices.Equal(folded, tt.folded) {
			t.Errorf("%s: it explains %v, want %v", name, folded, tt.folded)
		}
	}
}
