package evaluate_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// What admission made of the pod is named; what would show another place as the node is critical.
func TestWhatAdmissionChangedIsNamed(t *testing.T) {
	asked := evaluate.Evaluate(healthy().Input, now, healthy().Options).Pod
	never := asked.DeepCopy()
	never.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
	for name, test := range map[string]struct {
		asked    *corev1.Pod
		change   func(*corev1.PodSpec)
		severity finding.Severity
		named    string
	}{
		"nothing":     {asked, func(*corev1.PodSpec) {}, "", ""},
		"a sidecar":   {asked, func(s *corev1.PodSpec) { s.Containers = append([]corev1.Container{{Name: "proxy"}}, s.Containers...) }, "", ""},
		"hostPID":     {asked, func(s *corev1.PodSpec) { s.HostPID = false }, finding.Critical, "hostPID"},
		"hostNetwork": {asked, func(s *corev1.PodSpec) { s.HostNetwork = false }, finding.Critical, "hostNetwork"},
		"hostIPC":     {asked, func(s *corev1.PodSpec) { s.HostIPC = false }, finding.Warning, "hostIPC"},
		"node":        {asked, func(s *corev1.PodSpec) { s.NodeName = "other" }, finding.Critical, `set node other`},
		"container":   {asked, func(s *corev1.PodSpec) { s.Containers[0].Name = "x" }, finding.Critical, `container "shell"`},
		"privileged":  {asked, func(s *corev1.PodSpec) { s.Containers[0].SecurityContext = nil }, finding.Critical, "privileged"},
		"image":       {asked, func(s *corev1.PodSpec) { s.Containers[0].Image = "evil:1" }, finding.Critical, `"evil:1"`},
		"policy":      {asked, func(s *corev1.PodSpec) { s.Containers[0].ImagePullPolicy = corev1.PullAlways }, finding.Warning, "from IfNotPresent to Always"},
		"no pull":     {never, func(s *corev1.PodSpec) { s.Containers[0].ImagePullPolicy = corev1.PullAlways }, finding.Critical, "from Never to Always"},
	} {
		made := test.asked.DeepCopy()
		test.change(&made.Spec)
		found := evaluate.Changed(test.asked, made, nil, healthy().Options)
		switch {
		case test.named == "" && len(found) > 0:
			t.Errorf("%s: %v", name, found)
		case test.named != "" && (len(found) != 1 || found[0].Severity != test.severity || !strings.Contains(found[0].Message, test.named)):
			t.Errorf("%s: %v; want %s with %s", name, found, test.severity, test.named)
		}
	}
}

// Admission is asked once for many nodes, about the pod of the first: that another node and another image stand in the
// others' pods is no change.
func TestThePodOfAnotherNodeIsNoChange(t *testing.T) {
	first, second := healthy(), healthy()
	first.Options.Image = "docker.io/library/alpine:3.20"
	first.Input.Node.Name = "worker-0"
	asked := evaluate.Evaluate(first.Input, now, first.Options).Pod
	tries := []evaluate.Try{{Namespace: "default", Asked: asked, Pod: asked.DeepCopy()}}
	plan := evaluate.Place(evaluate.Evaluate(second.Input, now, second.Options), tries, nil, second.Options)
	if plan.Verdict != report.Ready || len(plan.Findings) > 0 {
		t.Errorf("%s: %v", plan.Verdict, plan.Findings)
	}
}

// What a webhook or a kubelet says is quoted without its secrets, also in the next command.
func TestNoSecretIsQuoted(t *testing.T) {
	f := healthy()
	f.Options.CallRest = []string{"--", "psql", "postgres://u:canary1@db"}
	f.Tries = []evaluate.Try{{Namespace: "default", Denied: `admission webhook "x" denied: Bearer canary2canary`}, {Namespace: "b", Denied: "password=canary3"}}
	f.Wait = &podspec.Wait{Code: podspec.WaitPullFailed, Text: "pull https://u:canary4@registry"}
	plan := f.plan()
	if text := fmt.Sprintf("%+v %s", plan.Findings, plan.Summary); strings.Contains(text, "canary") || !strings.Contains(text, "https://u:***@registry") {
		t.Error(text)
	}
}
