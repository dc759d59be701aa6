package evaluate

import (
	"regexp"
	"slices"
	"strings"
)

// lookup is what the last log lines of a container say about name resolution.
type lookup struct {
	unanswered bool // no answer, or an error from the server
	notFound   bool // an answer that the name does not exist
	unclear    bool // a failure that can be either
	names      []string
}

func (l lookup) failed() bool { return l.unanswered || l.notFound || l.unclear }

// The words of resolvers for a lookup that failed. glibc and musl tell a name that does not exist (EAI_NONAME) from a server that
// does not answer (EAI_AGAIN), and so do Go and Node.js; busybox, curl and Java do not.
// https://man7.org/linux/man-pages/man3/gai_strerror.3.html, https://pkg.go.dev/net#DNSError
var (
	unansweredWords = []string{
		"temporary failure in name resolution", "server misbehaving", "eai_again", "servfail",
		"no servers could be reached",
	}
	notFoundWords = []string{
		"no such host", "name or service not known", "name does not resolve", "enotfound", "nxdomain", "nodename nor servname provided",
	}
	unclearWords = []string{
		"bad address '", "could not resolve host", "unknownhostexception", "unable to resolve host", "could not translate host name",
		"failed to resolve", "name resolution failed", "can't resolve '",
	}
	// goLookup is Go's error for a server that does not answer: "lookup db on 10.96.0.10:53: read udp …: i/o timeout".
	goLookup = regexp.MustCompile(`lookup \S+(?: on \S+:53)?: .*(?:i/o timeout|connection refused|no route to host|network is unreachable)`)
)

// nameIn finds the name that was looked up, in the words of Go, Node.js, busybox, curl and others.
var nameIn = regexp.MustCompile(`(?i)(?:lookup |getaddrinfo (?:enotfound|eai_again) |bad address '|resolve host:? ['"]?|resolve '|` +
	`host name "|unknownhostexception: )([a-z0-9]([a-z0-9._-]*[a-z0-9])?)`)

func lookupIn(lines []string) lookup {
	var l lookup
	for _, line := range lines {
		low := strings.ToLower(line)
		has := func(words []string) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(low, w) })
		}
		switch {
		case has(unansweredWords), goLookup.MatchString(low):
			l.unanswered = true
		case has(notFoundWords):
			l.notFound = true
		case has(unclearWords):
			l.unclear = true
		default:
			continue
		}
		for _, m := range nameIn.FindAllStringSubmatch(line, -1) {
			if name := strings.ToLower(strings.TrimSuffix(m[1], ".")); !slices.Contains(l.names, name) {
				l.names = append(l.names, name)
			}
		}
	}
	return l
}

// outside says whether every name that was looked up is outside the cluster for certain. A name of two labels may be a Service and
// its namespace.
func (l lookup) outside(zone string, namespaces map[string]bool) bool {
	zone = strings.Trim(strings.ToLower(zone), ".")
	return len(l.names) > 0 && !slices.ContainsFunc(l.names, func(name string) bool {
		labels := strings.Split(name, ".")
		return len(labels) < 2 || slices.Contains(labels, "svc") || labels[len(labels)-1] == "local" || namespaces[labels[1]] ||
			zone != "" && (name == zone || strings.HasSuffix(name, "."+zone))
	})
}
