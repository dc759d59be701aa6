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

func TestSchemaFollowsTheJSON(t *testing.T) {
	type inner struct {
		Count int `json:"count"`
	}
	type outer struct {
		inner
		When  time.Time         `json:"when"`
		Ratio *float64          `json:"ratio,omitempty"`
		List  []inner           `json:"list"`
		Map   map[string]string `json:"map,omitempty"`
		Gone  string            `json:"-"`
	}
	got, err := Schema("t", outer{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "$defs": {
    "testkit.inner": {
      "properties": {
        "count": {
          "type": "integer"
        }
      },
      "required": [
        "count"
      ],
      "type": "object"
    },
    "testkit.outer": {
      "properties": {
        "count": {
          "type": "integer"
        },
        "list": {
          "items": {
            "$ref": "#/$defs/testkit.inner"
          },
          "type": "array"
        },
        "map": {
          "additionalProperties": {
            "type": "string"
          },
          "type": "object"
        },
        "ratio": {
          "type": "number"
        },
        "when": {
          "format": "date-time",
          "type": "string"
        }
      },
      "required": [
        "count",
        "list",
        "when"
      ],
      "type": "object"
    }
  },
  "$ref": "#/$defs/testkit.outer",
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "t"
}
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
