package evaluate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/nodeinfo/internal/evaluate/rules/machine"
)

// fleetOf has as many nodes as the fixture's, each with a request of the wanted kind (0: for serving, 1: for the API server).
func fleetOf(t *testing.T, nodes, kind int, change func(i int, r *certificatesv1.CertificateSigningRequest)) Input {
	t.Helper()
	in := load(t, string(machine.KubeletCertificateNotIssued))
	n, l, r := in.Nodes[0], in.Leases[0], in.Requests[kind]
	in.Depth, in.Nodes, in.Leases, in.Requests = Pods, nil, nil, nil
	for i := range nodes {
		name := fmt.Sprintf("w%d", i+1)
		node, beat, request := *n.DeepCopy(), *l.DeepCopy(), *r.DeepCopy()
		node.Name, beat.Name, request.Name = name, name, "csr-"+name
		request.Spec.Request, request.Spec.Username = nil, "system:node:"+name
		change(i, &request)
		in.Nodes, in.Leases, in.Requests = append(in.Nodes, node), append(in.Leases, beat), append(in.Requests, request)
	}
	return in
}

// What several nodes wait for in vain is one cause of the fleet; what one waits for is its own.
func TestRequestsWithOneOutcomeAreOneCause(t *testing.T) {
	type request = certificatesv1.CertificateSigningRequest
	const serving, client = 0, 1
	for name, tt := range map[string]struct {
		nodes, kind int
		change      func(i int, r *request)
		want        []string
	}{
		"pending": {3, serving, func(int, *request) {}, []string{
			"serving certificate requests of 3 of 3 nodes wait for approval: check first whether an approver of kubernetes.io/kubelet-serving requests is running (Kubernetes has none of its own), not each node",
		}},
		"of clients": {2, client, func(int, *request) {}, []string{
			"client certificate requests of 2 of 2 nodes wait for approval: check first the approver of kube-controller-manager (csrapproving) and its permissions for the group system:nodes, not each node",
		}},
		"one of three": {3, serving, func(i int, r *request) {
			if i > 0 {
				r.Status.Certificate = []byte("issued")
			}
		}, nil},
		"just made": {3, serving, func(_ int, r *request) { r.CreationTimestamp.Time = r.CreationTimestamp.Add(11 * time.Minute) }, nil},
		"one each": {3, serving, func(i int, r *request) {
			r.Status.Conditions = [][]certificatesv1.CertificateSigningRequestCondition{nil, condition("Denied", "No"), condition("Failed", "No")}[i]
		}, nil},
		"denied": {2, serving, func(_ int, r *request) { r.Status.Conditions = condition("Denied", "No") }, []string{
			"serving certificate requests of 2 of 2 nodes were denied: check first who denied them (kubectl get csr), not each node",
		}},
		"not signed": {2, client, func(_ int, r *request) { r.Status.Conditions = condition("Approved", "Yes") }, []string{
			"client certificate requests of 2 of 2 nodes were approved, but no signer has issued a certificate: check first the signer of kube-controller-manager (csrsigning) and its log, not each node",
		}},
	} {
		in := fleetOf(t, tt.nodes, tt.kind, tt.change)
		if d := cmp.Diff(tt.want, judge(in).CommonCauses); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A machine that is no node yet is known by its request alone; a node that was not asked for has a heartbeat.
func TestMachinesThatJoinAreNamed(t *testing.T) {
	machines := func(n int, old time.Duration) Input {
		in := fleetOf(t, n, 1, func(int, *certificatesv1.CertificateSigningRequest) {})
		in.Nodes = in.Nodes[:0]
		for i := range in.Requests {
			in.Requests[i].CreationTimestamp = before(&in, old)
		}
		return in
	}
	without := func(in Input) Input { in.Leases = nil; return in }
	for name, tt := range map[string]struct {
		in   Input
		want string
	}{
		"one":        {without(machines(1, 5*time.Minute)), "1 machine requests to join and has received no client certificate: w1; name one as NODE for the reason"},
		"many":       {without(machines(5, 5*time.Minute)), "5 machines request to join and have received no client certificate: w1, w2, w3 and 2 more; name one as NODE for the reason"},
		"just made":  {without(machines(2, time.Minute)), ""},
		"not chosen": {machines(2, 5*time.Minute), ""},
	} {
		if got := strings.Join(judge(tt.in).CommonCauses, "\n"); got != tt.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
