package main

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each file of docs/gen/testdata/requests holds what a plugin asked of a real API server: one "METHOD URL" a line, of every command and
// option, with a run that lasts longer than a minute. `kubectl PLUGIN … -v=6` prints them.
//
// The role of the plugin is exactly that: it forbids nothing that was asked, and allows nothing that nobody asks for.
func TestRolesFollowFromRecordedRequests(t *testing.T) {
	roles, err := readRoles(table)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("docs/gen/testdata/requests/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no records: %v", err)
	}
	for _, file := range files {
		plugin := strings.TrimSuffix(filepath.Base(file), ".txt")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(roles, func(r role) bool { return r.plugin == plugin })
		if at < 0 {
			t.Errorf("no role for %s", plugin)
			continue
		}
		missing, idle := compare(roles[at], strings.Split(strings.TrimSpace(string(data)), "\n"))
		for _, m := range missing {
			t.Errorf("%s: the role lacks %q", plugin, m)
		}
		for _, i := range idle {
			t.Errorf("%s: the role allows %q, which nobody asks for", plugin, i)
		}
	}
}

func TestARoleIsHeldAgainstItsRequests(t *testing.T) {
	r := role{permissions: []permission{{resources: "pods", verbs: "get,list"}, {group: "batch", resources: "jobs", verbs: "patch"}, {resources: "namespaces", verbs: "create", option: "--x"}}}
	missing, idle := compare(r, []string{
		"GET /api/v1/namespaces/a/pods?limit=1", "GET /api/v1/namespaces/a/pods?watch=true", "PATCH /apis/batch/v1/namespaces/a/jobs/j",
		"POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "POST /api/v1/namespaces",
	})
	if want := []string{"watch pods"}; !slices.Equal(missing, want) {
		t.Errorf("missing %q, want %q", missing, want)
	}
	if want := []string{"get pods"}; !slices.Equal(idle, want) {
		t.Errorf("idle %q, want %q", idle, want)
	}
}

// compare gives what was asked and is not allowed, and what is allowed and was not asked, as "VERB GROUP/RESOURCE".
func compare(r role, requests []string) (missing, idle []string) {
	allowed := map[string]bool{}
	for _, p := range r.permissions {
		for resource := range strings.SplitSeq(p.resources, ",") {
			for verb := range strings.SplitSeq(p.verbs, ",") {
				allowed[verb+" "+strings.TrimPrefix(p.group+"/"+resource, "/")] = false
			}
		}
	}
	for _, line := range requests {
		asked := permissionOf(line)
		if asked == "" || slices.Contains(missing, asked) {
			continue
		}
		if _, ok := allowed[asked]; !ok {
			missing = append(missing, asked)
			continue
		}
		allowed[asked] = true
	}
	for p, used := range allowed {
		// API servers before 1.35 ask for "get" where a stream is opened by GET, and newer ones for "create".
		stream := strings.HasPrefix(p, "create pods/") && allowed["get "+strings.TrimPrefix(p, "create ")]
		if !used && !stream {
			idle = append(idle, p)
		}
	}
	slices.Sort(missing)
	slices.Sort(idle)
	return missing, idle
}

// permissionOf gives what a request needs; empty is what every user may do
// (https://kubernetes.io/docs/reference/access-authn-authz/authorization/#request-verb-resource).
func permissionOf(line string) string {
	method, address, _ := strings.Cut(line, " ")
	u, err := url.Parse(address)
	if err != nil {
		return line
	}
	words := strings.Split(strings.Trim(u.Path, "/"), "/")
	group := ""
	switch {
	case words[0] == "api" && len(words) > 2:
		words = words[2:]
	case words[0] == "apis" && len(words) > 3:
		group, words = words[1], words[3:]
	default:
		return ""
	}
	if group == "authentication.k8s.io" {
		return "" // system:basic-user
	}
	if words[0] == "namespaces" && len(words) > 2 {
		words = words[2:]
	}
	named := len(words) > 1
	resource := words[0]
	if len(words) > 2 {
		resource += "/" + words[2]
	}
	verb := map[string]string{"GET": "list", "POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}[method]
	switch {
	case u.Query().Get("watch") == "true":
		verb = "watch"
	case method == "GET" && named:
		verb = "get"
	}
	return verb + " " + strings.TrimPrefix(group+"/"+resource, "/")
}
