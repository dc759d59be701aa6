package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/enter"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/netns"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/report"
)

// onNode makes one node's helper and captures its targets.
func (c *capturing) onNode(ctx context.Context, members []*one) {
	first := members[0]
	failed := func(err error) {
		for _, t := range members {
			t.fail(err)
		}
	}
	if first.Verdict == report.Refused {
		failed(first.Refusal())
		return
	}
	c.nodes.Notices(first.Findings)
	helper, leave, err := c.nodes.Enter(ctx, first.Visit)
	defer leave()
	if err == nil {
		err = c.upload(ctx, helper.Container())
	}
	if err != nil {
		failed(enter.Denied(first.Visit, err))
		return
	}
	var wg sync.WaitGroup
	for _, t := range members {
		wg.Go(func() {
			defer t.listens()
			c.through(ctx, t, helper)
		})
	}
	wg.Wait()
}

// fail keeps an error, and the findings that explain it.
func (t *one) fail(err error) {
	t.result.Error = kube.OneLine(err)
	var refused enter.Refused
	if errors.As(err, &refused) {
		t.result.Findings = append(t.result.Findings, refused.Findings...)
	}
}

// upload puts a static tcpdump into the helper.
func (c *capturing) upload(ctx context.Context, to helperpod.Container) error {
	if c.o.Tcpdump == "" {
		return nil
	}
	f, err := os.Open(c.o.Tcpdump)
	if err != nil {
		return err
	}
	defer f.Close()
	var stderr bytes.Buffer
	code, err := to.Exec(ctx, []string{"sh", "-c", uploadScript}, helperpod.Streams{In: f, Err: &stderr})
	if err == nil && code != 0 {
		err = fmt.Errorf("--tcpdump %q: upload failed: %s", c.o.Tcpdump, bytes.TrimSpace(stderr.Bytes()))
	}
	return err
}

// through captures one target through its node's helper.
func (c *capturing) through(ctx context.Context, t *one, helper *helperpod.Helper) {
	if t.Target.Pod == nil {
		c.record(ctx, t, helper, c.command(t, "host"))
		return
	}
	container := helper.Container()
	found, err := netns.Find(ctx, container, t.Target.Pod, c.o.Container)
	switch {
	case err != nil:
		t.result.Error = err.Error()
	case found.Host:
		c.warnOfHostNetwork(t)
		c.record(ctx, t, helper, c.command(t, "host"))
	default:
		c.record(ctx, t, helper, found.Enter(container.Shell, c.command(t, "net")))
	}
}

// inPod captures from an ephemeral container.
func (c *capturing) inPod(ctx context.Context, t *one) {
	helper, leave, err := c.nodes.EnterPod(ctx, t.Visit)
	defer leave()
	if err == nil {
		err = c.upload(ctx, helper.Container())
	}
	if err != nil {
		t.fail(kube.Explain(err))
		return
	}
	if t.Target.Pod.Spec.HostNetwork {
		c.warnOfHostNetwork(t)
	}
	c.record(ctx, t, helper, c.command(t, "here"))
}

func (c *capturing) warnOfHostNetwork(t *one) {
	warning := evaluate.HostNetwork(t.Target.Pod)
	c.nodes.Notices(warning)
	t.result.Findings = append(t.result.Findings, warning...)
}
