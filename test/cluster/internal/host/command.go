package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Run executes a command and gives its standard output; what it says on
// standard error becomes part of the error. On Linux it ends with this
// program, also when that is killed.
func Run(ctx context.Context, input string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	tie(cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, said)
	}
	return stdout.String(), nil
}

// IsRoot says whether the program may make namespaces, links and mounts.
func IsRoot() bool { return os.Geteuid() == 0 }

// CanMakeNodes says whether this machine can have real nodes.
func CanMakeNodes() bool { return runtime.GOOS == "linux" && IsRoot() }
