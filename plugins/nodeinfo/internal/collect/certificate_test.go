package collect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate"
)

// kubelet is a TLS server with a certificate of that name; it gives its port and what was sent to it after the handshake.
func kubelet(t *testing.T, subject, issuer string) (port int, sent chan string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: subject}, DNSNames: []string{"w1"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.1")},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	sent = make(chan string, 8)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(connection)
			sent <- string(data)
			connection.Close()
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port, sent
}

// reachable is a fleet whose node w1 has its kubelet at a port of this machine.
func reachable(t *testing.T, port int) *testkit.Server {
	t.Helper()
	s := fleet(t, 2)
	n := testNode("w1")
	n.TypeMeta = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}
	n.Status.Addresses[0].Address = "127.0.0.1"
	n.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	s.Answer(nodes+"/w1", n)
	s.Answer(nodes+"/w1/proxy/healthz", "ok")
	return s
}

func TestTheServingCertificateIsReadByAHandshakeAndNothingIsSent(t *testing.T) {
	for issuer, selfSigned := range map[string]bool{"w1-ca@17": true, "kubernetes": false} {
		subject := map[bool]string{true: "w1@17", false: "system:node:w1"}[selfSigned]
		port, sent := kubelet(t, subject, issuer)
		result, err := gather(t, reachable(t, port), Request{Names: []string{"w1"}, Depth: evaluate.Full, Kubelet: true})
		if err != nil {
			t.Fatal(err)
		}
		got := result.Input.Kubelets["w1"].Served
		if got == nil || got.Subject != subject || got.SelfSigned != selfSigned || !slices.Equal(got.Names, []string{"127.0.0.1", "w1"}) ||
			got.Address != "127.0.0.1:"+strconv.Itoa(port) || got.NotAfter.Year() != 2027 {
			t.Errorf("%s: %+v", issuer, got)
		}
		if data := <-sent; data != "" {
			t.Errorf("after the handshake: %q", data)
		}
		if s := result.Input.NodeSources["w1"].Get(evaluate.SourceCertificate); s.State != source.OK {
			t.Errorf("%+v", s)
		}
	}
}

func TestWithoutTheFlagNoNodeIsConnectedTo(t *testing.T) {
	port, sent := kubelet(t, "w1@17", "w1-ca@17")
	for _, r := range []Request{{Names: []string{"w1"}, Depth: evaluate.Full}, {Depth: evaluate.Fleet, Kubelet: true}} {
		result, err := gather(t, reachable(t, port), r)
		if err != nil {
			t.Fatal(err)
		}
		for node, sources := range result.Input.NodeSources {
			if slices.ContainsFunc(sources, func(s source.Source) bool { return s.Name == evaluate.SourceCertificate }) {
				t.Errorf("%s was asked for its certificate", node)
			}
		}
	}
	if len(sent) > 0 {
		t.Error("a connection to a kubelet that nobody asked for")
	}
}

// What cannot be had from here is a gap, and no claim about the node.
func TestACertificateThatCannotBeReadIsAGap(t *testing.T) {
	elsewhere, _ := kubelet(t, "printer", "printer-ca")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := closed.Addr().(*net.TCPAddr).Port
	closed.Close()
	for text, port := range map[string]int{"refuse": refused, `presents a certificate of "printer", which is not this node`: elsewhere} {
		s := reachable(t, port)
		if port == elsewhere { // the certificate names w1 only where w1 is another node's name
			n := testNode("w9")
			n.TypeMeta, n.Status.Addresses[0].Address = metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}, "127.0.0.1"
			n.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
			s.Answer(nodes+"/w1", n)
		}
		result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full, Kubelet: true})
		if err != nil {
			t.Fatal(err)
		}
		name := result.Input.Nodes[0].Name
		got := result.Input.NodeSources[name].Get(evaluate.SourceCertificate)
		if k := result.Input.Kubelets[name]; k.Served != nil || got.State != source.Skipped || !strings.Contains(got.Message, text) {
			t.Errorf("%s: %+v, %+v", text, k, got)
		}
	}
}

func TestTheKubeletsMetricsStandIn(t *testing.T) {
	s := reachable(t, 1)
	s.Answer(nodes+"/w1/proxy/metrics", testkit.Text("# HELP kubelet_certificate_manager_server_ttl_seconds Gauge\nkubelet_certificate_manager_server_ttl_seconds 1.5e+06\n"+
		"kubelet_certificate_manager_client_ttl_seconds +Inf\nkubelet_server_expiration_renew_errors 2\nkubelet_other 1\n"))
	result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full, Kubelet: true})
	if err != nil {
		t.Fatal(err)
	}
	k := result.Input.Kubelets["w1"]
	if k.ServerTTL == nil || *k.ServerTTL != 1.5e6 || k.ClientTTL != nil || k.ServerRenewErrors != 2 || k.ClientRenewErrors != 0 {
		t.Errorf("%+v", k)
	}
	if s := result.Input.NodeSources["w1"].Get(evaluate.SourceCertificate); s.State != source.OK {
		t.Errorf("%+v", s)
	}
}

// Of the requests in a cluster those of kubelets are kept, without what names their maker's credentials.
func TestRequestsOfKubeletsAreKept(t *testing.T) {
	const path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	s := fleet(t, 2)
	var list certificatesv1.CertificateSigningRequestList
	for _, signer := range []string{"kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet", "example.com/other"} {
		r := certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: signer, Annotations: map[string]string{"a": "s3cret"}}}
		r.Spec.SignerName, r.Spec.Request, r.Spec.Extra = signer, []byte("pem"), map[string]certificatesv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"s3cret"}}
		r.Status.Certificate = []byte("the certificate")
		list.Items = append(list.Items, r)
	}
	s.Answer(path, list)
	result, err := gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full})
	if err != nil {
		t.Fatal(err)
	}
	kept := result.Input.Requests
	if len(kept) != 2 || kept[0].Annotations != nil || kept[0].Spec.Extra != nil || string(kept[0].Spec.Request) != "pem" || string(kept[0].Status.Certificate) != "issued" {
		t.Errorf("%+v", kept)
	}
	if result, err = gather(t, s, Request{Names: []string{"w9"}, Depth: evaluate.Full}); err != nil || len(result.Input.Requests) != 2 {
		t.Errorf("%v: a machine that joins has no Node, and its request is not read", err)
	}
	s.Refuse(path, http.StatusForbidden)
	if result, err = gather(t, s, Request{Names: []string{"w1"}, Depth: evaluate.Full}); err != nil {
		t.Fatal(err)
	}
	if got := result.Input.Sources.Get(evaluate.SourceRequests); !strings.Contains(got.Gap(), "needs list certificatesigningrequests.certificates.k8s.io") {
		t.Errorf("%+v", got)
	}
}
