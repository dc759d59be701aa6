package output

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/util/jsonpath"
	"sigs.k8s.io/yaml"
)

// Format is a parsed -o value: a kind and, for jsonpath and custom-columns, its template.
type Format struct {
	Kind      FormatKind
	Template  string
	NoHeaders bool // of custom-columns
}

// FormatKind names an output format.
type FormatKind string

// The formats. There is no go-template: executing text templates would keep every exported method in the binary and add
// a third to its size (https://github.com/spf13/cobra/issues/2015).
const (
	Table    FormatKind = ""
	Wide     FormatKind = "wide"
	JSON     FormatKind = "json"
	YAML     FormatKind = "yaml"
	Name     FormatKind = "name"
	JSONPath FormatKind = "jsonpath"

	CustomColumns FormatKind = "custom-columns"

	Markdown   FormatKind = "markdown"
	JUnit      FormatKind = "junit"
	Prometheus FormatKind = "prometheus"

	HTML FormatKind = "html" // of kubectl runbooks alone, which makes pages of the reports of all plugins
)

// ParseFormat reads a -o value, of which the command supports allowed (Table always; "table" is its name in words).
func ParseFormat(s string, allowed ...FormatKind) (Format, error) {
	kind, arg, hasArg := strings.Cut(s, "=")
	f := Format{Kind: FormatKind(kind), Template: arg}
	if kind == "table" {
		f.Kind = Table
	}
	if f.Kind != Table && !slices.Contains(allowed, f.Kind) {
		hint := ""
		if f.Kind == HTML {
			hint = "; for a page, pass the output of -o json to kubectl runbooks html -"
		}
		return Format{}, fmt.Errorf("-o %q: unknown format; valid values: %s%s", s, formatWords(allowed), hint)
	}
	if f.Kind == CustomColumns {
		if _, err := parseColumns(arg); err != nil {
			return Format{}, fmt.Errorf("-o custom-columns=%q: %w; for example -o custom-columns=NAME:.name,VERDICT:.verdict", arg, err)
		}
		return f, nil
	}
	if f.Kind != JSONPath {
		if hasArg {
			return Format{}, fmt.Errorf("-o %s takes no argument", kind)
		}
		return f, nil
	}
	if strings.TrimSpace(arg) == "" {
		return Format{}, fmt.Errorf("-o jsonpath needs a template, e.g. -o jsonpath='{.items[*].name}'")
	}
	if _, err := parseJSONPath(arg); err != nil {
		return Format{}, fmt.Errorf("-o jsonpath=%q: invalid template: %w", arg, err)
	}
	return f, nil
}

func formatWords(allowed []FormatKind) string {
	words := []string{"table"}
	for _, k := range allowed {
		word := string(k)
		switch k {
		case JSONPath:
			word += "=TEMPLATE"
		case CustomColumns:
			word += "=HEADER:PATH,..."
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// Structured says whether the format prints the report itself rather than text about it.
func (f Format) Structured() bool {
	return f.Kind == JSON || f.Kind == YAML || f.Kind == JSONPath || f.Kind == CustomColumns
}

// PublishedKinds lists the formats of Published.
func PublishedKinds() []FormatKind { return []FormatKind{Markdown, JUnit, Prometheus} }

// FormatWords lists the words that complete -o.
func FormatWords(kinds ...FormatKind) []string {
	words := make([]string, 0, len(kinds))
	for _, k := range kinds {
		word := string(k)
		if k == JSONPath || k == CustomColumns {
			word += "="
		}
		words = append(words, word)
	}
	return words
}

// Published says whether the format is one that other tools read: markdown, junit or prometheus, which pkg/publish prints.
func (f Format) Published() bool {
	return slices.Contains(PublishedKinds(), f.Kind)
}

// ForbidRepeated refuses the formats of one document for flag, with which a report is printed again and again.
func (f Format) ForbidRepeated(flag string) error {
	if !f.Published() && f.Kind != HTML {
		return nil
	}
	return fmt.Errorf("-o %s prints one report and cannot be combined with %s", f.Kind, flag)
}

// Print writes a report in a structured format, as kubectl would: JSON indented by four, YAML, a JSONPath result, or columns.
func (f Format) Print(w io.Writer, report any) error {
	switch f.Kind {
	case JSON:
		return printJSON(w, report)
	case CustomColumns:
		return f.printColumns(w, report)
	}
	data, err := json.Marshal(whole(report))
	if err != nil {
		return err
	}
	data = escapeHostile(data)
	switch f.Kind {
	case YAML:
		text, err := yaml.JSONToYAML(data)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	case JSONPath:
		return f.printJSONPath(w, data)
	}
	return fmt.Errorf("format %q prints no report", f.Kind)
}

// Deferred is an item of a list that is complete only when it is printed, because all items together would fill the memory.
// Several may be completed at once.
type Deferred interface {
	Complete() any // a copy
}

// whole is a report whose items are complete.
func whole(report any) any {
	v, field := itemsOf(report)
	if field < 0 || !v.Field(field).Type().Elem().Implements(reflect.TypeFor[Deferred]()) {
		return report
	}
	items := v.Field(field)
	all := reflect.MakeSlice(items.Type(), 0, items.Len())
	for i := range items.Len() {
		all = reflect.Append(all, reflect.ValueOf(items.Index(i).Interface().(Deferred).Complete()))
	}
	return with(v, field, all)
}

// itemsOf finds the items of a list; -1: it is no list, or its items are null.
func itemsOf(report any) (v reflect.Value, field int) {
	if v = reflect.Indirect(reflect.ValueOf(report)); v.Kind() != reflect.Struct {
		return v, -1
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Tag.Get("json") == "items" && f.Type.Kind() == reflect.Slice && !v.Field(i).IsNil() {
			return v, i
		}
	}
	return v, -1
}

// with is a copy of a list with other items.
func with(v reflect.Value, field int, items reflect.Value) any {
	list := reflect.New(v.Type()).Elem()
	list.Set(v)
	list.Field(field).Set(items)
	return list.Interface()
}

// printJSON writes the items of a list one by one: the text of thousands would take many times the memory of the report.
func printJSON(w io.Writer, report any) error {
	out := bufio.NewWriterSize(w, 64<<10)
	v, field := itemsOf(report)
	if field < 0 {
		text, err := indented(nil, report, "")
		if err != nil {
			return err
		}
		out.Write(text)     //nolint:errcheck // the writer keeps the first error until Flush
		out.WriteByte('\n') //nolint:errcheck // as above
		return out.Flush()
	}
	text, err := indented(nil, with(v, field, reflect.MakeSlice(v.Field(field).Type(), 0, 0)), "")
	if err != nil {
		return err
	}
	before, after, found := bytes.Cut(text, []byte("\n    \"items\": []")) // no text holds a line break
	if !found {
		return errors.New("a list has no items") // its type has them by their tag
	}
	out.Write(before)                     //nolint:errcheck // the writer keeps the first error until Flush
	out.WriteString("\n    \"items\": [") //nolint:errcheck // as above
	if err := printItems(out, v.Field(field)); err != nil {
		return err
	}
	out.Write(after)    //nolint:errcheck // as above
	out.WriteByte('\n') //nolint:errcheck // as above
	return out.Flush()
}

// printItems makes the texts of some items at once, on all processors, and writes them in order.
func printItems(out *bufio.Writer, items reflect.Value) error {
	some := make([]struct {
		text []byte
		err  error
	}, min(items.Len(), 4*runtime.GOMAXPROCS(0)))
	for from := 0; from < items.Len(); from += len(some) {
		here := some[:min(len(some), items.Len()-from)]
		var all sync.WaitGroup
		for k := range here {
			all.Go(func() { here[k].text, here[k].err = itemText(here[k].text[:0], items.Index(from+k).Interface()) })
		}
		all.Wait()
		for k := range here {
			if here[k].err != nil {
				return here[k].err
			}
			if from+k > 0 {
				out.WriteByte(',') //nolint:errcheck // the writer keeps the first error until Flush
			}
			out.WriteString("\n        ") //nolint:errcheck // as above
			out.Write(here[k].text)       //nolint:errcheck // as above
		}
	}
	if items.Len() > 0 {
		out.WriteString("\n    ") //nolint:errcheck // as above
	}
	return out.WriteByte(']')
}

func itemText(to []byte, item any) ([]byte, error) {
	if deferred, ok := item.(Deferred); ok {
		item = deferred.Complete()
	}
	return indented(to, item, "        ")
}

// indented appends a value as JSON, each line but the first after the prefix.
func indented(to []byte, value any, prefix string) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(to)
	err = json.Indent(b, escapeHostile(data), prefix, "    ")
	return b.Bytes(), err
}

// escapeHostile writes what a terminal would obey as \uXXXX: the same JSON, harmless to look at. YAML refuses DEL and C1
// controls outright, so that a hostile condition message would cost the whole report.
func escapeHostile(data []byte) []byte {
	if !slices.ContainsFunc(data, func(b byte) bool { return b >= 0x7f || b < ' ' }) { // as nearly all is
		return data
	}
	structural := func(r rune) bool { return r == '\n' || r == '\t' || r == '\r' || !hostile(r) }
	if bytes.IndexFunc(data, func(r rune) bool { return !structural(r) }) < 0 {
		return data
	}
	var b bytes.Buffer
	for _, r := range string(data) {
		if structural(r) {
			b.WriteRune(r)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, r)
	}
	return b.Bytes()
}

func (f Format) printJSONPath(w io.Writer, data []byte) error {
	path, err := parseJSONPath(f.Template)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // whole numbers stay whole: 4000000000 is not 4e+09
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := path.Execute(&b, value); err != nil {
		return fmt.Errorf("jsonpath %q: %w", f.Template, err)
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}

// parseJSONPath accepts what kubectl accepts: {.a.b}, .a.b and a.b.
func parseJSONPath(template string) (*jsonpath.JSONPath, error) {
	if !strings.Contains(template, "{") {
		template = "{." + strings.TrimPrefix(strings.TrimPrefix(template, "$"), ".") + "}"
	}
	path := jsonpath.New("out").AllowMissingKeys(true)
	return path, path.Parse(template)
}
