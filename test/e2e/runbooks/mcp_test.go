package runbooks

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/runbooks/report"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/e2e/harness"
)

// connected is the SDK's client, which starts the command as a person's client does.
func connected(t *testing.T, c *harness.Cluster, args ...string) *mcp.ClientSession {
	t.Helper()
	command := c.Command(context.WithoutCancel(t.Context()), "kubectl", append([]string{"runbooks", "mcp"}, args...)...)
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: command}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil { // also an exit code that is not 0
			t.Error(err)
		}
	})
	return session
}

// called gives the report of an answer in a type of ours, and the text that a model reads.
func called(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any, into any) string {
	t.Helper()
	r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatal(err)
	}
	text := r.Content[0].(*mcp.TextContent).Text
	var got struct {
		NotChecked []string        `json:"notChecked"`
		Report     json.RawMessage `json:"report"`
	}
	if err := json.Unmarshal([]byte(text), &got); r.IsError || err != nil || got.NotChecked == nil {
		t.Fatalf("%s: %v: %s", tool, err, text)
	}
	if len(text) > 24<<10 {
		t.Errorf("%s: %d bytes", tool, len(text))
	}
	if into != nil {
		if err := json.Unmarshal(got.Report, into); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

// served asks all tools about a cluster whose node w1 is dead and whose Deployment blog/web crashes.
func served(t *testing.T, c *harness.Cluster) {
	t.Helper()
	session := connected(t, c)
	var triage report.Triage
	called(t, session, "triage", nil, &triage)
	if got := strings.Join(roots(triage), ", "); got != "ContainerCrashing Deployment/blog/web, KubeletNotReporting Node/w1" {
		t.Error(got)
	}
	for _, call := range []struct {
		tool, want string
		arguments  map[string]any
	}{
		{"rollout_explain", "config: DB_HOST is required", map[string]any{"namespace": "blog", "names": []string{"deployment/web"}}},
		{"rollout_explain", "ContainerCrashing", map[string]any{"namespace": "blog"}},
		{"nodeinfo", "KubeletNotReporting", map[string]any{"names": []string{"w1"}}},
		{"nodeinfo", `"total":3`, map[string]any{"limit": 1}},
		{"dns_check", `"kind":"DNSCheck"`, nil},
		{"dns_resolve", "NOERROR", map[string]any{"name": "kubernetes.default"}},
	} {
		if text := called(t, session, call.tool, call.arguments, nil); !strings.Contains(text, call.want) {
			t.Errorf("%s %v: no %s: %s", call.tool, call.arguments, call.want, text)
		}
	}
	for _, kind := range []string{"daemonset", "statefulset", "job", "pod"} {
		r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "rollout_explain", Arguments: map[string]any{"namespace": "blog", "names": []string{kind + "/nope"}}})
		if err != nil || !r.IsError || !strings.Contains(r.Content[0].(*mcp.TextContent).Text, "not found") {
			t.Errorf("a %s that does not exist: %v %+v", kind, err, r)
		}
	}
	pinned := connected(t, c, "--namespaces=pay")
	var pay report.Triage
	called(t, pinned, "triage", nil, &pay)
	if got := strings.Join(roots(pay), ", "); got != "KubeletNotReporting Node/w1" {
		t.Errorf("with one namespace: %s", got)
	}
	if !slices.Contains(pay.NotChecked, "nodes: "+leftOut) {
		t.Errorf("with one namespace: %q", pay.NotChecked)
	}
	if r, err := pinned.CallTool(t.Context(), &mcp.CallToolParams{Name: "rollout_explain", Arguments: map[string]any{"namespace": "blog"}}); err != nil || !r.IsError {
		t.Errorf("a namespace that is not allowed: %v %+v", err, r)
	}
}
