package evaluate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// status is the STATUS column of kubectl get nodes
// (https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/printers/internalversion/printers.go, printNode).
func status(n *corev1.Node) string {
	text := "Unknown"
	if nodefact.ReadyCondition(n) != nil {
		text = "NotReady"
		if nodefact.PostedReady(n) {
			text = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		text += ",SchedulingDisabled"
	}
	return text
}

// roles are those of kubectl get nodes: node-role.kubernetes.io/ROLE labels, and kubernetes.io/role=ROLE.
func roles(n *corev1.Node) []string {
	var found []string
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, "node-role.kubernetes.io/"); ok && role != "" {
			found = append(found, role)
		} else if key == "kubernetes.io/role" && value != "" {
			found = append(found, value)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func hostname(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeHostName {
			return a.Address
		}
	}
	return n.Name
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func ptr[T any](v T) *T { return &v }

func age(d time.Duration) string { return duration.HumanDuration(max(d, 0)) }

func (v *view) ago(t time.Time) string { return age(v.now.Sub(t)) }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func conditionEvidence(c *corev1.NodeCondition) finding.Evidence {
	value := string(c.Status)
	if c.Reason != "" {
		value += " (" + c.Reason + ")"
	}
	if c.Message != "" {
		value += ": " + c.Message
	}
	return finding.Evidence{Source: "Node", Path: "status.conditions[" + string(c.Type) + "]", Value: value, Time: timeOf(c.LastTransitionTime.Time)}
}
