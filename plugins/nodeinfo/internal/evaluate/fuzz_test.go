package evaluate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// Whatever value an input has, it is judged, and what it is judged to be can be printed.
func FuzzEvaluate(f *testing.F) {
	files, err := filepath.Glob("testdata/*/input.yaml")
	if err != nil {
		f.Fatal(err)
	}
	var documents [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if data, err = yaml.YAMLToJSON(data); err != nil {
			f.Fatal(err)
		}
		documents = append(documents, data)
	}
	testkit.FuzzValues(f, documents, func(t *testing.T, document []byte) {
		var in Input
		if json.Unmarshal(document, &in) != nil {
			return
		}
		if _, err := json.Marshal(Evaluate(in, in.Now, Options{})); err != nil {
			t.Error(err)
		}
	})
}
