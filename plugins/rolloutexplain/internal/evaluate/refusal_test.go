package evaluate

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/codes"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/plain"
)

// What the scheduler of 1.36 and those before it write.
func TestSchedulingMessagesAreSplitIntoTheirTerms(t *testing.T) {
	tests := []struct {
		message string
		total   int
		want    []schedulingTerm
	}{
		{
			"0/3 nodes are available: 3 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
			3,
			[]schedulingTerm{{3, "node(s) had untolerated taint(s)"}},
		},
		{
			"0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient cpu. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.",
			3,
			[]schedulingTerm{{2, "Insufficient cpu"}, {1, "node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"}},
		},
		{
			"0/12 nodes are available: 1 node(s) were unschedulable, 11 node(s) didn't match Pod's node affinity/selector.",
			12,
			[]schedulingTerm{{11, "node(s) didn't match Pod's node affinity/selector"}, {1, "node(s) were unschedulable"}},
		},
		{`0/3 nodes are available: persistentvolumeclaim "nope" not found. not found`, 3, []schedulingTerm{{3, `persistentvolumeclaim "nope" not found`}}},
		{"0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found", 3, []schedulingTerm{{3, "pod has unbound immediate PersistentVolumeClaims"}}},
		{"something else entirely", 0, nil},
	}
	for _, tt := range tests {
		total, terms := parseScheduling(tt.message)
		if total != tt.total || len(terms) != len(tt.want) {
			t.Errorf("%s\n got %d %v", tt.message, total, terms)
			continue
		}
		for i := range terms {
			if terms[i] != tt.want[i] {
				t.Errorf("%s\n got %+v, want %+v", tt.message, terms[i], tt.want[i])
			}
		}
	}
}

func TestSchedulingReasonsHaveTheirCodes(t *testing.T) {
	for text, want := range map[string]string{
		"Insufficient cpu": codes.InsufficientResources, "Insufficient nvidia.com/gpu": codes.InsufficientResources, "Too many pods": codes.TooManyPods,
		"node(s) had untolerated taint(s)": codes.TaintNotTolerated, "node(s) had taint {a: b}, that the pod didn't tolerate": codes.TaintNotTolerated,
		"node(s) didn't match Pod's node affinity/selector": codes.NodeSelectorUnmet, "node(s) didn't match pod anti-affinity rules": codes.PodAffinityUnmet,
		"node(s) didn't match pod topology spread constraints (missing required label)": codes.TopologySpread, "node(s) didn't have free ports for the requested pod ports": codes.HostPortTaken,
		"node(s) were unschedulable": codes.NodesCordoned, "node(s) had volume node affinity conflict": codes.VolumeElsewhere, "node(s) exceed max volume count": codes.VolumeLimit,
		"pod has unbound immediate PersistentVolumeClaims": codes.ClaimUnbound, `persistentvolumeclaim "x" not found`: codes.ClaimMissing,
		"node(s) didn't find available persistent volumes to bind": codes.VolumeElsewhere, "cannot allocate all claims": codes.ResourceClaimUnmet, "a reason of tomorrow": codes.Unschedulable,
	} {
		if got := schedulingCode(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// What containerd 2 and the registries write.
func TestPullErrorsAreClassed(t *testing.T) {
	const head = `Failed to pull image "r.test/a:1": failed to pull and unpack image "r.test/a:1": failed to resolve reference "r.test/a:1": `
	for text, want := range map[string]string{
		head + `r.test/a:1: not found`: codes.ImageNotFound,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 401 Unauthorized`:                                                       codes.ImageUnauthorized,
		head + `pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`:           codes.ImageUnauthorized,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 403 Forbidden`:                                                          codes.ImageUnauthorized,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 429 Too Many Requests`:                                                  codes.RegistryUnreachable,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 503 Service Unavailable`:                                                codes.RegistryUnreachable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp 10.0.0.1:443: connect: connection refused`:                               codes.RegistryUnreachable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp: lookup r.test on 10.0.0.1:53: no such host`:                             codes.RegistryUnreachable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp 10.0.0.1:443: i/o timeout`:                                               codes.RegistryUnreachable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": tls: failed to verify certificate: x509: certificate signed by unknown authority`: codes.RegistryUnreachable,
		`Failed to pull image "r.test/a:1": failed to pull and unpack image "r.test/a:1": no match for platform in manifest: not found`:                         codes.ImageNotFound,
		`Failed to pull image "r.test/a:1": write /var/lib/containerd/x: no space left on device`:                                                               codes.ImageDiskFull,
		`Failed to pull image "r.test/a:1": the moon is in the wrong phase`:                                                                                     codes.ImagePullFailed,
	} {
		e := model.New(&model.Input{}, now, model.Options{}, model.NewAsks(nil, false))
		w := e.NewWorkload("Deployment", &(&appsv1.Deployment{}).ObjectMeta, nil, nil, 0)
		if got := pullError(e, w, samplePod(), &sampleContainer, text); got.Code != want {
			t.Errorf("%s\n got %s, want %s (%s)", text, got.Code, want, got.Message)
		}
	}
}

// The name of an image is not the reason why it does not come.
func TestImageNamesAreNotTakenForReasons(t *testing.T) {
	for _, image := range []string{"r.test/geofence:1", "r.test/unauthorized-audit:401", "r.test/a@sha256:4010000000000000000000000000000000000000000000000000000000000429", "denied/app"} {
		e := model.New(&model.Input{}, now, model.Options{}, model.NewAsks(nil, false))
		w := e.NewWorkload("Deployment", &(&appsv1.Deployment{}).ObjectMeta, nil, nil, 0)
		c := sampleContainer
		c.Image = image
		text := `Failed to pull image "` + image + `": rpc error: code = NotFound desc = failed to pull and unpack image "` + image + `": failed to resolve reference "` + image + `": ` + image + `: not found`
		if got := pullError(e, w, samplePod(), &c, text); got.Code != codes.ImageNotFound {
			t.Errorf("%s: got %s", image, got.Code)
		}
	}
}

// Ten pods of one state are one cause, though only some are asked for their events.
func TestManyPodsOfOneStateAreOneCause(t *testing.T) {
	b := deploymentCase()
	b.d.Spec.Replicas, b.rs.Spec.Replicas = plain.Ptr(int32(10)), plain.Ptr(int32(10))
	b.in.Pods = b.in.Pods[:2]
	for i := range 10 {
		p := b.addPod("api-2-"+string(rune('a'+i)), "rs2", "api:2", "w1", time.Minute, crashed(137, 4, "Error"))
		if i < representatives {
			b.event(string(p.UID), "Killing", "Container api failed liveness probe, will be restarted", 4)
		}
	}
	list := Evaluate(b.in, now, model.Options{})
	got := findingOf(list, codes.LivenessKilled)
	if got == nil || len(got.Pods) != 10 || findingOf(list, codes.CrashLoop) != nil {
		t.Errorf("%s", codesOf(list))
	}
	events := 0
	for _, n := range Needs(b.in, now, model.Options{LogLines: 5}) {
		if n.Kind == model.NeedEvents && strings.HasPrefix(n.UID, "pod-") {
			events++
		}
	}
	if events > representatives {
		t.Errorf("asks for the events of %d pods", events)
	}
}
