package verdict

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// hideSecrets is the last look at what is printed: causes quote programs, kubelets and registries.
func hideSecrets(r *report.Rollout) {
	r.Summary = mask.Text(r.Summary)
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Message = mask.Text(f.Message)
		for k := range f.Evidence {
			f.Evidence[k].Value = mask.Text(f.Evidence[k].Value)
		}
	}
}
