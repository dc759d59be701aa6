package testkit

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Schema describes, as JSON Schema, what encoding/json makes of a value's type. It knows what reports are made of:
// structs, lists, maps of strings, pointers, numbers, words and times. Fields without omitempty are required.
func Schema(title string, value any) (string, error) {
	s := schemas{defs: map[string]any{}}
	root := s.of(reflect.TypeOf(value))
	root["$schema"], root["title"] = "https://json-schema.org/draft/2020-12/schema", title
	if len(s.defs) > 0 {
		root["$defs"] = s.defs
	}
	data, err := json.MarshalIndent(root, "", "  ")
	return string(data) + "\n", err
}

type schemas struct{ defs map[string]any }

func (s schemas) of(t reflect.Type) map[string]any {
	if t == reflect.TypeFor[time.Time]() {
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Struct:
		return s.reference(t)
	}
	return map[string]any{"type": "integer"}
}

// reference puts a struct among the definitions, once: a package's name keeps types of one name apart.
func (s schemas) reference(t reflect.Type) map[string]any {
	name := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:] + "." + t.Name()
	if _, known := s.defs[name]; !known {
		s.defs[name] = nil // a type may hold itself
		properties, required := map[string]any{}, []string{}
		s.fields(t, properties, &required)
		slices.Sort(required)
		s.defs[name] = map[string]any{"type": "object", "properties": properties, "required": required}
	}
	return map[string]any{"$ref": "#/$defs/" + name}
}

func (s schemas) fields(t reflect.Type, properties map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			s.fields(f.Type, properties, required)
		case name == "-" || !f.IsExported():
		default:
			properties[name] = s.of(f.Type)
			if !strings.Contains(options, "omitempty") {
				*required = append(*required, name)
			}
		}
	}
}
