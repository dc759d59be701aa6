package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/corefile"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate/records"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// coreDNS finds the server that the embedded cluster builds. Without it these tests say so: they are the only proof that
// the engine and CoreDNS agree.
func coreDNS(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("COREDNS"); path != "" {
		return path
	}
	home, _ := os.UserHomeDir()
	cache := filepath.Join(home, ".cache")
	for _, pattern := range []string{"kubectl-runbooks/components/coredns-*/coredns", "kubectl-runbooks/*/*/coredns"} {
		if found, _ := filepath.Glob(filepath.Join(cache, pattern)); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is no CoreDNS binary: `bin/cluster build` makes it, or set COREDNS")
	}
	t.Skip("there is no CoreDNS binary: `bin/cluster build` makes it, or set COREDNS")
	return ""
}

// serveAPI answers the lists that CoreDNS makes and holds its watches open, which is all of an API server that it needs.
func serveAPI(t testing.TB, s records.Snapshot) string {
	t.Helper()
	lists := map[string]func(labels.Selector) any{
		"/api/v1/services":   func(l labels.Selector) any { return listOf("v1", "ServiceList", s.Services, l) },
		"/api/v1/namespaces": func(l labels.Selector) any { return listOf("v1", "NamespaceList", s.Namespaces, l) },
		"/api/v1/pods":       func(l labels.Selector) any { return listOf("v1", "PodList", unfinished(s.Pods), l) },
		"/apis/discovery.k8s.io/v1/endpointslices": func(l labels.Selector) any {
			return listOf("discovery.k8s.io/v1", "EndpointSliceList", s.Slices, l)
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		list, known := lists[r.URL.Path]
		switch {
		case r.URL.Query().Get("sendInitialEvents") == "true":
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case r.URL.Query().Get("watch") != "":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case known:
			selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
			if err != nil {
				t.Errorf("%s: %v", r.URL, err)
			}
			_ = json.NewEncoder(w).Encode(list(selector))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

func listOf[T any](version, kind string, items []T, selector labels.Selector) any {
	kept := []T{}
	for i := range items {
		if object := any(&items[i]).(metav1.Object); selector.Matches(labels.Set(object.GetLabels())) {
			kept = append(kept, items[i])
		}
	}
	return map[string]any{"kind": kind, "apiVersion": version, "metadata": map[string]any{"resourceVersion": "1"}, "items": kept}
}

// unfinished leaves out finished pods, as CoreDNS's own field selector has the API server do.
func unfinished(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return p.Status.Phase != corev1.PodRunning })
}

// startCoreDNS runs a real CoreDNS with these options of its kubernetes plugin, and gives an exchanger for it.
func startCoreDNS(t testing.TB, api, zones, options string) (Stream, corefile.File) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, port, _ := net.SplitHostPort(address)
	block := fmt.Sprintf("kubernetes %s {\n  endpoint %%s\n%s\n}\n", zones, options)
	text := fmt.Sprintf(".:%s {\n"+block+"}\n", port, api)
	path := filepath.Join(t.TempDir(), "Corefile")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(coreDNS(t), "-conf", path)
	log := &strings.Builder{}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	stream := Stream{Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}, Viewpoint: "test", Server: address, Timeout: time.Second}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		answers := stream.Exchange(context.Background(), []records.Question{{Name: "dns-version.cluster.local.", Type: "TXT"}})
		if answers[0].Rcode == "NOERROR" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("CoreDNS does not answer: %s\n%s", answers[0].Error, log)
		}
	}
	return stream, corefile.Text(strings.ReplaceAll(text, ":"+port+" {", ":53 {"))
}

func word(r *rand.Rand, prefix string, n int) string { return fmt.Sprintf("%s%d", prefix, r.Intn(n)) }

func ptr[T any](v T) *T { return &v }

// randomSnapshot makes a cluster of every kind of Service, with collisions, empty and unready slices, dual stack, named
// and unnamed ports, and hostnames.
func randomSnapshot(r *rand.Rand) records.Snapshot {
	var s records.Snapshot
	for i := range 4 {
		s.Namespaces = append(s.Namespaces, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("ns%d", i), Labels: map[string]string{"tier": word(r, "t", 2)}}})
	}
	seen := map[string]bool{}
	for i := range 40 {
		svc := corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: word(r, "s", 30), Namespace: word(r, "ns", 4), Labels: map[string]string{"team": word(r, "a", 2)}, ResourceVersion: "1", UID: "u"}}
		if seen[svc.Namespace+svc.Name] {
			continue
		}
		seen[svc.Namespace+svc.Name] = true
		for p := range 1 + r.Intn(3) {
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: []string{"", "http", "dns-udp"}[p], Port: int32(80 + p), Protocol: []corev1.Protocol{"TCP", "UDP"}[r.Intn(2)]})
		}
		v4, v6 := fmt.Sprintf("10.96.%d.%d", i, r.Intn(250)+1), fmt.Sprintf("fd00::%x:%x", i+1, r.Intn(60000)+1)
		switch r.Intn(6) {
		case 0, 1:
			svc.Spec.ClusterIP, svc.Spec.ClusterIPs = v4, []string{v4}
		case 2:
			svc.Spec.ClusterIP, svc.Spec.ClusterIPs = v4, []string{v4, v6}
		case 3, 4:
			svc.Spec.ClusterIP, svc.Spec.ClusterIPs = "None", []string{"None"}
			if r.Intn(3) == 0 {
				svc.Spec.Ports = nil
			}
		case 5:
			svc.Spec.Type, svc.Spec.Ports = corev1.ServiceTypeExternalName, nil
			svc.Spec.ExternalName = []string{"192.0.2.7", word(r, "s", 30) + "." + word(r, "ns", 4) + ".svc.cluster.local", svc.Name + "." + svc.Namespace + ".svc.cluster.local", "no.such.svc.cluster.local"}[r.Intn(4)]
		}
		s.Services = append(s.Services, svc)
		if svc.Spec.Type != corev1.ServiceTypeExternalName {
			s.Slices = append(s.Slices, randomSlices(r, svc, i)...)
		}
	}
	for i := range 10 {
		s.Pods = append(s.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p%d", i), Namespace: word(r, "ns", 4), ResourceVersion: "1"}, Status: corev1.PodStatus{
			Phase: []corev1.PodPhase{corev1.PodRunning, corev1.PodSucceeded}[r.Intn(2)], PodIP: fmt.Sprintf("10.1.0.%d", i), PodIPs: []corev1.PodIP{{IP: fmt.Sprintf("10.1.0.%d", i)}},
		}})
	}
	return s
}

func randomSlices(r *rand.Rand, svc corev1.Service, i int) []discoveryv1.EndpointSlice {
	var list []discoveryv1.EndpointSlice
	for n := range r.Intn(3) {
		slice := discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", svc.Name, n), Namespace: svc.Namespace, ResourceVersion: "1", Labels: map[string]string{"team": svc.Labels["team"]}}, AddressType: discoveryv1.AddressTypeIPv4}
		if r.Intn(8) > 0 {
			slice.Labels[discoveryv1.LabelServiceName] = svc.Name
		}
		if r.Intn(4) == 0 {
			slice.AddressType = discoveryv1.AddressTypeIPv6
		}
		for _, p := range svc.Spec.Ports {
			slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: ptr(p.Name), Port: ptr(p.Port + 8000), Protocol: ptr(p.Protocol)})
		}
		for e := range r.Intn(4) {
			address := fmt.Sprintf("10.1.%d.%d", r.Intn(6), e+n*10)
			if slice.AddressType == discoveryv1.AddressTypeIPv6 {
				address = fmt.Sprintf("fd01::%x:%x", i+1, e+n*10)
				if r.Intn(4) == 0 {
					address = fmt.Sprintf("fd01:%x::", i*16+e+n+1)
				}
			}
			endpoint := discoveryv1.Endpoint{Addresses: []string{address}}
			switch r.Intn(4) {
			case 0:
				endpoint.Conditions.Ready = ptr(false)
			case 1:
				endpoint.Conditions.Ready, endpoint.Conditions.Serving, endpoint.Conditions.Terminating = ptr(true), ptr(false), ptr(true)
			case 2:
				endpoint.Conditions.Ready = ptr(true)
			}
			if r.Intn(3) == 0 {
				endpoint.Hostname = ptr(fmt.Sprintf("host-%d", e))
			}
			if r.Intn(2) == 0 {
				endpoint.TargetRef = &corev1.ObjectReference{Kind: "Pod", Name: fmt.Sprintf("pod-%s-%d", svc.Name, e)}
			}
			slice.Endpoints = append(slice.Endpoints, endpoint)
		}
		list = append(list, slice)
	}
	return list
}

// questions are those that verify asks, and as many that nobody meant.
func oddQuestions(r *rand.Rand, e *records.Engine, s records.Snapshot) []records.Question {
	var list []records.Question
	types := []string{"A", "AAAA", "SRV", "CNAME", "TXT", "PTR"}
	for i := range s.Services {
		svc := &s.Services[i]
		list = append(list, e.Questions(svc, 0)...)
		name := e.ServiceName(svc)
		for _, prefix := range []string{"", "_http._tcp.", "_dns-udp._udp.", "http.tcp.", "host-0.", "host-1.", "10-1-1-0.", "nope.", "*.", "_nope._tcp.", "a.b.c.", "pod-" + svc.Name + "-0."} {
			list = append(list, records.Question{Name: prefix + name, Type: types[r.Intn(len(types))]})
		}
	}
	for _, name := range []string{"cluster.local.", "svc.cluster.local.", "pod.cluster.local.", "ns0.svc.cluster.local.", "nons.svc.cluster.local.", "ns1.pod.cluster.local.", "x.cluster.local.", "dns-version.cluster.local.", "10-1-0-1.ns0.pod.cluster.local.", "10-1-0-2.ns1.pod.cluster.local.", "fd00--1.ns0.pod.cluster.local.", "not-an-ip.ns0.pod.cluster.local.", "1-2-3-4.nons.pod.cluster.local.", "S1.NS0.SVC.cluster.local."} {
		for _, typ := range types[:5] {
			list = append(list, records.Question{Name: name, Type: typ})
		}
	}
	for i := range 6 {
		for j := range 14 {
			list = append(list, records.Question{Name: records.ReverseName(fmt.Sprintf("10.1.%d.%d", i, j)), Type: "PTR"})
		}
	}
	return append(list, records.Question{Name: "1.10.in-addr.arpa.", Type: "PTR"}, records.Question{Name: "in-addr.arpa.", Type: "PTR"})
}

func TestTheEngineAnswersAsCoreDNSDoes(t *testing.T) {
	variants := map[string]string{
		"plain":            "",
		"insecure pods":    "pods insecure",
		"verified pods":    "pods verified",
		"pod names":        "endpoint_pod_names",
		"ignore empty":     "ignore empty_service",
		"namespaces":       "namespaces ns0 ns2",
		"namespace labels": "namespace_labels tier=t1",
		"labels":           "labels team=a1",
		"no endpoints":     "noendpoints",
	}
	for name, options := range variants {
		t.Run(name, func(t *testing.T) {
			seed := time.Now().UnixNano()
			r := rand.New(rand.NewSource(seed))
			s := randomSnapshot(r)
			stream, conf := startCoreDNS(t, serveAPI(t, s), "cluster.local in-addr.arpa ip6.arpa", options)
			o, ok := records.FromCorefile(conf)
			if !ok {
				t.Fatalf("the Corefile has no kubernetes plugin: %+v", conf)
			}
			engine := records.New(s, o)
			asked := 0
			for _, a := range stream.Exchange(context.Background(), oddQuestions(r, engine, s)) {
				x := engine.Lookup(a.Name, a.Type)
				if x.Open != "" {
					continue
				}
				asked++
				if records.Compare(x, a) != records.Same {
					t.Errorf("seed %d: %s %s: CoreDNS says %s %v %s, the engine %s %v", seed, a.Name, a.Type, a.Rcode, records.Data(a), a.Error, x.Outcome, x.Data)
				}
			}
			if asked < 300 {
				t.Errorf("only %d questions were decided", asked)
			}
		})
	}
}

// A thousand names at two servers in less than two seconds is what verify promises (docs/performance.md has the figure of
// an idle machine). Here the machine may be busy: what is asserted is that it never asks faster than it may, and ten
// seconds, which asking one question after the other over a tunnel would not keep.
func TestAThousandNamesAreAskedAtTheAllowedRate(t *testing.T) {
	var s records.Snapshot
	s.Namespaces = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "ns0"}}}
	for i := range 1000 {
		ip := fmt.Sprintf("10.96.%d.%d", i/250, i%250+1)
		s.Services = append(s.Services, corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("s%d", i), Namespace: "ns0"}, Spec: corev1.ServiceSpec{ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 80}}}})
	}
	api := serveAPI(t, s)
	first, _ := startCoreDNS(t, api, "cluster.local", "")
	second, _ := startCoreDNS(t, api, "cluster.local", "")
	var questions []records.Question
	for i := range 1000 {
		questions = append(questions, records.Question{Name: fmt.Sprintf("s%d.ns0.svc.cluster.local.", i), Type: "A"})
	}
	began := time.Now()
	done := make(chan []report.Answer, 2)
	for _, server := range []Stream{first, second} {
		go func() { done <- server.Exchange(context.Background(), questions) }()
	}
	for range 2 {
		for i, a := range <-done {
			if want := fmt.Sprintf("10.96.%d.%d", i/250, i%250+1); !cmp.Equal(records.Data(a), []string{want}) {
				t.Fatalf("%s: %v %s, want %s", a.Name, records.Data(a), a.Error, want)
			}
		}
	}
	took := time.Since(began)
	t.Logf("1,000 names at 2 servers took %s", took)
	if took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if took < 400*time.Millisecond {
		t.Errorf("took %s: more than the 2,000 questions a second that are allowed", took)
	}
}
