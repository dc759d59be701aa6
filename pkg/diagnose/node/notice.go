package node

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Notice is work on a node that its cloud has announced. The node is well until then.
type Notice struct {
	Path, Value string // where in the Node, and what stands there
	Text        string // the announcement in its own words
}

// noticeTaints are set by the AWS Node Termination Handler for what does not end the node by itself, with what each announces.
// https://github.com/aws/aws-node-termination-handler/blob/main/pkg/node/node.go
var noticeTaints = map[string]string{
	"aws-node-termination-handler/scheduled-maintenance":    "AWS has scheduled maintenance of the instance",
	"aws-node-termination-handler/rebalance-recommendation": "AWS expects that it has to take the Spot instance back",
}

// noticeConditions are those in which node-problem-detector on Azure posts the scheduled events of a virtual machine.
// https://learn.microsoft.com/azure/aks/node-problem-detector#node-conditions
var noticeConditions = map[corev1.NodeConditionType]bool{
	"VMEventScheduled": true, "FreezeScheduled": true, "RebootScheduled": true, "RedeployScheduled": true, "TerminateScheduled": true,
	"PreemptScheduled": true,
}

// OfNotice says whether a taint is an announcement.
func OfNotice(taint string) bool { return noticeTaints[taint] != "" }

// Announces says whether a condition that is True is an announcement, and no problem.
func Announces(condition corev1.NodeConditionType) bool { return noticeConditions[condition] }

// Notices are the announcements that stand in a node.
func Notices(n *corev1.Node) []Notice {
	var list []Notice
	for _, c := range n.Status.Conditions {
		if Announces(c.Type) && c.Status == corev1.ConditionTrue {
			text := "Azure has scheduled an event of the virtual machine (" + string(c.Type) + ")"
			if said := strings.TrimSuffix(cmp.Or(c.Message, c.Reason), "."); said != "" {
				text += ": " + said
			}
			list = append(list, Notice{Path: "status.conditions[" + string(c.Type) + "]", Value: strings.TrimSpace("True " + c.Reason), Text: text})
		}
	}
	for _, t := range n.Spec.Taints {
		if text := noticeTaints[t.Key]; text != "" {
			list = append(list, Notice{Path: "spec.taints", Value: t.ToString(), Text: text})
		}
	}
	return list
}
