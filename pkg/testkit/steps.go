package testkit

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// Report is what a fixture's report leads to: the command that prints it, its findings, and what it has read besides the
// evidence that it quotes.
type Report struct {
	Fixture  string            // names the report in a complaint
	Command  string            // what prints it, without connection flags: "kubectl dns check"
	Findings []finding.Finding // with their next commands
	Events   []string          // what the report reads all events of, as kind/name in lower case; "pod/" stands for every pod
}

// CheckSteps holds the next commands of all reports of a plugin's fixtures against the rules of Repeats and Loops.
func CheckSteps(t testing.TB, reports []Report) {
	t.Helper()
	if len(reports) == 0 {
		t.Fatal("no reports")
	}
	for _, r := range reports {
		for _, complaint := range Repeats(r) {
			t.Errorf("%s: %s", r.Fixture, complaint)
		}
	}
	for _, complaint := range Loops(reports) {
		t.Error(complaint)
	}
}

// Loops finds the next commands that lead back. Each report is a node, each reading command of it that runs a plugin is an
// edge, and a path ends in a loop
//
//   - where a report leads to the command that printed it. One that names a time to wait ("Check again in 30 seconds")
//     gives another answer then;
//   - where a second report of the same fixture leads back to the first (check -> verify -> check). The same workflow with
//     further flags asks another question and is no way back;
//   - where a plugin leads to one that leads to it: from rollouts and DNS it goes to nodes, never up again.
func Loops(reports []Report) []string {
	var complaints []string
	for _, r := range reports {
		for _, f := range r.Findings {
			for _, n := range f.Next {
				switch words := Call(n.Command); {
				case n.Risk != finding.Read || workflow(words) == "":
				case waits.MatchString(n.Why):
				case same(words, Call(r.Command)):
					complaints = append(complaints, fmt.Sprintf("%s: %s of %q leads back to itself", r.Fixture, f.Code, r.Command))
				case depth(words) < depth(Call(r.Command)):
					complaints = append(complaints, fmt.Sprintf("%s: %s of %q leads up to %q", r.Fixture, f.Code, r.Command, n.Command))
				default:
					for _, other := range reports {
						if other.Fixture == r.Fixture && workflow(Call(other.Command)) == workflow(words) && leads(other, r.Command) {
							complaints = append(complaints, fmt.Sprintf("%s: %s of %q leads to %q and back", r.Fixture, f.Code, r.Command, n.Command))
						}
					}
				}
			}
		}
	}
	return complaints
}

// waits is the purpose of a command that is to be run later.
var waits = regexp.MustCompile(`^Check again (in|after) \d+ `)

// order are the plugins in the order in which one may lead to the next; a session on a node reads there and is no report.
var order = []string{"runbooks", "rollout-explain", "dns", "nodeshell", "nodeinfo"}

func depth(words []string) int {
	if slices.Contains(words, "nodeshell") && slices.Contains(words, "--") {
		return len(order)
	}
	return slices.Index(order, words[0])
}

// workflow is the plugin and the subcommand of a call, or empty where it calls no plugin.
func workflow(words []string) string {
	if len(words) == 0 || !slices.Contains(order, words[0]) {
		return ""
	}
	if words[0] == "dns" && len(words) > 1 {
		return words[0] + " " + words[1]
	}
	return words[0]
}

// leads says whether a report has a reading command that is this one.
func leads(r Report, command string) bool {
	for _, f := range r.Findings {
		for _, n := range f.Next {
			if n.Risk == finding.Read && !waits.MatchString(n.Why) && same(Call(n.Command), Call(command)) {
				return true
			}
		}
	}
	return false
}

// same compares calls whatever the order of their words.
func same(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// connection are the flags that say which cluster is asked and as whom, not what.
var connection = regexp.MustCompile(`^--(context|kubeconfig|cluster|user|as|as-group|as-uid|server|request-timeout)=`)

// Call gives the words of a command after "kubectl", up to a pipe, without connection flags.
func Call(command string) []string {
	words := shellWords(command)
	if len(words) == 0 || words[0] != "kubectl" {
		return nil
	}
	words = words[1:]
	if at := slices.Index(words, "|"); at >= 0 {
		words = words[:at]
	}
	return slices.DeleteFunc(words, connection.MatchString)
}

// shellWords parts a line as a POSIX shell does, as far as finding.Quote goes: single quotes and \'.
func shellWords(line string) []string {
	var words []string
	var word strings.Builder
	open, any := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\'':
			open, any = !open, true
		case !open && c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			any = true
		case !open && c == ' ':
			if any {
				words = append(words, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteByte(c)
			any = true
		}
	}
	if any {
		words = append(words, word.String())
	}
	return words
}

// Repeats finds the reading next commands whose answer the report already holds:
//
//   - the same command twice in one finding;
//   - a describe or a list of events whose purpose is to read events of an object, where the report reads all its events:
//     what it does not quote is not there;
//   - a describe whose purpose is to read an error, a message or a failure that the evidence of the finding quotes;
//   - a field by jsonpath, or the Lease of a component, that is evidence of the finding;
//   - a call by --raw whose answer is evidence of the finding;
//   - a question whether the kubelet runs, where its answer or a Lease that is still valid is evidence of the finding.
func Repeats(r Report) []string {
	var complaints []string
	for _, f := range r.Findings {
		seen := map[string]bool{}
		for _, n := range f.Next {
			if seen[n.Command] {
				complaints = append(complaints, fmt.Sprintf("%s: %q twice", f.Code, n.Command))
			}
			seen[n.Command] = true
			if n.Risk != finding.Read {
				continue
			}
			if why := known(r, f, n); why != "" {
				complaints = append(complaints, fmt.Sprintf("%s: %q (%s) repeats what is known: %s", f.Code, n.Command, n.Why, why))
			}
		}
	}
	return complaints
}

var (
	promisesEvents = regexp.MustCompile(`\bevents?\b`)
	promisesError  = regexp.MustCompile(`\b(errors?|messages?|failures?)\b`)
	kubeletRuns    = regexp.MustCompile(`[Cc]heck (whether )?the kubelet( is running| and read)`)
	freshLease     = regexp.MustCompile(`^renewed \d+s ago, valid for \d+s`)
)

// known says by what the report already holds the answer of a command; empty where it does not.
func known(r Report, f finding.Finding, n finding.Next) string {
	words := Call(n.Command)
	kind, name := Object(words)
	switch {
	case promisesEvents.MatchString(n.Why) && (slices.Contains(r.Events, kind+"/"+name) || slices.Contains(r.Events, kind+"/")):
		return "all events of " + kind + "/" + name + " were read"
	case len(words) > 0 && words[0] == "describe" && promisesError.MatchString(n.Why):
		if e, ok := quoted(f, name); ok {
			return e.Source + " " + e.Path + ": " + e.Value
		}
	case kubeletRuns.MatchString(n.Why):
		for _, e := range f.Evidence {
			if strings.HasPrefix(e.Source, "kubelet ") || strings.HasPrefix(e.Source, "Lease kube-node-lease/") && late(e.Value) == "" {
				return e.Source + ": " + e.Value
			}
		}
	}
	for _, e := range f.Evidence {
		if asks(words, kind, name, e) {
			return e.Source + " " + e.Path + ": " + e.Value
		}
	}
	return ""
}

// late says by how much a Lease has expired, empty where it has not.
func late(value string) string {
	if !freshLease.MatchString(value) {
		return value
	}
	var ago, valid int
	if _, err := fmt.Sscanf(value, "renewed %ds ago, valid for %ds", &ago, &valid); err != nil || ago > valid {
		return value
	}
	return ""
}

// asks says whether a command asks for this one piece of evidence: a path by --raw, a field by jsonpath, the Lease of a
// component.
func asks(words []string, kind, name string, e finding.Evidence) bool {
	if at := slices.Index(words, "--raw"); at >= 0 && at+1 < len(words) {
		path, _, _ := strings.Cut(words[at+1], "?")
		_, behind, proxied := strings.Cut(path, "/proxy/")
		return e.Path == path || proxied && e.Path == "/"+behind
	}
	if len(words) == 0 || words[0] != "get" || name == "" || !strings.HasSuffix(e.Source, "/"+name) && !strings.HasSuffix(e.Source, " "+name) {
		return false
	}
	if kind == "lease" {
		return strings.HasPrefix(e.Source, "Lease ")
	}
	return slices.Contains(words, "jsonpath={."+e.Path+"}")
}

// quoted finds the evidence that quotes what went wrong with an object: an event, what a container waits for, a condition,
// or the answer to the creation of its pods.
func quoted(f finding.Finding, name string) (finding.Evidence, bool) {
	for _, e := range f.Evidence {
		about := f.Object != nil && f.Object.Name == name || f.Object == nil || strings.HasSuffix(e.Source, " "+name)
		message := strings.HasPrefix(e.Source, "Event") || e.Path == "FailedCreate" || strings.HasSuffix(e.Path, ".waiting") ||
			strings.Contains(e.Path, "conditions[") || e.Path == "status.message" || strings.HasPrefix(e.Source, "VolumeAttachment ")
		if about && message && strings.Contains(e.Value, " ") {
			return e, true
		}
	}
	return finding.Evidence{}, false
}

// Object is what a describe or a get names, as kind and name in lower case and singular; a list of events names the object
// of its field selector. The name is empty where a command names none.
func Object(words []string) (kind, name string) {
	for _, w := range words {
		if _, selector, ok := strings.Cut(w, "involvedObject.name="); ok {
			kind = "node"
			if _, k, ok := strings.Cut(w, "involvedObject.kind="); ok {
				kind, _, _ = strings.Cut(k, ",")
			}
			name, _, _ = strings.Cut(selector, ",")
			return strings.ToLower(kind), name
		}
	}
	if len(words) < 2 || words[0] != "describe" && words[0] != "get" {
		return "", ""
	}
	if kind, name, ok := strings.Cut(words[1], "/"); ok {
		return strings.TrimSuffix(kind, "s"), name
	}
	if len(words) > 2 && !strings.HasPrefix(words[2], "-") {
		return strings.TrimSuffix(words[1], "s"), words[2]
	}
	return strings.TrimSuffix(words[1], "s"), ""
}
