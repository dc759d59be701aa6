package node

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// lease is renewed so long ago by the server's clock, on a node whose clock is wrong by skew. duration 0: not said.
func lease(ago, skew time.Duration, duration int32, managed bool) *coordinationv1.Lease {
	l := &coordinationv1.Lease{}
	renewed := metav1.NewMicroTime(now.Add(-ago + skew))
	l.Spec.RenewTime = &renewed
	if duration > 0 {
		l.Spec.LeaseDurationSeconds = &duration
	}
	if managed {
		at := metav1.NewTime(now.Add(-ago))
		older := metav1.NewTime(now.Add(-time.Hour))
		l.ManagedFields = []metav1.ManagedFieldsEntry{
			{Manager: "kubelet", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:renewTime":{}}}`)},
			{Manager: "old", Time: &older, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:renewTime":{}}}`)},
		}
	}
	return l
}

func TestHeartbeatGoesByTheServersClock(t *testing.T) {
	for _, tt := range []struct {
		name     string
		lease    *coordinationv1.Lease
		patience time.Duration
		want     Beat
	}{
		{"no lease", nil, Patience, NoBeat},
		{"never renewed", &coordinationv1.Lease{}, Patience, NoBeat},
		{"renewed a moment ago", lease(10*time.Second, 0, 40, true), Patience, Fresh},
		{"at its end", lease(40*time.Second, 0, 40, true), Patience, Fresh},
		{"late", lease(41*time.Second, 0, 40, true), Patience, Late},
		{"at the end of patience", lease(60*time.Second, 0, 40, true), Patience, Late},
		{"expired", lease(61*time.Second, 0, 40, true), Patience, Expired},
		{"a lease that lasts longer than patience", lease(90*time.Second, 0, 120, true), Patience, Fresh},
		{"a lease that lasts long and is over", lease(121*time.Second, 0, 120, true), Patience, Expired},
		{"without a duration it is 40 s", lease(41*time.Second, 0, 0, true), Patience, Late},
		{"a clock 45 s behind kills no node", lease(5*time.Second, -45*time.Second, 40, true), Patience, Fresh},
		{"a clock 10 min ahead saves no node", lease(70*time.Second, 10*time.Minute, 40, true), Patience, Expired},
		{"a dump has the node's clock alone", lease(5*time.Second, -45*time.Second, 40, false), Patience, Late},
		{"the user's patience", lease(70*time.Second, 0, 40, true), 2 * time.Minute, Late},
	} {
		if got := HeartbeatOf(tt.lease, now, tt.patience); got.Beat != tt.want {
			t.Errorf("%s: %s (%s old), want %s", tt.name, got.Beat, got.Age, tt.want)
		}
	}
}

func TestHeartbeatTellsTheSkew(t *testing.T) {
	h := HeartbeatOf(lease(5*time.Second, -45*time.Second, 40, true), now, Patience)
	if h.Skew == nil || *h.Skew != -45*time.Second || h.Age != 5*time.Second || h.Duration != 40*time.Second {
		t.Errorf("%+v", h)
	}
	if h := HeartbeatOf(lease(5*time.Second, -45*time.Second, 40, false), now, Patience); h.Skew != nil {
		t.Errorf("without the server's time the skew is not known: %v", *h.Skew)
	}
	if h := HeartbeatOf(lease(-5*time.Second, 0, 40, true), now, Patience); h.Age != 0 {
		t.Errorf("a renewal after the look is %s old", h.Age)
	}
}

func node(status corev1.ConditionStatus, reason string) *corev1.Node {
	return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse}, {Type: corev1.NodeReady, Status: status, Reason: reason},
	}}}
}

func TestReadinessConsultsTheLease(t *testing.T) {
	fresh, late, expired := lease(time.Second, 0, 40, true), lease(50*time.Second, 0, 40, true), lease(time.Hour, 0, 40, true)
	for _, tt := range []struct {
		name  string
		node  *corev1.Node
		lease *coordinationv1.Lease
		want  State
	}{
		{"True and heard of", node(corev1.ConditionTrue, "KubeletReady"), fresh, Ready},
		{"True and no lease to read", node(corev1.ConditionTrue, "KubeletReady"), nil, Ready},
		{"True and late", node(corev1.ConditionTrue, "KubeletReady"), late, Ready},
		{"True of a dead kubelet, unmarked", node(corev1.ConditionTrue, "KubeletReady"), expired, Silent},
		{"False and heard of", node(corev1.ConditionFalse, "KubeletNotReady"), fresh, NotReady},
		{"False of a dead kubelet", node(corev1.ConditionFalse, "KubeletNotReady"), expired, Silent},
		{"Unknown and not heard of", node(corev1.ConditionUnknown, "NodeStatusUnknown"), expired, Silent},
		{"Unknown and late", node(corev1.ConditionUnknown, "NodeStatusUnknown"), late, Silent},
		{"Unknown and no lease to read", node(corev1.ConditionUnknown, "NodeStatusUnknown"), nil, Silent},
		{"Unknown and heard of again", node(corev1.ConditionUnknown, "NodeStatusUnknown"), fresh, Returning},
		{"never", node(corev1.ConditionUnknown, "NodeStatusNeverUpdated"), nil, NeverHeard},
		{"no condition", &corev1.Node{}, fresh, NeverHeard},
	} {
		if got := ReadinessOf(tt.node, tt.lease, now, Patience); got.State != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got.State, tt.want)
		}
	}
}

func TestLeaderGoesByTheServersClock(t *testing.T) {
	held := func(l *coordinationv1.Lease, holder string) *coordinationv1.Lease {
		l.Spec.HolderIdentity = &holder
		return l
	}
	for _, tt := range []struct {
		name    string
		lease   *coordinationv1.Lease
		holder  string
		expired bool
	}{
		{"leads", held(lease(2*time.Second, 0, 15, true), "cp1_x"), "cp1_x", false},
		{"the next one has time to take over", held(lease(25*time.Second, 0, 15, true), "cp1_x"), "cp1_x", false},
		{"nobody leads", held(lease(26*time.Second, 0, 15, true), "cp1_x"), "cp1_x", true},
		{"a lease of a minute", held(lease(65*time.Second, 0, 60, true), "cp1_x"), "cp1_x", false},
		{"a holder whose clock is behind leads", held(lease(2*time.Second, -time.Minute, 15, true), "cp1_x"), "cp1_x", false},
		{"given back a moment ago", held(lease(5*time.Second, 0, 1, true), ""), "", false},
		{"given back, and nobody took it", held(lease(12*time.Second, 0, 1, true), ""), "", true},
		{"never renewed", &coordinationv1.Lease{}, "", false},
	} {
		if got := LeaderOf(tt.lease, now); got.Expired != tt.expired || got.Holder != tt.holder {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	other := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "kube-scheduler"}}
	if LeaseOfComponent(other, "kube-scheduler") {
		t.Error("a lease of a team is taken for the scheduler's")
	}
}

func TestMissedCountsWholeIntervals(t *testing.T) {
	for age, want := range map[time.Duration]int{0: 0, 11 * time.Second: 0, 12 * time.Second: 1, 21 * time.Second: 1, 22 * time.Second: 2, 39 * time.Second: 3} {
		if h := HeartbeatOf(lease(age, 0, 40, true), now, Patience); h.Missed() != want {
			t.Errorf("%s: %d, want %d", age, h.Missed(), want)
		}
	}
	if none := (Heartbeat{Beat: NoBeat}); none.Missed() != 0 {
		t.Error("no lease, and renewals are missed")
	}
}

func TestAKubeletThatPostsAndDoesNotRenewRuns(t *testing.T) {
	for name, tt := range map[string]struct {
		renewed, posted, changed time.Duration // ago
		status                   corev1.ConditionStatus
		want                     bool
		state                    State
	}{
		"it posts":                          {4 * time.Minute, 20 * time.Second, 20 * time.Second, corev1.ConditionTrue, true, Ready},
		"marked a moment ago, it will post": {4 * time.Minute, 55 * time.Second, 5 * time.Second, corev1.ConditionUnknown, true, Silent},
		"marked, and it did not post":       {4 * time.Minute, 63 * time.Second, 13 * time.Second, corev1.ConditionUnknown, false, Silent},
		"it stopped after both":             {50 * time.Second, 45 * time.Second, time.Hour, corev1.ConditionTrue, false, Ready},
		"it stopped long ago":               {20 * time.Minute, 15 * time.Minute, time.Hour, corev1.ConditionTrue, false, Silent},
		"it renews":                         {5 * time.Second, 4 * time.Minute, time.Hour, corev1.ConditionTrue, false, Ready},
	} {
		n := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: tt.status, LastHeartbeatTime: metav1.NewTime(now.Add(-tt.posted)), LastTransitionTime: metav1.NewTime(now.Add(-tt.changed)),
		}}}}
		if r := ReadinessOf(n, lease(tt.renewed, 0, 40, true), now, Patience); r.Posting != tt.want || r.State != tt.state {
			t.Errorf("%s: posting %t, %s", name, r.Posting, r.State)
		}
	}
}

func TestClocksThatStopTogetherHaveOneCause(t *testing.T) {
	all := func(ages ...time.Duration) []*coordinationv1.Lease {
		var list []*coordinationv1.Lease
		for _, age := range ages {
			list = append(list, lease(age, 0, 0, true))
		}
		return list
	}
	for name, tt := range map[string]struct {
		nodes, components []*coordinationv1.Lease
		want              bool
	}{
		"a node and two components":      {all(128 * time.Second), all(120*time.Second, 121*time.Second), true},
		"a component goes on":            {all(128 * time.Second), all(120*time.Second, 2*time.Second), false},
		"another node goes on":           {all(128*time.Second, 5*time.Second), all(120*time.Second, 121*time.Second), false},
		"one stopped long before":        {all(128 * time.Second), all(120*time.Second, time.Hour), false},
		"nodes alone may share a switch": {all(128*time.Second, 127*time.Second, 126*time.Second), nil, false},
		"two are a coincidence":          {all(128 * time.Second), all(120 * time.Second), false},
	} {
		if _, got := StoppedTogether(tt.nodes, tt.components, now); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
