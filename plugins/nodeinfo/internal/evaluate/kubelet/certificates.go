package kubelet

import (
	"slices"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
)

// NoServingCertificate says whether a kubelet answers that it has no certificate to serve with: its TLS library turns that
// into an alert that names nothing.
// https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/certificate/kubelet.go ("no serving certificate available")
func (k *Answer) NoServingCertificate() bool {
	return strings.Contains(k.Message, "remote error: tls: internal error")
}

// ServedElsewhere are parts of what an API server says of a serving certificate that it does not accept for the address by which
// it reaches the kubelet, and ServedExpired of one that has ended (https://pkg.go.dev/crypto/x509#HostnameError).
var (
	servedElsewhere = []string{
		"x509: certificate is valid for ", "because it doesn't contain any IP SANs", "x509: certificate is not valid for any names",
	}
	servedExpired = "x509: certificate has expired"
)

// OtherNames says whether the API server does not accept the serving certificate for the address by which it reaches the kubelet.
func (k *Answer) OtherNames() bool {
	return slices.ContainsFunc(servedElsewhere, func(part string) bool { return strings.Contains(k.Message, part) })
}

// CertificateEnded says whether the API server does not accept the serving certificate because its time is over.
func (k *Answer) CertificateEnded() bool { return strings.Contains(k.Message, servedExpired) }

// CertificateBad says whether the kubelet does not answer because of its serving certificate.
func (k *Answer) CertificateBad() bool {
	return k.NoServingCertificate() || k.OtherNames() || k.CertificateEnded()
}

// Certificate is one of the kubelet's, as far as it is known from here.
type Certificate struct {
	Use    certificate.Use
	Ends   time.Time
	Left   time.Duration
	Life   time.Duration       // 0: not known
	Served *certificate.Served // as presented in a handshake; nil: known by the kubelet's metrics alone
	Errors int64               // how often the kubelet failed to renew it, since it was started

	Urgency certificate.Urgency // how soon it ends
}

// Certificates are what the kubelet presented or, where it could not be reached from here, its metrics.
func (k *Answer) Certificates(now time.Time, limits certificate.Limits) []Certificate {
	if k == nil {
		return nil
	}
	var list []Certificate
	byMetrics := func(use certificate.Use, ttl *float64, errors int64) {
		if ttl != nil {
			left := time.Duration(*ttl * float64(time.Second))
			list = append(list, Certificate{Use: use, Left: left, Ends: now.Add(left), Errors: errors})
		}
	}
	if s := k.Served; s != nil {
		list = append(list, Certificate{
			Use: certificate.Serving, Ends: s.NotAfter, Left: s.NotAfter.Sub(now), Life: s.NotAfter.Sub(s.NotBefore), Served: s,
			Errors: k.ServerRenewErrors,
		})
	} else {
		byMetrics(certificate.Serving, k.ServerTTL, k.ServerRenewErrors)
	}
	byMetrics(certificate.Client, k.ClientTTL, k.ClientRenewErrors)
	for i := range list {
		list[i].Urgency = certificate.UrgencyOf(list[i].Left, list[i].Life, limits)
	}
	return list
}
