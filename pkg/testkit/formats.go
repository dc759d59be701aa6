package testkit

import (
	"strings"
	"testing"
)

// Published is one report in the formats that other tools read, as independent readers see it.
type Published struct {
	Markdown Markdown
	JUnit    JUnit
	Values   map[string]float64 // by family and the values of plugin, kind, namespace, name, verdict, code, severity
}

// ReadPublished has a report printed in each format, reads it, and requires of the three that they agree: a case and a verdict
// per subject, and the verdict on the first line. With a name, the texts are goldens too.
func ReadPublished(t testing.TB, golden string, print func(format string) string) Published {
	t.Helper()
	texts := map[string]string{}
	for format, suffix := range map[string]string{"markdown": ".md", "junit": ".xml", "prometheus": ".prom"} {
		texts[format] = print(format)
		CheckText(t, golden+" "+format, texts[format])
		if golden != "" {
			Golden(t, "published/"+golden+suffix, texts[format])
		}
	}
	p := Published{Markdown: ReadMarkdown(t, texts["markdown"]), JUnit: ReadJUnit(t, texts["junit"]), Values: map[string]float64{}}
	verdicts := 0
	for name, family := range ReadPrometheus(t, texts["prometheus"]) {
		for labels, value := range Series(family, "plugin", "kind", "namespace", "name", "verdict", "code", "severity") {
			p.Values[strings.TrimPrefix(name, "kubectl_runbooks_")+" "+labels] = value
		}
		if name == "kubectl_runbooks_verdict" {
			verdicts = len(family.GetMetric())
		}
	}
	suite := p.JUnit.Suites[0]
	if cases := len(suite.Cases); verdicts != cases && suite.Errors == 0 {
		t.Errorf("%s: %d verdicts and %d cases", golden, verdicts, cases)
	}
	if verdict, _, ok := strings.Cut(p.Markdown.First, ": "); verdicts > 0 && (!ok || !strings.Contains(*suite.Out, verdict+": ")) {
		t.Errorf("%s: the first line %q does not begin with the verdict", golden, p.Markdown.First)
	}
	return p
}
