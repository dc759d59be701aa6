package publish

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
)

// label is a name and a value. Values are names of objects and words of closed sets, never sentences.
type label struct{ name, value string }

// family is a gauge with its series. The text of HELP must be the same in every file that node_exporter's textfile collector
// reads (https://github.com/prometheus/node_exporter#textfile-collector), so it does not speak of a plugin.
type family struct {
	name, help string
	series     []string
}

func (f *family) add(value int64, labels ...label) {
	var words []string
	for _, l := range labels {
		words = append(words, l.name+`="`+labelValue(l.value)+`"`)
	}
	f.series = append(f.series, fmt.Sprintf("%s{%s} %d", f.name, strings.Join(words, ","), value))
}

// prometheus writes the text format (https://prometheus.io/docs/instrumenting/exposition_formats/), series sorted.
func prometheus(r Report) string {
	verdict := &family{name: "kubectl_runbooks_verdict", help: "The verdict on an object, as a label; the value is 1."}
	findings := &family{name: "kubectl_runbooks_findings", help: "Number of findings about an object by code and severity."}
	unread := &family{name: "kubectl_runbooks_sources_unread", help: "Number of data sources that were wanted and could not be read."}
	checked := &family{
		name: "kubectl_runbooks_report_timestamp_seconds", help: "When the report was made, by the clock of the API server, in Unix time.",
	}
	contexts := slices.ContainsFunc(r.Subjects, func(s Subject) bool { return s.Context != "" })
	for i := range r.Subjects {
		s := &r.Subjects[i]
		of := []label{{"plugin", r.Plugin}}
		if contexts {
			of = append(of, label{"context", s.Context})
		}
		of = append(of, label{"kind", s.Object.Kind}, label{"namespace", s.Object.Namespace}, label{"name", s.Object.Name})
		verdict.add(1, append(slices.Clone(of), label{"verdict", s.Verdict})...)
		counted := map[[2]string]int64{}
		for j := range s.Findings {
			counted[[2]string{string(s.Findings[j].Code), string(s.Findings[j].Severity)}]++
		}
		for key, n := range counted {
			findings.add(n, append(slices.Clone(of), label{"code", key[0]}, label{"severity", key[1]})...)
		}
	}
	run := []label{{"plugin", r.Plugin}, {"report", r.Kind}} // reports of two commands may lie in one directory
	unread.add(int64(r.unread()), run...)
	checked.add(r.Time.Unix(), run...)
	var b strings.Builder
	for _, f := range []*family{verdict, findings, unread, checked} {
		if len(f.series) == 0 {
			continue
		}
		slices.Sort(f.series)
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s\n", f.name, f.help, f.name, strings.Join(f.series, "\n"))
	}
	return b.String()
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// labelValue escapes a value. Control characters were made visible before, so that a file is safe to look at.
func labelValue(value string) string { return labelEscapes.Replace(output.Sanitize(value)) }
