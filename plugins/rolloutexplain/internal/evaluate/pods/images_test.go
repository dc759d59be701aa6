package pods

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/finding"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/rule"
)

var sampleContainer = corev1.Container{Name: "api", Image: "r.test/a:1"}

func samplePod() *model.Pod {
	return &model.Pod{Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "api-1", Namespace: "n"}, Spec: corev1.PodSpec{NodeName: "w1", Containers: []corev1.Container{sampleContainer}}}}
}

// What containerd 2 and the registries write.
func TestPullErrorsAreClassed(t *testing.T) {
	const head = `Failed to pull image "r.test/a:1": failed to pull and unpack image "r.test/a:1": failed to resolve reference "r.test/a:1": `
	for text, want := range map[string]finding.Code{
		head + `r.test/a:1: not found`: ImageNotFound,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 401 Unauthorized`:                                                       ImagePullUnauthorized,
		head + `pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`:           ImagePullUnauthorized,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 403 Forbidden`:                                                          ImagePullUnauthorized,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 429 Too Many Requests`:                                                  RegistryUnavailable,
		head + `unexpected status from HEAD request to https://r.test/v2/a/manifests/1: 503 Service Unavailable`:                                                RegistryUnavailable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp 10.0.0.1:443: connect: connection refused`:                               RegistryUnavailable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp: lookup r.test on 10.0.0.1:53: no such host`:                             RegistryUnavailable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": dial tcp 10.0.0.1:443: i/o timeout`:                                               RegistryUnavailable,
		head + `failed to do request: Head "https://r.test/v2/a/manifests/1": tls: failed to verify certificate: x509: certificate signed by unknown authority`: RegistryUnavailable,
		`Failed to pull image "r.test/a:1": failed to pull and unpack image "r.test/a:1": no match for platform in manifest: not found`:                         ImageNotFound,
		`Failed to pull image "r.test/a:1": write /var/lib/containerd/x: no space left on device`:                                                               NoDiskSpaceForImage,
		`Failed to pull image "r.test/a:1": the moon is in the wrong phase`:                                                                                     ErrImagePull,
	} {
		e := model.New(rule.NewBook(Rules), &model.Input{}, time.Now(), model.Options{}, model.NewAsks(nil, model.Options{}))
		w := e.NewWorkload("Deployment", &(&appsv1.Deployment{}).ObjectMeta, nil, nil, 0)
		if got := pullError(e, w, samplePod(), &sampleContainer, text); got.Code != want {
			t.Errorf("%s\n got %s, want %s (%s)", text, got.Code, want, got.Message)
		}
	}
}

// The name of an image is not the reason why it does not come.
func TestImageNamesAreNotTakenForReasons(t *testing.T) {
	for _, image := range []string{"r.test/geofence:1", "r.test/unauthorized-audit:401", "r.test/a@sha256:4010000000000000000000000000000000000000000000000000000000000429", "denied/app"} {
		e := model.New(rule.NewBook(Rules), &model.Input{}, time.Now(), model.Options{}, model.NewAsks(nil, model.Options{}))
		w := e.NewWorkload("Deployment", &(&appsv1.Deployment{}).ObjectMeta, nil, nil, 0)
		c := sampleContainer
		c.Image = image
		text := `Failed to pull image "` + image + `": rpc error: code = NotFound desc = failed to pull and unpack image "` + image + `": failed to resolve reference "` + image + `": ` + image + `: not found`
		if got := pullError(e, w, samplePod(), &c, text); got.Code != ImageNotFound {
			t.Errorf("%s: got %s", image, got.Code)
		}
	}
}
