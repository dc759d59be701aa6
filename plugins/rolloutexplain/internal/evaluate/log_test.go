package evaluate

import (
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
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
