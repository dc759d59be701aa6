package nodeinfo

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/cli"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/testkit"
)

func TestPathsTakeNothingThatTheyDoNotHeed(t *testing.T) {
	refused(t, map[string]string{
		"--paths -l a=b":                       "--paths cannot be combined with -l\n",
		"--paths --drain w1":                   "--paths cannot be combined with --drain\n",
		"--paths -o wide":                      "--paths cannot be combined with -o wide\n",
		"--paths -o name":                      "--paths cannot be combined with -o name\n",
		"--paths -w --only-problems":           "--paths cannot be combined with --only-problems\n",
		"--paths w1 --wait-for=healthy":        "--wait-for cannot be combined with -w, --drain, --remove, --paths",
		"--paths --section=pods -L zone":       "--paths cannot be combined with --section\n",
		"--paths --kubelet --from-input saved": "--from-input cannot be combined with",
	})
	if o, code, stderr := parse(t, "--paths", "node/w1", "w2", "--kubelet", "-o", "junit"); code != 0 || !o.Paths || !o.Kubelet || !slices.Equal(o.Names, []string{"w1", "w2"}) {
		t.Errorf("%+v, exit %d: %s", o, code, stderr)
	}
}

// pathServer has a webhook without a Service, beside the two nodes.
func pathServer(t *testing.T) *testkit.Server {
	t.Helper()
	s := server(t)
	empty := json.RawMessage(`{"items":[]}`)
	for path, kind := range map[string]string{
		"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases": "LeaseList", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases": "LeaseList",
	} {
		s.Answer(path, map[string]string{"kind": kind, "apiVersion": "coordination.k8s.io/v1"})
	}
	for path, kind := range map[string]string{
		"/apis/apps/v1/daemonsets": "DaemonSetList", "/apis/discovery.k8s.io/v1/namespaces/hooks/endpointslices": "EndpointSliceList",
	} {
		version, _, _ := strings.Cut(strings.TrimPrefix(path, "/apis/"), "/v1/")
		s.Answer(path, map[string]string{"kind": kind, "apiVersion": version + "/v1"})
	}
	s.Answer("/readyz", testkit.Text("[+]etcd ok\nreadyz check passed\n"))
	s.Answer("/api/v1/namespaces/kube-system/pods", corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}})
	s.Answer("/api/v1/namespaces/hooks/services", corev1.ServiceList{TypeMeta: metav1.TypeMeta{Kind: "ServiceList", APIVersion: "v1"}})
	s.Answer("/apis/apiregistration.k8s.io/v1/apiservices", empty)
	s.Answer("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", empty)
	s.Answer("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", json.RawMessage(
		`{"items":[{"metadata":{"name":"guard"},"webhooks":[{"name":"a.guard","failurePolicy":"Ignore","clientConfig":{"service":{"namespace":"hooks","name":"h"}},"rules":[{"operations":["CREATE"],"apiGroups":[""],"resources":["pods"]}]}]}]}`))
	return s
}

func TestExitCodesOfPaths(t *testing.T) {
	s := pathServer(t)
	exits(t, s, "--paths", map[string]int{
		"good": 0, "good --fail-on=warning": cli.ExitThreshold, "good --fail-on=critical": 0, "good nope": cli.ExitError, "good --require-complete": 0,
		"good -o json": 0, "good -o markdown": 0, "good -o junit": 0, "good -o prometheus": 0, "good -o jsonpath={.verdict}": 0,
	})
	stdout, _, _ := runOn(t, s, "--paths", "good")
	if !strings.HasPrefix(stdout, "Degraded: paths of node/good: webhook a.guard cannot be called: Service hooks/h does not exist") {
		t.Error(stdout)
	}
	s.Refuse("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", http.StatusForbidden)
	stdout, stderr, code := runOn(t, s, "--paths", "good", "--require-complete")
	if code != cli.ExitIncomplete || !strings.HasPrefix(stdout, "Unknown: paths of node/good: ") || !strings.Contains(stdout, "validating webhooks: needs list validatingwebhookconfigurations.admissionregistration.k8s.io") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	onlyReads(t, s)
}

func TestASavedReportOnPathsNeedsNoCluster(t *testing.T) {
	saves(t, pathServer(t), []string{"--paths"}, map[string]string{
		"good":         "was saved with --paths: pass --paths",
		"--paths nope": `node "nope" not found`,
		"--drain good": "not saved with --drain",
	})
}
