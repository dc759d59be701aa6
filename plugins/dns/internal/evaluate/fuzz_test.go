package evaluate

import (
	"encoding/json"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// Whatever value an input has, it is judged, and what it is judged to be can be printed.
func FuzzEvaluate(f *testing.F) {
	var documents [][]byte
	for _, c := range faults() {
		data, err := json.Marshal(build(c.before, c.after))
		if err != nil {
			f.Fatal(err)
		}
		documents = append(documents, data)
	}
	testkit.FuzzValues(f, documents, func(t *testing.T, document []byte) {
		var in Input
		if json.Unmarshal(document, &in) != nil {
			return
		}
		if _, err := json.Marshal(judge(in)); err != nil {
			t.Error(err)
		}
	})
}
