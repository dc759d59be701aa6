package evaluate

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// A cause explains nothing that is older than itself.
func TestWhatIsOlderThanACauseStandsByItself(t *testing.T) {
	crashing := func(restarts int32, ran time.Duration) func(*corev1.Pod, time.Time) {
		return func(p *corev1.Pod, now time.Time) {
			end := now.Add(-20 * time.Second)
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "app", RestartCount: restarts,
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ContainerID: "containerd://1", ExitCode: 1, StartedAt: metav1.NewTime(end.Add(-ran)), FinishedAt: metav1.NewTime(end),
				}},
			}}
		}
	}
	deleted := func(ago time.Duration) func(*corev1.Pod, time.Time) {
		return func(p *corev1.Pod, now time.Time) {
			at := metav1.NewTime(now.Add(-ago))
			p.DeletionTimestamp = &at
		}
	}
	waits := func(bound time.Duration, last *corev1.ContainerStateTerminated) func(*corev1.Pod, time.Time) {
		return func(p *corev1.Pod, now time.Time) {
			at := metav1.NewTime(now.Add(-bound))
			p.Status.Phase, p.CreationTimestamp = corev1.PodPending, at
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
				LastTerminationState: corev1.ContainerState{Terminated: last},
			}}
		}
	}
	ran := &corev1.ContainerStateTerminated{ContainerID: "containerd://1", ExitCode: 255, Reason: "Unknown"}
	for name, c := range map[string]struct {
		fixture finding.Code // its cause began 90s to 200s ago, that of NetworkPluginNotReady 5m
		pod     func(*corev1.Pod, time.Time)
		code    finding.Code
		stands  bool
	}{
		"crashes since long before the memory was short":     {machine.MemoryPressure, crashing(5, time.Second), workload.PodCrashLooping, true},
		"crashes since the memory is short":                  {machine.MemoryPressure, crashing(3, time.Second), workload.PodCrashLooping, false},
		"crashes again after a long run":                     {machine.MemoryPressure, crashing(8, time.Hour), workload.PodCrashLooping, false},
		"stuck before the kubelet fell silent":               {machine.KubeletNotReporting, deleted(10 * time.Minute), workload.PodStuckTerminating, true},
		"stuck since the kubelet fell silent":                {machine.KubeletNotReporting, deleted(2 * time.Minute), workload.PodStuckTerminating, false},
		"about as old as the silence":                        {machine.KubeletNotReporting, deleted(3*time.Minute + 50*time.Second), workload.PodStuckTerminating, false},
		"did not start long before the network went":         {machine.NetworkPluginNotReady, waits(time.Hour, nil), workload.PodNotStarting, true},
		"does not start since the network went":              {machine.NetworkPluginNotReady, waits(4*time.Minute, nil), workload.PodNotStarting, false},
		"bound long before, and its sandbox has to be anew":  {machine.NetworkPluginNotReady, waits(time.Hour, ran), workload.PodNotStarting, false},
		"running containers keep their network, and crash":   {machine.NetworkPluginNotReady, crashing(2, time.Second), workload.PodCrashLooping, true},
		"the runtime hangs for minutes until that is posted": {machine.ContainerRuntimeDown, waits(4*time.Minute, nil), workload.PodNotStarting, false},
		"did not start long before the runtime hung":         {machine.ContainerRuntimeDown, waits(time.Hour, nil), workload.PodNotStarting, true},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, string(c.fixture))
			in.Events = nil
			in.Pods = []corev1.Pod{{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "it", UID: "it", CreationTimestamp: metav1.NewTime(in.Now.Add(-2 * time.Hour))},
				Spec:       corev1.PodSpec{NodeName: "fires", RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "app"}}},
				Status:     corev1.PodStatus{Phase: corev1.PodRunning},
			}}
			c.pod(&in.Pods[0], in.Now)
			n := node(t, judge(in), "fires")
			folded := slices.ContainsFunc(n.Consequences, func(f finding.Consequence) bool { return f.Code == c.code && f.CausedBy == c.fixture })
			if stands := slices.Contains(codes(n), c.code); stands != c.stands || folded == c.stands {
				t.Errorf("stands by itself %t, a consequence %t: %v, %+v", stands, folded, codes(n), n.Consequences)
			}
			if n.Findings[0].Code != c.fixture {
				t.Errorf("the first is %s", n.Findings[0].Code)
			}
		})
	}
}

// The agent of the network plugin runs in the node's own network: where it fails, that is why the node has no network.
func TestTheAgentOfTheNetworkPluginIsTheCause(t *testing.T) {
	for _, restarts := range []int32{2, 6} { // on a new node its image comes first, and the crashes later
		agentFails(t, restarts)
	}
}

func agentFails(t *testing.T, restarts int32) {
	t.Helper()
	in := load(t, string(machine.NetworkPluginNotReady))
	at := slices.IndexFunc(in.Pods, func(p corev1.Pod) bool { return p.Name == "calico-node-x" })
	s := &in.Pods[at].Status.ContainerStatuses[0]
	end := metav1.NewTime(in.Now.Add(-20 * time.Second))
	s.Ready, s.RestartCount = false, restarts
	s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 2, StartedAt: metav1.NewTime(end.Add(-time.Second)), FinishedAt: end}
	n := node(t, judge(in), "fires")
	if n.Verdict != report.Unhealthy || !slices.Equal(codes(n), []finding.Code{workload.NetworkPluginPodNotReady}) || n.Findings[0].Severity != finding.Critical {
		t.Errorf("%s: %s: %+v", n.Verdict, n.Summary, codes(n))
	}
	causes := map[finding.Code]finding.Code{}
	for _, f := range n.Consequences {
		causes[f.Code] = f.CausedBy
	}
	if causes[machine.NetworkPluginNotReady] != workload.NetworkPluginPodNotReady || causes[workload.PodNotStarting] != workload.NetworkPluginPodNotReady {
		t.Errorf("%+v", n.Consequences)
	}
}
