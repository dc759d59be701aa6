// Package handshake looks at the certificate with which a kubelet serves, by a TLS handshake that sends nothing.
package handshake

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
)

// patience bounds a TLS handshake with a kubelet: from outside of the cluster's network most addresses do not answer at all.
const patience = 2 * time.Second

// kubeletPort is where a kubelet serves unless its Node says otherwise
// (https://kubernetes.io/docs/reference/networking/ports-and-protocols/).
const kubeletPort = 10250

// Served takes the certificate that is presented at the first address which answers, if it is the node's.
func Served(ctx context.Context, n *corev1.Node) (*certificate.Served, error) {
	port := kubeletPort
	if p := n.Status.DaemonEndpoints.KubeletEndpoint.Port; p != 0 {
		port = int(p)
	}
	err := errors.New("the node has no address")
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		at := slices.IndexFunc(n.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Type == kind })
		if at < 0 {
			continue
		}
		var presented *x509.Certificate
		address := net.JoinHostPort(n.Status.Addresses[at].Address, strconv.Itoa(port))
		if presented, err = present(ctx, address); err != nil {
			continue
		}
		s := describe(presented, address)
		if !s.Of(n) {
			err = fmt.Errorf("%s presents a certificate of %q, which is not this node", address, s.Subject)
			continue
		}
		return s, nil
	}
	return nil, err
}

// present does a TLS handshake and sends nothing: no request, no credentials. The certificate is looked at, not trusted.
func present(ctx context.Context, address string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // nothing is sent
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%s does not answer within %s", address, patience)
	}
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	chain := connection.(*tls.Conn).ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s presents no certificate", address)
	}
	return chain[0], nil
}

func describe(c *x509.Certificate, address string) *certificate.Served {
	s := &certificate.Served{
		Address: address, Subject: c.Subject.CommonName, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Names: slices.Clone(c.DNSNames),
		SelfSigned: selfSigned(c),
	}
	for _, ip := range c.IPAddresses {
		s.Names = append(s.Names, ip.String())
	}
	slices.Sort(s.Names)
	return s
}

// selfSigned says whether nobody but the kubelet vouches for the certificate: one that it makes for itself is signed by an authority
// of its own, made in the same moment and named after it.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/staging/src/k8s.io/client-go/util/cert/cert.go (GenerateSelfSignedCertKey)
func selfSigned(c *x509.Certificate) bool {
	host, _, stamped := strings.Cut(c.Subject.CommonName, "@")
	issuer, _, _ := strings.Cut(c.Issuer.CommonName, "@")
	return c.Subject.String() == c.Issuer.String() || stamped && issuer == host+"-ca"
}
