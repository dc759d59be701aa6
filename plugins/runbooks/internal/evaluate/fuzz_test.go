package evaluate

import (
	"encoding/json"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// Whatever three reports say, they are joined, and what comes of it can be printed.
func FuzzEvaluate(f *testing.F) {
	var documents [][]byte
	for _, c := range cases {
		data, err := json.Marshal(input(c.fault...))
		if err != nil {
			f.Fatal(err)
		}
		documents = append(documents, data)
	}
	testkit.FuzzValues(f, documents, func(t *testing.T, document []byte) {
		in := &Input{}
		if json.Unmarshal(document, in) != nil {
			return
		}
		if _, err := json.Marshal(Evaluate(in, now)); err != nil {
			t.Error(err)
		}
	})
}
