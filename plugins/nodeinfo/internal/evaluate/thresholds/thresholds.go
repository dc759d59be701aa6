// Package thresholds holds the numbers behind findings that are an operator's choice: their defaults and bounds, and the file that
// changes them. What is a fact of Kubernetes is no entry: it stands where it is judged.
package thresholds

import (
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/certificate"
	nodefact "github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/node"
)

// Values are the numbers.
type Values struct {
	StaleAfter       time.Duration // the age of a heartbeat from which Ready=True is not believed
	StatusStaleAfter time.Duration // the same of the node's status, and of the conditions that are posted with it
	ClockAhead       time.Duration // how far a node's clock may be ahead of the API server's
	ClockBehind      time.Duration
	NodeJoin         time.Duration // the age up to which a node that was never Ready is joining rather than broken
	NotReadyPerHour  int           // how often a node becomes NotReady within an hour before it flaps

	CertificateWarningDays  int
	CertificateCriticalDays int
	CertificateRequestWait  time.Duration // how long a request may wait for its approver and its signer

	MemoryUsagePercent    int // the share of memory above which eviction or the OOM killer is near
	RequestsPercent       int // the share of a resource from which few pods find what they request
	EvictionMarginPercent int // the share of the whole that is left above a threshold of the kubelet

	PodStart       time.Duration
	PodTermination time.Duration // beyond the end of the grace period
	PodRestarts    int           // from how many a crash loop is reported

	CloudInitialization time.Duration
	NodeRemoval         time.Duration // a drain may take its pods' grace periods and disruption budgets
}

// Defaults that are constants elsewhere, too.
const (
	// StatusStaleAfter is twice the kubelet's nodeStatusReportFrequency of 5 min, and a minute
	// (https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/).
	StatusStaleAfter = 11 * time.Minute

	// A slow image pull and an orderly shutdown are no problem.
	PodStart       = 2 * time.Minute
	PodTermination = time.Minute
)

// Default is what counts without a file. The skews of clocks that are believed: a Date and a managedFields time are cut to whole
// seconds, and a request may be retried for a while after the node wrote its clock into it. A reboot is one change to NotReady, an
// update two or three; a link or a kubelet that comes and goes falls every few minutes. Approvers and signers of certificates
// are controllers, and take seconds.
func Default() Values {
	return Values{
		StaleAfter: nodefact.Patience, StatusStaleAfter: StatusStaleAfter, ClockAhead: 3 * time.Second, ClockBehind: 10 * time.Second,
		NodeJoin: 5 * time.Minute, NotReadyPerHour: 5,
		CertificateWarningDays: certificate.SoonDays, CertificateCriticalDays: certificate.VerySoonDays, CertificateRequestWait: 2 * time.Minute,
		MemoryUsagePercent: 95, RequestsPercent: 95, EvictionMarginPercent: 1,
		PodStart: PodStart, PodTermination: PodTermination, PodRestarts: 1,
		CloudInitialization: 10 * time.Minute, NodeRemoval: 30 * time.Minute,
	}
}

// Certificates are the limits of certificates.
func (v *Values) Certificates() certificate.Limits {
	return certificate.Limits{SoonDays: v.CertificateWarningDays, VerySoonDays: v.CertificateCriticalDays}
}

// key is an entry of the file: a duration or a whole number, and what it can be.
type key struct {
	name     string
	duration func(*Values) *time.Duration
	number   func(*Values) *int

	least, most int64 // nanoseconds, or the number
}

// keys are all entries, in the order in which they are shown. A bound is what leaves a finding its meaning: a kubelet renews its Lease
// every 10 s; times of the API server are cut to seconds; a kubelet makes another certificate request within the hour.
func keys() []key {
	duration := func(name string, least, most time.Duration, of func(*Values) *time.Duration) key {
		return key{name: name, duration: of, least: int64(least), most: int64(most)}
	}
	number := func(name string, least, most int64, of func(*Values) *int) key {
		return key{name: name, number: of, least: least, most: most}
	}
	return []key{
		duration("staleAfter", 20*time.Second, 24*time.Hour, func(v *Values) *time.Duration { return &v.StaleAfter }),
		duration("statusStaleAfter", time.Minute, 24*time.Hour, func(v *Values) *time.Duration { return &v.StatusStaleAfter }),
		duration("clockAhead", 2*time.Second, 24*time.Hour, func(v *Values) *time.Duration { return &v.ClockAhead }),
		duration("clockBehind", 2*time.Second, 24*time.Hour, func(v *Values) *time.Duration { return &v.ClockBehind }),
		duration("nodeJoin", 30*time.Second, 24*time.Hour, func(v *Values) *time.Duration { return &v.NodeJoin }),
		number("notReadyPerHour", 2, 1000, func(v *Values) *int { return &v.NotReadyPerHour }),
		number("certificateWarningDays", 1, 3650, func(v *Values) *int { return &v.CertificateWarningDays }),
		number("certificateCriticalDays", 1, 3650, func(v *Values) *int { return &v.CertificateCriticalDays }),
		duration("certificateRequestWait", 10*time.Second, time.Hour, func(v *Values) *time.Duration { return &v.CertificateRequestWait }),
		number("memoryUsagePercent", 1, 100, func(v *Values) *int { return &v.MemoryUsagePercent }),
		number("requestsPercent", 1, 100, func(v *Values) *int { return &v.RequestsPercent }),
		number("evictionMarginPercent", 0, 50, func(v *Values) *int { return &v.EvictionMarginPercent }),
		duration("podStart", 10*time.Second, 24*time.Hour, func(v *Values) *time.Duration { return &v.PodStart }),
		duration("podTermination", 10*time.Second, 24*time.Hour, func(v *Values) *time.Duration { return &v.PodTermination }),
		number("podRestarts", 1, 10000, func(v *Values) *int { return &v.PodRestarts }),
		duration("cloudInitialization", time.Minute, 24*time.Hour, func(v *Values) *time.Duration { return &v.CloudInitialization }),
		duration("nodeRemoval", time.Minute, 7*24*time.Hour, func(v *Values) *time.Duration { return &v.NodeRemoval }),
	}
}

// text is a value as a file has it.
func (k *key) text(v *Values) string {
	if k.duration != nil {
		return short(*k.duration(v))
	}
	return strconv.Itoa(*k.number(v))
}

// short is a duration as people write it: 2m, not 2m0s.
func short(d time.Duration) string {
	text := d.String()
	if minutes, ok := strings.CutSuffix(text, "m0s"); ok {
		text = minutes + "m"
	}
	if hours, ok := strings.CutSuffix(text, "h0m"); ok {
		text = hours + "h"
	}
	return text
}

// Change is a number that differs from its default.
type Change struct{ Name, Value, Default string }

// Changed are the numbers that differ from their defaults.
func (v Values) Changed() []Change {
	var list []Change
	normal := Default()
	for _, k := range keys() {
		if now, before := k.text(&v), k.text(&normal); now != before {
			list = append(list, Change{k.name, now, before})
		}
	}
	return list
}
