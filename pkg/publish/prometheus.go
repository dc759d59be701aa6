package publish

import (
	"fmt"
	"maps"
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
	series     map[string]int64
}

// set gives a series its value.
func (f *family) set(value int64, labels ...label) { f.series[f.key(labels)] = value }

// count adds one to a series, which may stand in a text but once.
func (f *family) count(labels ...label) { f.series[f.key(labels)]++ }

func (f *family) key(labels []label) string {
	var words []string
	for _, l := range labels {
		words = append(words, l.name+`="`+labelValue(l.value)+`"`)
	}
	return f.name + "{" + strings.Join(words, ",") + "}"
}

func gauge(name, help string) *family { return &family{name, help, map[string]int64{}} }

// prometheus writes the text format (https://prometheus.io/docs/instrumenting/exposition_formats/), series sorted.
func prometheus(r Report) string {
	verdict := gauge("kubectl_runbooks_verdict", "The verdict on an object, as a label; the value is 1.")
	findings := gauge("kubectl_runbooks_findings", "Number of findings about an object by code and severity.")
	unread := gauge("kubectl_runbooks_sources_unread", "Number of data sources that were wanted and could not be read.")
	checked := gauge("kubectl_runbooks_report_timestamp_seconds", "When the report was made, by the clock of the API server, in Unix time.")
	contexts := slices.ContainsFunc(r.Subjects, func(s Subject) bool { return s.Context != "" })
	for i := range r.Subjects {
		s := &r.Subjects[i]
		of := []label{{"plugin", r.Plugin}}
		if contexts {
			of = append(of, label{"context", s.Context})
		}
		of = append(of, label{"kind", s.Object.Kind}, label{"namespace", s.Object.Namespace}, label{"name", s.Object.Name})
		verdict.set(1, append(slices.Clone(of), label{"verdict", s.Verdict})...)
		for j := range s.Findings {
			f := &s.Findings[j]
			findings.count(append(slices.Clone(of), label{"code", string(f.Code)}, label{"severity", string(f.Severity)})...)
		}
	}
	run := []label{{"plugin", r.Plugin}, {"report", r.Kind}} // reports of two commands may lie in one directory
	unread.set(int64(r.unread()), run...)
	checked.set(r.Time.Unix(), run...)
	var b strings.Builder
	for _, f := range []*family{verdict, findings, unread, checked} {
		if len(f.series) == 0 {
			continue
		}
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n", f.name, f.help, f.name)
		for _, series := range slices.Sorted(maps.Keys(f.series)) {
			fmt.Fprintf(&b, "%s %d\n", series, f.series[series])
		}
	}
	return b.String()
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// labelValue escapes a value. Control characters were made visible before, so that a file is safe to look at.
func labelValue(value string) string { return labelEscapes.Replace(output.Sanitize(value)) }
