package registry

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

func serve(t *testing.T) (address, rules string) {
	t.Helper()
	rules = filepath.Join(t.TempDir(), "rules.json")
	server := httptest.NewServer(Handler(registry.New(), rules))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), rules
}

func get(t *testing.T, address, path string) *http.Response {
	t.Helper()
	response, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close() //nolint:errcheck // only the head matters
	return response
}

func TestRegistryRefusesAsTold(t *testing.T) {
	address, path := serve(t)
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	for repository, code := range map[string]int{"team/gone": 404, "team/private": 401, "busy": 429, "team/fine": 0} {
		rules, err := LoadRules(path)
		if err != nil {
			t.Fatal(err)
		}
		rules[repository] = Rule{Code: code}
		if err := rules.Save(path); err != nil {
			t.Fatal(err)
		}
		// Refusing is for pulls: the image has to be pushed first.
		ref, err := Push(t.Context(), address, repository+":1", img)
		if err != nil || ref != address+"/"+repository+":1" {
			t.Fatalf("%q: %q, %v", repository, ref, err)
		}
		want := code
		if want == 0 {
			want = 200
		}
		response := get(t, address, "/v2/"+repository+"/manifests/1")
		if response.StatusCode != want {
			t.Errorf("%q: got %d, want %d", repository, response.StatusCode, want)
		}
		if code == 401 && response.Header.Get("WWW-Authenticate") == "" {
			t.Error("a client is not told how to authenticate")
		}
	}
	if got := get(t, address, "/v2/").StatusCode; got != 200 {
		t.Errorf("the registry itself answers %d", got)
	}
	if got := get(t, address, "/v2/never/pushed/manifests/1").StatusCode; got != 404 {
		t.Errorf("an unknown repository answers %d", got)
	}
}

func TestRegistryIsSlowAsTold(t *testing.T) {
	address, path := serve(t)
	if err := (Rules{"slow": {Code: 500, Delay: "300ms"}}).Save(path); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got := get(t, address, "/v2/slow/manifests/1").StatusCode; got != 500 || time.Since(began) < 300*time.Millisecond {
		t.Errorf("got %d after %s", got, time.Since(began))
	}
}

func TestRepositoryOf(t *testing.T) {
	for path, want := range map[string]string{
		"/v2/": "", "/v2/a/manifests/1": "a", "/v2/a/b/c/blobs/sha256:0": "a/b/c",
		"/v2/manifests/manifests/1": "manifests", "/other/a/manifests/1": "", "/v2/_catalog": "",
	} {
		if got := repositoryOf(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}
