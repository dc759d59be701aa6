// Package registry serves images to the nodes, and refuses them as real
// registries do: not found, unauthorized, too many requests, broken, slow.
package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
)

// Rule is how a repository answers pulls instead of serving them.
type Rule struct {
	Code  int    `json:"code,omitempty"`  // HTTP status; 0 serves
	Delay string `json:"delay,omitempty"` // time before the answer
}

// Rules maps repositories to their rules.
type Rules map[string]Rule

// LoadRules reads rules; no file is no rules.
func LoadRules(path string) (Rules, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Rules{}, nil
	}
	if err != nil {
		return nil, err
	}
	rules := Rules{}
	if err := json.Unmarshal(data, &rules); err != nil {
		return nil, fmt.Errorf("registry rules %q: %w", path, err)
	}
	return rules, nil
}

// Save writes rules; a running registry obeys them from the next request on.
func (r Rules) Save(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return host.WriteFile(path, data, 0o644)
}

// Serve runs a registry until it fails. Images live in its memory.
func Serve(address, rulesPath string) error {
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &http.Server{Addr: address, Handler: Handler(store, rulesPath), ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// Handler puts the rules before a registry. They concern pulls alone, so that
// an image can be pushed into a repository that refuses it.
func Handler(store http.Handler, rulesPath string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s %s", r.RemoteAddr, r.Method, r.URL.Path)
		repository := repositoryOf(r.URL.Path)
		if r.Method != http.MethodGet && r.Method != http.MethodHead || repository == "" || r.Header.Get(pushHeader) != "" {
			store.ServeHTTP(w, r)
			return
		}
		rules, err := LoadRules(rulesPath)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		rule := rules[repository]
		if delay, err := time.ParseDuration(rule.Delay); err == nil {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		if rule.Code == 0 {
			store.ServeHTTP(w, r)
			return
		}
		refuse(w, rule.Code)
	})
}

// pushHeader marks the reads that belong to a push.
const pushHeader = "X-Push"

// errorCodes are the registry protocol's own words for a status.
var errorCodes = map[int]string{
	http.StatusUnauthorized:    "UNAUTHORIZED",
	http.StatusForbidden:       "DENIED",
	http.StatusNotFound:        "MANIFEST_UNKNOWN",
	http.StatusTooManyRequests: "TOOMANYREQUESTS",
}

func refuse(w http.ResponseWriter, code int) {
	word, ok := errorCodes[code]
	if !ok {
		word = "UNKNOWN"
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`+"\n", word, strings.ToLower(http.StatusText(code)))
}

// repositoryOf reads the repository out of /v2/NAME/manifests|blobs|tags/….
func repositoryOf(path string) string {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return ""
	}
	for _, kind := range []string{"/manifests/", "/blobs/", "/tags/"} {
		if i := strings.LastIndex(rest, kind); i > 0 {
			return rest[:i]
		}
	}
	return ""
}
