package dns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// options runs a command line up to its options.
func options(t *testing.T, args ...string) (any, int, string) {
	t.Helper()
	env := testkit.NewEnv("kubectl dns", noon)
	var got any
	code := env.Run(t, func(e *cli.Env) *cobra.Command {
		return newCommand(e, func(o any) error { got = o; return nil })
	}, args...)
	return got, code, env.Stderr.String()
}

// lines that use every flag of every command, against the same command without it.
var flagCases = map[string][]string{
	"status":   {"status"},
	"config":   {"config"},
	"check":    {"check", "--from=p"},
	"pod":      {"pod", "p"},
	"explain":  {"explain", "a.b", "--from=p"},
	"resolve":  {"resolve", "a.b", "--from=p"},
	"names":    {"names", "svc/a"},
	"verify":   {"verify"},
	"upstream": {"upstream"},
	"top":      {"top"},
	"logs":     {"logs"},
}

var flagValues = map[string]string{
	"output": "json", "color": "never", "fail-on": "critical", "save-input": "f", "from-input": "f", "timeout": "3s", "from": "other", "container": "c", "profile": "full",
	"skip": "UpstreamSlow", "external": "corp.test", "slow": "2s", "probe": "pod", "probe-image": "i", "probe-timeout": "5s", "libc": "musl", "type": "SRV", "at": "x", "expect": "any",
	"transport": "tcp", "from-namespace": "n", "interval": "2s", "since": "1h",
}

func TestEveryFlagChangesTheOptions(t *testing.T) {
	root := New(testkit.NewEnv("kubectl dns", noon).Env)
	for name, line := range flagCases {
		command, _, err := root.Find([]string{name})
		if err != nil || command.Name() != name {
			t.Fatalf("%s: %v", name, err)
		}
		plain, code, stderr := options(t, line...)
		if code != 0 {
			t.Fatalf("%v: exit %d %s", line, code, stderr)
		}
		command.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			value, known := flagValues[f.Name]
			if !known {
				value = "true"
			}
			got, code, stderr := options(t, append(line, "--"+f.Name+"="+value)...)
			if code != 0 {
				t.Errorf("%s --%s=%s: exit %d %s", name, f.Name, value, code, stderr)
			}
			if cmp.Equal(plain, got) {
				t.Errorf("%s: --%s changes nothing: it is a dead flag", name, f.Name)
			}
		})
	}
	for _, c := range root.Commands() {
		if _, ok := flagCases[c.Name()]; !ok && c.Name() != "version" && c.Name() != "completion" && c.IsAvailableCommand() {
			t.Errorf("%s has no case", c.Name())
		}
	}
}

func TestFlagsWithKnownValuesComplete(t *testing.T) {
	for _, line := range [][]string{
		{"check", "--profile", ""},
		{"check", "--skip", ""},
		{"check", "--probe", ""},
		{"explain", "--libc", ""},
		{"resolve", "--type", ""},
		{"resolve", "--transport", ""},
		{"resolve", "--expect", ""},
		{"status", "--fail-on", ""},
		{"status", "--color", ""},
		{"status", "--output", ""},
	} {
		env := testkit.NewEnv("kubectl dns", noon)
		env.Run(t, New, append([]string{"__complete"}, line...)...)
		if words := strings.Fields(env.Stdout.String()); len(words) < 2 || strings.HasPrefix(words[0], ":") {
			t.Errorf("%v offers %q", line, env.Stdout.String())
		}
	}
}

func TestAllUsageErrorsAreSaidAtOnce(t *testing.T) {
	_, code, stderr := options(t, "check", "--profile=slow", "--fail-on=bad", "--skip=Nope", "--slow=0s", "-o", "csv", "--container=c", "--probe=pod", "--timeout=0s")
	if code != 1 || strings.Count(stderr, "error: ") != 8 {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

// Every command and flag that names a pod reads it alike.
func TestAPodIsNamedAlikeEverywhere(t *testing.T) {
	lines := map[string]func(any) string{
		"check --from":     func(o any) string { return o.(CheckOptions).From },
		"explain a --from": func(o any) string { return o.(ExplainOptions).From },
		"resolve a --from": func(o any) string { return o.(ResolveOptions).From },
		"pod":              func(o any) string { return o.(PodOptions).Pod },
	}
	for line, pod := range lines {
		words := strings.Fields(line)
		for _, name := range []string{"web-1", "pod/web-1", "pods/web-1", "po/web-1"} {
			o, code, stderr := options(t, append(words, name)...)
			if code != 0 || pod(o) != "web-1" {
				t.Errorf("%s %s: exit %d %s", line, name, code, stderr)
			}
		}
		for name, want := range map[string]string{
			"svc/web":      `"svc": unknown type; valid types: pod`,
			"http://web":   `"http://web" is a URL; expected an object name`,
			"web:80":       `"web:80" is not an object name; valid names have lowercase letters, digits, '-' and '.'`,
			"pod/web-1/rm": `"pod/web-1/rm": expected TYPE/NAME`,
		} {
			if _, code, stderr := options(t, append(words, name)...); code != 1 || !strings.Contains(stderr, want) || strings.Count(stderr, "error: ") != 1 {
				t.Errorf("%s %s: exit %d %s", line, name, code, stderr)
			}
		}
	}
}

func TestWhatIsNoHostNameIsNotAskedFor(t *testing.T) {
	for name, want := range map[string]string{
		"http://web:80/x": `"http://web:80/x" is a URL: give the host name alone, web`,
		"web:80":          `"web:80" has a port, and DNS knows none: give the host name alone, web`,
		"svc/web":         `"svc/web" is not a host name: give the name alone, such as web.NAMESPACE; 'names svc/web' lists the names of an object`,
		"10.96.0.1":       `"10.96.0.1" is an address, which no program looks up: its name is asked for by 'resolve 1.0.96.10.in-addr.arpa --type PTR'`,
		"a b":             `"a b" has white space in it: give one host name`,
	} {
		for _, line := range [][]string{{"resolve", name}, {"explain", name, "--from=p"}} {
			if _, code, stderr := options(t, line...); code != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%v: exit %d %s", line, code, stderr)
			}
		}
	}
	for _, name := range []string{"_http._tcp.web", "0/25.2.0.192.in-addr.arpa", "web.", ".", "10.96.0.1.xip.test"} {
		if _, code, stderr := options(t, "resolve", name); code != 0 {
			t.Errorf("%s: exit %d %s", name, code, stderr)
		}
	}
}

func TestWithoutACommandTheStatusIsShown(t *testing.T) {
	if o, code, stderr := options(t); code != 0 || fmt.Sprintf("%T", o) != "dns.StatusOptions" {
		t.Errorf("%T, exit %d %s", o, code, stderr)
	}
}

func TestProfileCIFailsOnCriticalUnlessTold(t *testing.T) {
	for line, want := range map[string]string{"check --profile ci": "critical", "check --profile ci --fail-on warning": "warning", "check": "never"} {
		o, _, _ := options(t, strings.Fields(line)...)
		if got := string(o.(CheckOptions).FailOn); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestHelpHasExamplesThatParse(t *testing.T) {
	root := New(testkit.NewEnv("kubectl dns", noon).Env)
	count := 0
	for _, c := range append(root.Commands(), root) {
		for line := range strings.Lines(c.Example) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "kubectl dns") {
				continue
			}
			count++
			if _, code, stderr := options(t, strings.Fields(strings.TrimPrefix(line, "kubectl dns"))...); code != 0 {
				t.Errorf("%s: %s", line, stderr)
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d examples", count)
	}
}

// With nothing but an API server that answers nothing useful every command says one clear line.
func TestAnUnreachableServerIsOneLine(t *testing.T) {
	kubeconfig := testkit.Kubeconfig(t, "http://127.0.0.1:1", "t")
	for name, line := range flagCases {
		env := testkit.NewEnv("kubectl dns", noon)
		code := env.Run(t, New, append(line, "--kubeconfig", kubeconfig)...)
		stderr := env.Stderr.String()
		if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "refuses connections") || env.Stdout.String() != "" {
			t.Errorf("%s: exit %d\n%s%s", name, code, env.Stdout.String(), stderr)
		}
	}
}
