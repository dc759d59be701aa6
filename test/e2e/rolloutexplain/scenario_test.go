// Package rolloutexplain breaks rollouts on a real cluster, each in a namespace of its own, and asks kubectl
// rollout-explain why: the expected root must be on top, with the right next command and the right end of --wait.
package rolloutexplain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// scenario is one fault and what must be said of it.
type scenario struct {
	name   string
	fault  string // in words, for the table in docs
	target string
	steps  []step

	root    string           // code of the root; empty: there must be none
	verdict []string         // any of; nil: it is only waited for
	says    []string         // the summary, which is the first line of the text, holds all of these
	next    string           // a next command of the root holds this
	heals   string           // words of the changing next command that heals, where it is no rollback
	shows   []harness.Marker // what next commands show
	not     []string         // codes that must never be the root, at any look
	also    []string         // codes that must be among the findings, whatever their role

	wait   []string // flags for --wait; nil: not waited for
	exit   int
	within time.Duration // of --wait
	during step          // happens while --wait waits, a few seconds after it began
	limit  time.Duration // until the root is there; default 150 s
}

// marked says what the next commands that hold these words show.
func marked(command, shows string) []harness.Marker {
	return []harness.Marker{{Command: command, Shows: shows}}
}

type step func(t *testing.T, c *harness.Cluster, ns string)

func apply(manifest string) step {
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		c.Apply(t, inNamespace(t, c, ns, manifest), "-n", ns)
	}
}

// inNamespace puts the namespace, and the registry's address, where a scenario has their names.
func inNamespace(t *testing.T, c *harness.Cluster, ns, text string) string {
	t.Helper()
	text = strings.ReplaceAll(text, "NAMESPACE", ns)
	if strings.Contains(text, "REGISTRY") {
		text = strings.ReplaceAll(text, "REGISTRY", c.Registry(t, "up"))
	}
	return text
}

func run(args ...string) step {
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		words := []string{"-n", ns}
		for _, a := range args {
			words = append(words, inNamespace(t, c, ns, a))
		}
		c.MustKubectl(t, words...)
	}
}

// once makes a step that only the first of the scenarios that share it takes; the others wait for it.
func once(do step) step {
	var first sync.Once
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		first.Do(func() { do(t, c, ns) })
	}
}

// complete waits with kubectl's own command, so that a test of ours does not rest on ours.
func complete(target string) step {
	return func(t *testing.T, c *harness.Cluster, ns string) {
		t.Helper()
		if r := c.Run(t, 3*time.Minute, nil, "kubectl", "rollout", "status", target, "-n", ns, "--timeout=10m"); r.Code != 0 {
			t.Fatalf("%s does not get complete: %s%s", target, r.Stdout, r.Stderr)
		}
	}
}

func pause(d time.Duration) step {
	return func(*testing.T, *harness.Cluster, string) { time.Sleep(d) }
}

// report is the part of the JSON that the tests read.
type report struct {
	Kind     string `json:"kind"`
	Verdict  string `json:"verdict"`
	Summary  string `json:"summary"`
	Counts   map[string]*int32
	Revision *struct {
		Number int64  `json:"number"`
		Name   string `json:"name"`
	} `json:"revision"`
	UpdateStrategy *struct {
		MaxPods      *int32 `json:"maxPods"`
		MinAvailable *int32 `json:"minAvailable"`
		MayCreate    *int32 `json:"mayCreate"`
		MayRemove    *int32 `json:"mayRemove"`
	} `json:"updateStrategy"`
	Findings []found `json:"findings"`
	Rollback *struct {
		Advised  bool   `json:"advised"`
		Revision int64  `json:"revision"`
		Why      string `json:"why"`
	} `json:"rollback"`
	Sources []struct {
		Name  string `json:"name"`
		State string `json:"state"`
	} `json:"sources"`
	Items []report `json:"items"`
}

type found struct {
	Code    string   `json:"code"`
	Role    string   `json:"role"`
	Class   string   `json:"class"`
	Message string   `json:"message"`
	Pods    []string `json:"pods"`
	Next    []harness.Step
}

func (r *report) root() string {
	if len(r.Findings) > 0 && r.Findings[0].Role == "rootCause" {
		return r.Findings[0].Code
	}
	return ""
}

func explain(t *testing.T, c *harness.Cluster, ns string, args ...string) report {
	t.Helper()
	r := c.Plugin(t, "rollout-explain", append([]string{"-n", ns, "-o", "json"}, args...)...)
	if r.Code != 0 {
		t.Fatalf("rollout-explain %v: exit %d\n%s", args, r.Code, r.Stderr)
	}
	var got report
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
		t.Fatalf("rollout-explain %v prints no JSON: %v\n%s", args, err, r.Stdout)
	}
	return got
}

// prove runs a scenario: break, look until the root is there, read the text, wait.
func (s scenario) prove(t *testing.T, c *harness.Cluster) {
	t.Helper()
	harness.Room(t)
	s.proveIn(t, c, c.Namespace(t))
}

func (s scenario) proveIn(t *testing.T, c *harness.Cluster, ns string) {
	t.Helper()
	outcome := &seen{}
	defer func() { s.settle(t, outcome) }()
	for _, do := range s.steps {
		do(t, c, ns)
	}
	if s.verdict != nil {
		s.proveLook(t, c, ns, outcome)
	}
	if s.wait != nil {
		s.proveWait(t, c, ns, outcome)
	}
	if s.verdict != nil && s.root != "" && s.during == nil {
		s.proveHeals(t, c, ns)
	}
}

var healedCodes sync.Map // the codes whose changing next command has been run

// proveHeals runs the changing next command of the root, a rollback where the scenario names no other, and the root must
// go: once for each code. A StatefulSet's rollback does not replace a broken pod, which TestNextCommandsHelp shows.
func (s scenario) proveHeals(t *testing.T, c *harness.Cluster, ns string) {
	t.Helper()
	words := s.heals
	if words == "" && strings.HasPrefix(s.target, "deployment/") {
		words = "rollout undo"
	}
	got := explain(t, c, ns, s.target)
	if words == "" || got.root() != s.root {
		return // the fault may have passed
	}
	for _, n := range got.Findings[0].Next {
		if n.Risk == "read" || !strings.Contains(n.Command, words) {
			continue
		}
		if _, done := healedCodes.LoadOrStore(s.root, true); done {
			return
		}
		if r := c.Sh(t, n.Command); r.Code != 0 {
			t.Fatalf("%s: exit %d: %s", n.Command, r.Code, r.Stderr)
		}
		harness.Eventually(t, 60*time.Second, func() (string, bool) {
			after := explain(t, c, ns, s.target)
			return n.Command + ": still " + after.Verdict + ": " + after.Summary, after.root() != s.root && (s.heals != "" || after.Verdict == "Complete")
		})
		return
	}
	if s.heals != "" {
		t.Errorf("no next command that changes something holds %q:\n%s", s.heals, commands(got))
	}
}

// proveLook looks until the root is there and the first line says why, and reads the text.
func (s scenario) proveLook(t *testing.T, c *harness.Cluster, ns string, outcome *seen) {
	t.Helper()
	limit := s.limit
	if limit == 0 {
		limit = 150 * time.Second // three crashes take 30 s of back-off, and on two busy cores a container minutes to start
	}
	var got report
	harness.Eventually(t, limit, func() (string, bool) {
		got = explain(t, c, ns, s.target)
		outcome.root, outcome.verdict = got.root(), got.Verdict
		if slices.Contains(s.not, got.root()) {
			t.Fatalf("root %s: %s", got.root(), got.Summary)
		}
		missing := s.others(&got) + s.unsaid(&got)
		return fmt.Sprintf("root %q, verdict %s, without %q: %s", got.root(), got.Verdict, missing, got.Summary), got.root() == s.root && slices.Contains(s.verdict, got.Verdict) && missing == ""
	})
	if dir := os.Getenv("E2E_SAVE_INPUTS"); dir != "" { // to make fixtures of what a real cluster holds
		c.MustKubectl(t, "rollout-explain", "-n", ns, s.target, "-o", "name", "--save-input", filepath.Join(dir, s.name+".json"))
	}
	if s.next != "" && !strings.Contains(commands(got), strings.ReplaceAll(s.next, "NAMESPACE", ns)) {
		t.Errorf("no next command holds %q:\n%s", s.next, commands(got))
	}
	for _, f := range got.Findings {
		for _, dead := range c.Follow(t, f.Next, nil, s.shows...) {
			t.Errorf("a next command of %s leads nowhere: %s", f.Code, dead)
		}
	}
	if testing.Verbose() {
		t.Logf("\n%s", c.Kubectl(t, "rollout-explain", "-n", ns, s.target).Stdout)
	}
}

// unsaid names a word that the summary lacks. All come at one look: a probe has not failed yet at the first, and a crashing
// container may run at the next one.
func (s scenario) unsaid(r *report) string {
	for _, word := range s.says {
		if !strings.Contains(r.Summary, word) {
			return word
		}
	}
	return ""
}

// others names a finding that is missing beside the root.
func (s scenario) others(r *report) string {
	for _, code := range s.also {
		if !slices.ContainsFunc(r.Findings, func(f found) bool { return f.Code == code }) {
			return code
		}
	}
	return ""
}

func commands(r report) string {
	var lines []string
	for _, f := range r.Findings {
		if f.Role != "rootCause" {
			continue
		}
		for _, n := range f.Next {
			lines = append(lines, n.Command+"   ("+n.Risk+")")
		}
	}
	return strings.Join(lines, "\n")
}

func (s scenario) proveWait(t *testing.T, c *harness.Cluster, ns string, outcome *seen) {
	t.Helper()
	begun, done := time.Now(), make(chan struct{})
	began := false
	during := harness.OnSpeech(func() {
		began = true
		go func() {
			defer close(done)
			if s.during != nil {
				s.during(t, c, ns)
			}
		}()
	})
	args := append([]string{"rollout-explain", "-n", ns, s.target, "--wait"}, s.wait...)
	r := c.Run(t, s.within+30*time.Second, []harness.Option{during}, "kubectl", args...)
	if began {
		<-done
	} else if s.during != nil {
		t.Errorf("--wait said nothing while it waited")
	}
	took := time.Since(begun).Round(100 * time.Millisecond)
	outcome.waited, outcome.exit, outcome.took = true, r.Code, took
	if r.Code != s.exit {
		t.Errorf("--wait ends with %d after %s, want %d\n%s\n%s", r.Code, took, s.exit, r.Stdout, r.Stderr)
	}
	if limit := s.within + reserve; took > limit && took > c.Stretched(t, limit) {
		t.Errorf("--wait took %s, more than %s", took, limit)
	}
	t.Logf("--wait %s: exit %d after %s", strings.Join(s.wait, " "), r.Code, took)
}

// reserve is what a machine may add on which another package's cluster runs, too.
const reserve = 10 * time.Second

func TestScenarios(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	list := scenarios()
	// Those that wait longest begin first, or they would be waited for alone at the end. Parallel tests begin in no order that is promised
	// (the last one first, with Go 1.26).
	slices.SortStableFunc(list, func(a, b scenario) int { return cmp.Compare(b.within, a.within) })
	turns := make(chan scenario)
	var hands sync.WaitGroup
	for range atOnce {
		hands.Go(func() {
			for s := range turns {
				t.Run(s.name, func(t *testing.T) { s.prove(t, c) })
			}
		})
	}
	for _, s := range list {
		turns <- s
	}
	close(turns)
	hands.Wait()
}
