package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// compiled is a plugin's schema in a validator that is not ours.
func compiled(t *testing.T, p plugin) *jsonschema.Schema {
	t.Helper()
	data, err := schema(p)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiledSchema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiledSchema
}

func validate(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(instance)
}

// Every report that a plugin's tests expect is what its schema promises.
func TestReportsObeyTheirSchemas(t *testing.T) {
	for _, p := range plugins() {
		s := compiled(t, p)
		folder := "plugins/" + strings.ReplaceAll(p.name, "-", "") + "/internal/evaluate/testdata/*/report."
		var reports []string
		for _, kind := range []string{"yaml", "json"} {
			found, err := filepath.Glob(folder + kind)
			if err != nil {
				t.Fatal(err)
			}
			reports = append(reports, found...)
		}
		t.Logf("%s: %d reports", p.name, len(reports))
		for _, path := range reports {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(t, s, text); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestASchemaRefusesWhatIsWrong(t *testing.T) {
	s := compiled(t, demo())
	const good = `{"code": "A", "severity": "critical", "title": "t", "message": "m", "evidence": [{"source": "Node", "value": "v", "time": "2026-01-02T03:04:05Z"}]}`
	if err := validate(t, s, []byte(good)); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]string{
		"a word that is none": strings.Replace(good, `"critical"`, `"fatal"`, 1),
		"a missing field":     strings.Replace(good, `"title": "t", `, "", 1),
		"null for a list":     strings.Replace(good, `[{"source"`, `null, "x": [{"source"`, 1),
		"a time that is none": strings.Replace(good, "2026-01-02T03:04:05Z", "yesterday", 1),
		"a number for a text": strings.Replace(good, `"m"`, "7", 1),
	} {
		if validate(t, s, []byte(bad)) == nil {
			t.Errorf("%s is let through", name)
		}
	}
}
