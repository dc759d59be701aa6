package evaluate

import (
	"encoding/json"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/load"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// Whatever value an input has, it is judged, what it is judged to be can be printed, and the input can be saved.
func FuzzEvaluate(f *testing.F) {
	var documents [][]byte
	for _, c := range fixtures() {
		data, err := json.Marshal(c.hit().in)
		if err != nil {
			f.Fatal(err)
		}
		documents = append(documents, data)
	}
	testkit.FuzzValues(f, documents, func(t *testing.T, document []byte) {
		in := &model.Input{}
		if json.Unmarshal(document, in) != nil {
			return
		}
		options := model.Options{LogLines: 5, History: true, Diff: true}
		Needs(in, now, options)
		if _, err := json.Marshal(Evaluate(in, now, options)); err != nil {
			t.Error(err)
		}
	})
}

// What stands in a file for a dump is read or refused.
func FuzzDump(f *testing.F) {
	f.Add([]byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: b}\nspec: {replicas: 1}\n---\nkind: List\nitems:\n- kind: Pod\n  apiVersion: v1\n"))
	f.Add([]byte(`{"kind":"List","apiVersion":"v1","items":[{"kind":"Event","apiVersion":"events.k8s.io/v1","series":{"count":2}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := load.Dump(data)
		if err == nil {
			Evaluate(in, in.Collected, model.Options{})
		}
	})
}
