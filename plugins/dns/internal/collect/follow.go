package collect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
)

// relist is how often Follow looks for servers that have started since.
const relist = 3 * time.Second

// Follow gives each line of the DNS pods' logs as it comes, from one goroutine, until the context ends: also those of
// containers that start later. Since 0 begins with the last lines that there are.
func (c *Collector) Follow(ctx context.Context, in evaluate.Input, since time.Duration, emit func(pod, line string) error) error {
	service, _ := evaluate.FindService(in.Services, clusterDNS(in))
	if service == nil || len(service.Spec.Selector) == 0 {
		return errors.New("no DNS Service with pods was found: there is no log to follow")
	}
	if gap := in.Sources.Get("pods").Gap(); gap != "" {
		return fmt.Errorf("the DNS pods could not be listed: %s", gap)
	}
	client, err := c.Cluster.Typed()
	if err != nil {
		return err
	}
	c.client = client
	type line struct{ pod, text string }
	var (
		lines    = make(chan line)
		failed   = make(chan error, 1)
		seen     = map[string]bool{} // containers by id: one that starts anew is another
		began    = c.Cluster.Clock.Now()
		selector = labels.SelectorFromSet(service.Spec.Selector).String()
		tick     = time.NewTicker(relist)
		pods     = in.Pods
	)
	defer tick.Stop()
	for {
		for i := range pods {
			pod := pods[i]
			id := containerID(pod)
			if id == "" || seen[id] {
				continue
			}
			o := &corev1.PodLogOptions{Follow: true, Timestamps: true, Container: dnsContainer(pod)}
			switch few, seconds := int64(10), int64(since.Seconds()); {
			case len(seen) >= len(in.Pods): // it has started since
				o.SinceTime = &metav1.Time{Time: began}
			case since > 0:
				o.SinceSeconds = &seconds
			default:
				o.TailLines = &few
			}
			seen[id] = true
			go func() {
				err := c.followOne(ctx, pod, o, func(text string) {
					select {
					case lines <- line{pod.Name, text}:
					case <-ctx.Done():
					}
				})
				if err != nil && ctx.Err() == nil {
					select {
					case failed <- fmt.Errorf("log of DNS pod %q: %w", pod.Name, kube.Explain(err)):
					default:
					}
				}
			}()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case l := <-lines:
			if err := emit(l.pod, l.text); err != nil {
				return err
			}
		case <-tick.C:
			if list, err := client.CoreV1().Pods(service.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector}); err == nil {
				pods = list.Items
			}
		}
	}
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

func (c *Collector) followOne(ctx context.Context, pod corev1.Pod, o *corev1.PodLogOptions, emit func(string)) error {
	stream, err := c.client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, o).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	scanner := bufio.NewScanner(stream)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		emit(scanner.Text())
	}
	return nil // a server that ends ends its log
}
