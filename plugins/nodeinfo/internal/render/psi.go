package render

import (
	"strconv"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// swapText is empty where nothing is known of swap.
func swapText(s *report.Swap) string {
	switch {
	case s == nil:
		return ""
	case s.Capacity != nil && *s.Capacity == 0:
		return "no swap"
	}
	parts := []string{"swap " + output.Unknown}
	if s.Capacity != nil {
		parts[0] = "swap " + output.Bytes(*s.Capacity)
	}
	if s.Used != nil {
		parts = append(parts, output.Bytes(*s.Used)+" used")
	} else {
		parts = append(parts, "usage not checked")
	}
	if s.Behavior != "" {
		parts = append(parts, "containers: "+s.Behavior)
	}
	return strings.Join(parts, ", ")
}

// psiText says of a kubelet that measures no stalls that it does not.
func psiText(s *report.PSI) string {
	if s == nil || s.Supported {
		return ""
	}
	return "pressure stall information (PSI) not supported: needs cgroup v2, a kernel with PSI, and a kubelet from 1.34"
}

// psi is the table of stalls.
func (p *page) psi(s *report.PSI) {
	if s == nil || !s.Supported {
		return
	}
	percent := func(share float64) string { return strconv.FormatFloat(share, 'f', 1, 64) + "%" }
	p.Line(2, "Time that tasks waited (PSI), some of them or all at once, in the last 10, 60 and 300 seconds:")
	t := output.TableText{Columns: []output.Column{
		{Header: "RESOURCE"},
		{Header: "SOME-10S"},
		{Header: "SOME-60S"},
		{Header: "SOME-300S"},
		{Header: "ALL-10S"},
		{Header: "ALL-60S"},
		{Header: "ALL-300S"},
	}}
	for _, i := range s.Items {
		t.Rows = append(t.Rows, output.Text(i.Resource, percent(i.Some.Avg10), percent(i.Some.Avg60), percent(i.Some.Avg300),
			percent(i.Full.Avg10), percent(i.Full.Avg60), percent(i.Full.Avg300)))
	}
	p.table(t)
}
