package webpage

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	nodereport "github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/report"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// written are the fields of reports that other functions write.
var written = []string{
	"apiVersion", "kind", "verdict", "summary", "time", "findings", "consequences", "primaryCode", "notChecked", "object", "context", "name",
}

var (
	typeTime   = reflect.TypeFor[time.Time]()
	typeSource = reflect.TypeFor[source.List]()
	typeAmount = reflect.TypeFor[nodereport.Amount]()
	typeObject = reflect.TypeFor[finding.ObjectRef]()
	typeNext   = reflect.TypeFor[finding.Next]()
)

// field is one of a report, under its name in JSON.
type field struct {
	name  string
	value reflect.Value
	blank bool // nothing is to be said of it
}

// fields lists what a struct holds, embedded structs included, in the order of its JSON.
func fields(v reflect.Value) []field {
	var list []field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case f.Anonymous && name == "":
			list = append(list, fields(v.Field(i))...)
		default:
			optional := strings.Contains(f.Tag.Get("json"), ",omitempty")
			list = append(list, field{name, v.Field(i), optional && v.Field(i).IsZero() || empty(v.Field(i))})
		}
	}
	return list
}

// data writes what a report holds beside verdict, findings and gaps: single values as a list, lists of objects as tables.
func (p *page) data(v reflect.Value, skip ...string) {
	var parts []field
	for _, f := range fields(v) {
		if slices.Contains(skip, f.name) || f.value.Type() == typeSource || f.blank {
			continue
		}
		parts = append(parts, f)
	}
	p.values(parts)
	for _, f := range parts {
		if !short(f) {
			p.part(f)
		}
	}
}

// values writes the single values among fields.
func (p *page) values(parts []field) {
	if !slices.ContainsFunc(parts, short) {
		return
	}
	p.within("dl", func() {
		for _, f := range parts {
			if short(f) {
				p.element("dt", label(f.name))
				p.within("dd", func() { p.cell(cellOf(f)) })
			}
		}
	})
}

// part writes a field that holds several values.
func (p *page) part(f field) {
	v := reflect.Indirect(f.value)
	title := label(f.name)
	switch {
	case v.Kind() == reflect.Struct:
		p.element("h3", title)
		p.data(v)
	case v.Kind() == reflect.Slice && element(v.Type()).Kind() == reflect.Struct && element(v.Type()) != typeTime:
		p.objectTable(title, v)
	case v.Kind() == reflect.Slice:
		p.list(title, texts(v))
	default:
		p.element("h3", title)
		p.cell(cellOf(f))
	}
}

func element(t reflect.Type) reflect.Type {
	if t = t.Elem(); t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// objectTable writes a list of objects, without the columns in which all are empty.
func (p *page) objectTable(caption string, v reflect.Value) {
	told := map[string]bool{}
	for i := range v.Len() {
		for _, f := range fields(reflect.Indirect(v.Index(i))) {
			told[f.name] = told[f.name] || !f.blank
		}
	}
	rows := make([][]cell, 0, v.Len())
	for i := range v.Len() {
		var row []cell
		for _, f := range fields(reflect.Indirect(v.Index(i))) {
			if told[f.name] {
				row = append(row, cellOf(f))
			}
		}
		rows = append(rows, row)
	}
	var heads []string
	for _, f := range fields(reflect.New(element(v.Type())).Elem()) {
		if told[f.name] {
			heads = append(heads, label(f.name))
		}
	}
	p.table(caption, heads, rows)
}

func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Struct:
		return v.Type() != typeTime && !slices.ContainsFunc(fields(v), func(f field) bool { return !f.blank })
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	case reflect.Pointer, reflect.String, reflect.Func:
		return v.IsZero()
	}
	return false
}

// single says whether a type is one value.
func single(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Func:
		return false
	case reflect.Struct:
		return t == typeTime || t == typeAmount || t == typeObject
	}
	return true
}

// short says whether a field stands on a line with its name: one value, or a few words.
func short(f field) bool {
	t := f.value.Type()
	if single(t) {
		return true
	}
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String && len(strings.Join(texts(f.value), ", ")) < 60
}

// cellOf is a value as a field of a table.
func cellOf(f field) cell {
	v := reflect.Indirect(f.value)
	switch {
	case !v.IsValid():
		return cell{text: "unknown"}
	case f.name == "verdict" || f.name == "severity":
		return cell{text: v.String(), badge: true}
	case v.Kind() == reflect.Float64 && (strings.HasSuffix(f.name, "Percent") || f.name == "percent"):
		value := v.Float()
		return cell{text: fmt.Sprintf("%.4g%%", value), bar: &value}
	case v.Type() == typeAmount:
		a := v.Interface().(nodereport.Amount)
		return cell{text: a.Quantity, sort: fmt.Sprint(a.Value)}
	case (strings.HasSuffix(f.name, "Bytes") || f.name == "memoryBytes") && v.CanInt():
		return cell{text: output.Bytes(v.Int()), sort: fmt.Sprint(v.Int())}
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Map:
		return cell{lines: texts(v)}
	}
	return cell{text: text(v)}
}

// texts are the elements of a list or a map in words.
func texts(v reflect.Value) []string {
	var list []string
	if v.Kind() == reflect.Map {
		for _, key := range v.MapKeys() {
			list = append(list, key.String()+": "+text(v.MapIndex(key)))
		}
		slices.Sort(list)
		return list
	}
	for i := range v.Len() {
		list = append(list, text(v.Index(i)))
	}
	return list
}

// text is any value on one line.
func text(v reflect.Value) string {
	v = reflect.Indirect(v)
	if !v.IsValid() {
		return "unknown"
	}
	switch v.Type() {
	case typeTime:
		return stamp(v.Interface().(time.Time))
	case typeAmount:
		return v.Interface().(nodereport.Amount).Quantity
	case typeObject:
		return v.Interface().(finding.ObjectRef).String()
	case typeNext:
		return v.Interface().(finding.Next).Command
	}
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return "yes"
		}
		return "no"
	case reflect.Float64:
		return fmt.Sprintf("%.4g", v.Float())
	case reflect.Slice, reflect.Map:
		return strings.Join(texts(v), ", ")
	case reflect.Struct:
		var list []string
		for _, f := range fields(v) {
			if !f.blank {
				list = append(list, label(f.name)+": "+text(f.value))
			}
		}
		return strings.Join(list, "; ")
	}
	return fmt.Sprint(v.Interface())
}

// label is the name of a JSON field in words: podCIDRs becomes "Pod CIDRs", p99Milliseconds "P99 milliseconds".
func label(name string) string {
	var b strings.Builder
	letters := []rune(name)
	for i, r := range letters {
		upper := unicode.IsUpper(r)
		if i > 0 && upper && !unicode.IsUpper(letters[i-1]) {
			b.WriteByte(' ')
		}
		acronym := i+1 < len(letters) && unicode.IsUpper(letters[i+1]) || i > 0 && unicode.IsUpper(letters[i-1])
		if i > 0 && upper && !acronym {
			r = unicode.ToLower(r)
		}
		if i == 0 {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
	}
	words := strings.Fields(b.String())
	for i, word := range words {
		if slices.Contains(acronyms, strings.ToLower(word)) {
			words[i] = strings.ToUpper(word)
		}
	}
	return strings.Join(words, " ")
}

var acronyms = strings.Fields("a aaaa api cidr cpu csi dns id ip os qps soa ttl")
