package testkit

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// FuzzValues fuzzes what reads documents of JSON: in one of them it replaces one value by another, JSON or else a string. The
// seeds replace a value of each document by each of Hostile.
func FuzzValues(f *testing.F, documents [][]byte, run func(t *testing.T, document []byte)) {
	f.Helper()
	if len(documents) == 0 {
		f.Fatal("no documents")
	}
	names := slices.Sorted(maps.Keys(Hostile))
	for i := range documents {
		value, err := json.Marshal(Hostile[names[i%len(names)]])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(i), uint16(7*i), string(value)) //nolint:gosec // few
	}
	f.Fuzz(func(t *testing.T, document, place uint16, text string) {
		decoder := json.NewDecoder(strings.NewReader(string(documents[int(document)%len(documents)])))
		decoder.UseNumber()
		var tree any
		if err := decoder.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		var setters []func(any)
		walk(tree, "", func(any) {}, func(_ string, set func(any), _ any) bool {
			setters = append(setters, set)
			return true
		})
		var value any = text
		if decoder := json.NewDecoder(strings.NewReader(text)); json.Valid([]byte(text)) {
			decoder.UseNumber()
			if err := decoder.Decode(&value); err != nil {
				value = text
			}
		}
		setters[int(place)%len(setters)](value)
		if data, err := json.Marshal(tree); err == nil { // else it has a number that JSON has not
			run(t, data)
		}
	})
}
