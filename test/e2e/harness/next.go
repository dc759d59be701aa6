package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// Step is a next command as a report has it.
type Step struct {
	Command string `json:"command"`
	Why     string `json:"why"`
	Risk    string `json:"risk"`
}

// stepLimit is how long a reading next command may take: somebody waits for it at night, though not on two processors that two
// packages of tests share.
const stepLimit = 20 * time.Second

// onIdle is how long two idle cores take for one small question to the API server: start kubectl, and connect.
const onIdle = 200 * time.Millisecond

// Stretched is a time limit of an idle machine as it is for this one now, by what a small question to the API server takes.
func (c *Cluster) Stretched(t testing.TB, limit time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	c.Kubectl(t, "get", "--raw", "/version")
	return time.Duration(limit.Seconds() * max(1, time.Since(began).Seconds()/onIdle.Seconds()) * float64(time.Second))
}

// Marker says what a next command must show in one scenario: a regular expression for the output of the commands that
// hold these words.
type Marker struct {
	Command string
	Shows   string
}

// Follow runs every reading next command as it was printed, and gives a complaint for each that leads nowhere: one that
// fails, takes long, does not show what Shows and the scenario's markers want, or goes to another cluster or user than
// the report did, whose arguments are asked. What is for the machine itself (systemctl and such) cannot be run here, and
// a --raw call to a node may fail by design: what its failure means is its purpose.
func (c *Cluster) Follow(t testing.TB, steps []Step, asked []string, markers ...Marker) []string {
	t.Helper()
	var dead []string
	for _, s := range steps {
		if flag := NotCarried(s.Command, asked); flag != "" {
			dead = append(dead, fmt.Sprintf("%s: lacks %s of the report (%s)", s.Command, flag, s.Why))
		}
		if s.Risk != "read" || !strings.HasPrefix(s.Command, "kubectl ") || strings.Contains(s.Command, " get --raw ") {
			continue
		}
		out, late, err := c.follow(s.Command, stepLimit)
		if late {
			out, late, err = c.follow(s.Command, c.Stretched(t, stepLimit))
		}
		var exit *exec.ExitError
		switch {
		case late:
			dead = append(dead, fmt.Sprintf("%s: not ended after %s (%s)", s.Command, stepLimit, s.Why))
			continue
		case errors.As(err, &exit):
			dead = append(dead, fmt.Sprintf("%s: exit %d: %s (%s)", s.Command, exit.ExitCode(), tail(string(out)), s.Why))
			continue
		case err != nil:
			t.Fatalf("%s: %v", s.Command, err)
		}
		for _, complaint := range append(Unmarked(s.Command, string(out), markers), Shows(s.Command, string(out))) {
			if complaint != "" {
				dead = append(dead, fmt.Sprintf("%s: %s (%s)\n%s", s.Command, complaint, s.Why, tail(string(out))))
			}
		}
	}
	return dead
}

// follow runs a next command. late says that it was ended at its limit. Where the container of a run was removed a moment ago, and the
// status of its pod still names it, there is no log; the kubelet looks at each pod again within a minute and a half at most
// (https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/, syncFrequency, and half of it as jitter).
func (c *Cluster) follow(command string, limit time.Duration) (out []byte, late bool, err error) {
	for range 90 {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		out, err = c.Command(ctx, "bash", "-c", command).CombinedOutput()
		late = ctx.Err() != nil && err != nil
		cancel()
		if !bytes.HasPrefix(out, []byte("unable to retrieve container logs for ")) {
			break
		}
		time.Sleep(time.Second)
	}
	return out, late, err
}

// Unmarked lists the markers of a command that its output does not hold.
func Unmarked(command, output string, markers []Marker) []string {
	var list []string
	for _, m := range markers {
		if strings.Contains(command, m.Command) && !regexp.MustCompile(m.Shows).MatchString(output) {
			list = append(list, "does not show "+m.Shows)
		}
	}
	return list
}

// verdictLine is how every report of a plugin begins: the verdict and what it is about.
var verdictLine = regexp.MustCompile(`^[A-Z][A-Za-z]+: `)

// withEvents are the kinds whose description ends in events.
var withEvents = []string{"pod", "node", "deployment", "statefulset", "daemonset", "replicaset", "job", "pvc", "service"}

// Shows says what is missing in the output of a reading command that succeeded, by its kind:
//
//   - a describe shows the name of its object, and its events where the kind has any;
//   - a get of one object shows its name, unless it is for one field; a list shows rows, or says that there are none; a
//     list of events shows one: their purpose is to be read;
//   - a log may be empty, for what printed nothing has said nothing, but is no excuse of kubectl's;
//   - a report of a plugin of ours begins with a verdict about the object that was asked for; a table with its header;
//   - everything else shows something.
func Shows(command, output string) string {
	words := testkit.Call(command)
	if len(words) == 0 {
		return ""
	}
	piped := strings.Contains(command, " | ")
	kind, name := testkit.Object(words)
	isLog := words[0] == "logs"
	switch {
	case isLog && regexp.MustCompile(`(?m)^(Error from server|unable to retrieve container logs|previous terminated container)`).MatchString(output):
		return "shows no log"
	case strings.TrimSpace(output) == "" && !isLog:
		return "shows nothing"
	case piped || isLog:
	case words[0] == "describe" && name != "":
		if !regexp.MustCompile(`(?m)^Name:\s+` + regexp.QuoteMeta(name) + `$`).MatchString(output) {
			return "does not show " + name
		}
		if slices.Contains(withEvents, kind) && !strings.Contains(output, "\nEvents:") {
			return "shows no events"
		}
	case words[0] == "get" && len(words) > 1 && words[1] == "events":
		if strings.HasPrefix(output, "No resources found") {
			return "shows no events"
		}
	case words[0] == "get" && name != "" && !strings.Contains(command, "jsonpath="):
		if !strings.Contains(output, name) {
			return "does not show " + name
		}
	default:
		return verdictAbout(words, output)
	}
	return ""
}

// verdictAbout holds the first line of a plugin's report against the object of its call.
func verdictAbout(words []string, output string) string {
	line, _, _ := strings.Cut(output, "\n")
	about := ""
	switch {
	case slices.Contains(words, "--"):
		return ""
	case words[0] == "nodeinfo" && len(words) > 1 && !strings.HasPrefix(words[1], "-"):
		about = "node/" + words[1]
	case words[0] == "nodeinfo":
		if !strings.HasPrefix(line, "NAME ") {
			return "is no table of nodes: " + line
		}
		return ""
	case words[0] == "rollout-explain" && len(words) > 1 && strings.Contains(words[1], "/"):
		about = words[1]
	case words[0] == "dns" && len(words) > 2 && (words[1] == "pod" || words[1] == "explain" || words[1] == "resolve"):
		about = words[2]
	case words[0] == "dns" && len(words) > 1 && words[1] != "names" && words[1] != "logs":
		about = "cluster DNS"
	case words[0] != "dns":
		return ""
	}
	if !verdictLine.MatchString(line) || !strings.Contains(line, about) {
		return fmt.Sprintf("begins with no verdict about %q: %s", about, line)
	}
	return ""
}

// connection are the flags that say which cluster is asked and as whom; a next command that lacks one goes elsewhere. What
// is secret (--token) is never printed.
var connection = []string{
	"--context", "--kubeconfig", "--cluster", "--user", "--as", "--as-group", "--as-uid", "--server",
	"--insecure-skip-tls-verify", "--tls-server-name", "--certificate-authority",
}

// NotCarried names a connection flag with which the report was asked for and that a kubectl command lacks.
func NotCarried(command string, asked []string) string {
	if !strings.HasPrefix(command, "kubectl ") {
		return ""
	}
	before, _, _ := strings.Cut(command+" ", " -- ")
	for i, word := range asked {
		if word == "--" {
			break
		}
		flag, value, joined := strings.Cut(word, "=")
		if !slices.Contains(connection, flag) {
			continue
		}
		if !joined && flag != "--insecure-skip-tls-verify" && i+1 < len(asked) {
			value = asked[i+1]
		}
		if !strings.Contains(before, " "+flag+"="+value) && !strings.Contains(before, " '"+flag+"="+value) && !strings.Contains(before, " "+flag+" "+value) {
			return flag
		}
	}
	return ""
}
