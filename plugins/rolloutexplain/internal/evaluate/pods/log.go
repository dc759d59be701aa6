package pods

import (
	"fmt"
	"strings"

	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/mask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// attachLog adds the last lines of a container, and asks for them. It says whether they were asked for and there are none: the
// log is empty, gone or forbidden.
func attachLog(e *model.Evaluation, p *model.Pod, container string, previous bool, c *model.Cause) (none bool) {
	if e.Opts.LogLines <= 0 || e.Opts.Wide && !e.Opts.WideLogs {
		return false
	}
	asked := e.Asks.Have(model.Need{
		Kind: model.NeedLog, Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Container: container,
		Previous: previous,
	})
	for _, l := range e.In.Logs {
		if l.UID != string(p.UID) || l.Container != container || l.Previous != previous || len(l.Lines) == 0 || len(l.Lines) == 1 &&
			logGone(l.Lines[0]) {
			continue
		}
		lines := mask.Lines(l.Lines)
		if len(lines) > e.Opts.LogLines {
			lines = lines[len(lines)-e.Opts.LogLines:]
		}
		kept := make([]string, 0, len(lines))
		for _, line := range lines {
			kept = append(kept, plain.OneLine(line))
		}
		c.Log = &report.Log{Pod: p.Name, Container: container, Previous: previous, Lines: kept}
		return false
	}
	return asked
}

// ReadLog is the step to the log of a pod: of all containers, or of the last that has run where others have not; where none has
// run, there is nothing to read but why.
func ReadLog(e *model.Evaluation, w *model.Workload, p *model.Pod, why string, more ...string) finding.Next {
	names, all := podfact.Logged(p.Pod)
	switch {
	case all:
		return e.Next(w, finding.Read, why, append([]string{"logs", p.Name, "--all-containers"}, more...)...)
	case len(names) > 0:
		return e.Next(w, finding.Read, why, append([]string{"logs", p.Name, "-c", names[len(names)-1]}, more...)...)
	}
	return e.Next(w, finding.Read, "Check why no container of the pod has run", "describe", "pod", p.Name)
}

// logGone tells the kubelet's answer for a log that it has already removed from the application's own words.
func logGone(line string) bool {
	return strings.HasPrefix(line, "failed to try resolving symlinks in path ") ||
		strings.HasPrefix(line, "unable to retrieve container logs for ") || strings.HasPrefix(line, "failed to open log file ")
}

// describeMeaning puts an exit code into words.
func exitMeaning(code, signal int32) string {
	if signal == 0 && code > 128 && code < 160 {
		signal = code - 128
	}
	names := map[int32]string{
		2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV",
		13: "SIGPIPE", 15: "SIGTERM",
	}
	if n := names[signal]; n != "" {
		return fmt.Sprintf("%d (%s)", code, n)
	}
	switch code {
	case 126:
		return "126 (found, but cannot be executed)"
	case 127:
		return "127 (command not found)"
	}
	return fmt.Sprint(code)
}
