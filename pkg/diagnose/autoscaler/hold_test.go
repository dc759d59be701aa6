package autoscaler

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	eventfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// pod is one that runs, is ready and is made again by a ReplicaSet; NAMESPACE/NAME.
func pod(namespace, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	yes := true
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name}, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: name, Controller: &yes},
		}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations = map[string]string{key: value} }
}

func ownedBy(kind string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.OwnerReferences[0].Kind = kind }
}

func started(ago time.Duration) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.StartTime = &metav1.Time{Time: now.Add(-ago)} }
}

func bare(p *corev1.Pod) { p.OwnerReferences = nil }

func unready(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }

func volume(name string, from corev1.VolumeSource) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: from})
	}
}

var disk, memory = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}

func budget(namespace, name, app string, allowed int32) policyv1.PodDisruptionBudget {
	return policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}},
		Status:     policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: allowed},
	}
}

// told is each hold as "REASON WHAT VALUE".
func told(list []Hold) []string {
	var out []string
	for _, h := range list {
		what := "-"
		if h.Pod != nil {
			what = h.Pod.Namespace + "/" + h.Pod.Name
		}
		out = append(out, fmt.Sprintf("%s %s %s%v", h.Reason, what, h.Value, h.Budgets))
	}
	return out
}

func TestWhatKeepsClusterAutoscalerFromRemovingANode(t *testing.T) {
	three := 3
	all := Budgets{Read: true, List: []policyv1.PodDisruptionBudget{
		budget("shop", "none", "db", 0), budget("shop", "one", "twice", 1), budget("shop", "two", "twice", 1), budget("kube-system", "dns", "coredns", 1),
	}}
	for _, tt := range []struct {
		name    string
		node    map[string]string
		group   *Group
		pods    []*corev1.Pod
		budgets Budgets
		want    []string
	}{
		{name: "nothing", pods: []*corev1.Pod{pod("shop", "web")}, budgets: all},
		{
			name: "the node and its group, the hard ones first", node: map[string]string{ScaleDownDisabled: "true"}, group: &Group{Target: &three, Min: &three},
			pods: []*corev1.Pod{pod("shop", "job", annotated(SafeToEvict, "false"))}, budgets: all,
			want: []string{"NodeAnnotated - " + ScaleDownDisabled + "=true[]", "GroupAtMinimum - []", "PodAnnotated shop/job " + SafeToEvict + "=false[]"},
		},
		{name: "the annotation says no", node: map[string]string{ScaleDownDisabled: "false"}, budgets: all},
		{name: "a bare pod", pods: []*corev1.Pod{pod("shop", "bare", bare)}, budgets: all, want: []string{"PodBare shop/bare []"}},
		{name: "a bare pod that may go", pods: []*corev1.Pod{pod("shop", "bare", bare, annotated(SafeToEvict, "true"))}, budgets: all},
		{
			name: "kube-system", budgets: all, want: []string{"SystemPod kube-system/metrics []"},
			pods: []*corev1.Pod{pod("kube-system", "metrics"), pod("kube-system", "coredns"), pod("kube-system", "proxy", ownedBy("DaemonSet"))},
		},
		{name: "kube-system, and budgets were not read", pods: []*corev1.Pod{pod("kube-system", "metrics")}},
		{
			name: "local storage", budgets: all, want: []string{"LocalStorage shop/a data[]", "LocalStorage shop/b host[]"},
			pods: []*corev1.Pod{
				pod("shop", "a", volume("data", disk), volume("shm", memory)), pod("shop", "b", volume("host", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}})),
				pod("shop", "c", volume("shm", memory)), pod("shop", "d", volume("data", disk), annotated(SafeLocalVolumes, "tmp,data")),
				pod("shop", "e", volume("data", disk), ownedBy("DaemonSet")), pod("shop", "f", volume("config", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}})),
			},
		},
		{
			name: "budgets", budgets: all, want: []string{"PodDisruptionBudget shop/db [none]", "SeveralBudgets shop/twice [one two]"},
			pods: []*corev1.Pod{pod("shop", "db"), pod("shop", "twice"), pod("other", "db")},
		},
		{
			name: "pods that end or have ended", budgets: all, want: []string{"PodBare shop/ends []"},
			pods: []*corev1.Pod{
				pod("shop", "done", bare, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
				pod("shop", "overdue", bare, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now.Add(-2 * time.Minute)} }),
				pod("shop", "ends", bare), pod("shop", "static", bare, annotated(corev1.MirrorPodAnnotationKey, "x")),
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: tt.node}}
			if d := cmp.Diff(tt.want, told(Holds(n, tt.group, tt.pods, tt.budgets, now))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatKeepsKarpenterFromRemovingANode(t *testing.T) {
	fixed := int64(3)
	always := policyv1.AlwaysAllow
	lenient := budget("shop", "lenient", "ill", 0)
	lenient.Spec.UnhealthyPodEvictionPolicy = &always
	budgets := Budgets{Read: true, List: []policyv1.PodDisruptionBudget{budget("shop", "none", "db", 0), lenient}}
	pool := func(change func(*NodePool)) *NodePool {
		p := &NodePool{}
		p.Spec.Disruption.Budgets = []Budget{{Nodes: "10%"}}
		change(p)
		return p
	}
	for _, tt := range []struct {
		name string
		node map[string]string
		pool *NodePool
		pods []*corev1.Pod
		want []string
	}{
		{name: "nothing", pods: []*corev1.Pod{pod("shop", "web"), pod("shop", "bare", bare), pod("kube-system", "metrics")}},
		{name: "the node", node: map[string]string{DoNotDisrupt: "true"}, want: []string{"NodeAnnotated - " + DoNotDisrupt + "=true[]"}},
		{
			name: "pods, those of DaemonSets too", want: []string{"PodAnnotated shop/agent " + DoNotDisrupt + "=true[]", "PodAnnotated shop/job " + DoNotDisrupt + "=true[]"},
			pods: []*corev1.Pod{
				pod("shop", "job", annotated(DoNotDisrupt, "true")), pod("shop", "agent", annotated(DoNotDisrupt, "true"), ownedBy("DaemonSet")),
				pod("shop", "done", annotated(DoNotDisrupt, "true"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
				pod("shop", "no", annotated(DoNotDisrupt, "false")),
			},
		},
		{
			name: "pods for a time", want: []string{"PodAnnotated shop/new " + DoNotDisrupt + "=30m[]", "PodAnnotated shop/unstarted " + DoNotDisrupt + "=30m[]"},
			pods: []*corev1.Pod{
				pod("shop", "new", annotated(DoNotDisrupt, "30m"), started(29*time.Minute)), pod("shop", "unstarted", annotated(DoNotDisrupt, "30m")),
				pod("shop", "old", annotated(DoNotDisrupt, "30m"), started(30*time.Minute)), pod("shop", "negative", annotated(DoNotDisrupt, "-5m")),
				pod("shop", "plain", annotated(DoNotDisrupt, "30")),
			},
		},
		{
			name: "budgets", want: []string{"PodDisruptionBudget shop/db [none]"},
			pods: []*corev1.Pod{pod("shop", "db"), pod("shop", "ill", unready)},
		},
		{name: "a budget that spares those that are not ready counts the others", pods: []*corev1.Pod{pod("shop", "ill")}, want: []string{"PodDisruptionBudget shop/ill [lenient]"}},
		{name: "never consolidated", pool: pool(func(p *NodePool) { p.Spec.Disruption.After = "Never" }), want: []string{"PoolConsolidationOff - consolidateAfter=Never[]"}},
		{name: "a closed budget", pool: pool(func(p *NodePool) { p.Spec.Disruption.Budgets[0] = Budget{Nodes: "0", Reasons: []string{"Drifted"}} }), want: []string{"PoolBudgetClosed - 0 for Drifted[]"}},
		{name: "closed at times", pool: pool(func(p *NodePool) {
			p.Spec.Disruption.Budgets[0] = Budget{Nodes: "0", Schedule: "0 9 * * 1-5", Duration: "8h"}
		})},
		{name: "of a fixed size", pool: pool(func(p *NodePool) { p.Spec.Replicas, p.Spec.Disruption.After = &fixed, "Never" }), want: []string{"PoolFixed - []"}},
		{
			name: "only empty ones", pool: pool(func(p *NodePool) { p.Spec.Disruption.Policy = "WhenEmpty" }), pods: []*corev1.Pod{pod("shop", "web")},
			want: []string{"PoolWhenEmpty - consolidationPolicy=WhenEmpty[]"},
		},
		{name: "and it is empty", pool: pool(func(p *NodePool) { p.Spec.Disruption.Policy = "WhenEmpty" }), pods: []*corev1.Pod{pod("shop", "agent", ownedBy("DaemonSet"))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Annotations: tt.node}}
			if d := cmp.Diff(tt.want, told(KarpenterHolds(n, tt.pool, tt.pods, budgets, now))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatANodeClaimLacks(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus, reason string, ago time.Duration) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, LastTransitionTime: metav1.Time{Time: now.Add(-ago)}}
	}
	for _, tt := range []struct {
		name       string
		age        time.Duration
		deleted    bool
		conditions []metav1.Condition
		want       Lack
		since      time.Duration
	}{
		{"just made", time.Minute, false, nil, NothingLacks, 0},
		{"just made, and awaited", time.Minute, false, []metav1.Condition{condition(Launched, "Unknown", awaited, time.Minute)}, NothingLacks, 0},
		{"not launched in time", 4 * time.Minute, false, []metav1.Condition{condition(Launched, "Unknown", awaited, 4*time.Minute)}, NotLaunched, 4 * time.Minute},
		{"the launch failed", time.Minute, false, []metav1.Condition{condition(Launched, "Unknown", "LaunchFailed", time.Minute)}, NotLaunched, time.Minute},
		{"the launch failed, by older versions", time.Minute, false, []metav1.Condition{condition(Launched, "False", "LaunchFailed", time.Minute)}, NotLaunched, time.Minute},
		{"joins", 10 * time.Minute, false, []metav1.Condition{condition(Launched, "True", "Launched", 9*time.Minute), condition(Registered, "Unknown", "NodeNotFound", 10*time.Minute)}, NothingLacks, 0},
		{"has not joined", 12 * time.Minute, false, []metav1.Condition{condition(Launched, "True", "Launched", 11*time.Minute), condition(Registered, "Unknown", "NodeNotFound", 12*time.Minute)}, NotRegistered, 11 * time.Minute},
		{"has not joined, and is being deleted", 16 * time.Minute, true, []metav1.Condition{condition(Launched, "True", "Launched", 15*time.Minute)}, NothingLacks, 0},
		{"starts", 12 * time.Minute, false, []metav1.Condition{condition(Launched, "True", "", 11*time.Minute), condition(Registered, "True", "", 9*time.Minute)}, NothingLacks, 0},
		{"does not get ready", 20 * time.Minute, false, []metav1.Condition{condition(Launched, "True", "", 19*time.Minute), condition(Registered, "True", "", 18*time.Minute), condition(Initialized, "False", "StartupTaintsExist", 18*time.Minute)}, NotInitialized, 18 * time.Minute},
		{"well", time.Hour, false, []metav1.Condition{condition(Launched, "True", "", time.Hour), condition(Registered, "True", "", time.Hour), condition(Initialized, "True", "", time.Hour)}, NothingLacks, 0},
	} {
		c := &NodeClaim{}
		c.Metadata.Created, c.Status.Conditions = metav1.Time{Time: now.Add(-tt.age)}, tt.conditions
		if tt.deleted {
			c.Metadata.Deleted = &metav1.Time{Time: now}
		}
		lack, _, since := c.Lacks(now)
		if lack != tt.want || lack != NothingLacks && now.Sub(since) != tt.since {
			t.Errorf("%s: %d since %s, want %d", tt.name, lack, since, tt.want)
		}
	}
}

func TestEventsOfScaleUps(t *testing.T) {
	event := func(reason, kind, name, message string, ago time.Duration) eventfact.Event {
		e := eventfact.Event{Reason: reason, Message: message, Last: now.Add(-ago)}
		e.About.Kind, e.About.Namespace, e.About.Name = kind, "shop", name
		return e
	}
	c := &Cluster{Events: []eventfact.Event{
		event(NotTriggered, "Pod", "web", "max node group size reached", time.Minute),
		event(GroupFailed, "ConfigMap", "status", "Scale-up failed for group pool-2: quota", 2*time.Minute),
		event(TimedOut, "ConfigMap", "status", "Nodes added to group pool failed to register within 15m0s", 3*time.Minute),
		event(NotTriggered, "Pod", "web", "an earlier one", 4*time.Minute),
		event(NotTriggered, "Pod", "old", "over", time.Hour),
	}}
	if got := c.FailedScaleUps(&Group{Name: "pool"}); len(got) != 1 || got[0].Reason != TimedOut {
		t.Errorf("pool: %+v", got)
	}
	if got := c.FailedScaleUps(&Group{Name: "pool-2"}); len(got) != 1 || got[0].Reason != GroupFailed {
		t.Errorf("pool-2: %+v", got)
	}
	if got := c.NoGroupFits(false, now); len(got) != 1 || got[0].Message != "max node group size reached" {
		t.Errorf("pods: %+v", got)
	}
}

func TestWhoScalesANode(t *testing.T) {
	status := &Status{State: "Running"}
	claim := NodeClaim{}
	claim.Metadata.Name, claim.Status.NodeName = "default-x7k2p", "w1"
	c := &Cluster{Status: status, Claims: []NodeClaim{claim}}
	made := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1", Labels: map[string]string{NodePoolLabel: "default"}}}
	if s := c.Of(made, nil, true, nil, now); s == nil || !s.Karpenter || s.Claim == nil || s.Status != nil {
		t.Errorf("Karpenter's: %+v", s)
	}
	made.OwnerReferences = []metav1.OwnerReference{{APIVersion: "karpenter.sh/v1", Kind: "NodeClaim", Name: "default-other"}}
	if s := c.Of(made, nil, true, nil, now); s.Claim != nil {
		t.Errorf("the NodeClaim of another node: %+v", s.Claim)
	}
	other := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w2"}}
	shares := []Share{{"cpu", 49.9}, {"memory", 61}}
	if s := c.Of(other, nil, true, shares, now); s == nil || s.Karpenter || s.Most == nil || s.Most.Resource != "memory" || len(s.Holds) != 1 {
		t.Errorf("Cluster Autoscaler's: %+v", s)
	}
	if s := c.Of(other, []*corev1.Pod{pod("shop", "bare", bare)}, false, shares, now); s.Checked || len(s.Holds) > 0 {
		t.Errorf("pods that were not read keep it: %+v", s.Holds)
	}
	if s := c.Of(other, nil, true, shares[:1], now); len(s.Holds) > 0 {
		t.Errorf("little used: %+v", s.Holds)
	}
	if s := (&Cluster{}).Of(other, nil, true, nil, now); s != nil {
		t.Errorf("nobody's: %+v", s)
	}
}
