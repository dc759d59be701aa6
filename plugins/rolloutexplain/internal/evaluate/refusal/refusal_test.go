package refusal

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/report"
)

// Texts as a 1.36 API server writes them.
func TestRefusalsAreRecognized(t *testing.T) {
	const pod = `Error creating: pods "d-5f7-" is forbidden: `
	tests := []struct {
		text  string
		code  finding.Code
		says  string
		class report.Class
	}{
		{pod + `exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`, QuotaExceeded, `used pods=2`, report.LikelyFatal},
		{`(combined from similar events): ` + pod + `exceeded quota: q, requested: requests.cpu=1,pods=1, used: requests.cpu=2,pods=2, limited: requests.cpu=2,pods=2`, QuotaExceeded, `limited to requests.cpu=2,pods=2`, report.LikelyFatal},
		{pod + `failed quota: q: must specify requests.cpu for: c`, QuotaRequiresResources, `requests.cpu for: c`, report.Fatal},
		{pod + `maximum memory usage per Container is 1Gi, but limit is 2Gi`, LimitRangeViolated, `1Gi`, report.Fatal},
		{pod + `[minimum cpu usage per Container is 100m, but request is 10m]`, LimitRangeViolated, `100m`, report.Fatal},
		{pod + `violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)`, PodSecurityViolated, `restricted:latest`, report.Fatal},
		{pod + `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no latest tag`, AdmissionPolicyDenied, `no latest tag`, report.Fatal},
		{`Error creating: admission webhook "v.example.com" denied the request: no`, AdmissionWebhookDenied, `: no`, report.LikelyFatal},
		{`Error creating: admission webhook "v.example.com" denied the request without explanation`, AdmissionWebhookDenied, `no reason given`, report.LikelyFatal},
		{`Error creating: Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: Post "https://127.0.0.1:9/": dial tcp 127.0.0.1:9: connect: connection refused`, AdmissionWebhookCallFailed, `connection refused`, report.Transient},
		{pod + `error looking up service account ns/builder: serviceaccount "builder" not found`, ServiceAccountNotFound, `builder`, report.LikelyFatal},
		{pod + `no PriorityClass with name high was found`, PriorityClassNotFound, `"high"`, report.LikelyFatal},
		{pod + `pod rejected: RuntimeClass "gvisor" not found`, RuntimeClassNotFound, `gvisor`, report.LikelyFatal},
		{`Error creating: Pod "d-1" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit`, PodInvalid, `spec.containers[0]`, report.Fatal},
		{`Create Pod s-0 in StatefulSet s failed error: pvc data-s-0 is being deleted`, PVCTerminating, `data-s-0`, report.LikelyFatal},
		{`Create Pod s-0 in StatefulSet s failed error: pods "s-0" already exists`, NameAlreadyExists, `s-0`, report.LikelyFatal},
		{`create Claim data-s-0 for Pod s-0 in StatefulSet s failed error: object is being deleted: persistentvolumeclaims "data-s-0" already exists`, PVCTerminating, `data-s-0`, report.LikelyFatal},
		{`create Pod claims-0 in StatefulSet claims failed error: object is being deleted: pods "claims-0" already exists`, NameAlreadyExists, `claims-0`, report.LikelyFatal},
		{pod + `error looking up service account ns/builder: etcdserver: request timed out`, PodCreationRejected, `timed out`, report.LikelyFatal},
		{`Error creating: admission webhook "v.example.com" denied the request: exceeded quota: q, requested: a=1, used: a=1, limited: a=1`, AdmissionWebhookDenied, `"v.example.com" denies the request`, report.LikelyFatal},
		{`Error creating: Internal error occurred: failed calling webhook "v.example.com"; no further details available`, AdmissionWebhookCallFailed, `no details reported`, report.Transient},
		{pod + `ValidatingAdmissionPolicy 'p' denied request: no latest tag`, AdmissionPolicyDenied, `policy "p" denies the request: no latest tag`, report.Fatal},
		{`Error creating: policy 'p' with binding 'b' denied request: no such key`, AdmissionPolicyDenied, `policy "p" (binding "b") denies the request`, report.Fatal},
		{`Error creating: something new`, PodCreationRejected, `something new`, report.LikelyFatal},
		{`Error creating: pods is forbidden: User "system:serviceaccount:kube-system:replicaset-controller" cannot create resource "pods" in API group "" in the namespace "x"`, PodCreationRejected, `lacks a permission`, report.LikelyFatal},
	}
	for _, tt := range tests {
		e := model.New(rule.NewBook(Rules), &model.Input{}, time.Now(), model.Options{}, model.NewAsks(nil, model.Options{}))
		w := e.NewWorkload("Deployment", &(&appsv1.Deployment{}).ObjectMeta, nil, nil, 0)
		got := Read(e, tt.text, w)
		if got.Code != tt.code || got.Class != tt.class || !strings.Contains(got.What, tt.says) {
			t.Errorf("%s\n got %s %s: %s\nwant %s %s: …%s…", tt.text, got.Code, got.Class, got.What, tt.code, tt.class, tt.says)
		}
		if len(got.Next) == 0 {
			t.Errorf("%s: no next command", tt.code)
		}
	}
}
