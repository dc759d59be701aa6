package faults

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/faults/broken"
)

// runs are the commands of the matrix. Each prints JSON: it holds all that the text says.
var runs = []command{
	{"kubectl nodeinfo", nodeinfo.New, "", cli.ExitError},
	{"kubectl nodeinfo", nodeinfo.New, "w1", cli.ExitError},
	{"kubectl nodeinfo", nodeinfo.New, "w3", cli.ExitError},
	{"kubectl nodeinfo", nodeinfo.New, "--drain w1", cli.ExitError},
	{"kubectl nodeinfo", nodeinfo.New, "--paths", cli.ExitError},
	{"kubectl nodeinfo", nodeinfo.New, "--remove w1", cli.ExitError},
	{"kubectl nodeinfo", nodeinfo.New, "--join w3", cli.ExitError},
	{"kubectl dns", dns.New, "status", cli.ExitError},
	{"kubectl dns", dns.New, "check", cli.ExitError},
	{"kubectl dns", dns.New, "pod web-5d4f-0", cli.ExitError},
	{"kubectl dns", dns.New, "verify -A", cli.ExitError},
	{"kubectl dns", dns.New, "resolve web.default.svc.cluster.local", cli.ExitError},
	{"kubectl rollout-explain", rolloutexplain.New, "deployment/web", cli.ExitError},
	{"kubectl rollout-explain", rolloutexplain.New, "deployment/broken", cli.ExitError},
	{"kubectl rollout-explain", rolloutexplain.New, "-A", cli.ExitError},
	{"kubectl rollout-explain", rolloutexplain.New, "deployment/web --wait", cli.ExitError},
	{"kubectl runbooks", runbooks.New, "-A", cli.ExitError},
}

// limited gives a command the time limit of its reads, and says after how long it must have ended by its own word: nodeinfo and a
// wait have one limit for all, dns and rollout-explain one for each read, of which at most three wait for each other.
func (c command) limited(limit time.Duration) (args []string, ends time.Duration) {
	flag, ends := "--timeout="+limit.String(), limit
	switch {
	case waits(c.args):
		ends = 2 * (limit + time.Second) // a second is what a refusal asks to wait
		flag = fmt.Sprintf("--timeout=%s --stable-for=0s --request-timeout=%s", ends, limit+time.Second)
	case c.program == "kubectl runbooks": // reads what three commands read
		flag, ends = "--timeout="+(3*limit).String(), 3*limit
	case c.program == "kubectl rollout-explain":
		flag, ends = "--request-timeout="+limit.String(), 3*limit
	case c.program == "kubectl dns":
		ends = 3 * limit
	}
	return strings.Fields(c.args + " " + flag + " -o json"), ends
}

// said is what a report says, by what a wrong verdict is told.
type said struct {
	code     int
	report   bool
	stderr   string
	raw      string
	verdicts map[string]string // by where they stand in the report
	findings map[string]bool   // code and object of what is critical or a warning
	objects  map[string]bool   // of which anything is told by a code, a consequence or what a cause explains, too
	gaps     map[string]string // sources that were not read, and their state
	took     time.Duration
	stood    time.Duration // of that, what it was kept from running
	ends     time.Duration // by its own word
}

func do(t testing.TB, c command, f *broken.Front, limit time.Duration) said {
	t.Helper()
	env := testkit.NewEnv(c.program, time.Now())
	env.Now = time.Now
	kubeconfig := testkit.Kubeconfig(t, f.URL, "administrator")
	args, ends := c.limited(limit)
	began, stood := time.Now(), machine.stood()
	out := said{ends: ends, verdicts: map[string]string{}, findings: map[string]bool{}, objects: map[string]bool{}, gaps: map[string]string{}}
	out.code = cli.Run(t.Context(), env.Env, c.plugin(env.Env), append([]string{"--kubeconfig", kubeconfig}, args...))
	out.took, out.stood = time.Since(began), min(machine.stood()-stood, patient)
	out.stderr, out.raw = env.Stderr.String(), env.Stdout.String()
	var report any
	if err := json.Unmarshal(env.Stdout.Bytes(), &report); err == nil {
		out.report = true
		out.read("", report)
	}
	return out
}

// read gathers what is told by name in every report of the suite.
func (s *said) read(at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		text := func(key string) string { word, _ := v[key].(string); return word }
		if text("verdict") != "" {
			s.verdicts[at] = text("verdict")
		}
		if object, _ := v["object"].(map[string]any); text("code") != "" {
			s.objects[fmt.Sprintf("%v/%v", object["kind"], object["name"])] = true
		}
		if text("code") != "" && (text("severity") == "critical" || text("severity") == "warning") {
			object, _ := v["object"].(map[string]any)
			s.findings[fmt.Sprintf("%s %v/%v", text("code"), object["kind"], object["name"])] = true
		}
		if state := text("state"); text("name") != "" && slices.Contains([]string{"forbidden", "absent", "unreachable", "skipped"}, state) {
			s.gaps[at[:strings.LastIndex(at, "/")]+"/"+text("name")] = state
		}
		for key, inner := range v {
			s.read(at+"/"+key, inner)
		}
	case []any:
		for i, inner := range v {
			key := fmt.Sprint(i)
			if o, ok := inner.(map[string]any); ok {
				ref, _ := o["object"].(map[string]any)
				if name := cmp.Or(o["name"], ref["name"]); name != nil {
					key = fmt.Sprint(name)
				}
			}
			s.read(at+"/"+key, inner)
		}
	}
}

// The ways in which a run under a fault may end right.
const (
	asClean  = "as without a fault"
	otherWay = "read in another way"
	answered = "404 is an answer"
	partly   = "report with the gap stated"
	failed   = "error, exit 1"
	timedOut = "error, exit 5"
	wrong    = "wrong"
)

// outcomes in the order of the page.
var outcomes = []string{asClean, otherWay, answered, partly, failed, timedOut, wrong}

// silent are faults that a report need not state, with the reason.
var silent = map[string]string{
	"404 | list rollouts": "it is the real answer, too: the kind is not installed",
	// A log is any text, and nothing in it says where it ends.
	"cut in the middle | get pods/log in kube-system": "it is a shorter log",
	"corrupt bytes | get pods/log in kube-system":     "it is a log with such bytes",
	"empty answer | get pods/log in kube-system":      "it is an empty log",
	"a login page | get pods/log in kube-system":      "it is a log with such lines",
	"403 | list rollouts":                             "who may not list a kind that may not exist learns nothing of it: its state is absent without a fault, too",
}

// judge says how a run under a fault ended, held against the one without. It is wrong that
//   - it takes longer than its limits and a reserve, or crashes;
//   - a fault that does no harm changes anything;
//   - there is neither a report nor an error with the exit code of one;
//   - a finding comes up that the clean run has not, unless it speaks of an object of which the clean run has one, too, and a gap
//     is stated, or that an object is not there (404) was the answer: the same fault, told with less knowledge;
//   - the verdict is another one, or anything is reported as before, and no gap is stated.
func judge(clean, ended said, f *broken.Front, reserve time.Duration) (outcome, why string) {
	gaps := ended.newGaps(clean, f.Source)
	switch {
	case ended.took-ended.stood > ended.ends+reserve:
		return wrong, fmt.Sprintf("took %s of %s, with a reserve of %s, kept from running for %s", ended.took, ended.ends, reserve, ended.stood)
	case strings.Contains(ended.stderr, "goroutine "):
		return wrong, "crashed"
	case f.Fault.Harmless && !ended.equals(clean):
		return wrong, fmt.Sprintf("does no harm, but: exit %d, gaps %v, %s", ended.code, gaps, ended.stderr)
	case f.Fault.Harmless:
		return asClean, ""
	case !ended.report && (ended.code != cli.ExitError && ended.code != cli.ExitTimeout || ended.stderr == ""):
		return wrong, fmt.Sprintf("no report, exit %d, stderr %q", ended.code, ended.stderr)
	case ended.code == cli.ExitTimeout:
		return timedOut, ""
	case !ended.report:
		return failed, ""
	case ended.code != clean.code:
		return wrong, fmt.Sprintf("exit %d: %s", ended.code, ended.stderr)
	}
	isAnswer := f.Fault.Name == "404" && strings.HasPrefix(f.Source, "get ")
	for x := range ended.findings {
		_, object, _ := strings.Cut(x, " ")
		if !clean.findings[x] && (len(gaps) == 0 && !isAnswer || !clean.objects[object]) {
			return wrong, "finds " + x
		}
	}
	switch {
	case len(gaps) > 0:
		return partly, fmt.Sprint(gaps)
	case isAnswer:
		return answered, ""
	case !ended.equals(clean):
		return wrong, fmt.Sprintf("another verdict, and no gap is stated: %v", ended.verdicts)
	case readOtherwise(f):
		return otherWay, ""
	case silent[f.Fault.Name+" | "+f.Source] != "":
		return asClean, ""
	}
	return wrong, fmt.Sprintf("no gap is stated: %v", ended.verdicts)
}

// pulse measures for how long this process was kept from running, by other programs or by the runs beside each other: what a short
// sleep takes beyond its time. A run that is late by that is not late by its own doing.
type pulse struct {
	once sync.Once
	late atomic.Int64
}

var machine pulse

func (p *pulse) stood() time.Duration {
	p.once.Do(func() {
		go func() {
			const beat = 5 * time.Millisecond
			for {
				began := time.Now()
				time.Sleep(beat)
				p.late.Add(int64(time.Since(began) - beat))
			}
		}()
	})
	return time.Duration(p.late.Load())
}

// pace is how fast the machine is: how long the runs take that wait for nothing, lately.
type pace struct {
	mu     sync.Mutex
	lately [32]time.Duration
	next   int
}

func (p *pace) note(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lately[p.next%len(p.lately)] = took
	p.next++
}

// limit is enough for a command to read all that is not broken, ten times over, and no more than what nothing comes near.
func (p *pace) limit() time.Duration { return min(plenty, max(shortest, 10*p.slowest())) }

// reserve is what a run may take beside its limits: to start, and to say what it has.
func (p *pace) reserve() time.Duration { return max(shortest, 10*p.slowest()) }

func (p *pace) slowest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Max(p.lately[:])
}

const (
	shortest = 1500 * time.Millisecond
	// patient is the limit of a run that is made again.
	patient = 10 * time.Second
	// plenty is the limit of runs that wait for nothing, or for a second at most. Nothing comes near it but what is wrong.
	plenty = 20 * time.Second
)

// newGaps are the sources that were not read, beside those of the clean run; of connections to pods, that one stands there, too:
// no kubelet answers here.
func (s said) newGaps(clean said, source string) map[string]string {
	gaps := map[string]string{}
	for name, state := range s.gaps {
		if clean.gaps[name] != state || strings.HasPrefix(source, "connect ") && (strings.HasSuffix(name, "port-forward") || strings.HasSuffix(name, "/exec")) {
			gaps[name] = state
		}
	}
	return gaps
}

func (s said) equals(clean said) bool {
	return s.code == clean.code && maps.Equal(s.verdicts, clean.verdicts) && maps.Equal(s.findings, clean.findings) && maps.Equal(s.gaps, clean.gaps)
}

// readOtherwise says whether what a broken watch would have told was listed.
func readOtherwise(s *broken.Front) bool {
	resource, watch := strings.CutPrefix(s.Source, "watch ")
	return watch && (s.Asked("list "+resource) > 0 || s.Asked(s.Source) > 1)
}

func TestUnderEachFaultOfEachSourceNoVerdictIsWrong(t *testing.T) {
	p := newProxy(realServer(t))
	m := &matrix{counts: map[string]map[string]map[string]int{}, sources: map[string][]string{}}
	speed := &pace{}
	var cells []cell
	for _, c := range runs {
		f := p.front(t, broken.Fault{}, "")
		clean := do(t, c, f, plenty)
		if len(clean.verdicts) == 0 {
			t.Fatalf("%s %s: exit %d: %s", c.program, c.args, clean.code, clean.stderr)
		}
		speed.note(clean.took)
		m.sources[c.name()] = f.Sources()
		if testing.Verbose() {
			t.Logf("%s: %s; %s; %v %v", c.name(), clean.took, strings.Join(f.Sources(), ", "), clean.verdicts, clean.findings)
		}
		for _, x := range broken.Faults() {
			for _, source := range f.Sources() {
				if only := os.Getenv("FAULT"); strings.Contains(c.name()+" | "+x.Name+" | "+source, only) {
					cells = append(cells, cell{c, clean, x, source})
				}
			}
		}
	}
	// What waits takes no processor: it runs beside what does not, many at a time. Fewer than all, so that not all start at once; and
	// those of which every wait counts, fewer still.
	var all sync.WaitGroup
	waiting, late, others := make(chan struct{}, 64), make(chan struct{}, 12), make(chan struct{}, 4)
	for _, x := range cells {
		gate := others
		switch {
		case x.fault.Waits:
			gate = waiting
		case x.fault.Harmless:
			gate = late
		}
		all.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			x.run(t, p, m, speed)
		})
	}
	all.Wait()
	leaks(t)
	if os.Getenv("FAULT") == "" && !t.Failed() { // what failed has been said, and stands at the end
		testkit.GoldenFile(t, "../../docs/reliability.md", m.page())
	}
}

// cell is one run under a fault.
type cell struct {
	command command
	clean   said
	fault   broken.Fault
	source  string
}

// run makes the run. On a machine that stands still for a moment, a short limit can end it before it asks what is broken, or before it
// has read what is not: it shows nothing then, and is made again with more time.
func (x cell) run(t *testing.T, p *proxy, m *matrix, speed *pace) {
	limit := plenty
	if x.fault.Waits || waits(x.command.args) {
		limit = speed.limit()
	}
	front, ended := x.once(t, p, limit)
	for range 2 {
		if front.Asked(x.source) > 0 && (ended.code != cli.ExitTimeout || limit >= patient) {
			break
		}
		limit = max(patient, 2*limit)
		front, ended = x.once(t, p, limit)
	}
	switch {
	case front.Asked(x.source) == 0:
		t.Errorf("%s | %s | %s: was not asked", x.command.name(), x.fault.Name, x.source)
		return
	case !front.Hit(): // there was nothing to break, such as a body
		return
	}
	if limit == plenty && !x.fault.Harmless {
		speed.note(ended.took)
	}
	outcome, why := judge(x.clean, ended, front, speed.reserve())
	m.count(x.command.name(), x.fault.Name, outcome)
	if outcome == wrong {
		t.Errorf("%s | %s | %s: %s", x.command.name(), x.fault.Name, x.source, why)
	}
	if testing.Verbose() && ended.took > time.Second {
		t.Logf("%s | %s | %s: %s of %s, limit %s: %s", x.command.name(), x.fault.Name, x.source, ended.took, ended.ends, limit, outcome)
	}
}

func (x cell) once(t *testing.T, p *proxy, limit time.Duration) (*broken.Front, said) {
	front := p.front(t, x.fault, x.source)
	defer front.End()
	return front, do(t, x.command, front, limit)
}

// name is the command without what only a test passes.
func (c command) name() string {
	return strings.TrimSpace(c.program + " " + c.args)
}

// leaks requires that nothing of the product still runs. Not counted is a stream that was asked for on a connection that ended: nobody
// waits for it any more, and client-go's library gives it up after 30 s.
func leaks(t testing.TB) {
	t.Helper()
	var left []string
	for range 400 { // 40 s: what client-go repeats ends with its pause
		buffer := make([]byte, 16<<20)
		buffer = buffer[:runtime.Stack(buffer, true)]
		left = nil
		for stack := range strings.SplitSeq(string(buffer), "\n\n") {
			if !strings.Contains(stack, "test/faults") && !strings.Contains(stack, "spdystream.(*Stream).WaitTimeout") && (strings.Contains(stack, "kubectl-runbooks/pkg/") || strings.Contains(stack, "kubectl-runbooks/plugins/")) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left, such as\n%s", len(left), left[0])
}
