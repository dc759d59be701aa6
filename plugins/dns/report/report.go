// Package report holds the versioned types that kubectl dns prints with -o json and -o yaml. Fields are only ever
// added; what is unknown is absent or null, never zero.
package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
)

// APIVersion of every report.
const APIVersion = "kubectl-runbooks.github.io/v1alpha1"

// Verdict is the one word of a report.
type Verdict string

// The verdicts.
const (
	Healthy   Verdict = "Healthy"   // everything that was checked is right
	Degraded  Verdict = "Degraded"  // DNS works, and something is wrong or at risk
	Unhealthy Verdict = "Unhealthy" // names that must be answered are not
	Unknown   Verdict = "Unknown"   // too little could be read to say
)

// Header is what every report begins with.
type Header struct {
	APIVersion  string            `json:"apiVersion"`
	Kind        string            `json:"kind"`
	Verdict     Verdict           `json:"verdict"`
	Summary     string            `json:"summary"`
	PrimaryCode finding.Code      `json:"primaryCode,omitempty"` // code of the first cause
	Findings    []finding.Finding `json:"findings"`
	Sources     source.List       `json:"sources"`
	Time        time.Time         `json:"time"` // by the API server's clock
}

// Status says what the cluster DNS is: kind DNSStatus, and with the checks DNSCheck.
type Status struct {
	Header
	Provider     string     `json:"provider,omitempty"` // CoreDNS, kube-dns, managed
	Service      *Service   `json:"service,omitempty"`
	Zone         string     `json:"zone,omitempty"`
	Replicas     []Replica  `json:"replicas"`
	Routes       []Route    `json:"routes"`
	NodeCache    *NodeCache `json:"nodeCache,omitempty"`
	Others       []Service  `json:"otherServices,omitempty"` // further Services that look like a cluster DNS
	From         *From      `json:"from,omitempty"`
	PassedChecks []string   `json:"passedChecks,omitempty"` // what check found correct
}

// Service is the Service in front of the DNS pods.
type Service struct {
	Namespace  string   `json:"namespace"`
	Name       string   `json:"name"`
	ClusterIPs []string `json:"clusterIPs"`
	Ports      []string `json:"ports"`
	Ready      int      `json:"readyEndpoints"`
}

// Replica is one DNS server pod.
type Replica struct {
	Namespace        string   `json:"namespace"`
	Name             string   `json:"name"`
	Node             string   `json:"node,omitempty"`
	Zone             string   `json:"zone,omitempty"` // of the node
	IP               string   `json:"ip,omitempty"`
	Ready            bool     `json:"ready"`
	State            string   `json:"state"`
	Restarts         int32    `json:"restarts"`
	LastExit         string   `json:"lastExit,omitempty"`
	Image            string   `json:"image,omitempty"`
	Version          string   `json:"version,omitempty"`
	Config           string   `json:"configHash,omitempty"`
	QPS              *float64 `json:"queriesPerSecond"`
	Queries          *float64 `json:"queriesSinceStart"`
	Servfail         *float64 `json:"servfailPercent"`
	P99              *float64 `json:"p99Milliseconds"`
	SOASerial        *uint32  `json:"soaSerial"`
	LagSeconds       *float64 `json:"lagSeconds"` // how long it has missed a change that the API has; 0 is up to date
	Queried          bool     `json:"queried"`    // a port-forward was opened and the replica answered
	NotQueriedReason string   `json:"notQueriedReason,omitempty"`
	Answers          []Answer `json:"answers,omitempty"`
}

// Route says where the names of a zone are answered.
type Route struct {
	Zones []string `json:"zones"`
	Port  string   `json:"port"`
	Via   string   `json:"via"` // the plugin that answers
	To    []string `json:"to,omitempty"`
	Line  int      `json:"line"`
}

// NodeCache says on which nodes NodeLocal DNSCache runs.
type NodeCache struct {
	Name    string   `json:"name"`
	IPs     []string `json:"ips"`
	Nodes   int      `json:"nodes"`
	Ready   int      `json:"ready"`
	Missing []string `json:"missing,omitempty"` // nodes whose cache pod is not ready or does not exist
	// Upstream is the Service of the servers to which the cache forwards what it does not hold.
	Upstream *Service `json:"upstream,omitempty"`
}

// Answer is one question and what came back, from one point of view.
type Answer struct {
	Viewpoint     string   `json:"viewpoint"` // port-forward:POD, same-node:POD or pod:NAMESPACE/NAME
	Server        string   `json:"server"`
	ServedBy      string   `json:"servedBy,omitempty"` // the node cache that answers at the address of Server
	Transport     string   `json:"transport"`
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Rcode         string   `json:"rcode,omitempty"`
	Records       []Record `json:"records,omitempty"`
	Authoritative bool     `json:"authoritative,omitempty"`
	Truncated     bool     `json:"truncated,omitempty"` // the records are a part: the rest did not fit, or did not arrive
	Milliseconds  *float64 `json:"milliseconds"`
	Error         string   `json:"error,omitempty"`
	Asked         int      `json:"asked,omitempty"` // queries that this row stands for, if more than one
	Lost          int      `json:"lost,omitempty"`  // those of them without an answer
}

// Record is one resource record of an answer section.
type Record struct {
	Name string `json:"name"`
	Type string `json:"type"`
	TTL  uint32 `json:"ttl"`
	Data string `json:"data"`
}

// listed is how many records of one name a text shows.
const listed = 10

// Listed is the data of an answer in a line. Reports have all of it.
func Listed(data []string) string { return First(data, listed) }

// First lists the first words of a list in a line, and says how many more there are.
func First(list []string, most int) string {
	text := strings.Join(list[:min(most, len(list))], ", ")
	if more := len(list) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// From is the pod that questions were asked from.
type From struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Node      string   `json:"node,omitempty"`
	Method    string   `json:"method,omitempty"` // how it was asked, e.g. "exec nslookup"
	Answers   []Answer `json:"answers"`
}
