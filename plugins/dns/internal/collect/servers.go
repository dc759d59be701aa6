package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
	podfact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/pod"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/discover"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// mostTunnels is how many replicas are queried at once: OpenShift runs one on every node.
const mostTunnels = 32

// replicas asks every running DNS pod at once.
func (c *Collector) replicas(ctx context.Context, wg *sync.WaitGroup, w Wants) {
	var questions []records.Question
	if w.Questions != nil {
		questions = w.Questions(c.in, c.Cluster.Clock.Now())
	}
	outside := w.Outside != nil && w.Outside(c.in)
	w.Metrics = w.Metrics || outside
	w.Outside = func(evaluate.Input) bool { return outside }
	if w.External != "" {
		c.in.External = "kubectl-dns-" + c.Nonce + "." + strings.Trim(w.External, ".") + "."
	}
	ports := evaluate.Ports(c.in)
	gate := make(chan struct{}, mostTunnels)
	for i := range c.in.Pods {
		pod := c.in.Pods[i]
		if len(questions) > 0 || w.Metrics {
			if running(pod) && (w.Only == "" || w.Only == pod.Name) {
				wg.Go(func() {
					gate <- struct{}{}
					defer func() { <-gate }()
					c.probe(ctx, w, pod, ports, questions)
				})
			}
		}
		if w.Logs {
			c.logs(ctx, wg, w, pod)
		}
	}
}

// leases reads the heartbeats of the nodes whose DNS pod gave no answer: Ready of a node that stopped reporting stays True
// until the node controller acts. Where every server answers, nothing is read.
func (c *Collector) leases(ctx context.Context) {
	nodes := map[string]bool{}
	for i := range c.in.Pods {
		pod := &c.in.Pods[i]
		if pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil && !podfact.Finished(pod) && !c.answered(pod.Name) {
			nodes[pod.Spec.NodeName] = true
		}
	}
	var wg sync.WaitGroup
	gate := make(chan struct{}, mostTunnels)
	for node := range nodes {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			ctx, cancel := c.deadline(ctx)
			defer cancel()
			lease, err := c.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
			c.note("leases", "get", "leases.coordination.k8s.io in "+corev1.NamespaceNodeLease, err)
			if err == nil {
				c.mu.Lock()
				c.in.Leases = append(c.in.Leases, *lease)
				c.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// answered says whether a DNS pod answered anything over its port-forward.
func (c *Collector) answered(pod string) bool {
	return slices.ContainsFunc(c.in.Probes, func(p evaluate.Probe) bool {
		return p.Pod == pod && slices.ContainsFunc(p.Answers, func(a report.Answer) bool { return a.Rcode != "" })
	})
}

func running(pod corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning &&
		slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
}

// probe holds one tunnel to a replica and asks over it: questions about the cluster, names outside it, and metrics,
// each on a connection of its own, since CoreDNS answers a connection in order.
func (c *Collector) probe(
	ctx context.Context, w Wants, pod corev1.Pod, ports func(corev1.Pod) (dns, metrics int32), questions []records.Question,
) {
	p := evaluate.Probe{Namespace: pod.Namespace, Pod: pod.Name}
	defer func() {
		c.mu.Lock()
		c.in.Probes = append(c.in.Probes, p)
		c.mu.Unlock()
	}()
	opening, cancel := c.streaming(ctx)
	defer cancel()
	tunnel, err := c.Cluster.OpenTunnel(opening, pod.Namespace, pod.Name)
	if err != nil {
		c.noTunnel(&p, pod, err)
		return
	}
	defer tunnel.Close()
	c.note("port-forward", "create", "pods/portforward in "+pod.Namespace, nil)
	dnsPort, metricsPort := ports(pod)
	dial := func(port int32) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) { return tunnel.Dial(ctx, port) }
	}
	ask := Stream{Dial: dial(dnsPort), Viewpoint: "port-forward:" + pod.Name, Server: pod.Status.PodIP, Timeout: 3 * time.Second}
	slow := ask
	slow.Timeout = c.Slow
	if w.Outside(c.in) {
		ask.Timeout = 4500 * time.Millisecond // forward tries more than one connection
	}
	var wg sync.WaitGroup
	var inside, outside []report.Answer
	if len(questions) > 0 {
		wg.Go(func() { inside = ask.Exchange(ctx, questions) })
	}
	if c.in.External != "" {
		wg.Go(func() { outside = c.outside(ctx, slow) })
	}
	if w.Metrics {
		wg.Go(func() { c.metrics(ctx, w, dial(metricsPort), &p) })
	}
	wg.Wait()
	p.Answers = slices.Concat(inside, outside)
	suspects := outside
	if w.Outside(c.in) {
		suspects = inside
	}
	if w.Metrics && p.Metrics != nil {
		p.After = c.afterFailure(ctx, dial(metricsPort), p.Metrics, suspects)
	}
}

// How long forward takes to notice an upstream that failed: it checks one whose connection failed every half second, over UDP. A
// connection over TCP to an address that drops packets fails only after its dial timeout: 30s before the first success, and
// twice the usual time later (https://github.com/coredns/coredns/blob/master/plugin/pkg/proxy/connect.go, limitTimeout). A
// report does not wait as long as the first of them takes.
const (
	checkTime = 1200 * time.Millisecond
	dialTime  = 10 * time.Second
)

// afterFailure reads the metrics again after a query for a name outside failed, and gives nothing where none did: until a health
// check failed, or one should have.
func (c *Collector) afterFailure(
	ctx context.Context, dial func(context.Context) (net.Conn, error), before evaluate.Metrics, asked []report.Answer,
) evaluate.Metrics {
	silent := slices.ContainsFunc(asked, func(a report.Answer) bool { return a.Error != "" })
	if !silent && !slices.ContainsFunc(asked, func(a report.Answer) bool { return a.Rcode == "SERVFAIL" }) {
		return nil
	}
	end := time.Now().Add(checkTime)
	if silent {
		end = end.Add(dialTime)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(checkTime):
		}
		again := evaluate.Probe{}
		c.metrics(ctx, Wants{}, dial, &again)
		if failures(again.Metrics) > failures(before) || !time.Now().Before(end) {
			return again.Metrics
		}
	}
}

// failures counts the health checks of forward that failed.
func failures(m evaluate.Metrics) float64 {
	total := 0.0
	for _, name := range []string{"coredns_proxy_healthcheck_failures_total", "coredns_forward_healthcheck_failures_total"} {
		if n := m.Sum(name); n != nil {
			total += *n
		}
	}
	return total
}

// noTunnel says why a replica cannot be asked. One that is not ready, or goes, is no gap in what was wanted.
func (c *Collector) noTunnel(p *evaluate.Probe, pod corev1.Pod, err error) {
	p.Error, p.Forbidden = kube.OneLine(kube.Explain(err)), forbidden(err)
	if errors.Is(err, context.DeadlineExceeded) {
		p.Error = fmt.Sprintf("the kubelet of node %s opened no port-forward within %s", pod.Spec.NodeName, c.streamTime())
	}
	switch {
	case p.Forbidden:
		denied := apierrors.NewForbidden(corev1.Resource("pods/portforward"), pod.Name, errors.New(p.Error))
		c.note("port-forward", "create", "pods/portforward in "+pod.Namespace, denied)
	case podfact.Serves(&pod):
		c.noteSource(source.Source{Name: "port-forward", State: source.Unreachable, Message: "DNS pod " + pod.Name + ": " + p.Error})
	}
}

// streamTime is how long a kubelet may take to open a stream: a healthy one needs milliseconds, and a hung one would
// hold up the whole report.
func (c *Collector) streamTime() time.Duration { return c.Timeout * 2 / 5 }

func (c *Collector) streaming(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.streamTime())
}

// outside asks for a random name outside the cluster, and for another one as long as the answer was slow or a failure,
// three in all: one lost packet or one busy moment says nothing about an upstream.
func (c *Collector) outside(ctx context.Context, s Stream) []report.Answer {
	var best *report.Answer
	for i := range 3 {
		name := c.in.External
		if i > 0 {
			name = fmt.Sprintf("again-%d-%s", i, name)
		}
		a := s.Exchange(ctx, []records.Question{{Name: name, Type: "A"}})[0]
		a.Name = c.in.External
		if best == nil || best.Rcode == "SERVFAIL" && a.Rcode != "" || faster(a, *best) && a.Rcode != "SERVFAIL" {
			best = &a
		}
		if a.Error != "" || a.Rcode != "SERVFAIL" && a.Milliseconds != nil && *a.Milliseconds < 300 {
			break
		}
	}
	return []report.Answer{*best}
}

// faster tells whether an answer came sooner than another, where both times are known.
func faster(a, b report.Answer) bool {
	return a.Milliseconds != nil && b.Milliseconds != nil && *a.Milliseconds < *b.Milliseconds
}

// forbidden reads the word: the number 403 may be a part of a port.
func forbidden(err error) bool {
	return apierrors.IsForbidden(err) || strings.Contains(strings.ToLower(err.Error()), "forbidden")
}

func (c *Collector) metrics(ctx context.Context, w Wants, dial func(context.Context) (net.Conn, error), p *evaluate.Probe) {
	read := func() (evaluate.Metrics, error) {
		ctx, cancel := c.streaming(ctx)
		defer cancel()
		code, body, err := get(ctx, dial, "/metrics")
		if err != nil {
			return nil, err
		}
		if code != 200 {
			return nil, fmt.Errorf("/metrics returned HTTP %d", code)
		}
		return ParseMetrics(string(body))
	}
	first, err := read()
	if err != nil {
		p.MetricsError = words(err)
		return
	}
	p.Metrics = first
	if w.Interval <= 0 {
		return
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return
	case <-time.After(w.Interval):
	}
	if second, err := read(); err == nil {
		p.Earlier, p.Metrics, p.Seconds = first, second, time.Since(began).Seconds()
	}
}

func (c *Collector) logs(ctx context.Context, wg *sync.WaitGroup, w Wants, pod corev1.Pod) {
	restarted := slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.RestartCount > 0 })
	for _, previous := range []bool{false, true} {
		if previous && !restarted {
			continue
		}
		wg.Go(func() {
			ctx, cancel := c.streaming(ctx)
			defer cancel()
			o := &corev1.PodLogOptions{Timestamps: true, Previous: previous, TailLines: &w.LogLines}
			if len(pod.Spec.Containers) > 1 {
				o.Container = dnsContainer(pod)
			}
			if w.LogSince > 0 {
				seconds := int64(w.LogSince.Seconds())
				o.SinceSeconds = &seconds
			}
			text, err := c.readLog(ctx, pod, o)
			if previous && err != nil {
				return // the log of an earlier container may be gone; that is no gap
			}
			if apierrors.IsBadRequest(err) {
				return // the container has not started
			}
			if errors.Is(err, context.DeadlineExceeded) {
				c.noteSource(source.Source{Name: "logs", State: source.Unreachable, Message: fmt.Sprintf(
					"the kubelet of node %s returned no log of pod %s within %s", pod.Spec.NodeName, pod.Name, c.streamTime())})
				return
			}
			c.note("logs", "get", "pods/log in "+pod.Namespace, err)
			if err == nil {
				c.mu.Lock()
				c.in.Logs = append(c.in.Logs, evaluate.Log{Pod: pod.Name, Previous: previous, Text: text})
				c.mu.Unlock()
			}
		})
	}
}

func (c *Collector) readLog(ctx context.Context, pod corev1.Pod, o *corev1.PodLogOptions) (string, error) {
	stream, err := c.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, o).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	data, err := io.ReadAll(io.LimitReader(stream, 8<<20))
	return string(data), err
}

func dnsContainer(pod corev1.Pod) string {
	for _, c := range pod.Spec.Containers {
		if slices.Contains([]string{"coredns", "dns", "kubedns", "rke2-coredns"}, c.Name) {
			return c.Name
		}
	}
	return pod.Spec.Containers[0].Name
}

// access asks the API server what the DNS servers' service account may do.
func (c *Collector) access(ctx context.Context, workload *discover.Workload) {
	c.in.Account = discover.AccountOf(workload, c.in.Pods)
	namespace, account, known := strings.Cut(c.in.Account, "/")
	if !known {
		return
	}
	var wg sync.WaitGroup
	for _, resource := range []string{"services", "namespaces", "endpointslices.discovery.k8s.io"} {
		for _, verb := range []string{"list", "watch"} {
			wg.Go(func() {
				name, group, _ := strings.Cut(resource, ".")
				spec := authorizationv1.SubjectAccessReviewSpec{
					User:               "system:serviceaccount:" + namespace + ":" + account,
					Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
					ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: name},
				}
				review, err := c.client.AuthorizationV1().SubjectAccessReviews().Create(ctx,
					&authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
				c.note("access", "create", "subjectaccessreviews.authorization.k8s.io", err)
				if err == nil {
					c.mu.Lock()
					c.in.Access = append(c.in.Access, evaluate.Access{Verb: verb, Resource: resource, Allowed: review.Status.Allowed})
					c.mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
}

type kubeletConfig struct {
	ClusterDNS    []string `json:"clusterDNS"`
	ClusterDomain string   `json:"clusterDomain"`
	ResolvConf    *string  `json:"resolvConf"`
}

// kubeletMap reads what kubeadm gives to every kubelet; other installers have no such ConfigMap.
func (c *Collector) kubeletMap(ctx context.Context) {
	cm, err := c.client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "kubelet-config", metav1.GetOptions{})
	c.note("kubelet-config", "get", "configmaps in kube-system", err)
	if err != nil {
		return
	}
	var config kubeletConfig
	if text := cm.Data["kubelet"]; text != "" && yaml.Unmarshal([]byte(text), &config) == nil {
		c.addKubelet("", config)
	}
}

func (c *Collector) addKubelet(node string, config kubeletConfig) {
	k := evaluate.Kubelet{
		Node: node, ClusterDNS: config.ClusterDNS, ClusterDomain: config.ClusterDomain, ResolvConf: "/etc/resolv.conf",
	}
	if config.ResolvConf != nil {
		k.ResolvConf = *config.ResolvConf
	}
	c.mu.Lock()
	c.in.Kubelets = append(c.in.Kubelets, k)
	c.mu.Unlock()
}

// kubelets reads every kubelet's live configuration through the API server, which needs get nodes/proxy: a permission
// that can run commands in pods, hence only when asked for.
func (c *Collector) kubelets(ctx context.Context, wg *sync.WaitGroup) {
	gate := make(chan struct{}, mostTunnels)
	for i := range c.in.Nodes {
		node := c.in.Nodes[i].Name
		if !nodefact.PostedReady(&c.in.Nodes[i]) {
			continue // asking a dead kubelet takes 30 s and more
		}
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			ctx, cancel := c.deadline(ctx)
			defer cancel()
			result := c.client.CoreV1().RESTClient().Get().Resource("nodes").Name(node).SubResource("proxy").Suffix("configz").
				SetHeader("Accept", "application/json, */*").Do(ctx)
			err := result.Error() // Raw's own leaves out what the API server said, such as who may not do what
			c.note("kubelets", "get", "nodes/proxy", err)
			if err != nil {
				return
			}
			data, _ := result.Raw()
			var configz struct {
				KubeletConfig kubeletConfig `json:"kubeletconfig"`
			}
			if json.Unmarshal(data, &configz) == nil {
				c.addKubelet(node, configz.KubeletConfig)
			}
		})
	}
}
