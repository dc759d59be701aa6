package evaluate

import (
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// Under Healthy stands what is well: not that nothing is Complete, not what progresses in spite of a problem, and not that a Job, such
// as that of the CronJob which reports, is still at work.
func TestWhatIsWellOfRollouts(t *testing.T) {
	of := func(kind string, verdict rolloutreport.Verdict, more ...rolloutreport.Finding) rolloutreport.Rollout {
		return rolloutreport.Rollout{Object: finding.ObjectRef{Kind: kind, Namespace: "shop", Name: "api"}, Verdict: verdict, Findings: more}
	}
	held := rolloutreport.Finding{Finding: found("NodeNotReady", finding.Warning, podRef("shop", "api")), Role: rolloutreport.RootCause}
	complete, progressing := of("Deployment", rolloutreport.Complete), of("Deployment", rolloutreport.Progressing)
	broken, running := of("DaemonSet", rolloutreport.Progressing, held), of("Job", rolloutreport.Progressing)
	for _, tt := range []struct {
		items            []rolloutreport.Rollout
		verdict, healthy string
	}{
		{nil, "Complete", "no rollouts"},
		{[]rolloutreport.Rollout{complete, complete}, "Complete", "2 of 2 rollouts Complete"},
		{[]rolloutreport.Rollout{complete, progressing, broken}, "Progressing", "1 of 3 rollouts Complete; 1 Progressing"},
		{[]rolloutreport.Rollout{progressing, broken}, "Progressing", "1 of 2 rollouts Progressing"},
		{[]rolloutreport.Rollout{broken, broken}, "Progressing", ""},
		{[]rolloutreport.Rollout{complete, running}, "Complete", "1 of 1 rollout Complete; 1 Job running"},
		{[]rolloutreport.Rollout{running, running}, "Complete", "2 Jobs running"},
		{[]rolloutreport.Rollout{broken, running}, "Progressing", "1 Job running"},
		{[]rolloutreport.Rollout{complete, of("Job", rolloutreport.Progressing, held)}, "Progressing", "1 of 2 rollouts Complete"},
		{[]rolloutreport.Rollout{complete, of("Job", rolloutreport.Failed)}, "Failed", "1 of 2 rollouts Complete"},
	} {
		in := &Input{Rollouts: &rolloutreport.List{Items: tt.items}}
		if got := in.rollouts(); got.Verdict != tt.verdict || got.Healthy != tt.healthy || got.Workflow != report.Rollouts {
			t.Errorf("got %s, %q, want %s, %q", got.Verdict, got.Healthy, tt.verdict, tt.healthy)
		}
	}
}
