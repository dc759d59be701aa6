package rolloutexplain

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// atOnce is how many scenarios run side by side. They mostly wait for back-offs and probes, so there are more than cores; none begins
// while the machine is busy (harness.Room): with 8 that did, beside the cluster of another package, the controllers on two slow cores
// came to nothing for minutes.
const atOnce = 14

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", strconv.Itoa(atOnce)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if os.Getenv(updateEnv) != "" {
		if err := writePage(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// cluster is the user's, or one of this package's own.
func cluster(t *testing.T) *harness.Cluster {
	t.Helper()
	return harness.OwnOrGiven(t, "rolloutexplain", 2)
}
