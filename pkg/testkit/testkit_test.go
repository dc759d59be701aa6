package testkit

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorder stands in for a test whose failure is expected.
type recorder struct {
	testing.TB
	failures int
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failures++ }

func TestCheckTextRefusesWhatMustNotReachAPipe(t *testing.T) {
	tests := []struct {
		text string
		bad  bool
	}{
		{"", false},
		{"NAME\nw1\n", false},
		{"a\tb\n", false},
		{"no newline", true},
		{"blank \n", true},
		{"tab\t\nx\n", true},
		{"\x1b[31mred\x1b[0m\n", true},
		{"bell\a\n", true},
		{"c1\u009b\n", true},
	}
	for _, tt := range tests {
		r := &recorder{}
		CheckText(r, "x", tt.text)
		if (r.failures > 0) != tt.bad {
			t.Errorf("%q: %d failures", tt.text, r.failures)
		}
	}
}

func TestServerCountsAndRefuses(t *testing.T) {
	s := NewServer(t)
	s.Answer("/ok", map[string]string{"a": "b"})
	s.Refuse("/no", http.StatusForbidden)
	codes := map[string]int{"/ok?limit=1": 200, "/no": 403, "/absent": 404}
	for path, want := range codes {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, response.StatusCode, want)
		}
	}
	if d := cmp.Diff([]string{"GET /absent", "GET /no", "GET /ok?limit=1"}, s.Requests()); d != "" {
		t.Error(d)
	}
}

func TestEnvIsAPipeUnlessToldOtherwise(t *testing.T) {
	env := NewEnv("kubectl demo", time.Time{})
	if env.OutTTY || env.Width() != 0 {
		t.Error("a new Env has a terminal")
	}
	if env = env.Terminal(40); !env.OutTTY || env.Width() != 40 {
		t.Error("Terminal gave none")
	}
}
