package evaluate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/output"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/ask"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/reports"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

func text(t *testing.T, print func(*strings.Builder) error) string {
	t.Helper()
	var b strings.Builder
	if err := print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCheckTextOfEveryFault(t *testing.T) {
	for _, f := range faults() {
		s := judge(build(f.before, f.after))
		got := text(t, func(b *strings.Builder) error { return render.Check(b, s, render.Options{}) })
		testkit.Golden(t, string(f.code)+"/check.txt", got)
	}
}

// TestMessagesAreOneSentence: a message has at most one colon and one semicolon. Their form besides is TestFindingsHaveOneForm's.
func TestMessagesAreOneSentence(t *testing.T) {
	for _, f := range faults() {
		for _, found := range judge(build(f.before, f.after)).Findings {
			if m := found.Message; strings.Count(m, ": ") > 1 || strings.Count(m, ";") > 1 {
				t.Errorf("%s: %s", found.Code, m)
			}
		}
	}
}

func TestASavedInputGivesTheSameReport(t *testing.T) {
	for _, f := range faults() {
		in := build(f.before, f.after)
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var saved Input
		if err := json.Unmarshal(data, &saved); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(judge(in), judge(saved)); d != "" {
			t.Errorf("%s: %s", f.code, d)
		}
	}
}

func TestTextOfTheOtherCommands(t *testing.T) {
	in := answered(healthy())
	o := Options{Slow: time.Second}
	wide := render.Options{Wide: true}
	scope := Scope{Namespace: "shop", Kind: "Service", Name: "api"}
	reports := map[string]func(*strings.Builder) error{
		"status": func(b *strings.Builder) error { return render.Status(b, Status(in, noon, o, "DNSStatus"), wide) },
		"config": func(b *strings.Builder) error { return render.Config(b, ConfigReport(in, noon, o), wide) },
		"pod":    func(b *strings.Builder) error { return render.Pod(b, Pod(in, noon, o), wide) },
		"explain": func(b *strings.Builder) error {
			return render.Explain(b, Explain(in, noon, o, "api.shop", resolver.All()), wide)
		},
		"explain-not-found": func(b *strings.Builder) error {
			return render.Explain(b, Explain(in, noon, o, "apii.shop", []resolver.Libc{resolver.Glibc}), render.Options{})
		},
		"names":    func(b *strings.Builder) error { return render.Names(b, Names(in, noon, o, scope, "default"), wide) },
		"verify":   func(b *strings.Builder) error { return render.Verify(b, Verify(verified(in), noon, o, scope), wide) },
		"logs":     func(b *strings.Builder) error { return render.Logs(b, MergeLogs(in, noon, o, false), wide) },
		"top":      func(b *strings.Builder) error { return render.Top(b, Top(withMetrics(in), noon, o), wide) },
		"upstream": func(b *strings.Builder) error { return render.Upstreams(b, Upstreams(withMetrics(in), noon, o), wide) },
		"narrow-check": func(b *strings.Builder) error {
			f := faults()[0]
			return render.Check(b, judge(build(f.before, f.after)), render.Options{Terminal: output.Terminal{TTY: true, Width: 60}})
		},
	}
	for _, name := range facts.SortedKeys(reports) {
		testkit.Golden(t, "commands/"+name+".txt", text(t, reports[name]))
	}
}

// verified asks one replica wrongly for one name.
func verified(in Input) Input {
	w := facts.New(in, noon, Options{})
	for i := range in.Probes {
		in.Probes[i].Answers = nil
		for _, q := range VerifyQuestions(in, Scope{Namespace: "shop", Kind: "Service", Name: "api"}) {
			in.Probes[i].Answers = append(in.Probes[i].Answers, answer(w, in.Probes[i].Pod, q))
		}
	}
	in.Probes[1].Answers[1].Rcode, in.Probes[1].Answers[1].Records = "NXDOMAIN", nil
	return in
}

func withMetrics(in Input) Input {
	in = answered(in)
	for i := range in.Probes {
		in.Probes[i].Metrics = append(responses(990, 10),
			Sample{Name: "coredns_dns_requests_total", Labels: map[string]string{"type": "A"}, Value: 1000},
			Sample{Name: "process_start_time_seconds", Value: float64(noon.Unix() - 500)},
			Sample{Name: "coredns_proxy_request_duration_seconds", Labels: map[string]string{"to": "192.0.2.53:53", "rcode": "NOERROR"}, Count: 100, Buckets: []Bucket{{UpTo: 0.01, Count: 90}, {UpTo: 0.1, Count: 100}}},
		)
	}
	return in
}

func TestVerifyTellsWhichReplicaDiffers(t *testing.T) {
	in := verified(answered(healthy()))
	v := Verify(in, noon, Options{}, Scope{Namespace: "shop", Kind: "Service", Name: "api"})
	if v.Verdict != report.Unhealthy || v.PrimaryCode != "RecordMismatch" || len(v.Items) != 1 || v.Items[0].State != "missing" || !cmp.Equal(v.Items[0].Replicas, []string{"coredns-b"}) {
		t.Errorf("%s %s %+v", v.Verdict, v.Summary, v.Items)
	}
	in.Services[2].CreationTimestamp = ago(10 * time.Second)
	if v = Verify(in, noon, Options{}, Scope{Namespace: "shop", Kind: "Service", Name: "api"}); v.Verdict != report.Healthy || v.Items[0].State != "settling" {
		t.Errorf("a change of ten seconds ago: %s %s %+v", v.Verdict, v.Summary, v.Items)
	}
	corefileOf(&in, "loop\n", "rewrite name suffix shop.svc.cluster.local other.svc.cluster.local\nloop\n")
	in.Services[2].CreationTimestamp = ago(time.Hour)
	if v = Verify(in, noon, Options{}, Scope{Namespace: "shop", Kind: "Service", Name: "api"}); v.Verdict != report.Degraded || v.PrimaryCode != "AnswersOverridden" || v.Items[0].State != "overridden" || v.Replicas[1].Correct == v.Replicas[1].Queried {
		t.Errorf("a rewritten name: %s %s %+v", v.Verdict, v.Summary, v.Items)
	}
}

func TestTheNearestNameIsSuggested(t *testing.T) {
	w := facts.New(answered(healthy()), noon, Options{})
	tests := map[string]string{"apii.shop": "api.shop", "api.shpo": "api.shop", "api.default": "api.shop", "kubernetes.shop": "kubernetes.default", "nothinglikeit.shop": "", "api.shop": ""}
	for name, want := range tests {
		got := ask.Suggest(w, name+".svc.cluster.local.")
		if want == "" && len(got) > 0 || want != "" && (len(got) == 0 || got[0] != want+".svc.cluster.local") {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
}

func TestQualify(t *testing.T) {
	in := answered(healthy())
	for name, want := range map[string]string{
		"api.shop": "api.shop.svc.cluster.local.", "api.shop.svc": "api.shop.svc.cluster.local.", "API.shop.svc.cluster.local": "api.shop.svc.cluster.local.", "h.api.shop": "h.api.shop.svc.cluster.local.",
		"www.example.com": "www.example.com.", "api.shop.": "api.shop.", "api": "api.shop.svc.cluster.local.", "10-1-1-1.shop.pod": "10-1-1-1.shop.pod.cluster.local.",
	} {
		if got := Qualify(in, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestExpectations(t *testing.T) {
	a := []report.Answer{{Type: "A", Rcode: "NOERROR", Records: []report.Record{{Type: "A", Data: "10.0.0.2"}, {Type: "A", Data: "10.0.0.1"}}}}
	none := []report.Answer{{Type: "A", Rcode: "NXDOMAIN"}}
	empty := []report.Answer{{Type: "A", Rcode: "NOERROR"}}
	failed := []report.Answer{a[0], {Type: "A", Error: "no answer"}}
	tests := []struct {
		answers []report.Answer
		expect  string
		want    bool
	}{
		{a, "A=10.0.0.1,10.0.0.2", true},
		{a, "a=10.0.0.1", false},
		{[]report.Answer{{Type: "A", Rcode: "NOERROR", Truncated: true}}, "A=10.0.0.1", false},
		{[]report.Answer{{Type: "A", Rcode: "NOERROR", Truncated: true, Records: a[0].Records}}, "A=10.0.0.1,10.0.0.2,10.0.0.3", true},
		{a, "any", true},
		{a, "nxdomain", false},
		{none, "nxdomain", true},
		{none, "any", false},
		{empty, "nodata", true},
		{empty, "nxdomain", false},
		{failed, "any", false},
		{nil, "any", false},
	}
	for _, tt := range tests {
		if got := reports.Meets(tt.answers, tt.expect); got != tt.want {
			t.Errorf("%+v %s: %v", tt.answers, tt.expect, got)
		}
	}
}

// A server that could not be asked is not accused, and the others' answers do not count as its own.
func TestVerifyAndLogsSayWhatTheyCouldNotRead(t *testing.T) {
	scope := Scope{Namespace: "shop", Kind: "Service", Name: "api"}
	in := verified(answered(healthy()))
	in.Probes[1] = Probe{Namespace: "kube-system", Pod: "coredns-b", Error: "no tunnel within 4s"}
	if v := Verify(in, noon, Options{}, scope); v.Verdict != report.Degraded || v.PrimaryCode != "ReplicaPortForwardFailed" {
		t.Errorf("one without a tunnel: %s %s", v.Verdict, v.Summary)
	}
	down := verified(answered(healthy()))
	down.Probes[1], down.Pods[1].Status.Conditions = in.Probes[1], nil
	if v := Verify(down, noon, Options{}, scope); v.Verdict != report.Healthy || !strings.Contains(v.Summary, "match the API at 1 of 2 replicas; not verified at coredns-b") {
		t.Errorf("one that is not ready: %s %s", v.Verdict, v.Summary)
	}
	if c := judge(down); !strings.Contains(strings.Join(c.PassedChecks, "|"), "every replica that was queried answers cluster names, and the newest Services match the API") {
		t.Errorf("a check with one that is not ready: %q", c.PassedChecks)
	}
	in.Probes[0] = Probe{Namespace: "kube-system", Pod: "coredns-a", Error: "no tunnel within 4s"}
	if v := Verify(in, noon, Options{}, scope); v.Verdict != report.Unknown || len(v.Findings) != 2 {
		t.Errorf("none with a tunnel: %s %s %+v", v.Verdict, v.Summary, v.Findings)
	}
	in.Probes = nil
	for i := range in.Sources {
		if in.Sources[i].Name == "logs" {
			in.Sources[i] = source.Source{Name: "logs", State: source.Unreachable, Message: "the kubelet of node n2 sent no log"}
		}
	}
	if l := MergeLogs(in, noon, Options{}, true); l.Verdict != report.Unknown || !strings.Contains(l.Summary, "the kubelet of node n2 sent no log") {
		t.Errorf("a log that could not be read: %s %s", l.Verdict, l.Summary)
	}
}

func TestUpstreamsAskedFromBesideTheServers(t *testing.T) {
	in := withMetrics(healthy())
	if got := UpstreamsOf(in, "coredns-a"); !cmp.Equal(got, []string{"192.0.2.53"}) {
		t.Fatalf("upstreams: %v", got)
	}
	answer := func(transport, rcode string) report.Answer {
		return report.Answer{Viewpoint: "same-node:coredns-a", Server: "192.0.2.53", Transport: transport, Name: in.External, Type: "A", Rcode: rcode}
	}
	in.Beside = []FromPod{{Pod: in.Pods[0], Answers: []report.Answer{answer("UDP", "NXDOMAIN"), answer("TCP", "NXDOMAIN")}}}
	if u := Upstreams(in, noon, Options{Slow: time.Second}); u.Verdict != report.Healthy || len(u.Direct) != 2 {
		t.Errorf("a name that does not exist is an answer: %s %s", u.Verdict, u.Summary)
	}
	in.Beside[0].Answers[0] = report.Answer{Viewpoint: "same-node:coredns-a", Server: "192.0.2.53", Transport: "UDP", Name: in.External, Type: "A", Error: "no answer in time"}
	u := Upstreams(in, noon, Options{Slow: time.Second})
	if u.PrimaryCode != "UpstreamNotResponding" || len(u.Findings) != 1 || !strings.Contains(u.Summary, "192.0.2.53 returns no usable answer over UDP to a pod on node n1, where DNS pod coredns-a runs") {
		t.Errorf("%s %s %+v", u.Verdict, u.Summary, u.Findings)
	}
	testkit.Golden(t, "UpstreamNotResponding/upstream.txt", text(t, func(b *strings.Builder) error { return render.Upstreams(b, u, render.Options{}) }))
}

func TestALineOfALogIsClassified(t *testing.T) {
	line := "2026-06-01T11:58:01.5Z [ERROR] plugin/errors: 2 x. A: read udp 10.0.0.1:5->192.0.2.1:53: i/o timeout"
	l, ok := ClassifyLine("coredns-a", line, true)
	if !ok || l.Class != "upstream" || l.Meaning == "" || strings.Contains(l.Text, "2026") {
		t.Errorf("%v %+v", ok, l)
	}
	if _, ok := ClassifyLine("coredns-a", "2026-06-01T11:58:01.5Z [INFO] hello", true); ok {
		t.Error("a harmless line among the errors")
	}
	got := text(t, func(b *strings.Builder) error { return render.LogLine(b, l, render.Options{Wide: true}) })
	if want := "2026-06-01 11:58:01 coredns-a upstream: [ERROR] plugin/errors: 2 x. A: read udp 10.0.0.1:5->192.0.2.1:53: i/o timeout (an upstream server did not respond)\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A name that the API has is not misspelled, whatever the servers say.
func TestANameThatExistsIsNotSuggestedToItself(t *testing.T) {
	resolve := func(in Input, name string) report.Resolution {
		for i := range in.Probes {
			in.Probes[i].Answers = []report.Answer{{Viewpoint: "port-forward:" + in.Probes[i].Pod, Name: name, Type: "A", Rcode: "NXDOMAIN"}}
		}
		in.From = nil
		return Resolve(in, noon, Options{}, name, []string{"A"}, "")
	}
	const api = "api.shop.svc.cluster.local."
	in := answered(healthy())
	if r := resolve(in, api); r.PrimaryCode != "RecordMismatch" || !strings.Contains(r.Summary, "exists in the API") {
		t.Errorf("denied: %s %s", r.PrimaryCode, r.Summary)
	}
	in.Services[2].CreationTimestamp = ago(5 * time.Second)
	if r := resolve(in, api); r.Verdict != report.Degraded || !strings.Contains(r.Summary, "less than 35s ago") {
		t.Errorf("just made: %s %s", r.PrimaryCode, r.Summary)
	}
	in = healthy()
	corefileOf(&in, "loop\n", "rewrite name suffix .shop.svc.cluster.local .other.svc.cluster.local\nloop\n")
	if r := resolve(answered(in), api); r.PrimaryCode != "AnswersOverridden" || !strings.Contains(r.Summary, "rewrite in line") {
		t.Errorf("rewritten: %s %s", r.PrimaryCode, r.Summary)
	}
	in = healthy()
	in.Services = append(in.Services, headless("db", map[string]string{"app": "db"}))
	if r := resolve(answered(in), "db.shop.svc.cluster.local."); r.PrimaryCode != "HeadlessServiceWithoutEndpoints" {
		t.Errorf("headless: %s %s", r.PrimaryCode, r.Summary)
	}
	if r := resolve(answered(in), "db-0.api.shop.svc.cluster.local."); r.PrimaryCode != "NameNotFound" || !strings.Contains(r.Summary, "no ready endpoint or port of that name") {
		t.Errorf("an endpoint: %s %s", r.PrimaryCode, r.Summary)
	}
}

// The codes that only the commands about single names give: each with what must bring it and what must not.
func TestCodesOfTheCommandsAboutNames(t *testing.T) {
	const api = "api.shop.svc.cluster.local."
	resolve := func(name string, change func(i int, a *report.Answer)) report.Resolution {
		in := answered(healthy())
		w := facts.New(in, noon, Options{})
		in.From = nil
		for i := range in.Probes {
			a := answer(w, in.Probes[i].Pod, records.Question{Name: name, Type: "A"})
			change(i, &a)
			in.Probes[i].Answers = []report.Answer{a}
		}
		return Resolve(in, noon, Options{}, name, []string{"A"}, "")
	}
	denied := func(a *report.Answer) { a.Rcode, a.Records = "NXDOMAIN", nil }
	for _, tt := range []struct {
		code, name string
		fault      func(i int, a *report.Answer)
		nearName   string
		near       func(i int, a *report.Answer)
	}{
		{"NoUsableAnswer", api, func(_ int, a *report.Answer) { silent(a) }, "nothing.shop.svc.cluster.local.", func(int, *report.Answer) {}},
		{"NameNotFound", "apii.shop.svc.cluster.local.", func(int, *report.Answer) {}, api, func(int, *report.Answer) {}},
		{"RecordMismatch", api, func(i int, a *report.Answer) {
			if i == 1 {
				denied(a)
			}
		}, api, func(_ int, a *report.Answer) { a.Records[0].TTL = 3 }},
	} {
		r := resolve(tt.name, tt.fault)
		if string(r.PrimaryCode) != tt.code || len(r.Findings) != 1 {
			t.Errorf("%s: %s %s %+v", tt.code, r.PrimaryCode, r.Summary, r.Findings)
		}
		testkit.Golden(t, tt.code+"/resolve.txt", text(t, func(b *strings.Builder) error { return render.Resolve(b, r, render.Options{}) }))
		for _, f := range resolve(tt.nearName, tt.near).Findings {
			if string(f.Code) == tt.code {
				t.Errorf("a near miss brings %s: %s", f.Code, f.Message)
			}
		}
	}
}
