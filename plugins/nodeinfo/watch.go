package nodeinfo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// watchInterval is how often -w looks: half a heartbeat.
const watchInterval = 5 * time.Second

// watch looks again and again, and prints when what matters has changed: not on every second of an age.
func (o Options) watch(ctx context.Context, env *cli.Env, clusters []*kube.Cluster) error {
	last, complaints := "", env.Complaints()
	for {
		list, err := o.collectReport(ctx, env, clusters)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && last == "" && len(list.Items) == 0 {
			return err
		}
		complaints.Say("", err)
		if now := fingerprint(list); now != last && (err == nil || len(list.Items) > 0) {
			if last != "" && !o.Format.Structured() && o.Format.Kind != output.Name {
				fmt.Fprintf(env.Streams.Out, "\n%s\n", list.Time.Format(time.RFC3339))
			}
			last = now
			if err := o.print(env, list); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.Interval):
		}
	}
}

// fingerprint is what a change in is worth printing.
func fingerprint(list report.List) string {
	var b strings.Builder
	for _, n := range list.Items {
		fmt.Fprintf(&b, "%s %s %s %s", n.Context, n.Name, n.Verdict, n.Status)
		for _, f := range n.Findings {
			fmt.Fprintf(&b, " %s/%s", f.Code, f.Object)
		}
		b.WriteByte('\n')
	}
	for _, f := range list.Findings {
		fmt.Fprintf(&b, "%s/%s\n", f.Code, f.Object)
	}
	return b.String()
}
