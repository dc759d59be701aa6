package nodeinfo

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

const (
	// waitHealthy is the one state that --wait-for knows.
	waitHealthy = "healthy"
	// waitLimit is how long --wait-for waits where --timeout does not say.
	waitLimit = 10 * time.Minute
	// readLimit is how long one reading may take, and waitReadLimit of a wait, which has the time.
	readLimit     = 15 * time.Second
	waitReadLimit = time.Minute
	// manyNodes is how many nodes a line on the wait names.
	manyNodes = 5
)

var errWaited = errors.New("waited")

// waitFor looks again and again until each node that was asked for is there and Healthy. What keeps them from it is said when it
// changes, and at the end the report is printed as without a wait. A cluster that does not answer may be on its way back; one that
// refuses the first reading will refuse the others.
func (o Options) waitFor(ctx context.Context, env *cli.Env, clusters []*kube.Cluster) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.WaitLimit, errWaited)
	defer cancel()
	said, last := "", report.List{}
	for {
		list, err := o.collectReport(ctx, env, clusters)
		interrupted := ctx.Err() != nil && !errors.Is(context.Cause(ctx), errWaited)
		if interrupted || said == "" && final(err) {
			return err
		}
		if ctx.Err() == nil || said == "" { // a reading that was cut says nothing
			if err == nil || len(list.Items) > 0 {
				last = list
			}
			missing := awaited(list, err)
			if missing == "" {
				return errors.Join(o.print(env, list), o.decide(list))
			}
			if missing != said {
				env.Warn("waiting: %s", output.Sanitize(missing))
			}
			said = missing
		}
		select {
		case <-ctx.Done():
			if !errors.Is(context.Cause(ctx), errWaited) {
				return ctx.Err()
			}
			if len(last.Items) > 0 {
				if err := o.print(env, last); err != nil {
					return err
				}
			}
			return cli.Exit{Code: cli.ExitTimeout, Err: fmt.Errorf("timed out after %s: %s", o.WaitLimit, said)}
		case <-time.After(o.Interval):
		}
	}
}

// final says that another reading would fail in the same way.
func final(err error) bool {
	var unknown x509.UnknownAuthorityError
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsBadRequest(err) || errors.As(err, &unknown)
}

// awaited says what is missing until all nodes are Healthy; empty: nothing.
func awaited(list report.List, err error) string {
	if err != nil {
		return "the cluster cannot be read: " + kube.Explain(err).Error()
	}
	var missing []string
	for _, name := range list.NotFound {
		if !slices.ContainsFunc(list.Items, func(n report.Node) bool { return n.Name == name }) { // one that was deleted has a report
			missing = append(missing, fmt.Sprintf("node %q does not exist", name))
		}
	}
	for _, n := range list.Items {
		if n.Verdict == report.Healthy {
			continue
		}
		text := "node " + n.Name + " is " + string(n.Verdict)
		if len(n.Findings) > 0 {
			text += " (" + string(n.Findings[0].Code) + ")"
		}
		missing = append(missing, text)
	}
	if len(missing) > manyNodes {
		missing = append(missing[:manyNodes], fmt.Sprintf("and %d more", len(missing)-manyNodes))
	}
	if len(missing)+len(list.Items) == 0 {
		return "no node is selected"
	}
	return strings.Join(missing, ", ")
}
