package harness

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Step is a next command as a report has it.
type Step struct {
	Command string `json:"command"`
	Why     string `json:"why"`
	Risk    string `json:"risk"`
}

// stepLimit is how long a reading next command may take: somebody waits for it at night.
const stepLimit = 10 * time.Second

// Follow runs every reading next command as it was printed, and gives a complaint for each that leads nowhere: one that
// fails, takes long, or shows nothing, not even "No resources found". A log may be empty: what printed nothing has said
// nothing. What is for the machine itself (systemctl and such) cannot be run here, and a --raw call to a node may fail by
// design: what its failure means is its purpose.
func (c *Cluster) Follow(t testing.TB, steps []Step) []string {
	t.Helper()
	var dead []string
	for _, s := range steps {
		if s.Risk != "read" || !strings.HasPrefix(s.Command, "kubectl ") || strings.Contains(s.Command, " get --raw ") {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), stepLimit)
		cmd := c.Command(ctx, "bash", "-c", s.Command)
		out, err := cmd.CombinedOutput()
		cancel()
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil && err != nil:
			dead = append(dead, fmt.Sprintf("%s: not ended after %s (%s)", s.Command, stepLimit, s.Why))
		case errors.As(err, &exit):
			dead = append(dead, fmt.Sprintf("%s: exit %d: %s (%s)", s.Command, exit.ExitCode(), tail(string(out)), s.Why))
		case err != nil:
			t.Fatalf("%s: %v", s.Command, err)
		case strings.TrimSpace(string(out)) == "" && !strings.HasPrefix(s.Command, "kubectl logs "):
			dead = append(dead, fmt.Sprintf("%s: shows nothing (%s)", s.Command, s.Why))
		}
	}
	return dead
}
