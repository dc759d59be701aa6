package kube

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// refusing refuses all with these words; each question about its readiness gets the next answer, and the last one again.
func refusing(t *testing.T, below, message string, ready ...string) (*Cluster, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "/readyz") {
			answer := ready[min(len(asked), len(ready)-1)]
			asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
			if strings.Contains(answer, "[-]") {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = w.Write([]byte(answer))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"` + message + `"}`))
	}))
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL + below, BearerToken: "t"}
	NewFlags("test", time.Now).adjust(config, NewClock(time.Now))
	return &Cluster{Config: config}, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

// A refusal is one of the server's roles, or of a server that has none yet, which /readyz tells.
func TestARefusalOfAServerThatHasNotReadItsRoles(t *testing.T) {
	const (
		denied   = `nodes is forbidden: User 'a' cannot list resource 'nodes' in API group '' at the cluster scope`
		ok       = "[+]ping ok\n[+]etcd ok\n[+]informer-sync ok\n[+]poststarthook/rbac/bootstrap-roles ok\nreadyz check passed\n"
		lost     = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]informer-sync ok\n[+]poststarthook/rbac/bootstrap-roles ok\nreadyz check failed\n"
		noRoles  = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]informer-sync ok\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n"
		noMemory = "[+]ping ok\n[+]etcd ok\n[-]informer-sync failed: reason withheld\n[+]poststarthook/rbac/bootstrap-roles ok\nreadyz check failed\n"
	)
	const forbidden, unreachable = source.Forbidden, source.Unreachable
	for name, tt := range map[string]struct {
		below, message string
		ready          []string
		want           []source.State // of three reads
		asked          int
	}{
		"its roles":                     {"", denied, []string{ok}, []source.State{forbidden, forbidden, forbidden}, 1},
		"without etcd, its roles":       {"", denied, []string{lost}, []source.State{forbidden, forbidden, forbidden}, 1},
		"no roles":                      {"", denied, []string{noRoles}, []source.State{unreachable, unreachable, unreachable}, 3},
		"an empty memory":               {"", denied, []string{noMemory}, []source.State{unreachable, unreachable, unreachable}, 3},
		"roles after a moment":          {"", denied, []string{noRoles, ok}, []source.State{unreachable, forbidden, forbidden}, 2},
		"behind a proxy":                {"/k8s/clusters/c-1", denied, []string{noRoles}, []source.State{unreachable, unreachable, unreachable}, 3},
		"no word of it":                 {"", denied, []string{"a login page"}, []source.State{forbidden, forbidden, forbidden}, 1},
		"admission, which did judge it": {"", "nodes is forbidden: exceeded quota", []string{noRoles}, []source.State{forbidden, forbidden, forbidden}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, asked := refusing(t, tt.below, tt.message, tt.ready...)
			client, err := cluster.Typed()
			if err != nil {
				t.Fatal(err)
			}
			var got []source.State
			for range tt.want {
				_, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
				s := SourceOf("nodes", "list", "nodes", err)
				if s.State == unreachable && s.Reason() != undecided || s.State == forbidden && s.Reason() != "needs list nodes" {
					t.Errorf("%+v", s)
				}
				got = append(got, s.State)
			}
			if !slices.Equal(got, tt.want) || len(asked()) != tt.asked {
				t.Errorf("%v, asked %v", got, asked())
			}
			for _, question := range asked() {
				if question != "GET "+tt.below+"/readyz?verbose= Bearer t" {
					t.Errorf("asked %s", question)
				}
			}
		})
	}
}
