package enter

import (
	"context"
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeshell/internal/evaluate"
)

// PullPatience is how long a visible pull is waited for.
const PullPatience = 10 * time.Minute

// Enter makes the helper of a visit that was placed, and an Event on the node. Leave removes the helper, and must be
// called, also after an error.
func (r *Runner) Enter(ctx context.Context, v Visit) (helper *helperpod.Helper, leave func(), err error) {
	audited := r.audit(ctx, v)
	helper, err = r.start(ctx, v)
	return helper, func() {
		r.close(ctx, helper)
		audited()
	}, err
}

// EnterPod adds an ephemeral container to the pod of a visit, where no helper of its own is admitted. Leave must be
// called, also after an error: the container ends with its lease, and its entry stays in the pod's spec.
func (r *Runner) EnterPod(ctx context.Context, v Visit) (helper *helperpod.Helper, leave func(), err error) {
	pod := v.Target.Pod
	group := r.newGroup(pod.Namespace).ForPod(pod)
	if err := group.Watch(ctx); err != nil {
		return nil, func() {}, err
	}
	root := func(add ...corev1.Capability) *corev1.SecurityContext {
		user, never := int64(0), false
		s := &corev1.SecurityContext{RunAsUser: &user, RunAsNonRoot: &never}
		if len(add) > 0 {
			s.Capabilities = &corev1.Capabilities{Add: add}
		}
		return s
	}
	helper, err = group.StartEphemeral(ctx, helperpod.Ephemeral{
		Pod: pod, Prefix: "nodeshell-", Image: evaluate.Image(v.Target.Node, v.Options), Shell: "sh",
		// CRI-O's default set lacks NET_RAW, and "baseline" forbids adding it where containerd has it anyway.
		Security: []*corev1.SecurityContext{root("NET_RAW"), root()},
		Patience: helperpod.Patience{Start: r.options.StartTimeout, Pull: PullPatience},
	})
	return helper, func() { _ = helper.Close(ctx) }, err
}

// start makes the helper of a visit. The helper must be closed, also after an error.
func (r *Runner) start(ctx context.Context, v Visit) (*helperpod.Helper, error) {
	spec := helperpod.Spec{
		Pod: v.Pod, Container: v.Container, Shell: v.Shell, Guard: !r.options.NoJob,
		Patience: helperpod.Patience{Start: r.options.StartTimeout, Pull: max(r.options.StartTimeout, PullPatience)},
		Warn:     func(text string) { r.env.Warn("warning: %s", output.Sanitize(text)) },
	}
	if r.env.ErrTTY && !r.options.Quiet {
		spec.Tell = func(w podspec.Wait) { r.env.Warn("node %s: %s…", v.Node, output.Sanitize(w.Text)) }
	}
	spec.Check = func(made *corev1.Pod) error { return r.changed(ctx, v, made) }
	helper, err := r.group.Start(ctx, spec)
	var (
		not     *helperpod.NotStarted
		refused Refused
	)
	switch {
	case errors.As(err, &refused):
		return helper, refused
	case errors.As(err, &not):
		return helper, NotStarted(v, evaluate.NotStarted(v.Plan, not.Wait, v.Options))
	case err != nil:
		return helper, Denied(v, kube.Explain(err))
	}
	r.Notices(evaluate.Changed(v.Pod, helper.Pod, nil, v.Options))
	return helper, nil
}

// changed fails where admission has made another pod than the one that was sent, though its dry run did not: a policy came into effect
// since, or a webhook leaves dry runs alone.
func (r *Runner) changed(ctx context.Context, v Visit, made *corev1.Pod) error {
	if (evaluate.Try{Asked: v.Pod, Pod: made}).Admits() {
		return nil
	}
	return NotStarted(v, evaluate.Changed(v.Pod, made, r.elsewhere(ctx, v.Pod, made.Namespace), v.Options)[0])
}

// Gone gives, once, how the pod of a capture has ended: its network is gone with it.
func (r *Runner) Gone(ctx context.Context, pod *corev1.Pod) <-chan string {
	return r.newGroup(pod.Namespace).Gone(ctx, pod)
}

// Ending asks how the pod of a capture has ended; empty is that it lives.
func (r *Runner) Ending(ctx context.Context, pod *corev1.Pod) string {
	return r.newGroup(pod.Namespace).Ending(ctx, pod)
}

// close removes a helper. Where that takes more than a moment, it tells a person how to do it by hand: a second Ctrl-C
// leaves. A script's standard error is the remote command's alone.
func (r *Runner) close(ctx context.Context, helper *helperpod.Helper) {
	byHand := r.cluster.Kubectl.Command(r.group.Namespace, "delete", helper.Kind(), helper.Name())
	slow := time.AfterFunc(2*time.Second, func() {
		if r.env.ErrTTY {
			r.env.Warn("still deleting the helper pod; to delete the pod by hand: %s", byHand)
		}
	})
	err := helper.Close(ctx)
	slow.Stop()
	if err != nil {
		r.env.Warn("warning: the helper pod could not be deleted (%s) and terminates within %s; to delete the pod by hand: %s",
			kube.OneLine(kube.Explain(err)), podspec.Lease, byHand)
	}
}

// Notices prints warnings; information is for a person only.
func (r *Runner) Notices(list []finding.Finding) {
	if r.options.Quiet {
		return
	}
	for _, f := range list {
		if f.Severity == finding.Warning || f.Severity == finding.Info && r.env.ErrTTY {
			r.Warn(f)
		}
	}
}

// Warn writes one finding in a line, and its next steps, if it has any.
func (r *Runner) Warn(f finding.Finding) {
	page := output.Page{Terminal: r.env.Err(r.options.Color), Now: r.Now()}
	page.Line(0, string(f.Severity)+": "+f.Message)
	for _, n := range f.Next {
		page.Line(2, n.Why+":")
		page.WriteString("    " + output.Sanitize(n.Command) + "\n")
	}
	r.env.Warn("%s", strings.TrimSuffix(page.String(), "\n"))
}
