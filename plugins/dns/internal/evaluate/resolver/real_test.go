package resolver

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// The programs ask as every application does: getaddrinfo for both families.
const lookupC = `#include <netdb.h>
#include <string.h>
#include <stdio.h>
int main(int argc, char **argv) {
  struct addrinfo hints, *res;
  memset(&hints, 0, sizeof hints);
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  int err = getaddrinfo(argv[1], 0, &hints, &res);
  puts(err ? "none" : "found");
  return 0;
}`

// A scene is a resolv.conf, a name, and what the server has for each name; what is not listed does not exist.
type scene struct {
	Title string
	Name  string
	Conf  string
	Zone  map[string]Pair
}

var scenes = []scene{
	{"NXDOMAIN leads to the next entry", "web", "search a.test b.test\noptions ndots:5", map[string]Pair{"web.b.test.": {Answer, NoData}}},
	{"NODATA ends the search of musl", "web", "search a.test b.test\noptions ndots:5", map[string]Pair{"web.a.test.": {NoData, NoData}, "web.b.test.": {Answer, NoData}}},
	{"SERVFAIL ends the search of musl", "web", "search a.test b.test\noptions ndots:5", map[string]Pair{"web.a.test.": {ServFail, ServFail}, "web.b.test.": {Answer, NoData}}},
	{"REFUSED: glibc tries the bare name alone, musl gives up", "web.x", "search a.test b.test\noptions ndots:5", map[string]Pair{"web.x.a.test.": {Refused, Refused}, "web.x.b.test.": {Answer, NoData}}},
	{"REFUSED: the bare name is found by glibc", "web.x", "search a.test b.test\noptions ndots:5", map[string]Pair{"web.x.a.test.": {Refused, Refused}, "web.x.": {Answer, NoData}}},
	{"enough dots: musl does not search", "web.x", "search a.test b.test\noptions ndots:1", map[string]Pair{"web.x.a.test.": {Answer, NoData}}},
	{"enough dots: the name as it is comes first", "web.x", "search a.test\noptions ndots:1", map[string]Pair{"web.x.": {Answer, Answer}, "web.x.a.test.": {Answer, NoData}}},
	{"A there and AAAA NXDOMAIN", "web", "search a.test\noptions ndots:5", map[string]Pair{"web.a.test.": {Answer, NXDomain}}},
	{"A there and AAAA SERVFAIL", "web", "search a.test\noptions ndots:5", map[string]Pair{"web.a.test.": {Answer, ServFail}}},
	{"an outside name costs two queries for each entry", "www.example.com", "search n.svc.a.test svc.a.test a.test\noptions ndots:5", map[string]Pair{"www.example.com.": {Answer, NoData}}},
	{"a final dot stops the search", "www.example.com.", "search n.svc.a.test svc.a.test a.test\noptions ndots:5", map[string]Pair{"www.example.com.": {Answer, NoData}}},
	{"nothing there", "nope", "search a.test b.test\noptions ndots:5", nil},
	{"a search line that musl drops", "web", "search " + strings.Repeat("x", 60) + ".test " + strings.Repeat("y", 60) + ".test " + strings.Repeat("z", 60) + ".test " + strings.Repeat("w", 60) + ".test b.test\noptions ndots:5", map[string]Pair{"web.b.test.": {Answer, NoData}}},
	{"no search list", "web", "options ndots:5", map[string]Pair{"web.": {Answer, NoData}}},
}

// seen is what a real resolver did.
type seen struct {
	Found bool
	Names []string // in the order of their first question
	Sent  int      // questions in all; compared where nothing fails, since failures are repeated by the clock
}

const inside = "RESOLVER_TEST_INSIDE"

// TestWalksAreThoseOfRealResolvers runs glibc, musl and Go against a server of its own on port 53 of a private network
// namespace, with a private /etc/resolv.conf.
func TestWalksAreThoseOfRealResolvers(t *testing.T) {
	if os.Getenv(inside) != "" {
		runInside(t)
		return
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "lookup.c")
	if err := os.WriteFile(source, []byte(lookupC), 0o600); err != nil {
		t.Fatal(err)
	}
	libcs := []Libc{Go}
	for libc, compiler := range map[Libc]string{Glibc: "gcc", Musl: "musl-gcc"} {
		if out, err := exec.Command(compiler, "-o", filepath.Join(dir, string(libc)), source).CombinedOutput(); err != nil {
			missing(t, fmt.Sprintf("%s (packages gcc, musl-tools): %v %s", compiler, err, out))
			continue
		}
		libcs = append(libcs, libc)
	}
	slices.Sort(libcs)
	for _, libc := range libcs {
		for _, s := range scenes {
			t.Run(string(libc)+"/"+s.Title, func(t *testing.T) { compareScene(t, dir, libc, s) })
		}
	}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
		t.Fatalf("cannot run %s", what)
	}
	t.Logf("not compared: cannot run %s", what)
}

func compareScene(t *testing.T, dir string, libc Libc, s scene) {
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	text := "nameserver 127.0.0.1\n" + s.Conf + " timeout:1\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(s)
	command := exec.Command(os.Args[0], "-test.run=^TestWalksAreThoseOfRealResolvers$", "-test.v")
	command.Env = append(os.Environ(), inside+"="+string(data), "RESOLVER_CONF="+conf, "RESOLVER_PROGRAM="+filepath.Join(dir, string(libc)))
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	out, err := command.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatalf("would be skipped, and in CI nothing is: %v", err)
		}
		t.Skip("needs root for a private network: " + err.Error())
	}
	_, line, ok := strings.Cut(string(out), "SEEN ")
	if err != nil || !ok {
		t.Fatalf("%v\n%s", err, out)
	}
	var got seen
	if err := json.Unmarshal([]byte(strings.SplitN(line, "\n", 2)[0]), &got); err != nil {
		t.Fatal(err)
	}
	walk := Follow(s.Name, Parse(text), libc, s.pair)
	want := seen{Found: walk.Found, Sent: walk.Sent}
	if s.fails() {
		want.Sent, got.Sent = 0, 0
	}
	for _, step := range walk.Steps {
		want.Names = append(want.Names, step.Name)
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("the real %s and the walk differ (-real +walk):\n%s", libc, d)
	}
}

func (s scene) fails() bool {
	for _, p := range s.Zone {
		if p.has(ServFail) || p.has(Refused) {
			return true
		}
	}
	return false
}

func (s scene) pair(fqdn string) Pair {
	if p, ok := s.Zone[fqdn]; ok {
		return p
	}
	return Pair{NXDomain, NXDomain}
}

// runInside is the child: it has a network and a mount table of its own.
func runInside(t *testing.T) {
	var s scene
	if err := json.Unmarshal([]byte(os.Getenv(inside)), &s); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(os.Getenv("RESOLVER_CONF"), "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got seen
	ready := make(chan struct{})
	server := &dns.Server{Addr: "127.0.0.1:53", Net: "udp", NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		q := r.Question[0]
		mu.Lock()
		got.Sent++
		if !slices.Contains(got.Names, strings.ToLower(q.Name)) {
			got.Names = append(got.Names, strings.ToLower(q.Name))
		}
		mu.Unlock()
		_ = w.WriteMsg(s.answer(r))
	})}
	go func() { _ = server.ListenAndServe() }()
	select {
	case <-ready:
	case <-time.After(5 * time.Second):
		t.Fatal("the server did not start")
	}
	program := os.Getenv("RESOLVER_PROGRAM")
	if filepath.Base(program) == string(Go) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		resolver := &net.Resolver{PreferGo: true}
		addresses, _ := resolver.LookupHost(ctx, s.Name)
		got.Found = len(addresses) > 0
	} else {
		out, err := exec.Command(program, s.Name).Output()
		if err != nil {
			t.Fatal(err)
		}
		got.Found = strings.TrimSpace(string(out)) == "found"
	}
	mu.Lock()
	defer mu.Unlock()
	data, _ := json.Marshal(got)
	fmt.Printf("SEEN %s\n", data)
}

func (s scene) answer(r *dns.Msg) *dns.Msg {
	q := r.Question[0]
	m := new(dns.Msg)
	m.SetReply(r)
	// without either flag glibc takes an empty answer for a lame server's
	m.Authoritative, m.RecursionAvailable = true, true
	pair := s.pair(strings.ToLower(q.Name))
	outcome, record := pair.A, q.Name+" 5 IN A 192.0.2.1"
	if q.Qtype == dns.TypeAAAA {
		outcome, record = pair.AAAA, q.Name+" 5 IN AAAA 2001:db8::1"
	}
	switch outcome {
	case Answer:
		rr, _ := dns.NewRR(record)
		m.Answer = append(m.Answer, rr)
	case NXDomain:
		m.Rcode = dns.RcodeNameError
	case ServFail:
		m.Rcode = dns.RcodeServerFailure
	case Refused:
		m.Rcode = dns.RcodeRefused
	}
	return m
}
