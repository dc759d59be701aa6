package collect

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
)

// server answers over real TCP; handle may give nil to stay silent.
func server(t *testing.T, perConnection int, handle func(*dns.Msg) *dns.Msg) Stream {
	t.Helper()
	address := listen(t, func(raw net.Conn) {
		conn := &dns.Conn{Conn: raw}
		for n := 0; perConnection == 0 || n < perConnection; n++ {
			m, err := conn.ReadMsg()
			if err != nil {
				return
			}
			if reply := handle(m); reply != nil {
				_ = conn.WriteMsg(reply)
			}
		}
	})
	return Stream{Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}, Viewpoint: "test", Timeout: 300 * time.Millisecond}
}

// listen serves each connection to an address of its own.
func listen(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				serve(raw)
			}()
		}
	}()
	return listener.Addr().String()
}

func reply(m *dns.Msg) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(m)
	rr, _ := dns.NewRR(m.Question[0].Name + " 5 IN A 192.0.2.1")
	r.Answer = []dns.RR{rr}
	return r
}

func many(n int) []records.Question {
	var list []records.Question
	for i := range n {
		list = append(list, records.Question{Name: fmt.Sprintf("n%d.test.", i), Type: "A"})
	}
	return list
}

func TestAnswersStandInTheOrderOfTheQuestions(t *testing.T) {
	var held *dns.Msg
	s := server(t, 0, func(m *dns.Msg) *dns.Msg { // every answer comes one question late
		last := held
		held = reply(m)
		if m.Question[0].Name == "n9.test." {
			return last
		}
		return last
	})
	answers := s.Exchange(context.Background(), many(10))
	for i, a := range answers[:9] {
		if a.Rcode != "NOERROR" || a.Records[0].Name != fmt.Sprintf("n%d.test.", i) {
			t.Errorf("%d: %+v", i, a)
		}
	}
	if answers[9].Error != "no answer in time" || answers[9].Rcode != "" {
		t.Errorf("the last one was never answered: %+v", answers[9])
	}
}

// A full window of questions is under way before the first answer, on one connection: the cost of a thousand names is
// then a few round trips, and not a thousand. The server here answers nothing until it has the whole window, so asking in
// turn would get no answer at all.
func TestQuestionsArePipelinedOnOneConnection(t *testing.T) {
	var (
		held   []*dns.Msg
		dialed int
	)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	rounds := make(chan int, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			return
		}
		defer raw.Close()
		conn := &dns.Conn{Conn: raw}
		for n := 0; ; {
			m, err := conn.ReadMsg()
			if err != nil {
				rounds <- n
				return
			}
			if held = append(held, reply(m)); len(held) == defaultWindow {
				n++
				for _, r := range held {
					_ = conn.WriteMsg(r)
				}
				held = nil
			}
		}
	}()
	s := Stream{Dial: func(ctx context.Context) (net.Conn, error) {
		dialed++
		return (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	}, Timeout: 5 * time.Second}
	for _, a := range s.Exchange(context.Background(), many(1000)) {
		if a.Rcode != "NOERROR" {
			t.Fatalf("%s: %s", a.Name, a.Error)
		}
	}
	if got := <-rounds; dialed != 1 || got != 10 {
		t.Errorf("%d connections and %d round trips for 1,000 questions, want 1 and 10", dialed, got)
	}
}

func TestAServerThatClosesEarlyIsAskedAgain(t *testing.T) {
	s := server(t, 7, reply)
	for _, a := range s.Exchange(context.Background(), many(40)) {
		if a.Rcode != "NOERROR" {
			t.Fatalf("%s: %s", a.Name, a.Error)
		}
	}
}

func TestAServerThatClosesAtOnceEndsTheAsking(t *testing.T) {
	s := server(t, 1, func(*dns.Msg) *dns.Msg { return nil })
	began := time.Now()
	for _, a := range s.Exchange(context.Background(), many(3)) {
		if a.Error == "" {
			t.Errorf("%+v", a)
		}
	}
	if time.Since(began) > 3*time.Second {
		t.Errorf("took %s", time.Since(began))
	}
}

func TestAnEndedContextEndsTheAsking(t *testing.T) {
	s := server(t, 0, func(*dns.Msg) *dns.Msg { return nil })
	s.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if a := s.Exchange(ctx, many(1))[0]; a.Error == "" {
		t.Errorf("%+v", a)
	}
	if time.Since(began) > 2*time.Second {
		t.Errorf("took %s", time.Since(began))
	}
}

func TestCheckQuestion(t *testing.T) {
	tests := map[string]struct {
		q    records.Question
		want string
	}{
		"good":           {records.Question{Name: "a.b.", Type: "A"}, ""},
		"underscore":     {records.Question{Name: "_http._tcp.a.b.", Type: "SRV"}, ""},
		"253 characters": {records.Question{Name: strings.Repeat("abcdefgh.", 28) + "a", Type: "A"}, ""},
		"254 characters": {records.Question{Name: strings.Repeat("abcdefgh.", 28) + "ab", Type: "A"}, "DNS allows 253"},
		"label of 63":    {records.Question{Name: strings.Repeat("a", 63), Type: "A"}, ""},
		"label of 64":    {records.Question{Name: strings.Repeat("a", 64), Type: "A"}, "DNS allows 63"},
		"empty label":    {records.Question{Name: "a..b", Type: "A"}, "empty label"},
		"no name":        {records.Question{Name: "", Type: "A"}, "the name is empty"},
		"the root":       {records.Question{Name: ".", Type: "NS"}, ""},
		"type":           {records.Question{Name: "a", Type: "Z"}, "not a record type"},
	}
	for name, tt := range tests {
		err := CheckQuestion(tt.q)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func podQuestions() []InPodQuestion {
	q := records.Question{Name: "a.test.", Type: "A"}
	return []InPodQuestion{{"10.0.0.1", "UDP", q}, {"10.0.0.1", "TCP", q}}
}

func readScript(out string) evaluate.FromPod {
	f := evaluate.FromPod{Pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}, Method: "exec"}
	readOutput(&f, out, podQuestions())
	return f
}

func TestWhatCannotBeAskedIsNoMissingAnswer(t *testing.T) {
	f := readScript("@file /etc/resolv.conf\nnameserver 10.0.0.1\n@libc\n/lib/ld-musl-x86_64.so.1\n@tool udp none\n@tool tcp nc\n@answer 1 10.0.0.1 \n@end\n")
	if len(f.Answers) != 1 || f.Answers[0].Transport != "TCP" || f.Answers[0].Error != "no answer in time" {
		t.Errorf("%+v", f.Answers)
	}
	if !cmp.Equal(f.Unasked, []string{"UDP"}) || !strings.Contains(f.Error, "no tool to query over UDP") || !*f.Musl || *f.Glibc {
		t.Errorf("%+v", f)
	}
	if f = readScript("@tool udp nc\n@tool tcp nc\n@answer 0 10.0.0.1 \n"); len(f.Answers) != 1 || f.Error == "" {
		t.Errorf("a shell that ended early: %+v", f)
	}
	if f = readScript("@tool udp nc\n@tool tcp nc\n@answer 0 10.0.0.1 \n@answer 1 10.0.0.1 "); len(f.Answers) != 1 || f.Error == "" {
		t.Errorf("output that is cut off: %+v", f)
	}
}

// A file whose last line has no end is none of the script's own lines.
func TestFilesAreReadAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	script := Script(nil, 1, 1)
	for name, text := range map[string]string{"resolv.conf": "nameserver 10.0.0.1\noptions ndots:5", "hosts": "127.0.0.1 localhost\n", "nsswitch.conf": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		script = strings.ReplaceAll(script, "cat /etc/"+name, "cat "+filepath.Join(dir, name))
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"/etc/resolv.conf": "nameserver 10.0.0.1\noptions ndots:5", "/etc/hosts": "127.0.0.1 localhost\n"}
	if f := readScript(string(out)); !cmp.Equal(f.Files, want) {
		t.Errorf("%q", f.Files)
	}
}

func TestTextOfToolsIsUnderstood(t *testing.T) {
	tests := map[string]struct{ text, rcode, data, err string }{
		"busybox nslookup":          {"Server: 10.0.0.1|Address: 10.0.0.1:53||Name: a.test|Address: 192.0.2.1||", "NOERROR", "192.0.2.1", ""},
		"busybox nslookup, nodata":  {"Server: 10.0.0.1|Address: 10.0.0.1:53|||", "NOERROR", "", ""},
		"busybox nslookup, nothing": {"Server: 10.0.0.1|Address: 10.0.0.1:53||** server can't find a.test.: NXDOMAIN||", "NXDOMAIN", "", ""},
		"busybox nslookup, silence": {";; connection timed out; no servers could be reached||", "", "", "no answer"},
		"busybox nslookup, SRV":     {"Server: 10.0.0.1|Address: 10.0.0.1:53||a.test service = 0 50 80 b.test|", "NOERROR", "80 b.test.", ""},
		"busybox nslookup, PTR":     {"Server: 10.0.0.1|Address: 10.0.0.1:53||1.2.0.192.in-addr.arpa name = B.test|", "NOERROR", "b.test.", ""},
		"busybox nslookup, TXT":     {"Server: 10.0.0.1|Address: 10.0.0.1:53||a.test text = \"V=1 B\"|", "NOERROR", "V=1 B", ""},
		"dig, SRV":                  {";; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1|;; ANSWER SECTION:|a.test. 5 IN SRV 0 50 80 b.test.|", "NOERROR", "80 b.test.", ""},
		"dig":                       {";; Got answer:|;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1|;; ANSWER SECTION:|a.test. 5 IN A 192.0.2.1|", "NOERROR", "192.0.2.1", ""},
		"dig, refused":              {";; ->>HEADER<<- opcode: QUERY, status: REFUSED, id: 1|", "REFUSED", "", ""},
		"dig, silence":              {";; communications error to 10.0.0.1#53: timed out|", "", "", "no answer"},
	}
	for name, tt := range tests {
		q, f := InPodQuestion{"10.0.0.1", "UDP", records.Question{Name: "a.test.", Type: "A"}}, evaluate.FromPod{}
		if _, typ, ok := strings.Cut(name, ", "); ok && strings.ToUpper(typ) == typ {
			q.Type = typ
		}
		readOutput(&f, "@tool udp x\n@answer 0 10.0.0.1 text "+tt.text+"\n", []InPodQuestion{q})
		a := f.Answers[0]
		data := ""
		if len(a.Records) > 0 {
			data = a.Records[0].Data
		}
		if a.Rcode != tt.rcode || data != tt.data || tt.err != "" && !strings.HasPrefix(a.Error, tt.err) || tt.err == "" && a.Error != "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestTheScriptSurvivesAsAContainersCommand(t *testing.T) {
	q := podQuestions()
	q[0].Server, q[0].Name = "'; touch /tmp/x; '", "$(reboot).test."
	script := Script(q, 3, 3)
	if strings.Contains(script, "$$") {
		t.Error(`Kubernetes turns "$$" in a command into "$"`)
	}
	if strings.Contains(script, " '; touch") || strings.Contains(script, " $(reboot)") {
		t.Errorf("words are not quoted:\n%s", script)
	}
}

func FuzzParseMetrics(f *testing.F) {
	f.Add("# TYPE coredns_dns_requests_total counter\ncoredns_dns_requests_total{type=\"A\"} 5\n")
	f.Add("# TYPE coredns_dns_request_duration_seconds histogram\ncoredns_dns_request_duration_seconds_bucket{le=\"0.1\"} 3\ncoredns_dns_request_duration_seconds_bucket{le=\"+Inf\"} 4\ncoredns_dns_request_duration_seconds_sum 1\ncoredns_dns_request_duration_seconds_count 4\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMetrics(text)
		if err != nil && m != nil {
			t.Error("data and an error")
		}
		m.Quantile(0.99, "coredns_dns_request_duration_seconds")
		m.Since(m)
	})
}

func TestMetricsAreRead(t *testing.T) {
	m, err := ParseMetrics("# TYPE coredns_dns_responses_total counter\ncoredns_dns_responses_total{rcode=\"NOERROR\"} 90\ncoredns_dns_responses_total{rcode=\"SERVFAIL\"} 10\n# TYPE go_threads gauge\ngo_threads 9\n# TYPE coredns_dns_request_duration_seconds histogram\ncoredns_dns_request_duration_seconds_bucket{le=\"0.1\"} 50\ncoredns_dns_request_duration_seconds_bucket{le=\"0.2\"} 100\ncoredns_dns_request_duration_seconds_bucket{le=\"+Inf\"} 100\ncoredns_dns_request_duration_seconds_sum 1\ncoredns_dns_request_duration_seconds_count 100\n")
	if err != nil || len(m) != 3 {
		t.Fatalf("%v %+v", err, m)
	}
	if total := m.Sum("coredns_dns_responses_total"); total == nil || *total != 100 {
		t.Errorf("total %v", total)
	}
	if m.Sum("coredns_nothing_total") != nil {
		t.Error("an absent metric is 0 and not unknown")
	}
	if q := m.Quantile(0.75, "coredns_dns_request_duration_seconds"); q == nil || *q < 0.149 || *q > 0.151 {
		t.Errorf("quantile %v", q)
	}
	if d := m.Since(m).Sum("coredns_dns_responses_total"); d == nil || *d != 0 {
		t.Errorf("difference with itself %v", d)
	}
	if _, err := ParseMetrics("<html>"); err == nil {
		t.Error("a page of HTML passes for metrics")
	}
}

// A question for the pod's own nameservers is asked at each of them; the rounds of one become one answer with its losses.
func TestRoundsBecomeOneAnswer(t *testing.T) {
	q := records.Question{Name: "a.test.", Type: "A"}
	questions := []InPodQuestion{{"", "UDP", q}, {"10.0.0.1", "UDP", q}, {"10.0.0.2", "UDP", q}}
	good := " text Server: x|Name: a.test|Address: 192.0.2.1|\n"
	f := evaluate.FromPod{Pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}}
	readOutput(&f, "@file /etc/resolv.conf\nnameserver 10.0.0.1\nnameserver 10.0.0.9\n@tool udp nslookup\n@answer 0 10.0.0.1"+good+"@answer 0 10.0.0.1 \n@answer 0 10.0.0.1"+good+
		"@answer 0 10.0.0.9 \n@answer 0 10.0.0.9 \n@answer 2 10.0.0.2"+good+"@answer 2 10.0.0.2 text Server: x|Name: a.test|Address: 192.0.2.7|\n@end\n", questions)
	var got []string
	for _, a := range f.Answers {
		got = append(got, fmt.Sprintf("%s %s%s %d/%d", a.Server, a.Rcode, a.Error, a.Lost, a.Asked))
	}
	want := []string{"10.0.0.1 NOERROR 1/3", "10.0.0.9 no answer in time 2/2", "10.0.0.2 NOERROR 0/2", "10.0.0.2 NOERROR 0/0"}
	if !cmp.Equal(got, want) || f.Error != "" {
		t.Errorf("%q, want %q; %s", got, want, f.Error)
	}
}

func TestAPortIsNoRefusal(t *testing.T) {
	for text, want := range map[string]bool{
		"read tcp 127.0.0.1:54034->127.0.0.1:6443: connection reset": false,
		"unable to upgrade connection: 403 Forbidden":                true,
		`pods "x" is forbidden: User "u" cannot`:                     true,
	} {
		if forbidden(errors.New(text)) != want {
			t.Error(text)
		}
	}
}

// A client repeats a query over TCP where the answer was truncated: which part of it came first tells nothing of the server.
func TestATruncatedAnswerIsNoLoss(t *testing.T) {
	q := records.Question{Name: "a.test.", Type: "A"}
	m := message(q, 1)
	m.Response = true
	for i := range 40 {
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: "a.test.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.IPv4(192, 0, 2, byte(i))})
	}
	whole, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{byte(len(whole) >> 8), byte(len(whole))}, whole...)
	short := m.Copy()
	short.Truncated, short.Answer = true, m.Answer[:29]
	packet, err := short.Pack()
	if err != nil {
		t.Fatal(err)
	}
	printed := func(n int) string {
		text := "Server: x|"
		for i := range n {
			text += fmt.Sprintf("Name: a.test|Address: 192.0.2.%d|", i)
		}
		return "text " + text
	}
	for name, tt := range map[string]struct {
		transport, text string
		records         int
		truncated       bool
	}{
		"a whole answer over TCP": {"TCP", hex.EncodeToString(frame), 40, false},
		"a part of it":            {"TCP", hex.EncodeToString(frame[:300]), 0, true},
		"a truncated packet":      {"UDP", hex.EncodeToString(packet), 29, true},
		"nslookup, a full packet": {"UDP", printed(30), 30, true},
		"nslookup, over TCP":      {"UDP", printed(40), 40, false},
		"nslookup, some records":  {"UDP", printed(28), 28, false},
	} {
		a := inPodAnswer(InPodQuestion{"10.0.0.1", tt.transport, q}, corev1.Pod{}, tt.text)
		if a.Rcode != "NOERROR" || a.Error != "" || len(a.Records) != tt.records || a.Truncated != tt.truncated {
			t.Errorf("%s: %s %s, %d records, truncated %t", name, a.Rcode, a.Error, len(a.Records), a.Truncated)
		}
	}
	if a := inPodAnswer(InPodQuestion{"10.0.0.1", "TCP", q}, corev1.Pod{}, hex.EncodeToString(frame[:9])); a.Error == "" {
		t.Error("less than a header is an answer")
	}
	f := evaluate.FromPod{Pod: corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}}}
	short.Answer = m.Answer[11:]
	other, err := short.Pack()
	if err != nil {
		t.Fatal(err)
	}
	readOutput(&f, "@tool udp python3\n@answer 0 10.0.0.1 "+hex.EncodeToString(packet)+"\n@answer 0 10.0.0.1 "+hex.EncodeToString(other)+"\n", []InPodQuestion{{"10.0.0.1", "UDP", q}})
	if len(f.Answers) != 1 || f.Answers[0].Lost != 0 {
		t.Errorf("two parts of one answer are two answers: %+v", f.Answers)
	}
}

// A long answer over TCP comes in several packets; each tool of the script reads all of them. Every machine with this project has bash.
func TestEachToolReadsAWholeAnswer(t *testing.T) {
	address := listen(t, func(raw net.Conn) {
		m, err := (&dns.Conn{Conn: raw}).ReadMsg()
		if err != nil {
			return
		}
		r := reply(m)
		r.Answer = nil
		for i := range 200 {
			r.Answer = append(r.Answer, &dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5}, A: net.IPv4(192, 0, 2, byte(i))})
		}
		wire, err := r.Pack()
		if err != nil {
			return
		}
		wire = append([]byte{byte(len(wire) >> 8), byte(len(wire))}, wire...)
		for _, part := range [][]byte{wire[:1], wire[1:900], wire[900:]} {
			_, _ = raw.Write(part)
			time.Sleep(30 * time.Millisecond)
		}
		time.Sleep(3 * time.Second) // the server keeps the connection open
	})
	_, port, _ := net.SplitHostPort(address)
	q := InPodQuestion{"127.0.0.1", "TCP", records.Question{Name: "a.test.", Type: "A"}}
	script := strings.NewReplacer("(s,53)", "(s,"+port+")", "PeerPort=>53", "PeerPort=>"+port, "/53", "/"+port).Replace(Script([]InPodQuestion{q}, 1, 2))
	for _, tool := range []string{"python3", "perl", "bash"} {
		if _, err := exec.LookPath(tool); err != nil && tool != "bash" {
			t.Logf("not tried: %v", err)
			continue
		}
		t.Run(tool, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{tool, "sh", "cat", "ls", "tr", "od", "dd", "timeout"} {
				path, err := exec.LookPath(name)
				if err != nil {
					t.Fatal(err)
				}
				if real, err := exec.CommandContext(t.Context(), path, "-c", "import sys; print(sys.executable)").Output(); name == "python3" && err == nil {
					path = strings.TrimSpace(string(real)) // a version manager puts a script before it
				}
				if err = os.Symlink(path, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			command := exec.CommandContext(t.Context(), filepath.Join(dir, "sh"), "-c", script)
			command.Env = []string{"PATH=" + dir}
			out, err := command.Output()
			if err != nil {
				t.Fatal(err)
			}
			var f evaluate.FromPod
			readOutput(&f, string(out), []InPodQuestion{q})
			if len(f.Answers) != 1 || len(f.Answers[0].Records) != 200 || f.Answers[0].Truncated || !strings.Contains(f.Method, tool) {
				t.Errorf("%s: %d answers; %s", f.Method, len(f.Answers), out)
			}
		})
	}
}
