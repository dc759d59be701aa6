// Package mask hides secrets in free text by what they look like: log lines, messages of events, templates, which no field
// name marks as secret. What a secret is by the name of its field, the plugins know.
package mask

import (
	"regexp"
	"strings"
	"sync"
)

// Hidden stands in the place of a secret.
const Hidden = "***"

// kept is what has been masked already, here or by a plugin that numbers its masks.
var kept = regexp.MustCompile(`^["']?(\*\*\*|masked-\d+)`)

// secretWord ends the name of what is assigned a secret. "tokens" (max_tokens=1) and "secretName" are no such names.
//
//nolint:gosec // what secrets are called
const secretWord = `[\w.-]*(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|private[_-]?key|token)`

// tokens are what services give out, with a beginning that they chose so that it can be found. Lengths are the least that their
// makers give out.
const tokens =
// https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
`gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|` +
	// https://docs.gitlab.com/security/tokens/
	`gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[\w-]{20,}|` +
	// https://docs.slack.dev/authentication/tokens
	`xox[abceoprs]-[\w-]{10,}|` +
	// https://docs.stripe.com/keys
	`[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|` +
	// https://docs.npmjs.com/about-access-tokens, https://pypi.org/help/#apitoken, https://docs.docker.com/security/access-tokens/
	`npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|dckr_[po]at_[\w-]{20,}|` +
	// https://huggingface.co/docs/hub/security-tokens, https://platform.openai.com/docs/api-reference/authentication
	`hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9][\w-]{30,}|` +
	// https://docs.digitalocean.com/reference/api/create-personal-access-token/
	`do[opr]_v1_[a-f0-9]{64}|` +
	// https://docs.cloud.google.com/docs/authentication/api-keys
	`AIza[\w-]{35}|` +
	// https://developer.hashicorp.com/vault/docs/concepts/tokens, https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys
	`hv[sbr]\.[\w-]{24,}|SG\.[\w-]{16,}\.[\w-]{16,}`

// tokenMarks are in every text in which tokens finds something.
var tokenMarks = []string{
	"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glagent-",
	"xox", "_live_", "_test_", "npm_", "pypi-", "dckr_", "hf_", "sk-", "_v1_", "AIza", "hvs.", "hvb.", "hvr.", "SG.",
}

// pattern finds a secret in the second of its three groups. Most texts lack the mark, and cost no more than the search
// for it.
type pattern struct {
	marks   []string // one of them is in every text that has one
	named   bool     // so is the name of a secret, in any case of letters
	pattern func() *regexp.Regexp
	likely  func(string) bool // tells a secret from a word of the same form; nil: all are secrets
}

const digits = "0123456789"

// header names what a header or a line of YAML has a secret for; "Secret: shop/creds-2" is an object.
const header = `[\w.-]*(?:password|passwd|passphrase|api[_-]?key|access[_-]?key|private[_-]?key|token)`

// random says whether a token is none of Kubernetes' names, which may begin alike: those that join words by "-" have no capitals.
func random(value string) bool {
	return strings.ContainsAny(value, digits) && (!strings.Contains(value, "-") || strings.ToLower(value) != value)
}

// measure is a number, an address or a quantity: what a status, a peer or a quota is told by.
var measure = lazy(`^[0-9][0-9.:]*[A-Za-z]{0,2}$`)

// credential says whether what stands behind a name can be its secret. A word about it has no digit ("token: expired"), and an
// object of Kubernetes a namespace before a "/" and no capitals.
func credential(value string) bool {
	return strings.ContainsAny(value, digits) && !measure().MatchString(value) &&
		(!strings.Contains(value, "/") || strings.ToLower(value) != value)
}

// told are the words that say of a password how it is, and not what it is.
var told = lazy(`(?i)^["']?(missing|required|expired|invalid|incorrect|wrong|empty|unset|none|null|nil|true|false|yes|no|ok|denied` +
	`|rejected|accepted|changed|unchanged|set|not|unknown|mismatch|weak|short|failed|failure|error|timeout|unauthorized|forbidden` +
	`|mandatory|optional|hidden|redacted|undefined|absent|blank|valid|<[\w ]*>|\$.*|\{\{.*|\S+:)["']?[.,;!]?$`)

func word(value string) bool { return !told().MatchString(value) }

// lazy compiles an expression when a text has its mark: a start that compiles all of them is a millisecond longer. Inlined, each
// call of it would add half a kilobyte to the binaries.
//
//go:noinline
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

var passwordLine = lazy(`(?im)((?:^|[\s-])[\w.-]*(?:password|passwd|passphrase)["']?:[ \t]+)([^\s*]\S*)([ \t]*$|[ \t]+[\w.-]+:(?:\s|$))`)

var patterns = []pattern{
	// https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1, also in connection strings
	{marks: []string{"@"}, pattern: lazy(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)([^\s@/]+)(@)`)},
	// A token alone, as git and error trackers take it. Names of users are shorter, or have no digits.
	{marks: []string{"@"}, likely: random, pattern: lazy(`([A-Za-z][A-Za-z0-9+.-]*://)([\w.~-]{16,})(@)`)},
	// Signed addresses: https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas,
	// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
	{marks: []string{"ig="}, pattern: lazy(`([?&]sig=)([^\s&"']+)()`)},
	{marks: []string{"ignature="}, pattern: lazy(`([?&][\w-]*[sS]ignature=)([^\s&"']+)()`)},
	// https://www.rfc-editor.org/rfc/rfc7519: header and claims are JSON objects, so both begin with eyJ
	{marks: []string{"eyJ"}, pattern: lazy(`()(\beyJ[\w-]{6,}\.eyJ[\w-]{6,}(?:\.[\w-]*)?)()`)},
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
	{marks: []string{"AKIA", "ASIA"}, pattern: lazy(`()(\b(?:AKIA|ASIA)[0-9A-Z]{16}\b)()`)},
	// https://www.rfc-editor.org/rfc/rfc7468; a log may be cut before the end
	{
		marks:   []string{"PRIVATE KEY"},
		pattern: lazy(`(-----BEGIN [A-Z ]*PRIVATE KEY-----)([^-]+)((?:-----END [A-Z ]*PRIVATE KEY-----)?)`),
	},
	{marks: tokenMarks, likely: random, pattern: lazy(`((?:^|[^\w-]))((?:` + tokens + `)\b)()`)},
	{
		marks: []string{"uthorization", "UTHORIZATION"}, likely: credential,
		pattern: lazy(`(?i)(\bauthorization["']?[:=][ \t]*["']?(?:[a-z]+[ \t]+)?)([^\s"',;]{3,})()`),
	},
	// A header or a line of YAML. What has no digit is a word about the secret: "token: expired".
	{
		marks: []string{": ", ":\t"}, named: true, likely: credential,
		pattern: lazy(`(?i)((?:^|[^\w./-])(?:` + header + `)["']?:[ \t]+["']?)([^\s"',;]{3,})()`),
	},
	// A line of YAML or of a file of variables, also one that was joined with the next: before another name, or an end, a word is
	// no sentence. Every other of a row is found at once, so there are two of it.
	{marks: []string{": ", ":\t"}, named: true, likely: word, pattern: passwordLine},
	{marks: []string{": ", ":\t"}, named: true, likely: word, pattern: passwordLine},
	// The logins of a container registry, a user and a password in base64:
	// https://kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry/
	{marks: []string{`"auth"`}, pattern: lazy(`("auth"\s*:\s*")([^"]+)(")`)},
	{marks: []string{`auth\`}, pattern: lazy(`(\\+"auth\\+"\s*:\s*\\+")([^"\\]+)(\\+")`)},
	{marks: []string{"="}, named: true, pattern: lazy(`(?i)(\b` + secretWord + `=)("[^"]*"|'[^']*'|[^\s&;,"']+)()`)},
	{marks: []string{`"`}, named: true, pattern: lazy(`(?i)("` + secretWord + `"\s*:\s*")([^"]+)(")`)},
	{marks: []string{`\"`}, named: true, pattern: lazy(`(?i)(\\+"` + secretWord + `\\+"\s*:\s*\\+")([^"\\]+)(\\+")`)},
	// A command line that an error quotes.
	{
		marks: []string{"--"}, named: true, likely: credential,
		pattern: lazy(`(?i)((?:^|[\s"'\[])--` + secretWord + `[ \t]+["']?)([^\s"',;]{3,})()`),
	},
}

// scheme finds credentials of HTTP (https://www.rfc-editor.org/rfc/rfc9110#section-11.4). "Bearer authentication" is none:
// they have digits.
var scheme = lazy(`(?i)(\b(?:bearer|basic)\s+)([A-Za-z0-9._~+/=-]{8,})()`)

// schemeMarks are what stands in every text that scheme finds, as programs write it.
var schemeMarks = []string{"earer", "EARER", "asic", "ASIC"}

// stems are what the names of secrets have in common.
var stems = []string{"passw", "passphrase", "secret", "key", "token"}

// names says whether a name of a secret may be in a text: a search for words takes a fiftieth of that for a pattern.
func names(text string) bool {
	folded := strings.ToLower(text)
	return containsOne(folded, stems) || strings.Contains(folded, "\u017f") // a long s, which patterns take for an s
}

func containsOne(text string, words []string) bool {
	for _, word := range words {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// Text hides secrets in a text; all else stays as it is.
func Text(text string) string { return hide(text, patterns) }

func hide(text string, patterns []pattern) string {
	named := names(text)
	for _, p := range patterns {
		if (named || !p.named) && containsOne(text, p.marks) {
			// docker-pullable://nginx:1.27@sha256:… is an image, and 1.27 no password.
			text = replace(p.pattern(), text, func(value, after string) bool {
				return !strings.HasPrefix(after, "sha256:") && (p.likely == nil || p.likely(value))
			})
		}
	}
	if !containsOne(text, schemeMarks) {
		return text
	}
	return replace(scheme(), text, func(secret, _ string) bool { return strings.ContainsAny(secret, digits) })
}

// Lines does the same for lines of a log, among which a secret may go on.
func Lines(lines []string) []string {
	if len(lines) == 0 {
		return lines
	}
	return strings.Split(Text(strings.Join(lines, "\n")), "\n")
}

// Tree does the same for every text in what encoding/json decodes into an any. It changes its argument.
func Tree(v any) any {
	switch v := v.(type) {
	case string:
		return Text(v)
	case []any:
		lines := make([]string, 0, len(v))
		for i := range v {
			if line, ok := v[i].(string); ok {
				lines = append(lines, line)
			}
			v[i] = Tree(v[i])
		}
		if hidden := Lines(lines); len(lines) == len(v) && len(hidden) < len(lines) { // a key over several lines
			v = v[:0]
			for _, line := range hidden {
				v = append(v, line)
			}
		}
		return v
	case map[string]any:
		for key := range v {
			v[key] = Tree(v[key])
		}
	}
	return v
}

// replace hides the second group of each match that secret agrees to; it is shown what follows the match, too.
func replace(p *regexp.Regexp, text string, secret func(value, after string) bool) string {
	var b strings.Builder
	end := 0
	for _, at := range p.FindAllStringSubmatchIndex(text, -1) {
		value := text[at[4]:at[5]]
		if kept.MatchString(value) || !secret(value, text[at[1]:]) {
			continue
		}
		b.WriteString(text[end:at[4]] + Hidden)
		end = at[5]
	}
	return b.String() + text[end:]
}
