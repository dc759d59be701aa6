package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/rbac"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

// Each file of docs/gen/testdata/requests holds what a plugin asked of a real API server, of every command and option, with
// runs that last longer than a minute: one "VERB GROUP/RESOURCE" or "VERB PATH" a line, as the API server itself named
// them when it asked whether they are allowed. test/e2e/run.sh holds what each run asks against these files.
const records = "docs/gen/testdata/requests/"

// unshown are permissions whose use no record shows, each with the reason.
var unshown = map[string]map[string]string{
	"dns": {
		"create pods/exec":        openedByGET,
		"create pods/portforward": openedByGET,
	},
	"runbooks": {
		"create pods/portforward":             openedByGET,
		"list resource.k8s.io/resourceclaims": claimsInTheRecord,
		"list resource.k8s.io/resourceslices": claimsInTheRecord,
		"get karpenter.sh/nodeclaims":         scalersInTheRecord,
		"get karpenter.sh/nodepools":          scalersInTheRecord,
		"list karpenter.sh/nodeclaims":        scalersInTheRecord,
		"list policy/poddisruptionbudgets":    scalersInTheRecord,
		"get apps/replicasets":                rolloutsInTheRecord,
		"get persistentvolumeclaims":          rolloutsInTheRecord,
		"get persistentvolumes":               rolloutsInTheRecord,
		"get resource.k8s.io/resourceclaims":  rolloutsInTheRecord,
		"list storage.k8s.io/storageclasses":  rolloutsInTheRecord,
		"get argoproj.io/rollouts":            "a named Argo Rollout is read as by rollout-explain, whose record shows it; no cluster of runbooks has the kind",
	},
}

const claimsInTheRecord = "a named node is read as by nodeinfo, whose record shows it; no pod in the clusters of runbooks has a ResourceClaim"

const scalersInTheRecord = "nodes are read as by nodeinfo, whose record shows it; the clusters of runbooks have no autoscaler"

const rolloutsInTheRecord = "a named rollout is read as by rollout-explain, whose record shows it; no named rollout in the clusters of runbooks waits for a claim"

// (https://github.com/kubernetes/kubernetes/pull/134577)
const openedByGET = `the request that opens a stream is a GET, and the API server from 1.35 on asks for "create", too`

// everybody is what each user may do, as Kubernetes is delivered
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles).
var everybody = []string{"create authentication.k8s.io/selfsubjectreviews", "get /version"}

// The role of a plugin is exactly what it asked: it forbids nothing that was asked, and allows nothing that nobody asks for.
func TestRolesFollowFromRecordedRequests(t *testing.T) {
	roles, err := rbac.Roles()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		asked, err := recorded(r.Plugin)
		if err != nil {
			t.Fatal(err)
		}
		missing, idle := compare(r, asked)
		for _, m := range missing {
			t.Errorf("%s: the role in roles.txt lacks %q", r.Plugin, m)
		}
		for _, i := range idle {
			if unshown[r.Plugin][i] == "" {
				t.Errorf("%s: the role in roles.txt allows %q, which nobody asks for", r.Plugin, i)
			}
		}
		for p := range unshown[r.Plugin] {
			if !slices.Contains(idle, p) {
				t.Errorf("%s: %q is asked or not allowed, and needs no reason", r.Plugin, p)
			}
		}
	}
}

// TestTheRunAskedWhatIsRecorded holds the requests of an end-to-end run, of which E2E_REQUESTS has the audit events, against
// the records and the roles; with -update it adds them to the records.
func TestTheRunAskedWhatIsRecorded(t *testing.T) {
	path := os.Getenv("E2E_REQUESTS")
	if path == "" {
		return // run.sh runs it once more, after the tests whose requests these are
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it was read
	asked, err := requestsOf(file)
	if err != nil {
		t.Fatal(err)
	}
	roles, err := rbac.Roles()
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) == 0 {
		t.Errorf("no plugin asked anything: %s holds no request", path)
	}
	for _, plugin := range slices.Sorted(maps.Keys(asked)) {
		at := slices.IndexFunc(roles, func(r rbac.Role) bool { return r.Plugin == plugin })
		if at < 0 {
			continue // the tests of the installation run plugins under other names, too
		}
		known, err := recorded(plugin)
		if err != nil {
			t.Error(err)
			continue
		}
		if testkit.Updating() {
			all := slices.Compact(slices.Sorted(slices.Values(append(known, asked[plugin]...))))
			testkit.GoldenFile(t, records+plugin+".txt", strings.Join(all, "\n")+"\n")
			continue
		}
		for _, request := range asked[plugin] {
			switch missing, _ := compare(roles[at], []string{request}); {
			case slices.Contains(known, request):
			case len(missing) == 0: // seldom sent, such as after a broken stream
				t.Logf("kubectl %s asked %q, which its role grants and %s%s.txt does not hold", plugin, request, records, plugin)
			default:
				t.Errorf("kubectl %s asked %q, which neither %s%s.txt nor its role in roles.txt holds", plugin, request, records, plugin)
			}
		}
	}
}

// recorded gives the requests of a plugin.
func recorded(plugin string) ([]string, error) {
	data, err := os.ReadFile(records + plugin + ".txt")
	if errors.Is(err, os.ErrNotExist) && testkit.Updating() {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("no record of %s: %w", plugin, err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n"), nil
}

func TestRecordsAreSortedAndOfPlugins(t *testing.T) {
	roles, err := rbac.Roles()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(records + "*")
	if err != nil || len(files) != len(roles) {
		t.Errorf("%v: records %q for %d roles", err, files, len(roles))
	}
	for _, r := range roles {
		list, err := recorded(r.Plugin)
		if err != nil || !slices.Equal(list, slices.Compact(slices.Sorted(slices.Values(list)))) {
			t.Errorf("%s: %v: not sorted, or twice: %q", r.Plugin, err, list)
		}
	}
}

func TestARoleIsHeldAgainstItsRequests(t *testing.T) {
	r := rbac.Role{Permissions: []rbac.Permission{
		{Resources: "pods", Verbs: "get,list"},
		{Group: "batch", Resources: "jobs", Verbs: "patch"},
		{Resources: "/readyz", Verbs: "get"},
		{Resources: "namespaces", Verbs: "create", Option: "--x"},
	}}
	missing, idle := compare(r, []string{
		"list pods", "watch pods", "patch batch/jobs", "get /readyz", "create authentication.k8s.io/selfsubjectreviews", "create namespaces",
	})
	if want := []string{"watch pods"}; !slices.Equal(missing, want) {
		t.Errorf("missing %q, want %q", missing, want)
	}
	if want := []string{"get pods"}; !slices.Equal(idle, want) {
		t.Errorf("idle %q, want %q", idle, want)
	}
}

// compare gives what was asked and is not allowed, and what is allowed and was not asked.
func compare(r rbac.Role, requests []string) (missing, idle []string) {
	allowed := map[string]bool{}
	for _, p := range r.Permissions {
		for resource := range strings.SplitSeq(p.Resources, ",") {
			for verb := range strings.SplitSeq(p.Verbs, ",") {
				allowed[verb+" "+strings.TrimPrefix(p.Group+"/"+resource, "/")] = false
			}
		}
	}
	for _, asked := range requests {
		switch _, ok := allowed[asked]; {
		case ok:
			allowed[asked] = true
		case !slices.Contains(everybody, asked):
			missing = append(missing, asked)
		}
	}
	for p, used := range allowed {
		if !used {
			idle = append(idle, p)
		}
	}
	slices.Sort(missing)
	slices.Sort(idle)
	return missing, idle
}

func TestRequestsAreReadFromAuditEvents(t *testing.T) {
	events := `{"verb":"list","requestURI":"/api/v1/nodes?limit=500","userAgent":"kubectl-nodeinfo/v1 (linux/amd64)","objectRef":{"resource":"nodes","apiVersion":"v1"}}
{"verb":"list","requestURI":"/api/v1/nodes","userAgent":"kubectl-nodeinfo/v1 (linux/amd64)","objectRef":{"resource":"nodes","apiVersion":"v1"}}
{"verb":"get","requestURI":"/api/v1/nodes/w1/proxy/healthz","userAgent":"kubectl-nodeinfo/v1","objectRef":{"resource":"nodes","subresource":"proxy"}}
{"verb":"get","requestURI":"/readyz?verbose=","userAgent":"kubectl-nodeinfo/v1"}
{"verb":"watch","requestURI":"/apis/apps/v1/deployments?watch=true","userAgent":"kubectl-rollout-explain/v1","objectRef":{"resource":"deployments","apiGroup":"apps"}}
{"verb":"get","requestURI":"/api/v1/secrets","userAgent":"kubectl/v1.36.3","objectRef":{"resource":"secrets"}}
`
	asked, err := requestsOf(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"nodeinfo": {"get /readyz", "get nodes/proxy", "list nodes"}, "rollout-explain": {"watch apps/deployments"}}
	if !maps.EqualFunc(asked, want, slices.Equal) {
		t.Errorf("%q, want %q", asked, want)
	}
	if _, err := requestsOf(strings.NewReader("cat: no such file\n")); err == nil {
		t.Error("what is no event is no error")
	}
}

// requestsOf gives what each plugin asked, by its user agent, sorted
// (https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Event).
func requestsOf(events io.Reader) (map[string][]string, error) {
	asked := map[string][]string{}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb, RequestURI, UserAgent string
			ObjectRef                   *struct{ APIGroup, Resource, Subresource string }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		agent, _, _ := strings.Cut(event.UserAgent, "/")
		plugin, ours := strings.CutPrefix(agent, "kubectl-")
		if !ours {
			continue
		}
		path, _, _ := strings.Cut(event.RequestURI, "?")
		request := event.Verb + " " + path
		if o := event.ObjectRef; o != nil && o.Resource != "" {
			request = event.Verb + " " + strings.Trim(o.APIGroup+"/"+o.Resource+"/"+o.Subresource, "/")
		}
		if !slices.Contains(asked[plugin], request) {
			asked[plugin] = append(asked[plugin], request)
		}
	}
	for _, list := range asked {
		slices.Sort(list)
	}
	return asked, lines.Err()
}
