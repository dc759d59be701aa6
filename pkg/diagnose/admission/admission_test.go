package admission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	pod  = `pods "d-5f7-" is forbidden: `
	rbac = `pods is forbidden: User "system:serviceaccount:kube-system:replicaset-controller" cannot create resource "pods" in API group "" in the namespace "x"`
)

// samples are texts as API servers of 1.36 write them, some with what controllers put before.
var samples = []struct {
	text string
	want Refusal
}{
	{pod + `exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`, Refusal{Kind: QuotaExceeded, Name: "q", Quota: Quota{"pods=1", "pods=2", "pods=2"}}},
	{
		`Error creating: ` + pod + `exceeded quota: team-a.q, requested: count/pods=1,requests.cpu=500m, used: count/pods=3,requests.cpu=2, limited: count/pods=3,requests.cpu=2`,
		Refusal{Kind: QuotaExceeded, Name: "team-a.q", Quota: Quota{"count/pods=1,requests.cpu=500m", "count/pods=3,requests.cpu=2", "count/pods=3,requests.cpu=2"}},
	},
	{
		pod + `[exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2, exceeded quota: r, requested: pods=1, used: pods=9, limited: pods=9]`,
		Refusal{Kind: QuotaExceeded, Name: "q", Quota: Quota{"pods=1", "pods=2", "pods=2"}},
	},
	{pod + `failed quota: q: must specify limits.cpu for: a,b; memory for: a`, Refusal{Kind: QuotaUnspecified, Name: "q", Reason: "must specify limits.cpu for: a,b; memory for: a"}},
	{pod + `maximum memory usage per Container is 1Gi, but limit is 2Gi`, Refusal{Kind: LimitRange, Reason: "maximum memory usage per Container is 1Gi, but limit is 2Gi"}},
	{
		pod + `[minimum cpu usage per Container is 100m, but request is 10m, maximum cpu usage per Pod is 1.  No limit is specified]`,
		Refusal{Kind: LimitRange, Reason: "minimum cpu usage per Container is 100m, but request is 10m, maximum cpu usage per Pod is 1. No limit is specified"},
	},
	{pod + `cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000`, Refusal{Kind: LimitRange, Reason: "cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"}},
	{
		pod + `violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile`,
		Refusal{Kind: PodSecurity, Name: "restricted:latest", Reason: `runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile`},
	},
	{pod + `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no latest tag`, Refusal{Kind: ValidatingPolicy, Name: "p", Binding: "b", Reason: "no latest tag"}},
	{pod + `ValidatingAdmissionPolicy 'p' denied request: no`, Refusal{Kind: ValidatingPolicy, Name: "p", Reason: "no"}},
	{`policy 'p' with binding 'b' denied request: no such key`, Refusal{Kind: MutatingPolicy, Name: "p", Binding: "b", Reason: "no such key"}},
	{`policy "p" denied request: no such key`, Refusal{Kind: MutatingPolicy, Name: "p", Reason: "no such key"}},
	{`admission webhook "v.example.com" denied the request: no`, Refusal{Kind: WebhookDenied, Name: "v.example.com", Reason: "no"}},
	{`admission webhook "v.example.com" denied the request without explanation`, Refusal{Kind: WebhookDenied, Name: "v.example.com"}},
	{`admission webhook "v.example.com" does not support dry run`, Refusal{Kind: WebhookNoDryRun, Name: "v.example.com"}},
	{
		`Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: Post "https://v.ops.svc:443/": dial tcp 10.0.0.1:443: connect: connection refused`,
		Refusal{Kind: WebhookFailed, Name: "v.example.com", Reason: `failed to call webhook: Post "https://v.ops.svc:443/": dial tcp 10.0.0.1:443: connect: connection refused`},
	},
	{`Internal error occurred: failed calling webhook "v.example.com"; no further details available`, Refusal{Kind: WebhookFailed, Name: "v.example.com"}},
	{rbac, Refusal{Kind: NotPermitted, Permission: Permission{User: "system:serviceaccount:kube-system:replicaset-controller", Verb: "create", Resource: "pods", Namespace: "x"}}},
	{
		`deployments.apps "d" is forbidden: User "jane" cannot patch resource "deployments/scale" in API group "apps" at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "r" not found`,
		Refusal{Kind: NotPermitted, Reason: `RBAC: clusterrole.rbac.authorization.k8s.io "r" not found`, Permission: Permission{User: "jane", Verb: "patch", Resource: "deployments/scale", Group: "apps"}},
	},
	{`forbidden: User "system:anonymous" cannot get path "/metrics"`, Refusal{Kind: NotPermitted, Permission: Permission{User: "system:anonymous", Verb: "get", Path: "/metrics"}}},
	{
		`"Failed to watch" err="failed to list *v1.Service: services is forbidden: User \"system:serviceaccount:kube-system:coredns\" cannot list resource \"services\" in API group \"\" at the cluster scope" logger="x"`,
		Refusal{Kind: NotPermitted, Permission: Permission{User: "system:serviceaccount:kube-system:coredns", Verb: "list", Resource: "services"}},
	},
	{pod + `unable to create new content in namespace shop because it is being terminated`, Refusal{Kind: NamespaceTerminating, Name: "shop"}},
	{
		pod + `error looking up service account ns/builder: serviceaccount "builder" not found`,
		Refusal{Kind: ServiceAccountMissing, Namespace: "ns", Name: "builder", Reason: `serviceaccount "builder" not found`},
	},
	{pod + `no PriorityClass with name high was found`, Refusal{Kind: PriorityClassMissing, Name: "high"}},
	{pod + `pod rejected: RuntimeClass "gvisor" not found`, Refusal{Kind: RuntimeClassMissing, Name: "gvisor"}},
	{
		`Error creating: Pod "d-1" is invalid: spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit`,
		Refusal{Kind: Invalid, Resource: "Pod", Name: "d-1", Reason: `spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit`},
	},
	{`Create Pod s-0 in StatefulSet s failed error: pods "s-0" already exists`, Refusal{Kind: Exists, Resource: "pods", Name: "s-0"}},
	{`object is being deleted: persistentvolumeclaims "data-s-0" already exists`, Refusal{Kind: StillDeleting, Resource: "persistentvolumeclaims", Name: "data-s-0"}},
	{
		`Operation cannot be fulfilled on resourcequotas "q": the object has been modified; please apply your changes to the latest version and try again`,
		Refusal{Kind: Conflict, Resource: "resourcequotas", Name: "q", Reason: "the object has been modified; please apply your changes to the latest version and try again"},
	},
}

func TestTheAPIServersWordsAreRead(t *testing.T) {
	for _, s := range samples {
		t.Run(s.text, func(t *testing.T) {
			for _, around := range []string{s.text, "(combined from similar events): " + s.text, " \n" + strings.ReplaceAll(s.text, " ", "\n  ")} {
				if diff := cmp.Diff(s.want, Parse(around)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// Whatever is cut off, what is left is the same refusal or none that is known: never another one.
func TestATextThatIsCutOffIsNoOtherRefusal(t *testing.T) {
	for _, s := range samples {
		for i := range len(s.text) {
			if got := Parse(s.text[:i]); got.Kind != Unknown && got.Kind != s.want.Kind {
				t.Errorf("%q is %s, and the whole text %s", s.text[:i], got.Kind, s.want.Kind)
			}
		}
	}
}

// The one who refuses comes first, and may say anything.
func TestTheOutermostRefusalCounts(t *testing.T) {
	for _, inner := range samples {
		for outer, want := range map[string]Kind{
			`admission webhook "v.example.com" denied the request: `:                WebhookDenied,
			pod + `ValidatingAdmissionPolicy 'p' with binding 'b' denied request: `: ValidatingPolicy,
			`Internal error occurred: failed calling webhook "v.example.com": `:     WebhookFailed,
			rbac + ": ":                             NotPermitted,
			pod + `violates PodSecurity "a:b": x; `: PodSecurity,
		} {
			if got := Parse(outer + inner.text).Kind; got != want {
				t.Errorf("%s: %q", outer+inner.text, got)
			}
		}
	}
}

func TestOtherTextsAreUnknown(t *testing.T) {
	for _, text := range []string{
		"", " ", `"`, `\"`, "something new", pod, "exceeded quota: ", "exceeded quota", "a quota was exceeded",
		`services "exceeded" not found`, `everything is forbidden: User "u" cannot do anything`, `forbidden: User "a`,
		`admission webhook "v" says no`, "the namespace is being terminated", `pvc data-s-0 is being deleted`,
		pod + `error looking up service account ns/builder: etcdserver: request timed out`,
		pod + `status unknown for quota: q, resources: pods`,
		`nodes are forbidden fruit: User "x" cannot eat`,
	} {
		if got := Parse(text); got != (Refusal{}) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestNamesWithQuotesAreKept(t *testing.T) {
	got := Parse(`pods is forbidden: User "a \"b\" cannot \\ User \"c" cannot list resource "pods" in API group "" at the cluster scope`)
	if want := (Permission{User: `a "b" cannot \ User "c`, Verb: "list", Resource: "pods"}); got.Permission != want {
		t.Errorf("%+v", got)
	}
}

func TestAmountsOfAQuota(t *testing.T) {
	got, ok := Amounts("pods=1, requests.cpu=500m")
	pods, cpu := got["pods"], got["requests.cpu"]
	if !ok || len(got) != 2 || pods.String() != "1" || cpu.String() != "500m" {
		t.Errorf("%v %v", got, ok)
	}
	for _, list := range []string{"", "pods", "pods=", "pods=many", "pods=1,", "pods=1…"} {
		if got, ok := Amounts(list); ok {
			t.Errorf("%q: %v", list, got)
		}
	}
}

func TestForbiddenSplitsEvery403(t *testing.T) {
	for text, want := range map[string][2]string{
		rbac:                      {"pods", strings.TrimPrefix(rbac, "pods is forbidden: ")},
		`nodes "a" is forbidden:`: {`nodes "a"`, ""},
	} {
		if object, reason, ok := Forbidden(text); !ok || object != want[0] || reason != want[1] {
			t.Errorf("%s: %q %q %v", text, object, reason, ok)
		}
	}
	if _, _, ok := Forbidden("no"); ok {
		t.Error("every text is a 403")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add(s.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := Parse(text); got.Kind == Unknown && got != (Refusal{}) {
			t.Errorf("unknown, with parts: %+v", got)
		}
	})
}
