package output

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	t := noon.Add(-d)
	return &t
}

// crash is a finding with everything that a block can show.
func crash() Block {
	return Block{
		Finding: finding.Finding{
			Code: "ContainerCrashing", Severity: finding.Critical, Message: `container "api" crashes: exit code 1 after 0s (4 times)`,
			Evidence: []finding.Evidence{
				{Source: "Pod api-54d47d8ccb-7cdv2", Path: "status.containerStatuses[api].lastState.terminated", Value: "exit code 1, reason Error", Time: ago(9 * time.Second)},
				{Source: "Lease kube-node-lease/w2", Path: "spec.renewTime", Value: "renewed 1s ago, valid for 40s", Time: ago(time.Second)},
				{Source: "Event", Value: "exit code 1", Time: ago(time.Minute)},
				{Source: "Event BackOff", Value: "back-off 10s restarting failed container"},
			},
			Next: []finding.Next{
				{Command: "kubectl rollout undo deployment/api --to-revision=1 -n shop", Why: "Roll back to revision 1", Risk: finding.Change},
				{Command: "kubectl logs api-54d47d8ccb-7cdv2 -c api -n shop", Why: "Read the log of the previous run", Answers: []string{`"connection refused": the database is not running`}, Risk: finding.Read},
			},
		},
		Notes: []string{"for 45s", "next restart in 30s"},
		Log:   &Log{Pod: "api-54d47d8ccb-7cdv2", Container: "api", Previous: true, Lines: []string{"config:\tDB_HOST is \x1b[31mrequired", ""}},
	}
}

func TestAPageShowsVerdictCausesAndNextSteps(t *testing.T) {
	p := Page{Now: noon}
	p.Verdict("Stuck", Bad, "deployment/api", crash().Message)
	p.Facts(14, "Rollout", "2 of 3 replicas", "1 old")
	p.Facts(14, "Timer")
	p.Findings(crash(), Block{Finding: finding.Finding{Code: "NodesCordoned", Severity: finding.Info, Message: "node w1 is cordoned"}})
	p.Consequences([]finding.Consequence{
		{Code: "B", CausedBy: "ContainerCrashing", Message: "b"}, {Code: "C", CausedBy: "NodesCordoned", Message: "c"}, {Code: "D", CausedBy: "ContainerCrashing", Message: "d"},
	})
	p.Section("Passed checks")
	p.Section("Not checked", "events: needs list events")
	want := `Stuck: deployment/api: container "api" crashes: exit code 1 after 0s (4 times)
Rollout:      2 of 3 replicas
              1 old

CRITICAL ContainerCrashing (for 45s; next restart in 30s)
  Last log of pod api-54d47d8ccb-7cdv2, container api, previous run:
    | config: DB_HOST is \x1b[31mrequired
    |
  Evidence:
    Pod api-54d47d8ccb-7cdv2: exit code 1, reason Error (9s ago)
      status.containerStatuses[api].lastState.terminated
    Lease kube-node-lease/w2 spec.renewTime: renewed 1s ago, valid for 40s
    Event BackOff: back-off 10s restarting failed container
  Next steps (read-only unless marked):
    1. [change] Roll back to revision 1
       kubectl rollout undo deployment/api --to-revision=1 -n shop
    2. Read the log of the previous run
       kubectl logs api-54d47d8ccb-7cdv2 -c api -n shop
       → "connection refused": the database is not running

INFO NodesCordoned: node w1 is cordoned

Consequences of ContainerCrashing:
  B: b
  D: d

Consequences of NodesCordoned:
  C: c

Not checked:
  events: needs list events
`
	if d := cmp.Diff(want, p.String()); d != "" {
		t.Error(d)
	}
}

func TestAPageIsWrappedUnderItselfOnATerminal(t *testing.T) {
	p := Page{Now: noon, Terminal: Terminal{TTY: true, Width: 40}}
	p.Verdict("Stuck", Bad, "deployment/api", crash().Message)
	p.Facts(10, "Rollout", "one two three four five six seven eight")
	p.Findings(crash())
	want := `Stuck: deployment/api: container "api"
  crashes: exit code 1 after 0s (4
  times)
Rollout:  one two three four five six
          seven eight

CRITICAL ContainerCrashing (for 45s;
  next restart in 30s)
  Last log of pod api-54d47d8ccb-7cdv2,
    container api, previous run:
    | config: DB_HOST is \x1b[31mrequired
    |
  Evidence:
    Pod api-54d47d8ccb-7cdv2: exit code
      1, reason Error (9s ago)
      status.containerStatuses[api].lastState.terminated
    Lease kube-node-lease/w2
      spec.renewTime: renewed 1s ago,
      valid for 40s
    Event BackOff: back-off 10s
      restarting failed container
  Next steps (read-only unless marked):
    1. [change] Roll back to revision 1
       kubectl rollout undo deployment/api --to-revision=1 -n shop
    2. Read the log of the previous run
       kubectl logs api-54d47d8ccb-7cdv2 -c api -n shop
       → "connection refused": the
         database is not running
`
	if d := cmp.Diff(want, p.String()); d != "" {
		t.Error(d)
	}
}

// What the first line has no room for stands in the block; nothing is lost, and nothing is said twice.
func TestALongMessageIsPartedBetweenVerdictAndBlock(t *testing.T) {
	for _, tt := range []struct{ name, message, first, rest string }{
		{"it fits", "the disk is full: 99%; pods are evicted", "the disk is full: 99%; pods are evicted", ""},
		{"it does not", "the disk is full: 99%; pods are evicted; more", "the disk is full: 99%", "pods are evicted; more"},
		{"no consequence", "the disk of the node is full: /var/lib/containerd has 0 bytes", "the disk of the node is full: /var/lib/containerd has 0 bytes", ""},
		{"wide characters", "磁盘已满磁盘已满磁盘已满; 磁盘已满磁盘已满", "磁盘已满磁盘已满磁盘已满", "磁盘已满磁盘已满"},
	} {
		if first, rest := parts(tt.message, 40); first != tt.first || rest != tt.rest {
			t.Errorf("%s: %q, %q; want %q, %q", tt.name, first, rest, tt.first, tt.rest)
		}
	}
	p := Page{Now: noon}
	long := Block{Finding: finding.Finding{Code: "DiskFull", Severity: finding.Critical, Message: "the disk of the node is full; " + strings.Repeat("x", 80)}}
	p.Verdict("Unhealthy", Bad, "node/w1", long.Message, long)
	p.Findings(long)
	if got, want := p.String(), "Unhealthy: node/w1: the disk of the node is full\n\nCRITICAL DiskFull: "+strings.Repeat("x", 80)+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAMessageOfNoBlockIsNotParted(t *testing.T) {
	p := Page{Now: noon}
	message := "the disk of the node is full; " + strings.Repeat("x", 80)
	p.Verdict("Unhealthy", Bad, "node/w1", message, crash())
	if got, want := p.String(), "Unhealthy: node/w1: "+message+"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnEventThatRepeatsIsLeftOut(t *testing.T) {
	event := func(value string) finding.Evidence {
		return finding.Evidence{Source: "Event FailedMount", Value: value}
	}
	for _, tt := range []struct {
		name string
		e    finding.Evidence
		told []string
		want bool
	}{
		{"in the message", event("timed out"), nil, true},
		{"in an earlier fact", event("no such file"), []string{"mount failed: no such file"}, true},
		{"says more than the message", event("mount timed out after 2m"), nil, false},
		{"another fact", event("no such file"), []string{"mount failed"}, false},
		{"no event", finding.Evidence{Source: "Pod web", Value: "timed out"}, nil, false},
		{"an event without text", event(""), nil, false},
	} {
		if got := repeats(tt.e, "mount timed out", tt.told); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestASemicolonOfACommandPartsNothing(t *testing.T) {
	for message, want := range map[string][2]string{
		"a fails; b follows": {"a fails", "b follows"},
		"probe (command sh -c sleep 3; true) fails; b follows": {"probe (command sh -c sleep 3; true) fails", "b follows"},
		`"x; y" fails; b; c`:    {`"x; y" fails`, "b; c"},
		"probe (echo '('; true": {"probe (echo '('; true", ""},
	} {
		if cause, consequence := parts(message, 5); cause != want[0] || consequence != want[1] {
			t.Errorf("%s: %q, %q", message, cause, consequence)
		}
	}
}
