package kube

import (
	"slices"
	"testing"
	"time"

	"github.com/spf13/pflag"
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
