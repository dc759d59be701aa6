package pki

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
)

func TestCertificatesServeTheirPurpose(t *testing.T) {
	authority, err := NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority.Certificate)
	client, err := authority.Client("someone", "some-group")
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Server("server", []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(p Pair, name string, usage x509.ExtKeyUsage) error {
		_, err := p.Certificate.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	if err := verify(client, "", x509.ExtKeyUsageClientAuth); err != nil {
		t.Error(err)
	}
	if err := verify(client, "", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("a client's certificate serves")
	}
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if err := verify(server, name, x509.ExtKeyUsageServerAuth); err != nil {
			t.Error(err)
		}
	}
	if err := verify(server, "elsewhere", x509.ExtKeyUsageServerAuth); err == nil {
		t.Error("it serves a name that it does not have")
	}
	if client.Certificate.Subject.CommonName != "someone" || client.Certificate.Subject.Organization[0] != "some-group" {
		t.Errorf("got %v", client.Certificate.Subject)
	}
	for _, p := range []Pair{authority, client, server} {
		if _, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM); err != nil {
			t.Error(err)
		}
	}
}
