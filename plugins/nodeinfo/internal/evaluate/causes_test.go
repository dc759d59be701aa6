package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// A cause takes only what it can bring about: the rest would be hidden under it.
func TestWhatACauseCannotBringAboutStandsByItself(t *testing.T) {
	without := func(leader string) func(in *Input) {
		return func(in *Input) {
			long, holder := metav1.NewMicroTime(in.Now.Add(-24*time.Hour)), "gone"
			in.SystemLeases = append(in.SystemLeases, coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: leader, Namespace: "kube-system"}, Spec: coordinationv1.LeaseSpec{RenewTime: &long, HolderIdentity: &holder},
			})
		}
	}
	for name, c := range map[string]struct {
		fixture finding.Code
		also    func(in *Input)
		stands  bool
	}{
		"an image that is not there, beside a volume that is not attached": {workload.PodNotStarting, func(in *Input) {
			in.VolumeAttachments = append(in.VolumeAttachments, storagev1.VolumeAttachment{
				ObjectMeta: metav1.ObjectMeta{Name: "other", CreationTimestamp: metav1.NewTime(in.Now.Add(-time.Hour))},
				Spec:       storagev1.VolumeAttachmentSpec{NodeName: "fires", Attacher: "csi.example.com"},
				Status:     storagev1.VolumeAttachmentStatus{AttachError: &storagev1.VolumeError{Message: "no such disk", Time: metav1.NewTime(in.Now.Add(-time.Minute))}},
			})
		}, true},
		"a DaemonSet, where the cloud's controllers are gone": {workload.DaemonSetPodMissing, without(facts.CloudControllers), true},
		"a DaemonSet, where the controllers are gone":         {workload.DaemonSetPodMissing, without(facts.ControllerManager), false},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, string(c.fixture))
			before := len(judge(in).Items[0].Findings)
			c.also(&in)
			n := node(t, judge(in), "fires")
			if got := slices.Contains(codes(n), c.fixture); got != c.stands {
				t.Errorf("stands by itself: %t, want %t: %v, %+v", got, c.stands, codes(n), n.Consequences)
			}
			if len(n.Findings)+len(n.Consequences) <= before {
				t.Error("what was added is not seen")
			}
		})
	}
}

func TestAContainerThatHasDoneItsWorkDoesNotCrash(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	for name, c := range map[string]struct {
		sidecar *corev1.ContainerRestartPolicy
		code    int32
		loops   bool
	}{
		"an init container that succeeded at the third try": {nil, 0, false},
		"an init container that failed three times":         {nil, 1, true},
		"a sidecar that keeps ending well":                  {&always, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, "healthy")
			p := &in.Pods[0]
			p.Spec.NodeName, p.Status.Phase, p.Spec.RestartPolicy = in.Nodes[0].Name, corev1.PodRunning, corev1.RestartPolicyAlways
			p.Namespace, p.OwnerReferences, p.Labels, p.Annotations = "shop", nil, nil, nil
			p.Spec.InitContainers = []corev1.Container{{Name: "wait", RestartPolicy: c.sidecar}}
			end := metav1.NewTime(in.Now.Add(-30 * time.Second))
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "wait", RestartCount: 2, State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: c.code, StartedAt: metav1.NewTime(end.Add(-time.Second)), FinishedAt: end},
			}}}
			if got := slices.Contains(codes(node(t, judge(in), in.Nodes[0].Name)), workload.PodCrashLooping); got != c.loops {
				t.Errorf("crash loop: %t, want %t", got, c.loops)
			}
		})
	}
}

// Before a pod is bound the scheduler warns; after that its words explain nothing.
func TestTheSchedulersWordsDoNotExplainABoundPod(t *testing.T) {
	in := load(t, string(workload.PodNotStarting))
	for i := range in.Pods {
		p := &in.Pods[i]
		in.Events = append(in.Events, corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: "e", Namespace: p.Namespace}, InvolvedObject: corev1.ObjectReference{Kind: "Pod", UID: p.UID},
			Type: corev1.EventTypeWarning, Reason: "FailedScheduling", Message: "0/3 nodes are available", LastTimestamp: metav1.NewTime(in.Now),
		})
	}
	for _, n := range judge(in).Items {
		for _, p := range n.Pods.Problems {
			if p.Reason == "FailedScheduling" {
				t.Errorf("%s/%s: %s", p.Namespace, p.Name, p.Message)
			}
		}
	}
}

func TestAContainersOwnLimitIsNoSystemOOM(t *testing.T) {
	in := load(t, string(machine.SystemOOM))
	for i := range in.Events {
		if in.Events[i].Reason == "SystemOOM" {
			in.Events[i].Reason = "OOMKilling"
		}
		in.Events[i].Message = "Memory cgroup out of memory: Killed process 4711 (java) total-vm:1kB"
	}
	if n := node(t, judge(in), "fires"); slices.Contains(codes(n), machine.SystemOOM) || n.Verdict != report.Healthy {
		t.Errorf("%s: %v", n.Verdict, codes(n))
	}
}

// Of a series within an hour and one that goes back further, only the former tells how often it was within the hour.
func TestASeriesOfFallsCountsWithinTheHourAlone(t *testing.T) {
	for began, flapping := range map[time.Duration]bool{50 * time.Minute: true, 3 * time.Hour: false} {
		in := load(t, "healthy")
		n := &in.Nodes[0]
		n.CreationTimestamp = metav1.NewTime(in.Now.Add(-24 * time.Hour))
		in.Events = []corev1.Event{{
			InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: n.Name, UID: n.UID}, Type: corev1.EventTypeNormal, Reason: "NodeNotReady",
			ReportingController: "node-controller", EventTime: metav1.NewMicroTime(in.Now.Add(-began)),
			Series: &corev1.EventSeries{Count: 12, LastObservedTime: metav1.NewMicroTime(in.Now.Add(-time.Minute))},
		}}
		if got := slices.Contains(codes(node(t, judge(in), n.Name)), machine.NodeReadinessFlapping); got != flapping {
			t.Errorf("12 times since %s: flapping %t, want %t", began, got, flapping)
		}
	}
}

// Patience is for what is on its way: an image that does not come, or a start that failed, shows at once.
func TestAFailedStartIsNoQuestionOfPatience(t *testing.T) {
	for reason, want := range map[string]bool{
		"ImagePullBackOff": true, "ErrImagePull": true, "CreateContainerConfigError": true, "RunContainerError": true,
		"ContainerCreating": false, "PodInitializing": false, "AReasonOfTomorrow": false,
	} {
		for code, labels := range map[finding.Code]map[string]string{workload.KubeProxyNotReady: {"k8s-app": "kube-proxy"}, workload.PodNotStarting: nil} {
			in := load(t, "healthy")
			p := &in.Pods[0]
			*p = corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "kube-system", Labels: labels, CreationTimestamp: metav1.NewTime(in.Now.Add(-20 * time.Second))}}
			if daemon := true; labels != nil {
				p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet", Name: "d", UID: "d", Controller: &daemon}}
			}
			p.Spec.NodeName, p.Status.Phase, p.Spec.Containers = in.Nodes[0].Name, corev1.PodPending, []corev1.Container{{Name: "c"}}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
			if got := codes(node(t, judge(in), in.Nodes[0].Name)); slices.Contains(got, code) != want {
				t.Errorf("%s for 20 s: %v, want %s %t", reason, got, code, want)
			}
		}
	}
}

// Two causes of one severity stand in the order of the book, the deeper one first, which is not that of their names.
func TestCausesStandInTheOrderOfTheBook(t *testing.T) {
	in := load(t, "DiskPressure")
	for i := range in.Nodes {
		for k := range in.Nodes[i].Status.Conditions {
			if c := &in.Nodes[i].Status.Conditions[k]; in.Nodes[i].Name == "fires" && c.Type == corev1.NodeReady {
				c.Status, c.Reason, c.Message = corev1.ConditionFalse, "KubeletNotReady", "failed to initialize a part of the kubelet"
			}
		}
	}
	got := codes(node(t, judge(in), "fires"))
	if len(got) < 2 || got[0] != machine.NodeNotReady || got[1] != machine.DiskPressure {
		t.Errorf("causes %v, want NodeNotReady before DiskPressure", got)
	}
}

// The step on the node names the runtime's own unit, and none that does not exist.
func TestTheRuntimeIsCheckedByTheNameOfItsUnit(t *testing.T) {
	for version, want := range map[string]string{
		"containerd://2.4.2": "systemctl status containerd; ", "cri-o://1.36.0": "systemctl status crio; ", "": "journalctl -u kubelet ",
	} {
		in := load(t, "ContainerRuntimeDown")
		for i := range in.Nodes {
			in.Nodes[i].Status.NodeInfo.ContainerRuntimeVersion = version
		}
		n := node(t, judge(in), "fires")
		if len(n.Findings) == 0 || !strings.HasPrefix(n.Findings[0].Next[0].Command, want) {
			t.Errorf("%q: %+v, want %s", version, n.Findings, want)
		}
	}
}
