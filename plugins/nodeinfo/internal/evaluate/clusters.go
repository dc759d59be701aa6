package evaluate

import (
	"fmt"
	"slices"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
)

// Cluster is one of several: its report, or why it could not be read.
type Cluster struct {
	Context string
	List    report.List
	Unread  *source.Source
}

// Join makes one report of several clusters', in which every node and source says whose it is. A named node is missing
// when no cluster has it, and when all could be asked. Ages in tables are by the clock of the first cluster.
func Join(clusters []Cluster) report.List {
	out := report.List{APIVersion: report.APIVersion, Kind: report.Kind, Items: []report.Node{}}
	read := 0
	missing := map[string]int{}
	for _, c := range clusters {
		if c.Unread != nil {
			out.Sources = append(out.Sources, *c.Unread)
			continue
		}
		read++
		if out.Time.IsZero() {
			out.Time, out.Thresholds = c.List.Time, c.List.Thresholds // these are the same for all
		}
		for _, n := range c.List.Items {
			n.Context = c.Context
			out.Items = append(out.Items, n)
		}
		for _, s := range c.List.Sources {
			s.Name = c.Context + ": " + s.Name
			out.Sources = append(out.Sources, s)
		}
		for _, text := range c.List.CommonCauses {
			out.CommonCauses = append(out.CommonCauses, c.Context+": "+text)
		}
		for _, f := range c.List.Findings {
			f.Message = c.Context + ": " + f.Message
			out.Findings = append(out.Findings, f)
		}
		for _, name := range c.List.NotFound {
			missing[name]++
		}
	}
	for name, n := range missing {
		if n == len(clusters) {
			out.NotFound = append(out.NotFound, name)
		}
	}
	slices.Sort(out.NotFound)
	slices.Sort(out.CommonCauses)
	sorting.Func(out.Items, WorstFirst)
	out.Sources.Sort()
	out.Counts = count(out.Items)
	out.Summary = fleetSummary(out, " in "+output.Plural(read, "cluster"))
	if unread := len(clusters) - read; unread > 0 {
		out.Summary += fmt.Sprintf("; %s not read", output.Plural(unread, "cluster"))
	}
	return out
}
