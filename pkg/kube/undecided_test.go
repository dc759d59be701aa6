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

// refusing refuses all with these words; each question about its version gets the next answer, and the last one again.
func refusing(t *testing.T, below, message string, version ...string) (*Cluster, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answer := message
		if strings.HasSuffix(r.URL.Path, "/version") {
			answer = version[min(len(asked), len(version)-1)]
			asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		}
		if !strings.Contains(answer, "forbidden") {
			_, _ = w.Write([]byte(answer))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"` + answer + `"}`))
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

// A refusal is one of the server's roles, or of a server that has none yet: it refuses the version, too.
func TestARefusalOfAServerThatHasNotReadItsRoles(t *testing.T) {
	const (
		denied    = `nodes is forbidden: User 'a' cannot list resource 'nodes' in API group '' at the cluster scope`
		anonymous = `nodes is forbidden: User 'system:anonymous' cannot list resource 'nodes' in API group '' at the cluster scope`
		ok        = `{"major":"1","minor":"37"}`
		noRoles   = `forbidden: User 'a' cannot get path '/version'`
	)
	const forbidden, unreachable = source.Forbidden, source.Unreachable
	for name, tt := range map[string]struct {
		below, message string
		version        []string
		want           []source.State // of three reads
		asked          int
	}{
		"its roles":                     {"", denied, []string{ok}, []source.State{forbidden, forbidden, forbidden}, 1},
		"no roles":                      {"", denied, []string{noRoles}, []source.State{unreachable, unreachable, unreachable}, 3},
		"roles after a moment":          {"", denied, []string{noRoles, ok}, []source.State{unreachable, forbidden, forbidden}, 2},
		"behind a proxy":                {"/k8s/clusters/c-1", denied, []string{noRoles}, []source.State{unreachable, unreachable, unreachable}, 3},
		"a proxy that refuses":          {"", denied, []string{"forbidden here"}, []source.State{forbidden, forbidden, forbidden}, 1},
		"no word of it":                 {"", denied, []string{"a login page"}, []source.State{forbidden, forbidden, forbidden}, 1},
		"nobody":                        {"", anonymous, []string{noRoles}, []source.State{forbidden, forbidden, forbidden}, 0},
		"admission, which did judge it": {"", "nodes is forbidden: exceeded quota", []string{noRoles}, []source.State{forbidden, forbidden, forbidden}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cluster, asked := refusing(t, tt.below, tt.message, tt.version...)
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
				if question != "GET "+tt.below+"/version Bearer t" {
					t.Errorf("asked %s", question)
				}
			}
		})
	}
}
