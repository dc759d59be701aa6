package faults

import (
	"fmt"
	"strings"
	"sync"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/faults/broken"
)

// matrix counts how the runs ended, by command, fault and outcome.
type matrix struct {
	mu      sync.Mutex
	counts  map[string]map[string]map[string]int
	sources map[string][]string
}

func (m *matrix) count(command, fault, outcome string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.counts[command] == nil {
		m.counts[command] = map[string]map[string]int{}
	}
	if m.counts[command][fault] == nil {
		m.counts[command][fault] = map[string]int{}
	}
	m.counts[command][fault][outcome]++
}

const head = `# Under a failing API server

A proxy stands between the plugins and a real kube-apiserver, and breaks the answers to one kind of request at a time (verb, resource,
namespace). What a command asks is recorded in a run without a fault, against which each run with a fault is held. It is wrong if

- the run takes longer than its limits, crashes, or ends without a report and without an error with its exit code;
- a fault that does no harm (a late answer, one refusal with Retry-After) changes anything;
- a finding comes up that the run without a fault has not. Allowed is a finding on an object on which that run has one, too, if the gap is
  stated: the same fault, told with less knowledge;
- the verdict is another one, or the report is as before, and no source is stated as not read.

After all runs, no goroutine of the product is left.

[matrix_test.go](../test/faults/matrix_test.go) makes these runs and writes this page: ` + "`go test ./test/faults -run UnderEachFault -update`" + `.

%d runs, %d of them wrong. A cell counts how many sources were broken, and how the runs ended:
%s.
A wait sees an answer that is broken once as a gap, or has read it again by then, and a triage has one limit for three workflows: of both
is said only whether all of their runs ended right.

`

var letters = map[string]string{asClean: "=", otherWay: "~", answered: "a", partly: "g", failed: "e", timedOut: "t", wrong: "WRONG"}

const limits = `
## Sessions on a node

The same proxy stands before the API server of the embedded cluster while ` + "`" + `kubectl nodeshell` + "`" + ` runs a command on a node
([apiserver_test.go](../test/e2e/nodeshell/apiserver_test.go)). Whatever becomes of one kind of request, the session ends, the output is exact
or the exit code says that it is not, the cause is told, and no pod and no Job is left. ` + "`" + `make test` + "`" + ` takes four faults of each source,
` + "`" + `make test-all` + "`" + ` all of them.

## Limits of the client

There is no --qps: requests are not delayed on this side, because the API server queues them by its own priority and fairness. nodeinfo
has at most 16 requests in flight, and so have the further lookups of rollout-explain; dns and the first lists of rollout-explain send
their lists at once. A refusal with Retry-After (429, 503) is repeated after that time, up to ten times, as far as the limit of the read
allows (--timeout, --request-timeout): a wait that would outlast it, or a minute, is not begun, and the refusal is the answer.
rollout-explain gives each read 20 s, or --request-timeout if that is shorter.
`

// waits says whether a command waits for a rollout.
func waits(command string) bool { return strings.Contains(command, "--wait") }

// timed says whether how many of a command's requests are reached, or how its runs end, depends on timing: a triage has one limit for
// three workflows, and is an error if all of them have missed it.
func timed(command string) bool {
	return waits(command) || strings.HasPrefix(command, "kubectl runbooks")
}

// page is the matrix as docs/reliability.md. Which of e and t a run ends in may depend on which of two limits is hit first, so they
// count as one.
func (m *matrix) page() string {
	var b strings.Builder
	total, bad := 0, 0
	for command, faults := range m.counts {
		for _, ends := range faults {
			for outcome, n := range ends {
				if !timed(command) {
					total += n
				}
				if outcome == wrong {
					bad += n
				}
			}
		}
	}
	legend := fmt.Sprintf("`%s` %s, `%s` %s, `%s` %s, `%s` %s, `%s` an error with exit code 1 or 5",
		letters[asClean], asClean, letters[otherWay], otherWay, letters[answered], answered, letters[partly], partly, letters[failed])
	fmt.Fprintf(&b, head, total, bad, legend)
	b.WriteString("| fault |")
	for i := range runs {
		fmt.Fprintf(&b, " %d |", i+1)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(runs)) + "\n")
	for _, f := range broken.Faults() {
		fmt.Fprintf(&b, "| %s |", f.Name)
		for _, c := range runs {
			ends := m.counts[c.name()][f.Name]
			if timed(c.name()) && ends[wrong] == 0 {
				b.WriteString(" right |")
				continue
			}
			var cell []string
			for _, outcome := range outcomes {
				n := ends[outcome]
				if outcome == failed {
					n += ends[timedOut]
				}
				if n > 0 && outcome != timedOut {
					cell = append(cell, fmt.Sprintf("%d%s", n, letters[outcome]))
				}
			}
			b.WriteString(" " + strings.Join(cell, " ") + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString(limits)
	b.WriteString("\nThe commands, and what they ask:\n\n")
	for i, c := range runs {
		fmt.Fprintf(&b, "%d. `%s`: %s\n", i+1, c.name(), strings.Join(m.sources[c.name()], ", "))
	}
	return b.String()
}
