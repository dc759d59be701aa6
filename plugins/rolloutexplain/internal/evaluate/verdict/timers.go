package verdict

import (
	"fmt"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// podTimers adds the timers of pods: minReadySeconds and the grace periods of terminating pods.
func podTimers(e *model.Evaluation, w *model.Workload) {
	var ready, ending time.Time
	for _, p := range w.Pods {
		if p.IsNew && p.Ready && !p.Available && !p.Terminating {
			if at := p.ReadySince.Add(time.Duration(w.MinReady) * time.Second); at.After(ready) {
				ready = at
			}
		}
		if p.Terminating && p.DeletionTimestamp.After(ending) {
			ending = p.DeletionTimestamp.Time
		}
	}
	if !ready.IsZero() {
		w.Report.Timers = append(w.Report.Timers, report.Timer{
			Name: "minReadySeconds", Ends: plain.TimePtr(ready), State: report.TimerRunning,
			Message: fmt.Sprintf("the last ready pod becomes available in %[2]s, after %[1]ds of readiness; a pod that becomes unready starts again",
				w.MinReady, plain.Age(ready.Sub(e.Now))),
		})
	}
	if ending.After(e.Now) {
		w.Report.Timers = append(w.Report.Timers, report.Timer{
			Name: "termination grace period", Ends: plain.TimePtr(ending), State: report.TimerRunning,
			Message: fmt.Sprintf("the last terminating pod has %s left", plain.Age(ending.Sub(e.Now))),
		})
	}
}
