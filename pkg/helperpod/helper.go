package helperpod

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
)

// Spec is what a helper is made of.
type Spec struct {
	Pod       *corev1.Pod // its name is the helper's; its first container of name Container is waited for
	Container string
	Shell     string // sh in the container
	Guard     bool   // a Job around it, so that the cluster removes it when the client is dead
	Patience  Patience
	Tell      func(podspec.Wait)
	Check     func(made *corev1.Pod) error // of the pod as admission made it, before its container runs; may be nil
	Warn      func(text string)            // what the user has to know of a helper that runs; may be nil
}

// Helper is one pod that exists for as long as its client says so.
type Helper struct {
	Pod   *corev1.Pod // as it ran
	Asked *corev1.Pod // as it was asked for, to tell what admission has changed

	group     *Group
	name      string
	container string
	shell     string
	guarded   bool
	perhaps   bool // something may have been created
	warn      func(string)
	check     func(*corev1.Pod) error

	mu       sync.Mutex
	lost     error // why the lease was given up
	fixed    error // why the Job's deadline stays as it is, where it could not be extended
	broke    bool  // a control stream that was open has broken
	lostOnce sync.Once
	lostC    chan struct{}
	voice    *voice
	renewed  time.Time          // the Job's deadline is at least pendingLease after this
	quiet    context.CancelFunc // ends the heartbeats
	renewing context.CancelFunc // ends the renewal of the Job's deadline
}

// Start makes a helper and returns when its container runs and its lease is held. Whatever is returned, the caller must
// Close it: also after an error, when part of it may exist.
func (g *Group) Start(ctx context.Context, spec Spec) (*Helper, error) {
	h := &Helper{
		group: g, Asked: spec.Pod, name: spec.Pod.Name, container: spec.Container, shell: spec.Shell,
		lostC: make(chan struct{}), quiet: func() {}, renewing: func() {}, warn: func(string) {},
	}
	if spec.Warn != nil {
		h.warn = spec.Warn
	}
	h.check = spec.Check
	if err := h.create(ctx, spec); err != nil {
		return h, err
	}
	if h.guarded {
		h.renewDeadline(ctx)
	}
	pod, err := g.await(ctx, h, spec.Patience, spec.Tell)
	if errors.Is(err, errNoPod) {
		klog.V(2).InfoS("no pod from the Job controller, using a bare pod", "job", h.name)
		h.renewing()
		_ = h.removeJob(ctx) // what is left of it ends by its own deadline
		spec.Guard = false
		// Its pod may still come: under the same name the two would be taken for each other, and the wrong one deleted.
		spec.Pod = renamed(spec.Pod, h.name+"-bare")
		h.name, h.Asked = spec.Pod.Name, spec.Pod
		if err = h.create(ctx, spec); err == nil {
			pod, err = g.await(ctx, h, spec.Patience, spec.Tell)
		}
	}
	h.Pod = pod
	if err != nil {
		return h, err
	}
	return h, h.holdLease(ctx)
}

func renamed(pod *corev1.Pod, name string) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Name, pod.Labels[podspec.HelperLabel] = name, name
	return pod
}

// Container addresses the helper's container.
func (h *Helper) Container() Container {
	return Container{Config: h.group.Config, Namespace: h.group.Namespace, Pod: h.Pod.Name, Name: h.container, Shell: h.shell}
}

// Name is the name of the helper's Job, or of its pod.
func (h *Helper) Name() string { return h.name }

// Kind is what Name names: Job or Pod.
func (h *Helper) Kind() string {
	if h.guarded {
		return "job"
	}
	return "pod"
}

func (h *Helper) create(ctx context.Context, spec Spec) error {
	// A create that is canceled on its way may still happen after its delete: let it finish.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	options := metav1.CreateOptions{}
	h.perhaps = true
	if spec.Guard {
		h.guarded = true
		_, err := h.group.Client.BatchV1().Jobs(h.group.Namespace).Create(ctx, GuardJob(spec.Pod), options)
		if err == nil {
			return nil
		}
		if !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
			h.perhaps = !refused(err)
			return fmt.Errorf("create job %q: %w", h.name, err)
		}
		klog.V(2).InfoS("no Job as a guard, using a bare pod", "reason", err.Error())
	}
	h.guarded = false
	_, err := h.group.Client.CoreV1().Pods(h.group.Namespace).Create(ctx, spec.Pod, options)
	h.perhaps = err == nil || !refused(err)
	return err
}

// refused says that the API server has answered no: nothing was created. Any other error (a timeout, a broken line)
// leaves that open, and the object is deleted by its name.
func refused(err error) bool {
	switch apierrors.ReasonForError(err) {
	case metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonNotFound, metav1.StatusReasonBadRequest,
		metav1.StatusReasonUnauthorized, metav1.StatusReasonAlreadyExists, metav1.StatusReasonTooManyRequests:
		return true
	}
	return false
}

// GuardJob wraps a pod so that the cluster itself removes it: the deadline is a lease that the client renews while the
// pod is pending, the holder's lease ends it while it runs, and the TTL of 0 takes Job and pod away.
func GuardJob(pod *corev1.Pod) *batchv1.Job {
	var (
		none     = int32(0)
		one      = int32(1)
		deadline = int64(pendingLease.Seconds())
		failed   = batchv1.Failed
	)
	template := pod.DeepCopy()
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, Labels: pod.Labels, Annotations: pod.Annotations},
		Spec: batchv1.JobSpec{
			Parallelism: &one, Completions: &one, BackoffLimit: &none, TTLSecondsAfterFinished: &none,
			ActiveDeadlineSeconds: &deadline, PodReplacementPolicy: &failed,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: template.Labels, Annotations: template.Annotations},
				Spec:       template.Spec,
			},
		},
	}
}

// renewDeadline pushes the Job's deadline on while the pod is not running yet, and then to the pod's own deadline.
// A client that dies while the image is being pulled leaves a Job that ends within the lease.
func (h *Helper) renewDeadline(ctx context.Context) {
	ctx, h.renewing = context.WithCancel(ctx)
	start, job := time.Now(), h.name
	h.setRenewed(start)
	go func() {
		tick := time.NewTicker(pendingLease / 6)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := time.Now()
			if err := h.patchDeadline(ctx, job, now.Sub(start)+pendingLease); err == nil {
				h.setRenewed(now)
			} else if ctx.Err() == nil {
				klog.V(2).InfoS("the Job's deadline was not renewed", "job", job, "err", err)
			}
		}
	}()
}

func (h *Helper) setRenewed(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewed = at
}

// overdue says that the Job may have ended the pod because its deadline was not renewed in time.
func (h *Helper) overdue() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guarded && time.Since(h.renewed) > pendingLease
}

func (h *Helper) patchDeadline(ctx context.Context, job string, until time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, pendingLease/2)
	defer cancel()
	patch := fmt.Sprintf(`{"spec":{"activeDeadlineSeconds":%d}}`, int64(until.Seconds())+1)
	_, err := h.group.Client.BatchV1().Jobs(h.group.Namespace).Patch(ctx, job, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// Close says goodbye to the holder and deletes the objects, with a context of its own: the run's may be canceled. It
// does not wait until they are gone; spec and holder see to that.
func (h *Helper) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	h.renewing()
	defer h.quiet()
	if !h.perhaps {
		return nil // nothing of ours to delete: refused, or an ephemeral container, which its lease ends
	}
	if h.voice != nil {
		h.voice.bye()
	}
	var err error
	for {
		if err = h.remove(ctx); err == nil || ctx.Err() != nil || apierrors.IsForbidden(err) && !h.hasBroken() {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// remove deletes the Job first, so that its controller does not make another pod, and then the pod, so that the garbage
// collector's pace does not matter. Nothing that runs is deleted with grace 0: the object vouches for the process.
func (h *Helper) remove(ctx context.Context) error {
	if h.guarded {
		if err := h.removeJob(ctx); err != nil {
			return err
		}
	}
	name := h.name
	options := metav1.DeleteOptions{}
	pod, _, _ := h.group.get(h.name) // the latest
	if pod == nil {
		pod = h.Pod
	}
	if pod != nil {
		name = pod.Name
		options.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
		grace := int64(1)
		if podspec.NeverStarted(pod, h.container) {
			// A kubelet that hangs in a pull lets the object go only when the pull ends. There is no process that the
			// object could vouch for; one that starts all the same finds no client, and ends with its lease.
			grace = 0
		}
		options.GracePeriodSeconds = &grace
	} else if h.guarded {
		return nil // the Job had no pod yet, and is gone
	}
	err := h.group.Client.CoreV1().Pods(h.group.Namespace).Delete(ctx, name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (h *Helper) removeJob(ctx context.Context) error {
	h.renewing()
	policy := metav1.DeletePropagationBackground
	err := h.group.Client.BatchV1().Jobs(h.group.Namespace).Delete(ctx, h.name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
