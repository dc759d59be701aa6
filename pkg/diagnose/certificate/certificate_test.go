package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"slices"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func csr(t *testing.T, signer, user, subject string, names ...string) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	r := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "csr-a"}, Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: signer, Username: user},
	}
	if subject == "" {
		return r
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: subject}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	r.Spec.Request = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	return r
}

const (
	serving = certificatesv1.KubeletServingSignerName
	client  = certificatesv1.KubeAPIServerClientKubeletSignerName
)

func TestARequestBelongsToItsNode(t *testing.T) {
	tests := []struct {
		name                  string
		signer, user, subject string
		node                  string
		use                   Use
		foreign               bool
	}{
		{"a kubelet's next serving certificate", serving, "system:node:w1", "system:node:w1", "w1", Serving, false},
		{"a request that is not kept", serving, "system:node:w1", "", "w1", Serving, false},
		{"a machine that joins", client, "system:bootstrap:c9d23d", "system:node:w9", "w9", Client, false},
		{"a node that asks for another's", client, "system:node:w1", "system:node:w2", "w2", Client, true},
		{"a person's", client, "admin", "admin", "", "", false},
		{"another signer", "kubernetes.io/kube-apiserver-client", "system:node:w1", "system:node:w1", "", "", false},
		{"a token, and no request", client, "system:bootstrap:c9d23d", "", "", "", false},
	}
	for _, tt := range tests {
		r, ok := RequestOf(csr(t, tt.signer, tt.user, tt.subject))
		if ok != (tt.node != "") || r.Node != tt.node || r.Use != tt.use || ok && r.Foreign() != tt.foreign {
			t.Errorf("%s: %t, %+v", tt.name, ok, r)
		}
	}
}

func TestTheNamesInARequest(t *testing.T) {
	r, _ := RequestOf(csr(t, serving, "system:node:w1", "system:node:w1", "w1", "10.0.0.5", "fd00::5"))
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
		{Type: corev1.NodeHostName, Address: "w1"}, {Type: corev1.NodeInternalIP, Address: "10.0.0.5"}, {Type: corev1.NodeInternalIP, Address: "FD00:0::5"},
	}}}
	if !slices.Equal(r.Names, []string{"10.0.0.5", "fd00::5", "w1"}) || !r.Readable {
		t.Errorf("names %q", r.Names)
	}
	if lacks, strange := Lacks(r.Names, n), Strange(r.Names, n); len(lacks)+len(strange) > 0 {
		t.Errorf("lacks %q, strange %q", lacks, strange)
	}
	n.Status.Addresses[1].Address = "10.0.0.6" // the machine has a new address, and the request the old one
	if lacks, strange := Lacks(r.Names, n), Strange(r.Names, n); !slices.Equal(lacks, []string{"10.0.0.6"}) || !slices.Equal(strange, []string{"10.0.0.5"}) {
		t.Errorf("lacks %q, strange %q", lacks, strange)
	}
}

func TestWhatBecameOfARequest(t *testing.T) {
	type kind = certificatesv1.RequestConditionType
	tests := []struct {
		conditions  []kind
		certificate string
		want        State
	}{
		{nil, "", Pending},
		{[]kind{certificatesv1.CertificateApproved}, "", Unsigned},
		{[]kind{certificatesv1.CertificateApproved}, "x", Issued},
		{[]kind{certificatesv1.CertificateApproved, certificatesv1.CertificateFailed}, "", Failed},
		{[]kind{certificatesv1.CertificateDenied}, "", Denied},
	}
	for _, tt := range tests {
		r := csr(t, serving, "system:node:w1", "")
		r.Status.Certificate = []byte(tt.certificate)
		for _, c := range tt.conditions {
			r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: c, Reason: "R"})
		}
		if got, _ := RequestOf(r); got.State != tt.want || (got.Reason == "R") != (len(tt.conditions) > 0) {
			t.Errorf("%v: %+v", tt.conditions, got)
		}
	}
}

func TestTheNewestRequestCounts(t *testing.T) {
	at := func(name string, minute int, state State) Request {
		return Request{Name: name, Node: "w1", Use: Serving, Made: time.Unix(int64(minute)*60, 0), State: state}
	}
	noon := time.Unix(300, 0)
	list := []Request{at("old", 1, Denied), at("b", 3, Pending), at("a", 3, Pending), {Name: "c", Node: "w1", Use: Client}, {Name: "d", Node: "w2", Use: Serving}}
	if r := Newest(list, "w1", Serving, noon); r == nil || r.Name != "a" {
		t.Errorf("%+v", r)
	}
	if r := Newest(append(list, at("z", 4, Issued)), "w1", Serving, noon); r != nil {
		t.Errorf("answered by the last, and %+v counts", r)
	}
	if r := Newest(list, "w3", Serving, noon); r != nil {
		t.Errorf("%+v", r)
	}
	own := Request{Name: "own", Node: "w4", Use: Serving, Requestor: nodeUser + "w4", Made: time.Unix(0, 0), State: Pending}
	if r := Newest([]Request{own}, "w4", Serving, own.Made.Add(time.Hour)); r == nil {
		t.Error("a request of an hour ago does not count")
	}
	if r := Newest([]Request{own}, "w4", Serving, own.Made.Add(time.Hour+time.Second)); r != nil {
		t.Error("a kubelet that waits has made another by now")
	}
	own.Requestor = "system:bootstrap:abcdef" // a machine that joins waits with the same one
	if r := Newest([]Request{own}, "w4", Serving, own.Made.Add(20*time.Hour)); r == nil {
		t.Error("a machine that joins is forgotten")
	}
}

func TestHowSoonACertificateEnds(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		left, life time.Duration
		want       Urgency
	}{
		{31 * day, 365 * day, Current},
		{30 * day, 365 * day, Soon},
		{8 * day, 365 * day, Soon},
		{7 * day, 365 * day, VerySoon},
		{time.Second, 365 * day, VerySoon},
		{0, 365 * day, Ended},
		{-day, 0, Ended},
		{10 * day, 90 * day, Current},
		{9 * day, 90 * day, Soon},
		{3 * day, 90 * day, Soon},
		{2 * day, 90 * day, VerySoon},
		{3 * time.Hour, day, Current},
		{time.Hour, day, Soon},
		{30 * time.Minute, day, VerySoon},
		{20 * day, 0, Soon},
		{31 * day, 0, Current},
		{6 * day, 0, VerySoon},
	}
	for _, tt := range tests {
		if got := UrgencyOf(tt.left, tt.life, Limits{SoonDays, VerySoonDays}); got != tt.want {
			t.Errorf("%s of %s: %d, want %d", tt.left, tt.life, got, tt.want)
		}
	}
}

// Whatever the limits, a certificate that the kubelet need not have renewed yet is current.
func TestTheLimitsAreTheOperators(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		left, life     time.Duration
		soon, verySoon int
		want           Urgency
	}{
		{50 * day, 10 * 365 * day, 60, 14, Soon},
		{14 * day, 10 * 365 * day, 60, 14, VerySoon},
		{15 * day, 10 * 365 * day, 60, 14, Soon},
		{50 * day, 365 * day, 60, 14, Current}, // the kubelet renews it until 36 days before its end
		{36 * day, 365 * day, 60, 14, Soon},
		{14 * day, 365 * day, 60, 14, VerySoon},
		{20 * day, 365 * day, 10, 3, Current},
		{10 * day, 365 * day, 10, 3, Soon},
		{2 * day, 365 * day, 10, 3, VerySoon},
		{50 * day, 0, 60, 14, Soon},
		{time.Minute, 100 * 365 * day, 3650, 3650, VerySoon},
	} {
		if got := UrgencyOf(tt.left, tt.life, Limits{tt.soon, tt.verySoon}); got != tt.want {
			t.Errorf("%s of %s with %d and %d days: %d, want %d", tt.left, tt.life, tt.soon, tt.verySoon, got, tt.want)
		}
	}
}

// From a laptop, 10.0.0.5 may be a printer.
func TestACertificateOfAnotherMachineIsNotTheNodes(t *testing.T) {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: map[string]string{corev1.LabelHostname: "w1"}},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.5"}, {Type: corev1.NodeInternalDNS, Address: "w1.internal"}}},
	}
	for name, tt := range map[string]struct {
		served Served
		want   bool
	}{
		"signed by the cluster":   {Served{Subject: "system:node:node-1"}, true},
		"self-signed":             {Served{Subject: "w1@1795871204"}, true},
		"of the administrator":    {Served{Subject: "kubelet", Names: []string{"W1.internal"}}, true},
		"another node":            {Served{Subject: "system:node:node-11", Names: []string{"node-11"}}, false},
		"the address alone":       {Served{Subject: "printer", Names: []string{"10.0.0.5"}}, false},
		"nothing that is a name ": {Served{Subject: "", Names: []string{""}}, false},
	} {
		if got := tt.served.Of(n); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if nameless := (&Served{Names: []string{""}}); nameless.Of(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "w1"}}) {
		t.Error("a node without a hostname label is no machine without a name")
	}
}
