package testkit

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
)

// Hostile is what an attacker, or a broken client, may write where the API holds a value: text that a terminal or a shell
// would obey, and values that no arithmetic expects.
var Hostile = map[string]any{
	"escape sequence": "\x1b[2J\x1b]0;owned\x07",
	"lines":           "a\n\nNext steps:\n  1. run this\n\r\x00",
	"bidi":            "\u202egnp.exe\u2066\u200b",
	"shell":           "'; touch owned; $(touch owned) `touch owned` #",
	"flag":            "--kubeconfig=/tmp/x",
	"long":            strings.Repeat("long ", 1<<13),
	"empty":           "",
	"the far future":  "9999-12-31T23:59:59Z",
	"the year one":    "0001-01-01T00:00:00Z",
	"a huge quantity": "9e9999",
	"below zero":      json.Number("-1"),
	"the largest":     json.Number("9223372036854775807"),
	"the smallest":    json.Number("-9223372036854775808"),
	"null":            nil,
	"no list":         []any{},
	"no object":       map[string]any{},
}

// Mutation is one document with one value replaced.
type Mutation struct {
	Place string // the path, without indexes
	Value string // a key of Hostile
	// Data is the document; an error: it is none of JSON any more.
	Data func() ([]byte, error)
}

// Mutations replaces, one at a time, the value of each place of a document by each of Hostile. Places that differ in an index
// alone are one, and a place that was seen before (in another document) is left out; seen is kept between calls.
func Mutations(document []byte, seen map[string]bool) (func(yield func(Mutation) bool), error) {
	decoder := json.NewDecoder(strings.NewReader(string(document)))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	return func(yield func(Mutation) bool) {
		walk(tree, "", func(any) {}, func(place string, set func(any), old any) bool {
			if seen[place] {
				return true
			}
			seen[place] = true
			for _, name := range slices.Sorted(maps.Keys(Hostile)) {
				data := func() ([]byte, error) {
					set(Hostile[name])
					defer set(old)
					return json.Marshal(tree)
				}
				if !yield(Mutation{Place: place, Value: name, Data: data}) {
					return false
				}
			}
			return true
		})
	}, nil
}

// walk visits every value of a tree; visit says whether to go on.
func walk(value any, place string, set func(any), visit func(place string, set func(any), old any) bool) bool {
	if place != "" && !visit(place, set, value) {
		return false
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if !walk(v[key], place+"."+key, func(x any) { v[key] = x }, visit) {
				return false
			}
		}
	case []any:
		for i := range v {
			if !walk(v[i], place+"[]", func(x any) { v[i] = x }, visit) {
				return false
			}
		}
	}
	return true
}

var inQuotes = regexp.MustCompile(`'[^']*'|\\'`)

// Unsafe is what output does to a terminal or, in a command that is printed to be pasted, to a shell; empty: nothing.
func Unsafe(text string) string {
	if !utf8.ValidString(text) {
		return "invalid UTF-8"
	}
	for _, r := range text {
		if r < 0x20 && r != '\n' || r >= 0x7f && r <= 0x9f || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return fmt.Sprintf("the character %U", r)
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "kubectl ") && strings.ContainsAny(inQuotes.ReplaceAllString(line, ""), "`;&$#") {
			return "an unquoted character of the shell: " + line
		}
	}
	return ""
}

// CheckHostile runs a command on each saved input with one value replaced at a time, and requires that it neither crashes nor
// writes what a terminal or a shell would obey, and that a refusal is one line. It runs each list of the
// input gone, and of all other mutations one in every; with HOSTILE=all in the environment, all. Inputs are JSON or YAML.
func CheckHostile(t *testing.T, newCommand func(*cli.Env) *cobra.Command, every int, inputs []string, args ...string) {
	t.Helper()
	if os.Getenv("HOSTILE") == "all" {
		every = 1
	}
	seen, count, done := map[string]bool{}, 0, 0
	file := filepath.Join(t.TempDir(), "input.json")
	for _, input := range inputs {
		data, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		if data, err = yaml.YAMLToJSON(data); err != nil {
			t.Fatal(err)
		}
		all, err := Mutations(data, seen)
		if err != nil {
			t.Fatal(err)
		}
		for m := range all {
			list := strings.Count(m.Place, ".") <= 2 && Hostile[m.Value] == nil // what was read, all of it gone
			if count++; count%every != 0 && !list {
				continue
			}
			done++
			data, err := m.Data()
			if err == nil {
				err = os.WriteFile(file, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if what := hostileRun(t, newCommand, append(slices.Clone(args), "--from-input", file)); what != "" {
				t.Errorf("%s: %s at %s: %.400s", input, m.Value, m.Place, what)
			}
		}
	}
	if done < 100 {
		t.Errorf("only %d runs", done)
	}
}

// hostileRun says what is wrong with a run; empty: nothing.
func hostileRun(t *testing.T, newCommand func(*cli.Env) *cobra.Command, args []string) (what string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			what = fmt.Sprintf("panic: %v", r)
		}
	}()
	env := NewEnv("kubectl test", time.Time{})
	code := env.Run(t, newCommand, args...)
	if what := Unsafe(env.Stdout.String() + env.Stderr.String()); what != "" {
		return what
	}
	if env.Stderr.Len() > 20_000 {
		return fmt.Sprintf("errors of %d bytes", env.Stderr.Len())
	}
	if code == cli.ExitError && env.Stdout.Len() == 0 && strings.Count(env.Stderr.String(), "\n") != 1 {
		return "a refusal in " + env.Stderr.String()
	}
	return ""
}
