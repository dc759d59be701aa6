package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/event"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/sorting"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"
	rolloutreport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
)

// Lately is what was read and stands in no report of a workflow.
type Lately struct {
	Since     time.Duration // 0: changes are not asked for
	Corefiles []report.Change
	Configs   source.Source // of the Corefiles
	Events    []event.Event
	EventList source.Source
}

// mostChanges is how many changes are told, the newest.
const mostChanges = 100

// mostFields is how many changed fields of a revision are named.
const mostFields = 3

// changes puts on one line what changed within a time: the objects say it of themselves, and the events that are still kept.
func (in *Input) changes(now time.Time) *report.Changes {
	if in.Lately.Since <= 0 {
		return nil
	}
	c := &report.Changes{Since: now.Add(-in.Lately.Since).UTC(), Items: []report.Change{}}
	var all []report.Change
	if in.Nodes != nil {
		for i := range in.Nodes.Items {
			all = append(all, nodeChanges(&in.Nodes.Items[i])...)
		}
	}
	if in.Rollouts != nil {
		for i := range in.Rollouts.Items {
			all = append(all, rolloutChanges(&in.Rollouts.Items[i], c.Since)...)
		}
	}
	all = append(all, in.Lately.Corefiles...)
	all = append(all, in.eventChanges()...)
	for _, x := range all {
		if !x.Time.Before(c.Since) && !x.Time.After(now) {
			x.Time = x.Time.UTC()
			c.Items = append(c.Items, x)
		}
	}
	sorting.Func(c.Items, func(a, b report.Change) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Object.String(), b.Object.String()), cmp.Compare(a.Message, b.Message))
	})
	c.LeftOut = max(0, len(c.Items)-mostChanges)
	c.Items = c.Items[c.LeftOut:]
	c.Unknown = in.unknownChanges()
	return c
}

func nodeChanges(n *nodereport.Node) []report.Change {
	of := finding.ObjectRef{Kind: "Node", Name: n.Name}
	var list []report.Change
	if n.CreatedAt != nil {
		list = append(list, report.Change{Time: *n.CreatedAt, Object: of, Kind: report.ChangeCreated, Message: "node created"})
	}
	if n.Health != nil {
		for _, c := range n.Health.Conditions {
			if c.Type != "Ready" || c.Since == nil {
				continue
			}
			text := "Ready became " + c.Status
			if c.Status != "True" && c.Reason != "" {
				text += " (" + c.Reason + ")"
			}
			list = append(list, report.Change{Time: *c.Since, Object: of, Kind: report.ChangeReady, Message: text})
		}
	}
	if s := n.Scheduling; s != nil && s.Cordoned && s.CordonedSince != nil {
		text := "cordoned"
		if s.CordonedBy != "" {
			text += " by " + s.CordonedBy
		}
		list = append(list, report.Change{Time: *s.CordonedSince, Object: of, Kind: report.ChangeCordoned, Message: text})
	}
	return list
}

func rolloutChanges(r *rolloutreport.Rollout, since time.Time) []report.Change {
	var list []report.Change
	created := r.CreatedAt != nil && !r.CreatedAt.Before(since)
	if created {
		text := strings.ToLower(r.Object.Kind) + " created"
		list = append(list, report.Change{Time: *r.CreatedAt, Object: r.Object, Kind: report.ChangeCreated, Message: text})
	}
	revisions := slices.Clone(r.History)
	if r.Revision != nil && !slices.ContainsFunc(revisions, func(x rolloutreport.Revision) bool { return x.Name == r.Revision.Name }) {
		revisions = append(revisions, *r.Revision)
	}
	for _, x := range revisions {
		if x.CreatedAt == nil || created && x.Number == 1 {
			continue
		}
		text := fmt.Sprintf("revision %d (%s) created", x.Number, x.Name)
		if r.Revision != nil && x.Name == r.Revision.Name {
			text += changed(r.Changes)
		}
		list = append(list, report.Change{Time: *x.CreatedAt, Object: r.Object, Kind: report.ChangeRevision, Message: text})
	}
	return list
}

// changed names the fields of a template that differ from the revision before.
func changed(d *rolloutreport.Diff) string {
	if d == nil || len(d.Changes) == 0 {
		return ""
	}
	var words []string
	folded := rolloutreport.Fold(d.Changes)
	for _, c := range folded[:min(len(folded), mostFields)] {
		words = append(words, c.Kind+" "+c.Path)
	}
	if more := len(folded) - mostFields; more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return ": " + strings.Join(words, ", ")
}

// eventChanges are the warnings, and all events of nodes.
func (in *Input) eventChanges() []report.Change {
	var list []report.Change
	for i := range in.Lately.Events {
		e := &in.Lately.Events[i]
		if e.Type != "Warning" && e.About.Kind != "Node" {
			continue
		}
		text := e.Reason + ": " + e.Message
		if e.Count > 1 {
			text += fmt.Sprintf(" (%s since %s)", output.Plural(int(e.Count), "time"), e.First.UTC().Format(time.RFC3339))
		}
		of := finding.ObjectRef{Kind: e.About.Kind, Namespace: e.About.Namespace, Name: e.About.Name}
		list = append(list, report.Change{Time: e.Last, Object: of, Kind: report.ChangeEvent, Message: text})
	}
	return list
}

// unknownChanges are those that nothing tells of.
func (in *Input) unknownChanges() []string {
	var list []string
	parts := map[report.Workflow]string{
		report.Nodes: "changes of nodes", report.DNS: "Corefile edits", report.Rollouts: "revisions of rollouts and events",
	}
	for _, w := range report.Workflows() {
		if s, unread := in.Unread[w]; unread {
			list = append(list, parts[w]+": "+s.Reason())
		}
	}
	if s := in.Lately.EventList; in.Rollouts != nil && !s.Readable() {
		list = append(list, "events: "+s.Reason())
	}
	if s := in.Lately.Configs; in.DNS != nil && !s.Readable() {
		list = append(list, "Corefile edits: "+s.Reason())
	} else if in.DNS != nil && len(in.Lately.Corefiles) == 0 {
		list = append(list, "Corefile edits: no managedFields tell when one was written")
	}
	return append(list, "earlier changes of Ready, uncordons and rollbacks to a kept revision: the API does not keep their time")
}
