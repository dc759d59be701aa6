package collect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
)

// relist is how often Follow looks for servers that have started since, and for streams that broke.
const relist = 3 * time.Second

// Tail says from when logs are followed, and what becomes of them. Both functions are called from one goroutine.
type Tail struct {
	Since    time.Duration // 0 begins with the last lines that there are
	Emit     func(pod, line string) error
	Complain func(of string, err error) // of what fails for now and is tried again; nil: it works again
}

// follower reads the logs of several containers, known by their ids: one that starts anew is another.
type follower struct {
	*Collector
	Tail
	events chan event
	tails  map[string]*tail
	begun  time.Time // when the first servers were found
	given  bool      // a line was read
}

// tail is one container's log.
type tail struct {
	open  bool
	last  time.Time // of the last line given
	again time.Time // what the stream before this one gave goes up to here
}

// event is a line of a container's log, or the end of its stream.
type event struct {
	id, pod, line string
	end           bool
	err           error
}

// Follow gives each line of the DNS pods' logs as it comes, until the context ends: also those of containers that start
// later. A stream that breaks is taken up again after the last line that it gave.
func (c *Collector) Follow(ctx context.Context, in evaluate.Input, t Tail) error {
	service, _ := discover.FindService(in.Services, clusterDNS(in))
	if service == nil || len(service.Spec.Selector) == 0 {
		return errors.New("no DNS Service with a selector was found, so there is no log to follow")
	}
	if gap := in.Sources.Get("pods").Reason(); gap != "" {
		return fmt.Errorf("the DNS pods could not be listed: %s", gap)
	}
	var err error
	if c.client, err = c.Cluster.Typed(); err != nil {
		return err
	}
	f := &follower{Collector: c, Tail: t, events: make(chan event), tails: map[string]*tail{}}
	f.open(ctx, in.Pods)
	f.begun = c.Cluster.Clock.Now()
	selector := labels.SelectorFromSet(service.Spec.Selector).String()
	workload := discover.FindWorkload(service, in.Deployments, in.DaemonSets)
	if workload != nil && !discover.Selects(service, workload.Template.Labels) {
		selector = workload.Pods().String()
	}
	tick := time.NewTicker(relist)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-f.events:
			if err := f.take(e); err != nil {
				return err
			}
		case <-tick.C:
			list, err := c.client.CoreV1().Pods(service.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
			if ctx.Err() != nil {
				return ctx.Err()
			}
			f.Complain("pods", err)
			if err == nil {
				pods := list.Items
				if own := discover.DNSPods(pods, workload); len(own) > 0 || workload != nil {
					pods = own
				}
				f.open(ctx, pods)
			}
		}
	}
}

// take gives a line on, or notes that a stream has ended. What may heal is tried again: also a refusal after a line was
// read, as an API server that has just started refuses what it has not loaded the rules for.
func (f *follower) take(e event) error {
	t := f.tails[e.id]
	if e.end {
		t.open = false
		if e.err == nil {
			return nil
		}
		err := fmt.Errorf("log of DNS pod %q: %w", e.pod, e.err)
		if apierrors.IsForbidden(err) && !f.given {
			return err
		}
		f.Complain(e.id, err)
		return nil
	}
	stamp, _, _ := strings.Cut(e.line, " ")
	if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil {
		if !at.After(t.again) { // SinceTime has whole seconds: the stream before gave this one
			return nil
		}
		t.last = at // lines of one write can share it (conmon)
	}
	f.given = true
	f.Complain(e.id, nil)
	return f.Emit(e.pod, e.line)
}

// open follows the containers that run and are not followed.
func (f *follower) open(ctx context.Context, pods []corev1.Pod) {
	for _, pod := range pods {
		id := containerID(pod)
		if id == "" {
			continue
		}
		t := f.tails[id]
		if t == nil {
			t = &tail{}
			f.tails[id] = t
		}
		if t.open {
			continue
		}
		t.open, t.again = true, t.last
		o := &corev1.PodLogOptions{Follow: true, Timestamps: true, Container: dnsContainer(pod)}
		switch few, seconds := int64(10), int64(f.Since.Seconds()); {
		case !t.last.IsZero():
			o.SinceTime = &metav1.Time{Time: t.last}
		case !f.begun.IsZero(): // it has started since
			o.SinceTime = &metav1.Time{Time: f.begun}
		case f.Since > 0:
			o.SinceSeconds = &seconds
		default:
			o.TailLines = &few
		}
		go f.read(ctx, pod, id, o)
	}
}

// read sends a stream's lines until it ends. A container that ends its log ends it without an error.
func (f *follower) read(ctx context.Context, pod corev1.Pod, id string, o *corev1.PodLogOptions) {
	send := func(e event) {
		e.id, e.pod = id, pod.Name
		select {
		case f.events <- e:
		case <-ctx.Done():
		}
	}
	stream, err := f.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, o).Stream(ctx)
	if err != nil {
		send(event{end: true, err: err})
		return
	}
	defer stream.Close()
	scanner := bufio.NewScanner(stream)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		send(event{line: scanner.Text()})
	}
	send(event{end: true, err: scanner.Err()})
}

// containerID is that of the DNS container that runs.
func containerID(pod corev1.Pod) string {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == dnsContainer(pod) && s.State.Running != nil {
			return s.ContainerID
		}
	}
	return ""
}
