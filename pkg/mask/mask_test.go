package mask

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"dial postgres://app:s3cr3t@db:5432/shop: refused":      "dial postgres://app:***@db:5432/shop: refused",
		"redis://:pw1@cache:6379":                               "redis://:***@cache:6379",
		"redis://u:p@a,redis://u:q@b":                           "redis://u:***@a,redis://u:***@b",
		"Authorization: Bearer abcdef123456":                    "Authorization: Bearer ***",
		"got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln for sub": "got *** for sub",
		"push with ghp_" + strings.Repeat("a1", 18) + " failed": "push with *** failed",
		"github_pat_" + strings.Repeat("b2", 12) + ": bad":      "***: bad",
		"key=glpat-" + strings.Repeat("cD3", 7):                 "key=***",
		"xoxb-1234567890-aBc posted":                            "*** posted",
		"AIza" + strings.Repeat("x1y2z", 7) + " is over quota":  "*** is over quota",
		"hvs." + strings.Repeat("y7", 12):                       "***",
		"X-Api-Key: 12ab34":                                     "X-Api-Key: ***",
		"Authorization: 12ab34":                                 "Authorization: ***",
		"db_password: 'hunter2'":                                "db_password: '***'",
		"password: hunter":                                      "password: ***",
		"cannot read a: b db_password: hunter2x admin_password: huntress root_password: hunt end: 1": "cannot read a: b db_password: *** admin_password: *** root_password: *** end: 1",
		"clone https://9f8e7d6c5b4a39281706@git.test/shop":                                           "clone https://***@git.test/shop",
		`in "{\"user\":\"a\",\"password\":\"hunter\"}"`:                                              `in "{\"user\":\"a\",\"password\":\"***\"}"`,
		`in \\\"password\\\":\\\"hunter\\\"`:                                                         `in \\\"password\\\":\\\"***\\\"`,
		"https://blob.test/x?se=2026&sig=aB%2F&sp=r":                                                 "https://blob.test/x?se=2026&sig=***&sp=r",
		"https://s3.test/x?X-Amz-Signature=0a1b2c":                                                   "https://s3.test/x?X-Amz-Signature=***",
		"exec [mysql --password hunter2 -h db] failed":                                               "exec [mysql --password *** -h db] failed",
		"a: b\n  db_password: hunter\nc: d":                                                          "a: b\n  db_password: ***\nc: d",
		`{"auths":{"r.test":{"auth":"dXNlcjpwYXNz"}}}`:                                               `{"auths":{"r.test":{"auth":"***"}}}`,
		`"{\"auths\":{\"r.test\":{\"auth\":\"dXNlcjpwYXNz\"}}}"`:                                     `"{\"auths\":{\"r.test\":{\"auth\":\"***\"}}}"`,
		"key AKIAIOSFODNN7EXAMPLE is not active":                                                     "key *** is not active",
		"user=app password=pw host=db":                                                               "user=app password=*** host=db",
		`DB_PASSWORD="two words" next`:                                                               "DB_PASSWORD=*** next",
		`{"user":"a","api_key": "k1"}`:                                                               `{"user":"a","api_key": "***"}`,
		"GET /x?token=t1&page=2":                                                                     "GET /x?token=***&page=2",
		"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- end":                           "-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY----- end",
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
		"secret: not found", "kubectl describe pod -n shop sk-payments-api-gateway-7d9f8b6c5d-abcde", "registry/sk-learn-model-server-for-inference-2024:1.0",
		"unexpected status from POST request to https://auth.docker.io/token: 401 Unauthorized", "failed to request token: 10.43.0.1:443 connection refused",
		"missing node-stage-secret: pvc-7b3c not found", "external-secret: store/prod-1 not ready", "exceeded quota: compute-token: 10.5Gi", "Authorization: user/app-1 is not allowed",
		// what is read every day
		"registry.test/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "uid: 7c9e6679-7425-40de-944b-e07fc1f90ae7",
		"password: required", "spec.password: Required value", "login failed: password: wrong", "password: rejected by policy: too short",
		"FATAL: password authentication failed for user \"app\" at 10.0.0.5:5432", "flag --password is required", "--token must be set",
		"http://user-of-the-shop@web.test/", "https://web@10.0.0.1/x", "registry.test/a/b@sha256:abc", "signature: sha256:0a1b", "?page=2&signed=true",
		"passwordFile: /etc/x", "tokens: 3 used: 2", "error: unable to read client-key /root/key.pem", "secretKeyRef: name: db", "unbound pod has unbound immediate PersistentVolumeClaims",
		"containerd://b1946ac92492d2347c6235b4d2611184a0d2c8c5b7f0a4a8f0e1d2c3b4a59687", "1 node(s) had untolerated taint(s)", "x509: certificate signed by unknown authority",
		"token: expired", "password: expired", "password: incorrect.", "login failed: password: wrong", `{"auth":{"enabled":true}}`, "password: must be longer",
		"authorization: denied by policy", "my-sk-deployment-with-a-long-name-of-an-application-x",
		"pod api_ghp_x", "npm_config_cache", "password: ", "the token:\n2026-11-20 expired", "secret:default/creds-2", "Secret: shop/creds-2", "token: 3 of 5 are left", "mailto:a@b.example", "token is expired", "--token masked-1", "password=masked-2", "WWW-Authenticate: Basic realm=\"registry\"",
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

// Most texts have no name of a secret, and are not searched for what would stand behind it: with the same result.
func TestATextIsSearchedOnceItHasAName(t *testing.T) {
	for _, text := range []string{"PASSWORD=x1", "Passwd: x1", "pa\u017fsword=x1", "to\u212aen=x1", "API_KEY=x1", `"Secret": "x1"`, "--ToKen x1y", "passphrase: x1"} {
		if got := Text(text); !strings.Contains(got, Hidden) || got != unfiltered(text) {
			t.Errorf("%q became %q, and %q where all is searched", text, got, unfiltered(text))
		}
	}
}

func unfiltered(text string) string {
	all := slices.Clone(patterns)
	for i := range all {
		all[i].named = false
	}
	return hide(text, all)
}

// What was masked is masked: again it stays as it is. Without a secret, bytes stay as they are; with one, none is made of nothing.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"password: hunter c: d password: x", `{"auths":{"r":{"auth":"dXNl"}}}`, "redis://u:p@a,redis://u:q@b", "Authorization: Bearer abc123456",
		"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", `\"token\":\"a1b2c3\"`, "https://h/x?sig=a1&token=b2", "exec --password hunter2 -p x",
		"key=glpat-aaaaaaaaaaaaaaaaaaaaa1 AKIAIOSFODNN7EXAMPLE", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "https://9f8e7d6c5b4a39281706@git.test",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := Text(text)
		if twice := Text(once); twice != once {
			t.Errorf("%q became %q, and again %q", text, once, twice)
		}
		if all := unfiltered(text); all != once {
			t.Errorf("%q became %q, and %q where all is searched", text, once, all)
		}
		if !strings.Contains(once, Hidden) && once != text {
			t.Errorf("%q became %q, where nothing is hidden", text, once)
		}
	})
}
