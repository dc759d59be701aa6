package nodeinfo

import (
	"cmp"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// order compares nodes by a --sort-by key: figures largest first, unknown ones last, names within.
func order(key string) func(a, b report.Node) int {
	figure := func(name string, pick func(report.Resource) *float64) func(a, b report.Node) int {
		value := func(n report.Node) float64 {
			for _, r := range n.Resources {
				if p := pick(r); r.Name == name && p != nil {
					return *p
				}
			}
			return -1
		}
		return func(a, b report.Node) int {
			return cmp.Or(cmp.Compare(value(b), value(a)), cmp.Compare(a.Name, b.Name))
		}
	}
	usage := func(r report.Resource) *float64 { return r.UsagePercent }
	requests := func(r report.Resource) *float64 { return r.RequestsPercent }
	switch key {
	case "name":
		return func(a, b report.Node) int { return cmp.Compare(a.Name, b.Name) }
	case "age":
		return func(a, b report.Node) int {
			return cmp.Or(compareTimes(a.CreatedAt, b.CreatedAt), cmp.Compare(a.Name, b.Name))
		}
	case "heartbeat":
		return func(a, b report.Node) int {
			return cmp.Or(compareTimes(heard(a), heard(b)), cmp.Compare(a.Name, b.Name))
		}
	case "cpu":
		return figure("cpu", usage)
	case "memory":
		return figure("memory", usage)
	case "cpu-requests":
		return figure("cpu", requests)
	case "memory-requests":
		return figure("memory", requests)
	case "pods":
		return figure("pods", requests)
	}
	return evaluate.WorstFirst
}

func heard(n report.Node) *time.Time {
	if n.Health == nil || n.Health.Heartbeat == nil {
		return nil
	}
	return n.Health.Heartbeat.ReceivedAt
}

// compareTimes puts the oldest first and the unknown last.
func compareTimes(a, b *time.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return a.Compare(*b)
}
