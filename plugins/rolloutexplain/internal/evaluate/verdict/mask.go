package verdict

import (
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// hideSecrets is the last look at what is printed: causes quote programs, kubelets and registries.
func hideSecrets(r *report.Rollout) {
	r.Summary = mask.Short(r.Summary, mask.Longest)
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Message = mask.Short(f.Message, mask.Longest)
		for k := range f.Evidence {
			f.Evidence[k].Value = mask.Short(f.Evidence[k].Value, mask.Longest)
		}
	}
}
