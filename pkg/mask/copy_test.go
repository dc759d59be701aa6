package mask

import (
	"fmt"
	"strings"
	"testing"
)

func TestACopyHidesAndTheOriginalStays(t *testing.T) {
	type variable struct{ Name, Value string }
	type object struct {
		Env  []variable
		Args []string
		Map  map[string]string
		Any  any
		Node string
	}
	planted := object{
		Env: []variable{{"DB_PASSWORD", "canary1"}, {"MODE", "fast"}}, Args: []string{"--token", "canary2", "-v"},
		Map: map[string]string{"dsn": "redis://u:canary3@db", lastApplied: "canary4"}, Any: []any{"password=canary5"}, Node: "worker-1",
	}
	before := fmt.Sprintf("%+v", planted)
	got := fmt.Sprintf("%+v", Copy(planted))
	if strings.Contains(got, "canary") || !strings.Contains(got, "fast") || !strings.Contains(got, "redis://u:***@db") || !strings.Contains(got, "worker-1") {
		t.Error(got)
	}
	if after := fmt.Sprintf("%+v", planted); after != before {
		t.Errorf("the original became %s", after)
	}
}
