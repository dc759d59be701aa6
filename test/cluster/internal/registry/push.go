package registry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Push puts an image into a registry under REPOSITORY:TAG and gives its full
// reference.
func Push(ctx context.Context, address, repository string, img v1.Image) (string, error) {
	ref, err := name.NewTag(address+"/"+repository, name.Insecure)
	if err != nil {
		return "", err
	}
	transport := pusher{http.DefaultTransport}
	if err := remote.Write(ref, img, remote.WithContext(ctx), remote.WithTransport(transport)); err != nil {
		return "", fmt.Errorf("push %q: %w", ref.Name(), err)
	}
	return ref.Name(), nil
}

// pusher marks requests as part of a push.
type pusher struct{ next http.RoundTripper }

func (p pusher) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(pushHeader, "1")
	return p.next.RoundTrip(r)
}
