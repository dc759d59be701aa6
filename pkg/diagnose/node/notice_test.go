package node

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestWhatACloudAnnounces(t *testing.T) {
	n := &corev1.Node{}
	n.Status.Conditions = []corev1.NodeCondition{
		{Type: "VMEventScheduled", Status: corev1.ConditionTrue, Reason: "VMEventScheduled", Message: "Reboot at 03:00."},
		{Type: "FreezeScheduled", Status: corev1.ConditionFalse},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
	}
	n.Spec.Taints = []corev1.Taint{
		{Key: "aws-node-termination-handler/scheduled-maintenance", Value: "x", Effect: corev1.TaintEffectNoSchedule},
		{Key: "aws-node-termination-handler/spot-itn", Effect: corev1.TaintEffectNoSchedule},
	}
	got := Notices(n)
	if len(got) != 2 || !strings.HasSuffix(got[0].Text, "(VMEventScheduled): Reboot at 03:00") || !strings.Contains(got[1].Value, "scheduled-maintenance=x:NoSchedule") {
		t.Errorf("%+v", got)
	}
}
