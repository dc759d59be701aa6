package nodeshell

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// BenchmarkBesideKubectlDebug measures nodeshell and `kubectl debug node` in turns on one cluster, with the image on the
// node: from the start of the process to the first byte of output, and to its end. Only the ratio means something on a
// machine that is shared. `make bench-nodeshell` runs it.
func BenchmarkBesideKubectlDebug(b *testing.B) {
	c := harness.Own(b, "nodeshell", 2)
	ns := c.Namespace(b)
	const image = "docker.io/library/busybox:1.36"
	shell := []string{"nodeshell", "w1", "-n", ns, "--image", image, "--"}
	debug := []string{"debug", "node/w1", "-n", ns, "--image", image, "--profile=sysadmin", "--attach", "-q", "--"}
	// kubectl debug attaches when the command has begun, and what it printed before is lost: the first byte needs one
	// that goes on printing.
	prompt, quick := []string{"sh", "-c", "i=0; while [ $i -lt 60 ]; do echo x; sleep 0.05; i=$((i+1)); done"}, []string{"echo", "x"}
	times := map[string][]time.Duration{}
	lost := map[string]int{}
	for b.Loop() {
		for _, tool := range []struct {
			name string
			args []string
		}{{"nodeshell", shell}, {"debug", debug}} {
			first, _ := measure(b, c, append(slices.Clone(tool.args), prompt...))
			printed, total := measure(b, c, append(slices.Clone(tool.args), quick...))
			if printed == 0 {
				lost[tool.name]++
			}
			if first != 0 {
				times[tool.name+"-first"] = append(times[tool.name+"-first"], first)
			}
			times[tool.name+"-total"] = append(times[tool.name+"-total"], total)
			c.MustKubectl(b, "delete", "pods", "--all", "-n", ns, "--grace-period=0", "--force") // kubectl debug leaves its pods
		}
	}
	for name, list := range times {
		b.ReportMetric(float64(median(list).Milliseconds()), name+"-ms")
	}
	for _, what := range []string{"first", "total"} {
		if other := median(times["debug-"+what]); other > 0 {
			b.ReportMetric(float64(median(times["nodeshell-"+what]))/float64(other), what+"-ratio")
		}
	}
	for _, tool := range []string{"nodeshell", "debug"} {
		b.ReportMetric(float64(lost[tool]), tool+"-runs-without-output")
	}
	b.ReportMetric(0, "ns/op")
	load, err := os.ReadFile("/proc/loadavg")
	b.Logf("load average %s %v; all: %v", strings.TrimSpace(string(load)), err, times)
}

// measure gives the time to the first byte (0: none came) and to the end of the process.
func measure(b *testing.B, c *harness.Cluster, args []string) (first, total time.Duration) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	cmd := c.Command(ctx, "kubectl", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 100)
	for {
		n, err := out.Read(block)
		if n > 0 && first == 0 {
			first = time.Since(began)
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		b.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return first, time.Since(began)
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
