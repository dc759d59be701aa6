package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
)

const module = "github.com/kubectl-runbooks/kubectl-runbooks"

// node is the part of JSON Schema 2020-12 that a Go type needs. A library (invopop/jsonschema) was tried: it knows neither
// null for an absent pointer nor the closed sets of words, which stand in the source as constants.
type node struct {
	Schema      string           `json:"$schema,omitempty"`
	ID          string           `json:"$id,omitempty"`
	Ref         string           `json:"$ref,omitempty"`
	Title       string           `json:"title,omitempty"`
	Description string           `json:"description,omitempty"`
	Type        string           `json:"type,omitempty"`
	Format      string           `json:"format,omitempty"`
	Enum        []string         `json:"enum,omitempty"`
	Items       *node            `json:"items,omitempty"`
	Values      *node            `json:"additionalProperties,omitempty"`
	Properties  map[string]*node `json:"properties,omitempty"`
	Required    []string         `json:"required,omitempty"`
	AnyOf       []*node          `json:"anyOf,omitempty"`
	Defs        map[string]*node `json:"$defs,omitempty"`
}

// schema describes what a plugin prints with -o json: one of its documents. Further fields are allowed: they are added
// within a version, and a reader must not refuse them.
func schema(p plugin) ([]byte, error) {
	r := reflector{defs: map[string]*node{}, sources: map[string]*source{}}
	whole := node{
		Schema: "https://json-schema.org/draft/2020-12/schema", ID: "https://kubectl-runbooks.github.io/schema/" + p.name + ".json",
		Title: "kubectl " + p.name + " -o json", Defs: r.defs,
	}
	for _, report := range p.reports {
		document, err := r.describe(reflect.TypeOf(report))
		if err != nil {
			return nil, err
		}
		whole.AnyOf = append(whole.AnyOf, document)
	}
	data, err := json.MarshalIndent(&whole, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

type reflector struct {
	defs    map[string]*node
	sources map[string]*source
}

func (r reflector) describe(t reflect.Type) (*node, error) {
	if t == reflect.TypeFor[time.Time]() {
		return &node{Type: "string", Format: "date-time"}, nil
	}
	if t == reflect.TypeFor[finding.Code]() {
		return &node{Type: "string"}, nil // codes are added within a version: they are no closed set of words
	}
	if t.Kind() != reflect.Pointer && t.Implements(reflect.TypeFor[json.Marshaler]()) {
		return &node{}, nil // it writes what it likes
	}
	switch t.Kind() {
	case reflect.Pointer:
		return r.describe(t.Elem())
	case reflect.Bool:
		return &node{Type: "boolean"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &node{Type: "integer"}, nil
	case reflect.Float32, reflect.Float64:
		return &node{Type: "number"}, nil
	case reflect.Slice, reflect.Array:
		items, err := r.describe(t.Elem())
		return &node{Type: "array", Items: items}, err
	case reflect.Map:
		values, err := r.describe(t.Elem())
		return &node{Type: "object", Values: values}, err
	case reflect.Interface:
		return &node{}, nil
	case reflect.String, reflect.Struct:
		return r.named(t)
	}
	return nil, fmt.Errorf("%s cannot stand in a report", t)
}

// named puts a type of this module among the definitions, once, and refers to it.
func (r reflector) named(t reflect.Type) (*node, error) {
	folder, ours := strings.CutPrefix(t.PkgPath(), module+"/")
	if !ours {
		if t.Kind() == reflect.String {
			return &node{Type: "string"}, nil
		}
		return &node{Type: "object", Description: t.PkgPath() + "." + t.Name()}, nil // its fields are not ours to promise
	}
	name := t.Name()
	if pkg := path.Base(folder); pkg != "report" {
		name = pkg + "." + name
	}
	reference := &node{Ref: "#/$defs/" + name}
	if r.defs[name] != nil {
		return reference, nil
	}
	text, err := r.source(folder)
	if err != nil {
		return nil, err
	}
	definition := &node{Type: "string", Description: text.comments[t.Name()], Enum: text.words[t.Name()]}
	r.defs[name] = definition
	if t.Kind() == reflect.String {
		return reference, nil
	}
	definition.Type, definition.Properties = "object", map[string]*node{}
	return reference, r.fields(definition, t)
}

// fields adds a struct's fields, and those of the structs embedded in it.
func (r reflector) fields(definition *node, t reflect.Type) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || (!f.IsExported() && !f.Anonymous):
			continue
		case f.Anonymous && name == "":
			if err := r.fields(definition, f.Type); err != nil {
				return err
			}
			continue
		case name == "":
			return fmt.Errorf("%s.%s has no JSON name", t, f.Name)
		}
		value, err := r.describe(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if f.Type.Kind() == reflect.Pointer && !optional {
			value = &node{AnyOf: []*node{value, {Type: "null"}}}
		}
		text, err := r.source(strings.TrimPrefix(t.PkgPath(), module+"/"))
		if err != nil {
			return err
		}
		value.Description = text.comments[t.Name()+"."+f.Name]
		definition.Properties[name] = value
		if !optional {
			definition.Required = append(definition.Required, name)
		}
	}
	slices.Sort(definition.Required)
	return nil
}

// source is what a package says of its types: the comments, and the words that are constants of a string type.
type source struct {
	comments map[string]string
	words    map[string][]string
}

func (r reflector) source(folder string) (*source, error) {
	if s := r.sources[folder]; s != nil {
		return s, nil
	}
	s := &source{map[string]string{}, map[string][]string{}}
	r.sources[folder] = s
	if _, err := os.Stat(folder); err != nil {
		return s, nil //nolint:nilerr // a struct of another module, embedded in one of ours, has no comments here
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path.Join(folder, file.Name()), nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, declaration := range parsed.Decls {
			if group, ok := declaration.(*ast.GenDecl); ok {
				for _, spec := range group.Specs {
					s.read(group, spec)
				}
			}
		}
	}
	return s, nil
}

func (s *source) read(group *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		kind, ok := spec.Type.(*ast.Ident)
		if group.Tok != token.CONST || !ok || len(spec.Values) != 1 {
			return
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if word, err := strconv.Unquote(literal.Value); err == nil {
				s.words[kind.Name] = append(s.words[kind.Name], word)
			}
		}
	case *ast.TypeSpec:
		s.comments[spec.Name.Name] = comment(spec.Doc, group.Doc)
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				s.comments[spec.Name.Name+"."+name.Name] = comment(f.Doc, f.Comment)
			}
		}
	}
}

// comment joins the first text there is into one line.
func comment(groups ...*ast.CommentGroup) string {
	for _, group := range groups {
		if text := strings.Join(strings.Fields(group.Text()), " "); text != "" {
			return text
		}
	}
	return ""
}
