package collect

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/schedule"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// rounds is how often causes may lead to further lookups: status, then events, then what the events name.
const rounds = 4

// answer is what one lookup gave.
type answer struct {
	at    time.Time
	apply func(*model.Input)
	state source.Source
}

// Fill makes the lookups that the causes ask for, round by round, in parallel within a round. Answers younger than fresh
// are used again.
func (c *Collector) Fill(ctx context.Context, in *model.Input, opts model.Options, fresh time.Duration) {
	for range rounds {
		needs := evaluate.Needs(in, in.Collected, opts)
		if len(needs) == 0 {
			return
		}
		var mu sync.Mutex
		r := &reader{limit: c.limit()}
		limit := make(chan struct{}, 16)
		for _, n := range needs {
			if old, ok := c.cached(n, fresh); ok {
				mu.Lock()
				old.apply(in)
				in.Fetched = append(in.Fetched, n)
				mu.Unlock()
				r.note(old.state)
				continue
			}
			r.wg.Go(func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				c.answerInto(ctx, in, &mu, r, n)
			})
		}
		r.into(in)
		if ctx.Err() != nil {
			return
		}
	}
}

func (c *Collector) cached(n model.Need, fresh time.Duration) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.cache[n]
	return a, ok && fresh > 0 && c.Now().Sub(a.at) < fresh
}

func (c *Collector) answerInto(ctx context.Context, in *model.Input, mu *sync.Mutex, r *reader, n model.Need) {
	ctx, cancel := context.WithTimeout(ctx, c.limit())
	defer cancel()
	a := c.ask(ctx, n)
	if n.Lists() {
		a.state = denied(a.state, string(n.Kind))
	}
	a.at = c.Now()
	if a.apply == nil {
		a.apply = func(*model.Input) {}
	}
	mu.Lock()
	a.apply(in)
	in.Fetched = append(in.Fetched, n)
	mu.Unlock()
	r.note(a.state)
	c.mu.Lock()
	c.cache[n] = a
	c.mu.Unlock()
}

// ask makes one lookup.
func (c *Collector) ask(ctx context.Context, n model.Need) answer {
	core := c.Typed.CoreV1()
	get := metav1.GetOptions{}
	switch n.Kind {
	case model.NeedEvents, model.NeedWarnings:
		var items []corev1.Event
		selector := fields.OneTermEqualSelector("involvedObject.uid", n.UID).String()
		switch {
		case n.Kind == model.NeedWarnings:
			selector = fields.OneTermEqualSelector("type", corev1.EventTypeWarning).String()
		case n.UID == "":
			selector = fields.OneTermEqualSelector("reason", n.Name).String()
		}
		err := pages(ctx, metav1.ListOptions{FieldSelector: selector}, core.Events(n.Namespace).List, func(l *corev1.EventList) {
			items = append(items, l.Items...)
		}, &sync.Mutex{})
		for i := range items {
			slimMeta(&items[i].ObjectMeta)
		}
		state := kube.SourceOf(model.SourceEvents, "list", "events", err)
		return answer{state: state, apply: func(in *model.Input) { in.Events = append(in.Events, items...) }}
	case model.NeedNamespace:
		o, err := core.Namespaces().Get(ctx, n.Name, get)
		return found(kube.SourceOf(model.SourceNamespace, "get", "namespaces", err), func(in *model.Input) {
			in.Namespaces = append(in.Namespaces, *o)
		})
	case model.NeedNode:
		o, err := core.Nodes().Get(ctx, n.Name, get)
		return found(kube.SourceOf(model.SourceNodes, "get", "nodes", err), func(in *model.Input) { addNodes(in, *o) })
	case model.NeedNodes:
		var items []corev1.Node
		err := pages(ctx, metav1.ListOptions{}, core.Nodes().List, func(l *corev1.NodeList) { items = append(items, l.Items...) }, &sync.Mutex{})
		return found(kube.SourceOf(model.SourceNodes, "list", "nodes", err), func(in *model.Input) { addNodes(in, items...) })
	case model.NeedNodePods:
		return c.askNodePods(ctx)
	case model.NeedQuotas:
		l, err := core.ResourceQuotas(n.Namespace).List(ctx, metav1.ListOptions{})
		return found(kube.SourceOf(model.SourceQuotas, "list", "resourcequotas", err), func(in *model.Input) {
			in.Quotas = append(in.Quotas, l.Items...)
		})
	case model.NeedLease:
		o, err := c.Typed.CoordinationV1().Leases(n.Namespace).Get(ctx, n.Name, get)
		return found(kube.SourceOf(model.SourceLeases, "get", "leases.coordination.k8s.io", err), func(in *model.Input) {
			in.Leases = append(in.Leases, *o)
		})
	case model.NeedLog:
		return c.askLog(ctx, n)
	case model.NeedNames:
		return c.askHeld(ctx, n)
	}
	return c.askStorage(ctx, n)
}

func (c *Collector) askStorage(ctx context.Context, n model.Need) answer {
	core, get := c.Typed.CoreV1(), metav1.GetOptions{}
	switch n.Kind {
	case model.NeedClaim:
		o, err := core.PersistentVolumeClaims(n.Namespace).Get(ctx, n.Name, get)
		return found(kube.SourceOf(model.SourceClaims, "get", "persistentvolumeclaims", err), func(in *model.Input) {
			in.Claims = append(in.Claims, *o)
		})
	case model.NeedVolume:
		o, err := core.PersistentVolumes().Get(ctx, n.Name, get)
		return found(kube.SourceOf(model.SourceVolumes, "get", "persistentvolumes", err), func(in *model.Input) {
			in.Volumes = append(in.Volumes, *o)
		})
	case model.NeedStorageClasses:
		var l *storagev1.StorageClassList
		l, err := c.Typed.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
		return found(kube.SourceOf(model.SourceStorageClasses, "list", "storageclasses.storage.k8s.io", err), func(in *model.Input) {
			in.StorageClasses = append(in.StorageClasses, l.Items...)
		})
	}
	if n.Kind == model.NeedDeviceClaim {
		return c.askDeviceClaim(ctx, n)
	}
	return answer{state: source.Source{Name: string(n.Kind), State: source.Skipped, Message: "unknown lookup"}}
}

func found(s source.Source, apply func(*model.Input)) answer {
	if !s.Readable() {
		apply = nil
	}
	return answer{state: s, apply: apply}
}

func addNodes(in *model.Input, nodes ...corev1.Node) {
	for i := range nodes {
		slimMeta(&nodes[i].ObjectMeta)
		nodes[i].Status.Images = nil
		known := false
		for k := range in.Nodes {
			if in.Nodes[k].Name == nodes[i].Name {
				in.Nodes[k], known = nodes[i], true
			}
		}
		if !known {
			in.Nodes = append(in.Nodes, nodes[i])
		}
	}
}

// askNodePods reads what all pods take of their nodes: asked only when a pod does not fit anywhere.
func (c *Collector) askNodePods(ctx context.Context) answer {
	var pods []model.NodePod
	err := pages(ctx, metav1.ListOptions{FieldSelector: schedule.ChargedSelector}, c.Typed.CoreV1().Pods("").List, func(l *corev1.PodList) {
		for i := range l.Items {
			p := &l.Items[i]
			np := model.NodePod{
				Node: p.Spec.NodeName, Namespace: p.Namespace, Name: p.Name, Terminating: p.DeletionTimestamp != nil,
				Requests: schedule.Requests(p),
			}
			if p.DeletionTimestamp != nil {
				np.Ends = &p.DeletionTimestamp.Time
			}
			if o := metav1.GetControllerOfNoCopy(p); o != nil {
				np.Owner = string(o.UID)
			}
			for _, container := range p.Spec.Containers {
				for _, port := range container.Ports {
					if port.HostPort > 0 {
						np.HostPorts = append(np.HostPorts, port.HostPort)
					}
				}
			}
			pods = append(pods, np)
		}
	}, &sync.Mutex{})
	return found(kube.SourceOf(model.SourceNodePods, "list", "pods (all namespaces)", err), func(in *model.Input) {
		in.NodePods = append(in.NodePods, pods...)
	})
}

func (c *Collector) askLog(ctx context.Context, n model.Need) answer {
	if c.LogLines <= 0 {
		return answer{state: source.Source{Name: model.SourceLogs, State: source.OK}}
	}
	tail, limit := int64(c.LogLines), int64(64<<10)
	o := &corev1.PodLogOptions{Container: n.Container, Previous: n.Previous, TailLines: &tail, LimitBytes: &limit}
	stream, err := c.Typed.CoreV1().Pods(n.Namespace).GetLogs(n.Name, o).Stream(ctx)
	var text []byte
	if err == nil {
		defer stream.Close()
		text, err = io.ReadAll(io.LimitReader(stream, limit))
	}
	s := kube.SourceOf(model.SourceLogs, "get", "pods/log", err)
	if s.State == source.Unreachable && len(s.Message) > 0 || s.State == source.Absent {
		// The container of the last run may be gone: that is no gap in the cause.
		s.State = source.Absent
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return found(s, func(in *model.Input) {
		in.Logs = append(in.Logs, model.PodLog{UID: n.UID, Container: n.Container, Previous: n.Previous, Lines: lines})
	})
}
