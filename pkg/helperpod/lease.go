package helperpod

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/admission"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/helperpod/podspec"
)

// attachPatience is how long the first control stream is waited for: where a policy refuses it, nothing must have begun
// that the end of the lease would kill. A stream that is only slow is opened beside the session.
const attachPatience = 2 * time.Second

// Lost is closed when the lease cannot be held any more: the helper ends by itself, and what it ran with it.
func (h *Helper) Lost() (<-chan struct{}, func() error) {
	return h.lostC, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.lost
	}
}

// holdLease starts the heartbeats. The error is that of a lease that can never be held.
func (h *Helper) holdLease(ctx context.Context) error {
	beating, quiet := context.WithCancel(ctx)
	h.quiet = quiet
	h.voice = newVoice()
	go h.speak(beating)
	go h.watchEnd(beating)
	if h.guarded && h.Asked.Spec.ActiveDeadlineSeconds != nil {
		// From here on the holder keeps the lease; the Job only bounds the whole.
		h.renewing()
		go h.extendDeadline(beating)
	}
	lost, why := h.Lost()
	select {
	case <-h.voice.heard:
	case <-lost:
		return why()
	case <-time.After(attachPatience):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// extendDeadline gives the Job the pod's own deadline.
func (h *Helper) extendDeadline(ctx context.Context) {
	until := time.Duration(*h.Asked.Spec.ActiveDeadlineSeconds) * time.Second
	err := h.patchDeadline(ctx, h.name, until)
	for i := 0; err != nil && i < 4 && ctx.Err() == nil && !forbids(err); i++ {
		time.Sleep(time.Second)
		err = h.patchDeadline(ctx, h.name, until)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	err = fmt.Errorf("the deadline of the Job cannot be extended (%w); --no-job needs no Job", err)
	h.mu.Lock()
	h.fixed = err
	h.mu.Unlock()
	h.warn("the session ends within 30s: " + err.Error())
}

// forbids says that the same request is refused however often it is made: by a role, a policy or a webhook.
func forbids(err error) bool {
	return err != nil && (apierrors.IsForbidden(err) || admission.Parse(err.Error()).Kind != admission.Unknown)
}

// speak keeps a control stream to the holder open and opens it again when it breaks (a kubelet restart), for as long as
// the lease lasts. A refusal ends it at once only while no stream was open before.
func (h *Helper) speak(ctx context.Context) {
	c := h.Container()
	c.silence = podspec.Lease * 2 / 3
	last := time.Now() // when the holder was heard of for certain
	for ctx.Err() == nil {
		h.voice.reset()
		end, err := c.stream(ctx, "attach", nil, Streams{In: h.voice})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			last = end.heard
			err = end.err
			h.setBroke()
		}
		if forbids(err) {
			err = fmt.Errorf("the stream that keeps it alive is refused: %w", err)
		}
		switch {
		case forbids(err) && !h.hasBroken():
			h.giveUp(err)
			return
		case apierrors.IsNotFound(err), time.Since(last) > podspec.Lease, h.ended():
			h.giveUp(cmp.Or(h.fate(ctx), err))
			return
		}
		klog.V(2).InfoS("the control stream broke, opening it again", "pod", c.Pod, "err", err)
		time.Sleep(500 * time.Millisecond)
	}
}

// setBroke notes that a stream which was open has broken. What is refused from then on may be allowed again: an API server
// that has just started refuses everybody until it has read its roles (https://github.com/kubernetes/kubernetes/issues/121635).
func (h *Helper) setBroke() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broke = true
}

func (h *Helper) hasBroken() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.broke
}

// watchEnd gives the lease up as soon as the pod is seen to have ended: deleted by someone, evicted, past its deadline.
func (h *Helper) watchEnd(ctx context.Context) {
	for {
		_, changed, broken := h.group.get(h.name)
		if h.ended() {
			h.giveUp(h.fate(ctx))
			return
		}
		if broken != nil {
			return // the streams tell
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (h *Helper) ended() bool {
	pod, _, _ := h.group.get(h.name)
	return pod != nil && !podspec.Running(pod, h.container)
}

func (h *Helper) giveUp(err error) {
	h.lostOnce.Do(func() {
		h.mu.Lock()
		h.lost = cmp.Or(err, ErrLineLost)
		h.mu.Unlock()
		close(h.lostC)
	})
}

// ErrLineLost is the reason of a loss of which nothing is known.
var ErrLineLost = errors.New("the connection to the helper pod was lost")

// fate says how the helper ended; nil where it may still run. The API server is asked where the watch knows of no end: one
// that broke while this process was paused has missed a pod that is gone by now.
func (h *Helper) fate(ctx context.Context) error {
	pod, _, _ := h.group.get(h.name)
	if pod == nil {
		pod = h.Pod
	}
	if pod != nil && podspec.Running(pod, h.container) {
		ctx, cancel := context.WithTimeout(ctx, beat)
		defer cancel()
		now, err := h.group.Client.CoreV1().Pods(h.group.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID:
			pod = pod.DeepCopy()
			pod.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		case err == nil:
			pod = now
		}
	}
	if pod == nil || podspec.Running(pod, h.container) {
		return nil
	}
	return h.end(pod)
}

// end puts the end of the pod into words. The Job removes a pod whose lease has run out, so that its exit code is not
// always there to be read.
func (h *Helper) end(pod *corev1.Pod) error {
	h.mu.Lock()
	fixed := h.fixed
	h.mu.Unlock()
	pause := time.Duration(0)
	if h.voice != nil {
		pause = h.voice.pause()
	}
	w := podspec.Diagnose(pod, h.container, nil, 0)
	switch {
	case pause > podspec.Lease && (w.Code == podspec.WaitDeleted || w.Code == podspec.WaitLapsed):
		return fmt.Errorf("this process was paused for %s, and the helper pod ends after %s without a sign of life",
			pause.Round(time.Second), podspec.Lease)
	case fixed != nil && w.Code == podspec.WaitDeleted:
		return fixed
	}
	return errors.New(w.Text)
}

// Outlived says why a command's code 137, or the end of its connection, is not the command's own doing: the runtime kills
// what runs in a helper that ends, and the shell around the command may still come to report that. A container that is
// gone takes no other exec. It gives nil where the helper lives.
func (h *Helper) Outlived(ctx context.Context) error {
	lost, why := h.Lost()
	ctx, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	if !h.ended() {
		if _, err := h.Container().Exec(ctx, []string{"true"}, Streams{}); err == nil {
			return nil
		}
	}
	for { // the kubelet reports an end a moment after it
		if err := h.fate(ctx); err != nil {
			h.giveUp(err)
		}
		select {
		case <-lost:
			return why()
		case <-ctx.Done():
			h.giveUp(nil)
		case <-time.After(look):
		}
	}
}

// voice is the endless input of the control stream: a line every few seconds.
type voice struct {
	mu    sync.Mutex
	first bool
	spoke time.Time     // when the latest line was given
	mute  time.Duration // the longest time between two lines
	words chan string
	heard chan struct{} // closed when a stream takes the first line: it is open
}

func newVoice() *voice {
	return &voice{words: make(chan string, 1), heard: make(chan struct{}), spoke: time.Now()}
}

func (v *voice) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.first = true
}

// Read gives the next line when it is due.
func (v *voice) Read(p []byte) (int, error) {
	v.mu.Lock()
	first := v.first
	v.first = false
	v.mu.Unlock()
	word := "beat\n"
	if !first {
		timer := time.NewTimer(beat)
		defer timer.Stop()
		select {
		case w, ok := <-v.words:
			if !ok {
				return 0, io.EOF
			}
			word = w
		case <-timer.C:
		}
	}
	v.speaks(time.Now())
	return copy(p, word), nil
}

// speaks notes that a line is given.
func (v *voice) speaks(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mute = max(v.mute, apart(v.spoke, now))
	v.spoke = now
	select {
	case <-v.heard:
	default:
		close(v.heard)
	}
}

// pause gives the longest time without a line.
func (v *voice) pause() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return max(v.mute, apart(v.spoke, time.Now()))
}

// apart is the time between two moments by the clock on the wall, too: the other one stands still while a machine sleeps.
func apart(a, b time.Time) time.Duration { return max(b.Sub(a), b.Round(0).Sub(a.Round(0))) }

func (v *voice) bye() {
	select {
	case v.words <- "bye\n":
		time.Sleep(moment) // let the word leave before the stream is closed
	default:
	}
}
