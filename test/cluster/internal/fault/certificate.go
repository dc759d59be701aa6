package fault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/host"
	"github.com/kubectl-runbooks/kubectl-runbooks/test/cluster/internal/node"
)

const (
	pkiDir = "/var/lib/kubelet/pki"
	// keptSuffix is added to what an expired certificate stands in for.
	keptSuffix = ".kept"
)

// certFiles are the files that a kind of certificate lives in: the client's is
// certificate and key in one, behind a link that the kubelet itself maintains.
func certFiles(o Options) (certificate, key string) {
	if o.Serving {
		return pkiDir + "/kubelet.crt", pkiDir + "/kubelet.key"
	}
	return pkiDir + "/kubelet-client-current.pem", ""
}

func expire(_ context.Context, t Target, o Options) error {
	root, err := t.Cluster.NodeRoot(t.Node.Name)
	if err != nil {
		return err
	}
	left := -time.Hour
	if o.Left != "" {
		if left, err = time.ParseDuration(o.Left); err != nil {
			return err
		}
	}
	certPEM, keyPEM, err := t.expired(o.Serving, left, time.Now())
	if err != nil {
		return err
	}
	certificate, key := certFiles(o)
	if key == "" {
		err = standIn(filepath.Join(root, certificate), append(certPEM, keyPEM...))
	} else if err = standIn(filepath.Join(root, certificate), certPEM); err == nil {
		err = standIn(filepath.Join(root, key), keyPEM)
	}
	if err != nil {
		return err
	}
	return t.Node.Restart(node.Kubelet, unitPatience)
}

func unexpire(_ context.Context, t Target, o Options) error {
	root, err := t.Cluster.NodeRoot(t.Node.Name)
	if err != nil {
		return err
	}
	certificate, key := certFiles(o)
	for _, file := range []string{certificate, key} {
		kept := filepath.Join(root, file+keptSuffix)
		if _, err := os.Lstat(kept); file == "" || err != nil {
			continue
		}
		if err := os.Rename(kept, filepath.Join(root, file)); err != nil {
			return err
		}
	}
	return t.Node.Restart(node.Kubelet, unitPatience)
}

// standIn puts content where path is, which is kept as it is, link or file.
func standIn(path string, content []byte) error {
	kept := path + keptSuffix
	if _, err := os.Lstat(kept); err != nil {
		if err := os.Rename(path, kept); err != nil {
			return err
		}
	}
	return host.WriteFile(path, content, 0o600)
}

// forgetServing removes what the cluster may have signed in the meantime, with
// which the kubelet would serve the next time, and what it was asked to sign.
func forgetServing(ctx context.Context, t Target, o Options) error {
	root, err := t.Cluster.NodeRoot(t.Node.Name)
	if err != nil {
		return err
	}
	signed, err := filepath.Glob(filepath.Join(root, pkiDir, "kubelet-server-*.pem"))
	if err != nil {
		return err
	}
	for _, file := range signed {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if err := reconfigure(ctx, t, o); err != nil {
		return err
	}
	// Where another fault has the API server down, the controller manager
	// removes the requests after a day.
	names, err := t.Cluster.Kubectl(ctx, "", "get", "csr", "--field-selector=spec.signerName=kubernetes.io/kubelet-serving", "-o",
		fmt.Sprintf(`jsonpath={.items[?(@.spec.username=="system:node:%s")].metadata.name}`, t.Node.Name))
	if list := strings.Fields(names); err == nil && len(list) > 0 {
		_, err = t.Cluster.Kubectl(ctx, "", append([]string{"delete", "csr", "--ignore-not-found"}, list...)...)
		return err
	}
	return nil
}

// expired makes a certificate that the cluster's authority signed a year before
// it ends; one that has ended is of a day.
func (t Target) expired(serving bool, left time.Duration, now time.Time) (certPEM, keyPEM []byte, err error) {
	controlPlane, err := t.Cluster.NodeRoot("cp1")
	if err != nil {
		return nil, nil, err
	}
	pki := filepath.Join(controlPlane, "/etc/kubernetes/pki")
	authority, err := tls.LoadX509KeyPair(filepath.Join(pki, "ca.crt"), filepath.Join(pki, "ca.key"))
	if err != nil {
		return nil, nil, fmt.Errorf("load the cluster's authority: %w", err)
	}
	parent, err := x509.ParseCertificate(authority.Certificate[0])
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	life := 24 * time.Hour
	if left > 0 {
		life = 365 * 24 * time.Hour
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + t.Node.Name},
		NotBefore:    now.Add(left - life), NotAfter: now.Add(left),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if serving {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.DNSNames, template.IPAddresses = []string{t.Node.Name}, addresses(t.Node.IPs)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, authority.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), nil
}

// addresses parses a list with commas.
func addresses(texts string) []net.IP {
	var list []net.IP
	for text := range strings.SplitSeq(texts, ",") {
		list = append(list, net.ParseIP(text))
	}
	return list
}
