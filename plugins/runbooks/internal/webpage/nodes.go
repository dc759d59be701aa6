package webpage

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// mostHealthy is up to how many nodes or rollouts those without problems have a section of their own, too.
const mostHealthy = 10

// nodes is the page of kubectl nodeinfo.
func nodes(list nodereport.List) string {
	title, verdict := output.Plural(len(list.Items), "node"), ""
	for _, v := range nodereport.Verdicts() {
		if slices.ContainsFunc(list.Items, func(n nodereport.Node) bool { return n.Verdict == v }) {
			verdict = string(v)
			break
		}
	}
	if len(list.Items) == 1 {
		title = "node/" + list.Items[0].Name
	}
	return document(verdict+": "+title, list.Time, func(p *page) {
		p.header(title, verdict, list.Summary, "kubectl nodeinfo")
		p.within("main", func() {
			p.list("Common causes", list.CommonCauses)
			var claims []string
			for i := range list.Findings {
				claims = append(claims, list.Findings[i].Message)
			}
			p.list("Machines that are no nodes", claims)
			p.list("Nodes that do not exist", list.NotFound)
			p.fleet(&list)
			p.gaps(list.Sources)
		})
	})
}

// fleet writes the table of nodes, and a section for each that has a problem.
func (p *page) fleet(list *nodereport.List) {
	var rows [][]cell
	shown := map[int]string{}
	for i := range list.Items {
		n := &list.Items[i]
		if n.Verdict != nodereport.Healthy || len(list.Items) <= mostHealthy {
			shown[i] = p.anchor()
		}
		rows = append(rows, p.nodeRow(n, shown[i]))
	}
	p.table("Nodes", []string{
		"Node", "Verdict", "Cause", "Status", "CPU requested", "CPU used", "Memory requested", "Memory used", "Pods", "Age", "Kubelet",
	}, rows)
	for i := range list.Items {
		if shown[i] != "" {
			p.node(&list.Items[i], shown[i])
		}
	}
	if left := len(list.Items) - len(shown); left > 0 {
		p.element("p", output.Plural(left, "Healthy node")+" without a section: kubectl nodeinfo NODE prints one.", class("quiet"))
	}
}

func (p *page) nodeRow(n *nodereport.Node, anchor string) []cell {
	name := n.Name
	if n.Context != "" {
		name += " (" + n.Context + ")"
	}
	row := []cell{{text: name, link: anchor}, {text: string(n.Verdict), badge: true}, {}, {text: n.Status}}
	if len(n.Findings) > 0 {
		row[2].text = string(n.Findings[0].Code)
	}
	for _, resource := range []string{"cpu", "memory"} {
		var r nodereport.Resource
		if i := slices.IndexFunc(n.Resources, func(x nodereport.Resource) bool { return x.Name == resource }); i >= 0 {
			r = n.Resources[i]
		}
		row = append(row, share(r.RequestsPercent), share(r.UsagePercent))
	}
	pods := cell{text: "unknown"}
	if n.Pods != nil {
		pods = cell{text: fmt.Sprint(n.Pods.NonTerminated)}
		if limit := n.Pods.MaxPods; limit != nil && *limit > 0 {
			value := 100 * float64(n.Pods.NonTerminated) / float64(*limit)
			pods = cell{text: fmt.Sprintf("%d of %d", n.Pods.NonTerminated, *limit), bar: &value}
		}
	}
	kubelet, age := cell{text: "unknown"}, cell{text: "unknown"}
	if n.Components != nil {
		kubelet.text = cmp.Or(n.Components.Kubelet, "unknown")
	}
	if n.CreatedAt != nil {
		age = cell{text: output.Age(p.now.Sub(*n.CreatedAt)), sort: fmt.Sprint(int64(p.now.Sub(*n.CreatedAt).Seconds()))}
	}
	return append(row, pods, age, kubelet)
}

// share is a percentage as a bar.
func share(value *float64) cell {
	if value == nil {
		return cell{text: "unknown"}
	}
	return cell{text: fmt.Sprintf("%.0f%%", *value), bar: value}
}

func (p *page) node(n *nodereport.Node, anchor string) {
	title := "node/" + n.Name
	if n.Context != "" {
		title += " (" + n.Context + ")"
	}
	p.object(anchor, title, string(n.Verdict), n.Summary, func() {
		p.findings("Findings", n.Findings)
		p.consequences(n.Consequences)
		p.resources(n.Resources)
		p.gaps(n.Sources)
		p.folded("All data", func() { p.data(reflect.ValueOf(*n), append([]string{"resources"}, written...)...) })
	})
}

// resources writes what a node has and what is taken of it.
func (p *page) resources(list []nodereport.Resource) {
	var rows [][]cell
	for _, r := range list {
		row := []cell{{text: r.Name}}
		for _, a := range []*nodereport.Amount{r.Capacity, r.Allocatable, r.Free} {
			row = append(row, amount(a))
		}
		for _, x := range []struct {
			amount  *nodereport.Amount
			percent *float64
		}{{r.Requests, r.RequestsPercent}, {r.Limits, r.LimitsPercent}, {r.Usage, r.UsagePercent}} {
			c := amount(x.amount)
			if x.amount != nil && x.percent != nil {
				c = cell{text: fmt.Sprintf("%s (%.0f%%)", x.amount.Quantity, *x.percent), bar: x.percent}
			}
			row = append(row, c)
		}
		rows = append(rows, row)
	}
	p.table("Resources", []string{"Resource", "Capacity", "Allocatable", "Free", "Requested", "Limits", "Used"}, rows)
}

func amount(a *nodereport.Amount) cell {
	if a == nil {
		return cell{text: "unknown"}
	}
	return cell{text: a.Quantity, sort: fmt.Sprint(a.Value)}
}

// drain is the page of kubectl nodeinfo --drain.
func drain(d nodereport.Drain) string {
	title := "drain of " + output.Plural(len(d.Nodes), "node")
	return document(string(d.Verdict)+": "+title, d.Time, func(p *page) {
		p.header(title, string(d.Verdict), d.Summary, "kubectl nodeinfo --drain")
		p.within("main", func() {
			p.findings("Findings", d.Findings)
			p.section("Details", func() { p.data(reflect.ValueOf(d), written...) })
			p.gaps(d.Sources)
		})
	})
}

// paths is the page of kubectl nodeinfo --paths.
func paths(r nodereport.Paths) string {
	return document(string(r.Verdict)+": paths", r.Time, func(p *page) {
		p.header("paths in the cluster", string(r.Verdict), r.Summary, "kubectl nodeinfo --paths")
		p.within("main", func() {
			p.findings("Findings", r.Findings)
			p.consequences(r.Consequences)
			p.section("Details", func() { p.data(reflect.ValueOf(r), written...) })
			p.gaps(r.Sources)
		})
	})
}

// join is the page of kubectl nodeinfo --join.
func join(r nodereport.Join) string {
	return document(string(r.Verdict)+": join", r.Time, func(p *page) {
		p.header("machines that join", string(r.Verdict), r.Summary, "kubectl nodeinfo --join")
		p.within("main", func() {
			for i := range r.Machines {
				m := &r.Machines[i]
				p.findings("Findings of node/"+m.Name, m.Findings)
				p.consequences(m.Consequences)
			}
			p.section("Details", func() { p.data(reflect.ValueOf(r), written...) })
			p.gaps(r.Sources)
		})
	})
}
