package collect

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/source"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/internal/evaluate"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/dns/report"
)

// Only the node of a server that did not answer is asked for its heartbeat: a healthy run costs no call.
func TestLeasesAreReadForServersThatDoNotAnswer(t *testing.T) {
	pod := func(name, node string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{NodeName: node}}
	}
	probe := func(pod, rcode string) evaluate.Probe {
		return evaluate.Probe{Pod: pod, Answers: []report.Answer{{Rcode: rcode}}}
	}
	leaving := pod("d", "n4")
	leaving.DeletionTimestamp = &metav1.Time{}
	const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/"
	for name, tt := range map[string]struct {
		pods   []corev1.Pod
		probes []evaluate.Probe
		asked  []string
		state  source.State
		found  int
	}{
		"all answer":       {[]corev1.Pod{pod("a", "n1"), pod("b", "n2")}, []evaluate.Probe{probe("a", "NOERROR"), probe("b", "SERVFAIL")}, nil, source.Skipped, 0},
		"one is silent":    {[]corev1.Pod{pod("a", "n1"), pod("b", "n2")}, []evaluate.Probe{probe("a", "NOERROR"), probe("b", "")}, []string{"GET " + leases + "n2"}, source.OK, 1},
		"one was not run":  {[]corev1.Pod{pod("a", "n2"), pod("b", "n2"), leaving, pod("e", "")}, nil, []string{"GET " + leases + "n2"}, source.OK, 1},
		"there is no such": {[]corev1.Pod{pod("a", "n9")}, nil, []string{"GET " + leases + "n9"}, source.Absent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := testkit.NewServer(t)
			server.Answer(leases+"n2", coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "n2"}})
			flags := kube.NewFlags("test", time.Now)
			if err := flags.FlagSet().Parse([]string{"--kubeconfig", server.Kubeconfig(t)}); err != nil {
				t.Fatal(err)
			}
			cluster, err := flags.Cluster()
			if err != nil {
				t.Fatal(err)
			}
			client, err := cluster.Typed()
			if err != nil {
				t.Fatal(err)
			}
			c := &Collector{Cluster: cluster, Timeout: time.Minute, client: client, in: evaluate.Input{Pods: tt.pods, Probes: tt.probes}}
			c.leases(context.Background())
			if d := cmp.Diff(tt.asked, server.Requests()); d != "" {
				t.Errorf("asked (-want +got):\n%s", d)
			}
			if got := c.in.Sources.Get("leases").State; got != tt.state || len(c.in.Leases) != tt.found {
				t.Errorf("%s, %d leases; want %s, %d", got, len(c.in.Leases), tt.state, tt.found)
			}
		})
	}
}
