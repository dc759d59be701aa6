package collect

import (
	"context"
	"fmt"
	"sync"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// mostSameNode is for how many DNS pods a pod on the same node is created; OpenShift runs a DNS pod on every node.
const mostSameNode = 5

// sameNode queries each server's upstreams directly, from a pod on the server's node with the server's DNS settings: the
// network path of forwarded queries, without CoreDNS.
func (c *Collector) sameNode(ctx context.Context, probe Probe) {
	q := records.Question{Name: c.in.External, Type: "A"}
	var wg sync.WaitGroup
	asked := 0
	for i := range c.in.Pods {
		pod := c.in.Pods[i]
		servers := evaluate.UpstreamsOf(c.in, pod.Name)
		if !running(pod) || len(servers) == 0 || asked == mostSameNode {
			continue
		}
		asked++
		var questions []InPodQuestion
		for _, server := range servers {
			questions = append(questions, InPodQuestion{server, "UDP", q}, InPodQuestion{server, "TCP", q})
		}
		own := probe
		own.Nonce = fmt.Sprintf("%s-%d", probe.Nonce, asked)
		wg.Go(func() {
			result := evaluate.FromPod{Pod: pod, Wanted: true}
			out, method, err := c.runProbe(ctx, From{Probe: own}, pod, Script(questions, pathRounds, pathSeconds))
			if err != nil {
				result.Error = kube.OneLine(err)
			} else {
				result.Method = method
				readOutput(&result, out, questions)
			}
			for n := range result.Answers {
				result.Answers[n].Viewpoint = "same-node:" + pod.Name
			}
			c.note("same-node", "create", "jobs.batch in "+pod.Namespace, err)
			c.mu.Lock()
			c.in.Beside = append(c.in.Beside, result)
			c.mu.Unlock()
		})
	}
	wg.Wait()
}
