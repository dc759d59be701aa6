package mask

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"dial postgres://app:s3cr3t@db:5432/shop: refused":                 "dial postgres://app:***@db:5432/shop: refused",
		"redis://:pw1@cache:6379":                                          "redis://:***@cache:6379",
		"redis://u:p@a,redis://u:q@b":                                      "redis://u:***@a,redis://u:***@b",
		"Authorization: Bearer abcdef123456":                               "Authorization: Bearer ***",
		"got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln for sub":            "got *** for sub",
		"key AKIAIOSFODNN7EXAMPLE is not active":                           "key *** is not active",
		"user=app password=pw host=db":                                     "user=app password=*** host=db",
		`DB_PASSWORD="two words" next`:                                     "DB_PASSWORD=*** next",
		`{"user":"a","api_key": "k1"}`:                                     `{"user":"a","api_key": "***"}`,
		"GET /x?token=t1&page=2":                                           "GET /x?token=***&page=2",
		"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- end": "-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY----- end",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if again := Text(want); again != want {
			t.Errorf("%q is masked again: %q", want, again)
		}
	}
}

// What is no secret stays: a masked cause would be a lost cause.
func TestWhatIsNoSecretStays(t *testing.T) {
	for _, text := range []string{
		"http://api.shop:8080/healthz", "password authentication failed for user \"app\"", "max_tokens=1", "secretName=creds",
		"secret \"creds\" not found", "docker-pullable://nginx:1.27@sha256:0123456789abcdef", "no basic auth credentials", "Bearer authentication required", "image@sha256:0123456789abcdef",
		"mailto:a@b.example", "token is expired", "--token masked-1", "password=masked-2", "WWW-Authenticate: Basic realm=\"registry\"",
	} {
		if got := Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestAKeyInALogIsHiddenToItsEnd(t *testing.T) {
	got := Lines([]string{"loading", "-----BEGIN RSA PRIVATE KEY-----", "c2VjcmV0", "bGluZQ"})
	if text := strings.Join(got, "|"); text != "loading|-----BEGIN RSA PRIVATE KEY-----***" {
		t.Error(text)
	}
	if Lines(nil) != nil {
		t.Error("no lines became some")
	}
}

func TestATreeIsMaskedInEveryText(t *testing.T) {
	tree := map[string]any{
		"n": 1, "env": []any{map[string]any{"value": "redis://:pw@cache"}},
		"lines": []any{"-----BEGIN PRIVATE KEY-----", "c2VjcmV0"}, "names": []any{"a", "b"},
	}
	want := map[string]any{
		"n": 1, "env": []any{map[string]any{"value": "redis://:***@cache"}},
		"lines": []any{"-----BEGIN PRIVATE KEY-----***"}, "names": []any{"a", "b"},
	}
	if d := cmp.Diff(any(want), Tree(tree)); d != "" {
		t.Error(d)
	}
}
