package report

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// The schema is part of the contract: additive only. A change of it is a change of this file, to be seen in review.
func TestSchemaIsFresh(t *testing.T) {
	schema, err := testkit.Schema("kubectl nodeinfo "+Kind+" "+APIVersion, List{})
	if err != nil {
		t.Fatal(err)
	}
	testkit.GoldenFile(t, filepath.Join("..", "..", "..", "docs", "schema", "nodeinfo.json"), schema)
}

// An empty report has no figures: unknown is absent, not zero.
func TestUnknownIsAbsent(t *testing.T) {
	data, err := json.Marshal(Resource{Name: "cpu", Unit: "millicores"})
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != `{"name":"cpu","unit":"millicores"}` {
		t.Errorf("figures from nowhere: %s", data)
	}
	data, err = json.Marshal(Node{})
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"health", "components", "resources", "pods", "network", "storage", "controlPlane", "events"} {
		if strings.Contains(string(data), `"`+section+`"`) {
			t.Errorf("section %s is there without having been read", section)
		}
	}
}

func TestVerdictsAreAClosedSetWorstFirst(t *testing.T) {
	if got := Verdicts(); len(got) != 4 || got[0] != Unhealthy || got[3] != Healthy {
		t.Errorf("%v", got)
	}
}
