package evaluate

import (
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/paths"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// ReportPaths judges who reaches whom.
func ReportPaths(in Input, now time.Time, kubectl finding.Kubectl) report.Paths {
	out := paths.MapOf(&in, now, kubectl).Report()
	out.Summary = short(out.Summary)
	for i := range out.Findings {
		hideFinding(&out.Findings[i])
	}
	for i := range out.Consequences {
		out.Consequences[i].Message = short(out.Consequences[i].Message)
	}
	for i := range out.Paths {
		out.Paths[i].Evidence = short(out.Paths[i].Evidence)
	}
	for i := range out.Sources {
		out.Sources[i].Message = short(out.Sources[i].Message)
	}
	return out
}
