package kube

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

// A connection flag that cli-runtime adds must be thought about.
func TestEachConnectionFlagIsRepeatedOrLeftOutForAReason(t *testing.T) {
	leftOut := map[string]string{
		"token": "secret", "password": "secret", "username": "goes with the password",
		"cache-dir": "chooses nothing", "request-timeout": "chooses nothing", "disable-compression": "chooses nothing",
		"namespace": "set by each command",
	}
	NewFlags("test-agent", time.Now).FlagSet().VisitAll(func(f *pflag.Flag) {
		if leftOut[f.Name] == "" && !slices.Contains(repeated, f.Name) {
			t.Errorf("--%s is neither repeated in next commands nor left out for a reason", f.Name)
		}
	})
}

// Every flag that is given reaches the next commands, in the form that it was given in.
func TestEachConnectionFlagReachesTheNextCommands(t *testing.T) {
	values := map[string]string{"insecure-skip-tls-verify": "true", "proxy-url": "http://proxy:3128", "as-uid": "7"}
	for _, name := range repeated {
		value := values[name]
		if value == "" {
			value = "some " + name
		}
		f := NewFlags("test-agent", time.Now)
		if err := f.FlagSet().Parse([]string{"--" + name + "=" + value}); err != nil {
			t.Errorf("--%s: %v", name, err)
			continue
		}
		context := "" // the current one, where --context is not given
		if name == "context" {
			context = value
		}
		command := finding.Kubectl{Flags: f.given(context)}.Command("shop", "nodeshell", "w1", "--", "id")
		if want := finding.Quote("--"+name+"="+value) + " -- id"; !strings.HasSuffix(command, want) {
			t.Errorf("%s; want … %s", command, want)
		}
	}
}

// A value that would have to be hidden is left out: what is printed can be pasted.
func TestNoSecretStandsInANextCommand(t *testing.T) {
	f := NewFlags("test-agent", time.Now)
	if err := f.FlagSet().Parse([]string{"--token=canary", "--proxy-url=http://u:canary@proxy:3128", "--as=jane"}); err != nil {
		t.Fatal(err)
	}
	if got := f.given(""); !slices.Equal(got, []string{"--as=jane"}) {
		t.Errorf("%q", got)
	}
}
