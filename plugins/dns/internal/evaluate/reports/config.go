package reports

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// config explains the Corefile.
func config(w *facts.Snapshot) report.Config {
	out := report.Config{Header: header(w, "DNSConfig"), Blocks: []report.ConfigBlock{}}
	if w.ConfRef != nil {
		out.Source = w.ConfRef.String()
	}
	for _, b := range w.Conf.Blocks {
		block := report.ConfigBlock{File: b.File, Line: b.Line}
		for _, z := range b.Zones {
			block.Zones = append(block.Zones, z.String())
		}
		for i, d := range b.Effective() {
			p := report.ConfigPlugin{Order: i + 1, Name: d.Name, Args: strings.Join(d.Args, " "), File: d.File, Line: d.Line}
			for _, o := range d.Body {
				p.Options = append(p.Options, corefile.HideSecrets(strings.TrimSpace(o.Name+" "+strings.Join(o.Args, " "))))
			}
			block.Plugins = append(block.Plugins, p)
		}
		out.Blocks = append(out.Blocks, block)
	}
	return out
}

// Config explains the Corefile of the Input.
func Config(in facts.Input, now time.Time, o facts.Options) report.Config {
	o.Standalone = true
	w := facts.New(in, now, o)
	out := config(w)
	conclude(w, &out.Header, servers.CheckNoService, servers.CheckCorefileInvalid, servers.CheckZoneNotServed, servers.CheckReload,
		servers.CheckCorefileLints)
	switch {
	case len(out.Findings) > 0:
	case !w.ConfRead:
		out.Verdict, out.Summary = report.Unknown, "the Corefile could not be read: "+noneGap(w)
	default:
		out.Summary = fmt.Sprintf("%d server %s; the kubernetes plugin in line %d answers %s", len(out.Blocks),
			facts.Plural(len(out.Blocks), "block"), w.Records.Line, strings.TrimSuffix(w.Zone, "."))
	}
	return out
}

func noneGap(w *facts.Snapshot) string {
	if gap := w.Sources.Get("configmaps").Reason(); gap != "" {
		return gap
	}
	return "no ConfigMap of the DNS pods contains it"
}
