package pod

import (
	"regexp"
	"slices"
	"strings"
)

// Pull is why an image is not pulled, by the words of containerd, CRI-O and the registries.
type Pull string

// What a pull fails by.
const (
	PullUnknown     Pull = ""
	PullNoSpace     Pull = "no space"     // on the node
	PullDenied      Pull = "denied"       // by the registry: no such repository for this account, or no credentials
	PullLookup      Pull = "lookup"       // the node cannot resolve the registry's host
	PullTLS         Pull = "tls"          // the registry's certificate, or plain HTTP where TLS is expected
	PullRateLimit   Pull = "rate limit"   // 429
	PullServerError Pull = "server error" // 5xx
	PullConnection  Pull = "connection"   // refused, reset, no route, timeout
	PullNoPlatform  Pull = "no platform"  // the image has no variant for the node's
	PullNotFound    Pull = "not found"    // 404
)

// Words of each, in lower case.
var (
	noSpaceWords    = []string{"no space left on device"}
	deniedWords     = []string{"unauthorized", "forbidden", "authorization failed", "authentication required", "denied"}
	accountWords    = []string{"pull access denied", "insufficient_scope"} // what a registry says of a repository that is not there, too
	lookupWords     = []string{"lookup ", "no such host", "server misbehaving", "temporary failure in name resolution"}
	tlsWords        = []string{"x509", "gave http response to https client"}
	rateWords       = []string{"429 too many", "too many requests", "toomanyrequests"}
	serverWords     = []string{"500 internal", "502 bad", "503 service", "504 gateway"}
	connectionWords = []string{
		"dial tcp", "tls: ", "i/o timeout", "connection refused", "connection reset", ": eof", "unexpected eof", "no route to host",
		"network is unreachable", "deadline exceeded", "context canceled",
	}
	platformWords = []string{"no match for platform", "no matching manifest"}
	notFoundWords = []string{"not found", "manifest unknown", "manifest_unknown", "name unknown", "does not exist", "not exist"}
)

// WhyPull classes the text of a failed pull of an image. A refusal that comes of the network is one of the network.
func WhyPull(text, image string) Pull {
	text = strings.ToLower(withoutName(text, image)) // "geofence" is not an EOF, and a digest is no status code
	has := func(words []string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	}
	lookup, dialing := has(lookupWords), strings.Contains(text, "dial tcp")
	switch {
	case has(noSpaceWords):
		return PullNoSpace
	case has(accountWords), has(deniedWords) && !lookup && !has(rateWords) && !has([]string{"connection refused", "i/o timeout"}):
		return PullDenied
	case lookup:
		return PullLookup
	case has(platformWords) && !dialing:
		return PullNoPlatform
	case has(tlsWords):
		return PullTLS
	case has(rateWords):
		return PullRateLimit
	case has(serverWords):
		return PullServerError
	case has(connectionWords) && (dialing || !strings.Contains(text, "manifest unknown")):
		return PullConnection
	case has(notFoundWords):
		return PullNotFound
	}
	return PullUnknown
}

var digest = regexp.MustCompile(`sha256:[0-9a-f]+`)

// withoutName takes the image's own name out of an error's text.
func withoutName(text, image string) string {
	repository, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndex(repository, ":"); i > strings.LastIndex(repository, "/") {
		repository = repository[:i]
	}
	path := repository
	if host, rest, ok := strings.Cut(repository, "/"); ok && strings.ContainsAny(host, ".:") {
		path = rest
	}
	for _, part := range []string{image, repository, path, path[strings.LastIndex(path, "/")+1:]} {
		if len(part) > 2 {
			text = strings.ReplaceAll(text, part, "IMAGE")
		}
	}
	return digest.ReplaceAllString(text, "DIGEST")
}
