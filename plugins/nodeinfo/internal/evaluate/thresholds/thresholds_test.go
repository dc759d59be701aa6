package thresholds

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestAFileChangesWhatItNames(t *testing.T) {
	want := Default()
	want.CertificateWarningDays, want.PodStart, want.MemoryUsagePercent = 60, 5*time.Minute, 90
	for name, text := range map[string]string{
		"YAML":     "# ours\ncertificateWarningDays: 60\npodStart: 5m\nmemoryUsagePercent: 90\n",
		"JSON":     `{"certificateWarningDays": 60, "podStart": "300s", "memoryUsagePercent": 90}`,
		"document": "---\ncertificateWarningDays: 60\npodStart: 5m0s\nmemoryUsagePercent: 90\n---\n# nothing\n",
	} {
		got, err := Parse([]byte(text))
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%s: %v %s", name, err, d)
		}
	}
	changed := []Change{{"certificateWarningDays", "60", "30"}, {"memoryUsagePercent", "90", "95"}, {"podStart", "5m", "2m"}}
	if d := cmp.Diff(changed, want.Changed()); d != "" {
		t.Error(d)
	}
	if list := Default().Changed(); list != nil {
		t.Errorf("the defaults differ from the defaults: %v", list)
	}
}

// Each is one line that names the key, its line, and what it can be.
func TestWhatIsWrongWithAFile(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "no threshold is set",
		"# nothing\n":                           "no threshold is set",
		"{}":                                    "no threshold is set",
		"- podStart: 5m\n":                      "not a mapping of thresholds to values",
		"podStart":                              "not a mapping of thresholds to values",
		"podStart: [\n":                         "not valid YAML: line 1: ",
		"podStart: 5m\npodStart: 6m":            `not valid YAML: line 2: key "podStart" already set in map`,
		"podStart: 5m\n---\npodTermination: 5m": "more than one YAML document",
		"\npodstart: 5m":                        `line 2: "podstart" is not a threshold; closest existing name: podStart`,
		"memoryPercent: 5":                      `line 1: "memoryPercent" is not a threshold; closest existing name: memoryUsagePercent`,
		"disk: 5":                               `line 1: "disk" is not a threshold; use staleAfter, `,
		"podStart: 120":                         `line 1: podStart: 120 is not a duration with a unit; use a duration from 10s to 24h (default: 2m)`,
		"podStart: soon":                        `line 1: podStart: "soon" is not a duration`,
		"podStart: 1s":                          `line 1: podStart: "1s" is too low; use a duration from 10s to 24h (default: 2m)`,
		"podStart: -5m":                         `line 1: podStart: "-5m" is too low`,
		"podStart: 25h":                         `line 1: podStart: "25h" is too high`,
		"podStart:":                             `line 1: podStart: an empty value is not a duration`,
		"podStart: {minutes: 5}":                `line 1: podStart: a mapping or list is not a duration`,
		"\n\n'memoryUsagePercent' : 95%":        `line 3: memoryUsagePercent: "95%" is not a whole number; use a whole number from 1 to 100 (default: 95)`,
		"memoryUsagePercent: 95.5":              `line 1: memoryUsagePercent: 95.5 is not a whole number`,
		"memoryUsagePercent: 1e300":             `is not a whole number`,
		"memoryUsagePercent: true":              `line 1: memoryUsagePercent: true is not a whole number`,
		"memoryUsagePercent: 0":                 `line 1: memoryUsagePercent: 0 is too low`,
		"memoryUsagePercent: 101":               `line 1: memoryUsagePercent: 101 is too high`,
		"certificateCriticalDays: 40":           `line 1: certificateCriticalDays (40) is more than certificateWarningDays (30)`,
		"# ours\ncertificateWarningDays: 5":     `line 2: certificateCriticalDays (7) is more than certificateWarningDays (5)`,
		"podStart: 1s\npods: 5\npodRestarts: 0": `line 1: podStart: "1s" is too low; use a duration from 10s to 24h (default: 2m) (and 2 more)`,
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A bound that the default breaks would be no bound.
func TestTheDefaultsAreWithinTheirBounds(t *testing.T) {
	normal := Default()
	seen := map[string]bool{}
	for _, k := range keys() {
		var text strings.Builder
		text.WriteString(k.name + ": " + k.text(&normal) + "\n")
		if got, err := Parse([]byte(text.String())); err != nil || got != normal || seen[k.name] {
			t.Errorf("%s: %v", text.String(), err)
		}
		seen[k.name] = true
	}
}

// The pages hold a file with every key and its default.
func TestTheDocumentedDefaultsAreTheDefaults(t *testing.T) {
	for _, page := range []string{"nodeinfo.md", "zh-CN/nodeinfo.md"} {
		data, err := os.ReadFile("../../../../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(string(data), "```yaml\nstaleAfter:")
		text, _, _ = strings.Cut("staleAfter:"+text, "```")
		var entries map[string]any
		if err := yaml.Unmarshal([]byte(text), &entries); err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		for _, k := range keys() {
			if _, ok := entries[k.name]; !ok {
				t.Errorf("%s does not list %s", page, k.name)
			}
		}
		if got, err := Parse([]byte(text)); err != nil || len(got.Changed()) > 0 {
			t.Errorf("%s: %v, differs: %v", page, err, got.Changed())
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"podStart: 5m", "- 1", "a: &a [*a]", "podStart: {a: b}", "---\n---", `{"podRestarts": 3}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data)
		if err == nil && (v.PodStart <= 0 || v.MemoryUsagePercent < 1 || v.CertificateCriticalDays > v.CertificateWarningDays) {
			t.Errorf("%q: %+v", data, v)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %q is more than one line", data, err)
		}
	})
}
