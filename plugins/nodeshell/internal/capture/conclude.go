package capture

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// conclude reports; 0 only if every stream ended in order.
func (c *capturing) conclude(ctx context.Context, targets []*one) error {
	failed := 0
	packets := int64(0)
	results := make([]report.Capture, len(targets))
	for i, t := range targets {
		results[i] = t.result
		r := &results[i]
		packets += r.Packets
		if r.Error != "" {
			failed++
		}
		if r.Dropped != nil && *r.Dropped > 0 {
			r.Findings = append(r.Findings, evaluate.Dropped(r.Node, *r.Dropped, t.Options))
		}
	}
	summary := fmt.Sprintf("%s from %s", output.Plural(int(packets), "packet"), output.Plural(len(results), "target"))
	if failed > 0 {
		summary += fmt.Sprintf(", %d failed", failed)
	}
	if c.o.Format.Structured() {
		doc := report.Captures{
			TypeMeta: metav1.TypeMeta{APIVersion: report.APIVersion, Kind: "NodeShellCaptures"},
			Summary:  summary, Items: results,
		}
		if err := c.o.Format.Print(c.env.Streams.Out, doc); err != nil {
			return err
		}
	} else {
		c.tell(results)
	}
	switch {
	case failed > 0:
		return cli.Exit{Code: c.env.FailureCode}
	case ctx.Err() != nil && slices.ContainsFunc(results, notWhole):
		return ctx.Err()
	case ctx.Err() != nil:
		return cli.ErrEnded
	}
	return nil
}

// notWhole says that nothing was captured, or not all of it: tcpdump has not come to count.
func notWhole(r report.Capture) bool { return !r.Complete || r.Captured == nil }

func (c *capturing) tell(results []report.Capture) {
	for _, r := range results {
		name := "node/" + r.Node
		if r.Pod != "" {
			name = r.Namespace + "/" + r.Pod + " on " + r.Node
		}
		if r.Error != "" {
			c.nodes.Error(name, r.Error, r.Findings)
		}
		if c.o.Pod.Quiet || r.Error != "" && r.Packets == 0 && r.Captured == nil {
			continue
		}
		line := fmt.Sprintf("%s: captured %s, received %s, dropped %s", name, count(r.Captured), count(r.Received), count(r.Dropped))
		if r.Interface != "" {
			line += fmt.Sprintf(" on %s (tcpdump of the %s)", r.Interface, r.Tool)
		}
		if r.File != "" && r.File != "-" {
			line += fmt.Sprintf(", %s in %s", output.Bytes(r.Bytes), r.File)
		}
		c.env.Warn("%s", line)
		for _, f := range r.Findings {
			if f.Code == evaluate.PacketsDropped {
				c.nodes.Warn(f)
			}
		}
	}
}

func count(n *int64) string {
	if n == nil {
		return output.Unknown
	}
	return strconv.FormatInt(*n, 10)
}
