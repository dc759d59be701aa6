package records

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

func ptr[T any](v T) *T { return &v }

func svc(name string, spec corev1.ServiceSpec) corev1.Service {
	return corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "n"}, Spec: spec}
}

func slice(service string, ports []discoveryv1.EndpointPort, endpoints ...discoveryv1.Endpoint) discoveryv1.EndpointSlice {
	return discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: service + "-x", Namespace: "n", Labels: map[string]string{discoveryv1.LabelServiceName: service}}, Ports: ports, Endpoints: endpoints}
}

func snapshot() Snapshot {
	named := []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080)), Protocol: ptr(corev1.ProtocolTCP)}}
	return Snapshot{
		Namespaces: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "n"}}, {ObjectMeta: metav1.ObjectMeta{Name: "empty"}}},
		Services: []corev1.Service{
			svc("web", corev1.ServiceSpec{ClusterIP: "10.96.0.5", ClusterIPs: []string{"10.96.0.5"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: "TCP"}, {Port: 81, Protocol: "TCP"}}}),
			svc("dual", corev1.ServiceSpec{ClusterIP: "10.96.0.6", ClusterIPs: []string{"10.96.0.6", "fd00::6"}, Ports: []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: "UDP"}}}),
			svc("db", corev1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: "TCP"}}}),
			svc("noports", corev1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"}}),
			svc("unready", corev1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"}}),
			svc("ext", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "www.example.com"}),
			svc("extip", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "192.0.2.1"}),
			svc("extin", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "web.n.svc.cluster.local"}),
			svc("extgone", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "gone.n.svc.cluster.local"}),
			svc("self", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "self.n.svc.cluster.local"}),
		},
		Slices: []discoveryv1.EndpointSlice{
			slice("db", named, discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}, Hostname: ptr("db-0")}, discoveryv1.Endpoint{Addresses: []string{"10.1.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(true), Terminating: ptr(true)}}, discoveryv1.Endpoint{Addresses: []string{"10.1.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(false), Serving: ptr(true)}}),
			slice("noports", nil, discoveryv1.Endpoint{Addresses: []string{"10.1.0.4"}}),
			slice("unready", nil, discoveryv1.Endpoint{Addresses: []string{"10.1.0.5"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(false)}}),
			slice("web", named, discoveryv1.Endpoint{Addresses: []string{"10.1.0.1"}}),
		},
	}
}

func options(t *testing.T, extra string) Options {
	t.Helper()
	o, ok := FromCorefile(corefile.Text(". {\n kubernetes cluster.local in-addr.arpa ip6.arpa {\n" + extra + "\n }\n}\n"))
	if !ok {
		t.Fatal("no kubernetes plugin")
	}
	return o
}

// The rules of the specification and what CoreDNS makes of them
// (https://github.com/kubernetes/dns/blob/master/docs/specification.md); every row was seen in a real CoreDNS, which the
// property test in package collect asks.
func TestTheRules(t *testing.T) {
	tests := []struct{ title, options, question, want string }{
		{"ClusterIP", "", "web.n.svc A", "10.96.0.5"},
		{"ClusterIP without ready endpoints answers all the same", "", "dual.n.svc A", "10.96.0.6"},
		{"the other family is NODATA, not NXDOMAIN", "", "web.n.svc AAAA", "NODATA"},
		{"dual stack", "", "dual.n.svc AAAA", "fd00::6"},
		{"SRV of a named port has the Service's port", "", "_http._tcp.web.n.svc SRV", "80 web.n.svc.cluster.local."},
		{"SRV of a wrong protocol", "", "_http._udp.web.n.svc SRV", "NXDOMAIN"},
		{"SRV of the bare name lists all ports", "", "web.n.svc SRV", "80 web.n.svc.cluster.local., 81 web.n.svc.cluster.local."},
		{"two labels without underscores match as well", "", "http.tcp.web.n.svc A", "10.96.0.5"},
		{"headless: ready endpoints, terminating or not", "", "db.n.svc A", "10.1.0.1, 10.1.0.2"},
		{"headless: hostname", "", "db-0.db.n.svc A", "10.1.0.1"},
		{"headless: dashed address", "", "10-1-0-2.db.n.svc A", "10.1.0.2"},
		{"headless: an unready endpoint has no name", "", "10-1-0-3.db.n.svc A", "NXDOMAIN"},
		{"headless SRV has the slice's port", "", "_http._tcp.db.n.svc SRV", "8080 10-1-0-2.db.n.svc.cluster.local., 8080 db-0.db.n.svc.cluster.local."},
		{"headless without ready endpoints does not exist", "", "unready.n.svc A", "NXDOMAIN"},
		{"headless without ports has addresses", "", "noports.n.svc A", "10.1.0.4"},
		{"headless without ports has no SRV", "", "noports.n.svc SRV", "NODATA"},
		{"PTR of a ClusterIP", "", "5.0.96.10.in-addr.arpa. PTR", "web.n.svc.cluster.local."},
		{"PTR of a pod in two Services", "", "1.0.1.10.in-addr.arpa. PTR", "10-1-0-1.web.n.svc.cluster.local., db-0.db.n.svc.cluster.local."},
		{"PTR of nobody", "", "9.9.9.10.in-addr.arpa. PTR", "NXDOMAIN"},
		{"ExternalName is a CNAME", "", "ext.n.svc CNAME", "www.example.com."},
		{"ExternalName to an address", "", "extip.n.svc A", "NXDOMAIN"},
		{"ExternalName within the cluster is followed", "", "extin.n.svc A", "10.96.0.5"},
		{"ExternalName to a missing name", "", "extgone.n.svc A", "NODATA"},
		{"ExternalName to itself", "", "self.n.svc A", "NODATA"},
		{"ExternalName has no SRV", "", "ext.n.svc SRV", "NODATA"},
		{"a namespace that is there", "", "empty.svc A", "NODATA"},
		{"a namespace that is not", "", "nope.svc A", "NXDOMAIN"},
		{"wildcards are gone since 1.9", "", "*.n.svc A", "NXDOMAIN"},
		{"letters' case does not matter", "", "WEB.N.svc A", "10.96.0.5"},
		{"the version", "", "dns-version TXT", "1.1.0"},
		{"pods disabled is the default", "", "10-1-0-1.n.pod A", "NXDOMAIN"},
		{"pods insecure answers any address", "pods insecure", "1-2-3-4.n.pod A", "1.2.3.4"},
		{"pods insecure, unknown namespace", "pods insecure", "1-2-3-4.nope.pod A", "NXDOMAIN"},
		{"pods verified", "pods verified", "1-2-3-4.n.pod A", "NXDOMAIN"},
		{"noendpoints", "noendpoints", "db.n.svc A", "NXDOMAIN"},
		{"ignore empty_service", "ignore empty_service", "dual.n.svc A", "NXDOMAIN"},
		{"namespaces", "namespaces other", "web.n.svc A", "NXDOMAIN"},
		{"labels", "labels app=x", "web.n.svc A", "NXDOMAIN"},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			name, typ, _ := strings.Cut(tt.question, " ")
			if !strings.HasSuffix(name, ".") {
				name += ".cluster.local."
			}
			if got := New(snapshot(), options(t, tt.options)).Lookup(name, typ).String(); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.question, got, tt.want)
			}
		})
	}
}

func TestWhatCannotBeKnownIsOpen(t *testing.T) {
	e := New(snapshot(), options(t, "fallthrough in-addr.arpa"))
	for _, q := range []string{"ext.n.svc.cluster.local. A", "www.example.com. A", "9.9.9.10.in-addr.arpa. PTR", "ns.dns.cluster.local. A"} {
		name, typ, _ := strings.Cut(q, " ")
		if x := e.Lookup(name, typ); x.Open == "" {
			t.Errorf("%s: %s", q, x)
		}
	}
	unlabelled := snapshot()
	unlabelled.Slices[1].Labels = nil
	if x := New(unlabelled, options(t, "")).Lookup("4.0.1.10.in-addr.arpa.", "PTR"); x.Open == "" {
		t.Errorf("CoreDNS sends nothing for an address in a slice without a Service: %s", x)
	}
}

func TestCompare(t *testing.T) {
	x := Expected{Outcome: NoError, Data: []string{"10.0.0.1", "10.0.0.2"}}
	a := func(rcode string, data ...string) report.Answer {
		answer := report.Answer{Type: "A", Rcode: rcode, Records: []report.Record{{Type: "CNAME", Data: "x."}}}
		for _, d := range data {
			answer.Records = append(answer.Records, report.Record{Type: "A", Data: d})
		}
		return answer
	}
	tests := []struct {
		x    Expected
		a    report.Answer
		want Result
	}{
		{x, a(NoError, "10.0.0.2", "10.0.0.1"), Same},
		{x, a(NoError, "10.0.0.1"), Missing},
		{x, a(NXDomain), Missing},
		{x, a(NoError, "10.0.0.1", "10.0.0.2", "10.0.0.3"), Extra},
		{x, a(NoError, "10.0.0.1", "10.0.0.9"), Wrong},
		{x, a(""), None},
		{Expected{Outcome: NXDomain}, a(NXDomain), Same},
		{Expected{Outcome: NXDomain}, a(NoError), Wrong},
		{Expected{Outcome: NXDomain}, a(NoError, "10.0.0.1"), Extra},
		{Expected{Outcome: NoData}, a(NoError), Same},
		{Expected{Outcome: NoData}, a("SERVFAIL"), Wrong},
		{Expected{Open: "elsewhere"}, a("SERVFAIL"), Same},
	}
	for _, tt := range tests {
		if got := Compare(tt.x, tt.a); got != tt.want {
			t.Errorf("%s, %s %v: %s, want %s", tt.x, tt.a.Rcode, tt.a.Records, got, tt.want)
		}
	}
}

func TestQuestionsAreWhatTheAPIRequires(t *testing.T) {
	s := snapshot()
	e := New(s, options(t, ""))
	var got []string
	for _, q := range e.Questions(&s.Services[2], 1) {
		got = append(got, q.Type+" "+q.Name)
	}
	want := []string{"A db.n.svc.cluster.local.", "AAAA db.n.svc.cluster.local.", "SRV _http._tcp.db.n.svc.cluster.local.", "A db-0.db.n.svc.cluster.local.", "PTR 1.0.1.10.in-addr.arpa."}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for i := range s.Services {
		for _, q := range e.Questions(&s.Services[i], 0) {
			if x := e.Lookup(q.Name, q.Type); x.Outcome == NXDomain && s.Services[i].Name != "unready" && s.Services[i].Name != "extip" {
				t.Errorf("%s asks %v, which does not exist", s.Services[i].Name, q)
			}
		}
	}
}

func TestRulesBeforeThePluginAreKnown(t *testing.T) {
	f := corefile.Text("cluster.local {\n rewrite name suffix .old.svc.cluster.local .new.svc.cluster.local\n template IN A lan {\n }\n hosts {\n  192.0.2.1 box.lan api.n.svc.cluster.local\n  fallthrough\n }\n cache\n kubernetes\n}\n")
	o, _ := FromCorefile(f)
	for name, want := range map[string]string{"x.old.svc.cluster.local": "rewrite", "x.n.svc.cluster.local": "", "printer.lan": "template", "api.n.svc.cluster.local": "hosts"} {
		a, ok := o.AlteredBy(name, "")
		if ok != (want != "") || a.Plugin != want {
			t.Errorf("%s: %+v %v", name, a, ok)
		}
	}
}

// acl takes answers away and never changes one: what is wrong behind it is not its doing.
func TestAnAclIsNotBlamedForAWrongAnswer(t *testing.T) {
	o, _ := FromCorefile(corefile.Text("cluster.local {\n acl {\n  filter net 192.0.2.0/24\n }\n kubernetes\n}\n"))
	for outcome, want := range map[string]bool{"REFUSED": true, NoData: true, NXDomain: false, NoError: false} {
		if _, got := o.AlteredBy("api.n.svc.cluster.local", outcome); got != want {
			t.Errorf("%s: %v, want %v", outcome, got, want)
		}
	}
}

func TestReverseNamesThereAndBack(t *testing.T) {
	for _, ip := range []string{"10.96.0.1", "fd00::1", "2001:db8:0:1::abcd"} {
		if got := AddressOf(ReverseName(ip)); got != ip {
			t.Errorf("%s became %s by way of %s", ip, got, ReverseName(ip))
		}
	}
	for _, name := range []string{"1.10.in-addr.arpa.", "a.b.c.d.in-addr.arpa.", "1.ip6.arpa.", "web.n.svc.cluster.local."} {
		if got := AddressOf(name); got != "" {
			t.Errorf("%s is no address, and became %s", name, got)
		}
	}
}
