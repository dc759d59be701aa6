package evaluate

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/pods"
)

// Where the log of a container that fell has been asked for and holds nothing, kubectl logs leads nowhere
// (https://github.com/cortexlabs/cortex/issues/324, https://github.com/ceph/ceph-csi/pull/2090).
func TestNoStepLeadsToALogThatHoldsNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		asked bool
		lines []string
		logs  bool
	}{
		{"not asked for", false, nil, true},
		{"lines", true, []string{"no route to host"}, true},
		{"empty, or forbidden", true, nil, false},
		{"removed", true, []string{"unable to retrieve container logs for containerd://4f1"}, false},
	} {
		b := deploymentCase()
		b.status(crashed(1, 4, "Error"))
		need := model.Need{Kind: model.NeedLog, Namespace: "shop", Name: "api-2-x", UID: "pod-api-2-x", Container: "api"}
		if tt.asked {
			b.fetch(need)
			b.in.Logs = []model.PodLog{{UID: need.UID, Container: "api", Lines: tt.lines}}
		}
		steps := ""
		for _, n := range Evaluate(b.in, now, model.Options{LogLines: 5}).Items[0].Findings[0].Next {
			steps += n.Command + "\n"
		}
		if strings.Contains(steps, "kubectl logs ") != tt.logs || strings.Contains(steps, "kubectl describe pod ") == tt.logs {
			t.Errorf("%s: %s", tt.name, steps)
		}
	}
}

// Only runc speaks of the program of a container; an earlier line is about something that the program could do without.
func TestWhatCannotBeExecuted(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		code  finding.Code
		says  string
	}{
		{[]string{"exec /app: exec format error"}, pods.ExecFormatError, `the program of container "api" is a script without #!`},
		{[]string{"standard_init_linux.go:228: exec user process caused: exec format error"}, pods.ExecFormatError, `the program of container "api"`},
		{[]string{"starting", "sh: exec: line 0: /opt/agent: Exec format error"}, pods.ExecFormatError, `container "api" crashes: exit code 126 (found, but cannot be executed) after 2s (5 times): sh: exec: line 0: /opt/agent: Exec format error`},
		{[]string{"fork/exec /opt/plugin: exec format error", "cannot reach db"}, pods.ContainerCrashing, `container "api" crashes`},
	} {
		b := deploymentCase()
		b.status(crashed(126, 4, "Error"))
		need := model.Need{Kind: model.NeedLog, Namespace: "shop", Name: "api-2-x", UID: "pod-api-2-x", Container: "api"}
		b.fetch(need)
		b.in.Logs = []model.PodLog{{UID: need.UID, Container: "api", Lines: tt.lines}}
		f := Evaluate(b.in, now, model.Options{LogLines: 5}).Items[0].Findings[0]
		if f.Code != tt.code || !strings.Contains(f.Message, tt.says) {
			t.Errorf("%s: %s %q; want %s %q", tt.lines, f.Code, f.Message, tt.code, tt.says)
		}
	}
}
