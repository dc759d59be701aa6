package evaluate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/workload"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// said gives what a report says under a code; empty: nothing.
func said(n report.Node, code finding.Code) string {
	for _, f := range n.Findings {
		if f.Code == code {
			return f.Message
		}
	}
	return ""
}

// What a disk lacks is told with the kubelet's own threshold, where it told one.
func TestWhatADiskLacksIsToldWithItsThreshold(t *testing.T) {
	for name, tt := range map[string]struct {
		message string
		want    string
	}{
		"inodes, with figures": {"The node was low on resource: inodes. Threshold quantity: 131072, available: 12. ", "out of inodes (DiskPressure): threshold 131072, available 12"},
		"bytes, with figures":  {"The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. ", "low on disk space (DiskPressure): threshold 10Gi, available 9Gi"},
		"inodes, no figures":   {"The node was low on resource: inodes. ", "out of inodes"},
	} {
		t.Run(name, func(t *testing.T) {
			in := load(t, "DiskPressure")
			in.Pods = append(in.Pods, corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "evicted", Namespace: "shop", UID: "evicted", CreationTimestamp: metav1.NewTime(in.Now.Add(-time.Hour))},
				Spec:       corev1.PodSpec{NodeName: "fires", Containers: []corev1.Container{{Name: "c"}}},
				Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: tt.message, Conditions: []corev1.PodCondition{{
					Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(in.Now.Add(-20 * time.Second)),
				}}},
			})
			got := said(node(t, judge(in), "fires"), machine.DiskPressure)
			if !strings.Contains(got, tt.want) || strings.Contains(got, "threshold") != strings.Contains(tt.want, "threshold") {
				t.Errorf("%s; want %s", got, tt.want)
			}
		})
	}
}

// kube-proxy lacks a pod where its selector does not match any more; the DaemonSet of a user who chose its nodes lacks none.
func TestKubeProxyLeavesANodeThatLostALabelOfItsSelector(t *testing.T) {
	for name, tt := range map[string]struct {
		daemon   string
		selector map[string]string
		others   int32 // pods on other nodes
		want     bool
	}{
		"a label that the node has":             {"kube-proxy", map[string]string{"kubernetes.io/os": "linux"}, 2, false},
		"one of the distribution's, gone":       {"kube-proxy", map[string]string{"proxy": "yes"}, 2, true},
		"one that no node has":                  {"kube-proxy", map[string]string{"proxy": "yes"}, 0, false},
		"a user's DaemonSet for other nodes":    {"gpu-agent", map[string]string{"gpu": "yes"}, 2, false},
		"a label that the kubelet sets, gone":   {"gpu-agent", map[string]string{"kubernetes.io/arch": "amd64"}, 2, true},
		"a label of the kubelet, another value": {"gpu-agent", map[string]string{"kubernetes.io/arch": "arm64"}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := one(t, func(in *Input, n *corev1.Node) {
				n.Labels = map[string]string{"kubernetes.io/hostname": n.Name, "kubernetes.io/os": "linux"}
				in.Pods = nil
				d := appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{
					Name: tt.daemon, Namespace: "kube-system", UID: "d", CreationTimestamp: metav1.NewTime(in.Now.Add(-24 * time.Hour)),
				}}
				d.Status.CurrentNumberScheduled = tt.others
				d.Spec.Template.Spec.NodeSelector = tt.selector
				d.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
				in.DaemonSets = []appsv1.DaemonSet{d}
			})
			got := said(n, workload.DaemonSetPodMissing)
			if lacks := strings.Contains(got, "the node lacks the label "); lacks != tt.want {
				t.Errorf("%s: %q", n.Verdict, got)
			}
		})
	}
}

// The network plugin's words come first; that few addresses are in use is told beside them, and where to look.
func TestLeakedAddressesAreToldAgainstTheCount(t *testing.T) {
	const message = `Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "5f": plugin type="bridge" ` +
		`failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.9.0.1-10.9.0.6`
	for name, tt := range map[string]struct {
		leaked bool
	}{"none of them in use": {true}, "all in use": {false}} {
		t.Run(name, func(t *testing.T) {
			in := load(t, "PodIPsExhausted") // five of five addresses
			at := slices.IndexFunc(in.Nodes, func(n corev1.Node) bool { return n.Name == "fires" })
			if tt.leaked {
				in.Pods = slices.DeleteFunc(in.Pods, func(p corev1.Pod) bool { return p.Spec.NodeName == "fires" && p.Status.PodIP != "" })
			}
			in.Pods = append(in.Pods, corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "new", Namespace: "shop", UID: "new", CreationTimestamp: metav1.NewTime(in.Now.Add(-5 * time.Minute))},
				Spec:       corev1.PodSpec{NodeName: in.Nodes[at].Name, Containers: []corev1.Container{{Name: "c"}}},
				Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
					Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
				}}},
			})
			in.Events = append(in.Events, corev1.Event{
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "new", UID: "new"}, Type: corev1.EventTypeWarning,
				Reason: "FailedCreatePodSandBox", Message: message, Count: 9, LastTimestamp: metav1.NewTime(in.Now.Add(-10 * time.Second)),
			})
			n := node(t, judge(in), "fires")
			got := said(n, workload.PodIPsExhausted)
			if contradiction := strings.Contains(got, "the node has no free pod address, but only 0 of 5 are in use by pods: "); contradiction != tt.leaked {
				t.Errorf("%q", got)
			}
			if !strings.Contains(got, "no IP addresses available in range set: 10.9.0.1-10.9.0.6") || n.Findings[0].Code != workload.PodIPsExhausted {
				t.Errorf("the cause is not first: %v %q", codes(n), got)
			}
			where := false
			for _, next := range n.Findings[0].Next {
				where = where || strings.Contains(next.Command, "/var/lib/cni/networks/")
			}
			if !where {
				t.Errorf("it does not say where to look: %+v", n.Findings[0].Next)
			}
		})
	}
}

// However many events tell of the falls, a report has one count of them, and the time that it is true of.
func TestFallsFromReadyHaveOneCount(t *testing.T) {
	fell := func(in *Input, n *corev1.Node, from string, count int32, first, last time.Duration) {
		in.Events = append(in.Events, corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", from, len(in.Events)), Namespace: "default", UID: types.UID(fmt.Sprint(from, len(in.Events)))},
			InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: n.Name, UID: n.UID}, Type: corev1.EventTypeNormal, Reason: "NodeNotReady",
			Source: corev1.EventSource{Component: from}, Message: "Node " + n.Name + " status is now: NodeNotReady", Count: count,
			FirstTimestamp: metav1.NewTime(in.Now.Add(-first)), LastTimestamp: metav1.NewTime(in.Now.Add(-last)),
		})
	}
	for name, tt := range map[string]struct {
		count int32
		want  string
	}{
		"six times": {6, "the node changed to NotReady 6 times within 50m"},
		"once":      {1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := one(t, func(in *Input, n *corev1.Node) {
				fell(in, n, "node-controller", tt.count, 50*time.Minute, 20*time.Second)
				fell(in, n, "kubelet", 1, 20*time.Second, 20*time.Second) // the last one, told by the other side too
			})
			if got := said(n, machine.NodeReadinessFlapping); got != tt.want {
				t.Errorf("%q; want %q", got, tt.want)
			}
			for _, f := range n.Findings {
				if f.Code != machine.NodeReadinessFlapping && strings.Contains(f.Message, "NotReady") {
					t.Errorf("a second count: %s: %s", f.Code, f.Message)
				}
			}
		})
	}
}

// A cloud that takes a machine away says so by a taint: nobody is to remove it, and it is told.
func TestAMachineThatItsCloudTakesAwayIsToldSo(t *testing.T) {
	for key, want := range map[string]string{
		"aws-node-termination-handler/spot-itn":       "AWS is removing the node",
		"cloud.google.com/impending-node-termination": "Google Cloud is removing the node",
	} {
		n := one(t, func(_ *Input, n *corev1.Node) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Value: "1796122000", Effect: corev1.TaintEffectNoSchedule})
		})
		if got := said(n, workload.NodeRemovalInProgress); got != want || said(n, workload.NewPodsKeptOff) != "" || n.Verdict != report.Healthy {
			t.Errorf("%s: %s %q %v", key, n.Verdict, got, codes(n))
		}
	}
}

// A node that a user tainted, or that is nearly full, is well, and not said to be open.
func TestWhatKeepsNewPodsAwayIsInformation(t *testing.T) {
	for name, tt := range map[string]struct {
		taint bool
		cpu   string
		want  string
	}{
		"neither":           {false, "3400m", ""},
		"a taint":           {true, "100m", "most new pods are kept off the node: taint team=a:NoSchedule"},
		"nearly all of CPU": {false, "3700m", "most new pods are kept off the node: 97% of cpu is requested (100m free)"},
		"both":              {true, "3700m", "most new pods are kept off the node: taint team=a:NoSchedule; 97% of cpu is requested (100m free)"},
	} {
		t.Run(name, func(t *testing.T) {
			n := one(t, func(in *Input, n *corev1.Node) {
				n.Status.Allocatable[corev1.ResourceCPU] = resource.MustParse("3800m")
				if tt.taint {
					n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "team", Value: "a", Effect: corev1.TaintEffectNoSchedule})
				}
				in.Pods = []corev1.Pod{{
					ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "web", CreationTimestamp: metav1.NewTime(in.Now.Add(-time.Hour))},
					Spec: corev1.PodSpec{NodeName: n.Name, Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(tt.cpu)},
					}}}},
					Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
				}}
			})
			if got := said(n, workload.NewPodsKeptOff); got != tt.want || n.Verdict != report.Healthy {
				t.Errorf("%s, %q; want %q", n.Verdict, got, tt.want)
			}
		})
	}
}

// A kubelet that runs for longer than it used to has come through; one that ends each minute has not.
func TestAKubeletThatCameThrough(t *testing.T) {
	for _, tt := range []struct {
		every, since time.Duration
		want         bool
	}{
		{time.Second, 10 * time.Second, true},
		{time.Second, 40 * time.Second, false},
		{time.Minute, 100 * time.Second, true},
		{time.Minute, 130 * time.Second, false},
	} {
		in := load(t, "KubeletRestarting")
		in.Events = slices.DeleteFunc(in.Events, func(e corev1.Event) bool { return e.Reason == "Starting" })
		for i := range 6 {
			at := metav1.NewTime(in.Now.Add(-tt.since - time.Duration(i)*tt.every))
			in.Events = append(in.Events, corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Name: "s" + string(rune('a'+i)), Namespace: "default"}, Reason: "Starting", Type: corev1.EventTypeNormal, Count: 1,
				InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: "fires"}, Source: corev1.EventSource{Component: "kubelet"},
				FirstTimestamp: at, LastTimestamp: at,
			})
		}
		if got := slices.Contains(codes(node(t, judge(in), "fires")), machine.KubeletRestarting); got != tt.want {
			t.Errorf("a start each %s, the last %s ago: %t", tt.every, tt.since, got)
		}
	}
}

// Nothing deletes the Lease of a cloud's controllers that were removed: a cluster runs without them.
func TestALeaseThatWasLeftOver(t *testing.T) {
	for _, tt := range []struct {
		component string
		age       time.Duration
		want      finding.Severity
	}{
		{"cloud-controller-manager", 5 * time.Minute, finding.Critical},
		{"cloud-controller-manager", 48 * time.Hour, finding.Info},
		{"kube-scheduler", 48 * time.Hour, finding.Critical},
	} {
		in := load(t, "LeaderLeaseExpired")
		for i := range in.SystemLeases {
			l := &in.SystemLeases[i]
			if l.Spec.HolderIdentity == nil || !strings.Contains(l.Name, "scheduler") {
				continue
			}
			l.Name, l.ManagedFields = tt.component, nil
			l.Spec.RenewTime = &metav1.MicroTime{Time: in.Now.Add(-tt.age)}
		}
		n := node(t, judge(in), "fires")
		at := slices.IndexFunc(n.Findings, func(f finding.Finding) bool { return f.Code == machine.LeaderLeaseExpired })
		if at < 0 || n.Findings[at].Severity != tt.want {
			t.Errorf("%s, %s: %+v", tt.component, tt.age, n.Findings)
		}
		if at >= 0 && tt.want == finding.Info && !strings.HasPrefix(n.Findings[at].Next[1].Command, "kubectl delete lease cloud-controller-manager") {
			t.Errorf("next: %+v", n.Findings[at].Next)
		}
	}
}
