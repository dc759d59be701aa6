package evaluate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"testing"
)

// TestNoSecretIsQuoted plants a secret in every message of every fixture: of events, conditions, containers, attachments,
// kubelets and sources. None is in the report, and the text around it still is.
func TestNoSecretIsQuoted(t *testing.T) {
	canary := regexp.MustCompile(`canary\d+`)
	quoted := 0
	for _, name := range fixtures(t) {
		in := load(t, name)
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		n := 0
		plant(tree, &n)
		text, _ = json.Marshal(tree)
		var planted Input
		if err := json.Unmarshal(text, &planted); err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(Evaluate(planted, planted.Now, Options{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range canary.FindAllString(string(out), -1) {
			t.Errorf("%s: %s is quoted", name, found)
		}
		quoted += len(regexp.MustCompile(`https://u:\*\*\*@registry`).FindAllString(string(out), -1))
	}
	if quoted < 20 {
		t.Errorf("only %d texts around a secret are still there", quoted)
	}
}

// plant puts a secret into every text under the key "message".
func plant(v any, n *int) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if text, ok := child.(string); ok && (key == "message" || key == "Message") {
				*n++
				v[key] = fmt.Sprintf("%s https://u:canary%d@registry password=canary%d", text, *n, *n)
				continue
			}
			plant(child, n)
		}
	case []any:
		for _, child := range v {
			plant(child, n)
		}
	}
}
