package evaluate

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/facts"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/reports"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/resolver"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/rules/servers"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/render"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// ask lets every replica answer questions: as the API has them, and NXDOMAIN outside the cluster. A target outside is
// dead: its CNAME comes alone.
func askReplicas(in *Input, questions []records.Question, change func(i int, a *report.Answer)) {
	w := facts.New(*in, noon, Options{})
	for i := range in.Probes {
		in.Probes[i].Answers = nil
		for _, q := range questions {
			a := answer(w, in.Probes[i].Pod, q)
			if x := w.Engine.Lookup(q.Name, q.Type); x.Open != "" {
				a.Rcode = "NXDOMAIN"
			}
			if cname := w.Engine.Lookup(q.Name, "CNAME").Data; len(cname) == 1 {
				a.Rcode = "NOERROR"
				a.Records = append(a.Records, report.Record{Name: q.Name, Type: "CNAME", Data: cname[0]})
			}
			if change != nil {
				change(i, &a)
			}
			in.Probes[i].Answers = append(in.Probes[i].Answers, a)
		}
	}
}

func explained(in Input, name string, l resolver.Libc, change func(i int, a *report.Answer)) report.Explanation {
	askReplicas(&in, ExplainQuestions(in, name), change)
	return Explain(in, noon, Options{}, name, []resolver.Libc{l})
}

func resolved(in Input, name string, change func(i int, a *report.Answer)) report.Resolution {
	in.From = nil
	name = Qualify(in, name)
	askReplicas(&in, []records.Question{{Name: name, Type: "A"}, {Name: name, Type: "AAAA"}}, change)
	return Resolve(in, noon, Options{}, name, []string{"A", "AAAA"}, "")
}

func with(services ...corev1.Service) Input {
	in := healthy()
	in.Services = append(in.Services, services...)
	return in
}

func without(in Input, state source.State, names ...string) Input {
	for i := range in.Sources {
		if slices.Contains(names, in.Sources[i].Name) {
			in.Sources[i] = source.Source{Name: in.Sources[i].Name, State: state, Verb: "list", Resource: in.Sources[i].Name}
		}
	}
	return in
}

// says holds a report against its headline and words of its summary; a word after "!" must not be there.
func says(t *testing.T, what string, h report.Header, verdict report.Verdict, code finding.Code, words ...string) {
	t.Helper()
	ok := h.Verdict == verdict && h.PrimaryCode == code
	for _, word := range words {
		word, not := strings.CutPrefix(word, "!")
		ok = ok && strings.Contains(h.Summary, word) != not
	}
	if !ok {
		t.Errorf("%s: %s %s: %s; want %s %s %q", what, h.Verdict, h.PrimaryCode, h.Summary, verdict, code, words)
	}
}

func commands(h report.Header) string {
	var list []string
	for _, f := range h.Findings {
		for _, n := range f.Next {
			list = append(list, n.Command)
		}
	}
	return strings.Join(list, "\n")
}

// NODATA is what a server must say of an ExternalName whose target gives nothing: the cause is the target.
func TestADeadTargetIsTheCause(t *testing.T) {
	young := externalName("dead", "gone.shop.svc.cluster.local")
	young.CreationTimestamp = ago(5 * time.Second)
	for what, svc := range map[string]corev1.Service{"a target in the cluster": externalName("dead", "gone.shop.svc.cluster.local"), "just made": young} {
		in := with(svc)
		says(t, what, explained(in, "dead", resolver.Glibc, nil).Header, report.Degraded, "ExternalNameTargetNotFound", "lookup of dead from pod", "!DNS may need")
		says(t, what, explained(in, "dead", resolver.Musl, nil).Header, report.Degraded, "ExternalNameTargetNotFound")
		says(t, what, resolved(in, "dead.shop", nil).Header, report.Degraded, "ExternalNameTargetNotFound")
	}
	in := with(externalName("dead", "nothing.invalid"))
	for _, h := range []report.Header{explained(in, "dead", resolver.Go, nil).Header, resolved(in, "dead.shop", nil).Header} {
		says(t, "a target outside", h, report.Degraded, "NoAddressRecord", "shop/dead refers to nothing.invalid, which has no address", "!closest existing")
		if !strings.Contains(commands(h), "resolve nothing.invalid.") {
			t.Errorf("next: %s", commands(h))
		}
	}
	testkit.Golden(t, "NoAddressRecord/resolve.txt", text(t, func(b *strings.Builder) error {
		return render.Resolve(b, resolved(in, "dead.shop", nil), render.Options{})
	}))
	in = with(externalName("dead", "api.shop"))
	says(t, "a target that no search list completes", resolved(in, "dead.shop", nil).Header, report.Degraded, "NoAddressRecord", "refers to api.shop, which has no address; closest existing name: api.shop.svc.cluster.local")
	in = with(externalName("alive", "api.shop.svc.cluster.local"))
	says(t, "a target that lives", explained(in, "alive", resolver.Glibc, nil).Header, report.Healthy, "")
	says(t, "a target that lives", resolved(in, "alive.shop", nil).Header, report.Healthy, "")
}

func TestANameWithoutAnAddressIsNotHealthy(t *testing.T) {
	says(t, "a namespace", resolved(healthy(), "shop.svc.cluster.local", nil).Header, report.Degraded, "NoAddressRecord", "shop.svc.cluster.local exists but has no address record")
	empty := func(_ int, a *report.Answer) { a.Rcode, a.Records = "NOERROR", nil }
	r := resolved(healthy(), "mail.example.com", empty)
	says(t, "a domain with mail alone", r.Header, report.Degraded, "NoAddressRecord", "mail.example.com exists but has no address record")
	if !strings.Contains(commands(r.Header), "--type MX,TXT") {
		t.Errorf("next: %s", commands(r.Header))
	}
	says(t, "servers that keep an address back", resolved(healthy(), "api.shop", empty).Header, report.Unhealthy, "RecordMismatch", "the DNS servers return no address for it")
	says(t, "one family", resolved(healthy(), "api.shop", nil).Header, report.Healthy, "")
	in := healthy()
	askReplicas(&in, []records.Question{{Name: "shop.svc.cluster.local.", Type: "A"}}, nil)
	if r := Resolve(in, noon, Options{}, "shop.svc.cluster.local.", []string{"A"}, ""); r.Verdict != report.Healthy {
		t.Errorf("one type alone was asked: %s %s", r.Verdict, r.Summary)
	}
}

// Which name the user means is told by its shape and the namespaces, the same for explain and resolve.
func TestTheNameThatWasMeantIsJudged(t *testing.T) {
	in := healthy()
	tests := []struct {
		name string
		says []string
		next string
	}{
		{"apii.shop.svc", []string{"apii.shop.svc.cluster.local does not exist", "closest existing name: api.shop.svc.cluster.local"}, "resolve api.shop.svc.cluster.local"},
		{"apii.shop", []string{"apii.shop.svc.cluster.local does not exist", "closest existing name: api.shop.svc.cluster.local"}, "resolve api.shop.svc.cluster.local"},
		{"api.shpo", []string{"api.shpo.svc.cluster.local does not exist", "closest existing name: api.shop.svc.cluster.local"}, "resolve api.shop.svc.cluster.local"},
		{"h.nothing.shop", []string{"h.nothing.shop.svc.cluster.local does not exist"}, "get services -A"},
		{"www.example.com", []string{"www.example.com does not exist outside the cluster, and namespace com does not exist", "!svc.cluster.local"}, "dns upstream"},
		{"example.com", []string{"example.com does not exist outside the cluster", "!svc.cluster.local"}, "dns upstream"},
	}
	for _, tt := range tests {
		for what, h := range map[string]report.Header{"explain": explained(in, tt.name, resolver.Glibc, nil).Header, "resolve": resolved(in, tt.name, nil).Header} {
			says(t, what+" "+tt.name, h, report.Degraded, "NameNotFound", tt.says...)
			if !strings.Contains(commands(h), tt.next) {
				t.Errorf("%s %s: next %s", what, tt.name, commands(h))
			}
			for _, e := range h.Findings[0].Evidence {
				if e.Source == "Namespace" && e.Path == "" {
					t.Errorf("%s %s: a namespace without a name in %v", what, tt.name, e)
				}
			}
		}
	}
	says(t, "a Service without its namespace", resolved(in, "api", nil).Header, report.Degraded, "NameNotFound", "closest existing name: api.shop.svc.cluster.local")
	says(t, "a final dot", resolved(in, "api.shop.", nil).Header, report.Degraded, "NameNotFound", "api.shop does not exist outside the cluster; closest existing name: api.shop.svc.cluster.local")
	says(t, "Windows", explained(in, "api.shop", resolver.Windows, nil).Header, report.Degraded, "NameNotFound", "closest existing name: api.shop.svc.cluster.local")
}

func TestAServiceIsNotSuggestedToItself(t *testing.T) {
	young := headless("db", map[string]string{"app": "db"})
	young.CreationTimestamp = ago(5 * time.Second)
	says(t, "just made", resolved(with(young), "db.shop", nil).Header, report.Degraded, "NameNotFound", "headless Service shop/db has no ready endpoints", "!closest existing")
	in := without(with(headless("db", map[string]string{"app": "db"})), source.Forbidden, "endpointslices")
	in.Slices = nil
	says(t, "EndpointSlices forbidden", resolved(in, "db.shop", nil).Header, report.Degraded, "NameNotFound", "its endpoints could not be read", "!closest existing")
	says(t, "EndpointSlices forbidden", resolved(in, "h.api.shop", nil).Header, report.Degraded, "NameNotFound", "its endpoints could not be read", "!no ready endpoint")
}

func TestAServiceThatTheCorefileLeavesOut(t *testing.T) {
	for what, option := range map[string]string{"by its namespace": "namespaces default kube-system", "by its labels": "labels app=web"} {
		in := healthy()
		corefileOf(&in, "ttl 30\n", "ttl 30\n"+option+"\n")
		r := resolved(in, "api.shop", nil)
		says(t, what, r.Header, report.Degraded, "NameNotFound", "Service shop/api exists, but the Corefile excludes it", "!closest existing")
		if !strings.Contains(commands(r.Header), "dns config") {
			t.Errorf("next: %s", commands(r.Header))
		}
	}
}

// A Service without endpoints has an address all the same: servers that deny it are what is wrong.
func TestServersThatDenyAServiceWithoutEndpoints(t *testing.T) {
	in := healthy()
	in.Slices = in.Slices[:1]
	denied := func(_ int, a *report.Answer) { a.Rcode, a.Records = "NXDOMAIN", nil }
	says(t, "a namespace", resolved(in, "shop.svc.cluster.local", denied).Header, report.Unhealthy, "RecordMismatch")
	says(t, "denied", resolved(in, "api.shop", denied).Header, report.Unhealthy, "RecordMismatch")
}

func rewritten(names ...string) Input {
	in := healthy()
	rules := ""
	for _, name := range names {
		rules += "rewrite name exact " + name + " kubernetes.default.svc.cluster.local\n"
	}
	corefileOf(&in, "loop\n", rules+"loop\n")
	return in
}

func TestExplainSaysThatTheCorefileChangesTheAnswer(t *testing.T) {
	other := func(_ int, a *report.Answer) {
		if strings.HasPrefix(a.Name, "api.shop.svc.") && a.Type == "A" {
			a.Records[0].Data = "10.96.0.1"
		}
	}
	in := rewritten("api.shop.svc.cluster.local")
	says(t, "rewritten", explained(in, "api.shop", resolver.Glibc, other).Header, report.Degraded, "AnswersOverridden", "rewrite in line")
	says(t, "a rule that changes nothing", explained(in, "api.shop", resolver.Glibc, nil).Header, report.Healthy, "")
}

func TestEveryRuleOfTheCorefileIsNamed(t *testing.T) {
	in := rewritten("api.shop.svc.cluster.local", "web.shop.svc.cluster.local")
	in.Services = append(in.Services, service("shop", "web", "10.96.1.2", nil, corev1.ServicePort{Port: 80, Protocol: "TCP"}))
	askReplicas(&in, []records.Question{{Name: "api.shop.svc.cluster.local.", Type: "A"}, {Name: "web.shop.svc.cluster.local.", Type: "A"}}, func(_ int, a *report.Answer) { a.Records[0].Data = "10.96.0.1" })
	list := servers.CheckAltered(facts.New(in, noon, Options{}))
	if len(list) != 2 || list[0].Message == list[1].Message || !strings.Contains(list[0].Message, "for 1 cluster name") || !strings.HasPrefix(list[1].Evidence[0].Path, "web.shop.") {
		t.Errorf("%+v", list)
	}
}

// A replica that is wrong is not excused by an acl for the whole block.
func TestAnAclHidesNoWrongReplica(t *testing.T) {
	in := build(func(in *Input) { corefileOf(in, "loop\n", "acl {\n allow net 10.0.0.0/8\n}\nloop\n") }, func(in *Input) {
		for i, a := range in.Probes[0].Answers {
			if strings.HasPrefix(a.Name, "api.shop.") && a.Type == "A" {
				in.Probes[0].Answers[i].Rcode, in.Probes[0].Answers[i].Records = "NXDOMAIN", nil
			}
		}
	})
	if got := judge(in); got.PrimaryCode != "ReplicaWrongAnswer" {
		t.Errorf("%s: %s", got.PrimaryCode, got.Summary)
	}
}

func TestAZoneThatThePodDoesNotSearchIsTheCause(t *testing.T) {
	for what, change := range map[string]func(*Input){
		"by the kubelets": func(*Input) {}, "by the pod's search list": func(in *Input) { in.Kubelets = nil },
	} {
		in := healthy()
		corefileOf(&in, "kubernetes cluster.local", "kubernetes cluster.locl")
		change(&in)
		for _, name := range []string{"api", "api.shop", "api.shop.svc.cluster.local"} {
			says(t, what+" "+name, explained(in, name, resolver.Glibc, nil).Header, report.Unhealthy, "ZoneNotServed", "cluster.local", "cluster.locl")
		}
		says(t, what+" outside", explained(in, "www.example.com", resolver.Glibc, nil).Header, report.Degraded, "NameNotFound", "outside the cluster")
	}
}

// Who could not be asked says nothing of DNS.
func TestNoTunnelIsNoVerdictOnAName(t *testing.T) {
	untunneled := func(in Input, forbidden bool, which ...int) Input {
		for _, i := range which {
			in.Probes[i] = Probe{Namespace: "kube-system", Pod: in.Probes[i].Pod, Error: "no tunnel", Forbidden: forbidden}
		}
		return in
	}
	questions := []records.Question{{Name: "api.shop.svc.cluster.local.", Type: "A"}}
	in := healthy()
	askReplicas(&in, questions, nil)
	in.From = nil
	in = without(untunneled(in, true, 0, 1), source.Forbidden, "port-forward")
	says(t, "forbidden", Resolve(in, noon, Options{}, questions[0].Name, []string{"A"}, "").Header, report.Unknown, "", "no server could be queried (needs list port-forward)")
	in = without(untunneled(in, false, 0, 1), source.Unreachable, "port-forward")
	says(t, "refused", Resolve(in, noon, Options{}, questions[0].Name, []string{"A"}, "").Header, report.Unknown, "", "no server could be queried")
	in = healthy()
	askReplicas(&in, questions, nil)
	in.From = nil
	in = untunneled(in, false, 1)
	says(t, "one of two", Resolve(in, noon, Options{}, questions[0].Name, []string{"A"}, "").Header, report.Degraded, "ReplicaPortForwardFailed")
	in = healthy()
	in.Probes, in.From.Error = nil, "pods/exec is forbidden"
	r := Resolve(in, noon, Options{}, questions[0].Name, []string{"A"}, "")
	says(t, "not from inside", r.Header, report.Unknown, "", "from inside pod shop/web: pods/exec is forbidden")
	if !strings.Contains(commands(r.Header), "--probe pod") {
		t.Errorf("next: %s", commands(r.Header))
	}
}

func TestExplainDoesNotTakeNotKnownForNotThere(t *testing.T) {
	in := without(healthy(), source.Forbidden, "port-forward")
	in.Probes = nil
	for _, l := range resolver.All() {
		e := Explain(in, noon, Options{}, "www.example.com", []resolver.Libc{l})
		says(t, string(l), e.Header, report.Unknown, "", "unknown whether www.example.com is found", "!does not exist")
		if e.Lookups[0].Outcome != reports.Unknown {
			t.Errorf("%s: %+v", l, e.Lookups[0])
		}
	}
	says(t, "what the API tells", Explain(in, noon, Options{}, "api.shop", []resolver.Libc{resolver.Glibc}).Header, report.Healthy, "", "answered at step 2")
	says(t, "what the API tells", Explain(in, noon, Options{}, "apii.shop", []resolver.Libc{resolver.Glibc}).Header, report.Degraded, "NameNotFound", "apii.shop.svc.cluster.local does not exist", "!lookup of")
	blind := without(in, source.Forbidden, "services", "endpointslices", "namespaces")
	blind.Services, blind.Slices, blind.Namespaces, blind.Pods, blind.Deployments = nil, nil, nil, nil, nil
	for _, name := range []string{"api", "api.shop", "api.shop.svc"} {
		says(t, "no rights: "+name, Explain(blind, noon, Options{}, name, []resolver.Libc{resolver.Glibc}).Header, report.Unknown, "", "!does not exist")
	}
	answering := healthy()
	askReplicas(&answering, ExplainQuestions(answering, "apii"), nil)
	blind.Probes = answering.Probes
	e := Explain(blind, noon, Options{}, "apii", []resolver.Libc{resolver.Glibc})
	says(t, "denied by the servers", e.Header, report.Degraded, "NameNotFound", "apii.shop.svc.cluster.local does not exist")
	if f := e.Findings[0]; f.Evidence[0].Source != "answer of port-forward:coredns-a" {
		t.Errorf("what could not be read is no evidence: %+v", f.Evidence)
	}
	hidden := without(with(headless("db", map[string]string{"app": "db"})), source.Forbidden, "port-forward", "endpointslices")
	hidden.Probes, hidden.Slices = nil, nil
	says(t, "a headless Service whose endpoints are not known", Explain(hidden, noon, Options{}, "db", []resolver.Libc{resolver.Glibc}).Header, report.Unknown, "", "!does not exist")
}

func TestExplainTellsServersThatFailFromNamesThatAreMissing(t *testing.T) {
	failing := func(_ int, a *report.Answer) {
		if !corefile.InZone(a.Name, "cluster.local.") {
			a.Rcode, a.Records = "SERVFAIL", nil
		}
	}
	e := explained(healthy(), "www.example.com", resolver.Glibc, failing)
	says(t, "SERVFAIL", e.Header, report.Unhealthy, "NoUsableAnswer", "www.example.com gets no usable answer (A: SERVFAIL, AAAA: SERVFAIL)", "!does not exist")
	if !strings.Contains(commands(e.Header), "dns upstream") {
		t.Errorf("next: %s", commands(e.Header))
	}
	e = explained(healthy(), "api.shop", resolver.Glibc, func(_ int, a *report.Answer) { silent(a) })
	says(t, "silence of a port-forward, which is never the pod's", e.Header, report.Unknown, "", "unknown whether api.shop is found")
	in := healthy()
	for _, q := range ExplainQuestions(in, "api.shop") {
		in.From.Answers = append(in.From.Answers, report.Answer{Viewpoint: "pod:shop/web", Server: "10.96.0.10", Name: q.Name, Type: q.Type, Transport: "UDP", Error: "no answer in time"})
	}
	says(t, "silence in the pod", explained(in, "api.shop", resolver.Glibc, nil).Header, report.Unhealthy, "NoUsableAnswer", "timeout")
}

func TestTheHostsFileOfThePodComesFirst(t *testing.T) {
	in := healthy()
	in.From.Files["/etc/hosts"] = "127.0.0.1\tlocalhost\n::1\tlocalhost\n10.244.1.7\tweb # api\n"
	in.From.Pod.Spec.HostAliases = []corev1.HostAlias{{IP: "192.0.2.7", Hostnames: []string{"alias"}}}
	for _, l := range resolver.All() {
		says(t, string(l), explained(in, "localhost", l, nil).Header, report.Healthy, "", "127.0.0.1, ::1", "before DNS")
		says(t, string(l), explained(in, "WEB", l, nil).Header, report.Healthy, "", "10.244.1.7")
		says(t, string(l), explained(in, "api.shop.svc.cluster.local", l, nil).Header, report.Healthy, "", "!/etc/hosts")
	}
	// getaddrinfo finds no name with a final dot there, and Go's resolver does
	for l, want := range map[resolver.Libc]string{resolver.Glibc: reports.NotFound, resolver.Musl: reports.NotFound, resolver.Go: reports.Answered} {
		if e := explained(in, "web.", l, nil); e.Lookups[0].Outcome != want {
			t.Errorf("%s: a final dot: %+v", l, e.Lookups[0])
		}
	}
	if e := explained(in, "alias", resolver.Glibc, nil); e.Lookups[0].Outcome != reports.NotFound {
		t.Errorf("the real file counts: %+v", e.Lookups[0])
	}
	delete(in.From.Files, "/etc/hosts")
	if e := explained(in, "alias", resolver.Glibc, nil); e.Lookups[0].Outcome != reports.Answered || e.Lookups[0].Answer[0] != "192.0.2.7" {
		t.Errorf("what the kubelet writes: %+v", e.Lookups[0])
	}
}

func TestTheCauseOfAFailedWalkIsSaidOnce(t *testing.T) {
	e := explained(with(headless("db", map[string]string{"app": "db"})), "db", resolver.Glibc, nil)
	says(t, "headless", e.Header, report.Degraded, "HeadlessServiceWithoutEndpoints", "lookup of db from pod")
	if len(e.Findings) != 1 {
		t.Errorf("%+v", e.Findings)
	}
}

func TestADeadUpstreamDoesNotHoldUpTheNamesOfTheCluster(t *testing.T) {
	in := healthy()
	in.From.Files["/etc/resolv.conf"] = "search corp.test shop.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:1\n"
	outside := false
	for _, q := range ExplainQuestions(in, "api.shop") {
		in := corefile.InZone(q.Name, "cluster.local.")
		if in && outside {
			t.Errorf("%s is asked behind a name outside", q.Name)
		}
		outside = outside || !in
	}
}

// swallowed has every query answered by a line that runs before the kubernetes and the forward plugin.
func swallowed(rcode string) func(in *Input) {
	return func(in *Input) {
		each(in, func(_ *Probe, a *report.Answer) { a.Rcode, a.Records, a.Authoritative = rcode, nil, false })
	}
}

// What no replica has loaded does no harm yet, and a line that answers the names outside, too, says nothing of the upstream.
func TestALineThatIsNotLoadedYetIsAWarning(t *testing.T) {
	for code, line := range map[string]string{
		"TemplateOverridesCluster": "template ANY ANY {\n rcode SERVFAIL\n}\nloop\n",
		"HostsWithoutFallthrough":  "hosts {\n 192.0.2.7 db.example.com\n}\nloop\n",
	} {
		write := func(in *Input) { corefileOf(in, "loop\n", line) }
		got := judge(build(write, nil))
		if got.Verdict != "Degraded" || string(got.PrimaryCode) != code || !strings.Contains(got.Summary, "once the replicas load this Corefile") {
			t.Errorf("%s, not loaded: %s: %s", code, got.Verdict, got.Summary)
		}
		got = judge(build(write, swallowed("SERVFAIL")))
		if got.Verdict != "Unhealthy" || len(got.Findings) != 1 || strings.Contains(got.Summary, "once") || strings.Contains(strings.Join(got.PassedChecks, " "), "outside") {
			t.Errorf("%s, loaded: %s: %s %v, right: %v", code, got.Verdict, got.Summary, len(got.Findings), got.PassedChecks)
		}
	}
	got := judge(build(func(in *Input) { // a name outside is not the line's
		corefileOf(in, "loop\n", "hosts /etc/more cluster.local {\n 192.0.2.7 db.example.com\n}\nloop\n")
	}, swallowed("SERVFAIL")))
	if len(got.Findings) != 2 {
		t.Errorf("the upstream fails, too: %s %v", got.Summary, got.Findings)
	}
}

// The line of the Corefile is the cause, and stands first and alone.
func TestALineThatHidesTheClusterIsTheCauseOfItsSilence(t *testing.T) {
	for code, line := range map[string]string{
		"TemplateOverridesCluster": "template IN A cluster.local {\n rcode NXDOMAIN\n}\nloop\n",
		"HostsWithoutFallthrough":  "hosts {\n 192.0.2.7 db.example.com\n}\nloop\n",
	} {
		in := healthy()
		corefileOf(&in, "loop\n", line)
		for i := range in.Probes {
			for k := range in.Probes[i].Answers {
				if a := &in.Probes[i].Answers[k]; a.Type != "SOA" && a.Name != in.External {
					a.Rcode, a.Records = "NXDOMAIN", nil
				}
			}
		}
		got := judge(in)
		if string(got.PrimaryCode) != code || len(got.Findings) != 1 || strings.Contains(strings.Join(got.PassedChecks, " "), "serves cluster.local") {
			t.Errorf("%s: %s %v, right: %v", code, got.Summary, len(got.Findings), got.PassedChecks)
		}
	}
}
