package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestColourNeedsAWish(t *testing.T) {
	env := func(pairs ...string) func(string) (string, bool) {
		return func(key string) (string, bool) {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == key {
					return pairs[i+1], true
				}
			}
			return "", false
		}
	}
	tests := []struct {
		name string
		mode ColorMode
		tty  bool
		env  func(string) (string, bool)
		want bool
	}{
		{"terminal", ColorAuto, true, env(), true},
		{"pipe", ColorAuto, false, env(), false},
		{"NO_COLOR even if empty", ColorAuto, true, env("NO_COLOR", ""), false},
		{"dumb terminal", ColorAuto, true, env("TERM", "dumb"), false},
		{"always beats NO_COLOR", ColorAlways, false, env("NO_COLOR", "1"), true},
		{"never", ColorNever, true, env(), false},
	}
	for _, tt := range tests {
		if got := tt.mode.Use(tt.tty, tt.env); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	if _, err := ParseColorMode("sometimes"); err == nil {
		t.Error("an unknown mode is accepted")
	}
}

func TestValues(t *testing.T) {
	tests := []struct{ got, want string }{
		{Age(47 * time.Second), "47s"},
		{Age(-time.Second), "0s"},
		{Since(nil, time.Time{}), Unknown},
		{Millicores(40), "40m"},
		{Millicores(2000), "2"},
		{Millicores(2500), "2500m"},
		{Millicores(12_500), "12.5"},
		{Bytes(0), "0"},
		{Bytes(1023), "1023"},
		{Bytes(1536), "1.5Ki"},
		{Bytes(8 << 30), "8Gi"},
		{Percent(1, 0), Unknown},
		{Percent(996, 1000), "99.6%"},
		{Percent(9999, 10000), "99.9%"},
		{Percent(1, 3), "33%"},
		{Percent(3, 2), "150%"},
		{Plural(1, "node"), "1 node"},
		{Plural(0, "node"), "0 nodes"},
		{Plural(2, "policy", "policies"), "2 policies"},
		{Terminal{}.Bar(1, 2, 10), ""},
		{Terminal{TTY: true}.Bar(1, 2, 10), "[#####.....]"},
		{Terminal{TTY: true}.Bar(3, 2, 4), "[####]"},
		{Terminal{TTY: true}.Bar(3, 0, 4), ""},
		{Truncate("节点状态", 5), "节点…"},
		{Sanitize("plain – text"), "plain – text"},
		{Sanitize("bad\xffbyte\a\b\r"), `bad\xffbyte\x07\x08\x0d`},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestParseFormat(t *testing.T) {
	all := []FormatKind{Wide, JSON, YAML, Name, JSONPath}
	for _, s := range []string{"", "table", "wide", "json", "yaml", "name", "jsonpath={.items[*].name}", "jsonpath=.items"} {
		if _, err := ParseFormat(s, all...); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	tests := []struct{ in, want string }{
		{"go-template", `-o "go-template": unknown format; valid values: table, wide, json, yaml, name, jsonpath=TEMPLATE`},
		{"json=x", "-o json takes no argument"},
		{"jsonpath", "-o jsonpath needs a template, e.g. -o jsonpath='{.items[*].name}'"},
		{"jsonpath={.items[", `-o jsonpath="{.items[": invalid template: `},
	}
	for _, tt := range tests {
		if _, err := ParseFormat(tt.in, all...); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %s", tt.in, err, tt.want)
		}
	}
}

func TestStructuredFormats(t *testing.T) {
	report := struct {
		Items []map[string]any `json:"items"`
	}{Items: []map[string]any{{"name": "w1", "bytes": int64(4_000_000_000)}, {"name": "w2"}}}
	tests := []struct{ format, want string }{
		{"json", "{\n    \"items\": [\n        {\n            \"bytes\": 4000000000,\n            \"name\": \"w1\"\n        },\n        {\n            \"name\": \"w2\"\n        }\n    ]\n}\n"},
		{"yaml", "items:\n- bytes: 4000000000\n  name: w1\n- name: w2\n"},
		{"jsonpath={.items[*].name}", "w1 w2\n"},
		{"jsonpath=.items[0].bytes", "4000000000\n"},
		{"jsonpath={.absent}", "\n"},
		{"custom-columns=NAME:.name,BYTES:{.bytes}", "NAME   BYTES\nw1     4000000000\nw2     <none>\n"},
		{"custom-columns=N:name", "N\nw1\nw2\n"},
	}
	for _, tt := range tests {
		format, err := ParseFormat(tt.format, JSON, YAML, JSONPath, CustomColumns)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := format.Print(&b, report); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, b.String()); d != "" {
			t.Errorf("%s:\n%s", tt.format, d)
		}
	}
}

func TestCustomColumnsOfAnyReport(t *testing.T) {
	report := map[string]any{"name": "a\x1b[31mb", "findings": []any{map[string]any{"code": "A"}, map[string]any{"code": "B"}}, "none": nil, "deep": map[string]any{"x": true}}
	format, err := ParseFormat("custom-columns=NAME:.name,CODES:.findings[*].code,NONE:.none,DEEP:.deep.x", CustomColumns)
	if err != nil {
		t.Fatal(err)
	}
	format.NoHeaders = true
	var b bytes.Buffer
	if err := format.Print(&b, report); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("a\\x1b[31mb   A,B   <none>   true\n", b.String()); d != "" {
		t.Error(d)
	}
	for _, wrong := range []string{"custom-columns", "custom-columns=", "custom-columns=NAME", "custom-columns=:.name", "custom-columns=NAME:", "custom-columns=A:{.x", "custom-columns=A:.x,"} {
		if _, err := ParseFormat(wrong, CustomColumns); err == nil || !strings.Contains(err.Error(), "NAME:.name") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	if _, err := ParseFormat("custom-columns=A:.x", JSON); err == nil {
		t.Error("a command that has none takes it")
	}
}

func TestWrapOnlyOnATerminal(t *testing.T) {
	text := "one two three four five six"
	if got := Wrap(text, Terminal{}, 0, "  "); got != text {
		t.Errorf("got %q", got)
	}
	if got, want := Wrap(text, Terminal{TTY: true, Width: 21}, 10, "  "), "one two\n  three four five six"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressIsSilentOffATerminal(t *testing.T) {
	var b bytes.Buffer
	StartProgress(&b, Terminal{}, "reading")()
	StartProgress(&b, Terminal{TTY: true}, "reading")() // stopped within the second: nothing either
	if b.Len() > 0 {
		t.Errorf("got %q", b.String())
	}
}

func TestProgressNeedsNoEscapeSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		stop := StartProgress(&b, Terminal{TTY: true}, "reading")
		time.Sleep(2 * time.Second)
		stop()
		if want := "reading…\r        \r"; b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	})
}

func TestStructuredOutputSurvivesHostileText(t *testing.T) {
	report := map[string]string{"message": "a\x7f\u009b31mb\u00e9"}
	for format, want := range map[FormatKind]string{
		JSON: "{\n    \"message\": \"a\\u007f\\u009b31mb\u00e9\"\n}\n",
		YAML: "message: \"a\\x7F\\x9B31mb\u00e9\"\n",
	} {
		var b bytes.Buffer
		if err := (Format{Kind: format}).Print(&b, report); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", format, d)
		}
	}
}

type deferredItem struct {
	Name string `json:"name"`
	More []int  `json:"more,omitempty"`
}

func (i deferredItem) Complete() any {
	i.More = []int{1, 2}
	return i
}

// A list is printed item by item, and looks like one that is printed at once.
func TestItemsArePrintedOneByOne(t *testing.T) {
	type list struct {
		Kind  string         `json:"kind"`
		Items []deferredItem `json:"items"`
		Nil   []int          `json:"nil"`
	}
	for _, items := range [][]deferredItem{nil, {}, {{Name: "a"}}, {{Name: "\n    \"items\": []"}, {Name: "\u202e"}}} {
		var complete []deferredItem
		if items != nil {
			complete = []deferredItem{}
		}
		for _, i := range items {
			complete = append(complete, i.Complete().(deferredItem))
		}
		data, err := json.MarshalIndent(list{Kind: "\n    \"items\": []", Items: complete}, "", "    ")
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(string(data), "\u202e", `\u202e`) + "\n"
		for _, report := range []any{list{Kind: "\n    \"items\": []", Items: items}, &list{Kind: "\n    \"items\": []", Items: items}} {
			var b strings.Builder
			if err := (Format{Kind: JSON}).Print(&b, report); err != nil || b.String() != want {
				t.Errorf("%v, got\n%s\nwant\n%s", err, b.String(), want)
			}
		}
		var y strings.Builder
		if err := (Format{Kind: YAML}).Print(&y, list{Items: items}); err != nil || strings.Count(y.String(), "more:") != len(items) {
			t.Errorf("%v, yaml\n%s", err, y.String())
		}
	}
}
