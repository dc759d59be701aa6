package report

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWholePartsAreOneChange(t *testing.T) {
	leaf := func(kind, part, path, value string) Change {
		c := Change{Path: path, Kind: kind, Part: part, To: value}
		if kind == "removed" {
			c.From, c.To = value, ""
		}
		return c
	}
	probe := "containers[api].readinessProbe"
	got := Fold([]Change{
		{Path: "containers[api].image", Kind: "changed", From: "api:1", To: "api:2"},
		leaf("added", probe, probe+".httpGet.path", "/"), leaf("added", probe, probe+".httpGet.port", "8081"), leaf("added", probe, probe+".httpGet.scheme", "HTTP"),
		leaf("removed", "volumes[v]", "volumes[v].configMap.defaultMode", "420"), leaf("removed", "volumes[v]", "volumes[v].configMap.name", "settings"),
		{Path: "containers[api].env[A]", Kind: "added", To: "1"},
	})
	want := []Change{
		{Path: "containers[api].image", Kind: "changed", From: "api:1", To: "api:2"},
		{Path: probe, Kind: "added", To: "(httpGet.path /, httpGet.port 8081)"},
		{Path: "volumes[v]", Kind: "removed", From: "configMap.name settings"},
		{Path: "containers[api].env[A]", Kind: "added", To: "1"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
