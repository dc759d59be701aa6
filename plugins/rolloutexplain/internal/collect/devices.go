package collect

import (
	"context"
	"encoding/json"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/diagnose/device"
	"github.com/kubectl-runbooks/kubectl-runbooks/pkg/kube"
	"github.com/kubectl-runbooks/kubectl-runbooks/plugins/rolloutexplain/internal/evaluate/model"
)

// askDeviceClaim reads a ResourceClaim in the newest version that is served.
func (c *Collector) askDeviceClaim(ctx context.Context, n model.Need) answer {
	var claim device.Claim
	var err error
	for _, version := range device.Versions {
		path := "/apis/resource.k8s.io/" + version + "/namespaces/" + n.Namespace + "/resourceclaims/" + n.Name
		var data []byte
		data, err = c.Typed.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err == nil {
			err = json.Unmarshal(data, &claim)
		}
		if !apierrors.IsNotFound(err) || named(err, n.Name) {
			break
		}
	}
	return found(kube.SourceOf(model.SourceDeviceClaims, "get", "resourceclaims.resource.k8s.io", err), func(in *model.Input) {
		in.DeviceClaims = append(in.DeviceClaims, claim)
	})
}

// named says whether it is the object that is not found, and not the version.
func named(err error, name string) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name == name
}
