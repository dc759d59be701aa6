package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/miekg/dns"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Exchanger asks one server from one point of view. It gives an answer for every question, in their order; what could
// not be asked carries an error.
type Exchanger interface {
	Exchange(ctx context.Context, questions []records.Question) []report.Answer
}

// Stream asks over a TCP stream, many questions at once on one connection: CoreDNS answers a connection in order, so a
// thousand questions cost little more than one round trip. It never has more than Window questions under way, and
// never asks more than Rate a second, so that asking can't hurt the server.
type Stream struct {
	Dial      func(ctx context.Context) (net.Conn, error)
	Viewpoint string
	Server    string
	Timeout   time.Duration // for silence, not for the whole
	Window    int
	Rate      int
}

// The defaults: at 100 under way and 2,000 a second one replica of a small cluster is a tenth busy.
const (
	defaultWindow  = 100
	defaultRate    = 2000
	defaultSilence = 2 * time.Second
)

// Exchange asks all questions; a connection that the server closes early (a cap on queries per connection) is opened
// again as long as it brings answers.
func (s Stream) Exchange(ctx context.Context, questions []records.Question) []report.Answer {
	answers := make([]report.Answer, len(questions))
	var open []int
	for i, q := range questions {
		answers[i] = report.Answer{Viewpoint: s.Viewpoint, Server: s.Server, Transport: "TCP", Name: q.Name, Type: q.Type}
		if err := CheckQuestion(q); err != nil {
			answers[i].Error = err.Error()
			continue
		}
		open = append(open, i)
	}
	for len(open) > 0 {
		left, err := s.round(ctx, questions, answers, open)
		if len(left) == len(open) || ctx.Err() != nil || len(left) > 0 && !closedEarly(err) {
			for _, i := range left {
				answers[i].Error = words(err)
			}
			return answers
		}
		open = left
	}
	return answers
}

func closedEarly(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET)
}

func words(err error) string {
	switch {
	case err == nil:
		return "no answer"
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed without an answer"
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// round asks the open questions on one connection, and gives those without an answer.
func (s Stream) round(ctx context.Context, questions []records.Question, answers []report.Answer, open []int) ([]int, error) {
	raw, err := s.Dial(ctx)
	if err != nil {
		return open, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn := &dns.Conn{Conn: raw}
	var (
		window = make(chan struct{}, orDefault(s.Window, defaultWindow))
		sent   = make([]time.Time, len(open))
		failed = make(chan error, 1)
		done   = make(chan struct{})
	)
	defer close(done)
	go func() {
		pace := newPace(orDefault(s.Rate, defaultRate))
		for n, i := range open {
			select {
			case window <- struct{}{}:
			case <-done:
				return
			}
			pace.wait()
			sent[n] = time.Now()
			if err := conn.WriteMsg(message(questions[i], uint16(n))); err != nil {
				failed <- err
				return
			}
		}
	}()
	got := make([]bool, len(open))
	silence := cmp.Or(s.Timeout, defaultSilence)
	for count := 0; count < len(open); {
		if err = raw.SetReadDeadline(time.Now().Add(silence)); err != nil {
			break
		}
		var m *dns.Msg
		if m, err = conn.ReadMsg(); err != nil {
			break
		}
		n := int(m.Id)
		if n >= len(open) || got[n] {
			continue
		}
		got[n] = true
		count++
		fill(&answers[open[n]], m, time.Since(sent[n]))
		<-window
	}
	select {
	case writeErr := <-failed:
		err = cmp.Or(err, writeErr)
	default:
	}
	return without(open, got), err
}

// without gives what has not been got.
func without(open []int, got []bool) []int {
	var left []int
	for n, i := range open {
		if !got[n] {
			left = append(left, i)
		}
	}
	return left
}

func orDefault(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

// pace lets at most rate events a second through, in steps of a hundredth of a second.
type pace struct {
	perStep, used int
	start         time.Time
}

func newPace(rate int) *pace { return &pace{perStep: max(1, rate/100), start: time.Now()} }

func (p *pace) wait() {
	if p.used++; p.used <= p.perStep {
		return
	}
	if left := 10*time.Millisecond - time.Since(p.start); left > 0 {
		time.Sleep(left)
	}
	p.used, p.start = 1, time.Now()
}

func message(q records.Question, id uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.Name), dns.StringToType[q.Type])
	m.Id = id
	return m
}

// CheckQuestion says in words why a question cannot be asked at all.
func CheckQuestion(q records.Question) error {
	if _, ok := dns.StringToType[q.Type]; !ok {
		return fmt.Errorf("%q is not a record type; use A, AAAA, SRV, PTR, CNAME, TXT, MX, NS, SOA, …", q.Type)
	}
	if q.Name == "" {
		return errors.New("the name is empty: give one, or . for the root")
	}
	if err := notAName(q.Name); err != nil {
		return err
	}
	name := strings.TrimSuffix(q.Name, ".")
	if len(name) > 253 {
		return fmt.Errorf("the name has %d characters; DNS allows 253", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case len(label) > 63:
			return fmt.Errorf("the label %q has %d characters; DNS allows 63", label, len(label))
		case label == "" && name != "":
			return fmt.Errorf("%q has an empty label between two dots", q.Name)
		}
	}
	if _, ok := dns.IsDomainName(dns.Fqdn(q.Name)); !ok {
		return fmt.Errorf("%q is not a domain name", q.Name)
	}
	return nil
}

// notAName finds what people paste in place of a host name: a URL, a name with a port, an object as kubectl writes it.
// None of their characters is in the name of a host, and a query for it gets NXDOMAIN, which reads like an answer.
func notAName(text string) error {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return fmt.Errorf("%q is a URL; use the host name alone: %s", text, u.Hostname())
	}
	// A slash alone says nothing: names of RFC 2317 have one ("0/25.2.0.192.in-addr.arpa").
	if kind, name, slash := strings.Cut(text, "/"); slash && strings.IndexFunc(kind, unicode.IsLetter) == 0 {
		return fmt.Errorf("%q is not a host name; use the name alone, such as %s.NAMESPACE ('names %s/%s' lists the names of the object)",
			text, name, kind, name)
	}
	if host, port, err := net.SplitHostPort(text); err == nil && port != "" {
		return fmt.Errorf("%q contains a port; use the host name alone: %s", text, host)
	}
	if reverse, err := dns.ReverseAddr(text); err == nil {
		return fmt.Errorf("%q is an IP address, not a name; to find its name, run 'resolve %s --type PTR'", text,
			strings.TrimSuffix(reverse, "."))
	}
	if i := strings.IndexFunc(text, unicode.IsSpace); i >= 0 {
		return fmt.Errorf("%q contains white space; use one host name", text)
	}
	return nil
}

func fill(a *report.Answer, m *dns.Msg, took time.Duration) {
	ms := float64(took.Microseconds()) / 1000
	a.Milliseconds = &ms
	a.Rcode = dns.RcodeToString[m.Rcode]
	a.Authoritative, a.Truncated = m.Authoritative, m.Truncated
	section := m.Answer
	if len(section) == 0 && a.Type == "SOA" {
		section = m.Ns
	}
	for _, rr := range section {
		h := rr.Header()
		a.Records = append(a.Records, report.Record{
			Name: strings.ToLower(h.Name), Type: dns.TypeToString[h.Rrtype], TTL: h.Ttl, Data: data(rr),
		})
	}
}

// data is a record's value; SRV comes as "PORT TARGET", since CoreDNS sets priority and weight by its own rules.
func data(rr dns.RR) string {
	switch v := rr.(type) {
	case *dns.A:
		return v.A.String()
	case *dns.AAAA:
		return v.AAAA.String()
	case *dns.SRV:
		return fmt.Sprintf("%d %s", v.Port, strings.ToLower(v.Target))
	case *dns.PTR:
		return strings.ToLower(v.Ptr)
	case *dns.CNAME:
		return strings.ToLower(v.Target)
	case *dns.TXT:
		return strings.Join(v.Txt, " ")
	case *dns.SOA:
		return fmt.Sprintf("%s %s %d", v.Ns, v.Mbox, v.Serial)
	}
	return strings.TrimSpace(strings.TrimPrefix(rr.String(), rr.Header().String()))
}

// Types lists the record types that questions usually ask, for completion.
func Types() []string {
	return []string{"A", "AAAA", "SRV", "PTR", "CNAME", "TXT", "SOA", "NS", "MX", "HTTPS", "ANY"}
}
