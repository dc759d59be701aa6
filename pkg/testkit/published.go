package testkit

import (
	"encoding/xml"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// JUnit is a JUnit report as a reader that takes nothing on trust sees it: what the common schemas do not know
// (https://github.com/windyroad/JUnit-Schema, junit-10.xsd of https://github.com/jenkinsci/xunit-plugin) ends up in Unknown.
type JUnit struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []JUnitSuite `xml:"testsuite"`
	JUnitUnknown
}

// JUnitUnknown collects elements and attributes that a schema does not have.
type JUnitUnknown struct {
	Elements   []struct{ XMLName xml.Name } `xml:",any"`
	Attributes []xml.Attr                   `xml:",any,attr"`
}

// JUnitSuite is a test suite.
type JUnitSuite struct {
	ID         *int            `xml:"id,attr"`
	Name       string          `xml:"name,attr"`
	Package    string          `xml:"package,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Hostname   string          `xml:"hostname,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       *float64        `xml:"time,attr"`
	Properties []JUnitProperty `xml:"properties>property"`
	Cases      []JUnitCase     `xml:"testcase"`
	Out        *string         `xml:"system-out"`
	Err        *string         `xml:"system-err"`
	JUnitUnknown
}

// JUnitProperty is a property of a suite.
type JUnitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// JUnitCase is a test case.
type JUnitCase struct {
	Class    string         `xml:"classname,attr"`
	Name     string         `xml:"name,attr"`
	Time     *float64       `xml:"time,attr"`
	Failures []JUnitOutcome `xml:"failure"`
	Errors   []JUnitOutcome `xml:"error"`
	Skipped  []JUnitOutcome `xml:"skipped"`
	JUnitUnknown
}

// JUnitOutcome is why a case did not pass.
type JUnitOutcome struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
	JUnitUnknown
}

func (u JUnitUnknown) known() bool { return len(u.Elements)+len(u.Attributes) == 0 }

// without is the form of a time that Ant's schema has: without a zone.
var without = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$`)

// ReadJUnit reads a report, and complains of what a schema forbids and of counts that are wrong.
func ReadJUnit(t testing.TB, text string) JUnit {
	t.Helper()
	var r JUnit
	if err := xml.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	complain := func(wrong bool, what string) {
		if wrong {
			t.Errorf("JUnit: %s\n%s", what, text)
		}
	}
	complain(!r.known() || len(r.Suites) == 0, "an element or attribute that the schema does not know, or no suite")
	for i, s := range r.Suites {
		complain(!s.known() || s.ID == nil || *s.ID != i || s.Time == nil, "unknown or missing parts of a suite")
		complain(s.Name == "" || s.Package == "" || s.Hostname == "" || !without.MatchString(s.Timestamp), "unnamed suite, or a time with a zone")
		complain(s.Out == nil || s.Err == nil, "system-out and system-err are required")
		var failures, errors, skipped int
		for _, c := range s.Cases {
			failures, errors, skipped = failures+len(c.Failures), errors+len(c.Errors), skipped+len(c.Skipped)
			complain(!c.known() || c.Name == "" || c.Class == "" || c.Time == nil, "unknown or missing parts of a case")
			complain(len(c.Failures)+len(c.Errors)+len(c.Skipped) > 1, "a case has one outcome at most")
			for _, o := range slices.Concat(c.Failures, c.Errors, c.Skipped) {
				complain(!o.known() || o.Message == "", "an outcome with unknown parts or without a message")
			}
			for _, o := range slices.Concat(c.Failures, c.Errors) {
				complain(o.Type == "", "a failure or error without a type")
			}
		}
		complain(s.Tests != len(s.Cases) || s.Failures != failures || s.Errors != errors || s.Skipped != skipped, "wrong counts")
		complain(!inOrder(text, "<properties>", "</properties>", "<testcase ", "<system-out>", "<system-err>"), "parts of a suite out of order")
	}
	return r
}

// inOrder says whether the parts that text has first appear in this order.
func inOrder(text string, parts ...string) bool {
	last := -1
	for _, part := range parts {
		at := strings.Index(text, part)
		if at >= 0 && at < last {
			return false
		}
		last = max(last, at)
	}
	return true
}

// ReadPrometheus reads text by the parser of Prometheus, as node_exporter's textfile collector does, and complains of what that
// refuses: a time on a sample, a series twice.
func ReadPrometheus(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, f := range families {
		if f.GetType() != dto.MetricType_GAUGE || f.GetHelp() == "" {
			t.Errorf("%s: type %s, help %q", name, f.GetType(), f.GetHelp())
		}
		seen := map[string]bool{}
		for _, m := range f.GetMetric() {
			key := ""
			for _, l := range m.GetLabel() {
				key += l.String()
			}
			if seen[key] || m.TimestampMs != nil {
				t.Errorf("%s: a series twice, or a time on it: %s", name, key)
			}
			seen[key] = true
		}
	}
	return families
}

// Series gives the value of each series of a family by the values of these labels, joined by spaces.
func Series(f *dto.MetricFamily, labels ...string) map[string]float64 {
	out := map[string]float64{}
	for _, m := range f.GetMetric() {
		var values []string
		for _, name := range labels {
			for _, l := range m.GetLabel() {
				if l.GetName() == name {
					values = append(values, l.GetValue())
				}
			}
		}
		out[strings.Join(values, " ")] += m.GetGauge().GetValue()
	}
	return out
}
