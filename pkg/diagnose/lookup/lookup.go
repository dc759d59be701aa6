// Package lookup reads what programs say when they cannot resolve a name.
package lookup

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Failure is what lines that a program has written say about name resolution.
type Failure struct {
	Unanswered bool     // no answer, or an error from the server
	NotFound   bool     // an answer that the name does not exist
	Unclear    bool     // a failure that can be either
	Names      []string // that were looked up, in lower case, as far as they are told
}

// Failed says whether a lookup failed.
func (l Failure) Failed() bool { return l.Unanswered || l.NotFound || l.Unclear }

// The words of resolvers for a lookup that failed, in lower case. glibc and musl tell a name that does not exist (EAI_NONAME) from a
// server that does not answer (EAI_AGAIN), and so do Go and Node.js; busybox, curl, Java and most servers do not. Whole words:
// FileNotFoundException and ModuleNotFoundError have "enotfound" in them. What a compiler or a registry's client "can't resolve" is no
// host.
// https://man7.org/linux/man-pages/man3/gai_strerror.3.html, https://pkg.go.dev/net#DNSError
var (
	unanswered = regexp.MustCompile(`temporary failure in name resolution|server misbehaving|\beai_again\b|\bservfail\b|` +
		`no servers could be reached`)
	notFound = regexp.MustCompile(`no such host|name or service not |name does not resolve|\benotfound\b|\bnxdomain\b|` +
		`nodename nor servname provided`)
	unclear = regexp.MustCompile(`bad address '|could not resolve host|unknownhostexception|unable to resolve host|` +
		`could not translate host name|failed to resolve (?:the )?(?:host|name|address|dns|['"][a-z0-9])|(?:name|dns) resolution failed|` +
		`host not found in upstream|could not resolve address|dns lookup failed|unknown mysql server host|` +
		`(?:nslookup|ping6?|wget|nc|telnet|traceroute6?): can't resolve '`)
	// goLookup is Go's error for a server that does not answer: "lookup db on 10.96.0.10:53: read udp …: i/o timeout".
	goLookup = regexp.MustCompile(`lookup \S+(?: on \S+:53)?: .*(?:i/o timeout|connection refused|no route to host|network is unreachable)`)
)

// nameIn finds the name that was looked up, in the words of Go, Node.js, busybox, curl and others.
var nameIn = regexp.MustCompile(`(?i)(?:lookup |getaddrinfo (?:enotfound|eai_again) |bad address '|resolve host:? ['"]?|resolve '|` +
	`(?:host name|upstream) "|address '|server host '|resolution failed for |unknownhostexception: )([a-z0-9]([a-z0-9._-]*[a-z0-9])?)`)

// In reads the lines of a log, or the output of a command.
func In(lines ...string) Failure {
	var l Failure
	for _, line := range lines {
		low := strings.ToLower(line)
		switch {
		case unanswered.MatchString(low), goLookup.MatchString(low):
			l.Unanswered = true
		case notFound.MatchString(low):
			l.NotFound = true
		case unclear.MatchString(low):
			l.Unclear = true
		default:
			continue
		}
		for _, m := range nameIn.FindAllStringSubmatch(line, -1) {
			if name := strings.ToLower(strings.TrimSuffix(m[1], ".")); !slices.Contains(l.Names, name) {
				l.Names = append(l.Names, name)
			}
		}
	}
	return l
}

// resolvers are programs that do nothing but resolve names.
var resolvers = []string{"nslookup", "dig", "host", "drill", "getent", "kdig"}

// Begins says whether a command line begins with a program that only resolves names: nslookup db, sh -c "getent hosts db || exit 1".
func Begins(command []string) bool {
	if len(command) == 3 && command[1] == "-c" {
		command = strings.Fields(command[2])
	}
	if len(command) < 2 || !slices.Contains(resolvers, path.Base(command[0])) {
		return false
	}
	return path.Base(command[0]) != "getent" || strings.HasSuffix(strings.TrimRight(command[1], "v46"), "hosts") // hosts, ahostsv4
}

// Outside says whether every name that was looked up is outside the cluster for certain. A name of two labels may be a Service and
// its namespace.
func (l Failure) Outside(zone string, namespaces map[string]bool) bool {
	zone = strings.Trim(strings.ToLower(zone), ".")
	return len(l.Names) > 0 && !slices.ContainsFunc(l.Names, func(name string) bool {
		labels := strings.Split(name, ".")
		return len(labels) < 2 || slices.Contains(labels, "svc") || labels[len(labels)-1] == "local" || namespaces[labels[1]] ||
			zone != "" && (name == zone || strings.HasSuffix(name, "."+zone))
	})
}
