package pods

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestCommandsOfProbesAndHooksAreSaidWithoutTheirSecrets(t *testing.T) {
	exec := []string{"mysqladmin", "--password=hidden 5", "ping"}
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: exec}}}
	hook := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: exec}}
	for _, got := range []string{describeProbe(probe), describeHook(hook)} {
		if strings.Contains(got, "hidden") || !strings.Contains(got, "mysqladmin --password=*** ping") {
			t.Error(got)
		}
	}
}
