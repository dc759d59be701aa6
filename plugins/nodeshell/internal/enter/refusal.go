package enter

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// failed is the word of a helper that did not start, where a plan has its verdict.
const failed = "error"

// Refused is a node that is not entered, and why: the plan's verdict, or a helper that did not start.
type Refused struct {
	Word     string
	Node     string
	Message  string
	Findings []finding.Finding
}

func (e Refused) Error() string { return e.Message }

// Refusal is the error of a plan that cannot be carried out.
func (v Visit) Refusal() error {
	return Refused{Word: string(report.Refused), Node: v.Node, Message: v.Summary, Findings: v.Findings}
}

// NotStarted is the error of a helper that did not start, or did not last.
func NotStarted(v Visit, f finding.Finding) error {
	return Refused{Word: failed, Node: v.Node, Message: f.Message, Findings: []finding.Finding{f}}
}

// Denied names what refuses a request on the pod of a visit: a quota that another pod has used up in between, or a policy
// on exec and attach, which no dry run asks. Any other error stays as it is.
func Denied(v Visit, err error) error {
	if err == nil {
		return nil
	}
	if found := evaluate.Denied(v.Plan, kube.OneLine(err), v.Options); len(found) > 0 {
		return Refused{Word: failed, Node: v.Node, Message: found[0].Message, Findings: found}
	}
	return err
}

// Killed explains a helper, or a command in it, that was killed with code 137 where admission has bounded its memory. Nil
// says that nothing bounds it, or that the kernel has killed nothing.
func Killed(ctx context.Context, v Visit, helper *helperpod.Helper, ended error) *finding.Finding {
	limit := evaluate.MemoryLimit(v.Pod, helper.Pod)
	if limit == nil {
		return nil
	}
	if ended != nil {
		if !strings.Contains(ended.Error(), "OOMKilled") {
			return nil
		}
		f := evaluate.OutOfMemory(v.Plan, limit, true, v.Options)
		return &f
	}
	var out strings.Builder
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	code, err := helper.Container().Exec(ctx, []string{v.Shell, "-c", oomKills}, helperpod.Streams{Out: &out})
	count := strings.TrimSpace(out.String())
	if err == nil && code == 0 && count == "0" {
		return nil // something else has killed it
	}
	f := evaluate.OutOfMemory(v.Plan, limit, err == nil && code == 0 && count != "", v.Options)
	return &f
}

// oomKills prints how many processes of the container's own cgroup the kernel has killed for memory, by cgroup v2 or v1
// (https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files). The host's mount is the one that has the
// whole path.
const oomKills = `p=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup | head -1); q=$(sed -n 's/^0:://p' /proc/self/cgroup | head -1)
for f in /sys/fs/cgroup/memory$p/memory.oom_control /proc/1/root/sys/fs/cgroup/memory$p/memory.oom_control \
  /sys/fs/cgroup/memory/memory.oom_control /proc/1/root/sys/fs/cgroup$q/memory.events /sys/fs/cgroup$q/memory.events; do
  n=$(sed -n 's/^oom_kill //p' "$f" 2>/dev/null); [ -z "$n" ] || { echo "$n"; exit 0; }
done; exit 1`

// Explain writes a refusal with its next steps to standard error, and gives the error that ends the call. Any other error
// stays as it is.
func (r *Runner) Explain(err error) error {
	var refused Refused
	if !errors.As(err, &refused) {
		return err
	}
	r.Fail(refused.Word, "node/"+refused.Node, refused.Message, refused.Findings)
	return cli.Exit{Code: r.env.FailureCode}
}

// Error writes the error of one node or target, with the next steps of its findings.
func (r *Runner) Error(object, message string, list []finding.Finding) {
	r.Fail(failed, object, message, list)
}

// Fail writes "WORD: object: message" and a block for each critical finding.
func (r *Runner) Fail(word, object, message string, list []finding.Finding) {
	page := output.Page{Terminal: r.env.Err(r.options.Color), Now: r.Now()}
	page.Verdict(word, output.Bad, object, message)
	for _, f := range list {
		if f.Severity != finding.Critical {
			continue
		}
		f.Evidence = slices.DeleteFunc(slices.Clone(f.Evidence), func(e finding.Evidence) bool { return strings.Contains(f.Message, e.Value) })
		page.Findings(output.Block{Finding: f})
	}
	r.env.Warn("%s", strings.TrimSuffix(page.String(), "\n"))
}
